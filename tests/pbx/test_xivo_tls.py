"""XiVO behind the suite's proxy: https and wss, with a certificate of the operator's own authority."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from dialer.errors import PbxUnavailable
from dialer.pbx.base import AgentFirstOrder
from dialer.pbx.xivo import XivoPbx
from dialer.settings import PbxSettings
from tests.pbx.tls_proxy import Proxy, needs_openssl
from tests.pbx.xuc_peer import BOSS, PASSWORD, XucPeer

pytestmark = needs_openssl
ORDER = AgentFirstOrder("d-c7", "1015", "2015", "+390612345678", "")


@pytest.fixture
def peer() -> Iterator[XucPeer]:
    peer = XucPeer()
    yield peer
    peer.close()


@pytest.fixture
def proxy(peer: XucPeer, tmp_path: Path) -> Iterator[Proxy]:
    proxy = Proxy(tmp_path, peer.server.port)
    yield proxy
    proxy.close()


def opened(proxy: Proxy, ca_file: str) -> XivoPbx:
    extra = {"agents": "1015=agent15"} | ({"ca_file": ca_file} if ca_file else {})
    url = f"https://127.0.0.1:{proxy.port}"
    settings = PbxSettings(kind="xivo", url=url, user=BOSS, token_env="KEY", extra=extra)
    return XivoPbx("main", settings, environ={"KEY": PASSWORD})


def test_orders_and_events_travel_in_tls(peer: XucPeer, proxy: Proxy) -> None:
    pbx = opened(proxy, str(proxy.certificate))

    async def hears() -> str:
        stream = await pbx.open_stream()
        try:
            await asyncio.to_thread(pbx.call_for_agent, ORDER)
            return await asyncio.wait_for(stream.receive(), 10)
        finally:
            await stream.close()

    assert pbx.told(asyncio.run(hears())).ref == "d-c7"
    assert peer.counted == 1
    pbx.close()


def test_a_certificate_of_nobody_we_know_is_not_spoken_to(peer: XucPeer, proxy: Proxy) -> None:
    pbx = opened(proxy, "")
    with pytest.raises(PbxUnavailable, match="certificate"):
        pbx.call_for_agent(ORDER)
    assert peer.logins == 0
    pbx.close()
