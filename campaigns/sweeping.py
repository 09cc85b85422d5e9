"""Calls no event speaks of any more: ask the PBX which calls there are, and which there were.

An accepted order that never happens, a lost webhook, a restarted PBX, a lost reply: all are found here, by our
reference in the PBX's lists. Nothing is called lost before its cool-down, and nothing is dialled again on a
guess (I3).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from campaigns import endings, quiet_calls, reactions
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.looking import carry_out
from campaigns.matching import is_leg
from campaigns.models import AgentLeg, Attempt
from campaigns.pbx_status import note_trouble
from dialer.calls import CallState, Signal, advance
from dialer.errors import PbxError
from dialer.pbx.base import CallEvent, CallOutcome, Feature, Heard, LiveCall, PastCall, Pbx, Role
from dialer.settings import TimingSettings

# A call heard of more recently than this is not missed: its news and our question may have crossed.
GRACE = timedelta(seconds=3)


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep of one PBX found."""

    open: int = 0
    alive: int = 0
    missing: int = 0
    closed: int = 0


@dataclass(frozen=True, slots=True)
class _Open:
    ref: str
    call_id: str | None
    state: CallState
    quiet_since: datetime


def sweep(application: Application, name: str, suspects: set[str] | None = None) -> Swept:
    """Compare our open calls with the PBX's; returns what was found. Asks nothing when nothing is open.

    `suspects` carries over from one sweep to the next which calls were missing: one that is missing for the first
    time may just have ended, and its event be on the way.
    """
    pbx, timing = application.pbxes[name], application.settings.timing
    with application.transaction() as session:
        asked_at = database_now(session)
        calls = _open_calls(session, name)
    if calls and Feature.CURRENT_CALLS not in pbx.features:
        return Swept(open=len(calls), closed=quiet_calls.close(application, pbx))
    if not calls:
        return Swept()
    try:
        live = pbx.current_calls()
    except PbxError as exc:
        note_trouble(application, name, exc.why)
        return Swept(open=len(calls))
    by_ref = {call.ref: call for call in live if call.ref}
    by_id = {call.call_id: call for call in live if not call.ref}
    alive = 0
    missing: list[str] = []
    for call in calls:
        seen = by_ref.get(call.ref) or (by_id.get(call.call_id) if call.call_id else None)
        if seen is None:
            if call.quiet_since < asked_at - GRACE:
                missing.append(call.ref)
            continue
        alive += 1
        if call.call_id is None or _as_event(pbx, is_leg(call.ref), call.state, seen) is not None:
            carry_out(application, _note_alive(application, pbx, call.ref, seen))
    if suspects is not None:
        confirmed = [ref for ref in missing if ref in suspects]
        suspects.clear()
        suspects.update(missing)
        missing = confirmed
    closed = _close_missing(application, pbx, missing, timing, asked_at) if missing else 0
    return Swept(open=len(calls), alive=alive, missing=len(missing), closed=closed)


def _open_calls(session: Session, name: str) -> list[_Open]:
    found: list[_Open] = []
    for table in (Attempt, AgentLeg):
        query = select(
            table.ref, table.pbx_call_id, table.state, func.coalesce(table.heard_at, table.sent_at, table.ordered_at)
        ).where(table.ended_at.is_(None), table.pbx == name, table.state != CallState.ORDERED)
        found += [_Open(ref, call_id, CallState(state), quiet) for ref, call_id, state, quiet in session.execute(query)]
    return found


def _note_alive(application: Application, pbx: Pbx, ref: str, seen: LiveCall) -> list[int]:
    """A call lives: learn what its events would have told us, if they were lost."""
    with application.transaction() as session:
        call = reactions.locked_call(session, ref)
        if call is None or call.ended_at is not None:
            return []
        now = database_now(session)
        call.pbx_call_id = call.pbx_call_id or seen.call_id
        if isinstance(call, AgentLeg):
            call.first_leg_id = call.first_leg_id or seen.leg_id
        told = _as_event(pbx, isinstance(call, AgentLeg), CallState(call.state), seen)
        if told is None:
            return []
        reactions.apply_event(session, call, told, at=now, now=now)
        return reactions.follow_up(session, call, now=now)


def _as_event(pbx: Pbx, leg: bool, state: CallState, seen: LiveCall) -> CallEvent | None:
    role = seen.connected_role
    on_the_way = state in (CallState.SENDING, CallState.UNKNOWN, CallState.PLACED, CallState.RINGING)
    if not leg:
        if role is Role.AGENT and state in (CallState.ANSWERED, CallState.HELD, CallState.MESSAGE):
            return _told(Heard.BRIDGED if Feature.NAILED_UP in pbx.features else Heard.TRANSFERRED, role, seen)
        if role in (Role.RECEPTION, Role.MESSAGE) and (on_the_way or state is CallState.ANSWERED):
            return _told(Heard.ANSWERED, role, seen)
    elif role is Role.WAITING and (on_the_way or state is CallState.ANSWERED):
        return _told(Heard.ANSWERED, role, seen)
    if state in (CallState.SENDING, CallState.UNKNOWN):
        first = Role.AGENT if leg else Role.CUSTOMER
        return _told(Heard.CALLING, first, seen)
    return None


def _told(heard: Heard, role: Role, seen: LiveCall) -> CallEvent:
    return CallEvent(
        heard=heard, name="current calls", ref=seen.ref, call_id=seen.call_id, role=role, leg_id=seen.leg_id
    )


def _close_missing(
    application: Application, pbx: Pbx, refs: Sequence[str], timing: TimingSettings, asked_at: datetime
) -> int:
    report: dict[str, PastCall] = {}
    if Feature.CALL_REPORT in pbx.features:
        try:
            oldest = _oldest(application, refs)
            report = {past.ref: past for past in pbx.call_report(oldest) if past.ref}
        except PbxError as exc:
            # The list of calls was good, so these are over; how they ended is then judged by what we heard.
            note_trouble(application, pbx.name, exc.why)
            refs = _long_missing(application, refs, asked_at)
    closed = 0
    for ref in refs:
        with application.transaction() as session:
            call = reactions.locked_call(session, ref)
            if call is not None and call.ended_at is None:
                closed += _missing(session, call, report.get(ref), timing, asked_at)
    return closed


# Without a report, a call must have been silent for so long before it is closed on the word of the list alone.
WITHOUT_REPORT = timedelta(seconds=60)


def _long_missing(application: Application, refs: Sequence[str], asked_at: datetime) -> list[str]:
    found: list[str] = []
    with application.transaction() as session:
        for table in (Attempt, AgentLeg):
            quiet = func.coalesce(table.heard_at, table.sent_at, table.ordered_at)
            found += session.scalars(select(table.ref).where(table.ref.in_(refs), quiet < asked_at - WITHOUT_REPORT))
    return found


def _oldest(application: Application, refs: Sequence[str]) -> datetime:
    times: list[datetime] = []
    with application.transaction() as session:
        for table in (Attempt, AgentLeg):
            times += session.scalars(select(table.ordered_at).where(table.ref.in_(refs)))
    return min(times) - timedelta(minutes=1)


def _missing(
    session: Session, call: Attempt | AgentLeg, past: PastCall | None, timing: TimingSettings, asked_at: datetime
) -> bool:
    """The PBX does not list this call. Returns whether it is closed now."""
    now = database_now(session)
    heard = call.heard_at or call.sent_at or call.ordered_at
    if heard >= asked_at - GRACE:
        return False  # it spoke up while we asked
    if past is not None:
        _learn_from_report(call, past, now)
    elif CallState(call.state) in (CallState.SENDING, CallState.UNKNOWN, CallState.PLACED):
        call.state = advance(CallState(call.state), Signal.NO_REPLY)
        # Accepted is not done either: a PBX may carry an order out late.
        cool_down = max(timing.start_limit, timing.unknown_cool_down)
        if now < (call.sent_at or call.ordered_at) + timedelta(seconds=cool_down):
            return False
        call.trouble = call.trouble or "the PBX took the order and knows nothing of it"
        if isinstance(call, Attempt):
            endings.close_attempt(session, call, CallState.LOST, now=now)
        else:
            endings.close_leg(session, call, CallState.LOST, now=now, reason="the parking call never came about")
        return True
    call.over_at = call.over_at or heard
    call.state = advance(CallState(call.state), Signal.ENDED)
    if isinstance(call, Attempt):
        return endings.conclude_attempt(session, call, now=now, settled=True)
    return endings.conclude_leg(session, call, now=now, settled=True)


def _learn_from_report(call: Attempt | AgentLeg, past: PastCall, now: datetime) -> None:
    """Fill in what the lost events would have told; times are worked back from the report's seconds."""
    over = call.over_at or call.heard_at or now
    if call.joined_at is not None and past.talk_time:
        over = call.joined_at + timedelta(seconds=past.talk_time)
    call.over_at = over
    call.final_outcome = call.final_outcome or str(past.outcome)
    call.pbx_call_id = call.pbx_call_id or past.call_id
    if past.outcome is not CallOutcome.OK or call.answered_at is not None:
        if past.talk_time and past.connected_role is Role.AGENT:
            call.joined_at = call.joined_at or over - timedelta(seconds=past.talk_time)
        return
    on_line = timedelta(seconds=(past.ivr_time or 0.0) + (past.talk_time or 0.0))
    call.answered_at = over - on_line
    if past.talk_time and past.connected_role is Role.AGENT:
        call.joined_at = over - timedelta(seconds=past.talk_time)
