"""Runs several processes as one: what dies is started again, and all of them end together.

Each child leads a process group of its own, so Ctrl-C reaches only the supervisor, and what a child has started
ends with it. A child that calls `die_with_parent` ends even when the supervisor is killed outright.
"""

import contextlib
import os
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Self

import structlog

from dialer.errors import ServiceUnreachable, SettingsError

LIFELINE = "DIALER_LIFELINE_FD"  # a pipe whose other end only the supervisor holds
LOOK_EVERY = 0.1  # seconds
FIRST_PAUSE, LONGEST_PAUSE, SETTLED_AFTER = 0.2, 5.0, 30.0
STOP_WITHIN = 10.0
HOPELESS = {SettingsError.exit_code: "wrong settings", ServiceUnreachable.exit_code: "a service cannot be reached"}
HOPELESS_TIMES = 3

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Child:
    """A process to keep running. `env` is its whole environment; None: ours."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] | None = None


class _Running:
    """A child, its process, and what has become of it so far."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        self.pause = 0.0
        self.start_at: float | None = None  # None: it runs
        self.hopeless = 0

    def start(self, lifeline: int) -> None:
        env = dict(os.environ if self.child.env is None else self.child.env)
        try:
            self.process = subprocess.Popen(  # noqa: S603 - argv comes from the program, not from a user
                list(self.child.argv),
                env=env | {LIFELINE: str(lifeline)},
                stdin=subprocess.DEVNULL,
                pass_fds=(lifeline,),
                process_group=0,
            )
        except OSError as exc:
            raise SettingsError(f"cannot start {self.child.name} ({self.child.argv[0]}): {exc.strerror}") from None
        self.started_at, self.start_at = time.monotonic(), None

    def signal(self, number: signal.Signals) -> None:
        """Signal the child and everything it has started."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None


class Supervisor:
    """Keeps children running, from `start` to `stop`; as a context manager it does so in the background."""

    def __init__(self, children: Sequence[Child], *, stop_within: float = STOP_WITHIN) -> None:
        self._running = [_Running(child) for child in children]
        self._stop_within = stop_within
        self._lifeline: tuple[int, int] | None = None
        self._ended = threading.Event()
        self._watcher: threading.Thread | None = None
        self._hurry = False
        self.code: int | None = None  # why we gave up, as an exit code

    def pid(self, name: str) -> int | None:
        """The pid of a running child."""
        for running in self._running:
            if running.child.name == name and running.alive and running.process is not None:
                return running.process.pid
        return None

    def start(self) -> None:
        self._lifeline = os.pipe()
        try:
            for running in self._running:
                running.start(self._lifeline[0])
        except SettingsError:
            self.stop()
            raise

    def look(self) -> int | None:
        """Start again what died. Returns an exit code when that has become hopeless."""
        for running in self._running:
            now = time.monotonic()
            if running.start_at is None and not running.alive:
                self._note_death(running, now)
                if running.hopeless >= HOPELESS_TIMES and running.process is not None:
                    self.code = running.process.returncode
                    log.error(
                        f"{running.child.name} ended {HOPELESS_TIMES} times at once with exit code {self.code} "
                        f"({HOPELESS[self.code]}): see what it said above; everything is stopped"
                    )
                    return self.code
            if running.start_at is not None and now >= running.start_at and self._lifeline is not None:
                running.start(self._lifeline[0])
        return None

    def _note_death(self, running: _Running, now: float) -> None:
        code = running.process.returncode if running.process is not None else 0
        lived = now - running.started_at
        running.signal(signal.SIGKILL)  # what it leaves behind must not meet its successor
        running.pause = next_pause(running.pause, lived)
        running.start_at = now + running.pause
        running.hopeless = running.hopeless + 1 if code in HOPELESS and lived < SETTLED_AFTER else 0
        if running.hopeless < HOPELESS_TIMES:
            log.warning(f"{running.child.name} died and is started again", how=_how(code), pause=running.pause)

    def stop(self) -> None:
        """End all: first kindly, after `stop_within` seconds by force."""
        self._ended.set()
        for running in self._running:
            running.signal(signal.SIGTERM)
        end = time.monotonic() + self._stop_within
        while any(running.alive for running in self._running) and time.monotonic() < end and not self._hurry:
            time.sleep(0.02)
        for running in self._running:
            if running.alive:
                log.warning(f"{running.child.name} did not stop and is killed")
            running.signal(signal.SIGKILL)
            if running.process is not None:
                running.process.wait()
        if self._lifeline is not None:
            for descriptor in self._lifeline:
                os.close(descriptor)
            self._lifeline = None

    def run(self) -> int:
        """Start all and watch them until SIGINT, SIGTERM or SIGHUP (0) or until it is hopeless (its exit code).

        Under `nohup` SIGHUP is nothing: the terminal may be closed.
        """
        with self._signals():
            self.start()
            try:
                self._watch()
            finally:
                self.stop()
        return self.code or 0

    def _watch(self) -> None:
        while not self._ended.wait(LOOK_EVERY):
            if self.look() is not None:
                return

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        def asked(number: int, frame: FrameType | None) -> None:
            del number, frame
            self._hurry = self._ended.is_set()  # asked twice: do not wait for anybody
            self._ended.set()

        numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
        if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
            numbers.remove(signal.SIGHUP)
        before = {number: signal.signal(number, asked) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def __enter__(self) -> Self:
        self.start()
        self._watcher = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._watcher is not None:
            self._watcher.join()
        self.stop()


def supervise(children: Sequence[Child], *, stop_within: float = STOP_WITHIN) -> int:
    """Run the children until we are told to stop, or until one cannot run; returns the exit code to end with."""
    return Supervisor(children, stop_within=stop_within).run()


def next_pause(last: float, lived: float) -> float:
    """Seconds to wait before a process is started again: longer each time it dies young."""
    if lived >= SETTLED_AFTER or last == 0:
        return FIRST_PAUSE
    return min(last * 2, LONGEST_PAUSE)


def die_with_parent(grace: float = STOP_WITHIN) -> None:
    """End when the supervisor does, however it goes: SIGTERM to ourselves, SIGKILL after `grace` seconds.

    Called early in a child's main thread. Without a supervisor (systemd, a terminal) it does nothing.
    """
    text = os.environ.pop(LIFELINE, "")  # popped: our own children have no use for it
    if not text.isdigit():
        return
    descriptor = int(text)
    try:
        if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            return
    except OSError:
        return
    os.set_inheritable(descriptor, False)
    threading.Thread(target=_outlive_nobody, args=(descriptor, grace), name="lifeline", daemon=True).start()


def _outlive_nobody(lifeline: int, grace: float) -> None:
    while os.read(lifeline, 1):
        pass  # nobody writes: the read ends when the other side is closed, by us leaving or by its death
    log.warning("the supervisor is gone: ending too")
    _signal_ourselves(signal.SIGTERM)
    time.sleep(grace)
    _signal_ourselves(signal.SIGKILL)


def _signal_ourselves(number: signal.Signals) -> None:
    if os.getpgrp() == os.getpid():
        os.killpg(0, number)
    else:
        os.kill(os.getpid(), number)


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"
