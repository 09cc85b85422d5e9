"""From a customer's answer, as received, to the join command, as sent, an agent being free.

Every process of the product is real, the people are simulated at life speed. Prints the distribution under load
and for the first answers after a quiet minute.

    .venv/bin/python benchmarks/answer_to_join.py [--agents 40] [--seconds 180] [--quiet 60] [--json]
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import text

from campaigns import lifecycle
from campaigns.application import Application
from campaigns.db import database_now
from workers import demo
from workers.demo_results import percentile

WAITS = text(
    """
    SELECT extract(epoch FROM t.join_sent_at - greatest(t.answered_at, s.agent_free_at)) * 1000 AS ms
    FROM attempts t JOIN LATERAL (
        SELECT agent_free_at FROM assignments WHERE attempt_id = t.id ORDER BY id LIMIT 1
    ) s ON true
    WHERE t.join_sent_at > :since AND t.join_sent_at <= :until ORDER BY 1
    """
)
# The worst ones, taken apart: milliseconds after the answer (or, for the agent, before it).
SLOWEST = text(
    """
    SELECT round(extract(epoch FROM t.held_at - t.answered_at) * 1000) AS held,
           round(extract(epoch FROM s.agent_free_at - t.answered_at) * 1000) AS agent_free,
           round(extract(epoch FROM s.assigned_at - t.answered_at) * 1000) AS assigned,
           round(extract(epoch FROM c.due_at - t.answered_at) * 1000) AS ordered,
           round(extract(epoch FROM t.join_sent_at - t.answered_at) * 1000) AS sent
    FROM attempts t
    JOIN LATERAL (SELECT * FROM assignments WHERE attempt_id = t.id ORDER BY id LIMIT 1) s ON true
    JOIN LATERAL (SELECT * FROM commands WHERE ref = t.ref AND kind = 'join' ORDER BY id LIMIT 1) c ON true
    WHERE t.join_sent_at > :since
    ORDER BY t.join_sent_at - greatest(t.answered_at, s.agent_free_at) DESC LIMIT 12
    """
)
OPEN = text("SELECT count(*) FROM attempts WHERE ended_at IS NULL")


def contacts(folder: Path, number: int, *, first: int = 0) -> Path:
    file = folder / "contacts.csv"
    lines = ["phone,first_name", *(f"+3906311{n:05},Contact {n}" for n in range(first, first + number))]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def waits(application: Application, since: object, until: object) -> list[float]:
    with application.transaction() as session:
        return [float(ms) for ms in session.scalars(WAITS, {"since": since, "until": until})]


def slowest(application: Application, since: object) -> list[dict[str, object]]:
    with application.transaction() as session:
        return [dict(row._mapping) for row in session.execute(SLOWEST, {"since": since})]


def now(application: Application) -> object:
    with application.transaction() as session:
        return database_now(session)


def load(application: Application, seconds: float) -> tuple[object, object, float]:
    """Let it run; returns when it began and ended, and the mean number of calls in progress."""
    began, end, seen = now(application), time.monotonic() + seconds, []
    while time.monotonic() < end:
        time.sleep(1)
        with application.transaction() as session:
            seen.append(session.execute(OPEN).scalar_one())
    return began, now(application), sum(seen) / len(seen)


def switch(application: Application, verb: str, names: Sequence[str] = (demo.CAMPAIGN,)) -> None:
    for name in names:
        with application.transaction() as session:
            getattr(lifecycle, verb)(session, name, now=database_now(session), who="benchmark")


def figures(values: list[float]) -> dict[str, float]:
    shares = {f"p{share}": round(percentile(values, share), 1) for share in (50, 90, 95, 99)}
    return {"joins": len(values), **shares, "max": round(max(values, default=0.0), 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--quiet", type=float, default=60)
    parser.add_argument("--speed", type=float, default=3.0, help="of the people; more joins in less time")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="answer-to-join-") as folder:
        plan = demo.DemoPlan(
            contacts=contacts(Path(folder), 9000),
            folder=Path(folder),
            agents=given.agents,
            speed=given.speed,
            answer_probability=0.4,
        )
        with demo.stage(plan, demo.unwatched) as stage:
            app = stage.application
            demo.create(plan, app)
            demo.import_contacts(plan, app, demo.unwatched)
            switch(app, "start")
            load(app, 20)
            began, ended, calls = load(app, given.seconds)
            under_load = waits(app, began, ended)
            switch(app, "pause")
            time.sleep(given.quiet)
            quiet_over = now(app)
            switch(app, "resume")
            _, after, _ = load(app, 20)
            afterwards = waits(app, quiet_over, after)[: given.agents]
    result = {
        "calls_in_progress": round(calls, 1),
        "under_load_ms": figures(under_load),
        "after_a_quiet_minute_ms": figures(afterwards),
    }
    if given.json:
        print(json.dumps(result))
        return
    print(f"calls in progress, mean: {result['calls_in_progress']}")
    for name in ("under_load_ms", "after_a_quiet_minute_ms"):
        print(f"{name:26}", "  ".join(f"{key} {value}" for key, value in result[name].items()))
    for low in range(0, 300, 20):
        share = sum(low <= ms < low + 20 for ms in under_load) / max(1, len(under_load))
        print(f"{low:4}-{low + 20:<4} ms  {'#' * round(share * 60)} {share:.1%}")


if __name__ == "__main__":
    main()
