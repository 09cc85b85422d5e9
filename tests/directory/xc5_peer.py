"""An XC5 built from the maker's document, on a real socket, and a hand that makes it misbehave.

It shares no code with the adapter. `book` is its own record of what was created and deleted: the judge of doubled
things. PUT creates in silence whatever is named, as the document says.
"""

import json
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote
from uuid import UUID

from tests.pbx.scripted import Line, Received, ScriptedServer, Step

USER, PASSWORD = "dialer@sales.example.net", "kAn4ry-pass/wort="
TENANT, POOL = "sales.example.net", "_unassigned.pool"
HAL = "application/hal+json"
FIELDS: dict[str, dict[str, str]] = {
    "account": {"guid": "string", "username": "string", "description": "string", "enabled": "boolean"},
    "child": {"guid": "string", "username": "string", "description": "string", "enabled": "boolean"},
    "number": {"guid": "string", "number": "string", "is-pilot": "boolean", "cfa": "string"},
    "route": {
        "order": "integer", "destination": "string", "username": "string", "hunt_user": "boolean",
        "ring_seconds": "integer",
    },
    "callrule": {"order": "integer", "prefix_raw": "string", "username": "string", "destination": "string"},
}  # fmt: skip
Record = dict[str, Any]
Told = tuple[int, Any]


@dataclass
class Xc5World:
    """Accounts, numbers, routes and rules, and what went on. Every member may be changed by a test."""

    accounts: dict[str, Record] = field(default_factory=dict)
    numbers: dict[str, Record] = field(default_factory=dict)
    routes: dict[str, Record] = field(default_factory=dict)
    rules: dict[str, Record] = field(default_factory=dict)
    registrations: dict[str, list[Record]] = field(default_factory=dict)
    book: list[str] = field(default_factory=list)
    fields: dict[str, dict[str, str]] = field(default_factory=lambda: {k: dict(v) for k, v in FIELDS.items()})
    right: str = "user"  # or "system"
    page_size: int = 0  # above 0: a HAL envelope with pages
    next_leads_to: str = ""
    short_lists: bool = False  # lists of routes and rules tell guid and order, single records the rest
    on_change: Callable[[str], None] = lambda _entry: None  # after a change, before the reply
    refuses: dict[str, Told] = field(default_factory=dict)  # "PUT route" -> what is said instead

    def __post_init__(self) -> None:
        self._guids = 0
        root = self.account("example.net", "")
        self.account(TENANT, root)
        self.account(POOL, root)

    # what there is ----------------------------------------------------------------------------------

    def guid(self) -> str:
        self._guids += 1
        return str(UUID(int=0x26DF146A_02E3_4A25_AE3F_000000000000 + self._guids)).upper()

    def account(self, username: str, parent: str | None = None, **more: Any) -> str:
        guid = self.guid()
        parent = self.find(TENANT) if parent is None else parent
        self.accounts[guid] = {
            "guid": guid, "username": username, "password": f"sip-{PASSWORD}", "description": "", "enabled": True,
            "parentguid": parent, "dnd": False, "private": False, "concurrent_call_limit": 2, "reg_status": "", **more,
        }  # fmt: skip
        return guid

    def agent(self, name: str, extension: str, **more: Any) -> str:
        """Somebody with a telephone and, as the document has it, an extension by a call rule of the tenant."""
        guid = self.account(f"{name}@{TENANT}", **{"reg_status": "registered", **more})
        if extension:
            self.rule(order=-2, prefix_raw=extension, username=f"{name}@{TENANT}", destination=f":{extension}")
        return guid

    def rule(self, **values: Any) -> str:
        guid = self.guid()
        self.rules[guid] = {"guid": guid, "account": self.find(TENANT), **values}
        return guid

    def number(self, digits: str, holder: str = POOL, **more: Any) -> str:
        guid = self.guid()
        self.numbers[guid] = {"guid": guid, "number": digits, "assigned": holder, "is-pilot": False, **more}
        return guid

    def find(self, text: str) -> str:
        for guid, one in self.accounts.items():
            if text.casefold() in (guid.casefold(), str(one["username"]).casefold()):
                return guid
        return ""

    def routes_of(self, username: str) -> list[Record]:
        guid = self.find(username)
        return [one for one in self.routes.values() if one["account"] == guid]

    # requests ---------------------------------------------------------------------------------------

    def answer(self, line: Line, request: Received) -> None:
        """Answer as a healthy XC5 would."""
        status, told = self._answer(request)
        body = json.dumps(told).encode()
        head = f"HTTP/1.1 {status} Told\r\nContent-Type: {HAL}\r\nContent-Length: {len(body)}\r\n\r\n"
        line.send(head.encode() + body)

    def _answer(self, request: Received) -> Told:
        if (denied := self._denied(request)) is not None:
            return denied
        parts = [unquote(part) for part in request.path.strip("/").split("/")]
        if parts[0].lower() != "api-sys" or len(parts) < 2 or parts[1].lower() != "account":
            return _error(404, "invalid path")
        rest = parts[2:]
        if request.method == "OPTIONS":
            return self._options(rest)
        body: Any = json.loads(request.body) if request.body else {}
        if not isinstance(body, dict):
            return _error(400, "an object is expected")
        kind = rest[1].lower() if len(rest) > 1 else "account"
        if (told := self.refuses.get(f"{request.method} {kind}")) is not None:
            return told
        guid = self.find(rest[0]) if rest else ""
        if not guid:
            return _error(404, "account not found")
        if not self._may(guid):
            return _error(403, "access denied")
        if len(rest) == 1:
            return self._one_account(request.method, guid, body)
        handler: Callable[[Received, str, str, Record], Told] | None = getattr(self, f"_{kind}", None)
        if handler is None:
            return _error(404, "invalid path")
        return handler(request, guid, rest[2] if len(rest) > 2 else "", body)

    def _denied(self, request: Received) -> Told | None:
        scheme, _, coded = request.headers.get("authorization", "").partition(" ")
        try:
            user, _, password = b64decode(coded, validate=True).decode().partition(":")
        except ValueError:
            user = password = ""
        if scheme != "Basic" or (user, password) != (USER, PASSWORD):
            return _error(401, "authentication required")
        return None

    def _may(self, guid: str) -> bool:
        if self.right == "system" or self.accounts[guid]["username"] == POOL:
            return True
        top = self.find(TENANT)
        while guid and guid != top:
            guid = self.accounts[guid]["parentguid"]
        return guid == top

    def _options(self, rest: list[str]) -> Told:
        kind = rest[1].lower() if len(rest) > 1 else "account"
        if kind not in self.fields:
            return _error(404, "invalid path")
        told = {name: {"type": type_, "description": "..."} for name, type_ in self.fields[kind].items()}
        return 200, [{"description": f"Manage {kind}", "methods": ["GET", "PUT", "DELETE", "OPTIONS"], "fields": told}]

    def _one_account(self, method: str, guid: str, body: Record) -> Told:
        if method in ("PUT", "PATCH"):
            self.accounts[guid].update(body)
        if method == "DELETE":
            gone = self.accounts.pop(guid)
            self.routes = {key: one for key, one in self.routes.items() if one["account"] != guid}
            self.numbers = {key: one for key, one in self.numbers.items() if one["assigned"] != gone["username"]}
            self._write(f"deleted account {gone['username']}")
            return 200, [{}]
        return 200, [self._long(guid)]

    def _long(self, guid: str) -> Record:
        one = self.accounts[guid]
        links = {"self": {"href": f"/api-sys/account/{guid}"}}
        if one["parentguid"]:
            links["parent"] = {"href": f"/api-sys/account/{one['parentguid']}"}
        return {**one, "_links": links}

    def _child(self, request: Received, guid: str, which: str, body: Record) -> Told:
        if request.method == "GET":
            listed = [one for one in self.accounts.values() if one["parentguid"] == guid]
            if request.params.get("horizontal") == "true":
                listed = [one for key, one in self.accounts.items() if key != guid and self._below(key, guid)]
            return self._list(request, [{"guid": one["guid"], "username": one["username"]} for one in listed])
        if not body.get("username"):
            return _error(400, "username required")
        known = self.find(body["username"])
        if known:
            self.accounts[known].update(body)
            return 200, [self._long(known)]
        made = self.account(body.pop("username"), guid, **body)
        self._write(f"created account {self.accounts[made]['username']}")
        return 200, [self._long(made)]

    def _below(self, guid: str, top: str) -> bool:
        while guid and guid != top:
            guid = self.accounts[guid]["parentguid"]
        return guid == top

    def _number(self, request: Received, guid: str, which: str, body: Record) -> Told:
        name = self.accounts[guid]["username"]
        if request.method == "GET":
            listed = [self._with_links(one, guid, "number") for one in self.numbers.values() if one["assigned"] == name]
            return self._list(request, listed) if not which else self._only(listed, which)
        if request.method == "DELETE":
            if self.numbers.get(which, {}).get("assigned") != name:
                return _error(404, "number not found")
            self._write(f"deleted number {self.numbers.pop(which)['number']}")
            return 200, [{}]
        if which:
            if which not in self.numbers:
                return _error(404, "number not found")
            one = self.numbers[which]
            # A free number is taken by whoever names it; a taken one is given away by its holder's right only.
            if one["assigned"] not in (POOL, name) and name != POOL:
                return _error(409, "number already in use")
            one["assigned"] = name
            self._write(f"moved number {one['number']} to {name}")
            return 200, [self._with_links(one, guid, "number")]
        digits = str(body.get("number", ""))
        if any(one["number"] == digits for one in self.numbers.values()):
            return _error(409, "number already in use")
        made = self.number(digits, name)
        self._write(f"created number {digits} at {name}")
        return 200, [self._with_links(self.numbers[made], guid, "number")]

    def _numberallocate(self, request: Received, guid: str, which: str, body: Record) -> Told:
        pattern = request.params.get("filter", "%")
        free = [one for one in self.numbers.values() if one["assigned"] == POOL and _like(pattern, one["number"])]
        return self._list(request, free)

    def _route(self, request: Received, guid: str, which: str, body: Record) -> Told:
        return self._ordered(self.routes, "route", request, guid, which, body)

    def _callrule(self, request: Received, guid: str, which: str, body: Record) -> Told:
        return self._ordered(self.rules, "callrule", request, guid, which, body)

    def _ordered(
        self, kept: dict[str, Record], kind: str, request: Received, guid: str, which: str, body: Record
    ) -> Told:
        mine = [self._with_links(one, guid, kind) for one in kept.values() if one["account"] == guid]
        if request.method == "GET" and not which and self.short_lists:
            return self._list(request, [{key: one[key] for key in ("guid", "order") if key in one} for one in mine])
        if request.method == "GET":
            return self._list(request, mine) if not which else self._only(mine, which)
        if request.method == "DELETE":
            if which not in kept:
                return _error(404, f"{kind} not found")
            self._write(f"deleted {kind} {_told(kept.pop(which))}")
            return 200, [{}]
        made = which or self.guid()
        # `order` is shown as text in the document, and taken both ways.
        kept[made] = {"guid": made, "account": guid, **kept.get(made, {}), **body, "order": str(body.get("order", 0))}
        self._write(f"created {kind} {_told(kept[made])}")
        return 200, [self._with_links(kept[made], guid, kind)]

    def _reg(self, request: Received, guid: str, which: str, body: Record) -> Told:
        return self._list(request, self.registrations.get(guid, []))

    # how it is told ---------------------------------------------------------------------------------

    def _write(self, entry: str) -> None:
        self.book.append(entry)
        self.on_change(entry)

    def _list(self, request: Received, listed: list[Record]) -> Told:
        if not self.page_size:
            return 200, listed
        at = int(request.params.get("from", "0"))
        here = listed[at : at + self.page_size]
        told: Record = {"_embedded": {"records": here}, "_links": {"self": {"href": request.path}}}
        if at + self.page_size < len(listed):
            following = self.next_leads_to or f"{request.path}?from={at + self.page_size}"
            told["_links"]["next"] = {"href": following}
        return 200, told

    def _only(self, listed: list[Record], which: str) -> Told:
        found = [one for one in listed if one["guid"] == which]
        return (200, found) if found else _error(404, "not found")

    def _with_links(self, one: Record, guid: str, kind: str) -> Record:
        own = {"href": f"/api-sys/account/{guid}/{kind}/{one['guid']}"}
        shown = {name: value for name, value in one.items() if name != "account"}
        return {**shown, "_links": {"self": own, "parent": {"href": f"/api-sys/account/{guid}"}}}


def _told(one: Record) -> str:
    return f"{one.get('order')} {one.get('username') or one.get('destination')}"


def _error(status: int, text: str) -> Told:
    return status, [{"error": text}]


def _like(pattern: str, text: str) -> bool:
    head, percent, tail = pattern.partition("%")
    return text.startswith(head) and text.endswith(tail) if percent else text == pattern


def html(status: int) -> Step:
    """A proxy's or a web server's page instead of XC5's answer."""
    body = f"<html><title>{status}</title>PROXY {USER}</html>".encode()
    head = f"HTTP/1.1 {status} Told\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return lambda line, _request: line.send(head + body)


def told(status: int, what: Any, headers: Mapping[str, str] | None = None) -> Step:
    """Answer this, as XC5 would."""
    body = what if isinstance(what, bytes) else json.dumps(what).encode()
    more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = f"HTTP/1.1 {status} Told\r\nContent-Type: {HAL}\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode()
    return lambda line, _request: line.send(head + body)


def reply_lost(world: Xc5World, *methods: str) -> Step:
    """Do what was asked, and hang up without a word; other methods are answered."""

    def step(line: Line, request: Received) -> None:
        if request.method in methods:
            world._answer(request)
            line.keep = False
        else:
            world.answer(line, request)

    return step


def serve(world: Xc5World) -> ScriptedServer:
    """Listen on a port of its own, as that world."""
    return ScriptedServer(now=world.answer)


def url_of(server: ScriptedServer) -> str:
    return f"http://127.0.0.1:{server.port}/api-sys/"
