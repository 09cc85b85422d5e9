"""A websocket to Xuc in one user's name: opened to the address of the settings and no other, with its token.

The token travels in the address. Every exception of the library holds that address, so our errors are raised when its
frames are gone, and its own log is silenced.
"""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

from websockets.asyncio import client as asynchronous
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync import client as synchronous

from dialer.errors import OutcomeUnknown, PbxError, PbxNonsense, PbxRefused, PbxUnavailable
from dialer.pbx.foreign import inert
from dialer.pbx.http import endpoint_of, tls_context
from dialer.pbx.sockets import objection
from dialer.pbx.xivo_accounts import Accounts, Token
from dialer.pbx.xivo_frames import MAX_FRAME, Frame, NotXuc, command, parsed, text_of
from dialer.settings import PbxSettings

_quiet = logging.getLogger("dialer.pbx.xivo_wire.websockets")
_quiet.setLevel(logging.CRITICAL)

Look = Callable[[], None]


class Wire:
    """How to reach one Xuc."""

    def __init__(self, name: str, settings: PbxSettings, accounts: Accounts, path: str) -> None:
        self.name = name
        self.accounts = accounts
        self._timeout = settings.timeout
        url, _ = endpoint_of(name, settings)
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._tls = tls_context(name, settings) if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls else 80)
        self._loopback_only = self._tls is None and not settings.allow_http
        at = f"[{self._host}]" if ":" in self._host else self._host
        self._base = f"{'wss' if self._tls else 'ws'}://{at}:{self._port}{path}"

    def _address(self, token: Token) -> str:
        return f"{self._base}?token={quote(token.value.get_secret_value(), safe='')}"

    def _connected(self, until: float) -> socket.socket:
        raw = socket.create_connection((self._host, self._port), max(0.001, until - time.monotonic()))
        try:
            why = objection(str(raw.getpeername()[0]), loopback_only=self._loopback_only)
            if why:
                raise OSError(why)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return raw
        except BaseException:
            raw.close()
            raise

    # for one command ----------------------------------------------------------------------------------

    def open(self, login: str) -> "Session":
        """Connect as this user and wait until Xuc says that we are logged on.

        PbxRefused when the user is not let in, PbxUnavailable else: nothing was asked of it yet.
        """
        return self._with_token(login, self._open)

    def _with_token(self, login: str, connect: Callable[[str, Token], "Session"]) -> "Session":
        token = self.accounts.token(login)
        why = ""
        try:
            return connect(login, token)
        except _NotLetIn as exc:
            why = exc.why
        self.accounts.forget(login, token)
        if not token.fresh:  # it may have ended before its time: once more, with a new one
            token = self.accounts.token(login)
            try:
                return connect(login, token)
            except _NotLetIn as exc:
                why = exc.why
            self.accounts.forget(login, token)
        raise self.refused(login, why)

    def refused(self, login: str, why: str) -> PbxRefused:
        return PbxRefused(
            self.name,
            f"XiVO user {inert(login, 30)} is not let in: {self.shown(why, 80)}; check pbx.{self.name}.url, and that "
            "this user can log in to XiVO's own pages",
        )

    def shown(self, text: str, limit: int) -> str:
        """Return text of Xuc as it may be shown: inert, short, and without a password or token of ours."""
        return inert(self.accounts.hidden(text), limit)

    def unavailable(self, exc: BaseException) -> PbxUnavailable:
        said = self.shown(str(exc), 100) if isinstance(exc, OSError) else ""
        return PbxUnavailable(
            self.name,
            f"its websocket cannot be had ({said or type(exc).__name__}); check that Xuc runs and pbx.{self.name}.url",
        )

    def _open(self, login: str, token: Token) -> "Session":
        until = time.monotonic() + self._timeout
        trouble: Exception
        session: Session | None = None
        try:
            opening = synchronous.connect(
                self._address(token),
                sock=self._connected(until),
                ssl=self._tls,
                server_hostname=self._host if self._tls else None,
                proxy=None,
                compression=None,
                max_size=MAX_FRAME,
                ping_interval=None,
                open_timeout=max(0.001, until - time.monotonic()),
                close_timeout=0.5,
                user_agent_header="dialer",
                logger=_quiet,
            )
            session = Session(self, login, opening.__enter__())  # left by `Session.close`
            session.wait(until, _logged_on)
            return session
        except _NotLetIn as exc:
            trouble = exc
        except InvalidStatus as exc:
            trouble = _NotLetIn(f"HTTP {exc.response.status_code}")
            if exc.response.status_code >= 500:
                trouble = self.unavailable(exc)
        except (_Silent, NotXuc) as exc:
            trouble = PbxUnavailable(self.name, f"does not say that {inert(login, 30)} is logged on: {exc}")
        except (WebSocketException, OSError, EOFError) as exc:
            trouble = self.unavailable(exc)
        if session is not None:
            session.close()
        trouble.__context__ = None
        raise trouble

    # for the listener ---------------------------------------------------------------------------------

    async def listen(self, login: str) -> asynchronous.ClientConnection:
        """As `open`, for a connection that stays."""
        trouble: PbxError
        try:
            for last in (False, True):
                token = await asyncio.to_thread(self.accounts.token, login)
                try:
                    return await self._listen(token)
                except _NotLetIn as exc:
                    why = exc.why
                self.accounts.forget(login, token)
                if token.fresh or last:
                    break
            trouble = self.refused(login, why)
        except PbxError as exc:
            trouble = exc
        trouble.__context__ = None
        raise trouble

    async def _listen(self, token: Token) -> asynchronous.ClientConnection:
        until = time.monotonic() + self._timeout
        trouble: Exception
        connection: asynchronous.ClientConnection | None = None
        try:
            async with asyncio.timeout(self._timeout):
                connection = await asynchronous.connect(
                    self._address(token),
                    sock=await asyncio.to_thread(self._connected, until),
                    ssl=self._tls,
                    server_hostname=self._host if self._tls else None,
                    proxy=None,
                    compression=None,
                    max_size=MAX_FRAME,
                    max_queue=None,  # the listener only queues
                    ping_interval=None,  # Xuc has a heartbeat of its own
                    open_timeout=self._timeout,
                    close_timeout=1.0,
                    user_agent_header="dialer",
                    logger=_quiet,
                )
                while _logged_on(_frame(await connection.recv())) is None:
                    pass
            return connection
        except _NotLetIn as exc:
            trouble = exc
        except InvalidStatus as exc:
            told = exc.response.status_code
            trouble = self.unavailable(exc) if told >= 500 else _NotLetIn(f"HTTP {told}")
        except (WebSocketException, OSError, TimeoutError, EOFError, NotXuc) as exc:
            trouble = self.unavailable(exc)
        if connection is not None:
            await connection.close()
        trouble.__context__ = None
        raise trouble


class Session:
    """One short connection: for a command and what becomes of it."""

    def __init__(self, wire: Wire, login: str, connection: synchronous.ClientConnection) -> None:
        self._wire = wire
        self._login = login
        self._connection = connection

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with contextlib.suppress(WebSocketException, OSError, EOFError):  # it was broken already
            self._connection.close()

    def wait(self, until: float, mine: Callable[[Frame], Any]) -> Any:
        """Read until `mine` says something of a frame; _Silent, NotXuc or the library's errors."""
        heard = ""
        while True:
            left = until - time.monotonic()
            if left <= 0:
                raise _Silent(f"nothing of the kind was heard in time{heard}")
            try:
                text = self._connection.recv(timeout=left)
            except TimeoutError:
                continue
            frame = _frame(text)
            found = mine(frame)
            if found is not None:
                return found
            if frame.kind in ("Error", "AgentError"):
                heard = f"; it said {self._wire.shown(text_of(frame.of('Error')) or text_of(frame.of('error')), 60)!r}"

    def ask(self, name: str, mine: Callable[[Frame], Any], within: float) -> Any:
        """Ask for something that rings nobody; PbxUnavailable or PbxNonsense."""
        trouble: PbxError
        try:
            self._connection.send(command(name))
            return self.wait(time.monotonic() + within, mine)
        except NotXuc as exc:
            trouble = PbxNonsense(self._wire.name, f"{name} was answered with {exc}")
        except _Silent as exc:
            trouble = PbxUnavailable(self._wire.name, f"{name}: {exc}")
        except ConnectionClosed as exc:
            trouble = PbxUnavailable(self._wire.name, f"{name}: the connection broke ({_how(exc)})")
            if exc.sent is not None and exc.sent.code == 1009:
                trouble = PbxNonsense(self._wire.name, f"{name} was answered with more than {MAX_FRAME // 1024} KiB")
        except (WebSocketException, OSError, EOFError) as exc:
            trouble = PbxUnavailable(self._wire.name, f"{name}: the connection broke ({type(exc).__name__})")
        trouble.__context__ = None
        raise trouble

    def order(self, frame: str, mine: Callable[[Frame], Any], within: float, look: Look | None) -> Any:
        """Send a command once, and wait for the event that is its only reply; OutcomeUnknown without one.

        `look` is the last act before the frame is written. An `Error` is no refusal: Xuc does not say of what.
        """
        if look is not None:
            look()
        trouble = ""
        try:
            self._connection.send(frame)
            return self.wait(time.monotonic() + within, mine)
        except (NotXuc, _Silent) as exc:
            trouble = str(exc)
        except ConnectionClosed as exc:
            trouble = f"the connection broke ({_how(exc)})"
        except (WebSocketException, OSError, EOFError) as exc:
            trouble = f"the connection broke ({type(exc).__name__})"
        raise OutcomeUnknown(self._wire.name, f"{trouble}: the command may have been carried out")


class _NotLetIn(Exception):
    """Xuc does not take this token."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class _Silent(Exception):
    """What was waited for did not come."""


def _logged_on(frame: Frame) -> bool | None:
    if frame.kind == "LoggedOnError":
        said = text_of(frame.message) or text_of(frame.of("error")) or text_of(frame.of("Error")) or "LoggedOnError"
        raise _NotLetIn(said[:200])
    return True if frame.kind == "LoggedOn" else None


def _frame(text: str | bytes) -> Frame:
    return parsed(text if isinstance(text, str) else text.decode("utf-8", "replace"))


def _how(exc: ConnectionClosed) -> str:
    close = exc.rcvd or exc.sent
    return f"code {close.code if close is not None else 1006}"
