"""TLS before a peer that speaks none: https and wss, with a certificate of the operator's own authority."""

import shutil
import socket
import ssl
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import pytest

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl, which makes the certificate, is not here"
)


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
