"""A promised callback taken by an agent who will call, and given back. The caller owns the transaction."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from campaigns import callbacks
from campaigns.models import Agent, Callback, Campaign, Contact
from dialer import callbacks as rules
from dialer.errors import RefusedByRule
from dialer.settings import TimingSettings


def take(
    session: Session, callback_id: int, agent: Agent, *, now: datetime, who: str, timing: TimingSettings
) -> Callback:
    """Give a callback to an agent who will call: nobody else is given it, until they are done or the time is over."""
    callback, contact = callbacks.locked(session, callback_id)
    campaign = session.get_one(Campaign, callback.campaign_id)
    callbacks.must_work_for(session, agent, campaign)
    if callback.taken_by == agent.id:
        return callback
    if callback.taken_by is not None:
        taker, until = callbacks.named(session, callback.taken_by), callbacks.clock(callback.held_until, callback.zone)
        raise RefusedByRule(f"callback {callback.id} is taken by {taker} until {until}")
    if contact.state == "live":
        raise RefusedByRule(f"callback {callback.id} is being called, or offered to an agent, now")
    if callbacks.whose(contact, now) == callbacks.ELSEWHERE:
        raise RefusedByRule(f"callback {callback.id} is taken by {callbacks.named(session, callbacks.ELSEWHERE)}")
    if callback.owner_id not in (None, agent.id) and contact.kept_until is not None and contact.kept_until > now:
        owner, until = callbacks.named(session, callback.owner_id), callbacks.clock(contact.kept_until, callback.zone)
        raise RefusedByRule(
            f"callback {callback.id} is {owner}'s until {until}: `dialer callbacks release {callback.id} --to-anyone` "
            "gives it to everybody"
        )
    callback.taken_by, callback.taken_at = agent.id, now
    limit = timedelta(seconds=timing.callback_take)
    callbacks.keep(callback, contact, agent.id, callbacks.TAKEN, rules.taken_until(now, callback.deadline_at, limit))
    callbacks.record(session, callback, "taken", now=now, who=who, agent=agent)
    return callback


def release(
    session: Session,
    callback_id: int,
    *,
    to_anyone: bool = False,
    now: datetime,
    who: str,
    why: str = "",
) -> Callback:
    """Give a taken callback back. `to_anyone`: its owner loses it as well."""
    callback, contact = callbacks.locked(session, callback_id)
    if callback.taken_by is None and not (to_anyone and callback.owner_id is not None):
        raise RefusedByRule(f"callback {callback.id} is not taken: there is nothing to give back")
    give_back(session, callback, contact, now=now, who=who, why=why, to_anyone=to_anyone)
    return callback


def give_back(
    session: Session,
    callback: Callback,
    contact: Contact,
    *,
    now: datetime,
    who: str,
    why: str,
    to_anyone: bool = False,
) -> None:
    """End a take, the rows being locked; an owner has it again while the promise allows."""
    agent_id, callback.taken_by, callback.taken_at = callback.taken_by, None, None
    if to_anyone:
        callback.owner_id = None
    callbacks.hold_for_owner(callback, contact)
    agent = session.get(Agent, agent_id) if agent_id is not None else None
    callbacks.record(session, callback, "released", now=now, who=who, why=why, agent=agent, to_anyone=to_anyone)
