"""A simulated XC5 of three agents, and the adapter that speaks to it over HTTP."""

from collections.abc import Callable, Iterator

import pytest

from dialer.directory.xc5 import Xc5Directory
from dialer.settings import DirectorySettings
from tests.directory.xc5_peer import PASSWORD, TENANT, USER, Xc5World, serve, url_of
from tests.pbx.scripted import ScriptedServer

ENVIRON = {"XC5_PASSWORD": PASSWORD}


@pytest.fixture
def world() -> Xc5World:
    made = Xc5World()
    made.agent("anna", "201", description="Anna Rossi")
    made.agent("bruno", "202", reg_status="not registered")
    made.agent("carla", "203")
    made.number("6499290087", f"anna@{TENANT}", **{"is-pilot": True})
    made.number("6499290088", TENANT)
    made.number("6499290100")
    made.number("6499290101")
    return made


@pytest.fixture
def server(world: Xc5World) -> Iterator[ScriptedServer]:
    running = serve(world)
    yield running
    running.close()


def settings_for(server: ScriptedServer, **changes: object) -> DirectorySettings:
    values = {
        "url": url_of(server), "user": USER, "password_env": "XC5_PASSWORD", "account": TENANT, "timeout": 10.0,
        "requests_per_second": 1000.0, **changes,
    }  # fmt: skip
    return DirectorySettings.model_validate(values)


@pytest.fixture
def open_xc5(server: ScriptedServer) -> Iterator[Callable[..., Xc5Directory]]:
    opened: list[Xc5Directory] = []

    def open_it(**changes: object) -> Xc5Directory:
        opened.append(Xc5Directory("office", settings_for(server, **changes), environ=ENVIRON))
        return opened[-1]

    yield open_it
    for one in opened:
        one.close()


@pytest.fixture
def xc5(open_xc5: Callable[..., Xc5Directory]) -> Xc5Directory:
    return open_xc5()
