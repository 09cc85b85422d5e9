"""The receiver: `GET` and `POST /webhooks/<pbx>/<secret>`. Authenticate, log, answer; understand later.

A plain ASGI endpoint, because it is the one path where every microsecond counts. The secret is in the path, so
nothing here, and no access log, ever writes the path.
"""

import asyncio
from collections.abc import Mapping

from starlette.types import Message, Receive, Scope, Send

from campaigns.event_log import EventLog, LogFull, NotKept, RawEvent, encoded_query
from campaigns.web.admission import Admission, Refusal
from campaigns.web.metrics import WebMetrics
from campaigns.web.seldom import Seldom
from dialer.pbx.base import EventKeys, Payload, Pbx

MAX_BODY = 64 * 1024
MAX_QUERY = 16 * 1024
_DRAIN = 2 * 1024 * 1024  # of a body that is too large, read so much before answering: else nobody hears the answer
_BODY_SECONDS = 10.0
_RETRY_AFTER = (b"retry-after", b"1")
_CLOSE = (b"connection", b"close")

_OK: tuple[Message, Message] = (
    {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]},
    {"type": "http.response.body", "body": b""},
)
_Reply = tuple[Message, Message]


def _reply(status: int, sentence: str, *headers: tuple[bytes, bytes]) -> _Reply:
    body = sentence.encode() + b"\n"
    told = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode()), *headers]
    return (
        {"type": "http.response.start", "status": status, "headers": told},
        {"type": "http.response.body", "body": body},
    )


# Unknown PBX, wrong secret and wrong address look the same: whoever guesses learns nothing.
_NOT_FOUND = _reply(404, "Not found.")
_TOO_MANY = _reply(429, "Too many requests from this address; try again in a minute.", (b"retry-after", b"60"))
_NO_METHOD = _reply(405, "Events come by GET or POST.", (b"allow", b"GET, POST"))
_LONG_QUERY = _reply(414, f"The query is longer than {MAX_QUERY // 1024} KiB; no event of a PBX is.")
_LARGE_BODY = _reply(413, f"The body is larger than {MAX_BODY // 1024} KiB; no event of a PBX is.", _CLOSE)
_SLOW_BODY = _reply(408, f"The body did not arrive within {_BODY_SECONDS:.0f} seconds; send the event again.", _CLOSE)
_FULL = _reply(503, "The event was not logged: too many wait already. Send it again.", _RETRY_AFTER)
_NOT_KEPT = _reply(503, "The event was not logged: the database does not answer. Send it again.", _RETRY_AFTER)


class WebhookReceiver:
    """The endpoint. 200 means: on disk. Everything else means: not logged by this request."""

    def __init__(
        self, admission: Admission, pbxes: Mapping[str, Pbx], event_log: EventLog, metrics: WebMetrics
    ) -> None:
        self._admission = admission
        self._pbxes = pbxes
        self._log = event_log
        self._metrics = metrics
        self._received = {name: metrics.received(name) for name in admission.names}
        self._seldom = Seldom()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start, body = await self._answer(scope, receive)
        await send(start)
        await send(body)

    async def _answer(self, scope: Scope, receive: Receive) -> _Reply:
        path = scope["path_params"]
        name: str = path["pbx"]
        client = scope.get("client")
        refusal = self._admission.judge(name, path["secret"], client[0] if client else "")
        if refusal is not None:
            return self._turn_away(refusal, client[0] if client else "a local socket")
        method: str = scope["method"]
        if method not in ("GET", "POST"):
            return self._refuse("method", _NO_METHOD)
        query: bytes = scope["query_string"]
        if len(query) > MAX_QUERY:
            return self._refuse("query_too_long", _LONG_QUERY)
        content_type, has_body = _headers(scope)
        body = b""
        if has_body:
            try:
                async with asyncio.timeout(_BODY_SECONDS):
                    body = await _body(receive)
            except TimeoutError:
                return self._refuse("slow_body", _SLOW_BODY)
            except _TooLarge:
                return self._refuse("body_too_large", _LARGE_BODY)
        return await self._keep(name, Payload(method, encoded_query(query), body, content_type))

    async def _keep(self, name: str, payload: Payload) -> _Reply:
        try:
            await self._log.keep(RawEvent(name, payload, self._keys(name, payload)))
        except LogFull:
            return self._refuse("queue_full", _FULL)
        except NotKept:
            return self._refuse("not_written", _NOT_KEPT)
        self._received[name].inc()
        return _OK

    def _keys(self, name: str, payload: Payload) -> EventKeys:
        pbx = self._pbxes.get(name)
        if pbx is None:
            return EventKeys()
        try:
            return pbx.keys(payload)
        except Exception as exc:  # promised never to happen; an event must not be lost because it did
            self._seldom.warning("An event of PBX %s has ids nobody can read (%s)", name, type(exc).__name__)
            return EventKeys()

    def _turn_away(self, refusal: Refusal, address: str) -> _Reply:
        self._seldom.warning("A webhook from %s was turned away: %s", address, refusal.value, kind=refusal)
        return self._refuse(refusal.value, _TOO_MANY if refusal is Refusal.GUESSING else _NOT_FOUND)

    def _refuse(self, reason: str, reply: _Reply) -> _Reply:
        self._metrics.refused(reason)
        return reply


def _headers(scope: Scope) -> tuple[str, bool]:
    """The content type, and whether a body is announced."""
    content_type, has_body = "", False
    for name, value in scope["headers"]:
        if name == b"content-type":
            content_type = value.decode("latin-1")
        elif name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
            has_body = True
    return content_type, has_body


class _TooLarge(Exception):
    pass


async def _body(receive: Receive) -> bytes:
    """The whole body. Of one that is too large the rest is read as well, up to a limit, before we say so."""
    parts: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise _TooLarge  # the client has gone; what we answer reaches nobody
        part: bytes = message.get("body", b"")
        size += len(part)
        if size <= MAX_BODY:
            parts.append(part)
        elif size > _DRAIN:
            break
        more = message.get("more_body", False)
    if size > MAX_BODY:
        raise _TooLarge
    return b"".join(parts)
