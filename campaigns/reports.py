"""What came of it: one function and one query per report, over a period [from, until).

A report is rows of plain values, each column knowing what it holds; the command line, CSV and JSON print the same
rows. Days are those of the campaign's time zone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from campaigns import (
    best_times,
    lifecycle,
    reports_abandonment,
    reports_agents,
    reports_attempts,
    reports_best_times,
    reports_callbacks,
    reports_caller_ids,
    reports_dispositions,
    reports_outcomes,
    reports_queues,
    reports_records,
)
from campaigns.campaign_values import usual_time_zone
from campaigns.report_shape import Period, Report
from dialer.errors import BadInput, NotFound


@dataclass(frozen=True, slots=True)
class Kind:
    """One report: what it is called, what it tells, and the function with its query."""

    make: Callable[[Session, Period], Report]
    tells: str
    back: timedelta = timedelta(0)  # where it begins unless somebody says: so long before today


REPORTS: Mapping[str, Kind] = {
    "outcomes": Kind(reports_outcomes.outcomes, "attempts by how they ended"),
    "dispositions": Kind(reports_dispositions.dispositions, "conversations by what the agents said came of them"),
    "abandonment": Kind(reports_abandonment.abandonment, "answered calls by day: joined, abandoned, and the rates"),
    "agents": Kind(reports_agents.agents, "each agent's time and conversations"),
    "queues": Kind(reports_queues.queues, "the PBX's own queues, as it counted them itself"),
    "attempts": Kind(reports_attempts.attempts, "every attempt, one row each"),
    "callbacks": Kind(reports_callbacks.callbacks, "promised callbacks by day: kept, late, lost"),
    "caller-ids": Kind(reports_caller_ids.caller_ids, "each number people were shown: calls, and the share answered"),
    "best-times": Kind(
        reports_best_times.best_times, "when people answer, by kind of number and hour of their day", best_times.REACH
    ),
    "records": Kind(reports_records.records, "every call sent, with what a regulator asks of its record"),
}


def make(
    session: Session,
    name: str,
    *,
    campaign: str | None,
    since: date | datetime | None,
    until: date | datetime | None,
    now: datetime,
) -> Report:
    """Make report `name`. Without `since` it begins today, without `until` it ends now."""
    if name not in REPORTS:
        raise NotFound(f"there is no report {name!r}; there are {', '.join(REPORTS)}")
    kind = REPORTS[name]
    return kind.make(session, period(session, campaign, since, until, now, back=kind.back))


def period(
    session: Session,
    campaign: str | None,
    since: date | datetime | None,
    until: date | datetime | None,
    now: datetime,
    back: timedelta = timedelta(0),
) -> Period:
    """Put a campaign and two moments, as typed, into a period; days and bare times are the campaign's."""
    found = lifecycle.get(session, campaign) if campaign else None
    zone = ZoneInfo(usual_time_zone(found.country, found.time_zone) if found else "UTC")
    start = _moment(since if since is not None else now.astimezone(zone).date() - back, zone)
    end = _moment(until, zone) if until is not None else now.astimezone(zone)
    if start >= end:
        raise BadInput(
            f"the period ends before it begins: {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}; "
            "--to is the first moment that no longer belongs to it"
        )
    return Period(found.id if found else None, found.name if found else None, start, end, zone, now)


def _moment(value: date | datetime, zone: ZoneInfo) -> datetime:
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=zone)
    return datetime.combine(value, time.min, tzinfo=zone)
