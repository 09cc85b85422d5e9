"""Who may come in: people at this machine, people who were given a one-time token from its console, and programs.

The pages show how a business calls people, so they are open only where nobody else can reach them: bound to
loopback. On any other address everybody needs a session, also from this machine, because a proxy in front of us
makes strangers look local. The Host header is checked, or a web page anywhere could read ours through a name that
it points at 127.0.0.1. docs/web.md has the reasons in full.
"""

import hashlib
import hmac
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.types import Scope

from campaigns.web.clients import ApiClients
from dialer.settings import WebSettings, is_loopback

IDLE = 30 * 60.0
ABSOLUTE = 12 * 3600.0
_MAX_SESSIONS = 1_000
_TRIES = 10  # wrong tokens in a minute, from anywhere


class Verdict(Enum):
    """What becomes of a request for a page."""

    WELCOME = "welcome"
    STRANGER = "stranger"  # no session, and one is needed
    WRONG_HOST = "wrong host"  # a name that is not ours
    WRONG_KEY = "wrong key"  # a program's token that is nobody's


@dataclass(slots=True)
class _Session:
    began: float
    seen: float


def say_on_console(sentence: str) -> None:
    """Tell whoever started us; not a log line, because it holds a token."""
    print(sentence, file=sys.stderr, flush=True)


class Access:
    """Sessions and invitations of one web process. Both are gone when it ends."""

    def __init__(
        self,
        settings: WebSettings,
        *,
        clients: ApiClients | None = None,
        announce: Callable[[str], None] = say_on_console,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clients = clients
        public = urlsplit(settings.public_url)
        self.secure = public.scheme == "https"
        self.needs_token = not (is_loopback(settings.host) and (not public.hostname or is_loopback(public.hostname)))
        # A browser keeps a __Host- cookie to this one host and to https.
        self.cookie = "__Host-dialer" if self.secure else "dialer_session"
        self._names = {name.lower() for name in (settings.host, public.hostname) if name} | {"localhost"}
        self._address = settings.address
        self._announce, self._monotonic = announce, monotonic
        self._sessions: dict[bytes, _Session] = {}
        self._invitation = b""
        self._tries: list[float] = []

    def open_door(self) -> None:
        """Print the first token, if one is needed."""
        if self.needs_token:
            self._invite()

    def judge(self, scope: Scope) -> Verdict:
        """Decide about one request."""
        if not self._our_name(scope):
            return Verdict.WRONG_HOST
        if _bearer(scope):
            return Verdict.WELCOME if self.client_of(scope) else Verdict.WRONG_KEY
        if not self.needs_token or self.session_holds(self.session_of(scope)):
            return Verdict.WELCOME
        return Verdict.STRANGER

    def client_of(self, scope: Scope) -> str:
        """The program that asks, by its token; empty when it is none of those we know. Programs see the API alone."""
        token = _bearer(scope)
        if not token or self._clients is None:
            return ""
        return self._clients.name_of(token) or ""

    def who(self, scope: Scope) -> str:
        """Who acts, for the ledger. Two people have two sessions; there are no accounts that would name them."""
        client = self.client_of(scope)
        if client:
            return f"api:{client}"
        session = self.session_of(scope)
        return f"web:{_digest(session).hex()[:8]}" if self.session_holds(session) else "web:this-machine"

    def enter(self, token: str) -> str | None:
        """Change the one-time token into a session; None when it is not the token. Prints the next token."""
        now = self._monotonic()
        self._tries = [then for then in self._tries if now - then < 60.0]
        if len(self._tries) >= _TRIES or not self._invitation:
            return None
        if not hmac.compare_digest(_digest(token.strip()), self._invitation):
            self._tries.append(now)
            return None
        session = secrets.token_urlsafe(32)
        if len(self._sessions) >= _MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[_digest(session)] = _Session(now, now)
        self._invite()
        return session

    def session_of(self, scope: Scope) -> str:
        """The session id a request carries; empty when it carries none."""
        for name, value in scope["headers"]:
            if name == b"cookie":
                try:
                    morsel = SimpleCookie(value.decode("latin-1")).get(self.cookie)
                except CookieError:
                    return ""
                return morsel.value if morsel else ""
        return ""

    def session_holds(self, session: str) -> bool:
        """Whether a session is good, now; looking keeps it from going idle."""
        if not session:
            return False
        digest, now = _digest(session), self._monotonic()
        known = self._sessions.get(digest)
        if known is None:
            return False
        if now - known.seen > IDLE or now - known.began > ABSOLUTE:
            del self._sessions[digest]
            return False
        known.seen = now
        return True

    def may_go_on(self, scope: Scope) -> bool:
        """Whether a stream that was let in may still be fed."""
        return self.judge(scope) is Verdict.WELCOME

    def _invite(self) -> None:
        token = secrets.token_urlsafe(32)
        self._invitation = _digest(token)
        self._announce(f"To look at the dashboard, open {self._address}/enter and give this token, once: {token}")

    def _our_name(self, scope: Scope) -> bool:
        host = _host(scope)
        if host in self._names or is_loopback(host):
            return True
        try:
            ip_address(host)
        except ValueError:
            return False
        # An address is no name that somebody could point at us; but what is bound to loopback has no other.
        return self.needs_token


def _bearer(scope: Scope) -> str:
    """The token of the Authorization header of a request to the API. Pages are for people: they know none."""
    if not scope["path"].startswith("/api/"):
        return ""
    for name, value in scope["headers"]:
        if name == b"authorization":
            # Another kind is meant for a proxy before us.
            kind, _, token = value.decode("latin-1").partition(" ")
            return token.strip() or "?" if kind.lower() == "bearer" else ""
    return ""


def is_local(scope: Scope) -> bool:
    """Whether the connection comes from this machine."""
    client = scope.get("client")
    return client is not None and is_loopback(str(client[0]))


def _host(scope: Scope) -> str:
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if len(hosts) != 1:
        return ""
    try:
        return (urlsplit("//" + hosts[0].decode("ascii")).hostname or "").lower()
    except (UnicodeDecodeError, ValueError):
        return ""


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
