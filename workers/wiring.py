"""Settings into an Application: the one place where the parts are put together."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import structlog

from campaigns import schema
from campaigns.application import Application, Doorbell, SilentDoorbell
from campaigns.db import engine_for, reachable, session_factory
from campaigns.installation import ensure_installation
from campaigns.pbx_requests import SharedBook
from dialer.directory.base import Directory
from dialer.directory.registry import open_directory
from dialer.errors import ServiceUnreachable, SettingsError
from dialer.pbx.base import Pbx
from dialer.pbx.registry import open_pbx
from dialer.secrets import secret
from dialer.settings import DirectorySettings, PbxSettings, Reached, Settings
from workers.embedded import services_for
from workers.redaction import register_secret

if TYPE_CHECKING:
    from workers.broker import WakeUpBroker

log = structlog.get_logger(__name__)
# A tick that is skipped because the last one still waits for a slow PBX is what we want.
logging.getLogger("apscheduler").setLevel(logging.ERROR)


@dataclass
class Wired:
    """An application and, when it was asked for, the broker behind its doorbell."""

    application: Application
    broker: "WakeUpBroker | None"
    database_url: str
    redis_url: str


class _Closes(Protocol):
    def close(self) -> None: ...


S = TypeVar("S", bound=Reached)
A = TypeVar("A", bound=_Closes)


class _Adapters(Mapping[str, A], Generic[S, A]):
    """The PBXs (or directories) of the settings, each opened when it is first asked for: most commands ask for none."""

    def __init__(self, settings: Mapping[str, S], open_adapter: Callable[[str, S], A]) -> None:
        self._settings = settings
        self._open_adapter = open_adapter
        self._open: dict[str, A] = {}
        self._lock = Lock()

    def __getitem__(self, name: str) -> A:
        import stamina.instrumentation  # comes with the HTTP client, which most commands never need

        with self._lock:
            if name not in self._open:
                settings = self._settings[name]
                _keep_out_of_logs(name, settings)
                self._open[name] = self._open_adapter(name, settings)
                # A read that fails for good is noted with its PBX; each try in between is not worth a line.
                stamina.instrumentation.set_on_retry_hooks([])
            return self._open[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._settings)

    def __len__(self) -> int:
        return len(self._settings)

    def close(self) -> None:
        for adapter in self._open.values():
            adapter.close()


@contextmanager
def wire(settings: Settings, *, process: str, queue: bool = True, migrate: bool | None = None) -> Iterator[Wired]:
    """Open everything one process needs and close it again.

    `migrate`: bring the schema up to date first; by default only for embedded services, whose owner is us.
    """
    with services_for(settings) as (database_url, redis_url):
        engine = engine_for(database_url, pool_size=settings.database.pool_size, application_name=f"dialer {process}")
        book = SharedBook(engine)
        pbxes: _Adapters[PbxSettings, Pbx] = _Adapters(settings.pbx, partial(open_pbx, requests=book))
        directories: _Adapters[DirectorySettings, Directory] = _Adapters(settings.directory, open_directory)
        try:
            _schema(engine, settings, migrate)
            broker = None
            doorbell: Doorbell = SilentDoorbell()
            if queue:
                list(pbxes.values())  # what is wrong with a PBX's settings is said at the start
                from workers.broker import QueueDoorbell, build_broker

                broker = build_broker(redis_url)
                doorbell = QueueDoorbell(broker, complain=lambda why: log.warning("doorbell", why=why))
            application = Application(
                settings=settings,
                engine=engine,
                sessions=session_factory(engine),
                pbxes=pbxes,
                doorbell=doorbell,
                directories=directories,
            )
            yield Wired(application, broker, database_url, redis_url)
            if broker is not None:
                broker.close()
        finally:
            pbxes.close()
            directories.close()
            engine.dispose()


def _keep_out_of_logs(name: str, settings: Reached) -> None:
    """Tell the logs what must never be in them. What cannot be read now is complained of where it is needed."""
    for which in (settings.secret_name, "webhook_secret", "webhook_secret_previous"):
        with suppress(SettingsError):
            value = secret(settings, name, which)
            if value is not None:
                register_secret(value)


def _schema(engine: object, settings: Settings, migrate: bool | None) -> None:
    from sqlalchemy import Engine

    assert isinstance(engine, Engine)
    with reachable():
        have = schema.current(engine)
    if have != schema.newest():
        if not (settings.database.url == "" if migrate is None else migrate):
            raise SettingsError(
                f"the database is at {have or 'no'} schema and this program needs {schema.newest()}: "
                "run `dialer db upgrade` first"
            )
        schema.upgrade(engine)
    ensure_installation(engine)


def check_redis(broker: "WakeUpBroker") -> None:
    """Raise ServiceUnreachable when Redis does not answer."""
    import redis

    try:
        broker.client.ping()
    except redis.RedisError as exc:
        raise ServiceUnreachable(f"Redis cannot be reached ({type(exc).__name__}); check redis.url") from None
