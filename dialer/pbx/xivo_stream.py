"""What all agents' phones tell, as one stream: a connection in each agent's name, because Xuc tells a user of the
user's own phone only.

An agent whom XiVO does not let in is left out and tried again now and then; one lost connection ends the whole stream,
which is then opened and settled anew.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import WebSocketException

from dialer.errors import PbxError, PbxRefused
from dialer.pbx.base import StreamEnded
from dialer.pbx.xivo_frames import PING, NotXuc, calls_of, command, parsed
from dialer.pbx.xivo_wire import Wire

log = logging.getLogger(__name__)

BEAT = 5.0
MISSED = 3  # heartbeats without hearing anything, after which the maker's own client gives a connection up
AT_ONCE = 8  # connections that are being opened
_NEWS = ('"PhoneEvent"', '"Error"', '"AgentError"')  # the rest is queues, statistics, and answers to the heartbeat
AGAIN = 60.0  # seconds until a refused agent is tried again: a wrong password often tried locks an account


class XucStream:
    """Connections of all agents, read as one."""

    def __init__(self, wire: Wire, logins: Mapping[str, str], *, beat: float = BEAT) -> None:
        self._wire = wire
        self._logins = logins
        self._beat = beat
        self._messages: asyncio.Queue[str | StreamEnded] = asyncio.Queue()
        self._open: dict[str, ClientConnection] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._asked: dict[str, asyncio.Future[list[Mapping[str, Any]] | None]] = {}
        self._missed: dict[str, int] = {}  # heartbeats since anything was heard
        self._refused_at = 0.0
        self.loop = asyncio.get_running_loop()

    @property
    def missing(self) -> list[str]:
        """Agents whose phones we do not hear."""
        return [agent for agent in self._logins if agent not in self._open]

    async def start(self) -> None:
        """Open every connection; PbxUnavailable when one cannot be had, PbxRefused when no agent is let in."""
        refused = await self._open_all(self.missing)
        if not self._open:
            await self.close()
            raise next(iter(refused.values()), PbxRefused(self._wire.name, "the settings list no agents"))

    async def receive(self) -> str:
        message = await self._messages.get()
        if isinstance(message, StreamEnded):
            raise message
        return message

    def end(self, why: str) -> None:
        """Have the stream opened and settled anew; from any thread."""
        self.loop.call_soon_threadsafe(self._messages.put_nowait, StreamEnded(why))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(one.close() for one in self._open.values()), return_exceptions=True)

    async def current_calls(self, within: float) -> dict[str, list[Mapping[str, Any]] | None]:
        """Ask every agent's connection for its calls; None of an agent who told none in time."""
        self._asked = {agent: self.loop.create_future() for agent in self._open}
        for connection in list(self._open.values()):
            with contextlib.suppress(WebSocketException, OSError):
                await connection.send(command("getCurrentCallsPhoneEvents"))
        if self._asked:
            await asyncio.wait(self._asked.values(), timeout=within)
        found = {agent: (one.result() if one.done() else None) for agent, one in self._asked.items()}
        return found | dict.fromkeys(self.missing)

    async def open_missing(self) -> None:
        """Try those again who were not let in, if it is time."""
        if self.missing and time.monotonic() - self._refused_at >= AGAIN:
            with contextlib.suppress(PbxError):
                await self._open_all(self.missing)

    async def _open_all(self, agents: list[str]) -> dict[str, PbxRefused]:
        gate = asyncio.Semaphore(AT_ONCE)
        refused: dict[str, PbxRefused] = {}

        async def one(agent: str) -> None:
            async with gate:
                try:
                    connection = await self._wire.listen(self._logins[agent])
                except PbxRefused as exc:
                    refused[agent] = exc
                    return
            self._open[agent] = connection
            self._missed[agent] = 0
            self._tasks += [
                asyncio.create_task(self._read(agent, connection), name=f"read agent {agent}"),
                asyncio.create_task(self._keep_up(agent, connection), name=f"beat agent {agent}"),
            ]

        results = await asyncio.gather(*(one(agent) for agent in agents), return_exceptions=True)
        failed = next((result for result in results if isinstance(result, BaseException)), None)
        if failed is not None:
            await self.close()
            raise failed
        if refused:
            self._refused_at = time.monotonic()
            for agent, exc in refused.items():
                log.error("the phone of agent %s is not heard: %s", agent, exc)
        return refused

    async def _read(self, agent: str, connection: ClientConnection) -> None:
        why = "it ended"
        try:
            while True:
                text = await connection.recv()
                self._missed[agent] = 0
                message = text if isinstance(text, str) else text.decode("utf-8", "replace")
                if not self._answers(agent, message):
                    self._messages.put_nowait(f"{agent} {message}")
        except (WebSocketException, OSError) as exc:
            code = getattr(getattr(exc, "rcvd", None), "code", None)
            why = f"{type(exc).__name__}, code {code or 1006}"
        self._messages.put_nowait(StreamEnded(f"the connection of agent {agent}: {why}"))

    def _answers(self, agent: str, message: str) -> bool:
        """Whether this is the answer to `current_calls`, or one nobody has to look at."""
        if '"CurrentCallsPhoneEvents"' not in message:
            return not any(word in message for word in _NEWS)
        asked = self._asked.get(agent)
        calls: list[Mapping[str, Any]] | None = None
        with contextlib.suppress(NotXuc):
            calls = calls_of(parsed(message).message)
        if asked is not None and not asked.done():
            asked.set_result(calls)
        return True

    async def _keep_up(self, agent: str, connection: ClientConnection) -> None:
        """Send the heartbeat; a connection on which nothing comes any more is over."""
        while True:
            await asyncio.sleep(self._beat)
            if self._missed[agent] >= MISSED:
                self._messages.put_nowait(StreamEnded(f"the connection of agent {agent}: no heartbeat is answered"))
                return
            with contextlib.suppress(WebSocketException, OSError):
                await connection.send(PING)
            self._missed[agent] += 1
