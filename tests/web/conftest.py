"""The web application: in process for pages, on a real uvicorn for what depends on one."""

import asyncio
import dataclasses
import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from campaigns.application import Application
from campaigns.models import LoggedEvent
from campaigns.web.app import create_app
from campaigns.web.protocol import uvicorn_options
from dialer.pbx.base import EventKeys, Feature, Payload
from dialer.settings import PbxSettings, WebSettings
from tests.waiting import until

SECRET = "the-secret-of-the-main-pbx-000000"
PREVIOUS = "the-secret-it-had-before-that-000"
OTHER = "the-secret-of-another-pbx-0000000"


class Reader:
    """An adapter as far as the web process needs one."""

    features = frozenset({Feature.CUSTOMER_FIRST, Feature.JOIN})

    def keys(self, payload: Payload) -> EventKeys:
        fields = parse_qs(payload.query or payload.body.decode("latin-1"))
        patient = fields.get("event_name") == ["call_progress"]
        return EventKeys(fields.get("extid", [None])[0], fields.get("call_id", [None])[0], can_wait=patient)


@dataclass
class Bell:
    """Remembers which calls it was told to look at."""

    looks: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    broken: bool = False
    held: threading.Event | None = None

    def look(self, pbx: str, ref: str | None, call_id: str | None) -> None:
        if self.held is not None:
            self.held.wait(20)
        self.looks.append((pbx, ref, call_id))
        if self.broken:
            raise ConnectionError("the queue is gone")

    def place(self, ref: str) -> None: ...

    def run_import(self, import_id: int) -> None: ...


@pytest.fixture
def bell() -> Bell:
    return Bell()


@pytest.fixture
def pbx_settings(tmp_path: Path) -> dict[str, PbxSettings]:
    (tmp_path / "main.secret").write_text(SECRET + "\n")
    (tmp_path / "other.secret").write_text(OTHER + "\n")
    return {
        "main": PbxSettings(
            url="http://127.0.0.1:9/",
            webhook_secret_file=str(tmp_path / "main.secret"),
            webhook_secret_previous_env="TEST_PREVIOUS_SECRET",
            abandon_ivr=19,
        ),
        "far": PbxSettings(
            url="http://127.0.0.1:9/",
            webhook_secret_file=str(tmp_path / "other.secret"),
            webhook_allow=("192.0.2.10/32",),
        ),
        "mute": PbxSettings(url="http://127.0.0.1:9/"),
    }


@pytest.fixture
def web(
    application: Application, bell: Bell, pbx_settings: dict[str, PbxSettings], monkeypatch: pytest.MonkeyPatch
) -> Application:
    """The application with three PBXs: one here, one far away, and one that sends no events."""
    monkeypatch.setenv("TEST_PREVIOUS_SECRET", PREVIOUS)
    settings = application.settings.model_copy(update={"pbx": pbx_settings})
    pbxes = {name: Reader() for name in pbx_settings}
    return dataclasses.replace(application, settings=settings, pbxes=pbxes, doorbell=bell)  # type: ignore[arg-type]


@dataclass
class Running:
    """A web process on a port of this machine."""

    port: int
    application: Application
    server: uvicorn.Server

    def ask(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> "Answer":
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body or None, headers or {})
            reply = connection.getresponse()
            return Answer(reply.status, dict(reply.getheaders()), reply.read())
        finally:
            connection.close()

    def get(self, path: str) -> "Answer":
        return self.ask("GET", path)

    def events(self) -> list[LoggedEvent]:
        with self.application.sessions() as session:
            return list(session.query(LoggedEvent).order_by(LoggedEvent.id))

    def number(self, name: str) -> float:
        """Read one number of /metrics."""
        for line in self.get("/metrics").body.decode().splitlines():
            if line.startswith(name + " "):
                return float(line.rpartition(" ")[2])
        return 0.0


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@contextmanager
def serve(application: Application, announce: Callable[[str], None] = lambda sentence: None) -> Iterator[Running]:
    """Serve with the options the product is served with."""
    app = create_app(application, announce=announce)
    config = uvicorn.Config(app, host="127.0.0.1", port=0, **uvicorn_options())
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started or not thread.is_alive())
    assert server.started
    try:
        yield Running(server.servers[0].sockets[0].getsockname()[1], application, server)
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture
def running(web: Application) -> Iterator[Running]:
    with serve(web) as server:
        yield server


class Browser:
    """Asks the application in this process, one request after the other, with a cookie jar."""

    def __init__(self, app: FastAPI, address: str, comes_from: str) -> None:
        self._runner = asyncio.Runner()
        self._life = app.router.lifespan_context(app)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(comes_from, 50_000))
        self._client = httpx.AsyncClient(transport=transport, base_url=address)

    def __enter__(self) -> "Browser":
        self._runner.run(self._life.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._client.aclose())
        self._runner.run(self._life.__aexit__(None, None, None))
        self._runner.close()

    @property
    def cookies(self) -> httpx.Cookies:
        return self._client.cookies

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self._runner.run(self._client.get(path, **options))

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self._runner.run(self._client.post(path, **options))


@pytest.fixture
def browser(web: Application) -> Iterator[Browser]:
    """A browser on this machine."""
    with browse(web) as browser:
        yield browser


def browse(
    application: Application,
    *,
    address: str = "http://127.0.0.1:8080",
    announce: Callable[[str], None] = lambda sentence: None,
    queue_check: Callable[[], None] | None = None,
    comes_from: str = "127.0.0.1",
) -> Browser:
    """A browser at `comes_from` that types `address`."""
    return Browser(create_app(application, announce=announce, queue_check=queue_check), address, comes_from)


def at_host(application: Application, **web: str) -> Application:
    """The same application, bound or published elsewhere."""
    settings = application.settings.model_copy(update={"web": WebSettings(**web)})  # type: ignore[arg-type]
    return dataclasses.replace(application, settings=settings)
