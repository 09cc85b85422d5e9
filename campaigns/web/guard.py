"""What stands before every page: the headers that keep a browser careful, and the question who is asking.

Webhooks and IVR questions pass by: they come from PBXs, have their own secret, and must not wait.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from campaigns.web.access import Access, Verdict, is_local
from campaigns.web.faults import fault_response
from campaigns.web.forgery import SAFE, Forgery
from campaigns.web.zero_bytes import without_zero_bytes

_FROM_PBXES = ("/webhooks/", "/ivr/")
_FOR_ALL = ("/healthz", "/readyz", "/enter", "/static/")

_CONTENT_POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
_CAREFUL = (
    (b"content-security-policy", _CONTENT_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)
_HSTS = (b"strict-transport-security", b"max-age=31536000")

_WRONG_HOST = (
    "This server does not answer to that name. Use the address it was started with, "
    "or set web.public_url to the address people use."
)
_STRANGER = "The console where the web process was started shows a one-time token."
_WRONG_KEY = (
    "The Authorization header names no client whose token is good now. It is `Bearer TOKEN`; "
    "`dialer client new NAME` makes one."
)
_SAID_ELSEWHERE = "/enter"  # its form has nothing to lose, and asks by itself


class Guard:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, *, access: Access, forgery: Forgery) -> None:
        self._app = app
        self._access = access
        self._forgery = forgery
        self._headers = (*_CAREFUL, _HSTS) if access.secure else _CAREFUL

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_FROM_PBXES):
            await self._app(scope, receive, send)
            return
        scope = without_zero_bytes(scope)

        async def careful_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", []), *self._headers]
                if not any(name == b"cache-control" for name, _ in headers):
                    static = scope["path"].startswith("/static/")
                    headers.append((b"cache-control", b"no-cache" if static else b"no-store"))
                message = {**message, "headers": headers}
            await send(message)

        turned_away = self._turn_away(scope, receive)
        await (turned_away or self._app)(scope, receive, careful_send)

    def _turn_away(self, scope: Scope, receive: Receive) -> Response | None:
        path = scope["path"]
        verdict = self._access.judge(scope)
        if path in _FOR_ALL[:2]:
            return None  # whoever watches over us asks by address, and hears "alive" and nothing else
        if verdict is Verdict.WRONG_HOST:
            return fault_response(Request(scope, receive), 421, _WRONG_HOST)
        if verdict is Verdict.WRONG_KEY:
            return fault_response(Request(scope, receive), 401, _WRONG_KEY)
        if verdict is Verdict.WELCOME or path.startswith(_FOR_ALL):
            trouble = "" if scope["method"] in SAFE or path == _SAID_ELSEWHERE else self._forgery.trouble(scope)
            return fault_response(Request(scope, receive), 403, trouble) if trouble else None
        if path == "/metrics" and is_local(scope):
            return None
        return fault_response(Request(scope, receive), 403, _STRANGER, enter=True)
