"""What we ask of the PBX about a call, each thing once.

A command is a row, written in the transaction that decided it, claimed by compare-and-set, committed as
`sending`, and only then sent. A worker that dies before the claim leaves it `due` for the second look; one that
dies after it leaves `sending`, which is never sent again: what came of it is read from the call's own events.
"""

from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy import Executable, bindparam, case, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from campaigns.application import Application
from campaigns.models import AgentLeg, Attempt, Command
from dialer.errors import OutcomeUnknown, PbxError, PbxRefused, PbxUnavailable
from dialer.pbx.base import Pbx, WaitingLeg

# Not sent within this long after it fell due: the moment has passed (a join would surprise both sides).
STALE = {"join": timedelta(seconds=4), "message": timedelta(seconds=30), "hang_up": timedelta(minutes=5)}

# A call that lives on after so long did not hear of its end.
HANG_UP_AGAIN = timedelta(seconds=5)


def order_join(
    session: Session, attempt: Attempt, agent: WaitingLeg, user_id: str, *, assignment_id: int, now: datetime
) -> int | None:
    """Order the join of a waiting customer and a parked agent; None when it was ordered before."""
    customer = WaitingLeg(attempt.pbx_call_id or "", attempt.second_leg_id or "")
    arguments: dict[str, object] = {"customer": asdict(customer), "agent": asdict(agent), "user_id": user_id}
    return _order(session, attempt, "join", arguments, now=now, about=assignment_id)


def order_message(session: Session, attempt: Attempt, *, now: datetime) -> int | None:
    """Order the recorded message for a customer nobody could take."""
    customer = WaitingLeg(attempt.pbx_call_id or "", attempt.second_leg_id or "")
    return _order(session, attempt, "message", {"customer": asdict(customer)}, now=now)


def order_hang_up(session: Session, call: Attempt | AgentLeg, *, now: datetime) -> int | None:
    """Order the end of a call; None when we do not know the PBX's id for it, or ordered it a moment ago.

    The one command that may be sent again: ending what has ended does nothing.
    """
    if not call.pbx_call_id:
        return None
    earlier = session.execute(
        select(func.count(), func.max(Command.due_at)).where(Command.ref == call.ref, Command.kind == "hang_up")
    ).one()
    times, last = earlier
    if last is not None and now - last < HANG_UP_AGAIN:
        return None
    return _order(session, call, "hang_up", {"call_id": call.pbx_call_id}, now=now, about=times)


def _order(
    session: Session,
    call: Attempt | AgentLeg,
    kind: str,
    arguments: dict[str, object],
    *,
    now: datetime,
    about: int = 0,
) -> int | None:
    asked = {"ref": call.ref, "kind": kind, "about": about, "pbx": call.pbx, "arguments": arguments, "due_at": now}
    return session.scalar(_ORDER, asked)


def withdraw_join(session: Session, assignment_id: int, *, now: datetime) -> bool:
    """Take back the join of an assignment nobody has begun to send; whether there was one to take back."""
    withdrawn = session.scalar(
        update(Command)
        .where(Command.kind == "join", Command.about == assignment_id, Command.state == "due")
        .values(state="not_sent", answer="withdrawn", done_at=now)
        .returning(Command.id)
    )
    return withdrawn is not None


def withdraw_hang_up(session: Session, ref: str, *, now: datetime) -> bool:
    """Take back the end of a call if nobody has begun to send it; whether none is on its way now."""
    own = (Command.ref == ref, Command.kind == "hang_up")
    session.execute(
        update(Command).where(*own, Command.state == "due").values(state="not_sent", answer="withdrawn", done_at=now)
    )
    # Refused or never sent, it ended nothing; of one whose fate is unknown the worse is believed.
    under_way = select(Command.id).where(*own, Command.state.in_(("sending", "accepted", "unknown")))
    return session.scalar(under_way.limit(1)) is None


def due_hang_ups(session: Session, ref: str) -> list[int]:
    """Return the hang-ups of one call that nobody has begun to send."""
    query = select(Command.id).where(Command.ref == ref, Command.kind == "hang_up", Command.state == "due")
    return list(session.scalars(query))


def join_of(session: Session, ref: str, assignment_id: int) -> Command | None:
    """The join ordered for this assignment, as it stands in the database now."""
    query = select(Command).where(Command.ref == ref, Command.kind == "join", Command.about == assignment_id)
    return session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def due(session: Session, now: datetime, *, limit: int = 50) -> list[int]:
    """Return the commands somebody should have sent by now."""
    return list(
        session.scalars(
            select(Command.id)
            .where(Command.state == "due", Command.due_at <= now)
            .order_by(Command.due_at)
            .limit(limit)
        )
    )


def _claiming() -> Executable:
    age = func.clock_timestamp() - Command.due_at
    overdue = or_(*((Command.kind == kind) & (age > limit) for kind, limit in STALE.items()))
    claim = update(Command).where(Command.id == bindparam("command_id"), Command.state == "due")
    claim = claim.values(
        state=case((overdue, "not_sent"), else_="sending"),
        answer=case((overdue, "too late to be of use"), else_=""),
        sent_at=func.clock_timestamp(),
        done_at=case((overdue, func.clock_timestamp())),
    )
    return claim.returning(Command).execution_options(synchronize_session=False)


# Built once: building one takes longer than asking it.
_CLAIM = _claiming()
_ORDER = (
    insert(Command)
    .values({name: bindparam(name) for name in ("ref", "kind", "about", "pbx", "arguments", "due_at")})
    .on_conflict_do_nothing(index_elements=["ref", "kind", "about"])
    .returning(Command.id)
)
_ANSWER = (
    update(Command)
    .where(Command.id == bindparam("command_id"))
    .values(
        state=bindparam("told"),
        answer=bindparam("why"),
        request_id=bindparam("request"),
        done_at=func.clock_timestamp(),
    )
    .execution_options(synchronize_session=False)
)


def perform(application: Application, command_id: int) -> Command | None:
    """Claim a command, send it, and write down what the PBX said; None when somebody else has it."""
    command = _claim(application, command_id)
    if command is None or command.state == "not_sent":
        return command
    told = _ask(application, command)
    with application.transaction() as session:
        if command.kind == "join":  # the attempt before the command, as everybody who locks both does
            first = update(Attempt).where(Attempt.ref == command.ref, Attempt.join_sent_at.is_(None))
            session.execute(first.values(join_sent_at=command.sent_at))
        session.execute(_ANSWER, told)
    return command


def send(application: Application, command: Command) -> Command:
    """Send a join whose claim is on disk and noted with its attempt, and write down what the PBX said.

    One round trip, and no lock but the command's own: whoever sends should be free for the next. Nobody else may have
    the claim.
    """
    told = _ask(application, command)
    with application.at_once() as session:
        session.execute(_ANSWER, told)
    return command


def _ask(application: Application, command: Command) -> dict[str, object]:
    """Ask the PBX, for better or worse."""
    pbx = application.pbxes.get(command.pbx)
    state, answer, request_id = _send(pbx, command) if pbx else ("not_sent", "not in the settings any more", None)
    command.state, command.answer = state, answer
    return {"command_id": command.id, "told": state, "why": answer[:500], "request": request_id}


def _claim(application: Application, command_id: int) -> Command | None:
    """Mark a command as on its way, on disk before it is sent; None when somebody else has done so.

    In one round trip, because somebody waits on the line for it.
    """
    with application.at_once() as session:
        claimed: Command | None = session.scalar(_CLAIM, {"command_id": command_id})
        return claimed


def _send(pbx: Pbx, command: Command) -> tuple[str, str, str | None]:
    try:
        return "accepted", "", _dispatch(pbx, command)
    except PbxRefused as exc:
        return "refused", exc.why, None
    except PbxUnavailable as exc:
        return "not_sent", exc.why, None
    except (OutcomeUnknown, PbxError) as exc:
        return "unknown", exc.why, None


def _dispatch(pbx: Pbx, command: Command) -> str:
    given = command.arguments
    if command.kind == "join":
        return pbx.join(WaitingLeg(**given["customer"]), WaitingLeg(**given["agent"]), given["user_id"])
    if command.kind == "message":
        return pbx.play_message(WaitingLeg(**given["customer"]))
    return pbx.hang_up(given["call_id"])
