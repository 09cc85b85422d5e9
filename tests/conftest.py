"""Real services for every test: PostgreSQL and Valkey from wheels, or those the environment names."""

import gc
import os
import uuid
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import hypothesis
import psycopg
import pytest
from hypothesis import HealthCheck
from sqlalchemy import Engine
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from campaigns import schema
from campaigns.application import Application
from campaigns.db import engine_for, session_factory
from dialer.clock import ManualClock
from dialer.settings import Settings, TimingSettings
from tests import lanes
from tests.databases import Databases

# What several test files share says what it compared, as they do. Here, before any of them is imported.
pytest.register_assert_rewrite("tests.pbx.contract", "tests.directory.contract")
# A busy machine is no reason to fail: what is drawn by chance has no deadline, and may take its time to be drawn.
hypothesis.settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis.settings.load_profile("busy")
# A leader that a busy machine does not call dead in the middle of a test.
UNHURRIED = TimingSettings(lease=60)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Modules and tests stay until the end: the collector gains nothing by walking through them again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    lanes.put(items)


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """(database url, redis url) of real servers; started for this run unless the environment names some."""
    database, redis = os.environ.get("DIALER_TEST_DATABASE_URL"), os.environ.get("DIALER_TEST_REDIS_URL")
    if database and redis:
        yield database, redis
        return
    from workers.embedded import EmbeddedServices

    with EmbeddedServices(tmp_path_factory.mktemp("services"), durable=False) as running:
        yield running.database_url, running.redis_url


@pytest.fixture(scope="session")
def template_database(services: tuple[str, str]) -> Iterator[str]:
    """The name of a migrated database from which each test's own is copied in some milliseconds."""
    name = f"template_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(_plain(services[0]), autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
        engine = engine_for(str(_named(services[0], name)))
        schema.upgrade(engine)
        engine.dispose()
        yield name
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def databases(services: tuple[str, str], template_database: str) -> Iterator[Databases]:
    databases = Databases(_plain(services[0]), template_database)
    yield databases
    databases.close()


@pytest.fixture
def database_url(services: tuple[str, str], databases: Databases) -> Iterator[str]:
    """A database as if fresh, of the newest schema."""
    with databases.lent() as name:
        yield _named(services[0], name)


@pytest.fixture
def redis_url(services: tuple[str, str]) -> str:
    return services[1]


@pytest.fixture(scope="session")
def engines() -> dict[str, Engine]:
    """Database url -> engine: the next test of the same database finds statements compiled."""
    return {}


@pytest.fixture
def engine(database_url: str, engines: dict[str, Engine]) -> Iterator[Engine]:
    if database_url not in engines:
        engines[database_url] = engine_for(database_url)
    engine = engines[database_url]
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session the test commits itself when others must see its rows."""
    with session_factory(engine)() as session:
        yield session


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))


@pytest.fixture
def application(engine: Engine, clock: ManualClock, tmp_path: Path) -> Application:
    """An application with no PBX and a doorbell nobody hears; tests add what they need."""
    settings = Settings(data_dir=tmp_path, timing=UNHURRIED)
    return Application(settings=settings, engine=engine, sessions=session_factory(engine), clock=clock)


def _named(url: str, database: str) -> str:
    return make_url(url).set(database=database).render_as_string(hide_password=False)


def _plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
