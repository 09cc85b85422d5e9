"""The gate: one transaction that locks the numbers, asks every rule again, and writes the attempts.

Nothing is dialled without a row written here. The rules are tested on rows locked in this transaction, at this
transaction's time, under this scheduler's fence; the row keeps the proof (I5). The order life is short: an
order nobody sent by `not_after` is never sent (I4).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from campaigns import do_not_call, gateway_rates, leases, ledger, prospects
from campaigns.db import ROW_LOCK_OR_SKIP
from campaigns.matching import attempt_ref
from campaigns.models import Attempt, Campaign, Contact, Installation
from dialer import gate as rules
from dialer.calls import CallState
from dialer.gate import Proof
from dialer.numbers import zones
from dialer.retries import ATTEMPTS_USED_UP, NEVER_RANG, counts_against_cap
from dialer.settings import TimingSettings
from dialer.windows import Hours, judge, zones_to_judge

DO_NOT_CALL = "do not call"
# A contact nobody can say a time for (its zone is unknown) is asked about again after so long.
ASK_AGAIN = timedelta(hours=1)


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
    """Free lines by gateway; taken one by one, from the gateway with most left."""

    free: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.free.values())

    def take(self) -> str:
        gateway = max(self.free, key=lambda name: self.free[name])
        self.free[gateway] -= 1
        return gateway


@dataclass(slots=True)
class Passed:
    """What the gate let through, and what it did not and why."""

    refs: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    none_due: bool = False  # fewer contacts were due than were wanted
    held_back: list[str] = field(default_factory=list)  # limits of the gate's own that kept calls back


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
    a wish about the order and never a permission. The caller commits, then says "place".
    """
    passed = Passed()
    if not leases.holds(session, claim.name, claim.holder, claim.fence):
        raise LeaseLost(claim.name)
    campaign = session.get_one(Campaign, campaign_id, with_for_update={"read": True}, populate_existing=True)
    state = rules.campaign_state(campaign.state)
    if not state.allowed:
        passed.refused[state.rule] += 1
        return passed
    wanted = min(wanted, lines.total)
    if wanted > 0 and campaign.calls_per_second is not None:
        room = gateway_rates.room(session, campaign.pbx, campaign.calls_per_second, now)
        lines.free = {gateway: min(free, room.left(gateway)) for gateway, free in lines.free.items()}
        if lines.total < wanted:
            wanted = lines.total
            passed.held_back.append("calls per second")
    if wanted <= 0:
        return passed
    contacts = _due(session, campaign_id, now, wanted + wanted // 2 + 4, choose)
    passed.none_due = len(contacts) < wanted
    if not contacts:
        return passed
    numbers = {contact.id: contact.next_number or contact.phone for contact in contacts}
    _lock_numbers(session, sorted(set(numbers.values())))
    known = _Known.read(session, campaign, contacts, list(numbers.values()))
    allowed: list[tuple[Contact, str, Proof]] = []
    for contact in contacts:
        number = numbers[contact.id]
        if number in known.ringing:
            passed.refused["number_open"] += 1  # another campaign's call; this one comes up again in a moment
            contact.next_at = now + timedelta(seconds=timing.ring_limit)
            continue
        proof = _judge(campaign, contact, number, known, now=now, ring_seconds=timing.ring_limit)
        if not proof.allowed:
            _put_off(contact, proof, passed, now)
        elif len(allowed) < wanted:
            known.ringing.add(number)
            allowed.append((contact, number, proof))
    _write(session, campaign, allowed, lines, claim, known, passed, now=now, timing=timing)
    return passed


def _due(session: Session, campaign_id: int, now: datetime, limit: int, choose: Sequence[str]) -> list[Contact]:
    query = select(Contact).where(Contact.campaign_id == campaign_id, Contact.state == "open", Contact.next_at <= now)
    query = query.with_for_update(**ROW_LOCK_OR_SKIP).execution_options(populate_existing=True)
    if not choose:
        return list(session.scalars(query.order_by(Contact.next_at, Contact.id).limit(limit)))
    wanted = prospects.preferred(session, campaign_id, now, choose, limit)
    rank = {contact_id: n for n, contact_id in enumerate(wanted)}
    found = session.scalars(query.where(Contact.id.in_(wanted)).order_by(Contact.id))
    return sorted(found, key=lambda contact: rank[contact.id])


def _lock_numbers(session: Session, numbers: Sequence[str]) -> None:
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
    counted: dict[int, int]
    tried: dict[int, int]
    forbidden: dict[str, rules.DoNotCallEntry]
    hours: Hours

    @classmethod
    def read(
        cls, session: Session, campaign: Campaign, contacts: Sequence[Contact], numbers: Sequence[str]
    ) -> "_Known":
        ringing = session.scalars(select(Attempt.number).where(Attempt.number.in_(numbers), Attempt.ended_at.is_(None)))
        last = session.execute(
            select(Attempt.number, func.max(func.coalesce(Attempt.sent_at, Attempt.ordered_at)).label("at"))
            .where(Attempt.number.in_(numbers), Attempt.state.not_in(NEVER_RANG))
            .group_by(Attempt.number)
        )
        counted: Counter[int] = Counter()
        tried: Counter[int] = Counter()
        past = select(Attempt.contact_id, Attempt.state).where(Attempt.contact_id.in_([c.id for c in contacts]))
        for contact_id, state in session.execute(past):
            tried[contact_id] += 1
            counted[contact_id] += counts_against_cap(CallState(state))
        return cls(
            ringing=set(ringing),
            last_called={row.number: row.at for row in last},
            counted=counted,
            tried=tried,
            forbidden={
                number: rules.DoNotCallEntry(entry.source, entry.reason, entry.campaign_id is None, entry.added_at)
                for number, entry in do_not_call.blocked(session, numbers, campaign.id).items()
            },
            hours=Hours.parse(campaign.hours),
        )


def _judge(
    campaign: Campaign, contact: Contact, number: str, known: _Known, *, now: datetime, ring_seconds: float
) -> Proof:
    zone = zones_to_judge(zones(number), campaign.time_zone)
    return Proof(
        now,
        (
            rules.campaign_state(campaign.state),
            rules.do_not_call(known.forbidden.get(number)),
            rules.attempt_cap(known.counted.get(contact.id, 0), campaign.max_attempts),
            judge(now, known.hours, zone, ring_seconds=ring_seconds),
            rules.number_gap(now, known.last_called.get(number), campaign.number_gap),
            rules.not_before(now, contact.next_at),
        ),
    )


def _put_off(contact: Contact, proof: Proof, passed: Passed, now: datetime) -> None:
    refusal = proof.refusal
    assert refusal is not None
    passed.refused[refusal.rule] += 1
    if refusal.rule in ("do_not_call", "attempts"):
        contact.state, contact.next_at = "closed", None
        contact.closed_because = DO_NOT_CALL if refusal.rule == "do_not_call" else ATTEMPTS_USED_UP
    else:
        contact.next_at = proof.until or now + ASK_AGAIN


def _write(
    session: Session,
    campaign: Campaign,
    allowed: Sequence[tuple[Contact, str, Proof]],
    lines: Lines,
    claim: Claim,
    known: _Known,
    passed: Passed,
    *,
    now: datetime,
    timing: TimingSettings,
) -> None:
    if not allowed:
        return
    prefix = session.get_one(Installation, 1).prefix
    ids = session.scalars(
        text("SELECT nextval(pg_get_serial_sequence('attempts', 'id')) FROM generate_series(1, :n)"),
        {"n": len(allowed)},
    ).all()
    for number_id, (contact, number, proof) in zip(ids, allowed, strict=True):
        ref = attempt_ref(prefix, number_id)
        gateway = lines.take()
        attempt_no = known.tried.get(contact.id, 0) + 1
        session.add(
            Attempt(
                id=number_id,
                ref=ref,
                campaign_id=campaign.id,
                contact_id=contact.id,
                pbx=campaign.pbx,
                number=number,
                gateway=gateway,
                caller_id=campaign.caller_id,
                attempt_no=attempt_no,
                answer_group=prospects.group_of(contact.list_id, attempt_no),
                fence=claim.fence,
                proof=proof.as_json(),
                answer_limit=campaign.answer_limit,
                rule_pack=campaign.rule_pack,
                state=CallState.ORDERED,
                ordered_at=now,
                not_after=now + timedelta(seconds=timing.order_life),
            )
        )
        contact.state, contact.next_at = "live", None
        ledger.record(
            session,
            at=now,
            kind="ordered",
            who=f"scheduler:{claim.holder}",
            campaign_id=campaign.id,
            attempt_id=number_id,
            number=number,
            gateway=gateway,
            fence=claim.fence,
        )
        passed.refs.append(ref)
    session.flush()
