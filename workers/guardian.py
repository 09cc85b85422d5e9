"""The parent of the embedded servers: starts them when asked and stops them when nobody uses them any more.

Run as `python -m workers.guardian DATA_FOLDER`; it detaches itself. Everybody who uses the services holds a shared
lock on `users.lock`, which the kernel drops when they die. When the guardian gets the exclusive lock twice in a row,
nobody is left.
"""

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from dialer.clock import SystemClock
from dialer.errors import DialerError, TryAgainLater
from workers.embedded_files import SERVICES, DataFolder, FileLock, Request
from workers.embedded_place import Place, place_for
from workers.embedded_postgres import Postgres
from workers.embedded_service import STOP_WITHIN, Kind, Server, Site
from workers.embedded_valkey import Valkey

LOOK_EVERY = 0.3  # seconds, between two looks whether anybody is left
FIRST_PAUSE, LONGEST_PAUSE, SETTLED_AFTER = 0.2, 5.0, 30.0  # seconds; reviving a server that died
EXIT_BUSY = 3
KINDS: dict[str, Callable[..., Kind]] = {"postgres": Postgres, "valkey": Valkey}


class Guardian:
    """Two servers, and the people who use them."""

    def __init__(self, data: DataFolder) -> None:
        self._data = data
        self._users = data.lock("users")
        self._state = data.read_state()
        self._old_pids = dict(self._state.pids)  # of servers that outlived a killed guardian
        self._state.pids = {}
        self._servers: dict[str, Server] = {}
        self._place: Place | None = None
        self._alone_since: float | None = None
        self._stopping = False
        self._revive_at: dict[str, float] = {}
        self._pauses: dict[str, float] = {}
        self._bell, self._rung = os.pipe()

    def run(self) -> None:
        """Serve until nobody is left or we are told to stop."""
        self._listen_to_signals()
        try:
            while not self._stopping and not self._nobody_left():
                self._answer()
                self._revive()
                select.select([self._bell], [], [], LOOK_EVERY)
                with contextlib.suppress(BlockingIOError):
                    os.read(self._bell, 100)
        finally:
            self._stop_all()

    def _listen_to_signals(self) -> None:
        for end in (self._bell, self._rung):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._rung, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "_stopping", True))
        for number in (signal.SIGHUP, signal.SIGCHLD):  # a new request; a server died: look at once
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    def _nobody_left(self) -> bool:
        """Twice, a moment apart: somebody may be between opening the file and taking the lock."""
        if not self._users.try_exclusive():
            self._alone_since = None
            return False
        now = time.monotonic()
        if self._alone_since is not None and now - self._alone_since >= LOOK_EVERY:
            return True  # keeping the lock: who comes now waits until we have stopped
        self._alone_since = now if self._alone_since is None else self._alone_since
        self._users.unlock()
        return False

    def _answer(self) -> None:
        request = self._data.read_request()
        if request is None or request.id == self._state.answered:
            return
        self._state.error = None
        try:
            self._fulfil(request)
        except DialerError as exc:
            self._state.error = (type(exc).__name__, str(exc))
            _note(str(exc))
        self._state.answered = request.id
        self._write_state()

    def _fulfil(self, request: Request) -> None:
        if not self._servers:
            self._state.durable = request.durable
        elif request.durable and not self._state.durable:
            raise TryAgainLater(
                f"the embedded services in {self._data.path} run without durability for a test or a demo; "
                "wait until it has ended, or name another folder with DIALER_DATA_DIR"
            )
        with self._data.writing():
            if self._place is None:
                self._place = place_for(self._data, durable=request.durable)
            for name in SERVICES:
                if name in request.services and not (name in self._servers and self._servers[name].alive):
                    self._start(name, self._place)

    def _start(self, name: str, place: Place) -> None:
        kind = KINDS[name](durable=self._state.durable)
        server = Server(kind, Site(self._data, place))
        server.start(self._state.ports.get(name), self._old_pids.pop(name, None), lambda: self._stopping)
        self._servers[name] = server
        self._state.ports[name], self._state.pids[name] = server.port, server.pid
        self._write_state()  # at once: who kills us now must find the server's pid written down
        _note(f"{kind.title} runs on port {server.port}, pid {server.pid}")

    def _revive(self) -> None:
        """Start a server that died again, on its port, waiting longer each time it dies young."""
        now = time.monotonic()
        for name, server in self._servers.items():
            if server.alive:
                continue
            if name not in self._revive_at:
                settled = now - server.started_at > SETTLED_AFTER
                self._pauses[name] = FIRST_PAUSE if settled else min(self._pauses.get(name, 0.1) * 2, LONGEST_PAUSE)
                self._revive_at[name] = now + self._pauses[name]
                _note(f"{server.kind.title} (pid {server.pid}) died; it is started again")
            if now < self._revive_at[name]:
                continue
            del self._revive_at[name]
            self._start_again(name, server)

    def _start_again(self, name: str, server: Server) -> None:
        try:
            with self._data.writing():
                server.start(server.port, None, lambda: self._stopping)
        except DialerError as exc:
            _note(str(exc))
            return
        self._state.ports[name], self._state.pids[name] = server.port, server.pid
        self._write_state()

    def _write_state(self) -> None:
        with self._data.writing():
            self._data.write_state(self._state)

    def _stop_all(self) -> None:
        for server in self._servers.values():
            server.ask_to_stop()
        end = time.monotonic() + STOP_WITHIN
        for server in self._servers.values():
            server.wait(max(0.0, end - time.monotonic()))
            server.stop()
        self._state.pids = {}
        with contextlib.suppress(OSError):
            self._data.write_state(self._state)
        _note("stopped")


def main(arguments: list[str]) -> int:
    """Become the guardian of a data folder, in the background; 0 means that it is there."""
    if len(arguments) != 1:
        print("usage: python -m workers.guardian DATA_FOLDER", file=sys.stderr)
        return 2
    data = DataFolder(Path(arguments[0]))
    lock = data.lock("guardian")
    if not lock.exclusive_within(1.0):
        return EXIT_BUSY
    os.ftruncate(lock.fd, 0)  # an earlier guardian's pid
    lock.keep_in_children()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a user's hurry must not end us before we listen
    sys.stderr.flush()
    if os.fork():
        return 0  # nobody has to wait for the guardian's end: its grandparent adopts it
    _guard(data, lock)
    return 0


def _guard(data: DataFolder, lock: FileLock) -> None:
    os.write(lock.fd, str(os.getpid()).encode())
    try:
        Guardian(data).run()
    except DialerError as exc:
        _note(str(exc))
        raise SystemExit(exc.exit_code) from None
    finally:
        os.ftruncate(lock.fd, 0)


def _note(sentence: str) -> None:
    with contextlib.suppress(OSError):  # a full disk must not keep us from stopping the servers
        print(f"{SystemClock().now().isoformat(timespec='milliseconds')} {sentence}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
