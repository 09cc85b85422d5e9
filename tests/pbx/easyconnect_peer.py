"""EasyConnect as its manual describes it, over HTTP: makecall, the OpenAPI file, and one webhook."""

import json
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import httpx

from tests.pbx.agent_first_peer import AgentFirstPeer, Call, answer, seconds
from tests.pbx.scripted import Line, Received

BASE = "/example.com/easyconnect/api/v1"
DESCRIPTION = "/example.com/easyconnect/xqting-easyconnect/swagger/api.yaml"
OPENAPI = """
openapi: 3.0.0
info: {title: EasyConnect, version: 13r2}
paths:
  /rcc/makecall:
    get:
      parameters:
        - {name: from, in: query, schema: {type: string}}
        - {name: to, in: query, schema: {type: string}}
        - {name: apikey, in: query, schema: {type: string}}
  /rcc/disconnectcall:
    get:
      parameters:
        - {name: callId, in: query, schema: {type: string}}
        - {name: apikey, in: query, schema: {type: string}}
  /rcc/answercall:
    get:
      parameters:
        - {name: callId, in: query, schema: {type: string}}
  /admin/objects:
    get: {parameters: []}
"""


@dataclass
class EasyConnectPeer(AgentFirstPeer):
    """`keys` are those under API Keys; `by_get` is the webhook's request type; `other_ids`: events are named anew."""

    keys: tuple[str, ...] = ("key-1", "key-2")
    by_get: bool = False
    other_ids: bool = False
    rings_at_once: bool = False  # `ringing` comes while the agent's phone rings, too

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}{BASE}"

    def call_id(self, number: int) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"call {number}"))

    def usual(self, line: Line, request: Received) -> None:
        path = request.path.partition("?")[0]
        if path == DESCRIPTION:
            answer(line, 200, OPENAPI, "application/yaml")
        elif request.params.get("apikey") not in self.keys:
            answer(line, 401, '{"success": false, "message": "invalid api key"}')
        elif path == f"{BASE}/rcc/makecall" and request.method == "GET":
            self._makecall(line, request)
        elif path == f"{BASE}/rcc/disconnectcall":
            self.hang_up(request.params.get("callId", ""))
            answer(line, 200, json.dumps({"success": True}))
        else:
            answer(line, 404, "<html>Not found</html>", "text/html")

    def _makecall(self, line: Line, request: Received) -> None:
        if request.params.get("from") not in self.extensions:
            answer(line, 200, json.dumps({"success": False, "message": "extension not monitored"}))
            return
        call = self.start(request.params["from"], request.params["to"])
        answer(line, 200, json.dumps({"callId": call.id, "success": True}))

    def event(self, step: str, call: Call) -> httpx.Request | None:
        status = {"customer rings": "ringing", "answered": "connected", "ended": "disconnected"}.get(step)
        if step == "agent rings" and self.rings_at_once:
            status = "ringing"
        if status is None:
            return None
        met = call.pickup is not None
        told: dict[str, Any] = {
            "callId": str(uuid.uuid5(uuid.NAMESPACE_OID, call.id)) if self.other_ids else call.id,
            "status": status,
            "connected": met and status != "ringing",
            "outgoing": True,
            "from": call.extension,
            "fromName": "Agent",
            "to": call.to,
            "toName": "",
            "monitoredExtension": call.extension,
            "monitoredUser": "Agent",
            "startTime": printed(call.began),
            "pickupTime": printed(call.pickup),
            "endTime": printed(call.ended),
            "conversationTime": seconds(call.pickup, call.ended) if call.pickup and call.ended else -1,
            "totalTime": seconds(call.began, call.ended) if call.ended else -1,
        }
        if not self.by_get:
            return httpx.Request("POST", self.webhook, json=told)
        words = {True: "yes", False: "no", None: ""}
        query = {
            name: words[value] if value is None or isinstance(value, bool) else value for name, value in told.items()
        }
        return httpx.Request("GET", f"{self.webhook}?{urlencode(query)}")


def printed(moment: datetime | None) -> str | None:
    return f"{moment:%Y-%m-%d %H:%M:%S} (UTC)" if moment is not None else None
