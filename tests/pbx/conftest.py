"""A scripted PBX on a real socket, and the settings to reach it."""

from collections.abc import Callable, Iterator

import pytest

from dialer.pbx.voispeed import VoispeedPbx
from dialer.settings import PbxSettings
from tests.pbx.scripted import ScriptedServer

TOKEN = "canary-5f1c9a7e"


def last_asked(server: ScriptedServer) -> dict[str, str]:
    """The arguments of the newest request, without the token, which is always there."""
    params = dict(server.requests[-1].params)
    assert params.pop("token") == TOKEN
    return params


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    running = ScriptedServer()
    yield running
    running.close()


@pytest.fixture
def pbx_settings(server: ScriptedServer) -> PbxSettings:
    return PbxSettings(
        url=server.url, token_env="TOKEN", reception_ivr=17, waiting_ivr=18, abandon_ivr=19, gateways=(4,), timeout=10.0
    )


@pytest.fixture
def open_voispeed(pbx_settings: PbxSettings) -> Iterator[Callable[..., VoispeedPbx]]:
    """Open the scripted PBX as a VOIspeed, with settings changed as asked; closed after the test."""
    opened: list[VoispeedPbx] = []

    def open_it(**changes: object) -> VoispeedPbx:
        pbx = VoispeedPbx("main", pbx_settings.model_copy(update=changes), environ={"TOKEN": TOKEN})
        opened.append(pbx)
        return pbx

    yield open_it
    for pbx in opened:
        pbx.close()


@pytest.fixture
def voispeed(open_voispeed: Callable[..., VoispeedPbx]) -> VoispeedPbx:
    return open_voispeed()
