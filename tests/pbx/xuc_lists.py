"""The callback lists, tickets and statistics of the small Xuc, in the words of its maker's documents.

It says nothing to a command that it does not carry out, tells who takes a request to everybody who has asked for the
lists, and attaches nothing of ours to the calls it starts itself.
"""

import json
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.pbx.scripted import Line, Received, _respond

if TYPE_CHECKING:
    from tests.pbx.xuc_peer import Desk, Socket, XucPeer

CONFIG_TOKEN = "config-canary-5b1e"
LIST = "b0849ac0-4f4a-4ed0-9386-53ab2af94b1"
ALICE = "a967da84-bc41-4bf4-a4fc-2bcc54e11606"
PERIODS = {
    "Afternoon": ("d3270038-e20e-498a-af71-3cf69b5cc792", "14:00:00", "17:00:00", False),
    "Morning": ("0a1b2c3d-e20e-498a-af71-3cf69b5cc792", "08:00:00", "12:10:00", False),
    "All day": ("9f9f9f9f-e20e-498a-af71-3cf69b5cc792", "00:00:00", "23:59:59", True),
}


def period(name: str) -> dict[str, Any]:
    uuid, starts, ends, default = PERIODS[name]
    return {"default": default, "name": name, "periodStart": starts, "periodEnd": ends, "uuid": uuid}


def request(uuid: str = ALICE, phone: str | None = "0230210082", **more: Any) -> dict[str, Any]:
    """A callback as the manual prints it."""
    told = {
        "uuid": uuid, "listUuid": LIST, "phoneNumber": phone, "mobilePhoneNumber": "0789654123", "firstName": "Alice",
        "lastName": "O'Neill", "company": "YourSociety", "description": None, "agentId": None, "dueDate": "2026-08-01",
        "preferredPeriod": period("Afternoon"),
    }  # fmt: skip
    return told | more


@dataclass
class Ticket:
    """What an agent did about a request."""

    uuid: str
    request: str
    agent: int
    number: str
    started: datetime
    status: str = ""
    comment: str = ""
    updates: int = 0


@dataclass
class XucLists:
    """`names`: uuid of each list and its name; `open`: its requests by uuid."""

    names: dict[str, str] = field(default_factory=lambda: {LIST: "Liste de test"})
    open: dict[str, dict[str, Any]] = field(default_factory=dict)
    tickets: dict[str, Ticket] = field(default_factory=dict)
    imported: list[tuple[str, str]] = field(default_factory=list)
    # faults
    hides: bool = False  # no lists at all: the user's rights were taken away
    forgets: set[str] = field(default_factory=set)  # requests missing from an answer
    snatches: int | None = None  # this agent takes what somebody is about to take
    mute: set[str] = field(default_factory=set)  # commands that are carried out and told to nobody
    deaf: dict[str, int] = field(default_factory=dict)  # commands that are not carried out, so many times
    cuts: dict[str, int] = field(default_factory=dict)  # connections that break when a command comes, so many times
    asked: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._watching: list[Socket] = []

    def add(self, uuid: str = ALICE, **more: Any) -> dict[str, Any]:
        self.open[uuid] = request(uuid, **more)
        return self.open[uuid]

    # the websocket ------------------------------------------------------------------------------------

    def heard(self, peer: "XucPeer", one: "Socket", name: str, told: dict[str, Any], desk: "Desk | None") -> None:
        if self.cuts.get(name, 0) > 0:
            self.cuts[name] -= 1
            one.cut()
            return
        if self.deaf.get(name, 0) > 0:
            self.deaf[name] -= 1
            return
        with self._lock:
            act = getattr(self, f"_{name}", None)
            if act is not None:
                act(peer, one, told, desk)

    def _tell(self, name: str, kind: str, message: Any, also: "Socket") -> None:
        if name in self.mute:
            return
        for one in {id(one): one for one in [*self._watching, also]}.values():
            one.send(json.dumps({"msgType": kind, "ctiMessage": message}))

    def _getCallbackLists(self, peer: "XucPeer", one: "Socket", told: dict[str, Any], desk: "Desk | None") -> None:
        self.asked += 1
        self._watching.append(one)
        shown = [each for each in self.open.values() if each["uuid"] not in self.forgets]
        lists = [
            {
                "uuid": uuid,
                "name": name,
                "queueId": 1,
                "callbacks": [each for each in shown if each["listUuid"] == uuid],
            }
            for uuid, name in self.names.items()
            if not self.hides
        ]
        one.send(json.dumps({"msgType": "CallbackLists", "ctiMessage": lists}))

    def _getCallbackPreferredPeriods(
        self, peer: "XucPeer", one: "Socket", told: dict[str, Any], desk: "Desk | None"
    ) -> None:
        one.send(
            json.dumps({"msgType": "PreferredCallbackPeriodList", "ctiMessage": [period(name) for name in PERIODS]})
        )

    def _takeCallback(self, peer: "XucPeer", one: "Socket", told: dict[str, Any], desk: "Desk | None") -> None:
        found = self.open.get(told["uuid"])
        if found is None or desk is None:
            return
        if self.snatches is not None:
            found["agentId"] = self.snatches
        if found["agentId"] is None:
            found["agentId"] = desk.id
        self._tell("takeCallback", "CallbackTaken", {"uuid": told["uuid"], "agentId": found["agentId"]}, one)

    def _releaseCallback(self, peer: "XucPeer", one: "Socket", told: dict[str, Any], desk: "Desk | None") -> None:
        found = self.open.get(told["uuid"])
        if found is not None and desk is not None and found["agentId"] == desk.id:
            found["agentId"] = None
            self._tell("releaseCallback", "CallbackReleased", {"uuid": told["uuid"]}, one)

    def _startCallback(self, peer: "XucPeer", one: "Socket", told: dict[str, Any], desk: "Desk | None") -> None:
        found = self.open.get(told["uuid"])
        if found is None or desk is None or found["agentId"] != desk.id:
            return
        uuid = f"8e82de0f-847a-4606-97bf-{len(self.tickets):012}"
        self.tickets[uuid] = Ticket(uuid, told["uuid"], desk.id, told["number"], datetime.now(UTC))
        started = {"requestUuid": told["uuid"], "ticketUuid": uuid}
        if "startCallback" not in self.mute:
            one.send(json.dumps({"msgType": "CallbackStarted", "ctiMessage": started}))
        peer.start(desk.phone, told["number"])

    def _updateCallbackTicket(self, peer: "XucPeer", one: "Socket", told: dict[str, Any], desk: "Desk | None") -> None:
        ticket = self.tickets.get(told["uuid"])
        if ticket is None:
            return
        ticket.status, ticket.comment, ticket.updates = told["status"], told["comment"], ticket.updates + 1
        found = self.open.get(ticket.request)
        if told["status"] != "Callback":
            self.open.pop(ticket.request, None)
            self._tell("updateCallbackTicket", "CallbackClotured", {"uuid": ticket.request}, one)
        elif found is not None:
            found["agentId"] = None
            if "dueDate" in told and "periodUuid" in told:
                found["dueDate"] = told["dueDate"]
                by_uuid = {uuid: name for name, (uuid, *_) in PERIODS.items()}
                found["preferredPeriod"] = period(by_uuid[told["periodUuid"]])
            self._tell("updateCallbackTicket", "CallbackRequestUpdated", {"request": found}, one)

    def _getList(self, peer: "XucPeer", one: "Socket", told: dict[str, Any], desk: "Desk | None") -> None:
        if told["objectType"] == "queue":
            queue = {"id": 11, "context": "default", "name": "travels", "displayName": "Travels", "number": "3012"}
            one.send(json.dumps({"msgType": "QueueList", "ctiMessage": [queue]}))

    def _subscribeToQueueStats(self, peer: "XucPeer", one: "Socket", told: dict[str, Any], desk: "Desk | None") -> None:
        entered = [{"statName": "TotalNumberCallsEntered", "value": 20}, {"statName": "WaitingCalls", "value": 1}]
        lost = [{"statName": "TotalNumberCallsAbandonned", "value": 19}]
        one.send(json.dumps({"msgType": "QueueStatistics", "ctiMessage": {"queueId": 11, "counters": entered}}))
        one.send(json.dumps({"msgType": "QueueStatistics", "ctiMessage": {"queueRef": "travels", "counters": lost}}))

    def _subscribeToAgentStats(self, peer: "XucPeer", one: "Socket", told: dict[str, Any], desk: "Desk | None") -> None:
        for each in peer.desks.values():
            figures = {"AgentPausedTotalTime": 60, "AgentWrapupTotalTime": 30, "AgentReadyTotalTime": 434,
                       "LoginDateTime": "2026-04-27T08:15:01.081+02:00", "OutCalls": 7}  # fmt: skip
            listed = [{"name": name, "value": value} for name, value in figures.items()]
            one.send(json.dumps({"msgType": "AgentStatistics", "ctiMessage": {"id": each.id, "statistics": listed}}))

    # the configuration server -------------------------------------------------------------------------

    def served(self, line: Line, request: Received) -> bool:
        """Answer as the configuration server, if this is asked of it."""
        base = "/configmgt/api/1.0/callback_lists"
        if not request.path.startswith(base):
            return False
        if request.headers.get("x-auth-token") != CONFIG_TOKEN:
            _respond(line, b'{"error":"Unauthorized"}', 401, "application/json", {})
        elif request.path == base and request.method == "GET":
            _respond(line, json.dumps([{"uuid": LIST}]).encode(), 200, "application/json", {})
        elif request.path.endswith("/callback_requests/csv") and request.method == "POST":
            body = request.body.decode()
            self.imported.append((request.path.split("/")[-3], body))
            _respond(line, b"", 201, "text/plain", {})
        else:
            return False
        return True
