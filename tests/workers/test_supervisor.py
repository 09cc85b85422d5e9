"""Real processes, really killed."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dialer.errors import SettingsError
from workers.embedded_files import wait_for
from workers.embedded_service import process_name
from workers.supervisor import LIFELINE, LONGEST_PAUSE, SETTLED_AFTER, Child, Supervisor, die_with_parent, next_pause

# Each writes its pid as a line into the file it is given, then does what its name says.
START = "import os, sys, time; open(sys.argv[1], 'a').write(f'{os.getpid()}\\n'); "
WAIT = START + "time.sleep(300)"
DEFIANT = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + WAIT
PARENT = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[2], sys.argv[1]]); " + WAIT
FAILS = "while len(open(sys.argv[1]).readlines()) < 2: time.sleep(0.01)\n"  # only once the other one is there as well
DEPENDENT = "from workers.supervisor import die_with_parent; die_with_parent(); " + WAIT
STUBBORN = "from workers.supervisor import die_with_parent; die_with_parent(0.2); " + DEFIANT

SUPERVISE = """
import sys
from dialer.settings import LogSettings
from workers.logs import configure_logging
from workers.supervisor import Child, supervise
configure_logging(LogSettings(), "up")
children = [Child(f"child-{n}", [sys.executable, "-c", code, sys.argv[1]]) for n, code in enumerate(sys.argv[2:])]
sys.exit(supervise(children, stop_within=1))
"""


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """Where children write down their pids."""
    return tmp_path / "pids"


def pids(book: Path) -> list[int]:
    return [int(line) for line in book.read_text().splitlines()] if book.exists() else []


def child(code: str, book: Path, *more: str, name: str = "child") -> Child:
    return Child(name, [sys.executable, "-c", code, str(book), *more])


def gone(pid: int) -> bool:
    return process_name(pid) == ""


@contextlib.contextmanager
def supervisor(book: Path, *codes: str, under: tuple[str, ...] = ()) -> Iterator[subprocess.Popen[str]]:
    """`supervise` in a process of its own."""
    command = [*under, sys.executable, "-c", SUPERVISE, str(book), *codes]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        try:
            assert wait_for(lambda: len(pids(book)) >= len(codes) or process.poll() is not None, 30)
            yield process
        finally:
            process.kill()
            for pid in pids(book):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def test_one_that_is_killed_is_started_again_and_the_others_go_on(tmp_path: Path) -> None:
    books = [tmp_path / name for name in ("first", "second")]
    with Supervisor([child(WAIT, book, name=book.name) for book in books]) as supervising:
        assert wait_for(lambda: all(pids(book) for book in books), 30)
        os.kill(pids(books[0])[0], signal.SIGKILL)
        assert wait_for(lambda: len(pids(books[0])) == 2, 30)
        assert supervising.pid("first") == pids(books[0])[1]
        assert pids(books[1]) == [supervising.pid("second")]
    assert all(gone(pid) for book in books for pid in pids(book))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_all_and_is_a_good_end(book: Path, number: signal.Signals) -> None:
    # As at a terminal, even where the tests themselves were started to outlive theirs.
    with supervisor(book, WAIT, WAIT, under=("env", "--default-signal=HUP")) as process:
        process.send_signal(number)
        assert process.wait(20) == 0
        assert all(gone(pid) for pid in pids(book))


def test_under_nohup_a_closed_terminal_stops_nothing(book: Path) -> None:
    with supervisor(book, WAIT, under=("nohup",)) as process:
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(3)
        assert not any(gone(pid) for pid in pids(book))
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_a_child_that_ignores_the_kind_signal_is_killed(book: Path) -> None:
    with supervisor(book, DEFIANT) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert gone(pids(book)[0])


def test_children_lead_their_own_groups_and_take_their_own_children_with_them(book: Path) -> None:
    with Supervisor([child(PARENT, book, WAIT)]) as supervising:
        assert wait_for(lambda: len(pids(book)) == 2, 30)
        leader = supervising.pid("child")
        assert {os.getpgid(pid) for pid in pids(book)} == {leader}
        os.kill(leader or 0, signal.SIGKILL)
        first = pids(book)[:2]
        assert wait_for(lambda: all(gone(pid) for pid in first), 30)


def test_children_die_with_a_supervisor_that_is_killed(book: Path) -> None:
    with supervisor(book, DEPENDENT, STUBBORN) as process:
        process.kill()
        process.wait()
        assert wait_for(lambda: all(gone(pid) for pid in pids(book)), 30)


def test_without_a_supervisor_nothing_watches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(LIFELINE, raising=False)
    die_with_parent()
    with (tmp_path / "file").open("w") as file:  # a number that by now means something else
        monkeypatch.setenv(LIFELINE, str(file.fileno()))
        die_with_parent()
    assert LIFELINE not in os.environ


@pytest.mark.parametrize(("code", "why"), [(2, "wrong settings"), (6, "a service cannot be reached")])
def test_one_that_cannot_run_three_times_over_stops_everything_with_its_code(book: Path, code: int, why: str) -> None:
    with supervisor(book, WAIT, f"{START}\n{FAILS}sys.exit({code})") as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert why in said
    assert "child-1" in said
    assert len(pids(book)) == 4
    assert all(gone(pid) for pid in pids(book))


def test_any_other_end_is_a_reason_to_try_again(book: Path) -> None:
    with Supervisor([child(f"{START}sys.exit(len(open(sys.argv[1]).readlines()) % 2)", book)]) as supervising:
        assert wait_for(lambda: len(pids(book)) >= 4, 60)
        assert supervising.code is None


def test_what_cannot_be_started_at_all_is_named(book: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot start web \(/no/such/program\): No such file"):
        Supervisor([child(WAIT, book), Child("web", ["/no/such/program"])]).start()
    assert all(gone(pid) for pid in pids(book))


def test_the_pause_doubles_up_to_a_limit_and_begins_anew_after_a_long_life() -> None:
    pauses = [0.0]
    for _ in range(8):
        pauses.append(next_pause(pauses[-1], lived=1))
    assert pauses[1:] == [0.2, 0.4, 0.8, 1.6, 3.2, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    assert next_pause(LONGEST_PAUSE, lived=SETTLED_AFTER) == 0.2
