"""A campaign's calling hours as stretches of time on the wall of its zone: for plans, not for the gate.

The gate judges each phone by its own zone (dialer/windows.py); a forecast asks about the campaign as a whole.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from dialer.windows import Hours

FAR = timedelta(days=400)  # nothing is forecast beyond


def open_spans(hours: Hours, zone: ZoneInfo, since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield the stretches of [since, until) in which calls are wanted, in order."""
    if hours.week is None:
        yield since, until
        return
    day = since.astimezone(zone).date() - timedelta(days=1)
    while datetime.combine(day, time.min, tzinfo=zone) < until:
        for begin, end in hours.week[day.weekday()]:
            opens, closes = (
                (datetime.combine(day, time.min) + timedelta(minutes=minutes)).replace(tzinfo=zone).astimezone(UTC)
                for minutes in (begin, end)
            )
            if max(opens, since) < min(closes, until):
                yield max(opens, since), min(closes, until)
        day += timedelta(days=1)


def opens(hours: Hours, zone: ZoneInfo, since: datetime) -> datetime | None:
    """Return when calls may begin, from `since` on; None when never."""
    return next((begin for begin, _ in open_spans(hours, zone, since, since + FAR)), None)
