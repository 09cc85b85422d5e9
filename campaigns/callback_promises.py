"""A callback that an agent promises in a call: a day and a period, or a day and a time, that can be kept.

What the rules of calling would not allow is refused while the person is on the line: a promise is not made later by
moving it. The promise is a due date and time of the contact, as that of an imported callback.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from campaigns import periods
from campaigns.callback_dates import AHEAD, Calendar, campaign_zone, instant
from campaigns.models import Attempt, Campaign, Contact
from campaigns.putting_off import next_allowed
from dialer.errors import BadInput
from dialer.windows import Hours

_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Promise:
    """When the person will be called, and the period it was promised for, if it was one."""

    at: datetime
    period_id: int | None = None


def read(
    session: Session,
    campaign: Campaign,
    contact: Contact,
    number: str,
    due: date | datetime,
    period: str,
    now: datetime,
) -> Promise:
    """Put what was promised, by the campaign's clock, into a moment; BadInput says why it cannot be kept."""
    zone, _ = campaign_zone(campaign.time_zone, campaign.country, now)
    if isinstance(due, datetime):
        if period:
            raise BadInput("a callback is for a time or for a period: leave out --period, or the time of --due")
        at = due if due.tzinfo is not None else instant(due.date(), due.time(), zone)
        _near(at, now, zone)
        first_moment(session, campaign, contact, number, at, at, zone)
        return Promise(at)
    by_name, default = periods.wanted(session, campaign.id)
    calendar = Calendar(zone, now, Hours.parse(campaign.hours), by_name, default)
    wanted = calendar.period(periods.get(session, campaign.id, period).name) if period else calendar.period_of(due)
    assert wanted is not None
    ends = instant(due, wanted.ends, zone) if wanted.ends is not None else instant(due + _ONE_DAY, time(0), zone)
    if calendar.over(due, wanted):
        raise BadInput(
            f"the callback cannot be promised for {due}, {wanted.name}: that is over, it is {_wall(now, zone)}; "
            "name a later day or period"
        )
    at = max(calendar.starts(due, wanted), now)
    _near(at, now, zone)
    at = first_moment(session, campaign, contact, number, at, ends, zone)
    return Promise(at, wanted.id)


def make(attempt: Attempt, contact: Contact, campaign: Campaign) -> None:
    """Have the contact called at the promised time, on the number it was promised on. The caller holds its row.

    Whoever asks to be called again has not been bothered: their attempts are counted from now on.
    """
    assert attempt.callback_at is not None
    assert attempt.disposed_at is not None
    zone, _ = campaign_zone(campaign.time_zone, campaign.country, attempt.disposed_at)
    contact.due_date = attempt.callback_at.astimezone(zone).date()
    contact.period_id = attempt.callback_period_id
    contact.promised_at = attempt.disposed_at
    contact.next_number = None if attempt.number == contact.phone else attempt.number
    contact.state, contact.closed_because, contact.next_at = "open", "", attempt.callback_at


def take_back(contact: Contact) -> None:
    """Forget the promise that was made to a contact; its next time is the caller's to say."""
    contact.due_date = contact.period_id = contact.promised_at = None


def _near(at: datetime, now: datetime, zone: ZoneInfo) -> None:
    if at < now:
        raise BadInput(f"the callback cannot be promised for {_wall(at, zone)}: that is past")
    if at - now > AHEAD:
        raise BadInput(f"the callback cannot be promised for {_wall(at, zone)}: that is more than two years away")


def first_moment(
    session: Session, campaign: Campaign, contact: Contact, number: str, at: datetime, ends: datetime, zone: ZoneInfo
) -> datetime:
    """Return the first moment of the promised stretch at which the rules allow the call; BadInput when none does."""
    allowed = next_allowed(session, campaign, contact, number, at, promised=True)
    if allowed > ends or (allowed == ends and at != ends):
        raise BadInput(
            f"the callback cannot be promised for {_wall(at, zone)}: the rules of calling (hours where the phone is, "
            f"caps, gap) allow it from {_wall(allowed, zone)} on"
        )
    return allowed


def _wall(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M} ({zone.key})"
