"""Who paces which days: contestants, cases, and days lived through on the same draws.

A day is (case, contestant, seed) and gives the same figures every time; the k-th call of it meets the same person
whoever paces, so two contestants are compared seed by seed.
"""

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from math import sqrt
from multiprocessing import get_context
from statistics import mean, stdev
from typing import Any, Self

from benchmarks.pacing.rivals import FixedRatio, Method, Rule, Tally, Vicidial
from dialer.abandonment import rate
from dialer.pacing import Pacer, pacer_for
from dialer.simulation import SHAPES, CampaignDay, Day, World, run_day, shape
from dialer.simulation.results import over

METHODS: tuple[Method, ...] = ("hard limit", "average", "tapered")
TALLIES: tuple[Tally, ...] = ("total", "available only")
_BLOCK = 1200.0  # seconds; how a day went is kept in blocks of these
_GRID = tuple(1 + n / 40 for n in range(361))  # ratios tried in hindsight: 1.000, 1.025 .. 10
_SCOUTS = 3  # seeds on which the best ratio is looked for first


# cases ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A world to be compared in."""

    agents: int
    answers: float = 0.25
    talk: float = 180.0
    shape: str = "stationary"

    @property
    def name(self) -> str:
        start = "" if self.shape == "stationary" else f"{self.shape}-"
        return f"{start}{self.agents}-p{round(self.answers * 100):02}-t{self.talk:.0f}"

    @property
    def world(self) -> World:
        world = shape(self.shape, agents=self.agents, answers=self.answers, talk=self.talk)
        return replace(world, min_ring=15.0)  # what `dialer pace set --min-ring 15` turns on


TEAMS = (3, 5, 10, 20, 50, 100, 300)
LISTS = ((0.25, 180.0), (0.12, 180.0), (0.5, 180.0), (0.25, 60.0))
TABLE = tuple(Case(agents, answers, talk) for answers, talk in LISTS for agents in TEAMS)
DAYS = tuple(Case(20, shape=name) for name in SHAPES if name != "stationary")


# contestants ------------------------------------------------------------------------------------------

OURS, TOLD, ONE = "ours", "told the truth", "one to one"
RATIO, RATIO_STRICT = "ratio", "ratio, each day"
_TOLD = ("dialer.pacing", "dialer.pacing.told", "dialer.simulation", "dialer.simulation.told", "benchmarks.pacing.told")


def contestants() -> list[str]:
    """Return the names of all who can compete here."""
    told = [TOLD] if pacer_told() else []
    return [OURS, *told, ONE, RATIO, RATIO_STRICT, *(f"{m}, {t}" for t in TALLIES for m in METHODS)]


def pacer_told() -> Callable[[World], Pacer] | None:
    """Return what makes the same engine knowing the true world, `pacer_told(world)`, if there is one.

    For a day of several campaigns it is given the world of each one alone.
    """
    for module in _TOLD:
        try:
            made = getattr(importlib.import_module(module), "pacer_told", None)
        except ModuleNotFoundError:
            continue
        if made is not None:
            return made  # type: ignore[no-any-return]
    return None


def pacers(name: str, world: World) -> list[Pacer]:
    """Return a new pacer of this name for each campaign. Beside the contestants there is "1.25, total"."""
    if name == TOLD:
        told = pacer_told()
        assert told is not None, "nobody was told the truth: there is no pacer_told"
        return [told(replace(world, campaigns=(campaign,))) for campaign in world.campaigns]
    return [_pacer(name) for _ in world.campaigns]


def _pacer(name: str) -> Pacer:
    if name == OURS:
        return pacer_for("predictive")
    if name == ONE:
        return pacer_for("progressive")
    how, _, counted = name.partition(", ")
    tally = next(tally for tally in TALLIES if tally == counted)
    for method in METHODS:
        if how == method:
            return Vicidial(Rule(method), tally)
    return FixedRatio(float(how), tally)


# days -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lived:
    """What is kept of a day. Counts `abandoned` and `met` are those after the warm-up; closes are of the whole day."""

    seed: int
    utilisation: float
    occupancy: float
    abandoned: int
    met: int
    closing: float  # of the worst campaign
    worst: float  # the highest running rate after 100 answers
    above: int  # campaigns that closed above the ceiling
    launched: int
    blocks: tuple[float, ...] = ()  # the part of the team in a conversation, in each twenty minutes

    @classmethod
    def of(cls, day: Day, world: World) -> "Lived":
        return cls(
            seed=day.seed,
            utilisation=round(day.utilisation, 6),
            occupancy=round(day.occupancy, 6),
            abandoned=sum(c.abandoned for c in day.campaigns),
            met=sum(c.met for c in day.campaigns),
            closing=round(day.closing_rate, 6),
            worst=round(max(c.worst for c in day.campaigns), 6),
            above=sum(_over(c, world) for c in day.campaigns),
            launched=day.launched,
            blocks=_blocks(day) if world.warm_up_hours == 0 else (),
        )

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Lived":
        return cls(**{**kept, "blocks": tuple(kept.get("blocks", ()))})

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value != ()}


def _over(campaign: CampaignDay, world: World) -> bool:
    return over(campaign, world.ceiling)


def _blocks(day: Day) -> tuple[float, ...]:
    """Return the part of those at work who talked, in each block of the day."""
    blocks: dict[int, list[float]] = {}
    for at, _, _, _, free, talking, wrapping in day.samples:
        blocks.setdefault(int(at // _BLOCK), []).append(talking / max(1, free + talking + wrapping))
    return tuple(round(mean(part), 4) for _, part in sorted(blocks.items()))


def live(case: Case, name: str, seed: int) -> Day:
    """Live through one day."""
    return run_day(case.world, pacers(name, case.world), seed)


def _lived(task: tuple[Case, str, int]) -> Lived:
    case, name, seed = task
    return Lived.of(live(case, name, seed), case.world)


class Arena:
    """Lives through days, several at a time, and remembers them. To be used as a context."""

    def __init__(self, jobs: int) -> None:
        # Spawned, not forked: the short form runs inside a test process that may have threads.
        self._pool = get_context("spawn").Pool(jobs) if jobs > 1 else None
        self._known: dict[tuple[Case, str, int], Lived] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.terminate()
            self._pool.join()

    def days(self, case: Case, name: str, seeds: Sequence[int]) -> list[Lived]:
        """Return the days of one contestant. A best ratio is looked for first."""
        return self.all(case, [name], seeds)[name]

    def all(self, case: Case, names: Iterable[str], seeds: Sequence[int]) -> dict[str, list[Lived]]:
        """Return the days of several contestants."""
        tasks = [(case, name, seed) for name in names for seed in seeds]
        new = [task for task in tasks if task not in self._known]
        lived = map(_lived, new) if self._pool is None else self._pool.imap(_lived, new, chunksize=1)
        self._known.update(zip(new, lived, strict=True))
        days: dict[str, list[Lived]] = {}
        for task in tasks:
            days.setdefault(task[1], []).append(self._known[task])
        return days

    def best_ratio(self, case: Case, seeds: Sequence[int], *, each_day: bool = False) -> str:
        """Return the fixed ratio with the most utilisation that keeps the ceiling, as nobody could know before.

        The ceiling is kept when the days pooled keep it, or (`each_day`) when each of them closes under it.
        """
        good = [name for tally in TALLIES for name in self._good(case, tally, seeds, each_day)]
        return max(good, key=lambda name: pooled(self.days(case, name, seeds)).utilisation)

    def _good(self, case: Case, tally: Tally, seeds: Sequence[int], each_day: bool) -> list[str]:
        """Return ratios that keep the ceiling, the highest of them and some below it."""
        ceiling = case.world.ceiling

        def keeps(n: int, among: Sequence[int]) -> bool:
            days = self.days(case, f"{_GRID[n]:.3f}, {tally}", among)
            return not any(day.above for day in days) if each_day else pooled(days).abandoned <= ceiling

        low, high = 0, len(_GRID)
        scouts = seeds[:_SCOUTS]
        while high - low > 1:  # more calls, more abandoned: nearly always, so the end is looked at on all seeds
            middle = min((low + high) // 2, 2 * low + 8)
            if keeps(middle, scouts):
                low = middle
            else:
                high = middle
        while low and not keeps(low, seeds):
            low -= 1
        near = range(max(0, low - 2), min(low + 4, len(_GRID)))  # chance makes the best of them not always the last
        return [f"{_GRID[n]:.3f}, {tally}" for n in near if n == low or keeps(n, seeds)]


# several days together --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pooled:
    """Several days together."""

    days: int
    utilisation: float
    occupancy: float
    abandoned: float  # of all days as one
    closing: float  # the worst day's
    worst: float
    above: int
    sd: float

    @cached_property
    def error(self) -> float:
        """Standard error of the utilisation."""
        return self.sd / sqrt(self.days)


def pooled(days: Sequence[Lived]) -> Pooled:
    """Pool days of one contestant in one case."""
    values = [day.utilisation for day in days]
    return Pooled(
        days=len(days),
        utilisation=mean(values),
        occupancy=mean(day.occupancy for day in days),
        abandoned=rate(sum(day.abandoned for day in days), sum(day.met for day in days)),
        closing=max(day.closing for day in days),
        worst=max(day.worst for day in days),
        above=sum(day.above for day in days),
        sd=stdev(values) if len(values) > 1 else 0.0,
    )


def difference(one: Sequence[Lived], other: Sequence[Lived]) -> tuple[float, float] | None:
    """Return how much more utilisation one has than the other on the same seeds, and its standard error."""
    by_seed = {day.seed: day.utilisation for day in other}
    gaps = [day.utilisation - by_seed[day.seed] for day in one if day.seed in by_seed]
    if not gaps:
        return None
    return mean(gaps), stdev(gaps) / sqrt(len(gaps)) if len(gaps) > 1 else 0.0
