"""What the order `best-time` is worth: answers per call, beside calling whoever has been due longest.

    python benchmarks/best_times.py [--seeds 8] [--json FILE]

Virtual weeks, no database: a list of people, agents who can take so many conversations an hour from Monday to Friday,
9 to 20, and Saturday, 10 to 13; calls are made until the hour's conversations are had or nobody is due, and whoever
was not reached is tried again after two hours, four times at most. Both orders call the same people with the same luck,
and both begin knowing nothing; what they learn, they learn from their own calls, with the product's own rules. The
worlds differ in how much the hour matters: not at all; a little; and as much as it is told of homes and offices.
"""

import argparse
import json
import random
import statistics
import sys
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path = [place for place in sys.path if Path(place or ".").resolve() != Path(__file__).resolve().parent]

from dialer.best_time_choice import PATIENCE, Due, Outlook  # noqa: E402
from dialer.best_times import BestTimes, Seen, Who, hour_of_week  # noqa: E402

BEGINS = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)  # Monday, 9 in Rome
ZONE = "Europe/Rome"
HOUR, RETRY = timedelta(hours=1), timedelta(hours=2)
MOST_TRIES = 4
BATCH, LOOKED_AT = 10, 400  # as the product orders, a few at a time of many it looks at


@dataclass(frozen=True)
class World:
    """Kinds of number with their part of the list and their chance by the hour, and the team."""

    name: str
    kinds: dict[str, tuple[float, dict[range, float]]]
    people: int
    talks_an_hour: int
    weeks: int


_HOME = {range(0, 12): 0.14, range(12, 14): 0.20, range(14, 17): 0.12, range(17, 24): 0.32}
_OFFICE = {range(0, 12): 0.34, range(12, 14): 0.12, range(14, 17): 0.26, range(17, 24): 0.06}
_MOBILE = {range(0, 12): 0.20, range(12, 14): 0.26, range(14, 17): 0.19, range(17, 24): 0.27}
_FLAT = {range(0, 24): 0.22}


def _milder(hours: dict[range, float], share: float) -> dict[range, float]:
    return {span: 0.22 + share * (chance - 0.22) for span, chance in hours.items()}


WORLDS = (
    World("the hour does not matter", {"fixed": (0.6, _FLAT), "mobile": (0.4, _FLAT)}, 12_000, 60, 2),
    World(
        "a third of that",
        {"fixed": (0.4, _milder(_OFFICE, 0.33)), "other": (0.3, _milder(_HOME, 0.33)), "mobile": (0.3, _MOBILE)},
        12_000, 60, 2,
    ),
    World(
        "homes, offices and mobiles", {"fixed": (0.4, _OFFICE), "other": (0.3, _HOME), "mobile": (0.3, _MOBILE)},
        12_000, 60, 2,
    ),
    World(
        "the same, and too few people", {"fixed": (0.4, _OFFICE), "other": (0.3, _HOME), "mobile": (0.3, _MOBILE)},
        4_000, 60, 2,
    ),
    World("mobiles alone", {"mobile": (1.0, _MOBILE)}, 12_000, 60, 2),
)  # fmt: skip


def is_open(zone: str, at: datetime) -> bool:
    hour = hour_of_week(at, zone)
    day, of_day = divmod(hour, 24)
    return 9 <= of_day < 20 if day < 5 else day == 5 and 10 <= of_day < 13


def run(world: World, order: str, seed: int) -> dict[str, float]:
    """Call through the weeks; returns calls, answers, and people reached."""
    chance = random.Random(f"{seed} people")
    kinds, parts = list(world.kinds), [part for part, _ in world.kinds.values()]
    kind = [chance.choices(kinds, parts)[0] for _ in range(world.people)]
    frailty = [min(2.0, max(0.2, chance.gauss(1.0, 0.35))) for _ in range(world.people)]
    tried = [0] * world.people
    waiting = [(BEGINS, n) for n in range(world.people)]
    last_at = [BEGINS] * world.people
    seen: dict[tuple[Who, int], list[float]] = defaultdict(lambda: [0.0, 0.0])
    calls, answers, idle = 0, 0, 0.0
    due: list[tuple[datetime, int]] = []  # whoever has been due longest first
    now, made, batches = BEGINS, 400, 0
    while now < BEGINS + timedelta(weeks=world.weeks):
        if not is_open(ZONE, now):
            now += HOUR
            continue
        talks, hour = 0, hour_of_week(now, ZONE)
        an_hour, made = max(made, 1), 0
        of_day = hour % 24
        while talks < world.talks_an_hour:
            while waiting and waiting[0][0] <= now:
                heappush(due, heappop(waiting))
            if not due:
                idle += 1 - talks / world.talks_an_hour
                break
            looked = [heappop(due) for _ in range(min(LOOKED_AT if order == "best-time" else BATCH, len(due)))]
            called = [n for _, n in looked]
            if order == "best-time":
                if batches % 5 == 0:
                    times = BestTimes.learn(Seen(who, at, n, yes) for (who, at), (n, yes) in seen.items())
                    outlook = Outlook(times, now, is_open)
                given = [
                    Due(n, Who(f"1/{min(3, tried[n] + 1)}", kind[n]), ZONE,
                        patient=not tried[n] or now - last_at[n] <= PATIENCE)
                    for _, n in looked
                ]  # fmt: skip
                called = [one.id for one in outlook.in_order(given)[:BATCH]]
                left = [one for one in given if one.id not in called]
                off = {}
                if batches % 10 == 0:
                    off = dict(outlook.put_off(left, staying=len(due) + len(given), an_hour=an_hour))
                batches += 1
                for since, n in looked:
                    if n in off:
                        heappush(waiting, (off[n], n))
                    elif n not in called:
                        heappush(due, (since, n))
            for n in called:
                calls += 1
                made += 1
                who = Who(f"1/{min(3, tried[n] + 1)}", kind[n])
                p = next(p for span, p in world.kinds[kind[n]][1].items() if of_day in span)
                answered = random.Random(f"{seed} {n} {tried[n]} {hour}").random() < p * frailty[n]
                seen[who, hour][0] += 1
                seen[who, hour][1] += answered
                tried[n] += 1
                last_at[n] = now
                answers += answered
                talks += answered
                if not answered and tried[n] < MOST_TRIES:
                    heappush(waiting, (now + RETRY, n))
        now += HOUR
    return {"calls": calls, "answers": answers, "per_call": answers / calls, "idle_hours": idle}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seeds", type=int, default=8)
    arguments.add_argument("--json", type=Path)
    given = arguments.parse_args()
    figures: list[dict[str, Any]] = []
    for world in WORLDS:
        gains, told = [], defaultdict(list)
        for seed in range(given.seeds):
            ours, due = run(world, "best-time", seed), run(world, "due", seed)
            gains.append(ours["per_call"] / due["per_call"] - 1.0)
            for name, one in (("best_time", ours), ("due", due)):
                for what, value in one.items():
                    told[f"{name} {what}"].append(value)
        figures.append(
            {
                "world": world.name,
                **{what: round(statistics.mean(values), 4) for what, values in sorted(told.items())},
                "gain": round(statistics.mean(gains), 4),
                "least": round(min(gains), 4),
                "most": round(max(gains), 4),
            }
        )
        print(json.dumps(figures[-1]), flush=True)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
