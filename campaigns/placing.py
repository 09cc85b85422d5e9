"""Send one order to the PBX, at most once, and never late.

`ordered -> sending` is a compare-and-set, committed before the request (I2). The order's deadline is tested
on the row when it is claimed and on the monotonic clock as the last act before sending (I4). The request has
four ends: accepted, refused (never rang), not sent, and unknown; unknown is not failed (I3).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from campaigns import listed_calls
from campaigns.application import Application
from campaigns.db import ROW_LOCK, database_now
from campaigns.endings import close_attempt, close_leg
from campaigns.matching import is_leg
from campaigns.models import Agent, AgentLeg, Attempt
from campaigns.pbx_status import note_trouble
from dialer.calls import CallState, Signal, advance
from dialer.errors import (
    DialerError,
    OutcomeUnknown,
    PbxBusy,
    PbxError,
    PbxLockedOut,
    PbxRefused,
    PbxUnavailable,
)
from dialer.pbx.base import AgentFirstOrder, AgentOrder, CustomerOrder, Pbx


class TooLate(DialerError):
    """The order's time was over before it was sent. Nothing left us."""


# Between the claim and the send: what was stopped meanwhile must not ring (I7), however slow the connection.
SEND_WITHIN = 1.5

# The last look at the rules that may change between the gate and now: stop means stop (I7).
_CLAIM_ATTEMPT = text(
    """
    UPDATE attempts SET state = 'sending', sent_at = clock_timestamp()
    WHERE ref = :ref AND state = 'ordered' AND not_after > clock_timestamp()
      AND EXISTS (SELECT 1 FROM campaigns c WHERE c.id = attempts.campaign_id AND c.state = 'running')
      AND EXISTS (SELECT 1 FROM contacts k WHERE k.id = attempts.contact_id AND k.state = 'live')
      AND NOT EXISTS (SELECT 1 FROM do_not_call d WHERE d.number = attempts.number
                      AND (d.campaign_id IS NULL OR d.campaign_id = attempts.campaign_id))
      -- Whose agent has left meanwhile is not rung at all: nobody would be there for them.
      AND (reserved_agent_id IS NULL OR EXISTS (SELECT 1 FROM agents r WHERE r.reserved_attempt_id = attempts.id)
           OR agent_first AND EXISTS (
              SELECT 1 FROM assignments s JOIN agents a ON a.id = s.agent_id
              WHERE s.attempt_id = attempts.id AND s.ended_at IS NULL AND a.state = 'assigned' AND a.wanted = ''))
    RETURNING extract(epoch FROM not_after - clock_timestamp())
    """
)
_CLAIM_LEG = text(
    """
    UPDATE agent_legs SET state = 'sending', sent_at = clock_timestamp()
    WHERE ref = :ref AND state = 'ordered' AND not_after > clock_timestamp()
      AND EXISTS (SELECT 1 FROM agents a WHERE a.id = agent_legs.agent_id AND a.state = 'parking')
    RETURNING extract(epoch FROM not_after - clock_timestamp())
    """
)


def place(application: Application, ref: str) -> CallState | None:
    """Place the ordered call `ref`; returns its state afterwards, None when it was not ours to place."""
    if listed_calls.any_kept(application) and (why := listed_calls.take(application, ref)):
        return _not_ours(application, ref, why)
    # Read before the row's time is, so that whatever happens in between counts against us.
    started = application.clock.monotonic()
    with application.transaction() as session:
        known = _find(session, ref)
        if known is None or known.pbx not in application.pbxes:
            return give_up(session, ref)
        left = session.scalar(_CLAIM_LEG if is_leg(ref) else _CLAIM_ATTEMPT, {"ref": ref})
        if left is None:
            return give_up(session, ref)
        call = _find(session, ref)
        order = _order(session, call)
    pbx = application.pbxes[call.pbx]
    deadline = started + min(float(left), SEND_WITHIN)

    def last_look() -> None:
        if application.clock.monotonic() > deadline:
            raise TooLate(f"{ref} was not sent in time")

    sent = _send(application, pbx, order, last_look)
    with application.transaction() as session:
        state = _record(session, ref, sent)
    if sent.away and isinstance(order, AgentFirstOrder):
        note_trouble(application, call.pbx, sent.answer)  # it may have no list to read, at which this would show
    return state


def give_up(session: Session, ref: str) -> CallState | None:
    """Close an order that may no longer be sent: too late, or stopped. None when it is not `ordered`."""
    call = _find(session, ref, lock=True)
    if call is None or call.state != CallState.ORDERED:
        return None
    now = database_now(session)
    call.trouble = "not sent in time" if call.not_after <= now else "stopped before it was sent"
    return _finish(session, call, Signal.EXPIRED, now)


def _not_ours(application: Application, ref: str, why: str) -> CallState | None:
    """Close an order whose request the PBX does not leave to us: nothing has left us."""
    with application.transaction() as session:
        call = _find(session, ref, lock=True)
        if call is None or call.state != CallState.ORDERED:
            return None
        call.trouble = why[:500]
        return _finish(session, call, Signal.EXPIRED, database_now(session))


def _find(session: Session, ref: str, *, lock: bool = False) -> Any:
    table: type[Attempt] | type[AgentLeg] = AgentLeg if is_leg(ref) else Attempt
    query = select(table).where(table.ref == ref).execution_options(populate_existing=True)
    return session.scalars(query.with_for_update(**ROW_LOCK) if lock else query).one_or_none()


_Order = CustomerOrder | AgentOrder | AgentFirstOrder


def _order(session: Session, call: Attempt | AgentLeg) -> _Order:
    if isinstance(call, Attempt) and call.agent_first:
        agent = session.get_one(Agent, call.reserved_agent_id)
        return AgentFirstOrder(call.ref, agent.user_id, agent.extension or agent.user_id, call.number, call.caller_id)
    if isinstance(call, Attempt):
        return CustomerOrder(ref=call.ref, number=call.number, gateway=call.gateway, caller_id=call.caller_id)
    agent = session.get_one(Agent, call.agent_id)
    return AgentOrder(ref=call.ref, user_id=agent.user_id, extension=agent.extension or agent.user_id)


@dataclass(frozen=True, slots=True)
class _Sent:
    """What came of the request. `away`: nobody else's order would fare better."""

    signal: Signal
    answer: str = ""
    request_id: str | None = None
    away: bool = False


def _send(application: Application, pbx: Pbx, order: _Order, last_look: Callable[[], None]) -> _Sent:
    try:
        if isinstance(order, CustomerOrder):
            request_id = pbx.call_customer(order, before_send=last_look)
        elif isinstance(order, AgentOrder):
            request_id = pbx.call_agent(order, before_send=last_look)
        else:
            request_id = listed_calls.start(application, pbx, order, last_look)
    except TooLate as exc:
        return _Sent(Signal.EXPIRED, str(exc))
    except PbxUnavailable as exc:
        return _Sent(Signal.NOT_SENT, exc.why, away=not isinstance(exc, PbxBusy))
    except PbxRefused as exc:
        return _Sent(Signal.REFUSED, exc.why, away=isinstance(exc, PbxLockedOut))
    except (OutcomeUnknown, PbxError) as exc:
        return _Sent(Signal.NO_REPLY, exc.why)
    return _Sent(Signal.ACCEPTED, request_id=request_id)


def _record(session: Session, ref: str, sent: _Sent) -> CallState:
    call = _find(session, ref, lock=True)
    now = database_now(session)
    call.request_id = sent.request_id or call.request_id
    if isinstance(call, Attempt) and call.agent_first:
        # The reply names the call itself, if anything. An event may have come first, and named it.
        call.pbx_call_id = call.pbx_call_id or call.request_id
    if sent.answer:
        call.trouble = sent.answer[:500]
    return _finish(session, call, sent.signal, now)


def _finish(session: Session, call: Attempt | AgentLeg, signal: Signal, now: datetime) -> CallState:
    state = advance(CallState(call.state), signal)
    if state in (CallState.EXPIRED, CallState.REFUSED):
        if isinstance(call, Attempt):
            close_attempt(session, call, state, now=now)
        else:
            close_leg(session, call, state, now=now, reason=call.trouble or "the PBX refused the call")
    else:
        call.state = state
    return state


def overdue(session: Session, *, age: float, limit: int = 100) -> list[str]:
    """References of orders whose queue message seems lost: `ordered` for longer than `age` seconds."""
    found: list[str] = []
    for table in (Attempt, AgentLeg):
        query = select(table.ref).where(
            table.ended_at.is_(None),
            table.state == CallState.ORDERED,
            table.ordered_at < func.clock_timestamp() - text(f"interval '{float(age)} seconds'"),
        )
        found += session.scalars(query.order_by(table.id).limit(limit))
    return found
