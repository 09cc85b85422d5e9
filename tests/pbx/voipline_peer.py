"""VoIPLine as its articles and its clients describe it, over HTTP: one way to call, histories, webhooks, a limit."""

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from tests.pbx.agent_first_peer import AgentFirstPeer, Call, answer, seconds
from tests.pbx.scripted import Line, Received

BASE = "/api/integration/v2"
_PART = re.compile(rb'name="([^"]+)"\r\n\r\n(.*?)\r\n--', re.DOTALL)


@dataclass
class VoiplinePeer(AgentFirstPeer):
    """`keys` and `listed` let somebody in; `most` requests and no more; `tells_ids`: replies name the call."""

    extensions: tuple[str, ...] = ("1010", "1011")
    keys: tuple[str, ...] = ("key-1",)
    listed: bool = True
    most: int = 100
    retry_after: str = ""
    tells_ids: bool = True
    wants_json: bool = False
    served: list[str] = field(default_factory=list)
    orders: list[dict[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}{BASE}"

    def call_id(self, number: int) -> str:
        return f"{170_000_000_000 + number}"

    def usual(self, line: Line, request: Received) -> None:
        path = request.path.removeprefix(BASE)
        if request.headers.get("token") not in self.keys or not self.listed:
            answer(line, 401, '{"status": "error", "code": 401, "message": "Not authorised"}')
            return
        if len(self.served) >= self.most:
            told = {"Retry-After": self.retry_after} if self.retry_after else {}
            answer(line, 429, '{"status": "error", "code": 429, "message": "Too many requests"}', **told)
            return
        self.served.append(path)
        if path == "/call-to-number" and request.method == "POST":
            self._call(line, request)
        elif path == "/get-user-calls":
            self._history(
                line, request, [row(call) for call in reversed(self.book) if call.ended and call.customer_rang]
            )
        elif path in ("/get-queue-calls", "/get-ringgroup-calls"):
            self._history(line, request, [group_row(path, n) for n in range(3)])
        else:
            answer(line, 404, "<html>no such thing</html>", "text/html")

    def _call(self, line: Line, request: Received) -> None:
        kind = request.headers.get("content-type", "")
        if kind.startswith("application/json") is not self.wants_json:
            answer(line, 415, '{"status": "error", "code": 415, "message": "unsupported body"}')
            return
        parts = {name.decode(): value.decode() for name, value in _PART.findall(request.body)}
        fields = json.loads(request.body) if self.wants_json else parts
        self.orders.append(fields)
        if fields.get("user_number") not in self.extensions:
            answer(line, 200, '{"status": "error", "code": 404, "message": {"status": "unknown user"}}')
            return
        call = self.start(fields["user_number"], fields["number_to_call"].removeprefix("+"))
        data: Any = {"unique_call_id": call.id} if self.tells_ids else []
        answer(line, 200, json.dumps({"status": "success", "code": 200, "message": "", "data": data}))

    def _history(self, line: Line, request: Received, rows: list[dict[str, Any]]) -> None:
        offset, limit = int(request.params.get("offset", "0")), int(request.params.get("limit", "100"))
        told = {"status": "success", "code": 200, "data": rows[offset : offset + limit]}
        answer(line, 200, json.dumps(told))

    def event(self, step: str, call: Call) -> httpx.Request | None:
        kind = {"agent rings": "user_outbound", "answered": "user_outbound_answered"}.get(step)
        if step == "ended" and call.customer_rang:
            kind = "user_outbound_completed"
        if kind is None:
            return None
        told = {name: value for name, value in row(call).items() if name != "type"} | {"type": kind}
        if call.pickup is None:
            told["connected_at"] = "Null"  # the word, in some case
        if kind != "user_outbound_completed":
            told.pop("call_duration"), told.pop("conversation_duration")
        return httpx.Request("POST", self.webhook, json=told, headers={"X-Pbx-Token": "secret"})


def row(call: Call) -> dict[str, Any]:
    """A call in the history of users."""
    over = call.ended or call.began
    return {
        "unique_call_id": call.id,
        "type": "user_outbound_answered" if call.pickup else "user_outbound_missed",
        "caller_id": "390210001000",
        "caller_name": None,
        "dest_number": call.to,
        "user_name": "Agent",
        "user_number": call.extension,
        "call_start_at": printed(call.began),
        "connected_at": printed(call.pickup),
        "call_duration": seconds(call.began, over),
        "conversation_duration": str(seconds(call.pickup, over)) if call.pickup else 0,
    }


def group_row(path: str, number: int) -> dict[str, Any]:
    """A call in the history of queues or ring groups."""
    name = "queue_name" if "queue" in path else "ring_group_name"
    return {
        "unique_call_id": str(900 + number), "callerid": "390612345678", "dest_number": "390210001000",
        "user_name": "Agent", "user_number": "1010", "call_start_at": "2026-03-02T09:00:00.000Z", "connected_at": None,
        "call_duration": 20, "conversation_duration": 0, name: "Sales", "status": "abandoned", "type": "inbound_missed",
    }  # fmt: skip


def printed(moment: datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z" if moment is not None else None
