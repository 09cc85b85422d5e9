"""The listener process: holds the connections on which PBXs tell their events, and logs them as the receiver would.

One listener leads each such PBX by a lease; the others stand by. How is in `workers.listening`.
"""

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
from collections.abc import Sequence

import structlog

from campaigns import garbage, leases
from campaigns.application import Application
from campaigns.event_log import EventLog, connection_string
from campaigns.rehearsal import rehearse
from campaigns.web.ringing import Ringer
from dialer.pbx_kinds import streams
from dialer.settings import Settings
from workers.beat import Beat
from workers.joining import Joins
from workers.listening import PbxListener
from workers.wiring import wire

log = structlog.get_logger(__name__)

# Seconds. A thread that has its answer from the database or the PBX is let in after so long, not after Python's 5 ms:
# a join passes from thread to thread several times while other events are being read.
SWITCH = 0.0005
# An answered customer waits for this process, and for no other: where the system lets it, it goes first.
NICENESS = -10


class _Unobserved:
    """The log's figures are told by the beat; its own observer has nothing to add."""

    def batch(self, events: int, seconds: float) -> None:
        """Written."""

    def failure(self) -> None:
        """Tried again by the log itself."""


async def listen(
    application: Application, names: Sequence[str], stop: asyncio.Event, holder: str | None = None
) -> None:
    """Listen to these PBXs until told to stop."""
    holder = holder or f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
    ringer = Ringer(application.doorbell, lost=lambda _: None)
    joins = Joins(application, ringer.look)
    address, unobserved = connection_string(application.engine), _Unobserved()
    event_log = EventLog(address, on_kept=ringer.look, observer=unobserved)
    answers = EventLog(address, on_kept=ringer.look, observer=unobserved, at_once=joins)
    listeners = [PbxListener(application, name, event_log, holder, answers=answers) for name in names]
    beat = Beat(
        application,
        "listener",
        lambda: {one.name: one.figures.as_json() for one in listeners},
    )
    ringer.start()
    await event_log.start()
    await answers.start()
    beat.start()
    try:
        await asyncio.gather(*(one.run(stop) for one in listeners))
    finally:
        await asyncio.gather(event_log.stop(), answers.stop())
        with contextlib.suppress(Exception):  # another may listen while our last joins are sent to a slow PBX
            await asyncio.to_thread(_release, application, holder)
        await asyncio.to_thread(joins.stop)
        ringer.stop()
        await asyncio.to_thread(beat.stop)


def _release(application: Application, holder: str) -> None:
    with application.transaction() as session:
        leases.release(session, holder)


def _come_first() -> None:
    """Before the first thread: threads take their maker's niceness. Who gave us another place is not overruled."""
    if os.getpriority(os.PRIO_PROCESS, 0):
        return
    with contextlib.suppress(OSError):  # most accounts may not
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)


def run_listener(settings: Settings) -> int:
    """Listen until SIGTERM or SIGINT; nothing to listen to is said, and is no fault."""
    names = [name for name, pbx in settings.pbx.items() if streams(pbx.kind)]
    with wire(settings, process="listener") as wired:
        if names:
            rehearse(wired.application)
        garbage.settle()
        sys.setswitchinterval(SWITCH)
        _come_first()
        if not names:
            log.warning("no PBX in the settings tells its events by websocket: nothing to listen to")

        async def main() -> None:
            stop = asyncio.Event()
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stop.set)
            if not names:
                await stop.wait()
                return
            log.info("listener ready", pbxes=names)
            await listen(wired.application, names, stop)

        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
    return 0
