"""How often does a legal window close above its ceiling? (I11: fewer than 1 in 1,000.)

    .venv/bin/python benchmarks/pacing/windows.py [--windows 10000] [--from 0] [--jobs 2]

Each window is a campaign's whole life in virtual time, from its first call to its close at a moment nobody announced: a
team of 2 to 25, a list that answers 0.08 to 0.6, talks of 60 to 240 s, 10 to 90 minutes long, and trouble: the answer
rate steps once or twice, agents leave for lunch within ten minutes, the PBX is slow, answers are machines, or none of
it. Short windows are the hard ones: one abandoned call is a larger part of them, and the last block, "however short",
is the law's own. Prints the windows above, and each of them by its seed.
"""

import argparse
import json
import random
from dataclasses import replace
from multiprocessing import get_context

from dialer.pacing import pacer_for
from dialer.simulation import Campaigning, Curve, LogNormal, World, run_day
from dialer.simulation.results import over


def window(seed: int) -> World:
    """Draw a window to live through."""
    chance = random.Random(f"window {seed}")
    minutes = 10 * 9 ** chance.random()
    agents = round(2 * 12.5 ** chance.random())
    answers = 0.08 * 7.5 ** chance.random()
    world = World(
        agents=agents,
        talk=LogNormal(60 * 4 ** chance.random(), 1.0),
        hours=minutes / 60,
        warm_up_hours=0.0,
        min_ring=15.0,
    )
    curve = Curve.flat(answers)
    end = world.seconds
    trouble = chance.choice(("none", "steps", "steps", "leave", "leave", "slow", "machines", "all"))
    if trouble in ("steps", "all"):
        moments = sorted(chance.uniform(0, end) for _ in range(chance.choice((1, 2))))
        levels = [min(0.7, max(0.04, answers * 6 ** chance.uniform(-1, 1))) for _ in moments]
        curve = Curve(((0.0, answers), *zip(moments, levels, strict=True)))
    if trouble in ("leave", "all"):
        leaves, back = sorted(chance.uniform(0, end) for _ in range(2))
        few = float(max(1, round(agents * chance.uniform(0.2, 0.8))))
        gone = min(back, leaves + chance.uniform(60, 600))  # not all in one second
        lunch = ((0.0, float(agents)), (leaves, float(agents)), (gone, few), (back, few), (back + 60, float(agents)))
        world = replace(world, at_work=Curve(lunch, smooth=True))
    if trouble in ("slow", "all"):
        world = replace(world, launch_delay=chance.uniform(0, 4), told_late=chance.uniform(0, 1))
    if trouble == "machines":
        world = replace(world, machines=chance.uniform(0.1, 0.5))
    return replace(world, campaigns=(Campaigning(answers=curve),))


def close(seed: int) -> dict[str, object]:
    """Live through a window and close it."""
    world = window(seed)
    (campaign,) = run_day(world, [pacer_for("predictive")], seed).campaigns
    return {
        "seed": seed,
        "above": over(campaign, world.ceiling),
        "abandoned": campaign.abandoned_all,
        "met": campaign.met_all,
        "agents": world.agents,
        "minutes": round(world.seconds / 60),
        "slow": round(world.told_late, 2),
        "leave": world.at_work is not None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=10_000)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    seeds = range(given.first, given.first + given.windows)
    above, answered, abandoned, done = [], 0, 0, 0
    with get_context("fork").Pool(given.jobs) as pool:
        for one in pool.imap(close, seeds, chunksize=8):
            done += 1
            answered += int(str(one["met"])) + int(str(one["abandoned"]))
            abandoned += int(str(one["abandoned"]))
            if one["above"]:
                above.append(one)
                print(f"  above: {json.dumps(one)}", flush=True)
            if done % 500 == 0:
                print(f"{done} windows, {len(above)} above", flush=True)
    print(
        json.dumps(
            {
                "windows": done,
                "above": len(above),
                "of_a_thousand": round(1000 * len(above) / done, 3),
                "answered": answered,
                "abandoned": round(abandoned / max(1, answered), 5),
            }
        )
    )


if __name__ == "__main__":
    main()
