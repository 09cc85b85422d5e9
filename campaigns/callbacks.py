"""Promised callbacks: made, moved, kept or lost. One row for each promise, whatever becomes of it.

The promise is a row with an owner, a due time, a fallback and a deadline, and never a delayed message (I13). What the
gate must know (when, and for whose agent) stands on the contact's own row, which it locks. The caller owns the
transaction. Locks are taken agent, contact, callback; calls that end hold their attempt's before.
"""

from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import callback_promises, do_not_call, ledger, periods
from campaigns.callback_dates import Calendar, WantedPeriod, When, campaign_zone, wanted, zone_of_number
from campaigns.db import MOST_ID, ROW_LOCK
from campaigns.models import Agent, Attempt, Callback, Campaign, CampaignAgent, Contact, Offer
from dialer import callbacks as rules
from dialer.callbacks import Result
from dialer.errors import BadInput, NotFound, RefusedByRule
from dialer.retries import DO_NOT_CALL
from dialer.settings import TimingSettings
from dialer.windows import Hours

OWNER, TAKEN = "owner", "taken"
ELSEWHERE = 0  # in `kept_for`: somebody has it in the PBX's own page, and nobody here may have it meanwhile
UNDONE = "import undone"
# Contacts closed so owe nobody a call: the person asked for none, or the list was a mistake.
_NOT_WANTED = (DO_NOT_CALL, UNDONE)


# Promising -----------------------------------------------------------------------------------------------


def calendar_of(session: Session, campaign: Campaign, now: datetime) -> Calendar:
    """Return the calendar of a campaign's callbacks, by its own clock."""
    zone, _ = campaign_zone(campaign.time_zone, campaign.country, now)
    by_name, default = periods.wanted(session, campaign.id)
    return Calendar(zone, now, Hours.parse(campaign.hours), by_name, default)


def where_it_is(calendar: Calendar, number: str) -> Calendar:
    """Return the same calendar by the clock where a phone is."""
    return calendar.at(zone_of_number(number, calendar.zone, calendar.now))


def when(
    session: Session,
    campaign: Campaign,
    contact: Contact,
    *,
    due: date | datetime | None = None,
    at: time | None = None,
    period: str = "",
    until: time | None = None,
    number: str = "",
    timing: TimingSettings,
    now: datetime,
) -> When:
    """Work out when a callback to this contact is due and when it breaks; BadInput when it could not be kept.

    `due`: a day (tomorrow when not given), or a day and a time; with a zone of its own, or by the clock where the phone
    is. `at`: the time, apart from its day. `number`: which of the contact's is to be called; the one whose turn it is
    when empty.
    """
    number = number or contact.next_number or contact.phone
    calendar = where_it_is(calendar_of(session, campaign, now), number)
    grace = timedelta(seconds=timing.callback_grace)
    if isinstance(due, datetime):
        if at is not None:
            raise BadInput("the time of day is given twice: with the day, and by itself")
        local = due.astimezone(calendar.zone) if due.tzinfo is not None else due
        due, at = local.date(), local.time().replace(tzinfo=None)
    found = wanted(calendar, day=due, period=period, at=at, until=until, grace=grace)
    begins = max(found.due_at, now)
    callback_promises.first_moment(session, campaign, contact, number, begins, found.deadline_at, calendar.zone)
    return found


def promise(
    session: Session,
    campaign: Campaign,
    contact: Contact,
    when: When,
    *,
    owner: Agent | None = None,
    fallback: float | None = None,
    timing: TimingSettings,
    now: datetime,
    who: str,
    why: str = "",
    anew: bool = True,
) -> Callback:
    """Promise to call a contact, whose row the caller has locked; a promise that is open ends, as moved.

    `owner`: the agent who is to call; after `fallback` seconds (the settings' by default) one who is away loses it to
    anybody. May be made while an agent speaks with the contact. `anew`: the attempts are counted from now on, as of
    somebody who asked for the call. RefusedByRule when the person asked not to be called.
    """
    _may_be_promised(session, campaign, contact, now)
    if owner is not None:
        must_work_for(session, owner, campaign)
    earlier = open_of(session, contact.id, lock=True)
    if earlier is not None:
        if contact.state == "live":
            _rings_for(session, earlier, contact)
        end(session, earlier, contact, now=now, who=who, why=why or "another time was agreed", moved=True)
    lead = timedelta(seconds=timing.callback_alarm)
    made = Callback(
        campaign_id=campaign.id,
        contact_id=contact.id,
        due_date=when.day,
        period_id=when.period_id,
        period=when.period,
        zone=when.zone,
        due_at=when.due_at,
        deadline_at=when.deadline_at,
        alarm_at=rules.alarm_at(when.due_at, when.deadline_at, lead),
        owner_id=owner.id if owner is not None else None,
        fallback=timing.callback_fallback if fallback is None else fallback,
        made_at=now,
        made_by=who,
        result="",
    )
    session.add(made)
    session.flush()
    contact.due_date, contact.period_id = when.day, when.period_id
    if anew:
        contact.promised_at = now
    if contact.state != "live":  # else the call in hand is ended first (`after_call`)
        contact.state, contact.next_at, contact.closed_because = "open", when.due_at, ""
    hold_for_owner(made, contact)
    record(session, made, "promised", now=now, who=who, why=why, owner=owner)
    return made


def guarantee(
    session: Session, campaign: Campaign, contact: Contact, pack: str, *, now: datetime, timing: TimingSettings
) -> Callback:
    """Have a contact, whose row is locked, called with an agent kept for it: a rule pack asks for one.

    They did not ask for the call, so the attempts before it still count.
    """
    calendar = where_it_is(calendar_of(session, campaign, now), contact.next_number or contact.phone)
    day = calendar.today
    ends = calendar.ends(day, WantedPeriod(None, "", time(0), None))
    ends = max(ends, now + timedelta(seconds=timing.callback_grace))
    when = When(day, None, "", calendar.zone.key, now, ends)
    why = f"the last call to the number was abandoned, and {pack} asks that an agent is kept for the next"
    return promise(session, campaign, contact, when, timing=timing, now=now, who="dialer", why=why, anew=False)


def _rings_for(session: Session, callback: Callback, contact: Contact) -> None:
    """Another time is agreed in the very call that keeps a promise: the phone rang for it, and it ends as kept."""
    query = select(Attempt).where(Attempt.contact_id == contact.id, Attempt.ended_at.is_(None))
    call = session.scalars(query).one_or_none()
    if call is not None and call.ordered_at >= callback.made_at:
        called(callback, call, call.ringing_at or call.answered_at)


def called(callback: Callback, attempt: Attempt, rang_at: datetime | None) -> None:
    """Write down that the phone rang for a promise; too early is not when it was promised, unless they were met."""
    if rang_at is None:
        return
    if callback.called_at is None and (rang_at >= callback.due_at or attempt.joined_at is not None):
        callback.called_at = rang_at
    if attempt.joined_at is not None:
        callback.reached_at = callback.reached_at or attempt.joined_at


def _may_be_promised(session: Session, campaign: Campaign, contact: Contact, now: datetime) -> None:
    number = contact.next_number or contact.phone
    if number in do_not_call.entries(session, [number], campaign.id):
        raise RefusedByRule(
            "the number is on the do-not-call list: `dialer dnc remove` takes it off, with the reason why they want it"
        )
    if contact.closed_because == UNDONE:
        raise RefusedByRule("the list of this contact was taken back")
    if campaign.state == "archived":
        raise BadInput(f"campaign {campaign.name} is archived: it calls nobody any more")
    if contact.state == "live" and session.scalar(
        select(Offer.id).where(Offer.contact_id == contact.id, Offer.state == "open", Offer.until > now)
    ):
        raise RefusedByRule("the contact is offered to an agent now: promise the callback when that is answered")


# Whose it is ---------------------------------------------------------------------------------------------


def hold_for_owner(callback: Callback, contact: Contact) -> None:
    """Keep the contact for the callback's owner for as long as the promise allows; for nobody when it has none.

    Passes by itself: whatever becomes of us, from `kept_until` on the callback is anybody's.
    """
    if callback.owner_id is None:
        let_go(callback, contact)
    elif callback.called_at is None:
        fallback = timedelta(seconds=callback.fallback)
        until = rules.owner_keeps_until(callback.due_at, callback.alarm_at, fallback)
        keep(callback, contact, callback.owner_id, OWNER, until)
    else:  # tried again later: the owner first, then anybody
        again = max(contact.next_at or callback.due_at, callback.due_at)
        keep(callback, contact, callback.owner_id, OWNER, again + timedelta(seconds=callback.fallback))


def keep(callback: Callback, contact: Contact, agent_id: int, how: str, until: datetime) -> None:
    """Let only this agent have the contact until then."""
    contact.kept_for, contact.kept_as, contact.kept_until = agent_id, how, until
    callback.held_until = until


def let_go(callback: Callback, contact: Contact) -> None:
    """Let anybody have the contact."""
    contact.kept_for, contact.kept_as, contact.kept_until = None, "", None
    callback.held_until = None


def whose(contact: Contact, now: datetime) -> int | None:
    """Return the agent whose alone the contact is now; None when it is anybody's."""
    return contact.kept_for if contact.kept_until is not None and contact.kept_until > now else None


# The end -------------------------------------------------------------------------------------------------


def end(
    session: Session,
    callback: Callback,
    contact: Contact,
    *,
    now: datetime,
    who: str,
    why: str,
    moved: bool = False,
    still_wanted: bool = True,
) -> None:
    """End a promise, both rows being locked, and say what became of it. The contact is kept for nobody any more."""
    outcome = rules.result(callback.called_at, callback.deadline_at, now=now, wanted=still_wanted, moved=moved)
    callback.result, callback.closed_at, callback.closed_by, callback.why = str(outcome), now, who, why[:500]
    if outcome is Result.LOST:
        callback.broke_at = callback.broke_at or now
    taken_by = session.get(Agent, callback.taken_by) if callback.taken_by is not None else None
    let_go(callback, contact)
    record(session, callback, str(outcome), now=now, who=who, why=why, agent=taken_by)
    session.flush()  # another promise to the contact may follow, and only one may be open


def end_with_contact(session: Session, callback: Callback, contact: Contact, *, now: datetime, who: str) -> None:
    """The contact was closed: the promise ends with it."""
    because = contact.closed_because
    end(session, callback, contact, now=now, who=who, why=because, still_wanted=because not in _NOT_WANTED)


# Finding -------------------------------------------------------------------------------------------------


def open_of(session: Session, contact_id: int, *, lock: bool = False) -> Callback | None:
    """Return the contact's open promise."""
    query = select(Callback).where(Callback.contact_id == contact_id, Callback.closed_at.is_(None))
    if lock:
        query = query.with_for_update(**ROW_LOCK)
    return session.scalars(query.execution_options(populate_existing=lock)).one_or_none()


def locked(session: Session, callback_id: int) -> tuple[Callback, Contact]:
    """Return an open promise and its contact, both locked; NotFound when there is none, RefusedByRule when it ended."""
    found = session.get(Callback, callback_id) if callback_id <= MOST_ID else None
    if found is None:
        raise NotFound(f"there is no callback {callback_id}: `dialer callbacks list` shows them")
    contact = locked_contact(session, found.contact_id)
    callback = session.get_one(Callback, callback_id, with_for_update=ROW_LOCK, populate_existing=True)
    if callback.closed_at is not None:
        when = clock(callback.closed_at, callback.zone)
        why = f": {callback.why}" if callback.why else ""
        raise RefusedByRule(f"callback {callback_id} ended at {when}, {callback.result}{why}")
    return callback, contact


def locked_contact(session: Session, contact_id: int) -> Contact:
    """Return the contact with its row locked."""
    return session.get_one(Contact, contact_id, with_for_update=ROW_LOCK, populate_existing=True)


def must_work_for(session: Session, agent: Agent, campaign: Campaign) -> None:
    """Raise BadInput unless the agent works for the campaign."""
    member = select(CampaignAgent.agent_id).where(
        CampaignAgent.campaign_id == campaign.id, CampaignAgent.agent_id == agent.id
    )
    if session.scalar(member) is None:
        raise BadInput(
            f"agent {agent.name or agent.user_id} does not work for campaign {campaign.name}: "
            "`dialer agent assign` says who"
        )


def named(session: Session, agent_id: int | None) -> str:
    """Return an agent as people call them."""
    if agent_id == ELSEWHERE:
        return "an agent in the PBX's own page"
    agent = session.get(Agent, agent_id) if agent_id is not None else None
    return "nobody" if agent is None else agent.name or f"user {agent.user_id}"


def clock(at: datetime | None, zone: str) -> str:
    """Return a moment by the clock of the promise."""
    return "-" if at is None else f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} ({zone})"


def record(
    session: Session,
    callback: Callback,
    verb: str,
    *,
    now: datetime,
    who: str,
    why: str = "",
    agent: Agent | None = None,
    owner: Agent | None = None,
    **more: Any,
) -> None:
    """Write into the ledger what happened to a promise."""
    if owner is not None:
        more["owner"] = owner.id
    ledger.record(
        session,
        at=now,
        kind="callback",
        who=who,
        campaign_id=callback.campaign_id,
        agent_id=agent.id if agent is not None else None,
        why=why,
        verb=verb,
        callback=callback.id,
        contact=callback.contact_id,
        due=callback.due_at.isoformat(),
        deadline=callback.deadline_at.isoformat(),
        **more,
    )
