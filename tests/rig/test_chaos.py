"""Runs in which things are broken on purpose. The judge is the simulated PBX's book, which shares no code with us."""

import signal
from pathlib import Path

import pytest

from dialer.pbx.simulator.faults import DEFAULTS, PROFILES
from tests.rig import kit
from workers.demo import Stage

pytestmark = pytest.mark.timeout(400)


def test_processes_killed_and_redis_emptied_in_the_middle_of_a_campaign(tmp_path: Path) -> None:
    struck: list[str] = []

    def mischief(stage: Stage, at: float) -> None:
        for moment, kind in ((4, "worker"), (8, "scheduler"), (12, "web"), (16, "worker"), (20, "redis")):
            if moment <= at and f"{moment}" not in struck:
                if kind == "redis":
                    kit.flush_redis(stage)
                elif not kit.kill(stage, kind):
                    return  # until it has been started again
                struck.append(f"{moment}")

    results = kit.run(kit.plan(tmp_path, contacts=40), mischief)

    assert len(struck) == 5, f"the run was over when only this was broken: {struck}"
    assert kit.trouble(results) == {}
    assert results.attempts >= 40
    assert results.joined > 10


def test_a_pbx_that_does_everything_wrong(tmp_path: Path) -> None:
    results = kit.run(kit.plan(tmp_path, contacts=30, faults="all"))
    assert kit.trouble(results) == {}
    assert results.joined > 3
    assert results.book["faults"], "no fault struck"


def test_the_judge_is_not_blind(tmp_path: Path) -> None:
    """With the answer's events lost and a reception that plays nothing, people hear silence, and the book says so."""

    def unarmed(stage: Stage) -> None:
        stage.book.tell("faults", {"faults": {"webhooks_lost": {"probability": 1.0}}})

    results = kit.run(kit.plan(tmp_path, contacts=12), on_ready=unarmed)
    assert results.joined == 0
    assert results.book["heard_message"], "nobody came, and the PBX itself played the message"
    assert kit.trouble(results) == {}


@pytest.mark.soak
@pytest.mark.parametrize("faults", [*sorted(DEFAULTS), *sorted(set(PROFILES) - {"none"})])
def test_every_fault_by_itself_and_every_profile(tmp_path: Path, faults: str) -> None:
    results = kit.run(kit.plan(tmp_path, contacts=120, agents=12, faults=faults))
    assert kit.trouble(results) == {}


@pytest.mark.soak
def test_workers_frozen_for_longer_than_an_order_lives(tmp_path: Path) -> None:
    """A worker that wakes after its order was given up must not dial it (I4)."""
    frozen: list[float] = []

    def mischief(stage: Stage, at: float) -> None:
        phase = at % 25
        if phase == 5:
            kit.kill(stage, "worker", signal.SIGSTOP)
            frozen.append(at)
        elif phase == 18:
            kit.thaw(stage)

    results = kit.run(kit.plan(tmp_path, contacts=150, agents=12), mischief)
    assert frozen
    assert kit.trouble(results) == {}
