"""A forecast from days lived through: one for each seed, put together to a figure and the range of eight days of ten.

A day that ends before its list is lived on at its pace, by the same rules of trying again, until nobody is left.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from statistics import mean

from campaigns.calling_hours import open_spans
from campaigns.forecasting import Outlook
from campaigns.forecasts import CHECKED, Expected, Finish, Foretold
from campaigns.pace_in_force import InForce
from dialer.simulation import Centre
from dialer.simulation.figures import Figures, foreseen, quantile
from dialer.simulation.listed import ListedDay

LOW, HIGH = 0.1, 0.9


def reckon(outlook: Outlook, *, seeds: int = 20, one_more: Callable[[], None] = lambda: None) -> Foretold:
    """Live through `seeds` days and put them together."""
    days: list[dict[str, float]] = []
    ends: list[datetime | None] = []
    finished = 0
    for seed in range(1, seeds + 1):
        pacer = InForce([outlook.rules])
        pacer.restore(outlook.memory)
        centre = Centre(outlook.world, [pacer], seed, goals=outlook.rules.goals)
        day = centre.run()
        values = {
            name: value for name, value in Figures.of_day(day, outlook.horizon).as_json().items() if value is not None
        }
        lines = [sample[3] + sample[5] for sample in day.samples]
        days.append(values | {"lines_p95": round(quantile(lines, 0.95)), "lines_max": max(lines)})
        done = day.campaigns[0].finished_at
        finished += done is not None
        people = centre.desks[0].people
        assert isinstance(people, ListedDay)
        lost = day.campaigns[0].abandoned_all
        share = lost / max(1, lost + day.campaigns[0].met_all)
        ends.append(_end(outlook, done, people, day.launched, share))
        one_more()
    names = [name for name in (*CHECKED, "agents", "answered") if any(name in day for day in days)]
    figures = {name: _expected([day[name] for day in days if name in day]) for name in names}
    return Foretold(figures, _finish(ends, finished / seeds), seeds)


def _end(outlook: Outlook, done: float | None, people: ListedDay, launched: int, abandoned: float) -> datetime | None:
    """When the list is done: on this day, or as it goes on at its pace until the last who comes back."""
    if done is None and launched:
        until = outlook.starts_at + timedelta(seconds=outlook.horizon)
        called = sum(
            (end - begin).total_seconds()
            for begin, end in open_spans(outlook.hours, outlook.zone, outlook.starts_at, until)
        )
        done = people.live_on(outlook.horizon, launched / called, abandoned)
    return None if done is None else outlook.starts_at + timedelta(seconds=done)


def _expected(values: Sequence[float]) -> Expected:
    return Expected(mean(values), foreseen(values, LOW), foreseen(values, HIGH))


def _finish(ends: Sequence[datetime | None], within: float) -> Finish:
    """Quantiles of the ends; those too far to say are later than all others."""
    known = sorted(end for end in ends if end is not None)

    def at(share: float) -> datetime | None:
        place = min(len(ends) - 1, max(0, round(share * (len(ends) + 1)) - 1))  # as `foreseen`
        return known[place] if place < len(known) else None

    return Finish(at(0.5), at(LOW), at(HIGH), within)
