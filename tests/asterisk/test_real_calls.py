"""SIP calls through a real Asterisk, with everything running, judged by the telephones' own log.

The short form takes half a minute and runs where an Asterisk is installed. `make test-asterisk` installs one and runs
the long form: a thousand calls, a restart of Asterisk, and a websocket that is cut.
"""

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select

from campaigns.models import Attempt
from dialer.pbx.base import Presence
from tests.asterisk import kit
from tests.asterisk.kit import Between
from tests.asterisk.real_pbx import RealPbx

LONG = os.environ.get("DIALER_ASTERISK", "") == "long"
long_form = pytest.mark.skipif(not LONG, reason="the long form: make test-asterisk")
pytestmark = [pytest.mark.asterisk, pytest.mark.timeout(900)]

# One of each thing a telephone can do, and two who answer: busy, silence, declined, off, no lines, unknown number.
EVERY = ("91", "92", "93", "94", "95", "96", "98", "98")


def report(name: str, on: kit.Running, **more: object) -> None:
    """Printed with -s, and by `make test-asterisk`."""
    print(f"\n{name}: {json.dumps({**more, **kit.figures(on)})}")


def test_the_check_finds_nothing_wrong_with_a_real_set_up(real_pbx: RealPbx) -> None:
    pbx = real_pbx.open()
    bad = [finding for finding in pbx.check() if not finding.ok and finding.fatal]
    here = [user for user in pbx.users() if user.presence is Presence.AVAILABLE]
    (trunk,) = pbx.gateways()
    pbx.close()
    assert bad == []
    assert len(here) == 20
    assert (trunk.usable, trunk.free_lines) == (True, 100)


def test_every_outcome_is_what_the_telephones_say(real_pbx: RealPbx, tmp_path: Path) -> None:
    """The short form: each ending twice, agents who serve one after the other, and nothing left behind."""
    with kit.dialer(real_pbx, tmp_path) as on:
        before = real_pbx.told_so_far()
        agents = ",".join(f"agent{1000 + number}" for number in range(1, 9))
        kit.start(on, kit.numbers(16, endings=EVERY), agents=agents, mode="progressive")
        took = kit.look_on(on, 180)  # a quarter of a minute on a machine of its own
        left = kit.rest(on, real_pbx)
        ours, theirs = kit.compared(on, real_pbx, before)
        report("short", on, took=round(took, 1))
    assert left == {}
    assert kit.differences(ours, theirs) == {}
    words = Counter(word for all_words in ours.values() for word in all_words)
    assert all(words[word] >= 2 for word in ("busy", "no_answer", "rejected", "unavailable", "invalid", "no_lines"))
    assert words["answered"] >= 4


@long_form
def test_a_thousand_calls(real_pbx: RealPbx, tmp_path: Path) -> None:
    with kit.dialer(real_pbx, tmp_path) as on:
        before = real_pbx.told_so_far()
        kit.start(on, kit.numbers(1000))
        took = kit.look_on(on, 800)
        left = kit.rest(on, real_pbx)
        ours, theirs = kit.compared(on, real_pbx, before)
        report("a thousand", on, took=round(took, 1), per_second=round(1000 / took, 1))
    assert left == {}
    assert kit.differences(ours, theirs) == {}
    assert sum(map(len, ours.values())) >= 1000


@long_form
def test_a_websocket_that_is_cut_and_a_listener_that_is_killed_lose_no_call(real_pbx: RealPbx, tmp_path: Path) -> None:
    wire = Between(real_pbx.http_port)
    done = {"cuts": 0, "kills": 0}

    with kit.dialer(real_pbx, tmp_path, port=wire.port, listeners=2) as on:

        def mischief(at: float) -> None:
            if at > 5 * (done["cuts"] + 1) and done["cuts"] < 4:
                done["cuts"] += 1
                wire.cut(0.5 if done["cuts"] % 2 else 2.0)
            if at > 12 and not done["kills"]:
                done["kills"] = on.kill("listener")

        before = real_pbx.told_so_far()
        kit.start(on, kit.numbers(250))
        took = kit.look_on(on, 400, mischief)
        left = kit.rest(on, real_pbx)
        ours, theirs = kit.compared(on, real_pbx, before)
        report("cut", on, took=round(took, 1), **done)
    wire.close()
    assert left == {}
    kit.only_what_was_missed(ours, theirs, most=60)
    assert done["kills"] > 0


@long_form
def test_a_restart_of_asterisk_ends_its_calls_and_the_campaign_goes_on(real_pbx: RealPbx, tmp_path: Path) -> None:
    restarted: list[float] = []

    with kit.dialer(real_pbx, tmp_path) as on:

        def mischief(at: float) -> None:
            if at > 10 and not restarted:
                restarted.append(at)
                real_pbx.restart()

        before = real_pbx.told_so_far()
        kit.start(on, kit.numbers(200))
        took = kit.look_on(on, 400, mischief)
        left = kit.rest(on, real_pbx)
        ours, theirs = kit.compared(on, real_pbx, before)
        report("restart", on, took=round(took, 1))
        with on.application.transaction() as session:
            states = Counter(session.scalars(select(Attempt.state)).all())
    assert left == {}
    kit.only_what_was_missed(ours, theirs, most=60)
    assert states["completed"] > 20  # before and after it
