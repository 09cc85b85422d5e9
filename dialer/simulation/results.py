"""What came of a day in the virtual world."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import mean

from dialer.abandonment import rate


@dataclass(slots=True)
class CampaignDay:
    """One campaign's calls. D, L, m as `dialer.abandonment` has them; `*_all` also counts the warm-up."""

    name: str
    launched: int = 0
    answered: int = 0
    met: int = 0
    abandoned: int = 0
    met_all: int = 0
    abandoned_all: int = 0
    machines: int = 0
    given_up: int = 0
    by_mistake: int = 0  # people a detector took for machines: abandoned too
    talked: float = 0.0
    worst: float = 0.0  # the highest running rate, from the hundredth answer on
    finished_at: float | None = None  # when the list was used up and its last call over

    @property
    def rate(self) -> float:
        return rate(self.abandoned, self.met)

    @property
    def closing_rate(self) -> float:
        """Of the window from the first call of the day: the one the ceiling holds for."""
        return rate(self.abandoned_all, self.met_all)


@dataclass(slots=True)
class Day:
    """A whole day: agents' time after the warm-up in seconds, and each campaign's calls."""

    seed: int
    campaigns: list[CampaignDay] = field(default_factory=list)
    talked: float = 0.0
    wrapped: float = 0.0
    worked: float = 0.0
    inbound: int = 0
    inbound_lost: int = 0
    inbound_waited: float = 0.0
    most_ringing: int = 0
    samples: list[tuple[float, ...]] = field(default_factory=list)  # second, D, L, ringing, free, talking, wrapping

    @property
    def utilisation(self) -> float:
        """Talk over logged-in time."""
        return self.talked / self.worked if self.worked else 0.0

    @property
    def occupancy(self) -> float:
        """Talk and wrap-up over logged-in time."""
        return (self.talked + self.wrapped) / self.worked if self.worked else 0.0

    @property
    def rate(self) -> float:
        return rate(sum(c.abandoned for c in self.campaigns), sum(c.met for c in self.campaigns))

    @property
    def closing_rate(self) -> float:
        """The worst campaign's."""
        return max(c.closing_rate for c in self.campaigns)

    @property
    def launched(self) -> int:
        return sum(c.launched for c in self.campaigns)


@dataclass(frozen=True, slots=True)
class Pooled:
    """Several days together."""

    days: int
    utilisation: float
    occupancy: float
    abandoned: float  # pooled D / (D + L)
    worst_close: float
    above: int  # days that closed above the ceiling
    calls_per_hour: float
    sd: float  # of the days' utilisation


def pooled(days: Sequence[Day], ceiling: float, hours: float) -> Pooled:
    """Pool days of the same world and pacer."""
    values = [day.utilisation for day in days]
    middle = mean(values)
    spread = (sum((value - middle) ** 2 for value in values) / max(1, len(values) - 1)) ** 0.5
    lost, met = _sum(c.abandoned for d in days for c in d.campaigns), _sum(c.met for d in days for c in d.campaigns)
    return Pooled(
        days=len(days),
        utilisation=middle,
        occupancy=mean(day.occupancy for day in days),
        abandoned=rate(lost, met),
        worst_close=max(day.closing_rate for day in days),
        above=sum(over(c, ceiling) for day in days for c in day.campaigns),
        calls_per_hour=_sum(day.launched for day in days) / len(days) / hours,
        sd=spread,
    )


def over(campaign: CampaignDay, ceiling: float) -> bool:
    """Whether the campaign's day closed above the ceiling, by whole calls."""
    return campaign.abandoned_all > ceiling * (campaign.abandoned_all + campaign.met_all) + 1e-9


def _sum(values: Iterable[int]) -> int:
    return sum(values)
