"""The pacing benchmark: our engine, others, and the truth, in the same worlds with the same people.

    .venv/bin/python benchmarks/pacing/run.py [--seeds 10] [--jobs 2] [--only table] [--agents 3,5] [--shapes lunch]

Figures go to results/, the tables to README.md, the pictures to plots/. What is not asked for stays as it was:
`--pacers ours` renews our own column in minutes, beside the rivals' figures of the same seeds; `--missing` fills the
columns that nobody has run yet, on the seeds that ours has. `--short` runs what every change must pass,
`--renew-short` keeps its figures for the next.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from benchmarks.pacing import plots, report, short
from benchmarks.pacing.contest import (
    DAYS,
    ONE,
    OURS,
    RATIO,
    RATIO_STRICT,
    TABLE,
    TEAMS,
    Arena,
    Case,
    contestants,
    live,
    pacers,
    pooled,
)
from benchmarks.pacing.kept import RESULTS, Kept
from dialer.pacing import Pace, PaceEvent, Snapshot
from dialer.simulation import SHAPES, run_day

PARTS = ("table", "shapes", "speed", "plots")


def compete(arena: Arena, case: Case, names: list[str], seeds: Sequence[int]) -> None:
    """Let them pace this case, and keep what came of it."""
    kept = Kept.read(case)
    if any(name not in names for name in kept.days):
        _same_world(arena, kept)
    for name in names:
        begun = time.perf_counter()
        who = name
        if name in (RATIO, RATIO_STRICT):
            who = kept.about[name] = arena.best_ratio(case, seeds, each_day=name == RATIO_STRICT)
        kept.days[name] = arena.days(case, who, seeds)
        days = pooled(kept.days[name])
        print(
            f"{case.name:26} {name:28} {days.utilisation:.4f} ± {days.error:.4f}  occupancy {days.occupancy:.3f}  "
            f"abandoned {days.abandoned:.2%}  worst close {days.closing:.2%}  above {days.above}  "
            f"{'' if who == name else who}  [{time.perf_counter() - begun:.0f} s]",
            flush=True,
        )
    order = contestants()
    kept.days = {name: kept.days[name] for name in order if name in kept.days}
    kept.write()


def _same_world(arena: Arena, kept: Kept) -> None:
    """Refuse to stand new figures beside those of a simulator that has changed since."""
    for day in kept.days.get(ONE, [])[:1]:
        again = arena.days(kept.case, ONE, [day.seed])[0]
        if again != day:
            sys.exit(
                f"{kept.case.name}: one to one is no longer what is kept of it: run without --pacers\n{again}\n{day}"
            )


def complete(arena: Arena, case: Case, names: list[str], seeds: Sequence[int]) -> None:
    """Let those pace this case who have not yet, on the seeds that our engine has had; on `seeds` if it has none."""
    days = Kept.read(case).days
    lacking = [name for name in names if name not in days]
    compete(arena, case, lacking, [day.seed for day in days[OURS]] if OURS in days else seeds)


def speed() -> None:
    """Measure the simulator and the engine on one core; seconds are of the processor."""
    case = Case(20)
    begun = time.process_time()
    launched = sum(live(case, ONE, seed).launched for seed in range(5))  # after the warm-up: four fifths of them
    a_minute = 60 * launched / (time.process_time() - begun)
    figures = {"calls lived through in a minute, one to one, 20 agents (wanted: 200,000)": f"{a_minute:,.0f}"}
    for agents in (20, 300):
        timed = _Timed()
        world = Case(agents).world
        timed.pacer = pacers(OURS, world)[0]
        timed.restore = timed.pacer.restore
        run_day(world, [timed], 0)
        took = sorted(timed.took)
        figures[f"a decision for {agents} agents" + (" (wanted: p99 under 5 ms)" if agents == 300 else "")] = (
            f"p50 {_at(took, 0.5)}, p99 {_at(took, 0.99)}, longest {_at(took, 1.0)}"
        )
    figures["fifty campaigns of 20 agents, a decision each 250 ms (wanted: a quarter of one core)"] = _fifty()
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "speed.json").write_text(json.dumps(figures, indent=1) + "\n")
    print("\n".join(f"{name}: {figure}" for name, figure in figures.items()))


def _fifty() -> str:
    """Part of a core that the rules take: what they hear, and what they decide. Reading the rows comes on top."""
    world = replace(Case(20).world, tick=0.25, hours=1.0)
    timed = _Timed()
    timed.pacer = pacers(OURS, world)[0]
    timed.restore = timed.pacer.restore
    run_day(world, [timed], 0)
    return f"{50 * (sum(timed.took) + timed.heard) / world.seconds:.1%} of one core"


class _Timed:
    """Our engine, with a stopwatch."""

    def __init__(self) -> None:
        self.took: list[float] = []
        self.heard = 0.0

    def observe(self, event: PaceEvent) -> None:
        begun = time.process_time()
        self.pacer.observe(event)
        self.heard += time.process_time() - begun

    def decide(self, now: datetime, snapshot: Snapshot) -> Pace:
        begun = time.process_time()
        pace: Pace = self.pacer.decide(now, snapshot)
        self.took.append(time.process_time() - begun)
        return pace


def _at(took: list[float], part: float) -> str:
    return f"{1000 * took[min(len(took) - 1, int(part * len(took)))]:.2f} ms"


def run_short(jobs: int, renew: bool) -> int:
    """Run the short form; return the exit code."""
    begun = time.perf_counter()
    now = short.lived(jobs)
    print(f"{sum(map(len, now.values()))} days in {time.perf_counter() - begun:.0f} s")
    if renew:
        short.renew(now)
        print(f"kept in {short.FILE.name}")
    print(short.compared(now, short.read()).replace("; ", "\n"))
    troubles = short.troubles(now, short.read())
    print("\n".join(troubles) or "as good as it was")
    if troubles and not renew:
        print(f"if this is meant: {short.RENEW}")
    return 1 if troubles else 0


def main() -> int:
    asked = _asked()
    if asked.short or asked.renew_short:
        return run_short(asked.jobs, asked.renew_short)
    parts = asked.only or PARTS
    with Arena(asked.jobs) as arena:
        cases = [case for case in TABLE if case.agents in asked.agents] if "table" in parts else []
        cases += [case for case in DAYS if case.shape in asked.shapes] if "shapes" in parts else []
        for case in cases:
            (complete if asked.missing else compete)(arena, case, asked.pacers, range(asked.seeds))
    if "speed" in parts:
        speed()
    if {"table", "shapes", "plots"} & set(parts):
        if asked.redraw:
            plots.live_the_days()
        print("drawn:", ", ".join(plots.draw()))
    report.rewrite()
    return 0


def _asked() -> argparse.Namespace:
    def listed(text: str) -> list[str]:
        return [part.strip() for part in text.split(";" if ";" in text else ",")]

    def numbers(text: str) -> list[int]:
        return [int(part) for part in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="days of each contestant in each case")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--agents", type=numbers, default=TEAMS, help="teams of the table, as 3,5")
    parser.add_argument("--shapes", type=listed, default=list(SHAPES), help="days, as lunch,inbound")
    parser.add_argument("--pacers", type=listed, default=contestants(), help='as "ours" or "hard limit, total; ours"')
    parser.add_argument("--missing", action="store_true", help="only what has no figures yet")
    parser.add_argument("--only", type=listed, help=f"some of {','.join(PARTS)}")
    parser.add_argument(
        "--redraw", action=argparse.BooleanOptionalAction, default=True, help="live through the days shown"
    )
    parser.add_argument("--short", action="store_true", help="compare a few days with the figures kept")
    parser.add_argument("--renew-short", action="store_true", help="keep the figures of the short form")
    asked = parser.parse_args()
    for given, known, what in (
        (asked.pacers, contestants(), "pacer"),
        (asked.only or [], PARTS, "part"),
        (asked.shapes, SHAPES, "day"),
    ):
        for name in given:
            if name not in known:
                parser.error(f"there is no {what} {name!r}; there are: {'; '.join(known)}")
    return asked


if __name__ == "__main__":
    raise SystemExit(main())
