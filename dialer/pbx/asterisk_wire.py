"""Requests to ARI: kept connections, one deadline for a request, and the meaning of every fault.

Written on the standard library's HTTP parser: a join is one small request in the two seconds of the law, and a general
client spends as long on it as Asterisk does (measured in docs/decisions.md). What a fault means is as in
`dialer.pbx.http`: a command is sent once and has four ends; a read may be repeated.
"""

import base64
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import stamina

from dialer.errors import OutcomeUnknown, PbxError, PbxNonsense, PbxRefused, PbxUnavailable, SettingsError
from dialer.pbx.asterisk_line import MAX_ANSWER, Answer, Line, TooLong, left
from dialer.pbx.foreign import inert
from dialer.pbx.http import AnswerTooLong, ReadRefused, SecretMissing, endpoint_of, origin, tls_context, without_secret
from dialer.pbx.sockets import objection
from dialer.secrets import secret
from dialer.settings import PbxSettings

Look = Callable[[], None]
Query = Mapping[str, str] | Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class _Fault:
    why: str
    sent: bool = True
    answered: bool = False
    too_long: bool = False


class AriWire:
    """One Asterisk's ARI, always at the same address."""

    def __init__(
        self, name: str, settings: PbxSettings, *, environ: Mapping[str, str] | None = None, retries: int = 2
    ) -> None:
        """Open no connection yet."""
        self.name = name
        self._settings = settings
        self._environ = environ
        self._retries = retries
        self._url, _ = endpoint_of(f"pbx.{name}", settings)
        parts = urlsplit(self._url)
        self._host, self._path = parts.hostname or "", parts.path.rstrip("/")
        if not self._url.isascii():  # checked here, because a codec's complaint would show the whole request
            raise SettingsError(f"pbx.{name}.url: write the address in ASCII (xn--...)")
        self._tls = tls_context(f"pbx.{name}", settings) if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls else 80)
        self._loopback_only = self._tls is None and not settings.allow_http
        self._idle: list[Line] = []  # the last used is used next: it is the one Asterisk has not closed meanwhile
        self._lines: set[Line] = set()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<AriWire {self.name}>"

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            lines, self._lines, self._idle = self._lines, set(), []
        for line in lines:
            line.close()

    # what is asked ------------------------------------------------------------------------------------

    def read(self, path: str, query: Query | None = None) -> Any:
        """Return the JSON at `path`; asked again, at once and at most twice, when Asterisk could not be reached.

        ReadRefused carries what Asterisk said; a thing that is not there (404) is refused too.
        """
        for attempt in stamina.retry_context(
            on=lambda exc: isinstance(exc, PbxUnavailable) and not isinstance(exc, SettingsError),
            attempts=1 + self._retries,
            timeout=self._settings.timeout,
            wait_initial=0.05,
            wait_max=0.4,
            wait_jitter=0.05,
        ):
            with attempt:
                return self._read(path, query)
        raise AssertionError("the last attempt returns or raises")  # pragma: no cover

    def command(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Mapping[str, Any] | None = None,
        *,
        before_send: Look | None = None,
    ) -> Answer:
        """Order something, once. Returns what was answered if it may be believed (2xx, 4xx, a 5xx in ARI's words)."""
        got = self._exchange(method, path, query, body, before_send)
        if isinstance(got, _Fault):
            raise self._faulty(got, command=True)
        status = got.status
        if 300 <= status < 400:
            raise PbxRefused(self.name, self._elsewhere(got))
        if status == 429:
            raise PbxUnavailable(self.name, "asks us to slow down (HTTP 429); nothing was carried out")
        if status in (401, 403) or (400 <= status < 500 and status not in (408, 425) and not got.readable):
            raise PbxRefused(self.name, self._client_error(got))
        # Without ARI's own words it was a proxy, or something died half-way.
        if status in (408, 425) or not got.readable or (status >= 500 and not got.message):
            raise OutcomeUnknown(self.name, f"the command may have been carried out (HTTP {status})")
        return got

    def authorization(self) -> str:
        """The header that lets us in, read anew each time: a secret kept in a file can be changed while we run."""
        token = self._secret()
        account = f"{self._settings.user}:{token}".encode()
        return f"Basic {base64.b64encode(account).decode()}"

    def stream_url(self, query: Query) -> str:
        """The address of the websocket. No secret is in it."""
        scheme = "wss" if self._tls else "ws"
        return f"{scheme}://{self._host}:{self._port}{self._path}/events?{_written(query)}"

    def open_socket(self, limit: float) -> socket.socket:
        """Connect and check whom we met, without TLS: the event loop wraps sockets of its own alone.

        OSError when that fails. Blocks for `limit` seconds at most.
        """
        return self._connected(time.monotonic() + limit)

    @property
    def tls(self) -> ssl.SSLContext | None:
        return self._tls

    @property
    def host(self) -> str:
        return self._host

    def shown(self, text: str, limit: int = 200) -> str:
        """Return text of the PBX as it may be shown: inert, short, and without our secret if it was echoed."""
        try:
            token = secret(self._settings, self.name, "token", self._environ)
        except SettingsError:
            token = None
        return inert(without_secret(text, token), limit)

    # one request --------------------------------------------------------------------------------------

    def _read(self, path: str, query: Query | None) -> Any:
        got = self._exchange("GET", path, query, None, None)
        if isinstance(got, _Fault):
            raise self._faulty(got, command=False)
        if 200 <= got.status < 300 and got.readable and got.value is not None:
            return got.value
        if 300 <= got.status < 400:
            raise ReadRefused(self.name, self._elsewhere(got))
        if got.status == 429 or got.status >= 500:
            raise PbxUnavailable(self.name, f"is in trouble (HTTP {got.status} {self.shown(got.message, 80)})")
        if got.status >= 400:
            raise ReadRefused(self.name, self._client_error(got))
        raise PbxNonsense(self.name, f"does not speak ARI (HTTP {got.status}); check pbx.{self.name}.url")

    def _exchange(
        self,
        method: str,
        path: str,
        query: Query | None,
        body: Mapping[str, Any] | None,
        look: Look | None,
    ) -> Answer | _Fault:
        until = time.monotonic() + self._settings.timeout
        written = self._written(method, path, query, body)
        stopped: BaseException | None = None
        line, sent = None, False
        try:
            line = self._line(until)
            if look is not None:
                try:
                    look()
                except BaseException as exc:
                    stopped = exc
            if stopped is None:
                sent = True
                answer = line.exchange(written, method, until)
                self._put_back(line)
                return answer
            self._put_back(line)
        except TimeoutError:
            self._drop(line)
            why = (
                f"gave no complete answer within {self._settings.timeout:g} s" if sent else "cannot be reached in time"
            )
            return _Fault(why, sent=sent)
        except TooLong:
            self._drop(line)
            return _Fault(f"answered with more than {MAX_ANSWER // 1024} KiB", answered=True, too_long=True)
        except (OSError, http.client.HTTPException) as exc:
            self._drop(line)
            told = self.shown(str(exc), 120) or type(exc).__name__
            return _Fault(f"the connection broke ({told})" if sent else f"cannot be reached ({told})", sent=sent)
        except BaseException as exc:
            # The worker is being interrupted: passed on, without frames that hold the header with the secret.
            self._drop(line)
            exc.__context__ = None
            stopped = exc.with_traceback(None)
        assert stopped is not None
        del written
        raise stopped

    def _written(self, method: str, path: str, query: Query | None, body: Mapping[str, Any] | None) -> bytes:
        told = f"?{_written(query)}" if query else ""
        data = json.dumps(body).encode() if body is not None else b""
        head = (
            f"{method} {self._path}{path}{told} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
            f"Authorization: {self.authorization()}\r\nUser-Agent: dialer\r\nAccept-Encoding: identity\r\n"
        )
        if body is not None:
            head += "Content-Type: application/json\r\n"
        if body is not None or method in ("POST", "PUT"):
            head += f"Content-Length: {len(data)}\r\n"
        return f"{head}\r\n".encode("ascii") + data

    def _line(self, until: float) -> "Line":
        while True:
            with self._lock:
                line = self._idle.pop() if self._idle else None
            if line is None:
                break
            if line.fit:
                return line
            self._drop(line)
        line = Line(self._connect(until))
        with self._lock:
            self._lines.add(line)
        return line

    def _put_back(self, line: "Line") -> None:
        with self._lock:
            if line not in self._lines:
                return  # `close` was called meanwhile
            self._idle.append(line)
            oldest = self._idle[0]
        if not oldest.fit:  # of a busier moment: nobody would come to use it
            with self._lock:
                if oldest in self._idle:
                    self._idle.remove(oldest)
                    self._lines.discard(oldest)
                    oldest.close()

    def _connect(self, until: float) -> socket.socket:
        raw = self._connected(until)
        if self._tls is None:
            return raw
        try:
            raw.settimeout(left(until))
            return self._tls.wrap_socket(raw, server_hostname=self._host)
        except BaseException:
            raw.close()
            raise

    def _connected(self, until: float) -> socket.socket:
        raw = socket.create_connection((self._host, self._port), timeout=left(until))
        try:
            why = objection(str(raw.getpeername()[0]), loopback_only=self._loopback_only)
            if why:
                raise OSError(why)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return raw
        except BaseException:
            raw.close()
            raise

    def _drop(self, line: "Line | None") -> None:
        if line is None:
            return
        line.close()
        with self._lock:
            self._lines.discard(line)

    def _secret(self) -> str:
        why = f"pbx.{self.name}.token_env is not set: name the variable that holds the password of the ARI account"
        try:
            token = secret(self._settings, self.name, "token", self._environ)
            if token is not None:
                return token.get_secret_value()
        except SettingsError as exc:
            why = str(exc)
        raise SecretMissing(self.name, why)

    # what a fault means -------------------------------------------------------------------------------

    def _faulty(self, fault: _Fault, *, command: bool) -> PbxError:
        where = f"{origin(self._url)} {fault.why}"
        if not fault.sent:
            return PbxUnavailable(self.name, f"{where}; check that Asterisk runs and pbx.{self.name}.url")
        if command:
            return OutcomeUnknown(self.name, f"{where}: the command may have been carried out")
        if fault.too_long:
            return AnswerTooLong(self.name, where)
        return PbxNonsense(self.name, where) if fault.answered else PbxUnavailable(self.name, where)

    def _elsewhere(self, got: Answer) -> str:
        return (
            f"HTTP {got.status} sends us elsewhere, and redirects are not followed; "
            f"set pbx.{self.name}.url to the final address"
        )

    def _client_error(self, got: Answer) -> str:
        told = f"(HTTP {got.status} {self.shown(got.message, 80)})"
        if got.status in (401, 403):
            return f"does not let us in: check pbx.{self.name}.user, its password and `permit` in ari.conf {told}"
        if got.status == 404:
            return f"has no such thing, or pbx.{self.name}.url does not end where ARI begins (.../ari) {told}"
        return f"refuses the request {told}"


def _written(query: Query) -> str:
    return urlencode({name: str(value) for name, value in query.items()}, quote_via=quote, safe="")
