"""One embedded server as a child process: started, waited for, watched and stopped. Used by the guardian alone."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from dialer.errors import DialerError, ServiceUnreachable
from workers.embedded_files import DataFolder, wait_for
from workers.embedded_place import Place
from workers.ports import free_port

READY_WITHIN = 90.0  # seconds; a database that was killed replays its log first
STOP_WITHIN = 8.0
PORT_TRIES = 5
_PORT_TAKEN = "Address already in use"


@dataclass(frozen=True)
class Site:
    """What a kind of server needs to know about one of its servers."""

    data: DataFolder
    place: Place
    port: int = 0
    pid: int = 0


class Kind(Protocol):
    """What differs between PostgreSQL and Valkey."""

    @property
    def name(self) -> str:
        """Return "postgres" or "valkey": also the name of its folder, lock and log."""

    @property
    def title(self) -> str:
        """Return its name in sentences."""

    @property
    def stop_signals(self) -> tuple[signal.Signals, ...]:
        """Return how to end it, the kind signal first."""

    def prepare(self, site: Site) -> None:
        """Make its files, if they are not there. Nothing of it runs while this is called."""

    def command(self, site: Site) -> tuple[list[str], bytes, Path]:
        """Return its argv, what it reads on standard input, and its working folder."""

    def is_ready(self, site: Site) -> bool:
        """Whether it answers."""

    def advice(self, site: Site) -> str:
        """What to do when it will not start and its log does not help."""


class PortTaken(Exception):
    """Somebody took the port between our test and the server's start."""


class Server:
    """One running embedded server."""

    def __init__(self, kind: Kind, site: Site) -> None:
        self.kind, self.site, self.data, self.place = kind, site, site.data, site.place
        self.port = 0
        self.started_at = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, wanted: int | None, last_pid: int | None, give_up: Callable[[], bool]) -> None:
        """Start on the port `wanted`, or on another when that is taken and nobody was told it in this life."""
        with self.data.lock(self.kind.name) as lock:
            self._end_orphan(lock.exclusive_within, last_pid)
            self.kind.prepare(self.site)
            for _ in range(PORT_TRIES):
                port = free_port(wanted)
                if self.port not in (0, port):
                    raise ServiceUnreachable(f"{self.kind.title}: its port {self.port} was taken while it was down")
                try:
                    self._spawn(lock.fd, port, give_up)
                    self.port = port
                    return
                except PortTaken:
                    wanted = None
        raise ServiceUnreachable(
            f"{self.kind.title}: {PORT_TRIES} free ports in a row were taken before it could listen; try again"
        )

    def _end_orphan(self, lock_within: Callable[[float], bool], pid: int | None) -> None:
        """End a server whose guardian was killed. It still holds the lock, so the pid written down is its own."""
        if lock_within(1.0):  # the children of a killed PostgreSQL need a moment
            return
        if pid and process_name(pid).startswith(self.kind.name):
            for number in (*self.kind.stop_signals, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
                if lock_within(STOP_WITHIN):
                    return
        raise ServiceUnreachable(
            f"an embedded {self.kind.title} of an earlier run still uses {self.place.folder / self.kind.name} and does "
            f"not end; find it with `fuser {self.data.path / self.kind.name}.lock` and stop it"
        )

    def _spawn(self, lock_fd: int, port: int, give_up: Callable[[], bool]) -> None:
        argv, typed, folder = self.kind.command(replace(self.site, port=port))
        log = self.data.open_log(self.kind.name)
        told_before = os.fstat(log).st_size
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own programs
                argv,
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=(lock_fd,),  # alive is who holds the lock
                **self.place.process_arguments(),
            )
        except OSError as exc:
            raise ServiceUnreachable(f"cannot start {self.kind.title} ({argv[0]}): {exc.strerror}") from None
        finally:
            os.close(log)
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError), self._process.stdin as standard_input:
                standard_input.write(typed)
        self.started_at = time.monotonic()

        site = replace(self.site, port=port, pid=self.pid)

        ready = wait_for(lambda: self.kind.is_ready(site) or not self.alive or give_up(), READY_WITHIN)
        if ready and self.alive and not give_up():
            return
        if self.alive:
            self.stop()
            raise ServiceUnreachable(f"{self.kind.title} was not ready after {READY_WITHIN:.0f} s; {self._see_log()}")
        self._process.wait()
        raise self._why(told_before)

    def _why(self, told_before: int) -> DialerError | PortTaken:
        """Read from the log why it ended at once."""
        with self.data.log_path(self.kind.name).open("rb") as file:
            file.seek(told_before)
            lines = file.read(200_000).decode("utf-8", "replace").splitlines()
        if any(_PORT_TAKEN in line for line in lines):
            return PortTaken()
        words = ("FATAL", "PANIC", "rror", "No space", "cannot", "could not", "Bad file", "Wrong")
        telling = [line for line in lines if any(word in line for word in words)] or lines
        said = telling[-1].strip() if telling else "it said nothing"
        return ServiceUnreachable(
            f"{self.kind.title} could not start: {said[:300]}; {self._see_log()}; {self.kind.advice(self.site)}"
        )

    def _see_log(self) -> str:
        return f"read {self.data.log_path(self.kind.name)}"

    def ask_to_stop(self) -> None:
        """Send the kind signal; `stop` waits for the end."""
        if self.alive and self._process is not None:
            self._process.send_signal(self.kind.stop_signals[0])

    def wait(self, seconds: float) -> None:
        """Give it that long to end by itself."""
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)

    def stop(self) -> None:
        """End it cleanly, and by force only when it does not."""
        if self._process is None or not self.alive:
            return
        for number in (*self.kind.stop_signals, signal.SIGKILL):
            self._process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_WITHIN)
                return


def process_name(pid: int) -> str:
    """The name of a living process's program; empty when there is none, or only a dead one nobody has buried."""
    if Path("/proc/self").exists():
        with contextlib.suppress(OSError):
            name, facts = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").split("(", 1)[1].rsplit(")", 1)
            return "" if facts.split()[0] in "ZX" else name
        return ""
    asked = subprocess.run(  # noqa: S603
        ["ps", "-p", str(pid), "-o", "state=,comm="],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    state, _, path = asked.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else Path(path.strip()).name
