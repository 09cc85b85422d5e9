"""The short form for every change: a few teams and days on the same seeds, against the figures kept of them."""

import json
from collections.abc import Mapping
from statistics import mean
from typing import Any

from benchmarks.pacing.contest import OURS, Arena, Case, Lived, pooled
from benchmarks.pacing.kept import HERE, in_lines

FILE = HERE / "short.json"
RENEW = ".venv/bin/python benchmarks/pacing/run.py --renew-short"
CASES: Mapping[Case, int] = {  # and how many seeds
    Case(3): 6,
    Case(5): 5,
    Case(20): 4,
    Case(20, answers=0.12): 2,
    Case(100): 1,
    Case(20, shape="cold_start"): 2,
    Case(20, shape="answer_steps"): 2,
    Case(20, shape="lunch"): 2,
    Case(20, shape="slow_pbx"): 2,
    Case(20, shape="unequal_contacts"): 2,
}
COSTS = 0.01  # the part of the utilisation, over all cases, that a change may not cost
COSTS_ONE = 0.03  # and of any one case: a change that is worth nothing moves one by up to 0.014
Short = dict[str, list[Lived]]


def lived(jobs: int) -> Short:
    """Live through all days of the short form."""
    with Arena(jobs) as arena:
        return {case.name: arena.days(case, OURS, range(seeds)) for case, seeds in CASES.items()}


def read() -> Short:
    """Return the figures kept."""
    kept: dict[str, list[dict[str, Any]]] = json.loads(FILE.read_text())
    return {name: [Lived.from_json(day) for day in days] for name, days in kept.items()}


def renew(short: Short) -> None:
    """Keep these figures: what later changes are compared with."""
    days = [f"  {json.dumps(name)}: {in_lines([day.as_json() for day in days])}" for name, days in short.items()]
    FILE.write_text("{\n" + ",\n".join(days) + "\n}\n")


def troubles(now: Short, kept: Short) -> list[str]:
    """Say what is worse than it may be; nothing when all is well."""
    said = []
    for name, days in now.items():
        closed = [f"seed {day.seed} at {day.closing:.2%}" for day in days if day.above]
        if closed:
            said.append(f"{name}: closed above the ceiling: {', '.join(closed)}")
    if {name: len(days) for name, days in now.items()} != {name: len(days) for name, days in kept.items()}:
        return [*said, "short.json keeps other days than these"]
    before, after = _utilisation(kept), _utilisation(now)
    costs = {name: 1 - after[name] / before[name] for name in before}
    said += [
        f"{name}: utilisation {after[name]:.4f}, was {before[name]:.4f}"
        for name, cost in costs.items()
        if cost > COSTS_ONE
    ]
    if mean(costs.values()) > COSTS:
        said.append(f"the change costs {mean(costs.values()):.1%} of utilisation over all cases: {compared(now, kept)}")
    return said


def compared(now: Short, kept: Short) -> str:
    """Say each case's utilisation, and what it was."""
    before, after = _utilisation(kept), _utilisation(now)
    return "; ".join(f"{name} {after[name]:.4f} (was {before.get(name, 0.0):.4f})" for name in after)


def _utilisation(short: Short) -> dict[str, float]:
    return {name: pooled(days).utilisation for name, days in short.items()}
