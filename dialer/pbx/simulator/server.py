"""The simulated PBX over HTTP: VOIspeed's address, the control door, and webhooks sent out."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from threading import Event, Thread
from typing import cast

import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dialer.clock import SystemClock
from dialer.errors import BadInput, ServiceUnreachable
from dialer.pbx.simulator.config import PROFILES, WorldConfig
from dialer.pbx.simulator.control import Control
from dialer.pbx.simulator.faults import read_faults
from dialer.pbx.simulator.forms import params_of
from dialer.pbx.simulator.station import Station, at_wall_time, changed
from dialer.pbx.simulator.voispeed_api import ENDPOINT
from dialer.pbx.simulator.world import Fate, Reply, World

_BODY_LIMIT = 16 << 20  # a synchronisation of the phone book
_CUT = "simulator.cut"


@dataclass(frozen=True)
class ServerConfig:
    """Where to listen, where to send what happens, and what is simulated."""

    host: str = "127.0.0.1"
    port: int = 9100  # 0: any free one
    webhook_url: str = ""
    world: WorldConfig = field(default_factory=WorldConfig.demo)
    seed: int = 1
    faults: str | Mapping[str, object] = ""


class Endpoint:
    """VOIspeed's one address, as a bare ASGI application: it is asked far more than anything else."""

    def __init__(self, station: Station) -> None:
        self._station = station

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        content_type, body = "", b""
        if scope["method"] == "POST":
            content_type = dict(scope["headers"]).get(b"content-type", b"").decode("latin-1")
            body = await _read(receive)
        params = params_of(scope["query_string"], content_type, body)
        reply = self._station.request(params, scope["method"])
        if reply.delay and reply.fate is Fate.ARRIVES:
            await asyncio.sleep(reply.delay)
        if reply.fate is Fate.ARRIVES:
            await _answer(send, reply)
        else:
            await _break_off(scope, receive, reply)


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body") or len(body) > _BODY_LIMIT:
            return bytes(body)


async def _answer(send: Send, reply: Reply) -> None:
    headers = [
        (b"content-type", reply.content_type.encode()),
        (b"content-length", str(len(reply.body)).encode()),
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


async def _break_off(scope: Scope, receive: Receive, reply: Reply) -> None:
    """Close the connection without a word, at once or when the client has waited long enough."""
    if reply.fate is Fate.WITHHELD:
        try:
            async with asyncio.timeout(reply.delay):
                while (await receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            pass
    scope["extensions"][_CUT]()
    while (await receive())["type"] != "http.disconnect":
        pass


class CuttingProtocol(HttpToolsProtocol):
    """Lets an application cut its connection, which ASGI knows no word for."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast(Scope, self.scope)["extensions"] = {_CUT: self.transport.abort}


def build_app(station: Station) -> Starlette:
    """Return the application of a station; it moves while the application lives."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await station.open()
        try:
            yield
        finally:
            await station.close()

    async def root(_: object) -> PlainTextResponse:
        return PlainTextResponse(f"A simulated VOIspeed PBX. Interface: {ENDPOINT}  Control: /_control/state\n")

    routes = [Route("/", root), Route(ENDPOINT, Endpoint(station), methods=["GET", "POST"])]
    return Starlette(routes=[*routes, *Control(station).routes()], lifespan=lifespan)


class _Server(uvicorn.Server):
    """Tells when it listens."""

    started_listening: Callable[[], None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self.started_listening is not None:
            self.started_listening()


class RunningPbx:
    """A simulated PBX listening on a port; `run` blocks, `start` runs it in a thread of its own."""

    def __init__(self, config: ServerConfig) -> None:
        world = World(at_wall_time(config.world, SystemClock().now()), config.seed)
        world.set_faults(config.faults)
        self.station = Station(world, config.webhook_url)
        self._socket = _listen(config.host, config.port)
        host, port = self._socket.getsockname()[:2]
        self.address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self.url = f"{self.address}{ENDPOINT}"
        self._server = _Server(
            uvicorn.Config(
                build_app(self.station),
                http=CuttingProtocol,
                ws="none",
                access_log=False,  # the token travels in the query string
                log_config=None,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=2,
            )
        )
        self._thread: Thread | None = None

    def run(self, on_ready: Callable[[], None] | None = None) -> None:
        """Serve until the process is told to stop; `on_ready` is called when requests are answered."""
        self._server.started_listening = on_ready
        self._server.run(sockets=[self._socket])

    def start(self) -> "RunningPbx":
        """Serve from a thread, and return when requests are answered."""
        ready = Event()
        self._thread = Thread(target=self.run, args=(ready.set,), name="simulated-pbx", daemon=True)
        self._thread.start()
        if not ready.wait(10.0):
            raise ServiceUnreachable(f"the simulated PBX at {self.address} did not start within 10 s")
        return self

    def stop(self) -> None:
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(10.0)
        self._socket.close()

    def __enter__(self) -> "RunningPbx":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except (OSError, OverflowError) as exc:
        listening.close()
        raise ServiceUnreachable(
            f"the simulated PBX cannot listen on {host} port {port}: {exc}; "
            "choose another with --port (0: any free one)"
        ) from None
    listening.setblocking(False)
    return listening


def run_server(
    *,
    host: str = "127.0.0.1",
    port: int = 9100,
    webhook_url: str = "",
    token: str = "simulator",  # noqa: S107 - of a PBX that is not real
    agents: int = 20,
    lines: int = 60,
    speed: float = 1.0,
    seed: int = 1,
    faults: str | Mapping[str, object] = "",
    answer_probability: float = 0.25,
    user_events: bool = False,
    profile: str = "life",
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Run a simulated PBX until the process is told to stop. `on_ready` is given the interface's address."""
    read_faults(faults)  # a wrong name is said before anything listens
    if not token:
        raise BadInput("the simulated PBX needs a token: give it the one of the PBX settings")
    if profile not in PROFILES:
        raise BadInput(f"there is no profile {profile!r}; there are {', '.join(PROFILES)}")
    world = changed(
        replace(PROFILES[profile], token=token, user_events=user_events),
        {"agents": agents, "lines": lines, "speed": speed, "answer_probability": answer_probability},
    )
    pbx = RunningPbx(ServerConfig(host, port, webhook_url, world, seed, faults))
    pbx.run(lambda: on_ready(pbx.url) if on_ready is not None else None)
