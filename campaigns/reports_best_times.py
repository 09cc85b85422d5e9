"""When a campaign's people answer: by kind of number and hour of their own day, with how sure that is."""

from collections import defaultdict
from typing import Any

from sqlalchemy.orm import Session

from campaigns import best_times as times
from campaigns.lifecycle import get
from campaigns.report_shape import Column, Period, Report
from dialer.best_times import HOURS, BestTimes, Who, part_of_week
from dialer.errors import BadInput
from dialer.shares import likely_range

_DAYS = {"work": "Mon-Fri", "saturday": "Saturday", "sunday": "Sunday"}
_COLUMNS = (
    Column("kind", "Number"),
    Column("day", "Day"),
    Column("hour", "Hour there"),
    Column("calls", "Calls", "count"),
    Column("answered", "Answered", "count"),
    Column("share", "Share", "share"),
    Column("chance", "Expected", "share"),
    Column("least", "At least", "share"),
    Column("most", "At most", "share"),
)


def best_times(session: Session, period: Period) -> Report:
    """Tell when people answer, as learnt from the calls of the period; the best hours of each kind first."""
    if period.campaign is None:
        raise BadInput("whose people? Name the campaign with --campaign")
    campaign = get(session, period.campaign)
    rows = times.calls(session, campaign, period.start, period.end)
    zone = times.zone_of_campaign(campaign)
    seen = times.in_cells(rows, zone, None)
    learnt = BestTimes.learn(times.in_cells(rows, zone, period.end))
    counted: defaultdict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    whose: defaultdict[str, list[tuple[Who, float]]] = defaultdict(list)
    for cell in seen:
        one = counted[cell.who.kind, part_of_week(cell.hour)]
        one[0] += cell.calls
        one[1] += cell.answered
        whose[cell.who.kind].append((cell.who, cell.calls))
    told: list[dict[str, Any]] = []
    for (kind, part), (calls, answered) in counted.items():
        chance, sure = _expected(learnt, whose[kind], part)
        least, most = likely_range(chance * sure, sure)
        day, hour = part.split()
        told.append(
            {
                "kind": kind, "day": _DAYS[day], "hour": f"{int(hour):02d}-{(int(hour) + 1) % 24:02d}",
                "calls": round(calls), "answered": round(answered), "share": answered / calls, "chance": chance,
                "least": least, "most": most,
            }
        )  # fmt: skip
    told.sort(key=lambda row: (row["kind"], -row["chance"], row["day"], row["hour"]))
    notes = (
        ("expected: what the share is drawn to by what is known of like hours; older calls weigh less",) if told else ()
    )
    return Report("best-times", period, _COLUMNS, told, notes=notes)


def _expected(learnt: BestTimes, whose: list[tuple[Who, float]], part: str) -> tuple[float, float]:
    """The chance in a part of the week, over its days and the people who were called; and the calls behind it."""
    hours = [hour for hour in range(HOURS) if part_of_week(hour) == part]
    together = sum(calls for _, calls in whose)
    chance = sum(
        calls * sum(learnt.chance(who, hour) for hour in hours) / len(hours) for who, calls in whose
    ) / together  # fmt: skip
    return chance, learnt.sure(whose[0][0], hours[0]).calls
