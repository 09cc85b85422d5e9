"""Why a campaign, or one contact, is not being called: the gate's own rules, asked without calling anybody.

The verdicts are of this moment and bind nobody: only the gate, on locked rows, decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns import callbacks, capping, judging, laws
from campaigns.earlier_calls import EarlierCalls
from campaigns.judging import Known
from campaigns.models import Attempt, Campaign, Contact, ContactList, Offer
from dialer import gate as rules
from dialer.abandonment import rule_pack
from dialer.calling_rules import in_force
from dialer.caps import judge as judge_caps
from dialer.caps import reach
from dialer.errors import NotFound
from dialer.gate import Verdict
from dialer.modes import AGENTLESS
from dialer.numbers import Number, country_prefix, normalise, zones_of
from dialer.places import NO_ADDRESS, Place, place_of
from dialer.retries import NEVER_RANG
from dialer.windows import Hours, judge, zones_to_judge

_MOST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Step:
    """Contacts that one reason takes away from those imported. `until`: when the first of them comes back."""

    reason: str
    contacts: int
    until: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the step for a program."""
        return {"reason": self.reason, "contacts": self.contacts, "until": self.until}


@dataclass(frozen=True, slots=True)
class Waterfall:
    """From the contacts imported to those that may be rung at this moment."""

    imported: int
    steps: Sequence[Step]

    @property
    def dialable(self) -> int:
        """What is left."""
        return self.imported - sum(step.contacts for step in self.steps)


@dataclass(frozen=True, slots=True)
class Explained:
    """One contact: every rule's verdict, and the tries so far."""

    contact: Contact
    number: str
    verdicts: Sequence[Verdict]
    attempts: Sequence[Attempt]
    twins: int  # other contacts of the campaign with this number

    @property
    def allowed(self) -> bool:
        """Whether the gate would let a call pass now."""
        return all(verdict.allowed for verdict in self.verdicts)


# Contacts that are due, by the first rule that holds them back; the others by the head of their number, which
# is what decides the time zone (:own all together, where every zone of the country says the same). Sets are joined to
# the contacts, each once: asked contact by contact, 45,000 took 0.9 s.
_DUE = text(
    """
    SELECT blocked, CASE WHEN blocked <> '' THEN NULL WHEN starts_with(number, :own) THEN :own
                         ELSE left(number, 9) END AS head,
           min(number) AS example, count(*) AS contacts, min(until) AS until
    FROM (
        SELECT d.number, CASE
            WHEN o.number IS NOT NULL THEN 'number_open'
            WHEN everywhere.number IS NOT NULL OR here.number IS NOT NULL THEN 'do_not_call'
            -- A promise begins the count anew, once: by what was used up before it, or from when it was made.
            WHEN d.promised_at IS NULL AND used.times >= :max_attempts + coalesce(promised.attempts_before, 0)
              OR d.promised_at IS NOT NULL AND used.times >= :max_attempts AND :max_attempts <= (
                SELECT count(*) FROM attempts t WHERE t.contact_id = d.id AND t.state <> ALL(:never_rang)
                  AND t.ordered_at > d.promised_at) THEN 'attempts'
            WHEN d.kept_until > :now THEN 'kept'
            WHEN called.until > :now THEN 'number_gap'
            WHEN d.id = ANY(CAST(:capped AS bigint[])) THEN 'caps'
            ELSE '' END AS blocked, called.until
        FROM (SELECT k.id, coalesce(k.next_number, k.phone) AS number, k.kept_until, k.promised_at
              FROM contacts k
              WHERE k.campaign_id = :campaign_id AND k.state = 'open' AND k.next_at <= :now
                AND k.list_id <> ALL(:undone)) d
        LEFT JOIN (SELECT number FROM attempts WHERE ended_at IS NULL) o ON o.number = d.number
        LEFT JOIN do_not_call everywhere ON everywhere.number = d.number AND everywhere.campaign_id IS NULL
        LEFT JOIN do_not_call here ON here.number = d.number AND here.campaign_id = :campaign_id
        LEFT JOIN (SELECT contact_id, count(*) AS times FROM attempts
                   WHERE campaign_id = :campaign_id AND state <> ALL(:never_rang)
                   GROUP BY contact_id HAVING count(*) >= :max_attempts) used ON used.contact_id = d.id
        LEFT JOIN callbacks promised ON promised.contact_id = d.id AND promised.closed_at IS NULL
        LEFT JOIN (SELECT a.number, max(coalesce(a.sent_at, a.ordered_at)) + make_interval(secs => :gap) AS until
                   FROM campaigns c CROSS JOIN LATERAL (
                       -- An order is sent within a day, or never.
                       SELECT * FROM attempts t WHERE t.campaign_id = c.id AND t.state <> ALL(:never_rang)
                         AND t.ordered_at > CAST(:now AS timestamptz) - make_interval(days => 1, secs => :gap)) a
                   GROUP BY a.number) called ON called.number = d.number) judged
    GROUP BY 1, 2
    """
)
# The contacts that are due and held back, alone: one join of the due with every number that must not ring now.
_HELD = text(
    """
    WITH stop AS (
        SELECT number, 1 AS rule, CAST(NULL AS timestamptz) AS until FROM attempts WHERE ended_at IS NULL
        UNION ALL
        SELECT number, 2, NULL FROM do_not_call WHERE campaign_id IS NULL OR campaign_id = :campaign_id
        UNION ALL
        SELECT a.number, 5, max(coalesce(a.sent_at, a.ordered_at)) + make_interval(secs => :gap)
        FROM campaigns c CROSS JOIN LATERAL (
            -- An order is sent within a day, or never.
            SELECT * FROM attempts t WHERE t.campaign_id = c.id AND t.state <> ALL(:never_rang)
              AND t.ordered_at > CAST(:now AS timestamptz) - make_interval(days => 1, secs => :gap)) a
        GROUP BY a.number
        HAVING max(coalesce(a.sent_at, a.ordered_at)) + make_interval(secs => :gap) > :now
    ), due AS NOT MATERIALIZED (
        SELECT k.id, coalesce(k.next_number, k.phone) AS number, k.kept_until, k.promised_at FROM contacts k
        WHERE k.campaign_id = :campaign_id AND k.state = 'open' AND k.next_at <= :now AND k.list_id <> ALL(:undone)
    )
    SELECT (ARRAY['number_open', 'do_not_call', 'attempts', 'kept', 'number_gap', 'caps'])[rule] AS blocked,
           count(*) AS contacts, min(until) AS until
    FROM (SELECT DISTINCT ON (id) id, rule, until FROM (
              SELECT d.id, s.rule, s.until FROM due d JOIN stop s ON s.number = d.number
              UNION ALL
              SELECT d.id, 3, NULL FROM due d JOIN (
                  SELECT contact_id, count(*) AS times FROM attempts
                  WHERE campaign_id = :campaign_id AND state <> ALL(:never_rang)
                  GROUP BY contact_id HAVING count(*) >= :max_attempts) u ON u.contact_id = d.id
              LEFT JOIN callbacks p ON p.contact_id = d.id AND p.closed_at IS NULL
              -- A promise begins the count anew, once: by what was used up before it, or from when it was made.
              WHERE d.promised_at IS NULL AND u.times >= :max_attempts + coalesce(p.attempts_before, 0)
                OR d.promised_at IS NOT NULL AND :max_attempts <= (
                  SELECT count(*) FROM attempts t WHERE t.contact_id = d.id AND t.state <> ALL(:never_rang)
                    AND t.ordered_at > d.promised_at)
              UNION ALL
              SELECT d.id, 4, NULL FROM due d WHERE d.kept_until > :now
              UNION ALL
              SELECT d.id, 6, NULL FROM due d WHERE d.id = ANY(CAST(:capped AS bigint[]))) found
          ORDER BY id, rule) first
    GROUP BY rule
    """
)
_ALL = text(
    """
    SELECT count(*) FILTER (WHERE k.state = 'open' AND k.next_at <= :now
                              AND NOT starts_with(coalesce(k.next_number, k.phone), :own)) AS strangers,
           CASE WHEN k.state = 'open' AND k.next_at <= :now THEN 'due' WHEN k.state = 'open' THEN 'later'
                ELSE k.state END AS state,
           CASE WHEN k.state = 'closed' THEN k.closed_because ELSE '' END AS because,
           count(*) AS contacts, min(k.next_at) AS until
    FROM contacts k
    WHERE k.campaign_id = :campaign_id AND k.list_id <> ALL(:undone)
    GROUP BY 2, 3 ORDER BY 4 DESC, 3
    """
)
_EXAMPLE = text("""
    SELECT coalesce(k.next_number, k.phone) FROM contacts k
    WHERE k.campaign_id = :campaign_id AND k.state = 'open' AND k.next_at <= :now AND k.list_id <> ALL(:undone)
    ORDER BY k.next_at LIMIT 1
""")
_IN_WORDS = {
    "number_open": "their number is in a call of another contact",
    "do_not_call": "on the do-not-call list",
    "attempts": "all attempts used up",
    "kept": "callbacks that are an agent's own for now",
    "number_gap": "called too short a time ago",
    "caps": "called as often as the caps allow",
}


def waterfall(session: Session, campaign: Campaign, *, now: datetime, ring_seconds: float) -> Waterfall:
    """Count the campaign's contacts down, reason by reason, to those that may be rung now."""
    session.execute(text("SET LOCAL work_mem = '96MB'"))  # for sets as large as the list; not for anything else here
    undone = select(ContactList.id).where(ContactList.campaign_id == campaign.id, ContactList.undone_at.is_not(None))
    taken_back = list(session.scalars(undone))
    own = _alike(campaign, now, ring_seconds)
    given = {"campaign_id": campaign.id, "now": now, "undone": taken_back, "own": own}
    rows = session.execute(_ALL, given).all()
    steps = [Step(row.because or "closed", row.contacts) for row in rows if row.state == "closed"]
    for state, told in (("live", "being called, or spoken with, now"), ("later", "to be tried later")):
        steps += [
            Step(told, row.contacts, row.until if state == "later" else None) for row in rows if row.state == state
        ]
    due = next((row for row in rows if row.state == "due"), None)
    held, free = _due(session, campaign, given, due.contacts, due.strangers) if due is not None else ([], [])
    steps += held
    steps += _outside_hours(campaign, free, now=now, ring_seconds=ring_seconds)
    return Waterfall(sum(row.contacts for row in rows), steps)


def _due(
    session: Session, campaign: Campaign, given: dict[str, Any], due: int, strangers: int
) -> tuple[list[Step], list[tuple[str, int]]]:
    """Return the steps that hold due contacts back, and (a number, how many like it) of those none holds."""
    capped = _capped(session, campaign, given["now"])
    values = {
        **given,
        "capped": list(capped),
        "gap": campaign.number_gap,
        "max_attempts": campaign.max_attempts,
        "never_rang": [str(state) for state in NEVER_RANG],
    }
    if strangers:
        rows = session.execute(_DUE, values).all()
        free = [(row.example, row.contacts) for row in rows if not row.blocked]
    else:
        rows = session.execute(_HELD, values).all()
        left = due - sum(row.contacts for row in rows)
        free = [(session.scalars(_EXAMPLE, values).one(), left)] if left else []
    held = {row.blocked: row for row in rows if row.blocked}
    steps = [
        Step(told, held[rule].contacts, held[rule].until if rule == "number_gap" else None)
        for rule, told in _IN_WORDS.items()
        if rule in held
    ]
    if "caps" in held:
        first = min((until for until in capped.values() if until is not None), default=None)
        steps = [replace(step, until=first) if step.reason == _IN_WORDS["caps"] else step for step in steps]
    return steps, free


def _alike(campaign: Campaign, now: datetime, ring_seconds: float) -> str:
    """Return the beginning of the numbers of the campaign's country if all of its zones give one verdict now.

    Where a pack has rules of its own for a region, no two numbers are alike until they are looked at.
    """
    hours, pack = Hours.parse(campaign.hours), rule_pack(campaign.rule_pack)
    if pack.calling.regions:
        return "none"
    verdicts = (
        judge(
            now,
            hours,
            (zone,),
            ring_seconds=ring_seconds,
            also=in_force([(pack.name, pack.calling)], Place((), (zone,)), campaign.mode).timetables,
        )
        for zone in zones_of(campaign.country)
    )
    return country_prefix(campaign.country) if len({(one.allowed, one.until) for one in verdicts}) == 1 else "none"


# Due contacts of which any number was called since: few, because who is at a cap is put off when they are met.
_CALLED = text(
    """
    SELECT k.id FROM contacts k
    WHERE k.campaign_id = :campaign_id AND k.state = 'open' AND k.next_at <= :now
      AND (EXISTS (SELECT 1 FROM attempts a WHERE a.number = k.phone AND a.ordered_at > :since)
           OR EXISTS (SELECT 1 FROM attempts a WHERE a.number = k.phone2 AND a.ordered_at > :since)
           OR EXISTS (SELECT 1 FROM attempts a WHERE a.number = k.next_number AND a.ordered_at > :since))
    """
)


def _capped(session: Session, campaign: Campaign, now: datetime) -> dict[int, datetime | None]:
    """Return the due contacts that a cap holds back, each with the moment it lets go."""
    caps = capping.in_force(session, campaign)
    if not caps:
        return {}
    called_since = now - reach(caps) - timedelta(minutes=5)
    found = session.scalars(_CALLED, {"campaign_id": campaign.id, "now": now, "since": called_since}).all()
    held: dict[int, datetime | None] = {}
    for ids in (found[n : n + 1_000] for n in range(0, len(found), 1_000)):
        contacts = session.scalars(select(Contact).where(Contact.id.in_(ids))).all()
        calls = EarlierCalls.read(session, contacts, called_since)
        for contact in contacts:
            number = judging.next_number(contact)
            zones = laws.zones(campaign, laws.place(campaign, contact, number))
            verdicts = judge_caps(caps, now, calls.earlier(contact, number), zones)
            if not all(verdict.allowed for verdict in verdicts):
                held[contact.id] = soonest(verdicts)
    return held


def _outside_hours(
    campaign: Campaign, numbers: Sequence[tuple[str, int]], *, now: datetime, ring_seconds: float
) -> list[Step]:
    hours, pack = Hours.parse(campaign.hours), rule_pack(campaign.rule_pack)
    verdicts: dict[Place, Verdict] = {}
    outside: dict[str, Step] = {}
    for number, contacts in numbers:
        where = place_of(number, NO_ADDRESS, campaign.country)
        if where not in verdicts:
            law = in_force([(pack.name, pack.calling)], where, campaign.mode)
            zones = zones_to_judge(where.zones, campaign.time_zone)
            verdicts[where] = judge(now, hours, zones, ring_seconds=ring_seconds, also=law.timetables)
        verdict = verdicts[where]
        if verdict.allowed:
            continue
        told = verdict.why
        known = outside.get(told)
        outside[told] = Step(told, contacts + (known.contacts if known else 0), verdict.until)
    return sorted(outside.values(), key=lambda step: -step.contacts)


# One contact ---------------------------------------------------------------------------------------------


def find_contact(session: Session, campaign: Campaign, given: str) -> tuple[Contact, int]:
    """Return the contact a person means by its id or by a number, and how many others have that number."""
    given = given.strip()
    if given.isdecimal() and int(given) <= _MOST_ID:
        found = session.get(Contact, int(given))
        if found is not None and found.campaign_id == campaign.id:
            return found, 0
    number = normalise(given, campaign.country)
    if not isinstance(number, Number):
        raise NotFound(
            f"campaign {campaign.name} has no contact {given!r}, and as a number it cannot be read: {number}"
        )
    # One that may still be called is the one somebody asks about.
    query = (
        select(Contact)
        .join(ContactList, ContactList.id == Contact.list_id)
        .where(
            Contact.campaign_id == campaign.id,
            (Contact.phone == number.e164)
            | (Contact.phone2 == number.e164)
            | Contact.more_numbers.contains([number.e164]),
        )
        .order_by(ContactList.undone_at.is_(None).desc(), Contact.state == "closed", Contact.id.desc())
    )
    matching = session.scalars(query).all()
    if not matching:
        raise NotFound(f"campaign {campaign.name} has no contact with the number {number.e164}")
    return matching[0], len(matching) - 1


def explain(session: Session, campaign: Campaign, given: str, *, now: datetime, ring_seconds: float) -> Explained:
    """Ask every rule of the gate about one contact."""
    contact, twins = find_contact(session, campaign, given)
    number = judging.next_number(contact)
    history = session.scalars(
        select(Attempt).where(Attempt.contact_id == contact.id).order_by(Attempt.id.desc()).limit(5)
    ).all()
    known = Known.read(session, campaign, [contact], now, ring_seconds=ring_seconds)
    with_agent = judging.agent_is_kept(campaign, contact)
    verdicts: tuple[Verdict, ...] = tuple(judging.verdicts(known, contact, number, now, with_agent=with_agent))
    verdicts = (verdicts[0], _of_the_contact(session, contact), *verdicts[1:])
    if contact.kept_for is not None:
        whose = callbacks.named(session, contact.kept_for)
        verdicts += (rules.kept_for_agent(now, 0, contact.kept_for, contact.kept_until, whose),)
    return Explained(contact, number, verdicts, history, twins)


def _of_the_contact(session: Session, contact: Contact) -> Verdict:
    imported = session.get_one(ContactList, contact.list_id)
    if imported.undone_at is not None:
        return Verdict(False, "contact", f"the list {imported.name} was taken back on {imported.undone_at:%Y-%m-%d}")
    if contact.state == "closed":
        return Verdict(False, "contact", f"the contact is closed: {contact.closed_because or 'no reason was kept'}")
    if contact.state == "live":
        offered = select(Offer.until).where(Offer.contact_id == contact.id, Offer.state == "open")
        until = session.scalar(offered)
        if until is not None:
            return Verdict(False, "contact", f"the contact is offered to an agent until {until:%H:%M:%S} UTC")
        return Verdict(False, "contact", "the contact is being called, or spoken with, now")
    return Verdict(True, "contact", "the contact is open")


def soonest(verdicts: Sequence[Verdict]) -> datetime | None:
    """When no rule will say no any more; None when one waits for more than time, or all allow it now."""
    refused = [verdict for verdict in verdicts if not verdict.allowed]
    waits = [verdict.until for verdict in refused if verdict.until is not None]
    return max(waits) if waits and len(waits) == len(refused) else None


def holding(session: Session, campaign: Campaign, *, now: datetime) -> list[str]:
    """Say what holds the whole campaign back, whoever its contacts are; empty when nothing does."""
    found = []
    state = rules.campaign_state(campaign.state)
    if not state.allowed:
        found.append(state.why)
    free, states = _agents(session, campaign)
    if not free and campaign.mode != AGENTLESS:
        found.append(f"no agent is free: {states or 'none is assigned'}")
    lease = session.execute(
        text("SELECT holder FROM leases WHERE name = :name AND expires_at > clock_timestamp()"),
        {"name": f"campaign:{campaign.id}"},
    ).first()
    if lease is None and state.allowed:
        found.append("no scheduler leads it: start `dialer scheduler`, or everything with `dialer up`")
    status = session.execute(
        text("SELECT read_at, trouble, gateways FROM pbx_status WHERE pbx = :pbx"), {"pbx": campaign.pbx}
    ).one_or_none()
    usable = [one for one in (status.gateways if status else []) if one["enabled"] and one["registered"]]
    if status is not None and status.read_at is not None and not usable and not status.trouble:
        shown = f"no gateway of PBX {campaign.pbx} is enabled and registered, so there is no line to call on"
        found.append(f"{shown}: `dialer pbx check {campaign.pbx}` names them")
    if status is not None and status.trouble:
        found.append(f"PBX {campaign.pbx}: {status.trouble}")
    elif state.allowed and (status is None or status.read_at is None or now - status.read_at > timedelta(seconds=30)):
        found.append(f"lines and agents of PBX {campaign.pbx} were not read lately: `dialer pbx check {campaign.pbx}`")
    return found


def _agents(session: Session, campaign: Campaign) -> tuple[int, str]:
    rows = session.execute(
        text(
            "SELECT a.state, count(*) AS agents FROM campaign_agents c JOIN agents a ON a.id = c.agent_id "
            "WHERE c.campaign_id = :campaign_id GROUP BY a.state ORDER BY 2 DESC, 1"
        ),
        {"campaign_id": campaign.id},
    ).all()
    free = sum(row.agents for row in rows if row.state in ("ready", "parking", "parked"))
    return free, ", ".join(f"{row.agents} {row.state.replace('_', '-')}" for row in rows)
