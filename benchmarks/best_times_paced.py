"""What it is worth to the pacer to know beforehand how the people who come next answer at this hour.

    python benchmarks/best_times_paced.py [--seeds 6] [--agents 20] [--json FILE]

Days in the virtual world of the pacing benchmark, four hours long: at every full hour other people are called, and
answer differently, as in a campaign ordered by the best time. What is expected was learnt from two weeks of calls of
that world, 60 an hour and kind, with the product's own rules. Four pacers meet the same people: one that is told
nothing, one told what is expected, one told what was learnt from a tenth of the calls (so less sure, and less right),
and the last one told of a day that does not come: everybody answers as on average.
"""

import argparse
import json
import random
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path = [place for place in sys.path if Path(place or ".").resolve() != Path(__file__).resolve().parent]

from dialer.best_times import BestTimes, Seen, Who  # noqa: E402
from dialer.pacing import Happened, Pace, PaceEvent, Pacer, Snapshot, pacer_for  # noqa: E402
from dialer.pacing.answers import Chance  # noqa: E402
from dialer.simulation import Campaigning, Curve, World, run_day  # noqa: E402

# By hour of the day, from 9 on: who is called, and how likely they answer.
DAYS = {
    "offices, then mobiles, then homes": (("fixed", 0.34), ("mobile", 0.22), ("fixed", 0.12), ("other", 0.45)),
    "each hour a little": (("fixed", 0.22), ("fixed", 0.28), ("mobile", 0.20), ("mobile", 0.26)),
    "hours do not matter": (("fixed", 0.25),) * 4,
    "today half as often as ever": (("fixed", 0.17), ("mobile", 0.11), ("fixed", 0.06), ("other", 0.225)),
}
USUAL = {"today half as often as ever": "offices, then mobiles, then homes"}  # what its past was like
GROUP = "1/1"


def hour_of_week(at: datetime) -> int:
    return at.weekday() * 24 + at.hour


def learnt(day: Sequence[tuple[str, float]], calls: int, seed: int) -> BestTimes:
    """Learn from ten working days of such hours."""
    chance = random.Random(f"{seed} past")
    cells = []
    for weekday in range(10):
        for n, (kind, likely) in enumerate(day):
            answered = sum(chance.random() < likely for _ in range(calls))
            cells.append(Seen(Who(GROUP, kind), (weekday % 5) * 24 + 9 + n, float(calls), float(answered)))
    return BestTimes.learn(cells)


@dataclass
class Told:
    """The engine, with what a campaign in the order best-time tells it; `times` None: nothing, as before."""

    day: Sequence[tuple[str, float]]
    times: BestTimes | None
    pacer: Pacer

    def _named(self, at: datetime) -> tuple[str, Chance | None]:
        if self.times is None:
            return GROUP, None
        kind, hour = self.day[min(max(at.hour - 9, 0), len(self.day) - 1)][0], hour_of_week(at)
        return f"{GROUP} {kind} {hour}", self.times.sure(Who(GROUP, kind), hour)

    def observe(self, event: PaceEvent) -> None:
        if event.kind is Happened.LAUNCHED:
            self.launched = getattr(self, "launched", {})
            group, expected = self._named(event.at)
            self.launched[event.call] = group
            event = replace(event, group=group, expected=expected)
        self.pacer.observe(event)

    def restore(self, events: Iterable[PaceEvent]) -> None:
        self.pacer.restore(events)

    def decide(self, now: datetime, snapshot: Snapshot) -> Pace:
        group, expected = self._named(now)
        calls = [now - timedelta(seconds=rung) for rung in snapshot.ringing]
        snapshot = replace(snapshot, ringing_groups=tuple(self._named(at)[0] for at in calls))
        if expected is not None:
            snapshot = replace(
                snapshot, in_order=True, prospects=((group, 50),), expected=((group, expected.value, expected.calls),)
            )
        return self.pacer.decide(now, snapshot)


def lived(name: str, agents: int, seed: int) -> dict[str, dict[str, float]]:
    day, past = DAYS[name], DAYS[USUAL.get(name, name)]
    curve = Curve(tuple((n * 3600.0, likely) for n, (_, likely) in enumerate(day)))
    world = World(
        agents=agents,
        campaigns=(Campaigning(answers=curve),),
        warm_up_hours=0.0,
        hours=float(len(day)),
        min_ring=15.0,
        begins=datetime.fromisoformat("2026-03-02T09:00:00+00:00"),
    )
    average = statistics.mean(likely for _, likely in past)
    pacers = {
        "nothing": None,
        "expected": learnt(past, 60, seed),
        "from a tenth": learnt(past, 6, seed),
        "average": learnt([(kind, average) for kind, _ in past], 60, seed),
    }
    found = {}
    for told, times in pacers.items():
        one = run_day(world, [Told(day, times, pacer_for("predictive"))], seed)
        found[told] = {"utilisation": one.utilisation, "abandoned": one.rate or 0.0, "closing": one.closing_rate or 0.0}
    return found


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seeds", type=int, default=6)
    arguments.add_argument("--agents", type=int, default=20)
    arguments.add_argument("--only", choices=list(DAYS), action="append", help="These days; may be given again.")
    arguments.add_argument("--json", type=Path)
    given = arguments.parse_args()
    figures: list[dict[str, Any]] = []
    for name in given.only or DAYS:
        days = [lived(name, given.agents, seed) for seed in range(given.seeds)]
        for told in days[0]:
            of = [one[told] for one in days]
            figures.append(
                {
                    "day": name,
                    "agents": given.agents,
                    "told": told,
                    "utilisation": round(statistics.mean(one["utilisation"] for one in of), 4),
                    "abandoned": round(statistics.mean(one["abandoned"] for one in of), 4),
                    "worst closing": round(max(one["closing"] for one in of), 4),
                    "above": sum(one["closing"] > 0.03 for one in of),
                }
            )
            print(json.dumps(figures[-1]), flush=True)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
