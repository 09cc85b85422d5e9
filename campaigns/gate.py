"""The gate: one transaction that locks the numbers, asks every rule again, and writes the attempts.

Nothing is dialled without a row written here. The rules are tested on rows locked in this transaction, at this
transaction's time, under this scheduler's fence; the row keeps the proof (I5). The order life is short: an
order nobody sent by `not_after` is never sent (I4).
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, select, text
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import flag_modified

from campaigns import (
    callbacks,
    caller_ids,
    due_contacts,
    gateway_rates,
    giving,
    judging,
    leases,
    ledger,
    list_caps,
    listed_place,
    prospects,
    putting_off,
    reserving,
)
from campaigns.caller_ids import Showable
from campaigns.contact_numbers import numbers_of
from campaigns.db import array
from campaigns.due_contacts import Which
from campaigns.earlier_calls import EarlierCalls
from campaigns.judging import Known
from campaigns.lines import Lines
from campaigns.matching import attempt_ref
from campaigns.models import Agent, Attempt, Campaign, Contact, Installation
from dialer import gate as rules
from dialer.calls import CallState
from dialer.gate import Proof
from dialer.modes import PREVIEW
from dialer.settings import TimingSettings


class LeaseLost(Exception):
    """Another scheduler leads this campaign now: whatever was decided here is void."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A scheduler's claim to a campaign, tested at every gate."""

    name: str
    holder: str
    fence: int


@dataclass(frozen=True, slots=True)
class Author:
    """Who orders: a scheduler under its fence, or a person, whom no lease leads (fence 0)."""

    who: str
    fence: int = 0

    @classmethod
    def of(cls, claim: Claim) -> "Author":
        return cls(f"scheduler:{claim.holder}", claim.fence)


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
    allowed = let_through(session, campaign_id, possible, claim, now=now, timing=timing, groups=choose, pbx=lines.pbx)
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
    room = gateway_rates.room(session, lines.pbx or campaign.pbx, campaign.calls_per_second, now)
    lines.room = {gateway: room.left(gateway) for gateway in lines.free}
    return min(wanted, lines.now)


@dataclass(slots=True)
class Allowed:
    """Due contacts that every rule allows now, locked, with their numbers; and what was put off meanwhile."""

    campaign: Campaign
    passed: Passed
    installation: Installation  # held: a session forgets what nobody holds, and would ask for each attempt anew
    contacts: list[tuple[Contact, str, Proof]] = field(default_factory=list)
    calls: EarlierCalls = field(default_factory=EarlierCalls)  # those that are allowed among them
    caller_ids: Showable = field(default_factory=Showable)
    rooms: list_caps.Rooms | None = None  # of the lists of those never called before

    def allow(self, contact: Contact, number: str, proof: Proof) -> None:
        """Let one pass, and count its call for whatever is judged after it."""
        self.contacts.append((contact, number, proof))
        self.calls.add(contact, number, proof.at)


# The installation besides, which hardly ever changes: its row is read and not held.
_CAMPAIGN = (
    select(Campaign, Installation)
    .join(Installation, Installation.id == 1)
    .where(Campaign.id == bindparam("id"))
    .with_for_update(read=True, of=Campaign)
    .execution_options(populate_existing=True)
)


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
    rung: bool = False,
    pbx: str | None = None,
) -> Allowed:
    """Lock up to `wanted` due contacts that pass every rule now, and put off those that do not. Writes no attempt.

    LeaseLost when the claim is void. `which`: by default what the campaign's mode orders without an agent reserved.
    `groups`: to take them from, dearest first, as far as there are any. `own`: agents at hand who may be given the
    callbacks they own; nobody is given one that is another's, or taken. `rung`: each call has its agent, rung first.
    `pbx`: on which they are to be called, the campaign's first by default.
    Whom a law wants called with an agent kept is handed to the callbacks otherwise, and passes with them.
    """
    if not leases.holds(session, claim.name, claim.holder, claim.fence):
        raise LeaseLost(claim.name)
    campaign, installation = session.execute(_CAMPAIGN, {"id": campaign_id}).one()
    passed = Passed()
    allowed = Allowed(campaign, passed, installation)
    state = rules.campaign_state(campaign.state)
    if not state.allowed:
        passed.refused[state.rule] += 1
        return allowed
    if wanted <= 0:
        return allowed
    allowed.caller_ids = caller_ids.showable(session, campaign, now)
    wanted = allowed.caller_ids.keep(wanted, passed.held_back)
    if wanted <= 0:
        return allowed
    which = which or Which.of_mode(campaign.mode)
    promised = which in (Which.PROMISED, Which.OWNED)
    counted = list_caps.standings(session, campaign.id, now)
    contacts = due_contacts.locked(
        session, campaign, now, wanted + wanted // 2 + 4, which, groups=groups, own=own,
        full=[one.list_id for one in counted if one.full], pbx=pbx,
    )  # fmt: skip
    passed.none_due = len(contacts) < wanted
    if not contacts:
        return allowed
    allowed.rooms = rooms = list_caps.Rooms.locked(session, campaign, contacts if counted else (), now)
    lock_numbers(session, [number for contact in contacts for number in numbers_of(contact)])
    known = Known.read(session, campaign, contacts, now, ring_seconds=timing.ring_limit)
    allowed.calls = known.calls
    refused: list[tuple[Contact, str, Proof]] = []
    no_room: Counter[str] = Counter()
    with_agent = promised or campaign.mode == PREVIEW
    for contact in contacts:
        if len(allowed.contacts) == wanted:
            break  # the others are let go as they were: nothing was asked about them
        number = judging.next_number(contact)
        proof = Proof(now, tuple(judging.verdicts(known, contact, number, now, with_agent=with_agent)))
        passes = proof.allowed
        room = rooms.verdict(contact) if passes else None
        if room is not None:
            proof = Proof(now, (*proof.verdicts, room))
        if room is not None and not room.allowed:
            no_room[room.rule] += 1  # let go as it was: it is its list's turn that is over, not its own
        elif not passes:
            refused.append((contact, number, proof))
        elif not (with_agent or rung) and (pack := judging.asks_for_agent(known, contact, number, now)):
            callbacks.guarantee(session, campaign, contact, pack, now=now, timing=timing)
        else:
            allowed.allow(contact, number, proof)
            if room is not None:
                rooms.take(contact)
    passed.refused = putting_off.put_all_off(session, known, refused) + no_room
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
    number = judging.next_number(contact)
    showable = caller_ids.showable(session, campaign, now)
    rooms = list_caps.Rooms.locked(session, campaign, [contact], now)
    lock_numbers(session, numbers_of(contact))
    installation = session.get_one(Installation, 1)
    known = Known.read(session, campaign, [contact], now, ring_seconds=timing.ring_limit)
    proof = Proof(now, tuple(judging.verdicts(known, contact, number, now, with_agent=True)))
    if contact.kept_for is not None:
        whose = callbacks.named(session, contact.kept_for)
        kept = rules.kept_for_agent(now, agent.id, contact.kept_for, contact.kept_until, whose)
        proof = Proof(now, (*proof.verdicts, kept))
    there = listed_place.verdict(session, contact, [lines.pbx or campaign.pbx])
    if there is not None:
        proof = Proof(now, (*proof.verdicts, there))
    if showable.refusal is not None:
        proof = Proof(now, (*proof.verdicts, showable.refusal))
    if not proof.allowed:
        return proof
    allowed = Allowed(campaign, Passed(), installation, calls=known.calls, caller_ids=showable, rooms=rooms)
    allowed.allow(contact, number, proof)
    (number_id,) = new_ids(session, 1)
    return write(
        session, allowed, number_id, contact, number, proof, lines, author, now=now, timing=timing, agent=agent,
        agent_first=agent_first,
    )  # fmt: skip


_LOCK_NUMBERS = text(
    "SELECT pg_advisory_xact_lock(k) FROM "
    "(SELECT DISTINCT hashtextextended(n, 711) AS k FROM unnest(CAST(:numbers AS text[])) AS n ORDER BY 1) AS o"
)


def lock_numbers(session: Session, numbers: Sequence[str]) -> None:
    """Let no other gate judge these numbers until we commit. In one order, so that two gates never wait in a ring."""
    session.execute(_LOCK_NUMBERS, {"numbers": array(numbers)})


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
    attempt_no = allowed.calls.tried(contact)
    attempt = Attempt(
        id=number_id,
        ref=attempt_ref(allowed.installation.prefix, number_id),
        campaign_id=campaign.id,
        contact_id=contact.id,
        pbx=lines.pbx or campaign.pbx,
        number=number,
        gateway=lines.take(),
        caller_id=allowed.caller_ids.pool.take(number),
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
    if allowed.rooms is not None:
        allowed.rooms.tried(contact, attempt_no)
    contact.state, contact.next_at = "live", None
    contact.tried = min(attempt_no, prospects.ALIKE_FROM)
    flag_modified(contact, "tried")  # though it be the same: contacts that change the same columns are one statement
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
    if agent is not None:
        session.flush()  # the agent's row refers to it
        _keep_agent(session, attempt, agent, who=author.who, now=now, timing=timing)
    allowed.passed.refs.append(attempt.ref)
    return attempt


def _keep_agent(
    session: Session, attempt: Attempt, agent: Agent, *, who: str, now: datetime, timing: TimingSettings
) -> None:
    """Give the agent to a call that rings them first; reserve them for any other."""
    if attempt.agent_first:
        giving.give(session, attempt, agent, now=now, who=who)
        return
    until = reserving.call_limit(now, timing)
    reserving.reserve(
        session, agent, reserving.CALL, until=until, now=now, who=who, campaign_id=attempt.campaign_id, attempt=attempt
    )
