"""One scheduler and one worker carrying many agents at life speed: how late are the ticks, and what does it cost?

    .venv/bin/python benchmarks/ticks.py [--agents 200] [--lines 400] [--minutes 10] [--campaigns 1] [--settle 10]

With more than one campaign the agents are shared out among them, and each calls its own people. Prints the lateness of
the ticks (p50, p99, max, in ms), the calls carried, and the CPU each process took.
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

from answer_to_join import contacts, figures, now, slowest, switch, waits
from sqlalchemy import func, select, text

from campaigns import importing, lifecycle, roster
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import Import
from workers import demo

CARRIED = text(
    """
    SELECT count(*) AS attempts, count(joined_at) AS joined, count(*) FILTER (WHERE state = 'abandoned') AS abandoned,
           (SELECT count(*) FROM logged_events) AS events
    FROM attempts
    """
)
OPEN = text("SELECT count(*) FROM attempts WHERE ended_at IS NULL")
BEATS = text("SELECT kind, name, details FROM process_beats ORDER BY kind")


def cpu_seconds(pid: int, *, main_thread: bool = False) -> float:
    """User and system time of a process so far, or of its first thread alone; 0 where the system does not tell."""
    try:
        file = Path(f"/proc/{pid}/task/{pid}/stat" if main_thread else f"/proc/{pid}/stat")
        fields = file.read_text("ascii").rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / 100


def costs(application: Application) -> dict[str, float]:
    """Processor time so far by kind of process; of the scheduler's first thread, which looks and ticks, by itself."""
    pids = {kind: pid for kind, (pid, _) in beats(application).items()}
    told = {kind: cpu_seconds(pid) for kind, pid in pids.items()}
    return told | {"scheduler, ticking": cpu_seconds(pids["scheduler"], main_thread=True)}


def beats(application: Application) -> dict[str, tuple[int, dict[str, object]]]:
    with application.transaction() as session:
        return {row.kind: (int(row.name.rsplit(":", 1)[1]), row.details) for row in session.execute(BEATS)}


def create(plan: demo.DemoPlan, application: Application, count: int) -> list[str]:
    """Campaigns with their share of the agents each, and people of their own; returns their names."""
    pbx = application.pbx(demo.PBX)
    users = pbx.users()
    names = [f"campaign {number}" for number in range(count)]
    for number, name in enumerate(names):
        with application.transaction() as session:
            at = database_now(session)
            campaign = lifecycle.create(
                session, name=name, pbx=demo.PBX, features=pbx.features, caller_id="+390210001000", country="IT",
                hours="always", max_attempts=2, number_gap=5.0, retry_delay=10.0, wrap_up_limit=60.0, now=at,
                who="benchmark",
            )  # fmt: skip
            own = ",".join(user.id for user in users[number::count])
            roster.assign(session, campaign, roster.parse(own), users, now=at, who="benchmark")
        file = contacts(plan.folder, 20_000 // count, first=number * (20_000 // count))
        with application.transaction() as session, file.open("rb") as source:
            submitted = importing.submit_import(
                session, campaign=lifecycle.get(session, name), source=source, file_name=file.name, kind="contacts",
                data_dir=application.data_dir, now=database_now(session), who="benchmark",
            )  # fmt: skip
            import_id = submitted.id
        application.doorbell.run_import(import_id)
    while True:
        with application.transaction() as session:
            left = session.scalar(select(func.count()).select_from(Import).where(Import.state != "done"))
        if not left:
            return names
        time.sleep(0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=200)
    parser.add_argument("--lines", type=int, default=400)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--campaigns", type=int, default=1)
    parser.add_argument("--settle", type=float, default=10, help="seconds until the measuring begins")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ticks-") as folder:
        plan = demo.DemoPlan(
            contacts=Path(folder) / "none",
            folder=Path(folder),
            agents=given.agents,
            lines=given.lines,
            speed=1.0,
            answer_probability=0.25,
        )
        with demo.stage(plan, demo.unwatched) as stage:
            app = stage.application
            names = create(plan, app, given.campaigns)
            switch(app, "start", names)
            time.sleep(given.settle)  # until they have agents on the line
            began, before, most, ticks = now(app), costs(app), 0, beats(app)["scheduler"][1]["ticks"]
            end = time.monotonic() + given.minutes * 60
            while time.monotonic() < end:
                time.sleep(2)
                with app.transaction() as session:
                    most = max(most, session.execute(OPEN).scalar_one())
            cost = {
                what: round((spent - before.get(what, 0.0)) / given.minutes / 60, 3)
                for what, spent in costs(app).items()
            }
            scheduler = beats(app)["scheduler"][1]
            worst = slowest(app, began)
            joins = figures(waits(app, began, now(app)))
            with app.transaction() as session:
                carried = dict(session.execute(CARRIED).one()._mapping)
            switch(app, "stop", names)
    print(
        json.dumps(
            {
                "agents": given.agents,
                "campaigns": given.campaigns,
                "lines": given.lines,
                "minutes": given.minutes,
                "ticks": scheduler["ticks"] - ticks,  # type: ignore[operator]
                "late_ms": scheduler["late_ms"],
                "most_calls_at_once": most,
                **carried,
                "answer_to_join_ms": joins,
                "slowest_ms_after_the_answer": [{k: float(v or 0) for k, v in row.items()} for row in worst],
                "cpu_of_one_core": cost,
                "own_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
