"""Periods: the named parts of the day in which callbacks of a campaign are wanted. The caller owns the transaction."""

import re
from datetime import datetime, time

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from campaigns import ledger
from campaigns.callback_dates import WantedPeriod
from campaigns.models import Campaign, Contact, Period
from campaigns.period_hours import PeriodHours, period_hours
from dialer.abandonment import rule_pack
from dialer.errors import BadInput, NotFound
from dialer.windows import Hours

_NAME_LENGTH = 60
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")


def define(
    session: Session,
    campaign_id: int,
    name: str,
    starts: str | time,
    ends: str | time,
    *,
    default: bool = False,
    who: str,
    now: datetime,
) -> Period:
    """Add a period, or change the one of that name. `default`: for callbacks that name none.

    BadInput for one in which the campaign may call nobody on any day; `hours_of` says what of it is left.
    """
    name = _checked_name(name)
    first, last = _time(starts, name), _time(ends, name)
    if first >= last:
        raise BadInput(
            f"period {name!r}: it must end after it starts, and {first:%H:%M} to {last:%H:%M} does not; "
            "one over midnight is two periods"
        )
    campaign = session.get_one(Campaign, campaign_id)
    if _left(campaign, first, last).empty:
        raise BadInput(
            f"period {name!r}, {first:%H:%M} to {last:%H:%M}: nobody may be called in it on any day. The campaign "
            f"calls {_hours(campaign)}: define it within them, or change the campaign's hours first"
        )
    if default:
        session.execute(update(Period).where(Period.campaign_id == campaign_id).values(is_default=False))
    period = _find(session, campaign_id, name)
    if period is None:
        period = Period(campaign_id=campaign_id, name=name, starts=first, ends=last, is_default=default)
        session.add(period)
    else:
        session.refresh(period)
        period.name, period.starts, period.ends = name, first, last
        period.is_default = default or period.is_default
    session.flush()
    ledger.record(
        session,
        at=now,
        kind="period_defined",
        who=who,
        campaign_id=campaign_id,
        name=name,
        starts=first.isoformat(),
        ends=last.isoformat(),
        default=period.is_default,
    )
    return period


def hours_of(session: Session, period: Period) -> PeriodHours:
    """Say on which days nobody may be called in a period, by the hours of its campaign and its rule pack."""
    return _left(session.get_one(Campaign, period.campaign_id), period.starts, period.ends)


def _left(campaign: Campaign, starts: time, ends: time) -> PeriodHours:
    return period_hours(starts, ends, Hours.parse(campaign.hours), [rule_pack(campaign.rule_pack).calling])


def _hours(campaign: Campaign) -> str:
    law = rule_pack(campaign.rule_pack)
    legal = "" if law.calling.hours.always else f", and by the rules of {law.name} {law.calling.hours}"
    return f"{campaign.hours}{legal}"


def all_of(session: Session, campaign_id: int) -> list[Period]:
    """Return the periods of a campaign, in the order of the day."""
    query = select(Period).where(Period.campaign_id == campaign_id).order_by(Period.starts, Period.ends, Period.name)
    return list(session.scalars(query))


def remove(session: Session, campaign_id: int, name: str, *, who: str, now: datetime) -> None:
    """Remove a period. BadInput while callbacks wait for it: they would lose their promise."""
    period = get(session, campaign_id, name)
    waiting = session.scalar(
        select(func.count()).select_from(Contact).where(Contact.period_id == period.id, Contact.state != "closed")
    )
    if waiting:
        plural = "callback waits" if waiting == 1 else "callbacks wait"
        raise BadInput(
            f"period {period.name!r} cannot be removed: {waiting} {plural} for it. "
            "Call them, undo their list, or define the period with other hours"
        )
    session.execute(update(Contact).where(Contact.period_id == period.id).values(period_id=None))
    session.delete(period)
    session.flush()
    ledger.record(session, at=now, kind="period_removed", who=who, campaign_id=campaign_id, name=period.name)


def get(session: Session, campaign_id: int, name: str) -> Period:
    """Return the period of that name, in any case of letters; NotFound names those there are."""
    period = _find(session, campaign_id, name)
    if period is None:
        known = ", ".join(repr(one.name) for one in all_of(session, campaign_id)) or "none yet"
        raise NotFound(f"there is no period {name[:_NAME_LENGTH]!r} in this campaign; there are: {known}")
    return period


def wanted(session: Session, campaign_id: int) -> tuple[dict[str, WantedPeriod], WantedPeriod | None]:
    """Return the periods by name in small letters, and the default one, as the importer needs them."""
    found = {
        one.name.casefold(): (WantedPeriod(one.id, one.name, one.starts, one.ends), one.is_default)
        for one in all_of(session, campaign_id)
    }
    default = next((period for period, is_default in found.values() if is_default), None)
    return {name: period for name, (period, _) in found.items()}, default


def _find(session: Session, campaign_id: int, name: str) -> Period | None:
    wanted_name = " ".join(name.split()).casefold()
    return next((one for one in all_of(session, campaign_id) if one.name.casefold() == wanted_name), None)


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not name:
        raise BadInput("a period needs a name, for example Morning")
    if len(name) > _NAME_LENGTH or not name.isprintable():
        raise BadInput(
            f"period {''.join(char if char.isprintable() else '?' for char in name[:20])!r}: "
            f"a name has at most {_NAME_LENGTH} printable characters"
        )
    return name


def _time(given: str | time, name: str) -> time:
    if isinstance(given, time):
        return given.replace(tzinfo=None, microsecond=0)
    match = _TIME.fullmatch(given.strip())
    if match is None:
        raise BadInput(f"period {name!r}: {given[:20]!r} is not a time of day; write it as 09:00 or 14:30")
    hour, minute, second = match.groups(default="0")
    return time(int(hour), int(minute), int(second))
