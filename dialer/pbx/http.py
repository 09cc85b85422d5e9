"""The shared HTTP client of the PBX adapters: limits, the meaning of every fault, and secrets that stay secret.

What a fault means depends on what was asked. A *read* may be repeated; a *command* may make a phone ring, so it
is sent at most once and what became of it is one of four ends: understood (whatever the parser returns or
refuses), never sent (`PbxUnavailable`), refused before anything could ring (`PbxRefused`), or unknown
(`OutcomeUnknown`).

The PBX's secret travels in the query string. It is added below httpx, in the last layer before the socket, so
that no request object, log line, exception or traceback that httpx makes ever holds it; our own errors are
raised after every frame and every exception of the library is gone.
"""

import html
import os
import ssl
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlencode, urlsplit

import httpx
import stamina
from pydantic import SecretStr

from dialer.errors import (
    OutcomeUnknown,
    PbxError,
    PbxNonsense,
    PbxRefused,
    PbxUnavailable,
    SettingsError,
)
from dialer.pbx.foreign import inert
from dialer.pbx.sealed import Look, Sealed, SealedTransport, Stopped
from dialer.pbx.sockets import Allowance, GuardedTransport
from dialer.secrets import secret
from dialer.settings import Reached

MAX_ANSWER = 1024 * 1024
SHORTEST_SECRET = 4
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
# The web server in front answered these instead of the PBX's script, which therefore did not run.
_SENT_ELSEWHERE = (301, 302, 307, 308)

T = TypeVar("T")
Params = Mapping[str, str]


class Unreadable(Exception):
    """An adapter's parser found something that is not its PBX's language. Its text says what."""


class ReadRefused(PbxRefused, PbxNonsense):
    """The PBX said no to a read. A refusal, and also an answer no list can be taken from."""


class AnswerTooLong(PbxNonsense):
    """A read was answered with more than we take. A filter would make it shorter."""


class SecretMissing(SettingsError, PbxUnavailable):
    """The secret is not where the settings say. A wrong setting, and therefore nothing was sent."""


class Kind(Enum):
    """What a missing answer means depends on it."""

    READ = "read"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered, understood or not."""

    status: int
    body: bytes = field(repr=False)  # it may echo what we sent
    location: str = field(repr=False)
    retry_after: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why there is no answer, kept as a value until httpx's exceptions and frames are gone."""

    why: str
    sent: bool = True  # False: not one byte of the request left us
    answered: bool = False  # the PBX began to answer, with something we will not take
    too_long: bool = False


@dataclass(frozen=True, slots=True)
class Wire:
    """What one request is, besides its sealed part. `path` is added to the address of the settings."""

    method: str = "GET"
    path: str = ""
    content: bytes | None = field(default=None, repr=False)
    parts: Mapping[str, str] | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


class PbxHttp:
    """Requests to one PBX, always to the same address."""

    section = "pbx"  # of the settings; errors name it

    def __init__(
        self,
        name: str,
        settings: Reached,
        *,
        secret_field: str = "token",  # noqa: S107 - the name of a field
        environ: Mapping[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
        retries: int = 2,
    ) -> None:
        """Open no connection yet. A `transport` given from outside replaces the network, its limits included."""
        self.name = name
        self._settings = settings
        self._secret_field = secret_field
        self._environ = environ
        self._retries = retries
        self._url, self._fixed_query = endpoint_of(f"{self.section}.{name}", settings)
        self._allowance = Allowance() if transport is None else None
        if self._allowance is not None:
            loopback_only = self._url.startswith("http://") and not settings.allow_http
            inner: httpx.BaseTransport = GuardedTransport(
                tls_context(f"{self.section}.{name}", settings), self._allowance, loopback_only=loopback_only
            )
        else:
            assert transport is not None
            inner = transport
        self._client = httpx.Client(
            transport=SealedTransport(inner, looks_first=transport is not None),
            timeout=httpx.Timeout(settings.timeout),
            follow_redirects=False,
            trust_env=False,
            # A compressed answer can be a thousand times its size, and lists are small.
            headers={"Accept-Encoding": "identity", "User-Agent": "dialer"},
        )

    def __repr__(self) -> str:
        return f"<PbxHttp {self.name}>"

    def close(self) -> None:
        """Close every connection; the object is of no use afterwards."""
        self._client.close()

    def read(self, params: Params, understand: Callable[[bytes], T]) -> T:
        """Ask for something. Asked again, at once and at most twice, when the PBX could not be reached.

        The waits are short and end with the time-out of one request: a slow PBX is not asked again.
        """
        return self._again(lambda: self._ask(Kind.READ, params, understand, None, None))

    def _again(self, ask: Callable[[], T]) -> T:
        for attempt in stamina.retry_context(
            on=lambda exc: isinstance(exc, PbxUnavailable) and not isinstance(exc, SettingsError),
            attempts=1 + self._retries,
            timeout=self._settings.timeout,
            wait_initial=0.05,
            wait_max=0.4,
            wait_jitter=0.05,
        ):
            with attempt:
                return ask()
        raise AssertionError("the last attempt returns or raises")  # pragma: no cover

    def command(
        self,
        params: Params,
        understand: Callable[[bytes], T],
        *,
        before_send: Look | None = None,
        parts: Mapping[str, str] | None = None,
    ) -> T:
        """Order something, once. `before_send` is the last act before the first byte; it may raise.

        With `parts` the command is a POST of them as `multipart/form-data`.
        """
        return self._ask(Kind.COMMAND, params, understand, before_send, parts)

    def shown(self, text: str, limit: int = 200) -> str:
        """Return text of the PBX as it may be shown: inert, short, and without our secret if it was echoed."""
        return inert(without_secret(text, self._secret_or_none()), limit)

    # one request --------------------------------------------------------------------------------------

    def _ask(
        self,
        kind: Kind,
        params: Params,
        understand: Callable[[bytes], T],
        look: Look | None,
        parts: Mapping[str, str] | None,
    ) -> T:
        wire = Wire("POST", parts=parts) if parts is not None else Wire()
        got = self._answer(kind, Sealed(self._query(params), look), wire)
        trouble = ""
        try:
            return understand(got.body)
        except Unreadable as exc:
            trouble = str(exc)
        # Whatever the status: a body that says nothing leaves only the status to go by.
        raise self._unusable(kind, got, trouble)

    def _answer(self, kind: Kind, order: Sealed, wire: Wire) -> Answer:
        """Send one request and return whatever was answered; raise what a missing answer means."""
        got = self._exchange(order, wire)
        if order.stopped is not None:
            raise order.stopped
        if isinstance(got, Fault):
            raise self._faulty(kind, got)
        return got

    def _query(self, params: Params) -> str:
        sent = dict(params)
        token = self._secret()
        if token is not None:
            sent[self._secret_field] = token.get_secret_value()
        written = urlencode(sent, quote_via=quote, safe="")
        return f"{self._fixed_query}&{written}" if self._fixed_query else written

    def _exchange(self, order: Sealed, wire: Wire) -> Answer | Fault:
        files = {name: (None, text.encode()) for name, text in wire.parts.items()} if wire.parts is not None else None
        allowed = self._allowance.of(self._settings.timeout) if self._allowance is not None else nullcontext()
        try:
            with (
                allowed,
                self._client.stream(
                    wire.method,
                    self._url + wire.path,
                    content=wire.content,
                    files=files,
                    headers=dict(wire.headers),
                    extensions={"sealed": order},
                ) as response,
            ):
                return _collect(response)
        except Stopped:
            return Fault("stopped before it was sent", sent=False)
        except NEVER_SENT as exc:
            return Fault(f"cannot be reached ({self._library_says(exc)})", sent=False)
        except httpx.TimeoutException:
            return Fault(f"gave no complete answer within {self._settings.timeout:g} s")
        except httpx.HTTPError as exc:
            return Fault(f"the connection broke ({self._library_says(exc)})")
        except Exception as exc:
            # Whatever else a strange answer makes a library raise: the request may have been read.
            return Fault(f"the exchange failed ({type(exc).__name__})")
        except BaseException as exc:
            # The worker is being interrupted: passed on, without the frames of a library that holds the query.
            exc.__context__ = None
            order.stopped = exc.with_traceback(None)
            return Fault("interrupted")

    def _library_says(self, exc: Exception) -> str:
        return self.shown(str(exc), 120) or type(exc).__name__

    # what a fault means -------------------------------------------------------------------------------

    def _faulty(self, kind: Kind, fault: Fault) -> PbxError:
        where = f"{origin(self._url)} {fault.why}"
        if not fault.sent:
            return PbxUnavailable(self.name, f"{where}; check that the PBX runs and pbx.{self.name}.url")
        if kind is Kind.COMMAND:
            return OutcomeUnknown(self.name, f"{where}: the command may have been carried out")
        if fault.too_long:
            return AnswerTooLong(self.name, where)
        return PbxNonsense(self.name, where) if fault.answered else PbxUnavailable(self.name, where)

    def _unusable(self, kind: Kind, answer: Answer, trouble: str) -> PbxError:
        """Judge an answer nobody can read by its HTTP status, which is all there is."""
        status = answer.status
        received = self.shown(answer.body[:2000].decode("utf-8", "replace"), 80)
        told = f"HTTP {status}, {trouble}; received: {received!r}"
        command = kind is Kind.COMMAND
        refused = PbxRefused if command else ReadRefused
        if 300 <= status < 400:
            elsewhere = self.shown(origin(answer.location), 80) or "elsewhere"
            why = f"HTTP {status} sends us to {elsewhere}, and redirects are not followed"
            remedy = f"set pbx.{self.name}.url to the final address"
            if command and status not in _SENT_ELSEWHERE:
                # 303 is how a script answers *after* it has done its work.
                return OutcomeUnknown(self.name, f"{why}; {remedy}")
            # 301, 302, 307, 308 come from the web server in front (https enforced, a log-in page): the script
            # that dials was not reached, so nothing rang.
            return refused(self.name, f"{why}; {remedy}")
        if status == 429:
            return PbxUnavailable(self.name, f"asks us to slow down ({told}); nothing was carried out")
        if command and status in (408, 425):
            # A proxy's words for "I passed it on, or I did not".
            return OutcomeUnknown(self.name, told)
        if 400 <= status < 500:
            return refused(self.name, f"{_client_error(self.name, status)} ({told})")
        if command:
            return OutcomeUnknown(self.name, f"the command may have been carried out ({told})")
        if status >= 500:
            return PbxUnavailable(self.name, f"is in trouble ({told})")
        return PbxNonsense(self.name, f"does not speak its language ({told}); check pbx.{self.name}.url")

    # the secret ---------------------------------------------------------------------------------------

    def _secret(self) -> SecretStr | None:
        """Read the secret anew for each request: one kept in a file can be changed while we run."""
        why = ""
        try:
            return secret(self._settings, self.name, self._settings.secret_name, self._environ)
        except SettingsError as exc:
            why = str(exc)
        raise SecretMissing(self.name, why)

    def _secret_or_none(self) -> SecretStr | None:
        try:
            return secret(self._settings, self.name, self._settings.secret_name, self._environ)
        except SettingsError:
            return None


def _collect(response: httpx.Response) -> Answer | Fault:
    """Read the body and stop at the limit; closing the stream then drops the connection."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        return Fault("answered in a compressed form nobody asked for", answered=True)
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > MAX_ANSWER:
            return Fault(f"answered with more than {MAX_ANSWER // 1024} KiB", answered=True, too_long=True)
    headers = response.headers
    return Answer(response.status_code, bytes(body), headers.get("location", ""), headers.get("retry-after", ""))


def endpoint_of(place: str, settings: Reached) -> tuple[str, str]:
    """Return the address without its query, and the query; SettingsError when it would show a secret."""
    parts = urlsplit(settings.url)
    if parts.username is not None or parts.password is not None:
        raise SettingsError(
            f"{place}.url: holds a user name or password, which would show in logs; the PBX is given its "
            f"secret with {place}.{settings.secret_name}_env or {settings.secret_name}_file"
        )
    if parts.scheme == "http" and not settings.on_loopback and not settings.allow_http:
        raise SettingsError(
            f"{place}.url: plain http to {inert(parts.hostname or '', 80)} would show the {settings.secret_name} "
            f"to the network; use https, or set {place}.allow_http = true if that network is yours alone"
        )
    return parts._replace(query="", fragment="").geturl(), parts.query


def tls_context(place: str, settings: Reached) -> ssl.SSLContext:
    """Check certificates against the usual authorities, or against the operator's own."""
    authority = settings.extra.get("ca_file", "")
    if settings.url.startswith("http://"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # never used; loading the authorities takes time
    if not authority:
        return httpx.create_ssl_context(trust_env=False)
    why = ""
    try:
        return ssl.create_default_context(cafile=os.fspath(Path(authority)))
    except (OSError, ssl.SSLError) as exc:
        why = exc.strerror or type(exc).__name__
    raise SettingsError(f"{place}.extra.ca_file: cannot use {authority} as a certificate authority: {why}")


def origin(url: str) -> str:
    """Return where a URL leads without its path and query, which may hold a secret."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.hostname}{port}" if parts.hostname else ""


def _client_error(name: str, status: int) -> str:
    if status in (401, 403):
        return f"does not let us in: check the token (pbx.{name}.token_env) and the module's allowed addresses"
    if status in (404, 405, 410):
        return f"has nothing at this address: check pbx.{name}.url against the module's detail page"
    return f"refuses the request: check pbx.{name}.url"


def without_secret(text: str, token: SecretStr | None) -> str:
    """Return the text with the token starred out, in whatever form it may be written."""
    value = token.get_secret_value() if token is not None else ""
    if len(value) < SHORTEST_SECRET:
        return text  # the letters of so short a word are everywhere
    for form in {value, quote(value, safe=""), quote(value), html.escape(value)}:
        text = text.replace(form, "***")
    return text
