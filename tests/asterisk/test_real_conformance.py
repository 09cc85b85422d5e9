"""`dialer pbx conformance` on the real Asterisk, with its telephones as the operator's own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from campaigns.application import Application
from tests.asterisk import kit
from tests.asterisk.real_pbx import PASSWORD, RealPbx
from tests.asterisk.test_real_calls import long_form
from workers.wiring import wire

ANSWERS, LEFT_ALONE, NOBODYS = "+493020000199", "+493020000292", "+493020000396"
OURS = ("--own-number", ANSWERS, "--own-number", LEFT_ALONE, "--own-agent", "1001", "--own-agent", "1002")
SEEN = {"predictive", "progressive", "power", "preview", "manual", "agentless"}


@contextmanager
def _with_a_listener(pbx: RealPbx, folder: Path) -> Iterator[Application]:
    with kit.dialer(pbx, folder) as on:
        yield on.application


@contextmanager
def _without(pbx: RealPbx, folder: Path) -> Iterator[Application]:
    """The database, and no process of ours: the command holds the event stream itself."""
    os.environ[PASSWORD] = pbx.password
    with wire(kit.settings(folder, 0, pbx.http_port), process="test") as wired:
        yield wired.application


@long_form
@pytest.mark.parametrize("surroundings", [_with_a_listener, _without])
def test_everything_an_asterisk_offers_is_seen_to_work(
    real_pbx: RealPbx, tmp_path: Path, surroundings: kit.Surroundings
) -> None:
    before = real_pbx.told_so_far()
    with surroundings(real_pbx, tmp_path) as application:
        argv = [sys.executable, "-m", "workers.command", "pbx", "conformance", "main", *OURS, "--json"]
        argv += ["--wrong-number", NOBODYS, "--caller-id", "+4930555000", "--yes-these-are-mine", "--patience", "15"]
        argv += ["--report", str(tmp_path / "report.txt")]
        address = application.engine.url.render_as_string(hide_password=False)
        env = {**os.environ, "DIALER_CONFIG": str(tmp_path / "demo.toml"), "DIALER_DATABASE_URL": address}
        done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240)
        told = json.loads(done.stdout)
        assert [line for line in told["lines"] if line["verdict"] not in ("works", "not offered")] == []
        assert done.returncode == 0
        assert set(told["modes"]["seen"]) == SEEN
        assert told["modes"]["lost"] == told["modes"]["open"] == []
        with application.transaction() as session:
            noted = session.scalars(text("SELECT count(*) FROM ledger WHERE kind = 'conformance_call'")).one()
        assert noted == told["calls"] == 6
    # What the telephones say: nobody else was rung, and what was begun was ended.
    rung = sorted(number for number, _ in real_pbx.told(before))
    assert rung == sorted(number.removeprefix("+") for number in (ANSWERS, ANSWERS, ANSWERS, LEFT_ALONE, NOBODYS))
    assert real_pbx.left_over() == {}
    report = (tmp_path / "report.txt").read_text("utf-8")
    assert real_pbx.password not in report
    assert ANSWERS not in report
