"""The call of a request that a PBX keeps: taken there before anybody rings, and started by the PBX itself.

`take` comes before the order is claimed, so that the time an order has is for the call; an agent who has taken the
request in the PBX's own page keeps it, and nobody rings. What was taken for a call that came to nothing is given back.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from campaigns import callbacks
from campaigns.application import Application
from campaigns.db import ROW_LOCK, database_now
from campaigns.listed_requests import READS_KEPT, keeper
from campaigns.models import Agent, Attempt, ListedRequest, ListedTicket
from dialer.calls import CallState
from dialer.errors import OutcomeUnknown, PbxError
from dialer.pbx.base import AgentFirstOrder, Pbx
from dialer.pbx.callback_lists import TakenElsewhere

NEVER_TOLD = "the PBX never told the ticket of this call"


def any_kept(application: Application) -> bool:
    """Whether any PBX of ours keeps lists that we work through: without, nothing here is ever asked."""
    return any(keeper(pbx) is not None for pbx in application.pbxes.values())


def take(application: Application, ref: str) -> str:
    """Take the request of an ordered call in its agent's name; why that cannot be, empty when nothing is in the way.

    Harmless when done twice: for the same agent the PBX has nothing to add.
    """
    with application.transaction() as session:
        attempt = session.scalars(select(Attempt).where(Attempt.ref == ref)).one_or_none()
        if attempt is None or attempt.state != CallState.ORDERED:
            return ""
        row = open_request(session, attempt)
        pbx = keeper(application.pbxes.get(row.pbx)) if row is not None else None
        if row is None or pbx is None:
            return ""
        if row.pbx != attempt.pbx:
            return f"its callback is kept by PBX {row.pbx}, which alone may call it; nobody was called"
        agent = session.get_one(Agent, attempt.reserved_agent_id)
        row_id, request_id, user_id, attempt_id = row.id, row.request_id, agent.user_id, attempt.id
        # Written first: what we die with is given back by whoever reads this.
        row.held_by, row.held_attempt_id = user_id, attempt_id
    why, elsewhere = "", False
    try:
        pbx.take_request(request_id, user_id)
    except PbxError as exc:
        why, elsewhere = exc.why, isinstance(exc, TakenElsewhere)
    if elsewhere:
        with application.transaction() as session:
            _keep_away(session, row_id, READS_KEPT * pbx.callback_poll)
    return why


def _keep_away(session: Session, row_id: int, seconds: float) -> None:
    """Somebody else has it: not ours until a read says otherwise. The call is ended by the caller, and plans anew."""
    row = session.get_one(ListedRequest, row_id, with_for_update=ROW_LOCK, populate_existing=True)
    row.held_by, row.held_attempt_id, row.taken_by = "", None, row.taken_by or "#"
    until = database_now(session) + timedelta(seconds=seconds)
    if row.contact_id is None:
        return
    contact = callbacks.locked_contact(session, row.contact_id)
    callback = callbacks.open_of(session, contact.id, lock=True)
    if callback is not None:
        callbacks.keep(callback, contact, callbacks.ELSEWHERE, callbacks.TAKEN, until)


def start(application: Application, pbx: Pbx, order: AgentFirstOrder, before_send: Callable[[], None]) -> str:
    """Order the call: by the PBX's own start where it is of a request that was taken for it, else as any other."""
    own = keeper(pbx)
    held = _held(application, order.ref) if own is not None else None
    if own is None or held is None:
        return pbx.call_for_agent(order, before_send=before_send)

    def ticket(ticket_id: str) -> None:
        with application.transaction() as session:
            _note(session, held, order.user_id, ticket_id=ticket_id)

    def sent() -> None:
        with application.transaction() as session:
            _note(session, held, order.user_id, ticket_id="")

    try:
        call_id = own.start_request(order, held.request_id, ticket=ticket, before_send=before_send)
    except OutcomeUnknown:
        sent()  # it may be called: there may be a ticket of it
        raise
    sent()
    return call_id


class _Held:
    """A request that was taken for one call."""

    def __init__(self, row: ListedRequest, attempt: Attempt) -> None:
        self.row_id, self.request_id, self.pbx, self.attempt_id = row.id, row.request_id, row.pbx, attempt.id


def _held(application: Application, ref: str) -> _Held | None:
    with application.transaction() as session:
        query = (
            select(ListedRequest, Attempt)
            .join(Attempt, Attempt.id == ListedRequest.held_attempt_id)
            .where(Attempt.ref == ref)
        )
        found = session.execute(query).first()
        return _Held(found[0], found[1]) if found is not None else None


def _note(session: Session, held: _Held, user_id: str, *, ticket_id: str) -> None:
    """Write down that there is a ticket; its id when that is known."""
    now = database_now(session)
    values = {
        "pbx": held.pbx, "request_id": held.row_id, "attempt_id": held.attempt_id, "user_id": user_id,
        "ticket_id": ticket_id, "made_at": now, "due_at": now,
    }  # fmt: skip
    written = insert(ListedTicket).values(**values)
    if ticket_id:
        written = written.on_conflict_do_update(index_elements=["attempt_id"], set_={"ticket_id": ticket_id})
        session.execute(written)
    else:
        session.execute(written.on_conflict_do_nothing(index_elements=["attempt_id"]))


def open_request(session: Session, attempt: Attempt) -> ListedRequest | None:
    """The open request the contact of a call stands for."""
    query = select(ListedRequest).where(ListedRequest.contact_id == attempt.contact_id, ListedRequest.gone_at.is_(None))
    return session.scalars(query.with_for_update(**ROW_LOCK)).one_or_none()


def to_release(session: Session, pbx: str) -> list[ListedRequest]:
    """Requests that were taken for calls which are over and have no ticket that could be written."""
    ticketed = ListedTicket.state != "given_up"
    query = (
        select(ListedRequest)
        .join(Attempt, Attempt.id == ListedRequest.held_attempt_id)
        .where(ListedRequest.pbx == pbx, Attempt.ended_at.is_not(None))
        .where(~select(ListedTicket.id).where(ListedTicket.attempt_id == Attempt.id, ticketed).exists())
        .order_by(ListedRequest.id)
    )
    return list(session.scalars(query))


def release(application: Application, name: str) -> int:
    """Give back what was taken for nothing; how many. What the PBX does not take is tried again at the next look."""
    pbx = keeper(application.pbxes.get(name))
    if pbx is None:
        return 0
    with application.transaction() as session:
        waiting = [(row.id, row.request_id, row.held_by, row.held_attempt_id) for row in to_release(session, name)]
    done = 0
    for row_id, request_id, user_id, attempt_id in waiting:
        try:
            pbx.release_request(request_id, user_id)
        except PbxError:
            continue
        with application.transaction() as session:
            done += let_go(session, row_id, attempt_id)
    return done


def let_go(session: Session, row_id: int, attempt_id: int | None, *, written_at: datetime | None = None) -> bool:
    """The request is no longer taken for this call; False when it is taken for another by now."""
    row = session.get_one(ListedRequest, row_id, with_for_update=ROW_LOCK, populate_existing=True)
    row.written_at = written_at or row.written_at
    if row.held_attempt_id != attempt_id:
        return False
    row.held_by, row.held_attempt_id = "", None
    return True
