"""A small Asterisk over real HTTP and a real websocket, written from what a real one was seen to do.

Who is called does at once what the last two digits say: 91 busy, 93 declines, 94 switched off, 95 no lines, 96 no such
number, 92 never answers; anybody else answers. Nothing moves by itself: a test hangs up for people with `hang_up`.
"""

import base64
import hashlib
import itertools
import json
import socket
import struct
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from tests.pbx.scripted import Line, Received, ScriptedServer, reply

USER, PASSWORD = "dialer", "canary-3e5a8b1c"
_REFUSALS = {"91": (17, 486), "93": (21, 603), "94": (19, 480), "95": (34, 503), "96": (1, 404)}
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
Json = Any


class AriPeer:
    """The PBX's state. `server.now = peer.answer` puts it on a socket."""

    def __init__(self) -> None:
        self.server = ScriptedServer()
        self.server.now = self.answer
        self.channels: dict[str, dict[str, Json]] = {}
        self.bridges: dict[str, dict[str, Json]] = {}
        self.started = "2026-11-27T16:00:00.000+0000"
        self.trunk = "online"
        self.subscribed: list[str] = []
        self.filtered: list[str] = []
        self.asked: list[tuple[str, str, Mapping[str, str], Json]] = []
        self.password = PASSWORD
        self.rings_for: float | None = None  # seconds until it gives up who never answers; None: it does not
        self.message_lasts: float | None = None  # seconds until the dialplan hangs up after the message
        self._timers: list[threading.Timer] = []
        self._sockets: list[socket.socket] = []
        self._clock = itertools.count(1)
        self._lock = threading.RLock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}/ari"

    def close(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self.cut()
        self.server.close()

    # what happens to people ---------------------------------------------------------------------------

    def hang_up(self, channel_id: str, cause: int = 0, *, far_end: bool = True) -> None:
        """Somebody hangs up."""
        with self._lock:
            channel = self.channels.pop(channel_id, None)
            if channel is None:
                return
            if far_end:
                self.tell("ChannelHangupRequest", channel)
            for bridge in self.bridges.values():
                if channel_id in bridge["channels"]:
                    bridge["channels"].remove(channel_id)
                    self.tell("ChannelLeftBridge", channel, bridge=bridge)
            self.tell("ChannelDestroyed", channel, cause=cause, cause_txt="Unknown")

    def restart(self) -> None:
        """Everything that was on it is gone."""
        with self._lock:
            self.channels.clear()
            self.bridges.clear()
            self.started = f"2026-11-27T17:00:{next(self._clock) % 60:02}.000+0000"
            self.subscribed.clear()
            self.filtered.clear()
        self.cut()

    def cut(self) -> None:
        """Every websocket ends without a word."""
        with self._lock:
            sockets, self._sockets = self._sockets, []
        for one in sockets:
            one.close() if one.fileno() < 0 else one.shutdown(socket.SHUT_RDWR)

    @property
    def listeners(self) -> int:
        return len(self._sockets)

    def tell(self, kind: str, channel: Mapping[str, Json] | None = None, **more: Json) -> None:
        """Send an event to whoever listens; `peer` instead of `channel` for Dial, as ARI does."""
        event: dict[str, Json] = {"type": kind, "timestamp": f"2026-11-27T16:00:00.{next(self._clock):06}+0000"}
        if channel is not None:
            event["peer" if kind == "Dial" else "channel"] = dict(channel)
        text = json.dumps(event | json.loads(json.dumps(more)) | {"application": "dialer"})
        with self._lock:
            for one in self._sockets[-1:]:
                _send_text(one, text)

    # HTTP ---------------------------------------------------------------------------------------------

    def answer(self, line: Line, request: Received) -> None:
        """Answer as a healthy Asterisk would."""
        expected = f"Basic {base64.b64encode(f'{USER}:{self.password}'.encode()).decode()}"
        if request.headers.get("authorization") != expected:
            self._reply(line, 401, {"message": "Authentication required"}, request)
        elif request.headers.get("upgrade", "").lower() == "websocket":
            self._listen(line, request)
        else:
            body = json.loads(request.body) if request.body else {}
            with self._lock:
                path = request.path.removeprefix("/ari")
                self.asked.append((request.method, path, request.params, body))
                status, value = self._answer(request.method, path.strip("/").split("/"), request.params, body)
            self._reply(line, status, value, request)

    def _reply(self, line: Line, status: int, value: Json, request: Received) -> None:
        reply("" if status == 204 else json.dumps(value), status, "application/json")(line, request)

    def _answer(self, method: str, path: Sequence[str], query: Mapping[str, str], body: Json) -> tuple[int, Json]:
        match method, *path:
            case "GET", "endpoints", "PJSIP":
                return 200, [self._endpoint("trunk", self.trunk), *(self._endpoint(f"agent{n}") for n in (1001, 1002))]
            case "GET", "channels":
                return 200, list(self.channels.values())
            case "GET", "bridges":
                return 200, list(self.bridges.values())
            case "GET", "bridges", bridge:
                found = self.bridges.get(bridge)
                return (200, found) if found else (404, {"message": "Bridge not found"})
            case "GET", "channels", channel:
                seen = self.channels.get(channel)
                return (200, seen) if seen else (404, {"message": "Channel not found"})
            case "POST", "channels", channel, "variable":
                return (204, None) if channel in self.channels else (404, {"message": "Channel not found"})
            case "GET", "channels", _, "variable":
                return 200, {"value": "1"}
            case "GET", "asterisk", "info":
                return 200, {"system": {"version": "22.0-peer"}, "status": {"startup_time": self.started}}
            case "GET", "asterisk", "variable":
                return 200, {"value": "im-sorry"}
            case "GET", "sounds", sound:
                return 200, {"id": sound}
            case "PUT", "applications", _, "eventFilter":
                self.filtered = [one["type"] for one in body["disallowed"]]
                return 200, {}
            case "POST", "applications", _, "subscription":
                self.subscribed.append(query["eventSource"])
                return 200, {}
            case "POST", "channels", "create":
                self.channels[body["channelId"]] = self._channel(body["channelId"], "Down", "Local/s")
                return 200, self.channels[body["channelId"]]
            case "POST", "channels":
                return self._originate(body)
            case "DELETE", "channels", channel:
                if channel not in self.channels:
                    return 404, {"message": "Channel not found"}
                self.hang_up(channel, 16, far_end=False)
                return 204, None
            case "POST", "channels", channel, "continue":
                return self._continue(channel, query)
            case "POST", "bridges", bridge:
                if bridge in self.bridges:
                    return 409, {"message": "Bridge already exists"}
                self.bridges[bridge] = {"id": bridge, "bridge_type": query["type"], "channels": []}
                return 200, self.bridges[bridge]
            case "DELETE", "bridges", bridge:
                there = self.bridges.pop(bridge, None)
                return (204, None) if there else (404, {"message": "Bridge not found"})
            case "POST", "bridges", bridge, "addChannel":
                return self._add(bridge, query["channel"].split(","))
        return 404, {"message": "Resource not found"}

    def _endpoint(self, name: str, state: str = "online") -> dict[str, Json]:
        inside = [one["id"] for one in self.channels.values() if one["name"].startswith(f"PJSIP/{name}-")]
        return {"technology": "PJSIP", "resource": name, "state": state, "channel_ids": inside}

    def _channel(self, channel_id: str, state: str, name: str) -> dict[str, Json]:
        place = {"context": "", "exten": "s", "priority": 1, "app_name": "", "app_data": ""}
        made = f"2026-11-27T16:00:{next(self._clock) % 60:02}.000+0000"
        return {"id": channel_id, "name": name, "state": state, "dialplan": place, "creationtime": made}

    def _originate(self, body: Json) -> tuple[int, Json]:
        channel_id, endpoint = body["channelId"], body["endpoint"].removeprefix("PJSIP/")
        if channel_id in self.channels:
            return 409, {"message": "Channel with given unique ID already exists"}
        dialled, _, trunk = endpoint.partition("@")
        if trunk and self.trunk != "online":
            return 500, {"error": "Allocation failed"}
        channel = self._channel(channel_id, "Down", f"PJSIP/{trunk or dialled}-{next(self._clock):08}")
        first = dict(channel)
        self.channels[channel_id] = channel
        self.tell("ChannelCreated", channel)
        self.tell("Dial", channel, dialstatus="")
        refusal = _REFUSALS.get(dialled[-2:]) if trunk else None
        if refusal is not None:
            cause, status = refusal
            self.tell("ChannelHangupRequest", channel, cause=cause, tech_cause=status)
            del self.channels[channel_id]
            self.tell("ChannelDestroyed", channel, cause=cause, tech_cause=status)
            return 200, first
        channel["state"] = "Ringing"
        self.tell("Dial", channel, dialstatus="RINGING")
        if dialled[-2:] != "92":
            channel["state"] = "Up"
            self.tell("ChannelStateChange", channel)
            role = body.get("appArgs", "customer")
            channel["dialplan"] |= {"app_name": "Stasis", "app_data": f"dialer,{role}"}
            self.tell("StasisStart", channel, args=[role])
        elif self.rings_for is not None:
            self._later(self.rings_for, channel_id, 19)
        return 200, first

    def _later(self, seconds: float, channel_id: str, cause: int) -> None:
        timer = threading.Timer(seconds, self.hang_up, (channel_id, cause), {"far_end": False})
        self._timers.append(timer)
        timer.start()

    def _continue(self, channel_id: str, query: Mapping[str, str]) -> tuple[int, Json]:
        channel = self.channels.get(channel_id)
        if channel is None:
            return 404, {"message": "Channel not found"}
        if channel["dialplan"]["app_name"] != "Stasis":
            return 409, {"message": "Channel not in Stasis application"}
        channel["dialplan"] |= {"app_name": "Playback", "context": query.get("context", "")}
        self.tell("StasisEnd", channel)
        if query.get("context") == "dialer-message":
            self.tell("ChannelUserevent", channel, eventname="dialer-message")
            if self.message_lasts is not None:
                self._later(self.message_lasts, channel_id, 16)
        return 204, None

    def _add(self, bridge_id: str, wanted: Sequence[str]) -> tuple[int, Json]:
        bridge = self.bridges.get(bridge_id)
        if bridge is None:
            return 404, {"message": "Bridge not found"}
        if any(one not in self.channels for one in wanted):
            return 400, {"message": "Channel not found"}
        if any(self.channels[one]["dialplan"]["app_name"] != "Stasis" for one in wanted):
            return 422, {"message": "Channel not in Stasis application"}
        for one in wanted:
            if one in bridge["channels"]:
                continue
            for other in self.bridges.values():
                if one in other["channels"]:
                    other["channels"].remove(one)
                    self.tell("ChannelLeftBridge", self.channels[one], bridge=other)
            bridge["channels"].append(one)
            self.tell("ChannelEnteredBridge", self.channels[one], bridge=bridge)
        return 204, None

    # the websocket ------------------------------------------------------------------------------------

    def _listen(self, line: Line, request: Received) -> None:
        digest = hashlib.sha1(request.headers["sec-websocket-key"].encode() + _GUID).digest()
        line.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
        )
        with self._lock:
            if self._sockets:
                _send_text(self._sockets[-1], json.dumps({"type": "ApplicationReplaced", "application": "dialer"}))
            self._sockets.append(line.socket)
        line.keep = False
        try:
            _serve_frames(line.socket)
        finally:
            with self._lock:
                if line.socket in self._sockets:
                    self._sockets.remove(line.socket)


def _send_text(to: socket.socket, text: str) -> None:
    data = text.encode()
    head = struct.pack("!BB", 0x81, len(data)) if len(data) < 126 else struct.pack("!BBH", 0x81, 126, len(data))
    try:
        to.sendall(head + data)
    except OSError:
        return  # it has gone; the reader notices


def _serve_frames(of: socket.socket) -> None:
    """Answer pings and the closing handshake until the other side is gone."""
    while head := _exactly(of, 2):
        opcode, length = head[0] & 0x0F, head[1] & 0x7F
        if length == 126:
            length = struct.unpack("!H", _exactly(of, 2) or b"\0\0")[0]
        mask = _exactly(of, 4) or b"\0\0\0\0"
        data = bytes(byte ^ mask[at % 4] for at, byte in enumerate(_exactly(of, length) or b""))
        if opcode == 0x9:
            of.sendall(struct.pack("!BB", 0x8A, len(data)) + data)
        elif opcode == 0x8:
            of.sendall(struct.pack("!BB", 0x88, len(data)) + data)
            return


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
