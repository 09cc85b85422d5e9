"""From the contacts imported to those that may be rung now: each is counted once, under the rule that holds it back.

`RULES` is the gate's own order, and the only list there is: a rule that holds back numbers or contacts is there as the
SQL that finds them, one that laws and zones decide (`waterfall_groups`) is asked about groups of contacts. Whichever
comes first in the table counts. Nothing here binds anybody: only the gate, on locked rows, decides.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from campaigns import waterfall_groups as groups
from campaigns.models import Campaign, Contact, ContactList
from campaigns.waterfall_held import Held
from dialer.gate import Verdict
from dialer.modes import AGENTLESS
from dialer.retries import NEVER_RANG


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the gate. `found`: SQL of (number or id, until) of what it holds back; empty: asked about groups.

    Of the rest after an abandoned call it gives the moment it begins: how long it is, the packs of each contact say.
    """

    name: str
    words: str
    of: Literal["number", "contact", "group"]
    found: str = ""


RULES = (
    Rule(
        "promised", "promised callbacks, which an agentless campaign never calls", "contact",
        "SELECT id, NULL FROM due WHERE :agentless AND due_date IS NOT NULL",
    ),
    Rule(
        "kept", "callbacks that are an agent's own for now", "contact",
        "SELECT id, kept_until FROM due WHERE due_date IS NOT NULL AND kept_until > :now",
    ),
    Rule(
        "number_open", "their number is in a call of another contact", "number",
        "SELECT number, NULL FROM attempts WHERE ended_at IS NULL",
    ),
    Rule(
        "do_not_call", "on the do-not-call list, or forgotten on request", "number",
        """SELECT number, NULL FROM do_not_call WHERE campaign_id IS NULL OR campaign_id = :campaign_id
           UNION ALL SELECT number, NULL FROM unnest(CAST(:forgotten AS text[])) AS f (number)""",
    ),
    Rule(
        "attempts", "all attempts used up", "contact",
        # A promise begins the count anew.
        """SELECT k.id, NULL FROM (
               SELECT contact_id, count(*) AS times FROM attempts
               WHERE campaign_id = :campaign_id AND state <> ALL(:never_rang)
               GROUP BY contact_id HAVING count(*) >= :max_attempts) u
           JOIN contacts k ON k.id = u.contact_id AND k.campaign_id = :campaign_id AND k.state = 'open'
           WHERE k.promised_at IS NULL OR :max_attempts <= (
                  SELECT count(*) FROM attempts t WHERE t.contact_id = k.id AND t.state <> ALL(:never_rang)
                    AND t.ordered_at > k.promised_at)""",
    ),
    Rule("hours", "outside the hours", "group"),
    Rule(
        "rest", "resting after an abandoned call", "number",
        """SELECT a.number, max(a.ended_at) FROM campaigns c CROSS JOIN LATERAL (
               SELECT * FROM attempts t WHERE t.campaign_id = c.id AND t.ordered_at > :abandoned_since
                 AND t.state = 'abandoned') a
           GROUP BY a.number""",
    ),
    Rule(
        "refusal", "left in peace after they said no", "contact",
        "SELECT * FROM unnest(CAST(:refused AS bigint[]), CAST(:refused_until AS timestamptz[]))",
    ),
    Rule(
        "law_caps", "called as often as a rule pack allows", "contact",
        "SELECT * FROM unnest(CAST(:law_capped AS bigint[]), CAST(:law_capped_until AS timestamptz[]))",
    ),
    Rule("consent", "not known to have agreed to be called", "group"),
    Rule(
        "number_gap", "called too short a time ago", "number",
        # An order is sent within a day, or never.
        """SELECT a.number, max(coalesce(a.sent_at, a.ordered_at)) + make_interval(secs => :gap)
           FROM campaigns c CROSS JOIN LATERAL (
               SELECT * FROM attempts t WHERE t.campaign_id = c.id AND t.state <> ALL(:never_rang)
                 AND t.ordered_at > CAST(:now AS timestamptz) - make_interval(days => 1, secs => :gap)) a
           GROUP BY a.number HAVING max(coalesce(a.sent_at, a.ordered_at)) + make_interval(secs => :gap) > :now""",
    ),
    Rule(
        "caps", "called as often as the caps allow", "contact",
        "SELECT * FROM unnest(CAST(:capped AS bigint[]), CAST(:capped_until AS timestamptz[]))",
    ),
    Rule(
        "filter", "not wanted by the campaign's filter for now", "contact",
        """SELECT * FROM unnest(CAST(:unwanted AS bigint[]), CAST(:unwanted_until AS timestamptz[]))
           UNION ALL
           SELECT d.id, CAST(:untried_until AS timestamptz) FROM due d WHERE :untried AND d.due_date IS NULL
             AND NOT EXISTS (SELECT FROM attempts t WHERE t.contact_id = d.id)""",
    ),
)  # fmt: skip
_RANK = {rule.name: rank for rank, rule in enumerate(RULES)}
# Caps have names of their own in the gate, whoever set them.
_BY_A_CAP = ": called as often as the caps allow"
_PUT_OFF = {rule.name: f": {rule.words}" for rule in RULES}
_PUT_OFF |= {"number_cap": _BY_A_CAP, "contact_cap": _BY_A_CAP, "best_time": ": at a much better hour for them"}


@dataclass(frozen=True, slots=True)
class Step:
    """Contacts that one reason takes away from those imported. `until`: when the first of them comes back.

    `rule`: the gate's; "closed", "live" or "later" for those that are not due.
    """

    rule: str
    reason: str
    contacts: int
    until: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the step for a program."""
        return {"rule": self.rule, "reason": self.reason, "contacts": self.contacts, "until": self.until}


@dataclass(frozen=True, slots=True)
class Waterfall:
    """From the contacts imported to those that may be rung at this moment."""

    imported: int
    steps: Sequence[Step]

    @property
    def dialable(self) -> int:
        """What is left."""
        return self.imported - sum(step.contacts for step in self.steps)

    def as_json(self) -> dict[str, Any]:
        """Return the counts for a program."""
        steps = [step.as_json() for step in self.steps]
        return {"imported": self.imported, "dialable": self.dialable, "steps": steps}


def waterfall(
    session: Session,
    campaign: Campaign,
    *,
    now: datetime,
    ring_seconds: float,
    contact_list: ContactList | None = None,
) -> Waterfall:
    """Count the contacts of a campaign, or of one list of it, down to those that may be rung now."""
    undone = select(ContactList.id).where(ContactList.campaign_id == campaign.id, ContactList.undone_at.is_not(None))
    packs = groups.Packs.read(session, campaign)
    columns = {
        "keys": groups.columns(packs, campaign),
        "with_agent": groups.with_agent(campaign.mode),
        "of_one_list": "AND k.list_id = :list_id" if contact_list is not None else "",
    }
    due = _DUE.format(**columns)
    values = groups.parameters(campaign, packs, now=now, ring_seconds=ring_seconds) | {
        "campaign_id": campaign.id,
        "list_id": contact_list.id if contact_list is not None else None,
        "undone": list(session.scalars(undone)),
        "rests": packs.rests(with_agent=False),
        "rests_with_agent": packs.rests(with_agent=True),
        "gap": campaign.number_gap,
        "max_attempts": campaign.max_attempts,
        "never_rang": [str(state) for state in NEVER_RANG],
        "agentless": campaign.mode == AGENTLESS,
    }
    values |= Held.read(session, campaign, packs, due, values, now).parameters()
    with _large_sets(session):
        rows = session.execute(text(_COUNTED.format(due=due, found=_FOUND, **columns)), values).all()
    examples = select(
        Contact.id,
        func.coalesce(Contact.next_number, Contact.phone).label("number"),
        Contact.region, Contact.postcode, Contact.time_zone,
    ).where(Contact.id.in_([row.example for row in rows if row.stands == "due"]))  # fmt: skip
    alike = {row.id: row for row in session.execute(examples)}
    judge = groups.Judge(campaign, packs, now=now, ring_seconds=ring_seconds)
    counting = _Counting()
    for row in rows:
        if row.stands == "due":
            refusal = judge.refusal(alike[row.example], row.pack, row.consent, row.consent_at)
            counting.due(row, refusal)
        else:
            counting.not_due(row)
    return counting.waterfall()


@contextmanager
def _large_sets(session: Session) -> Iterator[None]:
    """Let one statement keep sets as large as a list, hashed: of groups the planner expects one for each contact."""
    wanted = {"work_mem": "'128MB'", "enable_sort": "off", "enable_mergejoin": "off"}
    for name, value in wanted.items():
        session.execute(text(f"SET LOCAL {name} = {value}"))
    yield
    for name in wanted:
        session.execute(text(f"SET LOCAL {name} TO DEFAULT"))


_DUE = """
    due AS NOT MATERIALIZED (
        SELECT k.id, coalesce(k.next_number, k.phone) AS number, k.kept_until, k.due_date,
               (CASE WHEN {with_agent} THEN CAST(:rests_with_agent AS float[]) ELSE CAST(:rests AS float[]) END)
                   [1 + {keys[pack]}] AS rest
        FROM contacts k WHERE k.campaign_id = :campaign_id AND k.list_id <> ALL(:undone) {of_one_list}
          AND k.state = 'open' AND k.next_at <= :now)
"""
# `stands`: due, later, live, or why it is closed.
_COUNTED = """
    WITH {due}, {found}, first AS MATERIALIZED (
        SELECT DISTINCT ON (id) id, rank, until FROM found ORDER BY id, rank)
    SELECT CASE WHEN k.state = 'closed' THEN 'closed ' || k.closed_because WHEN k.state <> 'open' THEN k.state
                WHEN k.next_at <= :now THEN 'due'
                WHEN k.put_off_until = k.next_at THEN 'later ' || k.put_off_by ELSE 'later' END AS stands,
           {keys[pack]} AS pack, {keys[head]} AS head, {keys[address]} AS address, {keys[consent]} AS consent,
           first.rank, count(*) AS contacts, min(k.next_at) AS next_at, min(first.until) AS until, min(k.id) AS example,
           min(k.consent_at) AS consent_at
    FROM contacts k LEFT JOIN first ON first.id = k.id
    WHERE k.campaign_id = :campaign_id AND k.list_id <> ALL(:undone) {of_one_list}
    GROUP BY 1, 2, 3, 4, 5, 6
"""
_OF_RULE = "SELECT held, {rank} AS rank, CAST(until AS timestamptz) AS until FROM ({found}) AS of_rule (held, until)"


def _of_rules(of: str) -> str:
    rules = [(rank, rule.found) for rank, rule in enumerate(RULES) if rule.of == of]
    return " UNION ALL ".join(_OF_RULE.format(rank=rank, found=found) for rank, found in rules)


_FOUND_BY_RULE = """
    stop AS ({stop}), barred AS ({barred}), found AS (
        SELECT d.id, s.rank,
               CASE WHEN s.rank = {rest} THEN s.until + make_interval(secs => d.rest) ELSE s.until END AS until
        FROM due d JOIN stop s ON s.held = d.number
        WHERE s.rank <> {rest} OR s.until + make_interval(secs => d.rest) > :now
        UNION ALL SELECT held, rank, until FROM barred)
"""
_FOUND = _FOUND_BY_RULE.format(stop=_of_rules("number"), barred=_of_rules("contact"), rest=_RANK["rest"])


class _Counting:
    """Adds contacts to steps; the steps come out in the order in which the rules are asked."""

    def __init__(self) -> None:
        self._imported = 0
        self._steps: dict[tuple[int, str, str], tuple[int, datetime | None]] = {}

    def not_due(self, row: Any) -> None:
        """Count contacts that are closed, in a call, or not yet to be tried."""
        self._imported += row.contacts
        if row.stands.startswith("closed "):
            self._add(-3, "closed", row.stands.removeprefix("closed ") or "closed", row.contacts, None)
        elif row.stands.startswith("later"):
            because = _PUT_OFF.get(row.stands.removeprefix("later "), "")
            self._add(-1, "later", f"to be tried later{because}", row.contacts, row.next_at)
        else:
            self._add(-2, "live", "being called, or spoken with, now", row.contacts, None)

    def due(self, row: Any, refusal: Verdict | None) -> None:
        """Count due contacts under what holds them, or under what refuses their whole group if that comes first."""
        self._imported += row.contacts
        of_group = _RANK[refusal.rule] if refusal is not None else len(RULES)
        if row.rank is not None and row.rank < of_group:
            rule = RULES[row.rank]
            self._add(row.rank, rule.name, rule.words, row.contacts, row.until)
        elif refusal is not None:
            rule = RULES[of_group]
            words = refusal.why if refusal.rule == "hours" else rule.words
            if refusal.rule == "consent" and refusal.until is not None:
                words = "their consent holds from a later moment on"
            self._add(of_group, rule.name, words, row.contacts, refusal.until)

    def _add(self, rank: int, rule: str, words: str, contacts: int, until: datetime | None) -> None:
        before, first = self._steps.get((rank, rule, words), (0, None))
        known = [moment for moment in (first, until) if moment is not None]
        self._steps[rank, rule, words] = (before + contacts, min(known, default=None))

    def waterfall(self) -> Waterfall:
        """Return the steps; of one rule, those that take most come first."""
        in_order = sorted(self._steps.items(), key=lambda step: (step[0][0], -step[1][0], step[0][2]))
        steps = [Step(rule, words, contacts, until) for (_, rule, words), (contacts, until) in in_order]
        return Waterfall(self._imported, steps)
