"""A test run has ports, a folder and processes of its own, and none of them outlives it, however it ends."""

import contextlib
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.asterisk.blocks import FIRST, NoPorts, claimed
from tests.asterisk.real_pbx import RealPbx, end_leftovers, folder_of

ROOT = Path(__file__).parents[2]
ANOTHER = """
import sys
from pathlib import Path
from tests.asterisk.real_pbx import RealPbx
with RealPbx(Path(sys.argv[1])) as pbx:
    print(pbx.run, pbx.keeper, flush=True)
    sys.stdin.read()
"""


def of(run: Path) -> list[int]:
    """Processes that were started for a run: they all have its folder on their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(run).encode() in words:
                found.append(int(entry.name))
    return found


@pytest.mark.asterisk
@pytest.mark.timeout(400)
@pytest.mark.parametrize("victim", ["the run", "its keeper"])
def test_nothing_outlives_a_run_that_is_killed(real_pbx: RealPbx, victim: str) -> None:
    """Beside our own another starts; whoever of it is killed outright, its Asterisk and telephones go, and not ours."""
    ours = of(real_pbx.run)
    assert len(ours) >= 3
    with subprocess.Popen(
        [sys.executable, "-c", ANOTHER, str(real_pbx.home)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        folder, keeper = other.stdout.readline().split()
        run = Path(folder)
        assert run != real_pbx.run
        assert len(of(run)) >= 3
        if victim == "the run":
            other.kill()
        else:
            subprocess.run(["kill", f"-{signal.SIGKILL.value}", keeper], check=True)
        end = time.monotonic() + 60
        while left := of(run):
            assert time.monotonic() < end, left
            time.sleep(0.1)
    assert set(ours) <= set(of(real_pbx.run))


def test_what_a_run_has_left_behind_all_the_same_is_ended_by_who_comes_next(tmp_path: Path) -> None:
    with claimed() as block:
        folder = folder_of(tmp_path, block)
        folder.mkdir(parents=True)
        left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", str(folder)])
        (folder / "pbx.pid").write_text(str(left.pid))
        end_leftovers(tmp_path, block)
        assert left.wait(timeout=10) < 0
        assert not folder.exists()


def test_two_runs_get_different_ports_and_a_port_in_use_is_passed_over() -> None:
    with claimed() as one, claimed() as two:
        assert one.base != two.base
        assert not set(one.settings.values()) & set(two.settings.values()) - {two.settings["PBX_SIPP_RTP_COUNT"]}
    with claimed() as again:
        sip = int(again.settings["PBX_SIP_PORT"])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", sip))
        with claimed() as other:
            assert other.base != again.base


def test_who_finds_no_ports_is_told_what_is_taken() -> None:
    with socket.socket() as stranger:
        with contextlib.suppress(OSError):  # somebody has the first block: just as well
            stranger.bind(("127.0.0.1", FIRST))
        with pytest.raises(NoPorts, match=str(FIRST)), claimed(blocks=1):
            pass
