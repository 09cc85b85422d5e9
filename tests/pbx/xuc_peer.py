"""A small Xuc over real HTTP and real websockets, from what its maker's documents and client show.

It lets users in by a token, tells each user of that user's own phone alone, answers no command, and can lose, swap and
strip its events, forget its tokens, cut its connections and speak nonsense.
"""

import base64
import contextlib
import hashlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from tests.pbx.agent_first_peer import AgentFirstPeer, Call, Person, answer
from tests.pbx.scripted import Line, Received
from tests.pbx.xuc_lists import XucLists

PASSWORD = "canary-7d1f9a2c"
BOSS = "boss"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SAID = {"customer rings": "EventDialing", "answered": "EventEstablished", "ended": "EventReleased"}
Fault = Callable[["Socket"], None]


@dataclass
class Desk:
    """An agent: number, XiVO user, the id XiVO gives, and the phone in front of them."""

    number: str
    login: str
    id: int
    phone: str
    state: str = "AgentReady"


@dataclass
class Socket:
    """One websocket, and whose it is."""

    raw: socket.socket
    login: str
    closing: threading.Event
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, text: str) -> None:
        self.write(0x81, text.encode())

    def write(self, first: int, data: bytes, claimed: int | None = None) -> None:
        """Send a frame, which may claim another length than it has."""
        length = len(data) if claimed is None else claimed
        if length < 126:
            head = struct.pack("!BB", first, length)
        elif length < 65_536:
            head = struct.pack("!BBH", first, 126, length)
        else:
            head = struct.pack("!BBQ", first, 127, length)
        with self.lock, contextlib.suppress(OSError):
            self.raw.sendall(head + data)

    def cut(self) -> None:
        with contextlib.suppress(OSError):
            self.raw.shutdown(socket.SHUT_RDWR)


@dataclass
class XucPeer(AgentFirstPeer):
    """`desks` by agent number; `dials_at_once`: EventDialing comes before the agent took the phone."""

    desks: dict[str, Desk] = field(
        default_factory=lambda: {
            "1015": Desk("1015", "agent15", 42, "2015"),
            "1016": Desk("1016", "agent16", 43, "2016"),
        }
    )
    dials_at_once: bool = False
    strips: bool = False  # only the first event of a call has what is attached
    wrap_up: float = 0.0  # XiVO's own time after a call
    ttl: int | None = 3600
    token_word: str = "token"
    answers_heartbeat: bool = True
    tells_calls: bool = True
    told_on: bool = True  # LoggedOn is said
    passwords: dict[str, str] = field(default_factory=dict)
    fault: Fault | None = None  # what becomes of the next commands that count
    fault_times: int | None = None
    commands: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    pings: int = 0
    logins: int = 0
    wrong_phone: str = ""  # agents are logged in on this one, whatever phone is asked for
    deaf_to_agents: bool = False  # commands about agents are taken, and nothing happens
    lists: XucLists = field(default_factory=XucLists)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.tokens: dict[str, str] = {}
        self.sockets: list[Socket] = []
        self.attached: dict[str, Mapping[str, str]] = {}
        self.hung_up: dict[str, threading.Event] = {}
        self._pending: Mapping[str, str] = {}
        self._dialling = threading.Lock()
        self._told: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    @property
    def counted(self) -> int:
        """Commands that could make a phone ring, end a call, or be read from."""
        return sum(name in ("dial", "hangup", "getAgentDirectory") for name, _ in self.commands)

    def close(self) -> None:
        for event in self.hung_up.values():
            event.set()
        self.cut()
        super().close()

    # HTTP ---------------------------------------------------------------------------------------------

    def usual(self, line: Line, request: Received) -> None:
        if request.path == "/xuc/api/2.0/auth/login" and request.method == "POST":
            self._log_in(line, json.loads(request.body))
        elif request.path == "/xuc/api/2.0/cti" and "sec-websocket-key" in request.headers:
            login = self.tokens.get(request.params.get("token", ""))
            if login is None:
                answer(line, 403, '{"error":"TokenExpired","message":"token expired"}')
            else:
                self._upgrade(line, request, login)
        elif not self.lists.served(line, request):
            answer(line, 404, "<html>Not found</html>", "text/html")

    def _log_in(self, line: Line, body: Mapping[str, str]) -> None:
        self.logins += 1
        login = body["login"]
        known = {BOSS, *(desk.login for desk in self.desks.values())}
        if login not in known or body["password"] != self.passwords.get(login, PASSWORD):
            answer(line, 403, '{"error":"InvalidCredentials","message":"no such user or password"}')
            return
        token = f"{self.token_word}-{login}-{self.logins}"
        self.tokens[token] = login
        told: dict[str, Any] = {"login": login, "token": token}
        if self.ttl is not None:
            told["TTL"] = self.ttl
        answer(line, 200, json.dumps(told))

    # the websocket ------------------------------------------------------------------------------------

    def _upgrade(self, line: Line, request: Received, login: str) -> None:
        digest = hashlib.sha1(request.headers["sec-websocket-key"].encode() + _GUID).digest()
        line.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
        )
        line.keep = False
        one = Socket(line.socket, login, line.closing)
        with self._lock:
            self.sockets.append(one)
        try:
            if self.told_on:
                one.send(_frame("LoggedOn", {}))
            while (text := _read_text(one)) is not None:
                self._heard(one, json.loads(text))
        finally:
            with self._lock:
                self.sockets.remove(one)

    def _heard(self, one: Socket, told: dict[str, Any]) -> None:
        if told["claz"] == "ping":
            self.pings += 1
            if self.answers_heartbeat:
                one.send(_frame("Pong", {}))
            return
        name = told.pop("command")
        del told["claz"]
        self.commands.append((name, told))
        if self.fault is not None and name in ("dial", "hangup", "getAgentDirectory"):
            fault = self.fault
            if self.fault_times is not None:
                self.fault_times -= 1
                self.fault = fault if self.fault_times > 0 else None
            fault(one)
            return
        desk = next((desk for desk in self.desks.values() if desk.login == one.login), None)
        match name:
            case "getAgentDirectory":
                one.send(_frame("AgentDirectory", {"directory": [self._pair(each) for each in self.desks.values()]}))
            case "getCurrentCallsPhoneEvents" if self.tells_calls:
                calls = [self._event(call) for call in self.book if desk and self._on(call, desk)]
                one.send(_frame("CurrentCallsPhoneEvents", {"events": calls}))
            case "dial" if desk is not None:
                with self._dialling:
                    self._pending = told["variables"]
                    self.start(desk.phone, told["destination"])
            case "hangup" if desk is not None:
                for call in self.book:
                    if self._on(call, desk):
                        self.hung_up[call.id].set()
            case "agentLogin" | "agentLogout" | "pauseAgent" | "unpauseAgent":
                states = {"agentLogout": "AgentLoggedOut", "pauseAgent": "AgentOnPause"}
                if self.wrong_phone and name == "agentLogin":
                    there = {"Error": "LoggedInOnAnotherPhone", "phoneNb": self.wrong_phone}
                    one.send(_frame("AgentError", there | {"RequestedNb": told["agentphonenumber"]}))
                elif not self.deaf_to_agents:
                    self.move(told["agentid"], states.get(name, "AgentReady"))
            case _:
                self.lists.heard(self, one, name, told, desk)

    def move(self, agent_id: int, state: str) -> None:
        """An agent's state changes, and everybody who listens is told."""
        desk = next(one for one in self.desks.values() if one.id == agent_id)
        desk.state = state
        for one in list(self.sockets):
            one.send(_frame("AgentStateEvent", self._state(desk)))

    def _state(self, desk: Desk) -> dict[str, Any]:
        return {"name": desk.state, "agentId": desk.id, "phoneNb": desk.phone, "since": 0, "queues": [3], "cause": ""}

    def _pair(self, desk: Desk) -> dict[str, Any]:
        agent = {"id": desk.id, "firstName": "Ann", "lastName": desk.login, "number": desk.number, "context": "default"}
        return {"agent": agent, "agentState": self._state(desk)}

    def cut(self, login: str | None = None) -> None:
        """Every websocket, or those of one user, end without a word."""
        for one in list(self.sockets):
            if login in (None, one.login):
                one.cut()

    def forget_tokens(self) -> None:
        self.tokens.clear()

    # the calls ----------------------------------------------------------------------------------------

    def call_id(self, number: int) -> str:
        """The linkedId of a new call; what is attached to it is what was dialled with."""
        linked = f"1770091506.{number}"
        self.attached[linked] = self._pending
        self.hung_up[linked] = threading.Event()
        self._pending = {}
        return linked

    def event(self, step: str, call: Call) -> httpx.Request | None:
        raise AssertionError("Xuc sends no requests")

    def _live(self, call: Call) -> None:
        over = self.hung_up[call.id]
        desk = next(desk for desk in self.desks.values() if desk.phone == call.extension)
        steps: list[tuple[str, Call]] = []
        self.move(desk.id, "AgentDialing")
        if self.dials_at_once:
            self._step("customer rings", call, steps)
        taken = self.agents.get(desk.number, 0.01)
        if call.private or (taken is not None and not over.wait(taken)):
            call.customer_rang = True
            if not self.dials_at_once:
                self._step("customer rings", call, steps)
            person = self.customers.get(call.to, Person())
            if person.answers_after is not None and not over.wait(person.answers_after):
                call.pickup = datetime.now(UTC)
                self.move(desk.id, "AgentOnCall")
                self._step("answered", call, steps)
                over.wait(person.talks)
            else:
                over.wait(self.patience)
        else:
            over.wait(self.patience)
        call.ended = datetime.now(UTC)
        self._step("ended", call, steps)
        for step, swapped in reversed(steps):  # only when swapped: else each was told at its moment
            self._tell(step, swapped)
        if self.wrap_up and call.pickup:
            self.move(desk.id, "AgentOnWrapup")
            self._closing.wait(self.wrap_up)
        self.move(desk.id, "AgentReady")

    def _tell(self, step: str, call: Call) -> None:
        if step not in _SAID:
            return
        desk = next(desk for desk in self.desks.values() if desk.phone == call.extension)
        event = self._event(call, _SAID[step])
        if self.strips and call.id in self._told:
            del event["userData"]
        self._told.add(call.id)
        for one in list(self.sockets):
            if one.login == desk.login:
                one.send(_frame("PhoneEvent", event))

    def _event(self, call: Call, kind: str = "") -> dict[str, Any]:
        attached = {f"USR_{name}": value for name, value in self.attached[call.id].items()}
        return {
            "eventType": kind or ("EventEstablished" if call.pickup else "EventDialing"),
            "DN": call.extension,
            "otherDN": call.to,
            "linkedId": call.id,
            "uniqueId": call.id,
            "userData": {"XIVO_USERID": "9", **attached},
        }

    def _on(self, call: Call, desk: Desk) -> bool:
        return call.extension == desk.phone and call.ended is None


def _frame(kind: str, message: Mapping[str, Any]) -> str:
    return json.dumps({"msgType": kind, "ctiMessage": message})


def _read_text(one: Socket) -> str | None:
    """The next text the client sends; None when it has gone."""
    while head := _exactly(one.raw, 2):
        opcode, length = head[0] & 0x0F, head[1] & 0x7F
        if length == 126:
            length = struct.unpack("!H", _exactly(one.raw, 2) or b"\0\0")[0]
        mask = _exactly(one.raw, 4) or b"\0\0\0\0"
        data = bytes(byte ^ mask[at % 4] for at, byte in enumerate(_exactly(one.raw, length)))
        if opcode == 0x8:
            one.write(0x88, data)
            return None
        if opcode == 0x1:
            return data.decode()
    return None


def _exactly(of: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        try:
            chunk = of.recv(count - len(data))
        except OSError:
            return b""
        if not chunk:
            return b""
        data += chunk
    return data


# nonsense on a websocket ------------------------------------------------------------------------------


def says(text: str) -> Fault:
    return lambda one: one.send(text)


def silence(_one: Socket) -> None:
    """Take the command and say nothing."""


def cut(one: Socket) -> None:
    one.cut()


def cut_in_the_middle(one: Socket) -> None:
    one.write(0x81, b'{"msgType":"Pho', claimed=100)
    one.cut()


def drip(one: Socket) -> None:
    """A message one byte at a time."""
    one.write(0x81, b"{", claimed=500)
    for _ in range(499):
        if one.closing.wait(0.1):
            return
        try:
            one.raw.sendall(b" ")
        except OSError:
            return


def flood(one: Socket) -> None:
    one.write(0x81, b"[" + b"1," * 1_100_000 + b"1]")


def trouble(one: Socket) -> None:
    one.write(0x88, struct.pack("!H", 1011))
