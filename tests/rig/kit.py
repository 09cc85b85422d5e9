"""The rig: every process real, a simulated PBX whose book is the judge, and somebody who breaks things."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import redis
from sqlalchemy import select, text

from campaigns.models import Contact
from workers import demo
from workers.demo import DemoPlan, Progress, Stage
from workers.demo_results import DemoResults

Mischief = Callable[[Stage, float], bool | None]


def plan(folder: Path, *, contacts: int = 60, agents: int = 8, faults: str = "", seed: int = 7) -> DemoPlan:
    file = folder / "contacts.csv"
    rows = [f"+3906311{number:05},Contact {number}" for number in range(contacts)]
    file.write_text("\n".join(["phone,first_name", *rows]) + "\n", encoding="utf-8")
    return DemoPlan(
        contacts=file, folder=folder, agents=agents, faults=faults, seed=seed, speed=30.0, answer_probability=0.5
    )


def run(
    chosen: DemoPlan, mischief: Mischief | None = None, on_ready: Callable[[Stage], None] | None = None
) -> DemoResults:
    """A campaign from its list to rest, with `mischief(stage, seconds since the start)` four times a second.

    Who was not called yet is left alone when mischief says that there is nothing more to see.
    """
    with demo.stage(chosen, demo.unwatched) as stage:
        if on_ready is not None:
            on_ready(stage)
        moments = iter(range(1_000_000))

        def watch(progress: Progress) -> None:
            if progress.phase == "calling" and mischief is not None and mischief(stage, next(moments) * 0.25):
                _enough(stage)

        return demo.run_campaign(chosen, stage, watch)


def _enough(stage: Stage) -> None:
    with stage.application.transaction() as session:
        left = select(Contact).where(Contact.state == "open").with_for_update(skip_locked=True)
        for contact in session.scalars(left):
            contact.state, contact.next_at, contact.closed_because = "closed", None, "seen enough"


def pids(stage: Stage, kind: str) -> list[int]:
    """The processes of a kind that live now."""
    with stage.application.transaction() as session:
        names = session.scalars(
            text("SELECT name FROM process_beats WHERE kind = :kind AND beat_at > clock_timestamp() - interval '3 s'"),
            {"kind": kind},
        ).all()
    return [int(name.rsplit(":", 1)[1]) for name in names]


def kill(stage: Stage, kind: str, number: signal.Signals = signal.SIGKILL) -> int:
    """Send a signal to every process of a kind; returns how many got it."""
    struck = 0
    for pid in pids(stage, kind):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            struck += 1
    return struck


def thaw(stage: Stage) -> None:
    """Let frozen workers go on: their beats are old, so the supervisor's children are asked."""
    with stage.application.transaction() as session:
        names = session.scalars(text("SELECT name FROM process_beats WHERE kind = 'worker'")).all()
    for name in names:
        with suppress(ProcessLookupError):
            os.kill(int(name.rsplit(":", 1)[1]), signal.SIGCONT)


def flush_redis(stage: Stage) -> None:
    """Empty Redis: every hint on its way is lost."""
    redis.Redis.from_url(stage.redis_url).flushall()


def trouble(results: DemoResults) -> dict[str, object]:
    """What must be empty after every run."""
    found = {
        "double_dials": results.double_dials,
        "silent_calls": results.silent_calls,
        "two_on_one": results.two_on_one,
        "stuck": results.stuck,
    }
    return {name: count for name, count in found.items() if count}
