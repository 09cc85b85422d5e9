"""An agent starts a callback they have taken: put on the line first, then the person is called on the number chosen.

The gate decides as for any other call. Each step is a transaction of its own.
"""

import contextlib
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from campaigns import callback_taking, callback_tickets, callbacks, dialling, gate, reserving
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.dialling import Dialled
from campaigns.gate import Author
from campaigns.models import Agent, Attempt, Callback, Campaign, Contact
from dialer.errors import BadInput, DialerError, RefusedByRule, TryAgainLater
from dialer.numbers import Number, normalise


def start(application: Application, callback_id: int, *, agent_id: int | None, number: str = "", who: str) -> Dialled:
    """Order the call of a callback for the agent who has taken it; with `agent_id` that agent takes it now.

    `number`: `phone` or `mobile`, or one of the two itself; the one whose turn it is when empty. RefusedByRule is the
    sentence of the first rule that says no; TryAgainLater when agent, line or PBX is not ready. What was taken only
    to be started is given back then, at once: nobody is kept from it by a call that is not made.
    """
    timing = application.settings.timing
    with application.transaction() as session:
        now = database_now(session)
        callback, contact = callbacks.locked(session, callback_id)
        campaign = session.get_one(Campaign, callback.campaign_id)
        _number(contact, number, campaign)  # said before a phone rings for nothing
        taken_here = callback.taken_by is None
        if agent_id is not None:
            callback_taking.take(
                session, callback_id, session.get_one(Agent, agent_id), now=now, who=who, timing=timing
            )
        if callback.taken_by is None:
            raise BadInput(
                f"callback {callback_id} is not taken: `dialer callbacks take {callback_id} AGENT` comes first, "
                "or name the agent"
            )
        taker, campaign_id = callback.taken_by, callback.campaign_id
    try:
        dialled = _order(application, callback_id, taker, campaign_id, number=number, who=who)
    except DialerError as exc:
        if taken_here:
            _give_back(application, callback_id, taker, who=who, why=f"not started: {exc}")
        raise
    application.doorbell.place(dialled.ref)
    return dialled


def _order(
    application: Application, callback_id: int, taker: int, campaign_id: int, *, number: str, who: str
) -> Dialled:
    timing = application.settings.timing
    dialling.put_on_the_line(application, taker, campaign_id)
    with application.transaction() as session:
        now = database_now(session)
        campaign = session.get_one(Campaign, campaign_id)
        agent, first = dialling.on_the_phone(application, session, taker)
        if agent.reserved_for not in ("", reserving.CALLBACK):
            raise TryAgainLater(f"agent {dialling.called(agent)} is kept for a call or an offer: that one comes first")
        lines = dialling.free_lines(application, session, campaign, now, agent.pbx)
        callback, contact = _mine(session, callback_id, agent)
        chosen = _number(contact, number, campaign)
        contact.next_number = chosen if chosen != contact.phone else None
        if contact.next_at == callback.due_at:
            contact.next_at = min(now, callback.due_at)  # it waits for the promise alone, and the agent knows better
        made = gate.order_one(
            session, campaign, contact, lines, Author(who), now=now, timing=timing, agent=agent, agent_first=first
        )
        if not isinstance(made, Attempt):
            raise RefusedByRule(dialling.sentence(made))
        callback_tickets.started(session, callback, made, agent, now=now)
        callbacks.keep(callback, contact, agent.id, callbacks.TAKEN, _longer(callback, now, timing.callback_take))
        callbacks.record(session, callback, "started", now=now, who=who, agent=agent, attempt=made.id)
        return dialling.told(made, agent, campaign)


def _give_back(application: Application, callback_id: int, taker: int, *, who: str, why: str) -> None:
    with application.transaction() as session, contextlib.suppress(RefusedByRule):  # it ended meanwhile
        callback, contact = callbacks.locked(session, callback_id)
        if callback.taken_by == taker and contact.state != "live":
            now = database_now(session)
            callback_taking.give_back(session, callback, contact, now=now, who=who, why=why)


def _mine(session: Session, callback_id: int, agent: Agent) -> tuple[Callback, Contact]:
    callback, contact = callbacks.locked(session, callback_id)
    if callback.taken_by != agent.id:
        raise TryAgainLater(f"callback {callback_id} was given back meanwhile: take it again")
    if contact.state != "open":
        raise RefusedByRule(f"callback {callback_id} is being called, or offered to an agent, now")
    return callback, contact


def _number(contact: Contact, given: str, campaign: Campaign) -> str:
    """Return the number that is meant; BadInput names the contact's."""
    word = given.strip().lower()
    if not word:
        return contact.next_number or contact.phone
    if word == "phone":
        return contact.phone
    if word == "mobile" and contact.phone2:
        return contact.phone2
    read = normalise(given, campaign.country)
    has = [number for number in (contact.phone, contact.phone2) if number]
    if isinstance(read, Number) and read.e164 in has:
        return read.e164
    raise BadInput(f"{given!r} is no number of this contact: it has {' and '.join(has)} (phone, mobile)")


def _longer(callback: Callback, now: datetime, limit: float) -> datetime:
    """Who calls may finish: the take's time begins anew. It is not ended while the call runs."""
    return max(callback.held_until or now, now + timedelta(seconds=limit))
