"""Events bring one call up to date: lock the call, read its unhandled events in order, apply each once.

Twice, late, swapped or missing events end in the same place: first times are kept, `calls.advance` is total,
and a call's outcome is concluded from facts, not from the order they came in. The commands that follow (join,
message, hang up) are rows, sent after the commit.
"""

from datetime import datetime, timedelta

from sqlalchemy import update
from sqlalchemy.orm import Session

from campaigns import agent_first, agents, assigning, binding, endings, ledger, own_calls, pbx_commands
from campaigns.agent_states import AWAY
from campaigns.call_rows import locked_call as locked_call  # whoever applies something locks its call first
from campaigns.call_rows import unhandled
from campaigns.db import ROW_LOCK
from campaigns.facts import first, step
from campaigns.matching import is_leg, ref_of_call
from campaigns.models import AgentLeg, Attempt, Command, LoggedEvent
from dialer.calls import FINAL, CallState, Signal
from dialer.conformance.probe import is_probe
from dialer.errors import EventTrouble
from dialer.modes import AGENTLESS
from dialer.pbx.base import CallEvent, CallOutcome, Heard, Payload, Pbx, Role

# Set in `session.info`: calls whose events came under another's reference and wait to be looked at.
TOLD_OF = "told of"
NOBODYS = "no call of ours has this reference or call id"


def react(session: Session, pbx: Pbx, ref: str | None, call_id: str | None, *, now: datetime) -> list[int]:
    """Apply every unhandled event of one call; returns the commands to send after the commit.

    Named by our reference, or by the PBX's call id for events that carry none. The caller owns the transaction.
    """
    known = ref or ref_of_call(session, pbx.name, call_id)
    if known is None:
        return _without_call(session, pbx, call_id, now=now)
    call = locked_call(session, known)
    if call is None:
        # Calls of `dialer pbx conformance` are nobody's on purpose.
        _set_aside(unhandled(session, pbx.name, ref=known), now, "" if is_probe(known) else NOBODYS)
        return []
    own = unhandled(session, pbx.name, ref=known)
    if call_id and ref is None:
        own += unhandled(session, pbx.name, call_id=call_id)
    for logged in own:
        _apply_logged(session, pbx, call, logged, now=now)
    return follow_up(session, call, now=now)


def follow_up(session: Session, call: Attempt | AgentLeg, *, now: datetime) -> list[int]:
    """What a call's present state asks for: an agent, a join, an end to a leg nobody wants."""
    if isinstance(call, Attempt):
        if call.agent_first:
            return []  # its agent is in the call from the start
        if call.state == CallState.ENDING:
            assigning.spare(session, call, now=now)
        if call.given_up_at is not None and call.answered_at is None and call.ended_at is None:
            return pbx_commands.due_hang_ups(session, call.ref)
        return assigning.serve(session, call, now=now)
    commands: list[int] = []
    if call.ended_at is None and call.state in (CallState.ANSWERED, CallState.HELD):
        agent = agents.locked(session, call.agent_id)
        if agent.state in AWAY:  # since the phone rang
            command = pbx_commands.order_hang_up(session, call, now=now)
            commands += [command] if command is not None else []
        elif call.state == CallState.HELD and not (call.first_leg_id and call.pbx_call_id):
            # Its leg's id was in an event we never got: nobody could be joined to it. Park anew.
            command = pbx_commands.order_hang_up(session, call, now=now)
            commands += [command] if command is not None else []
        elif agent.state == "parking" and call.state == CallState.HELD:
            agent.campaign_id = call.campaign_id
            agent.idle_since = agent.idle_since or now
            until = agent.until if agent.wanted else None  # who has asked to go stays no longer for it
            agents.move(session, agent, "parked", now=now, who="dialer", until=until)
    return commands


def _set_aside(events: list[LoggedEvent], now: datetime, trouble: str) -> None:
    for logged in events:
        logged.handled_at, logged.trouble = now, trouble


def _without_call(session: Session, pbx: Pbx, call_id: str | None, *, now: datetime) -> list[int]:
    """Events that name no call of ours: kept, marked, and shown; a failed command is given to its call."""
    for logged in unhandled(session, pbx.name, call_id=call_id):
        try:
            event = pbx.read(payload_of(logged))
        except EventTrouble as exc:
            logged.trouble = str(exc)[:500]
        else:
            owner = ref_of_call(session, pbx.name, event.call_id, event.request_id)
            if owner is not None:
                logged.ref = owner
                return react(session, pbx, owner, None, now=now)
            if _too_early(session, event, logged, now):
                continue
            # Another event of the call may have named it while we looked, or while we waited for its lock.
            if (
                binding.bind(session, pbx.name, event, logged)
                or ref_of_call(session, pbx.name, event.call_id) is not None
            ):
                session.flush()
                return react(session, pbx, None, call_id, now=now)
            if own_calls.note(session, pbx, event, at=logged.received_at, now=now):
                logged.handled_at = now
                continue
            logged.trouble = "" if event.heard in (Heard.OTHER, Heard.ARRIVED) else NOBODYS
        logged.handled_at = now
    return []


def payload_of(logged: LoggedEvent) -> Payload:
    """The event as it came."""
    return Payload(logged.method, logged.query, logged.body, logged.content_type)


def _apply_logged(session: Session, pbx: Pbx, call: Attempt | AgentLeg, logged: LoggedEvent, *, now: datetime) -> None:
    try:
        event = pbx.read(payload_of(logged))
    except EventTrouble as exc:
        logged.trouble, logged.handled_at = str(exc)[:500], now
        return
    if call.pbx != pbx.name:
        logged.trouble, logged.handled_at = f"this call is on PBX {call.pbx}, not on the one that speaks of it", now
        return
    if event.request_id != call.request_id and _too_early(session, event, logged, now):
        return
    owner = _true_owner(session, call, event)
    if owner is not None:
        # It names this call, and tells of another, which is looked at next.
        logged.ref, logged.call_id = owner, event.call_id
        session.info.setdefault(TOLD_OF, set()).add(owner)
        session.flush()
        return
    if isinstance(call, Attempt):
        _apply_to_attempt(session, call, event, at=logged.received_at, now=now)
    else:
        _apply_to_leg(session, call, event, at=logged.received_at, now=now)
    logged.handled_at = now


# The failure of a command may be told before we have written down what the PBX called it.
REQUEST_LIFE = timedelta(seconds=3)


def _too_early(session: Session, event: CallEvent, logged: LoggedEvent, now: datetime) -> bool:
    """Whether a failed command may still turn out to be ours: its event is left for the next look."""
    if event.heard is not Heard.COMMAND_FAILED or event.request_id is None:
        return False
    ours = ref_of_call(session, logged.pbx, None, event.request_id) is not None
    return not ours and now - logged.received_at < REQUEST_LIFE


def _true_owner(session: Session, call: Attempt | AgentLeg, event: CallEvent) -> str | None:
    """The reference of the call an event really tells of, when it is not `call`.

    A transfer moves the agent into the customer's communication, and what the PBX then says of the agent may
    still carry the agent's own reference.
    """
    if isinstance(call, AgentLeg):
        about_other = event.call_id is not None and call.pbx_call_id is not None and event.call_id != call.pbx_call_id
        if event.heard is Heard.TRANSFERRED or about_other:
            owner = ref_of_call(session, call.pbx, event.call_id)
            if owner is not None and owner != call.ref and not is_leg(owner):
                return owner
        return None
    if event.heard is Heard.ENDED and event.call_id and call.pbx_call_id and event.call_id != call.pbx_call_id:
        owner = ref_of_call(session, call.pbx, event.call_id)
        return owner if owner is not None and owner != call.ref else None
    return None


def apply_event(session: Session, call: Attempt | AgentLeg, event: CallEvent, *, at: datetime, now: datetime) -> None:
    """Apply what was found out some other way than by an event (the PBX's lists), as if it had been told."""
    if isinstance(call, Attempt):
        _apply_to_attempt(session, call, event, at=at, now=now)
    else:
        _apply_to_leg(session, call, event, at=at, now=now)


def _learn_ids(call: Attempt | AgentLeg, event: CallEvent, first: Role) -> None:
    if event.role is first:
        call.first_leg_id = call.first_leg_id or event.leg_id
        call.pbx_call_id = call.pbx_call_id or event.call_id
    elif event.role in (Role.RECEPTION, Role.WAITING):
        call.second_leg_id = call.second_leg_id or event.leg_id
        call.pbx_call_id = call.pbx_call_id or event.call_id


def _apply_to_attempt(session: Session, attempt: Attempt, event: CallEvent, *, at: datetime, now: datetime) -> None:
    if attempt.agent_first:
        agent_first.apply(session, attempt, event, at=at, now=now)
        return
    _first_heard(attempt, at)
    if event.heard in (Heard.CALLING, Heard.RINGING, Heard.ANSWERED):
        _learn_ids(attempt, event, Role.CUSTOMER)
    if attempt.state in FINAL:
        _stray(session, attempt, event, now)
        return
    match event.heard, event.role:
        case Heard.CALLING, Role.CUSTOMER:
            step(attempt, Signal.CALLING)
        case Heard.RINGING, Role.CUSTOMER:
            first(attempt, "ringing_at", at)
            step(attempt, Signal.RINGING)
        case Heard.ANSWERED, Role.CUSTOMER:
            _answered(session, attempt, at, now)
        case Heard.ANSWERED, Role.RECEPTION:
            _answered(session, attempt, at, now)  # it is called only after the customer took the call
            first(attempt, "held_at", at)
            step(attempt, Signal.HELD)
            if attempt.state == CallState.MESSAGE and attempt.message_heard_at is None:
                # Their time was over before the PBX could be told so: now it can.
                pbx_commands.order_message(session, attempt, now=now)
        case (Heard.ANSWERED | Heard.CALLING, Role.MESSAGE) | (Heard.DIVERTED, Role.MESSAGE):
            first(attempt, "message_heard_at", at)
            first(attempt, "message_at", at)
            step(attempt, Signal.MESSAGE)
        case (Heard.TRANSFERRED, _) | (Heard.ANSWERED, Role.AGENT):
            _joined(session, attempt, event, at, now)
        case Heard.BRIDGED, _:
            _joined(session, attempt, event, at, now, leg_stays=True)
        case Heard.NOT_REACHED, Role.CUSTOMER:
            attempt.leg_outcome = attempt.leg_outcome or _outcome(attempt, event)
            if attempt.answered_at is None:
                step(attempt, Signal.ENDED)
                first(attempt, "over_at", at)
        case Heard.LEFT, Role.CUSTOMER:
            first(attempt, "left_at", at)
        case Heard.ENDED, _:
            attempt.final_outcome = attempt.final_outcome or _outcome(attempt, event)
            first(attempt, "over_at", at)
            step(attempt, Signal.ENDED)
        case Heard.COMMAND_FAILED, _:
            _command_failed(session, attempt, event, at)
        case _:
            pass
    if attempt.state == CallState.ENDING:
        endings.conclude_attempt(session, attempt, now=now, settled=False)


def _outcome(call: Attempt | AgentLeg, event: CallEvent) -> str:
    unrung = event.unrung if call.ringing_at is None else None
    return str(unrung or event.outcome or CallOutcome.UNKNOWN)


def _first_heard(call: Attempt | AgentLeg, at: datetime) -> None:
    call.heard_at = max(call.heard_at or at, at)


def _answered(session: Session, attempt: Attempt, at: datetime, now: datetime) -> None:
    if first(attempt, "answered_at", at):
        ledger.record(
            session,
            at=at,
            kind="answered",
            who=f"pbx:{attempt.pbx}",
            campaign_id=attempt.campaign_id,
            attempt_id=attempt.id,
            heard_after=round((now - at).total_seconds(), 4),
        )
        _not_given_up_after_all(session, attempt, now)
    step(attempt, Signal.ANSWERED)


def _not_given_up_after_all(session: Session, attempt: Attempt, now: datetime) -> None:
    """Somebody answers a call whose end was ordered: they are served, if the order can still be taken back."""
    if attempt.given_up_at is not None and pbx_commands.withdraw_hang_up(session, attempt.ref, now=now):
        attempt.given_up_at = None
        ledger.record(
            session,
            at=now,
            kind="not_given_up",
            who="dialer",
            campaign_id=attempt.campaign_id,
            attempt_id=attempt.id,
            why="answered before its end was sent",
        )


def _joined(
    session: Session, attempt: Attempt, event: CallEvent, at: datetime, now: datetime, *, leg_stays: bool = False
) -> None:
    """Customer and agent talk. `leg_stays`: the agent's own call goes on, and serves the next customer too."""
    news = first(attempt, "joined_at", at)
    step(attempt, Signal.JOINED)
    if not news:
        return
    assignment = endings.open_assignment(session, attempt.id) or assigning.late_join(session, attempt, event, now=now)
    if assignment is None:
        return
    assignment.joined_at = at
    attempt.agent_id = assignment.agent_id
    leg = session.get_one(AgentLeg, assignment.leg_id, with_for_update=ROW_LOCK, populate_existing=True)
    leg.joined_at = leg.joined_at or at
    agent = agents.locked(session, assignment.agent_id)
    agent.campaign_id = attempt.campaign_id
    agents.move(session, agent, "talking", now=now, who=f"pbx:{attempt.pbx}")
    if leg_stays:
        if leg.ended_at is None and leg.state != CallState.ENDING:
            step(leg, Signal.JOINED)
        else:  # the agent went this instant: whoever is left would hear silence
            pbx_commands.order_hang_up(session, attempt, now=now)
    elif leg.ended_at is None:  # its communication ends with the transfer: there is nothing more to hear of it
        endings.close_leg(session, leg, CallState.COMPLETED, now=now, reason="")
    ledger.record(
        session,
        at=at,
        kind="joined",
        who=f"pbx:{attempt.pbx}",
        campaign_id=attempt.campaign_id,
        attempt_id=attempt.id,
        agent_id=agent.id,
    )


def _stray(session: Session, attempt: Attempt, event: CallEvent, now: datetime) -> None:
    """A call we had closed shows life. Facts are kept; a person who answers it gets the message, not silence."""
    if event.heard is Heard.ANSWERED and event.role in (Role.CUSTOMER, Role.RECEPTION) and attempt.over_at is None:
        if attempt.answered_at is None:
            attempt.answered_at = now
            ledger.record(
                session,
                at=now,
                # Nobody was promised an agent by an agentless call.
                kind="message" if attempt.mode == AGENTLESS else "abandoned",
                who=f"pbx:{attempt.pbx}",
                campaign_id=attempt.campaign_id,
                attempt_id=attempt.id,
                why=f"answered after it was closed as {attempt.state}",
            )
        if attempt.second_leg_id:
            pbx_commands.order_message(session, attempt, now=now)
    elif event.heard is Heard.ENDED:
        first(attempt, "over_at", now)


def _command_failed(session: Session, call: Attempt | AgentLeg, event: CallEvent, at: datetime) -> None:
    """The PBX accepted something and could not do it."""
    note = event.note or "the PBX could not carry it out"
    if event.request_id is not None and event.request_id == call.request_id:
        call.trouble = note[:500]
        call.final_outcome = call.final_outcome or str(CallOutcome.UNKNOWN)
        first(call, "over_at", at)
        step(call, Signal.ENDED)
        return
    session.execute(
        update(Command)
        .where(Command.ref == call.ref, Command.request_id == event.request_id)
        .values(state="refused", answer=note[:500])
    )


def _apply_to_leg(session: Session, leg: AgentLeg, event: CallEvent, *, at: datetime, now: datetime) -> None:
    _first_heard(leg, at)
    if event.heard in (Heard.CALLING, Heard.RINGING, Heard.ANSWERED):
        _learn_ids(leg, event, Role.AGENT)
    if leg.state in FINAL:
        return
    match event.heard, event.role:
        case Heard.CALLING, Role.AGENT:
            step(leg, Signal.CALLING)
        case Heard.RINGING, Role.AGENT:
            first(leg, "ringing_at", at)
            step(leg, Signal.RINGING)
        case Heard.ANSWERED, Role.AGENT:
            first(leg, "answered_at", at)
            step(leg, Signal.ANSWERED)
        case Heard.ANSWERED, Role.WAITING:
            first(leg, "answered_at", at)
            first(leg, "held_at", at)
            step(leg, Signal.HELD)
        case Heard.NOT_REACHED, Role.AGENT:
            leg.leg_outcome = leg.leg_outcome or _outcome(leg, event)
            if leg.answered_at is None:
                first(leg, "over_at", at)
                step(leg, Signal.ENDED)
        case Heard.LEFT, Role.AGENT:
            first(leg, "left_at", at)
        case Heard.ENDED, _:
            leg.final_outcome = leg.final_outcome or _outcome(leg, event)
            first(leg, "over_at", at)
            step(leg, Signal.ENDED)
        case Heard.COMMAND_FAILED, _:
            _command_failed(session, leg, event, at)
        case _:
            pass
    if leg.state == CallState.ENDING:
        endings.conclude_leg(session, leg, now=now, settled=False)
