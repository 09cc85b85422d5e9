"""A real PostgreSQL and a real Valkey of our own, for machines where nobody has set up any.

They are started when first needed, shared by every process that names the same data folder, and stopped when the
last of these has gone, however it went. Their data stay in the folder and are found again.
"""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from dialer.errors import DialerError, ServiceUnreachable, SettingsError, TryAgainLater
from dialer.settings import Settings
from workers import embedded_postgres, embedded_valkey
from workers.embedded_files import SERVICES, DataFolder, FileLock, Request, State, wait_for
from workers.redaction import register_secret

START_WITHIN = 200.0  # seconds; both servers replaying their logs after a crash, at worst
TURN_WITHIN = 240.0  # seconds, for somebody else's start or stop in the same folder
STOP_WITHIN = 20.0


class EmbeddedServices:
    """PostgreSQL and Valkey in `data_dir`, used by us from `start` to `stop`.

    `durable=False` leaves out every wait for the disk: for tests and demos. `services` may name one of the two.
    """

    def __init__(self, data_dir: Path, *, durable: bool = True, services: Sequence[str] = SERVICES) -> None:
        self._data_dir = data_dir
        self._durable = durable
        self._wanted = tuple(services)
        self._using: FileLock | None = None
        self._data: DataFolder | None = None
        self._state = State()

    def start(self) -> Self:
        """Find the services running or start them, and hold on to them."""
        if self._using is not None:
            return self
        if os.name != "posix":
            raise SettingsError("there are no embedded services for Windows: set database.url and redis.url")
        data = DataFolder.open(self._data_dir)
        with data.writing(), data.lock("start") as turn:
            if not turn.exclusive_within(TURN_WITHIN):
                raise TryAgainLater(f"another process has been starting the services in {data.path} for too long")
            using = data.lock("users")
            try:
                # Only a guardian that is just stopping holds this one for longer than a moment.
                if not using.shared_within(TURN_WITHIN):
                    raise TryAgainLater(f"the services in {data.path} are still being stopped; try again")
                self._state = self._found(data) or self._started(data)
            except BaseException:
                using.close()
                raise
        self._using, self._data = using, data
        for name in self._wanted:
            register_secret(self._password(name))
        return self

    def stop(self) -> None:
        """Let go of the services. If nobody else uses them they are stopped, which is waited for."""
        using, self._using = self._using, None
        data = self._data
        if using is None or data is None:
            return
        with using:
            if using.try_exclusive() and (pid := data.guardian_pid()) is not None:
                os.kill(pid, signal.SIGTERM)
                wait_for(lambda: not data.is_held("guardian"), STOP_WITHIN)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def database_url(self) -> str:
        """The address of a database whose role may create others."""
        return embedded_postgres.url(self._password("postgres"), self._state.ports["postgres"])

    @property
    def redis_url(self) -> str:
        return embedded_valkey.url(self._password("valkey"), self._state.ports["valkey"])

    def _password(self, service: str) -> str:
        password = self._data.password(service) if self._data is not None and self._using is not None else None
        if password is None or service not in self._wanted:
            raise ServiceUnreachable(f"the embedded {service} in {self._data_dir} is not started")
        return password

    def _found(self, data: DataFolder) -> State | None:
        """The running services, when they are all that we need and answer."""
        if data.guardian_pid() is None:
            return None
        state = data.read_state()
        if (self._durable and not state.durable) or not all(name in state.pids for name in self._wanted):
            return None
        return state if all(_answers(data, state, name) for name in self._wanted) else None

    def _started(self, data: DataFolder) -> State:
        """Ask the guardian, who is started first if there is none."""
        request = Request(uuid.uuid4().hex, self._wanted, self._durable)
        data.write_request(request)
        pid = data.guardian_pid()
        if pid is not None:
            os.kill(pid, signal.SIGHUP)
        else:
            _start_guardian(data)
        end = time.monotonic() + START_WITHIN
        while time.monotonic() < end:
            state = data.read_state()
            if state.answered == request.id:
                if (trouble := state.trouble()) is not None:
                    raise trouble
                return state
            if not data.is_held("guardian"):
                raise _guardian_died(data)
            time.sleep(0.01)
        raise ServiceUnreachable(
            f"the embedded services in {data.path} did not start within {START_WITHIN:.0f} s; read {data.logs}"
        )


@contextmanager
def services_for(settings: Settings, *, durable: bool = True) -> Iterator[tuple[str, str]]:
    """(database url, redis url): those of the settings, and embedded services for what they leave empty."""
    database, redis = settings.database.url, settings.redis.url
    missing = [name for name, url in (("postgres", database), ("valkey", redis)) if not url]
    if not missing:
        yield database, redis
        return
    if settings.env == "production":
        names = " and ".join({"postgres": "database.url", "valkey": "redis.url"}[name] for name in missing)
        raise SettingsError(
            f"{names} must be set when env is production: the embedded services are for trying out and developing "
            "(DIALER_DATABASE_URL, DIALER_REDIS_URL)"
        )
    with EmbeddedServices(settings.data_dir, durable=durable, services=missing) as running:
        yield database or running.database_url, redis or running.redis_url


def _answers(data: DataFolder, state: State, service: str) -> bool:
    port = state.ports.get(service, 0)
    if service == "postgres":
        return embedded_postgres.answers(port)
    return embedded_valkey.answers(data.password(service) or "", port)


def _start_guardian(data: DataFolder) -> None:
    log = data.open_log("guardian")
    try:
        done = subprocess.run(  # noqa: S603 - ourselves
            [sys.executable, "-m", "workers.guardian", str(data.path)],
            cwd=Path(__file__).parents[1],  # where `workers` is found, installed or not
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us, not for the servers
            check=False,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise ServiceUnreachable(f"cannot start the guardian of the embedded services in {data.path}: {exc}") from None
    finally:
        os.close(log)
    if done.returncode != 0:
        raise _guardian_died(data)


def _guardian_died(data: DataFolder) -> DialerError:
    log = data.log_path("guardian")
    try:
        said = log.read_text("utf-8", "replace").strip().splitlines()
    except OSError:
        said = []
    last = f"; it last said: {said[-1][:300]}" if said else ""
    return ServiceUnreachable(
        f"the guardian of the embedded services in {data.path} ended too early{last}; read {log}, and try again"
    )
