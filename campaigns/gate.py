"""The gate: one transaction that locks the numbers, asks every rule again, and writes the attempts.

Nothing is dialled without a row written here. The rules are tested on rows locked in this transaction, at this
transaction's time, under this scheduler's fence; the row keeps the proof (I5). The order life is short: an
order nobody sent by `not_after` is never sent (I4).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from campaigns import (
    callbacks,
    capping,
    contact_filters,
    do_not_call,
    gateway_rates,
    giving,
    lanes,
    laws,
    leases,
    ledger,
    prospects,
    reserving,
)
from campaigns.db import ROW_LOCK_OR_SKIP
from campaigns.matching import attempt_ref
from campaigns.models import Agent, Attempt, Campaign, Contact, Installation
from dialer import gate as rules
from dialer.calls import CallState
from dialer.contact_filter import Past, from_json, verdict
from dialer.gate import Proof, Verdict
from dialer.modes import AGENTLESS, AUTOMATIC, PREVIEW
from dialer.retries import ATTEMPTS_USED_UP, DO_NOT_CALL, NEVER_RANG, counts_against_cap, forward
from dialer.settings import TimingSettings
from dialer.windows import Hours

# A contact nobody can say a time for (its zone is unknown) is asked about again after so long.
ASK_AGAIN = timedelta(hours=1)
# One who never agreed to be called: whoever writes a consent down makes the contact due at once.
ASK_AGAIN_FOR_CONSENT = timedelta(days=1)


class LeaseLost(Exception):
    """Another scheduler leads this campaign now: whatever was decided here is void."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A scheduler's claim to a campaign, tested at every gate."""

    name: str
    holder: str
    fence: int


@dataclass(slots=True)
class Lines:
    """Free lines by gateway; taken one by one, from the gateway with most left.

    `room`: how many calls each gateway may be sent this moment, where the calls per second are limited.
    """

    free: dict[str, int]
    room: dict[str, int] | None = None

    @property
    def total(self) -> int:
        return sum(self.free.values())

    @property
    def now(self) -> int:
        """Calls that can be sent this moment."""
        return sum(map(self._left, self.free))

    def take(self) -> str:
        gateway = max(self.free, key=self._left)
        self.free[gateway] -= 1
        if self.room is not None:
            self.room[gateway] -= 1
        return gateway

    def _left(self, gateway: str) -> int:
        free = self.free[gateway]
        return free if self.room is None else min(free, self.room[gateway])


@dataclass(frozen=True, slots=True)
class Author:
    """Who orders: a scheduler under its fence, or a person, whom no lease leads (fence 0)."""

    who: str
    fence: int = 0

    @classmethod
    def of(cls, claim: Claim) -> "Author":
        return cls(f"scheduler:{claim.holder}", claim.fence)


class Which(StrEnum):
    """Which of the due contacts are meant."""

    ALL = "all"
    PROMISED = "promised"  # callbacks with a due date that are anybody's: they are called with an agent reserved
    OWNED = "owned"  # callbacks of certain agents, who are at hand
    OTHERS = "others"  # everybody but those


@dataclass(slots=True)
class Passed:
    """What the gate let through, and what it did not and why."""

    refs: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    none_due: bool = False  # fewer contacts were due than were wanted
    held_back: list[str] = field(default_factory=list)  # limits of the gate's own that kept calls back
    offered: int = 0  # contacts shown to agents instead of being ordered

    @property
    def through(self) -> int:
        """Contacts that passed: ordered or offered."""
        return len(self.refs) + self.offered


def order(
    session: Session,
    campaign_id: int,
    wanted: int,
    lines: Lines,
    claim: Claim,
    *,
    now: datetime,
    timing: TimingSettings,
    choose: Sequence[str] = (),
) -> Passed:
    """Write up to `wanted` attempts that pass every rule now. LeaseLost when the claim is void.

    `now` is the database's time, read in this transaction. `choose`: groups to take contacts from, dearest first;
    a wish about the order and never a permission. The caller commits, then says "place". Promised callbacks are
    passed over where they are called with an agent reserved, and where there is no agent at all.
    """
    wanted = min(wanted, lines.total)
    possible = keep_to_rate(session, campaign_id, lines, wanted, now)
    allowed = let_through(session, campaign_id, possible, claim, now=now, timing=timing, groups=choose)
    if possible < wanted:
        allowed.passed.held_back.append("calls per second")
    author = Author.of(claim)
    ids = new_ids(session, len(allowed.contacts))
    for number_id, (contact, number, proof) in zip(ids, allowed.contacts, strict=True):
        write(session, allowed, number_id, contact, number, proof, lines, author, now=now, timing=timing)
    session.flush()
    return allowed.passed


def keep_to_rate(session: Session, campaign_id: int, lines: Lines, wanted: int, now: datetime) -> int:
    """Hold each gateway to the campaign's calls per second; returns how many of the wanted calls that leaves.

    Other gates of the PBX that ask wait until the caller commits: to be asked after the locks on agents, and before
    those on contacts and numbers.
    """
    campaign = session.get_one(Campaign, campaign_id)
    if wanted <= 0 or campaign.calls_per_second is None or campaign.state != "running":
        return wanted
    room = gateway_rates.room(session, campaign.pbx, campaign.calls_per_second, now)
    lines.room = {gateway: room.left(gateway) for gateway in lines.free}
    return min(wanted, lines.now)


@dataclass(slots=True)
class Allowed:
    """Due contacts that every rule allows now, locked, with their numbers; and what was put off meanwhile."""

    campaign: Campaign
    passed: Passed
    contacts: list[tuple[Contact, str, Proof]] = field(default_factory=list)
    tried: Mapping[int, int] = field(default_factory=dict)  # contact -> attempts so far


def let_through(
    session: Session,
    campaign_id: int,
    wanted: int,
    claim: Claim,
    *,
    now: datetime,
    timing: TimingSettings,
    which: Which | None = None,
    groups: Sequence[str] = (),
    own: Collection[int] = (),
) -> Allowed:
    """Lock up to `wanted` due contacts that pass every rule now, and put off those that do not. Writes no attempt.

    LeaseLost when the claim is void. `which`: by default what the campaign's mode orders without an agent reserved.
    `groups`: to take them from, dearest first, as far as there are any. `own`: agents at hand who may be given the
    callbacks they own; nobody is given one that is another's, or taken.
    """
    if not leases.holds(session, claim.name, claim.holder, claim.fence):
        raise LeaseLost(claim.name)
    campaign = session.get_one(Campaign, campaign_id, with_for_update={"read": True}, populate_existing=True)
    passed = Passed()
    allowed = Allowed(campaign, passed)
    state = rules.campaign_state(campaign.state)
    if not state.allowed:
        passed.refused[state.rule] += 1
        return allowed
    if wanted <= 0:
        return allowed
    if which is None:
        which = Which.OTHERS if campaign.mode in (*AUTOMATIC, AGENTLESS) else Which.ALL
    contacts = _due(session, campaign, now, wanted + wanted // 2 + 4, which, groups, own)
    passed.none_due = len(contacts) < wanted
    if not contacts:
        return allowed
    numbers = {contact.id: contact.next_number or contact.phone for contact in contacts}
    lock_numbers(session, [number for contact in contacts for number in capping.numbers_of(contact)])
    known = _Known.read(session, campaign, contacts, list(numbers.values()), now)
    allowed.tried = known.tried
    for contact in contacts:
        number = numbers[contact.id]
        if number in known.ringing:
            passed.refused["number_open"] += 1  # another campaign's call; this one comes up again in a moment
            contact.next_at = now + timedelta(seconds=timing.ring_limit)
            continue
        proof = _judge(
            campaign,
            contact,
            number,
            known,
            now=now,
            ring_seconds=timing.ring_limit,
            with_agent=which in (Which.PROMISED, Which.OWNED) or campaign.mode == PREVIEW,
        )
        if not proof.allowed:
            passed.refused[put_off(session, campaign, contact, number, proof)] += 1
        elif len(allowed.contacts) < wanted:
            known.ringing.add(number)
            known.capped.add(number, now)
            known.history.add(contact, number, now)
            allowed.contacts.append((contact, number, proof))
    return allowed


def order_one(
    session: Session,
    campaign: Campaign,
    contact: Contact,
    lines: Lines,
    author: Author,
    *,
    now: datetime,
    timing: TimingSettings,
    agent: Agent,
    agent_first: bool = False,
) -> Attempt | Proof:
    """Order the call of one certain contact for one agent; the proof, when a rule says no.

    `agent_first`: the agent's phone rings first, and the agent is given to the call at once.

    The same rules on the same locks as a scheduler's orders. The caller has locked the agent and the contact, and
    knows that nobody else dials it.
    """
    session.refresh(campaign, with_for_update={"read": True})
    number = contact.next_number or contact.phone
    lock_numbers(session, capping.numbers_of(contact))
    known = _Known.read(session, campaign, [contact], [number], now)
    proof = _judge(campaign, contact, number, known, now=now, ring_seconds=timing.ring_limit, with_agent=True)
    if contact.kept_for is not None:
        whose = callbacks.named(session, contact.kept_for)
        kept = rules.kept_for_agent(now, agent.id, contact.kept_for, contact.kept_until, whose)
        proof = Proof(now, (*proof.verdicts, kept))
    if number in known.ringing:
        busy = Verdict(False, "number_open", "a call to the number is open", now + timedelta(seconds=timing.ring_limit))
        proof = Proof(now, (*proof.verdicts, busy))
    if not proof.allowed:
        return proof
    allowed = Allowed(campaign, Passed(), tried=known.tried)
    (number_id,) = new_ids(session, 1)
    return write(
        session, allowed, number_id, contact, number, proof, lines, author, now=now, timing=timing, agent=agent,
        agent_first=agent_first,
    )  # fmt: skip


def _due(
    session: Session,
    campaign: Campaign,
    now: datetime,
    limit: int,
    which: Which,
    groups: Sequence[str],
    own: Collection[int] = (),
) -> list[Contact]:
    query = select(Contact).where(Contact.campaign_id == campaign.id, Contact.state == "open", Contact.next_at <= now)
    if which is not Which.ALL:
        query = query.where(Contact.due_date.is_(None) if which is Which.OTHERS else Contact.due_date.is_not(None))
    if which is not Which.OTHERS:
        # On the contact's own row: locked rows are tested again, so one being taken at this instant is passed over.
        theirs = (Contact.kept_as == callbacks.OWNER) & Contact.kept_for.in_(own)
        anybodys = Contact.kept_until.is_(None) | (Contact.kept_until <= now)
        wanted = {Which.ALL: anybodys | theirs, Which.PROMISED: anybodys, Which.OWNED: theirs & ~anybodys}
        query = query.where(wanted[which])
    query = query.with_for_update(**ROW_LOCK_OR_SKIP).execution_options(populate_existing=True)
    in_turn = query.order_by(Contact.next_at, Contact.id).limit(limit)
    if campaign.contact_order and which is not Which.PROMISED:
        # A person's order goes before the pacer's wish; a promise, where it is called at all, before both.
        promised = session.scalars(in_turn.where(Contact.due_date.is_not(None))).all() if which is Which.ALL else ()
        preferred = lanes.first_due(session, campaign, now, limit - len(promised))
    elif not groups:
        return list(session.scalars(in_turn))
    else:
        promised, preferred = (), prospects.preferred(session, campaign.id, now, groups, limit)
    rank = {contact_id: n for n, contact_id in enumerate(preferred)}
    found = session.scalars(query.where(Contact.id.in_(preferred)).order_by(Contact.id))
    return [*promised, *sorted(found, key=lambda contact: rank[contact.id])]


def lock_numbers(session: Session, numbers: Sequence[str]) -> None:
    """Let no other gate judge these numbers until we commit. In one order, so that two gates never wait in a ring."""
    session.execute(
        text(
            "SELECT pg_advisory_xact_lock(k) FROM "
            "(SELECT DISTINCT hashtextextended(n, 711) AS k FROM unnest(CAST(:numbers AS text[])) AS n ORDER BY 1) AS o"
        ),
        {"numbers": list(numbers)},
    )


@dataclass(slots=True)
class _Known:
    """What the rules need, read after the locks were taken."""

    ringing: set[str]
    last_called: dict[str, datetime]
    counted: dict[int, int]  # of a promised callback, since it was promised
    tried: dict[int, int]
    forbidden: dict[str, rules.DoNotCallEntry]
    hours: Hours
    last_tried: dict[int, tuple[str, datetime]]  # of each contact: how it ended, and when it was ordered
    capped: capping.Counted
    packs: laws.Laws
    history: laws.History

    @classmethod
    def read(
        cls, session: Session, campaign: Campaign, contacts: Sequence[Contact], numbers: Sequence[str], now: datetime
    ) -> "_Known":
        ringing = session.scalars(select(Attempt.number).where(Attempt.number.in_(numbers), Attempt.ended_at.is_(None)))
        counted: Counter[int] = Counter()
        tried: Counter[int] = Counter()
        asked_for = [contact.id for contact in contacts if contact.due_date is not None]
        before = callbacks.attempts_before(session, asked_for) if asked_for else {}
        promised = {contact.id: contact.promised_at for contact in contacts}
        last_tried: dict[int, tuple[str, datetime]] = {}
        past = select(Attempt.contact_id, Attempt.state, Attempt.ordered_at).where(Attempt.contact_id.in_(promised))
        for contact_id, state, ordered_at in session.execute(past.order_by(Attempt.id)):
            last_tried[contact_id] = (state, ordered_at)
            tried[contact_id] += 1
            counted[contact_id] += counts_against_cap(CallState(state)) and since(promised[contact_id], ordered_at)
        packs = laws.Laws.read(session, campaign, {contact.list_id for contact in contacts})
        return cls(
            ringing=set(ringing),
            last_called=last_called(session, numbers),
            # A promise begins the count anew, once: from when it was made, or by what was used up before it.
            counted={
                contact_id: count - (before.get(contact_id, 0) if promised[contact_id] is None else 0)
                for contact_id, count in counted.items()
            },
            tried=tried,
            forbidden=do_not_call.entries(session, numbers, campaign.id),
            hours=Hours.parse(campaign.hours),
            last_tried=last_tried,
            capped=capping.Counted.read(session, campaign, contacts, now),
            packs=packs,
            history=laws.History.read(session, contacts, numbers, now - packs.reach()),
        )


def last_called(session: Session, numbers: Sequence[str]) -> dict[str, datetime]:
    """Return when any campaign last called each of these numbers; nothing for one that never rang."""
    query = (
        select(Attempt.number, func.max(func.coalesce(Attempt.sent_at, Attempt.ordered_at)).label("at"))
        .where(Attempt.number.in_(numbers), Attempt.state.not_in(NEVER_RANG))
        .group_by(Attempt.number)
    )
    return {row.number: row.at for row in session.execute(query)}


def since(promised_at: datetime | None, ordered_at: datetime) -> bool:
    """Whether an attempt counts against its contact's cap: who asked to be called again begins anew."""
    return promised_at is None or ordered_at > promised_at


def _judge(
    campaign: Campaign,
    contact: Contact,
    number: str,
    known: _Known,
    *,
    now: datetime,
    ring_seconds: float,
    with_agent: bool,
) -> Proof:
    return Proof(
        now,
        (
            rules.campaign_state(campaign.state),
            rules.do_not_call(known.forbidden.get(number)),
            rules.attempt_cap(known.counted.get(contact.id, 0), campaign.max_attempts),
            *laws.verdicts(
                campaign,
                contact,
                number,
                known.packs,
                known.history,
                now=now,
                ring_seconds=ring_seconds,
                hours=known.hours,
                with_agent=with_agent,
            ),
            rules.number_gap(now, known.last_called.get(number), campaign.number_gap),
            *known.capped.judge(contact, number, now, laws.zones(campaign, laws.place(campaign, contact, number))),
            rules.not_before(now, contact.next_at),
            *_filter(campaign, contact, known, now),
        ),
    )


def _filter(campaign: Campaign, contact: Contact, known: _Known, now: datetime) -> Sequence[Verdict]:
    """Ask the campaign's filter, where it has one; a callback that was promised is kept whatever it says."""
    if not campaign.contact_filter or contact.due_date is not None:
        return ()
    outcome, at = known.last_tried.get(contact.id, ("", None))
    past = Past(known.tried.get(contact.id, 0), outcome, at)
    return (verdict(from_json(campaign.contact_filter), contact_filters.fields_of(contact), past, now),)


def next_allowed(
    session: Session, campaign: Campaign, contact: Contact, number: str, at: datetime, *, ring_seconds: float = 60.0
) -> datetime:
    """Return the first moment from `at` on that hours, holidays, rest, gap and caps allow a call to this number.

    A plan on what is known now; the gate decides when the moment has come. Whoever has no agent waits a rest out, and
    nobody knows yet whether there will be one. A consent that is missing has no time, and is left to the gate.
    """
    zone, hours = laws.zones(campaign, laws.place(campaign, contact, number)), Hours.parse(campaign.hours)
    packs = laws.Laws.read(session, campaign, [contact.list_id])
    history = laws.History.read(session, [contact], [number], at - packs.reach())
    capped = capping.Counted.read(session, campaign, [contact], at)
    last = last_called(session, [number]).get(number)

    def ask(at: datetime) -> Iterable[Verdict]:
        yield from (
            verdict
            for verdict in laws.verdicts(
                campaign,
                contact,
                number,
                packs,
                history,
                now=at,
                ring_seconds=ring_seconds,
                hours=hours,
                with_agent=contact.due_date is not None or campaign.mode not in (*AUTOMATIC, AGENTLESS),
            )
            if verdict.allowed or verdict.until is not None or verdict.rule != "consent"
        )
        yield rules.number_gap(at, last, campaign.number_gap)
        yield from capped.judge(contact, number, at, zone)

    return forward(at, ask)


def put_off(session: Session, campaign: Campaign, contact: Contact, number: str, proof: Proof) -> str:
    """Say when a contact that a rule refused is looked at again, or close it; returns the rule's name."""
    refusal = proof.refusal
    assert refusal is not None
    if refusal.rule in ("do_not_call", "attempts"):
        contact.state, contact.next_at = "closed", None
        contact.closed_because = DO_NOT_CALL if refusal.rule == "do_not_call" else ATTEMPTS_USED_UP
    elif refusal.rule == "filter" and refusal.until is None:
        contact.state, contact.closed_because = "closed", contact_filters.NOT_WANTED  # with its time, to come back
    else:
        again = ASK_AGAIN_FOR_CONSENT if refusal.rule == "consent" else ASK_AGAIN
        contact.state, contact.next_at = "open", proof.at + again
        if proof.until is not None:
            contact.next_at = next_allowed(session, campaign, contact, number, proof.until)
    return refusal.rule


def new_ids(session: Session, count: int) -> Sequence[int]:
    """Draw the numbers of attempts to be written, in one question."""
    if not count:
        return []
    drawn = text("SELECT nextval(pg_get_serial_sequence('attempts', 'id')) FROM generate_series(1, :n)")
    return session.scalars(drawn, {"n": count}).all()


def write(
    session: Session,
    allowed: Allowed,
    number_id: int,
    contact: Contact,
    number: str,
    proof: Proof,
    lines: Lines,
    author: Author,
    *,
    now: datetime,
    timing: TimingSettings,
    agent: Agent | None = None,
    agent_first: bool = False,
) -> Attempt:
    """Write the attempt of a contact the rules allow, with the proof; for `agent`, whom it reserves.

    With `agent_first` the agent is given to it in this transaction, before any phone rings.
    """
    campaign = allowed.campaign
    prefix = session.get_one(Installation, 1).prefix
    attempt_no = allowed.tried.get(contact.id, 0) + 1
    attempt = Attempt(
        id=number_id,
        ref=attempt_ref(prefix, number_id),
        campaign_id=campaign.id,
        contact_id=contact.id,
        pbx=campaign.pbx,
        number=number,
        gateway=lines.take(),
        caller_id=campaign.caller_id,
        attempt_no=attempt_no,
        answer_group=prospects.group_of(contact.list_id, attempt_no),
        fence=author.fence,
        proof=proof.as_json(),
        answer_limit=campaign.answer_limit,
        rule_pack=campaign.rule_pack,
        mode=campaign.mode,
        reserved_agent_id=agent.id if agent is not None else None,
        agent_first=agent_first,
        state=CallState.ORDERED,
        ordered_at=now,
        not_after=now + timedelta(seconds=timing.order_life),
    )
    session.add(attempt)
    contact.state, contact.next_at = "live", None
    contact.tried = min(attempt_no, prospects.ALIKE_FROM)
    more: dict[str, Any] = {"agent_id": agent.id} if agent is not None else {}
    ledger.record(
        session,
        at=now,
        kind="ordered",
        who=author.who,
        campaign_id=campaign.id,
        attempt_id=attempt.id,
        number=number,
        gateway=attempt.gateway,
        fence=author.fence,
        **more,
    )
    if agent is not None and agent_first:
        session.flush()
        giving.give(session, attempt, agent, now=now, who=author.who)
    elif agent is not None:
        session.flush()  # the agent's row refers to it
        until = reserving.call_limit(now, timing)
        reserving.reserve(
            session,
            agent,
            reserving.CALL,
            until=until,
            now=now,
            who=author.who,
            campaign_id=campaign.id,
            attempt=attempt,
        )
    allowed.passed.refs.append(attempt.ref)
    return attempt
