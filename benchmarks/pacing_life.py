"""The real product beside virtual time: what pacing loses between the rules and the telephones.

Every process of the product is real and the simulated PBX lives at life speed in the world pacing is judged in
(`--profile pacing`, docs/simulator.md). Everything is measured from rows, and the PBX's own book says what was true.
Beside it the same pacer in the same world in virtual time, many times over: one stretch of half an hour is chance.

    .venv/bin/python benchmarks/pacing_life.py [--agents 20] [--minutes 30] [--warm-up 10] [--runs 2] [--json FILE]
    .venv/bin/python benchmarks/pacing_life.py --only virtual
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from answer_to_join import contacts, figures, now, switch
from sqlalchemy import text
from ticks import beats, cpu_seconds

from campaigns.application import Application
from dialer.pacing import pacer_for
from dialer.settings import TimingSettings
from dialer.simulation import Campaigning, Curve, LogNormal, World, run_day
from workers import demo

TALK, WRAP_UP = 180.0, 20.0  # means of the world
STATES = ("talking", "wrap_up", "ready", "parking", "parked", "assigned", "paused", "out")

_MOVES = text(
    """
    SELECT agent_id, at, details->>'from' AS before, details->>'to' AS after FROM ledger
    WHERE kind = 'agent' AND at <= :until ORDER BY at, id
    """
)
_AGENTS = text("SELECT id, state FROM agents ORDER BY id")
# D and L as the budget counts them, of the calls answered in the stretch.
_RATE = text(
    """
    SELECT count(*) FILTER (WHERE joined_at IS NOT NULL AND NOT late) AS met,
           count(*) FILTER (WHERE state IN ('abandoned', 'message') OR late
                            OR (ended_at IS NOT NULL AND joined_at IS NULL AND state <> 'hung_up')) AS abandoned
    FROM (SELECT *, coalesce(extract(epoch FROM joined_at - answered_at) > answer_limit, false) AS late
          FROM attempts WHERE answered_at > :since AND answered_at <= :until) AS answered
    """
)
_ORDERED = text(
    """
    SELECT count(*) AS calls,
           avg(extract(epoch FROM sent_at - ordered_at)) AS sent,
           avg(extract(epoch FROM answered_at - ordered_at)) AS answered
    FROM attempts WHERE ordered_at > :since AND ordered_at <= :until
    """
)
_BOUND = text(
    """
    SELECT coalesce(limits->'bound_by'->>0, 'nothing') AS bound_by, sum(ticks) AS ticks, sum(ordered) AS ordered
    FROM pace_decisions WHERE decided_at > :since AND decided_at <= :until GROUP BY 1 ORDER BY 2 DESC
    """
)
_WRITTEN = text(
    """
    SELECT coalesce(nullif(why, ''), 'said so') AS why, count(*) AS number FROM ledger
    WHERE kind = 'agent' AND details->>'from' = 'wrap_up' AND at > :since AND at <= :until GROUP BY 1 ORDER BY 2 DESC
    """
)
_JOINED = text(
    """
    SELECT extract(epoch FROM joined_at - answered_at) * 1000 FROM attempts
    WHERE joined_at > :since AND joined_at <= :until AND answered_at IS NOT NULL ORDER BY 1
    """
)


@dataclass(frozen=True)
class Stretch:
    """What one stretch of agents' time came to. The parts are seconds for each conversation."""

    utilisation: float  # talk over logged-in time
    occupancy: float  # talk and wrap-up over logged-in time
    conversations: int
    abandoned: int
    met: int
    parts: dict[str, float]
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return self.abandoned / max(1, self.abandoned + self.met)

    @property
    def lost(self) -> float:
        """Seconds for each conversation that were neither talk nor wrap-up."""
        return self.parts["lost"]

    @property
    def levelled(self) -> float:
        """The utilisation had talks and wrap-ups lasted as long as they do on average: without most of the chance."""
        return TALK / (TALK + WRAP_UP + self.lost)


# Virtual time --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Late(LogNormal):
    """A wrap-up after which the agent is missed for some seconds more."""

    by: float = 0.0

    def draw(self, chance: random.Random) -> float:
        return super().draw(chance) + self.by


def virtual(given: argparse.Namespace, slow: Mapping[str, float] | None = None) -> list[Stretch]:
    """Live the same stretch in virtual time, once for each day: the one place that knows that simulator.

    `slow`: as the product was seen to be, which says how much of a difference its delays explain.
    """
    late = slow["late"] if slow else 0.0
    world = World(
        agents=given.agents,
        campaigns=(Campaigning(answers=Curve.flat(given.answers)),),
        hours=given.minutes / 60,
        warm_up_hours=given.warm_up / 60,
    )
    if slow:
        wrap_up = Late(WRAP_UP, world.wrap_up.cv, by=late)
        world = replace(world, wrap_up=wrap_up, connect=slow["connect"], patience=slow["patience"], tick=slow["tick"])
    found = []
    for seed in range(given.days):
        day = run_day(world, [pacer_for("predictive")], seed)
        lost, met = sum(one.abandoned for one in day.campaigns), sum(one.met for one in day.campaigns)
        wrapped = day.wrapped - late * met
        spent = {"talk": day.talked, "wrap-up": wrapped, "lost": day.worked - day.talked - wrapped}
        parts = {name: seconds / max(1, met) for name, seconds in spent.items()}
        found.append(Stretch(day.utilisation, (day.talked + wrapped) / day.worked, met, lost, met, parts))
    return found


def slowness(lived: Sequence[Stretch]) -> dict[str, float]:
    """What the product was seen to add to the world: see `virtual`."""
    timing = TimingSettings()
    return {
        "late": fmean(sum(one.parts[part] for part in ("seen", "ready", "parking")) for one in lived),
        "connect": fmean(one.parts["assigned"] for one in lived),
        "patience": timing.answer_limit - timing.message_lead,
        "tick": timing.tick,
    }


# Life ----------------------------------------------------------------------------------------------------


def live(given: argparse.Namespace) -> Stretch:
    """Live the stretch with every process of the product, and measure it."""
    with tempfile.TemporaryDirectory(prefix="pacing-life-") as folder:
        answered = given.agents * (given.warm_up + given.minutes) * 60 / (TALK + WRAP_UP)
        plan = demo.DemoPlan(
            contacts=contacts(Path(folder), int(1.5 * answered / given.answers) + 500),
            folder=Path(folder),
            agents=given.agents,
            lines=5 * given.agents,
            speed=1.0,
            seed=given.seed,
            answer_probability=given.answers,
            profile="pacing",
            wrap_up_limit=600.0,  # a supervisor's limit is no part of the world
            presence_poll=None,
            sweep=None,
        )
        with demo.stage(plan, demo.unwatched) as stage:
            app = stage.application
            demo.create(plan, app)
            demo.import_contacts(plan, app, demo.unwatched)
            switch(app, "start")
            time.sleep(given.warm_up * 60)
            began, book, cpu = now(app), stage.book.read(), _cpu(app)
            loads = _wait(given.minutes * 60)
            ended, later = now(app), stage.book.read()
            used = {
                kind: round((spent - cpu.get(kind, 0.0)) / given.minutes / 60, 3) for kind, spent in _cpu(app).items()
            }
            scheduler = beats(app)["scheduler"][1]
            switch(app, "stop")
            stretch = measure(app, began, ended, book, later)
    more = {**stretch.more, "load": loads, "late_ms": scheduler["late_ms"], "cpu_of_one_core": used}
    return Stretch(**{**asdict(stretch), "more": more})


def live_all(given: argparse.Namespace) -> list[Stretch]:
    """Live one stretch here, or several at the same time, each in a process of its own that ends with us."""
    if given.runs == 1:
        return [live(given)]
    with tempfile.TemporaryDirectory(prefix="pacing-life-runs-") as folder:
        files = [Path(folder) / f"{n}.json" for n in range(given.runs)]
        told = [
            f"--{name.replace('_', '-')}={getattr(given, name)}" for name in ("agents", "minutes", "warm_up", "answers")
        ]
        runs = [
            subprocess.Popen(
                [sys.executable, __file__, *told, f"--seed={given.seed + n}", "--only=life", f"--json={file}"],
                stdout=subprocess.DEVNULL,
            )
            for n, file in enumerate(files)
        ]
        try:
            for run in runs:
                run.wait()
        finally:
            for run in runs:
                run.terminate()
            for run in runs:
                run.wait()
        return read(file for file in files if file.exists())


def read(files: Iterable[Path]) -> list[Stretch]:
    """Read the stretches of life that `--json` left."""
    return [Stretch(**one) for file in files for one in json.loads(file.read_text("utf-8"))["life"]]


def measure(
    app: Application, began: object, ended: object, book: Mapping[str, Any], later: Mapping[str, Any]
) -> Stretch:
    """Sum the stretch up: the agents' time by the ledger, and by the PBX's book at its two ends."""
    told = {"since": began, "until": ended}
    with app.transaction() as session:
        spent = states(
            [(row.agent_id, row.at, row.before, row.after) for row in session.execute(_MOVES, {"until": ended})],
            {row.id: row.state for row in session.execute(_AGENTS)},
            began,  # type: ignore[arg-type]
            ended,  # type: ignore[arg-type]
        )
        rate = session.execute(_RATE, told).one()
        ordered = session.execute(_ORDERED, told).one()
        bound = {row.bound_by: (int(row.ticks), int(row.ordered)) for row in session.execute(_BOUND, told)}
        written = {row.why: row.number for row in session.execute(_WRITTEN, told)}
        joins = [float(ms) for ms in session.scalars(_JOINED, told)]
    true = _between(book, later)
    count = max(1, len(joins))
    worked = sum(seconds for state, seconds in spent.items() if state != "out")
    parts = {state: spent[state] / count for state in STATES}
    pbx = {state: seconds / count for state, seconds in true.items()}
    # The wrap-up as we saw it is longer than the agent's: by how long the end stayed unseen.
    parts["seen"] = parts["wrap_up"] - pbx.get("wrap-up", 0.0)
    parts["lost"] = (worked - true["talking"] - true["wrap-up"]) / count
    return Stretch(
        utilisation=true["talking"] / worked,
        occupancy=(true["talking"] + true["wrap-up"]) / worked,
        conversations=len(joins),
        abandoned=rate.abandoned,
        met=rate.met,
        parts=parts,
        more={
            "by_rows": {
                "utilisation": spent["talking"] / worked,
                "occupancy": (spent["talking"] + spent["wrap_up"]) / worked,
            },
            "pbx_parts": pbx,
            "pbx_abandoned": later["abandoned"] - book["abandoned"],
            "pbx_joined": later["joined"] - book["joined"],
            "silent_calls": later["silent_calls"],
            "double_dials": later["double_dials"],
            "two_on_one": later["two_on_one"],
            "wrap_ups_ended": written,
            "calls": ordered.calls,
            "bound_by": bound,  # the limit of each decision: ticks, and calls ordered
            "order_to_sent": float(ordered.sent or 0),
            "order_to_answer": float(ordered.answered or 0),
            "answer_to_join_ms": figures(joins),
            "requests_a_second": {
                name: round((number - book["requests"].get(name, 0)) / (later["time"] - book["time"]), 2)
                for name, number in later["requests"].items()
            },
        },
    )


def states(
    moves: list[tuple[int, datetime, str, str]], last: Mapping[int, str], began: datetime, ended: datetime
) -> Counter[str]:
    """Seconds all agents spent in each state between two moments."""
    spent: Counter[str] = Counter(dict.fromkeys(STATES, 0.0))
    by_agent = defaultdict(list)
    for agent, at, before, after in moves:
        by_agent[agent].append((at, before, after))
    for agent, state in last.items():
        since = began
        now_in = state
        for at, before, after in by_agent[agent]:
            now_in = after
            if at > began:
                spent[before] += (min(at, ended) - since).total_seconds()  # type: ignore[assignment]
                since = at
        spent[now_in] += (ended - since).total_seconds()  # type: ignore[assignment]
    return spent


def _between(book: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, float]:
    spent: dict[str, float] = defaultdict(float)
    for extension, by_state in later["agents"].items():
        for state, seconds in by_state.items():
            spent[state] += seconds - book["agents"].get(extension, {}).get(state, 0.0)
    return spent


def _cpu(app: Application) -> dict[str, float]:
    return {kind: cpu_seconds(pid) for kind, (pid, _) in beats(app).items()}


def _wait(seconds: float) -> dict[str, float]:
    """Let it run; returns the machine's load meanwhile."""
    end, loads = time.monotonic() + seconds, []
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 10.0))
        loads.append(os.getloadavg()[0])
    return {"mean": round(fmean(loads), 2), "max": round(max(loads), 2)}


# Telling -------------------------------------------------------------------------------------------------

_FIGURES: tuple[tuple[str, Callable[[Stretch], float]], ...] = (
    ("utilisation", lambda one: one.utilisation),
    ("  talks and wrap-ups levelled", lambda one: one.levelled),
    ("occupancy", lambda one: one.occupancy),
    ("abandoned D/(D+L)", lambda one: one.rate),
    ("conversations", lambda one: one.conversations),
    ("lost s a conversation", lambda one: one.lost),
)
_PARTS = (
    ("  end of wrap-up unseen", "seen"),
    ("  ready, not rung yet", "ready"),
    ("  being parked", "parking"),
    ("  parked, no customer", "parked"),
    ("  given a customer", "assigned"),
    ("  paused", "paused"),
)


def spread(values: Sequence[float]) -> str:
    """Mean and deviation."""
    if not values:
        return ""
    return f"{fmean(values):.4f}" + (f" ± {stdev(values):.4f}" if len(values) > 1 else "")


def table(lived: Sequence[Stretch], columns: Mapping[str, Sequence[Stretch]]) -> str:
    """Life and virtual time side by side: mean ± deviation of one stretch."""
    rows = [["", f"life ({len(lived)})", *(f"{name} ({len(days)})" for name, days in columns.items())]]
    for name, figure in _FIGURES:
        rows.append([name, *(spread([figure(one) for one in each]) for each in (lived, *columns.values()))])
    if lived:
        rows += [[name, spread([one.parts[part] for one in lived])] for name, part in _PARTS]
        for name, what in (("order to sent, s", "order_to_sent"), ("order to answer, s", "order_to_answer")):
            rows.append([name, spread([one.more[what] for one in lived])])
        for one in lived:
            rows.append(["answer to join, ms", str(one.more["answer_to_join_ms"])])
            rows.append(["ticks and calls by limit", str(one.more.get("bound_by"))])
            rows.append(["ends of wrap-ups", str(one.more.get("wrap_ups_ended"))])
            rows.append(["load of the machine", str(one.more["load"])])
    most = max(len(row) for row in rows)
    widths = [max(len(row[n]) for row in rows if len(row) == most) for n in range(most)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows
    )


def verdict(lived: Sequence[Stretch], days: Sequence[Stretch]) -> dict[str, list[float]]:
    """Life as a share of virtual time, and how sure that is (one standard error), raw and levelled."""
    found = {}
    for name in ("utilisation", "levelled"):
        ours, theirs = [getattr(one, name) for one in lived], [getattr(one, name) for one in days]
        ratio = fmean(ours) / fmean(theirs)
        error = stdev(theirs) / fmean(theirs) * sqrt(1 / len(ours) + 1 / len(theirs))
        found[name] = [round(ratio, 4), round(error, 4)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--warm-up", type=float, default=10, help="minutes")
    parser.add_argument("--answers", type=float, default=0.25, help="the chance that a call is answered")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=1, help="of the product, at the same time, each with its own seed")
    parser.add_argument("--days", type=int, default=60, help="stretches in virtual time")
    parser.add_argument("--only", choices=("life", "virtual"))
    parser.add_argument("--read", type=Path, nargs="+", help="files that --json left, instead of living anew")
    parser.add_argument("--json", type=Path, help="where to leave the figures")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that every process ends with us
    lived: list[Stretch] = []
    if given.read:
        lived = read(given.read)
    elif given.only != "virtual":
        lived = live_all(given)
    if not lived and given.only != "virtual":
        sys.exit("no run came to its end")
    columns = {} if given.only == "life" else {"virtual": virtual(given)}
    if columns and lived:
        columns["virtual, as slow as the product"] = virtual(given, slowness(lived))
    found: dict[str, Any] = {
        **{name: getattr(given, name) for name in ("agents", "minutes", "warm_up", "answers")},
        "life": [asdict(one) for one in lived],
        **{
            name: {figure.strip(): spread([value(one) for one in each]) for figure, value in _FIGURES}
            for name, each in columns.items()
        },
    }
    if columns and lived:
        found["life_to_virtual"] = verdict(lived, columns["virtual"])
        found["life_to_slow_virtual"] = verdict(lived, columns["virtual, as slow as the product"])
    print(json.dumps(found, indent=1))
    print(table(lived, columns))
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
