"""XiVO behind the suite's proxy: https and wss, with a certificate of the operator's own authority."""

import asyncio
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dialer.errors import PbxUnavailable
from dialer.pbx.base import AgentFirstOrder
from dialer.pbx.xivo import XivoPbx
from dialer.settings import PbxSettings
from tests.pbx.xuc_peer import BOSS, PASSWORD, XucPeer

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl, which makes the certificate, is not here"
)
ORDER = AgentFirstOrder("d-c7", "1015", "2015", "+390612345678", "")


class Proxy:
    """Takes TLS and passes on what is in it."""

    def __init__(self, folder: Path, port: int) -> None:
        self.certificate = folder / "cert.pem"
        subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
        files = ["-keyout", str(folder / "key.pem"), "-out", str(self.certificate)]
        made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files]
        subprocess.run(made, check=True, capture_output=True, timeout=60)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.certificate, folder / "key.pem")
        self._behind = port
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self._closing = threading.Event()
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            with suppress(OSError):
                raw, _ = self._listener.accept()
                raw.settimeout(5)
                front = self._context.wrap_socket(raw, server_side=True)
                front.settimeout(None)
                back = socket.create_connection(("127.0.0.1", self._behind))
                self._sockets += [front, back]
                for here, there in ((front, back), (back, front)):
                    thread = threading.Thread(target=_pump, args=(here, there), daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def close(self) -> None:
        self._closing.set()
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for one in [*self._sockets, self._listener]:
            one.close()


def _pump(here: socket.socket, there: socket.socket) -> None:
    with suppress(OSError):
        while data := here.recv(65536):
            there.sendall(data)
    with suppress(OSError):
        there.shutdown(socket.SHUT_RDWR)


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
