"""The websocket on which Asterisk tells its events: opened by us, to the address the settings name and no other."""

import asyncio
import logging

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from dialer.errors import PbxError, PbxRefused, PbxUnavailable
from dialer.pbx.asterisk_wire import AriWire
from dialer.pbx.base import EventStream, StreamEnded
from dialer.settings import PbxSettings

MAX_MESSAGE = 1024 * 1024
PING_EVERY = 5.0
# At debug level the library writes the header with the password.
_quiet = logging.getLogger("dialer.pbx.asterisk_stream.websockets")
_quiet.setLevel(logging.WARNING)


class _Stream:
    """One open websocket."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def receive(self) -> str:
        why = ""
        try:
            message = await self._connection.recv()
            return message if isinstance(message, str) else message.decode("utf-8", "replace")
        except (WebSocketException, OSError) as exc:
            code = getattr(getattr(exc, "rcvd", None), "code", None)
            why = f"{type(exc).__name__}, code {code or 1006}"
        raise StreamEnded(why)

    async def close(self) -> None:
        await self._connection.close()


async def open_stream(name: str, wire: AriWire, settings: PbxSettings) -> EventStream:
    """Connect our application's events; PbxUnavailable or PbxRefused when that fails.

    A connection that was open for the same application is told that it was replaced.
    """
    trouble: PbxError
    try:
        async with asyncio.timeout(settings.timeout):
            connected = await asyncio.to_thread(wire.open_socket, settings.timeout)
            connection = await connect(
                wire.stream_url({"app": settings.app}),
                sock=connected,
                ssl=wire.tls,
                server_hostname=wire.host if wire.tls is not None else None,
                additional_headers={"Authorization": wire.authorization()},
                proxy=None,
                compression=None,
                max_size=MAX_MESSAGE,
                max_queue=None,  # whoever reads slowly loses the connection: the listener only queues
                ping_interval=PING_EVERY,
                ping_timeout=PING_EVERY,
                open_timeout=settings.timeout,
                close_timeout=2.0,
                user_agent_header="dialer",
                logger=_quiet,
            )
            return _Stream(connection)
    except InvalidStatus as exc:
        status = exc.response.status_code
        remedy = f"check pbx.{name}.user, its password, and that pbx.{name}.url ends where ARI begins (.../ari)"
        trouble = PbxRefused(name, f"its events cannot be had (HTTP {status}); {remedy}")
    except PbxError as exc:
        trouble = exc
    except (WebSocketException, OSError, TimeoutError) as exc:
        trouble = PbxUnavailable(name, f"its events cannot be had ({wire.shown(str(exc), 120) or type(exc).__name__})")
    trouble.__context__ = None
    raise trouble
