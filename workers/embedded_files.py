"""The data folder the embedded services share with everybody who uses them: locks, ports, passwords, requests.

Only locks (`flock`) say who is alive, never a stored pid: the kernel drops a lock when its holder dies, also
by `kill -9`, and a pid may by then belong to somebody else.
"""

import contextlib
import errno
import fcntl
import json
import os
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from dialer.errors import DialerError, ServiceUnreachable, SettingsError, TryAgainLater

SERVICES = ("postgres", "valkey")
LOG_LIMIT = 5_000_000  # bytes; a longer log is put aside at the next start
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_ERRORS = {kind.__name__: kind for kind in (ServiceUnreachable, SettingsError, TryAgainLater)}
_open_locks: "weakref.WeakSet[FileLock]" = weakref.WeakSet()


class FileLock:
    """An advisory lock that its process loses by dying. Never inherited, unless asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        _open_locks.add(self)

    @property
    def fd(self) -> int:
        if self._fd is None:
            raise ValueError(f"the lock {self.path} is closed")
        return self._fd

    def try_shared(self) -> bool:
        return self._try(fcntl.LOCK_SH)

    def try_exclusive(self) -> bool:
        return self._try(fcntl.LOCK_EX)

    def _try(self, how: int) -> bool:
        try:
            fcntl.flock(self.fd, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def shared_within(self, seconds: float) -> bool:
        return wait_for(self.try_shared, seconds)

    def exclusive_within(self, seconds: float) -> bool:
        return wait_for(self.try_exclusive, seconds)

    def unlock(self) -> None:
        fcntl.flock(self.fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go. The lock itself lives on while a process that inherited it does."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def keep_in_children(self) -> None:
        """A forked child keeps this one; all others are closed in it."""
        _open_locks.discard(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _close_in_child() -> None:
    # A forked child would otherwise keep the services alive after its parent has gone.
    for lock in list(_open_locks):
        lock.close()


os.register_at_fork(after_in_child=_close_in_child)


@dataclass
class State:
    """What the guardian last wrote down. Ports are kept between runs; the rest counts while the guardian lives."""

    ports: dict[str, int] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)
    durable: bool = True
    answered: str = ""  # the request this state answers
    error: tuple[str, str] | None = None  # (kind, sentence) when that request failed

    def trouble(self) -> DialerError | None:
        """Return the error to raise for the answered request, if it failed."""
        if self.error is None:
            return None
        kind, sentence = self.error
        return _ERRORS.get(kind, ServiceUnreachable)(sentence)


@dataclass(frozen=True)
class Request:
    """What a user of the services asks of the guardian."""

    id: str
    services: tuple[str, ...]
    durable: bool


class DataFolder:
    """`DIALER_DATA_DIR`, as far as the embedded services are concerned."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.logs = self.path / "logs"
        self.services = self.path / "services"  # a folder, or a link to where the services can reach theirs

    @classmethod
    def open(cls, path: Path) -> "DataFolder":
        """Create what is missing; SettingsError when we may not write there."""
        folder = cls(path)
        with folder.writing():
            created = not folder.path.exists()
            folder.path.mkdir(parents=True, exist_ok=True)
            if created:
                # The servers of a root user run as somebody else, who must be able to pass through.
                folder.path.chmod(0o711 if os.geteuid() == 0 else 0o700)
            folder.logs.mkdir(mode=0o700, exist_ok=True)
            folder.give_to_owner(folder.logs)
            with folder.lock("start"), folder.lock("users"), folder.lock("guardian"):
                pass
        return folder

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Turn the operating system's refusals into our sentence."""
        try:
            yield
        except OSError as exc:
            if exc.errno in _NO_SPACE:
                raise ServiceUnreachable(
                    f"no space left for the embedded services in {self.path} ({exc.strerror}); "
                    "free some space, or name another folder with DIALER_DATA_DIR"
                ) from None
            where = exc.filename or self.path
            raise SettingsError(
                f"data folder {self.path}: cannot use {where}: {exc.strerror}{self._whose()}; "
                "mend its permissions, or name another folder with DIALER_DATA_DIR"
            ) from None

    def _whose(self) -> str:
        try:
            owner = self.path.stat().st_uid
        except OSError:
            return ""
        return "" if owner == os.geteuid() else f" (the folder belongs to user id {owner}, we run as {os.geteuid()})"

    def give_to_owner(self, path: Path) -> None:
        """Root working in somebody's folder must not leave files there which they cannot use."""
        if os.geteuid() == 0 and (owner := self.path.stat()).st_uid != 0:
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)

    def lock(self, name: str) -> FileLock:
        path = self.path / f"{name}.lock"
        lock = FileLock(path)
        self.give_to_owner(path)
        return lock

    def is_held(self, name: str) -> bool:
        """Whether some process holds the lock `name` (a running guardian, a running server)."""
        with self.lock(name) as lock:
            return not lock.try_exclusive()

    def guardian_pid(self) -> int | None:
        """The living guardian's pid; None when there is no guardian."""
        if not self.is_held("guardian"):
            return None
        text = (self.path / "guardian.lock").read_text("ascii").strip()
        return int(text) if text.isdigit() else None

    def read_state(self) -> State:
        known = self._read_json("services.json")
        error = known.get("error")
        return State(
            ports={name: int(port) for name, port in known.get("ports", {}).items()},
            pids={name: int(pid) for name, pid in known.get("pids", {}).items()},
            durable=bool(known.get("durable", True)),
            answered=str(known.get("answered", "")),
            error=(str(error[0]), str(error[1])) if error else None,
        )

    def write_state(self, state: State) -> None:
        self._write_json("services.json", asdict(state))

    def read_request(self) -> Request | None:
        known = self._read_json("request.json")
        if not known:
            return None
        return Request(str(known["id"]), tuple(known["services"]), bool(known["durable"]))

    def write_request(self, request: Request) -> None:
        self._write_json("request.json", asdict(request))

    def password(self, service: str) -> str | None:
        """The service's password; None when none is kept (yet, or any more)."""
        known = self._read_json("passwords.json").get(service)
        return str(known) if known else None

    def keep_password(self, service: str, password: str) -> None:
        """Write it down, readable by its owner alone."""
        self._write_json("passwords.json", self._read_json("passwords.json") | {service: password})

    def log_path(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def open_log(self, name: str) -> int:
        """A descriptor that appends to the log `name`; an overlong log is put aside first."""
        path = self.log_path(name)
        if path.exists() and path.stat().st_size > LOG_LIMIT:
            path.replace(path.with_suffix(".log.1"))
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self.give_to_owner(path)
        return descriptor

    def _read_json(self, name: str) -> dict[str, Any]:
        try:
            known = json.loads((self.path / name).read_text("utf-8"))
        except (FileNotFoundError, ValueError):  # cut short by a full disk or a crash: as good as absent
            return {}
        return known if isinstance(known, dict) else {}

    def _write_json(self, name: str, value: Mapping[str, Any]) -> None:
        path, new = self.path / name, self.path / f"{name}.{os.getpid()}.new"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(value, file)
        self.give_to_owner(new)
        new.replace(path)


def wait_for(condition: Callable[[], object], seconds: float, every: float = 0.01) -> bool:
    """Ask `condition` until it holds or the time is over; say which."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(every)
    return True
