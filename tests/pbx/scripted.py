"""A PBX that answers what it was told to, on a real socket: also nothing, half, too late, or far too much."""

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl

DATA = Path(__file__).parent.parent / "data" / "voispeed"
ENDPOINT = "/PBX/seri_endpoint.php"
_ENTITY_FILES = {
    "0": "users.xml",
    "1": "groups.xml",
    "2": "gateways.xml",
    "3": "ivrs.xml",
    "7": "devices.xml",
    "8": "voicemails.xml",
    "11": "park_lines.xml",
}
_SERVICE_FILES = {
    "get_current_calls": "current_calls.xml",
    "get_call_report": "call_report.xml",
    "get_user_call_report": "user_call_report.xml",
    "get_phonebook": "phonebook.xml",
    "phonebook_import_sync": "import_verbose.xml",
}


@dataclass(frozen=True)
class Received:
    """One request as it arrived."""

    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def service(self) -> str:
        return self.params.get("service", "")


Step = Callable[["Line", Received], None]


@dataclass
class Line:
    """The server's side of one connection, during one request."""

    socket: socket.socket
    closing: threading.Event
    keep: bool = True

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)


def sample(name: str) -> bytes:
    """A reply as VOIspeed writes it, from tests/data."""
    return (DATA / name).read_bytes()


def events(name: str) -> list[str]:
    """Query strings of events, as VOIspeed sends them."""
    return (DATA / "events" / name).read_text("utf-8").splitlines()


def usual(line: Line, request: Received) -> None:
    """Answer as a healthy PBX would."""
    if request.service == "get_entities":
        name = _ENTITY_FILES.get(request.params.get("entity_type", ""), "refused.xml")
    else:
        name = _SERVICE_FILES.get(request.service, "accepted.xml")
    _respond(line, sample(name))


def reply(
    body: bytes | str, status: int = 200, kind: str = "text/xml", headers: Mapping[str, str] | None = None
) -> Step:
    """Answer this."""
    data = body.encode() if isinstance(body, str) else body
    return lambda line, _request: _respond(line, data, status, kind, headers or {})


def echo(line: Line, request: Received) -> None:
    """Refuse, and repeat the whole request in the reason, as careless servers do."""
    told = "&amp;".join(f"{name}={value}" for name, value in request.params.items())
    _respond(line, f"<result><outcome>1</outcome><error>bad request {told}</error></result>".encode())


def echo_page(line: Line, request: Received) -> None:
    """An error page that repeats the address, secret and all."""
    told = "&".join(f"{name}={value}" for name, value in request.params.items())
    _respond(line, f"<html>{told}</html>".encode(), 404, "text/html")


def redirect(line: Line, request: Received) -> None:
    """Send the client elsewhere with its whole query, as an http-to-https redirect does."""
    told = "&".join(f"{name}={value}" for name, value in request.params.items())
    _respond(line, b"", 302, "text/html", {"Location": f"http://127.0.0.1:1/elsewhere?{told}"})


def cut(line: Line, _request: Received) -> None:
    """Hang up without a word."""
    line.keep = False


def cut_in_the_middle(line: Line, _request: Received) -> None:
    """Promise a whole answer and hang up half-way."""
    body = sample("accepted.xml")
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    line.send(head + body[: len(body) // 2])
    line.keep = False


def silence(line: Line, _request: Received) -> None:
    """Take the request and say nothing until the client is gone or the server closes."""
    line.socket.settimeout(0.05)
    while not line.closing.is_set():
        try:
            if not line.socket.recv(1):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    line.keep = False


def drip(line: Line, _request: Received) -> None:
    """Send a good answer one byte at a time, each well within any time-out that starts anew."""
    body = sample("accepted.xml")
    answer = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    for at in range(len(answer)):
        if line.closing.wait(0.1):
            break
        line.send(answer[at : at + 1])
    line.keep = False


def flood(line: Line, _request: Received) -> None:
    """An answer that never ends, of a length it does not tell."""
    line.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\n\r\n<result>")
    while not line.closing.is_set():
        line.send(b"<call><id>1</id></call>" * 500)
    line.keep = False


def _respond(
    line: Line, body: bytes, status: int = 200, kind: str = "text/xml", headers: Mapping[str, str] | None = None
) -> None:
    told = {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    line.send(f"HTTP/1.1 {status} Told\r\n{head}\r\n".encode() + body)


@dataclass
class ScriptedServer:
    """Listens on a port of its own. `now` is what it does with every request; `requests` is what came."""

    now: Step = usual
    requests: list[Received] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._closing = threading.Event()
        self._deaf = threading.Event()
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        # A blocked `accept` keeps listening even after its socket is closed: it has to look up now and then.
        self._listener.settimeout(0.01)
        self.port: int = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{ENDPOINT}"

    def in_turn(self, *steps: Step) -> None:
        """Do these one after the other, the last one from then on."""
        left = list(steps)

        def next_one(line: Line, request: Received) -> None:
            step = left.pop(0) if len(left) > 1 else left[0]
            step(line, request)

        self.now = next_one

    def drop(self) -> None:
        """Close the connections that stand, and go on listening."""
        for connection in self._sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def stop_listening(self) -> None:
        """Refuse connections from now on, and drop those that stand."""
        self._deaf.set()
        self._accepting.join(5)
        for connection in self._sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop, and wait for every thread: none may outlive its test."""
        self._closing.set()
        self.stop_listening()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        with self._listener:
            while not self._deaf.is_set():
                try:
                    connection, _ = self._listener.accept()
                except TimeoutError:
                    continue
                connection.settimeout(None)
                self.connections += 1
                self._sockets.append(connection)
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        line = Line(connection, self._closing)
        with connection:
            try:
                while line.keep and (request := _read(connection)) is not None:
                    self.requests.append(request)
                    self.now(line, request)
            except OSError:
                pass


def _read(connection: socket.socket) -> Received | None:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return None
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    while len(body) < int(headers.get("content-length", "0")):
        body += connection.recv(65536)
    path, _, query = target.partition("?")
    return Received(method, path, dict(parse_qsl(query, keep_blank_values=True)), headers, body)
