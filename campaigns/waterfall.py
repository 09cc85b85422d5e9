"""From the contacts imported to those that may be rung now: each is counted once, under the rule that holds it back.

`RULES` is the gate's own order, and the only list there is: a rule that holds back numbers or contacts is there as the
SQL that finds them, one that laws and zones decide (`waterfall_groups`) is asked about groups of contacts. Whichever
comes first in the table counts. Nothing here binds anybody: only the gate, on locked rows, decides.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from campaigns import list_caps, waterfall_plan
from campaigns import waterfall_groups as groups
from campaigns.models import Campaign, Contact, ContactList
from campaigns.prospects import ALIKE_FROM
from campaigns.waterfall_held import Held
from dialer.gate import Verdict
from dialer.list_caps import RULE as LIST_CAP
from dialer.modes import AGENTLESS
from dialer.retries import NEVER_RANG


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the gate. `found`: SQL of (number or id, until) of what it holds back; empty: asked about groups.

    Who is `listed` is told apart while all are counted: they may be many.

    Of the rest after an abandoned call it gives the moment it begins: how long it is, the packs of each contact say.
    """

    name: str
    words: str
    of: Literal["number", "contact", "group", "listed"]
    found: str = ""


_ALL_USED = """
    SELECT k.id, NULL FROM contacts k JOIN attempts t ON t.contact_id = k.id
    WHERE k.campaign_id = :campaign_id AND k.state = 'open' AND k.next_at <= :now AND k.{}
      AND t.state <> ALL(:never_rang) AND (k.promised_at IS NULL OR t.ordered_at > k.promised_at)
    GROUP BY k.id HAVING count(*) >= :max_attempts
"""
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
    Rule("do_not_call", "on the do-not-call list, or forgotten on request", "listed"),
    Rule(
        "attempts", "all attempts used up", "contact",
        # Who was tried so often is found by what the gate keeps of it, in an index; a promise begins the count anew.
        " UNION ALL ".join(map(_ALL_USED.format, ("due_date IS NULL AND k.tried >= :tried", "due_date IS NOT NULL"))),
    ),
    Rule("hours", "outside the hours", "group"),
    Rule(
        "rest", "resting after an abandoned call", "number",
        """SELECT number, max(ended_at) FROM attempts WHERE state = 'abandoned' AND ordered_at > :abandoned_since
           GROUP BY number""",
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
                 AND t.ordered_at > CAST(:now AS timestamptz) - make_interval(days => 1, secs => :gap)
                 AND coalesce(t.sent_at, t.ordered_at) > CAST(:now AS timestamptz) - make_interval(secs => :gap)) a
           GROUP BY a.number""",
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
_LISTED = _RANK["do_not_call"]
# Caps have names of their own in the gate, whoever set them.
_BY_A_CAP = ": called as often as the caps allow"
_PUT_OFF = {rule.name: f": {rule.words}" for rule in RULES}
_PUT_OFF |= {"number_cap": _BY_A_CAP, "contact_cap": _BY_A_CAP, "best_time": ": at a much better hour for them"}


@dataclass(frozen=True, slots=True)
class Step:
    """Contacts that one reason takes away from those imported. `until`: when the first of them comes back.

    `rule`: the gate's, or that of choosing (`list_cap`); "closed", "live" or "later" for those that are not due.
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
    packs = groups.Packs.read(session, campaign)
    lists = _lists(session, campaign, contact_list)
    full = list_caps.full(session, campaign.id, now)
    columns = {
        "passed_over": _PASSED_OVER,
        "keys": groups.columns(packs, campaign),
        "with_agent": groups.with_agent(campaign.mode),
    }
    due = _DUE.format(**columns)
    values = groups.parameters(campaign, packs, now=now, ring_seconds=ring_seconds) | {
        "campaign_id": campaign.id,
        "lists": lists,
        "rests": packs.rests(campaign.mode, with_agent=False),
        "rests_with_agent": packs.rests(campaign.mode, with_agent=True),
        "gap": campaign.number_gap,
        "max_attempts": campaign.max_attempts,
        "tried": min(campaign.max_attempts, ALIKE_FROM),
        "never_rang": [str(state) for state in NEVER_RANG],
        "agentless": campaign.mode == AGENTLESS,
        "full": [one.list_id for one in full],
    }
    values |= Held.read(session, campaign, packs, due, values, now).parameters()
    asking = {"due": due, "found": _FOUND, **columns}
    with waterfall_plan.counting(session):
        rows = session.execute(text(_COUNTED.format(**asking)), values).all()
    counting = _Counting({one.list_id: one.until for one in full})
    for row in rows:
        if row.stands == "not due":
            counting.not_due(row.head, row.contacts, row.next_at)
    alike = _alike(rows)
    if any(one.agree_unknown for one in alike):
        with waterfall_plan.counting(session):
            agree = {row[:3]: row.consent_at for row in session.execute(text(_AGREE.format(**asking)), values)}
        alike = [replace(one, consent_at=agree.get(one.place)) if one.agree_unknown else one for one in alike]
    examples = _examples(session, [one.example for one in alike])
    judge = groups.Judge(campaign, packs, now=now, ring_seconds=ring_seconds)
    for one in alike:
        counting.due(one, judge.refusal(examples[one.example], one.place[0], one.consent, one.consent_at))
    return counting.waterfall()


@dataclass(frozen=True, slots=True)
class _Alike:
    """Due contacts that hours and consent cannot tell apart, and how many of them each rule of their own holds."""

    place: tuple[int, str, str]  # packs, head of the number, address
    consent: int
    consent_at: datetime | None  # the first of theirs
    example: int
    contacts: int
    held: Mapping[int, tuple[int, datetime | None]]  # rank -> contacts, until

    @property
    def agree_unknown(self) -> bool:
        """Whether the first consent to come may be that of a contact which another rule holds before consent counts."""
        return self.consent == groups.LATER and any(rank < _RANK["consent"] for rank in self.held)


def _alike(rows: Sequence[Any]) -> list[_Alike]:
    due: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
    held: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
    for row in rows:
        if row.stands == "due":
            due[row[1:5]].append(row)
        elif row.stands == "held":
            held[row[1:5]].append(row)
    return [
        _Alike(
            key[:3],
            key[3],
            _first(row.consent_at for row in parts),
            min(row.example for row in parts),
            sum(row.contacts for row in parts),
            _held(held[key], sum(row.contacts for row in parts if row.listed)),
        )
        for key, parts in due.items()
    ]


def _held(found: Sequence[Any], listed: int) -> dict[int, tuple[int, datetime | None]]:
    """Count those held in one group by rank; `listed` of them are on the do-not-call list, whatever else holds them."""
    held: dict[int, tuple[int, datetime | None]] = {}
    for row in found:
        if row.listed and row.rank > _LISTED:
            continue
        contacts, until = held.get(row.rank, (0, None))
        held[row.rank] = (contacts + row.contacts, _first((until, row.until)))
        if row.listed:
            listed -= row.contacts
    if listed:
        held[_LISTED] = (listed, None)
    return held


def _first(moments: Iterable[datetime | None]) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)


def _examples(session: Session, ids: Sequence[int]) -> dict[int, Any]:
    query = select(
        Contact.id,
        func.coalesce(Contact.next_number, Contact.phone).label("number"),
        Contact.region, Contact.postcode, Contact.time_zone,
    ).where(Contact.id.in_(ids))  # fmt: skip
    return {row.id: row for row in session.execute(query)}


def _lists(session: Session, campaign: Campaign, only: ContactList | None) -> list[int]:
    """Return the lists that count: all of the campaign but those that were taken back, or one of them."""
    query = select(ContactList.id).where(ContactList.campaign_id == campaign.id, ContactList.undone_at.is_(None))
    if only is not None:
        query = query.where(ContactList.id == only.id)
    return list(session.scalars(query.order_by(ContactList.id)))


_DUE = """
    due AS NOT MATERIALIZED (
        SELECT k.id, k.phone, k.next_number, coalesce(k.next_number, k.phone) AS number, k.kept_until, k.due_date,
               (CASE WHEN {with_agent} THEN CAST(:rests_with_agent AS float[]) ELSE CAST(:rests AS float[]) END)
                   [1 + {keys[pack]}] AS rest,
               {keys[pack]} AS pack, {keys[head]} AS head, {keys[address]} AS address, {keys[consent]} AS consent
        FROM contacts k WHERE k.campaign_id = :campaign_id AND k.list_id = ANY(:lists)
          AND k.state = 'open' AND k.next_at <= :now AND NOT {passed_over})
"""
# Choosing passes over those never tried of a list at its cap: no rule is asked about them, and they may be a million.
_PASSED_OVER = "(k.tried = 0 AND k.due_date IS NULL AND k.list_id = ANY(:full))"
# Whoever is held is counted in both parts, so that the million need not be joined with the few: each join takes as long
# as reading half of them. Who is on the do-not-call list is told apart in the first part, by an array that the server
# hashes; it hashes none in a GROUP BY, and compares each head of a number with all of a hundred there: keys are made
# in a query of their own. A volatile column nobody reads keeps the two apart as OFFSET 0 would, and lets several
# processes share the reading, which OFFSET does not. A text among the keys costs a tenth of the whole: who is not due
# has in `head` why: closed, live, later, or passed over for the list.
_COUNTED = """
    WITH {due}, {found}, first AS MATERIALIZED (
        SELECT DISTINCT ON (id) * FROM found ORDER BY id, rank
    ), held AS MATERIALIZED (
        SELECT *, number = ANY(CAST(:forbidden AS text[])) AS listed FROM first)
    SELECT CASE stands WHEN 0 THEN 'not due' ELSE 'due' END AS stands, pack, head, address, consent, 0 AS rank,
           count(*) AS contacts, min(next_at) AS next_at, CAST(NULL AS timestamptz) AS until, min(id) AS example,
           min(consent_at) AS consent_at, stands = 2 AS listed
    FROM (
        SELECT CASE WHEN k.state = 'open' AND k.next_at <= :now AND NOT {passed_over}
                    THEN CASE WHEN coalesce(k.next_number, k.phone) = ANY(CAST(:forbidden AS text[])) THEN 2 ELSE 1 END
                    ELSE 0 END AS stands,
               CASE WHEN k.state = 'open' AND k.next_at <= :now
                         THEN CASE WHEN {passed_over} THEN 'full ' || k.list_id ELSE {keys[head]} END
                    WHEN k.state = 'open' THEN CASE WHEN k.put_off_until = k.next_at THEN 'later ' || k.put_off_by
                                                    ELSE 'later' END
                    WHEN k.state = 'closed' THEN 'closed ' || k.closed_because ELSE k.state END AS head,
               {keys[pack]} AS pack, {keys[address]} AS address, {keys[consent]} AS consent,
               k.id, k.next_at, {keys[consent_at]} AS consent_at, CASE WHEN k.id < 0 THEN clock_timestamp() END AS apart
        FROM contacts k WHERE k.list_id = ANY(:lists)) AS keyed
    GROUP BY keyed.stands, 2, 3, 4, 5
    UNION ALL
    SELECT 'held', pack, head, address, consent, rank, count(*), NULL, min(until), NULL, NULL, listed
    FROM held GROUP BY 1, 2, 3, 4, 5, 6, listed
"""
# When the first consent holds of those that nothing else holds.
_OF_THE_FREE = """
    WITH {due}, {found}
    SELECT {keys[pack]} AS pack, {keys[head]} AS head, {keys[address]} AS address, min(k.consent_at) AS consent_at
    FROM contacts k
    WHERE k.campaign_id = :campaign_id AND k.list_id = ANY(:lists) AND k.state = 'open' AND k.next_at <= :now
      AND NOT {passed_over}
      AND k.consent AND k.consent_at > :now AND coalesce(k.next_number, k.phone) <> ALL(CAST(:forbidden AS text[]))
      AND k.id NOT IN (SELECT id FROM found WHERE rank < {consent})
    GROUP BY 1, 2, 3
"""
_OF_RULE = "SELECT held, {rank} AS rank, CAST(until AS timestamptz) AS until FROM ({found}) AS of_rule (held, until)"


def _of_rules(of: str) -> str:
    rules = [(rank, rule.found) for rank, rule in enumerate(RULES) if rule.of == of]
    return " UNION ALL ".join(_OF_RULE.format(rank=rank, found=found) for rank, found in rules)


# A number is a contact's next one in one of two ways, each looked up by its index: OFFSET 0 leaves no other plan.
_FOUND_BY_RULE = """
    stop AS MATERIALIZED ({stop}), barred AS ({barred}), met AS (
        SELECT s.rank, s.until AS begins, d.* FROM stop s CROSS JOIN LATERAL (
            SELECT * FROM due WHERE due.phone = s.held AND coalesce(due.next_number, due.phone) = due.phone OFFSET 0) d
        UNION ALL
        SELECT s.rank, s.until AS begins, d.* FROM stop s CROSS JOIN LATERAL (
            SELECT * FROM due WHERE due.next_number = s.held AND due.next_number <> due.phone OFFSET 0) d
    ), found AS (
        SELECT id, rank, CASE WHEN rank = {rest} THEN begins + make_interval(secs => rest) ELSE begins END AS until,
               pack, head, address, consent, number
        FROM met WHERE rank <> {rest} OR begins + make_interval(secs => rest) > :now
        UNION ALL
        SELECT d.id, b.rank, b.until, d.pack, d.head, d.address, d.consent, d.number
        FROM barred b JOIN due d ON d.id = b.held)
"""
_AGREE = _OF_THE_FREE.replace("{consent}", str(_RANK["consent"]))
_FOUND = _FOUND_BY_RULE.format(stop=_of_rules("number"), barred=_of_rules("contact"), rest=_RANK["rest"])


class _Counting:
    """Adds contacts to steps; the steps come out in the order in which the rules are asked."""

    def __init__(self, full: Mapping[int, datetime | None]) -> None:
        self._full = full  # lists at their caps, and when there is room again
        self._imported = 0
        self._steps: dict[tuple[int, str, str], tuple[int, datetime | None]] = {}

    def not_due(self, stands: str, contacts: int, next_at: datetime | None) -> None:
        """Count contacts that are closed, in a call, or not yet to be tried."""
        self._imported += contacts
        if stands.startswith("closed "):
            self._add(-4, "closed", stands.removeprefix("closed ") or "closed", contacts, None)
        elif stands.startswith("later"):
            because = _PUT_OFF.get(stands.removeprefix("later "), "")
            self._add(-2, "later", f"to be tried later{because}", contacts, next_at)
        elif stands.startswith("full "):
            again = self._full[int(stands.removeprefix("full "))]
            self._add(-1, LIST_CAP, "never tried, of a list at its cap", contacts, again)
        else:
            self._add(-3, "live", "being called, or spoken with, now", contacts, None)

    def due(self, alike: _Alike, refusal: Verdict | None) -> None:
        """Count due contacts under what holds them, or under what refuses their whole group if that comes first."""
        self._imported += alike.contacts
        of_group = _RANK[refusal.rule] if refusal is not None else len(RULES)
        left = alike.contacts
        for rank, (contacts, until) in alike.held.items():
            if rank < of_group:
                self._add(rank, RULES[rank].name, RULES[rank].words, contacts, until)
                left -= contacts
        if refusal is not None and left:
            words = refusal.why if refusal.rule == "hours" else RULES[of_group].words
            if refusal.rule == "consent" and refusal.until is not None:
                words = "their consent holds from a later moment on"
            self._add(of_group, refusal.rule, words, left, refusal.until)

    def _add(self, rank: int, rule: str, words: str, contacts: int, until: datetime | None) -> None:
        before, first = self._steps.get((rank, rule, words), (0, None))
        self._steps[rank, rule, words] = (before + contacts, _first((first, until)))

    def waterfall(self) -> Waterfall:
        """Return the steps; of one rule, those that take most come first."""
        in_order = sorted(self._steps.items(), key=lambda step: (step[0][0], -step[1][0], step[0][2]))
        steps = [Step(rule, words, contacts, until) for (_, rule, words), (contacts, until) in in_order]
        return Waterfall(self._imported, steps)
