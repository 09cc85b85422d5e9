"""A websocket to Xuc in one user's name: opened to the address of the settings and no other, with its token.

The token travels in the address. Every exception of the library holds that address, so our errors are raised when its
frames are gone, and its own log is silenced.
"""

import asyncio
import logging
import socket
import time
from urllib.parse import quote, urlsplit

from websockets.asyncio import client as asynchronous
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync import client as synchronous

from dialer.errors import PbxError, PbxRefused, PbxUnavailable
from dialer.pbx.foreign import inert
from dialer.pbx.http import endpoint_of, tls_context
from dialer.pbx.sockets import objection
from dialer.pbx.xivo_accounts import Accounts, Token
from dialer.pbx.xivo_frames import MAX_FRAME, NotXuc
from dialer.pbx.xivo_session import NotLetIn, Session, Silent, frame_of, logged_on
from dialer.settings import PbxSettings

_quiet = logging.getLogger("dialer.pbx.xivo_wire.websockets")
_quiet.setLevel(logging.CRITICAL)


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

    def open(self, login: str, *, longest: int = MAX_FRAME) -> Session:
        """Connect as this user and wait until Xuc says that we are logged on. `longest`: of a frame, in bytes.

        PbxRefused when the user is not let in, PbxUnavailable else: nothing was asked of it yet.
        """
        token = self.accounts.token(login)
        why = ""
        try:
            return self._open(login, token, longest)
        except NotLetIn as exc:
            why = exc.why
        self.accounts.forget(login, token)
        if not token.fresh:  # it may have ended before its time: once more, with a new one
            token = self.accounts.token(login)
            try:
                return self._open(login, token, longest)
            except NotLetIn as exc:
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

    def _open(self, login: str, token: Token, longest: int) -> Session:
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
                max_size=longest,
                ping_interval=None,
                open_timeout=max(0.001, until - time.monotonic()),
                close_timeout=0.5,
                user_agent_header="dialer",
                logger=_quiet,
            )
            session = Session(self.name, opening.__enter__(), self.shown)  # left by `Session.close`
            session.wait(until, logged_on)
            return session
        except NotLetIn as exc:
            trouble = exc
        except InvalidStatus as exc:
            trouble = NotLetIn(f"HTTP {exc.response.status_code}")
            if exc.response.status_code >= 500:
                trouble = self.unavailable(exc)
        except (Silent, NotXuc) as exc:
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
                except NotLetIn as exc:
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
                while logged_on(frame_of(await connection.recv())) is None:
                    pass
            return connection
        except NotLetIn as exc:
            trouble = exc
        except InvalidStatus as exc:
            told = exc.response.status_code
            trouble = self.unavailable(exc) if told >= 500 else NotLetIn(f"HTTP {told}")
        except (WebSocketException, OSError, TimeoutError, EOFError, NotXuc) as exc:
            trouble = self.unavailable(exc)
        if connection is not None:
            await connection.close()
        trouble.__context__ = None
        raise trouble
