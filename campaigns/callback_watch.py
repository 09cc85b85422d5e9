"""What time does to promised callbacks: given back, given to anybody, reported before they break, and when they broke.

Everything here is found in rows, again after every restart, and harmless when two schedulers do it at once: each row is
locked, passed over when somebody has it, and tested again. The caller owns the transaction.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, exists, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from campaigns import callback_taking, callbacks, ledger, why
from campaigns.agent_states import AWAY
from campaigns.callback_dates import Calendar, WantedPeriod
from campaigns.db import ROW_LOCK_OR_SKIP
from campaigns.models import Agent, Attempt, Callback, Campaign, CampaignAgent, Contact, Period
from dialer import callbacks as rules
from dialer.settings import TimingSettings

# At most so many of each kind at one look, whose rows stay locked meanwhile (an alarm takes 6 ms): the next is soon.
MOST_AT_ONCE = 50
# An owner who is at work when the fallback comes has the callback so much longer, again and again up to its alarm.
PATIENCE = timedelta(seconds=30)
_SOON = timedelta(seconds=5)  # so that an owner's time is extended before it is over


@dataclass(slots=True)
class Watched:
    """What one look did."""

    given_back: int = 0
    to_anyone: int = 0
    alarmed: int = 0
    broken: int = 0
    mended: int = 0

    def as_json(self) -> dict[str, int]:
        """Return the counts for a log."""
        return asdict(self)


def watch(session: Session, *, now: datetime, timing: TimingSettings) -> Watched:
    """Look once: through small indexes, so that it costs nothing while nothing is to be done."""
    done = Watched()
    for callback, contact in _locked(session, _held(now)):
        if callback.taken_by is not None:
            done.given_back += _give_back(session, callback, contact, now)
        elif callback.owner_id is not None and callback.held_until is not None:
            done.to_anyone += _owner(session, callback, contact, now)
    uncalled = Callback.closed_at.is_(None), Callback.called_at.is_(None)
    broken = select(Callback.id, Callback.contact_id).where(
        *uncalled, Callback.broke_at.is_(None), Callback.deadline_at <= now
    )
    alarming = select(Callback.id, Callback.contact_id).where(
        *uncalled, Callback.alarmed_at.is_(None), Callback.alarm_at <= now, Callback.deadline_at > now
    )
    for callback, contact in _locked(session, alarming.order_by(Callback.alarm_at)):
        done.alarmed += _report(session, callback, contact, now, timing, broken=False)
    for callback, contact in _locked(session, broken.order_by(Callback.deadline_at)):
        done.broken += _report(session, callback, contact, now, timing, broken=True)
    return done


def _held(now: datetime) -> Select[int, int]:
    out = exists().where(Agent.id == Callback.taken_by, Agent.state == "out")
    return (
        select(Callback.id, Callback.contact_id)
        .where(Callback.closed_at.is_(None), Callback.held_until.is_not(None))
        .where((Callback.held_until <= now + _SOON) | out)
        .order_by(Callback.held_until)
    )


def _locked(session: Session, query: Select[int, int]) -> Sequence[tuple[Callback, Contact]]:
    """Lock what a query found, contact before callback; those somebody else has come up again at the next look."""
    found = []
    for row in session.execute(query.limit(MOST_AT_ONCE)).all():
        contact = session.get(Contact, row.contact_id, with_for_update=ROW_LOCK_OR_SKIP, populate_existing=True)
        if contact is None:
            continue
        callback = session.get(Callback, row.id, with_for_update=ROW_LOCK_OR_SKIP, populate_existing=True)
        if callback is not None and callback.closed_at is None:
            found.append((callback, contact))
    return found


# Whose it is ---------------------------------------------------------------------------------------------


def _give_back(session: Session, callback: Callback, contact: Contact, now: datetime) -> int:
    """End a take whose time is over, or whose agent went home; not while the call runs."""
    if contact.state == "live":
        return 0
    agent = session.get(Agent, callback.taken_by, populate_existing=True)
    if agent is not None and agent.state == "out" and agent.since > (callback.taken_at or now):
        told = "the agent went home"
    elif callback.held_until is not None and callback.held_until <= now:
        told = "not done in time"
    else:
        return 0
    callback_taking.give_back(session, callback, contact, now=now, who="dialer", why=told)
    return 1


def _owner(session: Session, callback: Callback, contact: Contact, now: datetime) -> int:
    """Give an owner who is at work more time, up to the alarm; from one who is away the callback goes to anybody."""
    assert callback.owner_id is not None
    assert callback.held_until is not None
    owner = session.get_one(Agent, callback.owner_id, populate_existing=True)
    member = select(CampaignAgent.agent_id).where(
        CampaignAgent.campaign_id == callback.campaign_id, CampaignAgent.agent_id == owner.id
    )
    at_work = owner.state not in AWAY and session.scalar(member) is not None
    longest = callback.alarm_at if callback.called_at is None else callback.held_until
    longer = min(callback.held_until + PATIENCE, longest)
    if at_work and longer > callback.held_until and longer > now:
        callbacks.keep(callback, contact, owner.id, callbacks.OWNER, longer)
        return 0
    if callback.held_until > now:
        return 0
    name = callbacks.named(session, owner.id)
    told = f"{name} did not come free in time" if at_work else f"{name} is away"
    callbacks.let_go(callback, contact)
    callbacks.record(session, callback, "to anyone", now=now, who="dialer", why=told, agent=owner)
    return 1


# Reports before and after it breaks ----------------------------------------------------------------------


def _report(
    session: Session, callback: Callback, contact: Contact, now: datetime, timing: TimingSettings, *, broken: bool
) -> int:
    ringing = select(Attempt.id).where(Attempt.contact_id == contact.id, Attempt.ended_at.is_(None))
    if contact.state == "live" and session.scalar(ringing) is not None:
        return 0  # being called this moment: its end says whether it was in time
    reason = hindrance(session, callback, contact, now=now, ring_seconds=timing.ring_limit)
    if broken:
        callback.broke_at = now
    if callback.alarmed_at is None:
        callback.alarmed_at = now
    callback.alarm = reason[:500]
    owner = session.get(Agent, callback.owner_id) if callback.owner_id is not None else None
    ledger.record(
        session,
        at=now,
        kind="callback_broken" if broken else "callback_alarm",
        who="dialer",
        campaign_id=callback.campaign_id,
        agent_id=owner.id if owner is not None else None,
        why=reason,
        callback=callback.id,
        contact=contact.id,
        due=callback.due_at.isoformat(),
        deadline=callback.deadline_at.isoformat(),
    )
    return 1


def hindrance(session: Session, callback: Callback, contact: Contact, *, now: datetime, ring_seconds: float) -> str:
    """Say what keeps a callback from being called now: the first rule that refuses it, or whom it waits for."""
    campaign = session.get_one(Campaign, callback.campaign_id)
    told = why.explain(session, campaign, str(contact.id), now=now, ring_seconds=ring_seconds)
    refused = [verdict for verdict in told.verdicts if not verdict.allowed and verdict.rule != "kept"]
    if refused:
        return refused[0].why
    if callback.taken_by is not None:
        until = callbacks.clock(callback.held_until, callback.zone)
        return f"{callbacks.named(session, callback.taken_by)} has taken it, until {until}, and not called yet"
    if campaign.mode in ("manual", "agentless"):
        return f"the campaign is {campaign.mode}: an agent must take and start it"
    if holding := why.holding(session, campaign, now=now):
        return "; ".join(holding)
    if callbacks.whose(contact, now) == callbacks.ELSEWHERE:
        return f"{callbacks.named(session, contact.kept_for)} has taken it"
    if callbacks.whose(contact, now) is not None:
        until = callbacks.clock(contact.kept_until, callback.zone)
        return f"it waits for {callbacks.named(session, callback.owner_id)}, until {until} for nobody else"
    return "no agent was free for it yet"


# Promises nobody wrote down ------------------------------------------------------------------------------

_UNWRITTEN = text(
    """
    SELECT k.id FROM contacts k JOIN lists l ON l.id = k.list_id
    WHERE k.due_date IS NOT NULL AND k.state = 'open' AND l.undone_at IS NULL
      AND (CAST(:list_id AS bigint) IS NULL OR k.list_id = :list_id)
      AND NOT EXISTS (SELECT 1 FROM callbacks b WHERE b.contact_id = k.id AND b.closed_at IS NULL
                      AND b.due_date = k.due_date AND b.period_id IS NOT DISTINCT FROM k.period_id)
    ORDER BY k.id LIMIT :most
    """
)
# What the release before writes beside us while it is being replaced; it goes with the column.
_UNMARKED = text(
    """
    WITH f AS MATERIALIZED (
        SELECT k.id, b.made_at FROM callbacks b JOIN contacts k ON k.id = b.contact_id
        WHERE b.closed_at IS NULL AND b.attempts_before > 0 AND k.promised_at IS NULL
        ORDER BY k.id LIMIT :most FOR NO KEY UPDATE OF k SKIP LOCKED)
    UPDATE contacts k SET promised_at = f.made_at FROM f WHERE k.id = f.id
    """
)
_OVER = text(
    """
    SELECT b.id, b.contact_id FROM callbacks b JOIN contacts k ON k.id = b.contact_id
    WHERE b.closed_at IS NULL AND k.state = 'closed' ORDER BY b.id LIMIT :most
    """
)


def mend(session: Session, *, now: datetime, timing: TimingSettings) -> int:
    """Bring promises and contacts together, whoever wrote one without the other; returns how many were not.

    A contact with a due date has a promise to match; a promise whose contact was closed has ended. Reads every open
    callback, so it is done now and then.
    """
    session.execute(_UNMARKED, {"most": MOST_AT_ONCE})
    mended = write_down(session, now=now, timing=timing, who="dialer")
    for callback, contact in _closed(session):
        callbacks.end_with_contact(session, callback, contact, now=now, who="dialer")
        mended += 1
    return mended


def _closed(session: Session) -> Sequence[tuple[Callback, Contact]]:
    ids = session.scalars(_OVER, {"most": MOST_AT_ONCE}).all()
    query = select(Callback.id, Callback.contact_id).where(Callback.id.in_(ids)).order_by(Callback.id)
    pairs = _locked(session, query) if ids else []
    return [(callback, contact) for callback, contact in pairs if contact.state == "closed"]


def write_down(
    session: Session,
    *,
    list_id: int | None = None,
    now: datetime,
    timing: TimingSettings,
    who: str,
    most: int = 1000,
) -> int:
    """Write the promise of contacts that have a due date and none to match; how many. An earlier one ends as moved.

    Of one list, after an import; of all otherwise.
    """
    ids = session.scalars(_UNWRITTEN, {"list_id": list_id, "most": most}).all()
    if not ids:
        return 0
    query = select(Contact).where(Contact.id.in_(ids), Contact.state == "open", Contact.due_date.is_not(None))
    query = query.with_for_update(**ROW_LOCK_OR_SKIP).order_by(Contact.id).execution_options(populate_existing=True)
    contacts = session.scalars(query).all()
    promised = select(Callback.contact_id).where(Callback.contact_id.in_(ids), Callback.closed_at.is_(None))
    earlier = set(session.scalars(promised))
    calendars, tried = _Calendars(session, now), _tried(session, ids)
    lead = timedelta(seconds=timing.callback_alarm)
    rows = []
    for contact in contacts:
        before = callbacks.open_of(session, contact.id, lock=True) if contact.id in earlier else None
        if before is not None:
            callbacks.end(session, before, contact, now=now, who=who, why="another time was written", moved=True)
        row = calendars.row(contact, who=who, lead=lead)
        rows.append(row | _owned(contact, row["due_at"], row["alarm_at"], timing))
        if contact.id in tried:  # for the others there is nothing to count anew, and a file has many
            contact.promised_at = now
    if rows:
        session.execute(insert(Callback).on_conflict_do_nothing(), rows)
    return len(rows)


def _owned(contact: Contact, due_at: datetime, alarm_at: datetime, timing: TimingSettings) -> dict[str, Any]:
    """Keep the contact for the owner that its row names, as a file brought it: the promise's, and held for none yet."""
    owner = contact.kept_for if contact.kept_as == callbacks.OWNER and contact.kept_until is None else None
    if owner is None:
        return {"owner_id": None, "fallback": timing.callback_fallback, "held_until": None}
    fallback = timedelta(seconds=timing.callback_fallback)
    contact.kept_until = rules.owner_keeps_until(due_at, alarm_at, fallback)
    return {"owner_id": owner, "fallback": timing.callback_fallback, "held_until": contact.kept_until}


def _tried(session: Session, ids: Sequence[int]) -> set[int]:
    return set(session.scalars(select(Attempt.contact_id).where(Attempt.contact_id.in_(ids))))


class _Calendars:
    """When contacts are due by what stands on their rows; what they have in common is read once."""

    def __init__(self, session: Session, now: datetime) -> None:
        self._session, self._now = session, now
        self._periods: dict[int, WantedPeriod] = {}
        self._calendars: dict[int, Calendar] = {}

    def row(self, contact: Contact, *, who: str, lead: timedelta) -> dict[str, Any]:
        """Return the promise of a contact as a row."""
        calendar = self._calendar(contact)
        assert contact.due_date is not None
        named = self._period(contact.period_id)
        period = named or calendar.period_of(contact.due_date)
        due_at = contact.next_at or calendar.starts(contact.due_date, period)
        deadline_at = calendar.ends(contact.due_date, period)
        if deadline_at <= due_at:  # put off past its period already
            due_at = calendar.starts(contact.due_date, period)
            deadline_at = max(deadline_at, due_at + timedelta(minutes=1))
        return {
            "campaign_id": contact.campaign_id,
            "contact_id": contact.id,
            "due_date": contact.due_date,
            "period_id": contact.period_id,
            "period": named.name if named is not None else "",
            "zone": calendar.zone.key,
            "due_at": due_at,
            "deadline_at": deadline_at,
            "alarm_at": rules.alarm_at(due_at, deadline_at, lead),
            "made_at": self._now,
            "made_by": who,
            "result": "",
        }

    def span(self, contact: Contact, callback: Callback) -> tuple[datetime | None, datetime | None]:
        """Return when the period of a promise begins and ends by the clocks of now; None when it was removed."""
        period = self._period(callback.period_id)
        if period is None:
            return None, None
        calendar = self._calendar(contact)
        return calendar.starts(callback.due_date, period), calendar.ends(callback.due_date, period)

    def _calendar(self, contact: Contact) -> Calendar:
        if contact.campaign_id not in self._calendars:
            campaign = self._session.get_one(Campaign, contact.campaign_id)
            self._calendars[campaign.id] = callbacks.calendar_of(self._session, campaign, self._now)
        return callbacks.where_it_is(self._calendars[contact.campaign_id], contact.next_number or contact.phone)

    def _period(self, period_id: int | None) -> WantedPeriod | None:
        if period_id is None:
            return None
        if period_id not in self._periods:
            one = self._session.get(Period, period_id)
            if one is None:
                return None
            self._periods[period_id] = WantedPeriod(one.id, one.name, one.starts, one.ends)
        return self._periods[period_id]


# Clocks and periods that change --------------------------------------------------------------------------


def retime(
    session: Session, *, period_id: int | None = None, now: datetime, timing: TimingSettings, who: str, why: str
) -> int:
    """Put callbacks that are not due yet where their day and period are by now; returns how many moved.

    The day and the period are what was promised: the instant follows when somebody defines the period anew, or when a
    country changes its clocks. Of one period, or of all.
    """
    query = select(Callback.id, Callback.contact_id).where(
        Callback.closed_at.is_(None),
        Callback.called_at.is_(None),
        Callback.due_at > now,
        Callback.period_id.is_not(None) if period_id is None else Callback.period_id == period_id,
    )
    calendars, lead = _Calendars(session, now), timedelta(seconds=timing.callback_alarm)
    moved, last = 0, 0
    while pairs := _locked(session, query.where(Callback.id > last).order_by(Callback.id)):
        last = pairs[-1][0].id
        moved += sum(_retimed(session, *pair, calendars, lead, now=now, who=who, why=why) for pair in pairs)
    return moved


def _retimed(
    session: Session,
    callback: Callback,
    contact: Contact,
    calendars: "_Calendars",
    lead: timedelta,
    *,
    now: datetime,
    who: str,
    why: str,
) -> bool:
    begins, ends = calendars.span(contact, callback)
    if begins is None or ends is None or (begins, ends) == (callback.due_at, callback.deadline_at) or ends <= begins:
        return False
    if contact.next_at == callback.due_at:
        contact.next_at = begins
    callback.due_at, callback.deadline_at = begins, ends
    callback.alarm_at = rules.alarm_at(begins, ends, lead)
    if callback.taken_by is None:
        callbacks.hold_for_owner(callback, contact)
    callbacks.record(session, callback, "retimed", now=now, who=who, why=why)
    return True
