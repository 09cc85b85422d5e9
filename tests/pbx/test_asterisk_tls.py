"""Asterisk behind the site's proxy: requests by https and events by wss."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from dialer.errors import PbxUnavailable
from dialer.pbx.asterisk import AsteriskPbx
from dialer.pbx.base import CustomerOrder
from dialer.settings import PbxSettings
from tests.pbx.ari_peer import PASSWORD, USER, AriPeer
from tests.pbx.tls_proxy import Proxy, needs_openssl

pytestmark = needs_openssl
ORDER = CustomerOrder("d5e1f00aa-c12", "+390612345699", "trunk", "+390210001000")


@pytest.fixture
def peer() -> Iterator[AriPeer]:
    running = AriPeer()
    yield running
    running.close()


@pytest.fixture
def proxy(peer: AriPeer, tmp_path: Path) -> Iterator[Proxy]:
    proxy = Proxy(tmp_path, peer.server.port)
    yield proxy
    proxy.close()


def opened(proxy: Proxy, ca_file: str) -> AsteriskPbx:
    told = {"kind": "asterisk", "url": f"https://127.0.0.1:{proxy.port}/ari", "user": USER, "token_env": "T"}
    more = {"trunks": {"trunk": 30}, "timeout": 5.0, "extra": {"ca_file": ca_file} if ca_file else {}}
    return AsteriskPbx("main", PbxSettings.model_validate({**told, **more}), environ={"T": PASSWORD})


def test_orders_and_events_travel_in_tls(peer: AriPeer, proxy: Proxy) -> None:
    pbx = opened(proxy, str(proxy.certificate))

    async def hears() -> str:
        stream = await pbx.open_stream()
        try:
            await asyncio.to_thread(pbx.settle)
            await asyncio.to_thread(pbx.call_customer, ORDER)
            while True:
                told = pbx.told(await asyncio.wait_for(stream.receive(), 10))
                if told.ref:
                    return told.ref
        finally:
            await stream.close()

    assert asyncio.run(hears()) == ORDER.ref
    pbx.close()


def test_a_certificate_of_nobody_we_know_is_not_spoken_to(peer: AriPeer, proxy: Proxy) -> None:
    pbx = opened(proxy, "")
    with pytest.raises(PbxUnavailable, match="certificate"):
        pbx.call_customer(ORDER)
    with pytest.raises(PbxUnavailable, match="certificate"):
        asyncio.run(pbx.open_stream())
    assert peer.asked == []
    pbx.close()
