"""What people look at of a day, the same for a day that was lived and for one that was only reckoned."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields

from dialer.abandonment import rate
from dialer.simulation.results import Day, over


@dataclass(frozen=True, slots=True)
class Figures:
    """One day, or one stretch of it. Times are in seconds, shares of 1; None: nothing to reckon it from."""

    utilisation: float | None  # talk over time at work
    occupancy: float | None  # talk and wrap-up over time at work
    mean_wait: float | None  # of an agent, from one wrap-up to the next conversation
    calls: float
    answered: float
    met: float
    abandoned: float
    abandonment: float  # D / (D + L)
    calls_per_agent_hour: float | None
    agents: float | None = None  # at work, on average
    worst_rate: float | None = None  # the highest running rate, from the hundredth answer on

    @classmethod
    def of(
        cls,
        *,
        talked: float,
        wrapped: float,
        worked: float,
        calls: int,
        answered: int,
        met: int,
        abandoned: int,
        seconds: float = 0.0,
        worst_rate: float | None = None,
    ) -> "Figures":
        """Reckon them from sums."""
        return cls(
            utilisation=talked / worked if worked else None,
            occupancy=(talked + wrapped) / worked if worked else None,
            mean_wait=max(0.0, worked - talked - wrapped) / met if met else None,
            calls=calls,
            answered=answered,
            met=met,
            abandoned=abandoned,
            abandonment=rate(abandoned, met),
            calls_per_agent_hour=calls / worked * 3600 if worked else None,
            agents=worked / seconds if seconds else None,
            worst_rate=worst_rate,
        )

    @classmethod
    def of_day(cls, day: Day, seconds: float) -> "Figures":
        """Read them off a day in the virtual world, of which so many seconds were measured."""
        return cls.of(
            talked=day.talked,
            wrapped=day.wrapped,
            worked=day.worked,
            calls=day.launched,
            answered=sum(c.answered for c in day.campaigns),
            met=sum(c.met for c in day.campaigns),
            abandoned=sum(c.abandoned for c in day.campaigns),
            seconds=seconds,
            worst_rate=max(c.worst for c in day.campaigns),
        )

    def as_json(self) -> dict[str, float | None]:
        """Return the figures for a program."""
        return {name: None if value is None else round(value, 6) for name, value in asdict(self).items()}


NAMES = tuple(each.name for each in fields(Figures))


def together(days: Sequence[Figures]) -> Figures:
    """Return the figures of several days as of one: means, and the abandonment of all their calls together."""
    means = {name: mean(getattr(day, name) for day in days) for name in NAMES}
    pooled = rate(sum(day.abandoned for day in days), sum(day.met for day in days))
    worst = [day.worst_rate for day in days if day.worst_rate is not None]
    return Figures(**means | {"abandonment": pooled, "worst_rate": max(worst, default=None)})  # type: ignore[arg-type]


def days_above(days: Iterable[Day], ceiling: float) -> int:
    """Count the days of which a campaign closed above the ceiling."""
    return sum(any(over(campaign, ceiling) for campaign in day.campaigns) for day in days)


def mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of those that are known."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value under which this share of the values lies, between two of them on a straight line."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def foreseen(values: Sequence[float], share: float) -> float:
    """Return the value under which the *next* one lies with this chance, as far as so few values can tell.

    Between the least and the greatest of n lie (n - 1) / (n + 1) of all others, and not all of them: a range that is
    to hold eight days of ten is wider than the middle eight tenths of twenty days.
    """
    if len(values) < 2:
        return quantile(values, share)
    place = (share * (len(values) + 1) - 1) / (len(values) - 1)
    return quantile(values, min(1.0, max(0.0, place)))
