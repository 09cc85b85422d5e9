"""What the listener makes of Xuc's messages: which are worth keeping, and what there is after a lost connection."""

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from dialer.pbx.base import EventStream, Settled, Told
from dialer.pbx.foreign import inert
from dialer.pbx.xivo_events import XivoEvents, call_id_of, comes_in, logged
from dialer.pbx.xivo_frames import NotXuc, parsed, text_of
from dialer.pbx.xivo_stream import XucStream
from dialer.pbx.xivo_wire import Wire

log = logging.getLogger(__name__)

REMEMBERED = 5000


class House:
    """Keeps what one listener knows of one Xuc. Only the listener uses it."""

    def __init__(
        self,
        wire: Wire,
        events: XivoEvents,
        logins: Mapping[str, str],
        timeout: float,
        *,
        starts_unmarked: bool = False,
    ) -> None:
        """`starts_unmarked`: XiVO starts calls for us to which nothing of ours is attached."""
        self._wire = wire
        self._events = events
        self._logins = logins
        self._timeout = timeout
        self._unmarked = starts_unmarked
        self._unsettled = False  # a call that nobody names kept others from being taken for gone
        self._stream: XucStream | None = None
        self._ours: OrderedDict[str, str] = OrderedDict()  # our id of a call -> our reference

    async def open_stream(self) -> EventStream:
        stream = XucStream(self._wire, self._logins)
        await stream.start()
        self._stream = stream
        return stream

    def told(self, message: str) -> Told:
        """Say what to log: phone events of our calls, and those that can be nobody else's."""
        agent, _, text = message.partition(" ")
        try:
            frame = parsed(text)
        except NotXuc as exc:
            log.warning("agent %s: a message of Xuc cannot be read: %s", inert(agent, 20), exc)
            return Told()
        if frame.kind in ("Error", "AgentError"):
            self._warn(agent, frame.message)
            return Told()
        if frame.kind != "PhoneEvent" or not isinstance(frame.message, dict):
            return Told()
        ref = self._ref(agent, frame.message)
        if ref is None and not self._may_be_ours(frame.message):
            return Told()
        return Told(logged(agent, text), ref=ref)

    def _ref(self, agent: str, event: Mapping[str, Any]) -> str | None:
        """Our reference: from the event, or from an earlier one of the same call."""
        call_id, ref = call_id_of(event, agent), self._events.reference(event)
        if call_id is None:
            return ref
        if ref is None:
            return self._ours.get(call_id)
        self._ours[call_id] = ref
        while len(self._ours) > REMEMBERED:
            self._ours.popitem(last=False)
        return ref

    def _may_be_ours(self, event: Mapping[str, Any]) -> bool:
        """Whether an event without our reference could still be of our call.

        Nothing at all is attached to it; or, where XiVO starts callbacks for us, nothing but its own keys.
        """
        if comes_in(event):
            return False
        attached = event.get("userData")
        if self._unmarked and isinstance(attached, dict):
            return not any(str(key).upper().startswith("USR_") for key in attached)
        return not attached

    def _warn(self, agent: str, message: Any) -> None:
        told = message if isinstance(message, dict) else {}
        code = text_of(told.get("Error")) or text_of(told.get("error")) or "no code"
        if code == "LoggedInOnAnotherPhone":
            log.warning(
                "agent %s is logged in on phone %s, and wanted %s: nothing is forced",
                inert(agent, 20),
                inert(text_of(told.get("phoneNb")), 20),
                inert(text_of(told.get("RequestedNb")), 20),
            )
        else:
            log.warning("agent %s: Xuc reports %s", inert(agent, 20), self._wire.shown(code, 60))

    # after a lost connection --------------------------------------------------------------------------

    def settle(self) -> Settled:
        """Ask every agent's phone for its calls. What is told of them is logged like any event."""
        stream, self._unsettled = self._stream, False
        if stream is None:
            return Settled(unsure=True)
        asked = asyncio.run_coroutine_threadsafe(stream.current_calls(self._timeout), stream.loop)
        waiting, present, unsure = [], set(), False
        for agent, calls in asked.result(self._timeout + 5).items():
            if calls is None:
                log.warning("agent %s: Xuc does not tell which calls there are", inert(agent, 20))
                unsure = True
                continue
            for event in calls:
                ref = self._ref(agent, event)
                if ref is None:
                    unsure = unsure or not comes_in(event)  # perhaps ours, and nobody says so
                    if self._unmarked and self._may_be_ours(event):
                        self._unsettled = True
                        waiting.append(Told(logged(agent, _as_frame(event))))
                    continue
                present.add(ref)
                waiting.append(Told(logged(agent, _as_frame(event)), ref=ref))
        return Settled(tuple(waiting), frozenset(present), unsure=unsure)

    def look_around(self) -> Settled:
        """Try those agents again who were not let in, and settle anew what a call without a name left in doubt."""
        if self._unsettled and self._stream is not None and self._nobody_calls(self._stream):
            self._unsettled = False
            self._stream.end("what could not be settled is looked at anew, as no phone is on a call now")
        if self._stream is not None and self._stream.missing:
            again = asyncio.run_coroutine_threadsafe(self._stream.open_missing(), self._stream.loop)
            again.result(self._timeout * 2 + 5)
        return Settled(unsure=True)

    def _nobody_calls(self, stream: XucStream) -> bool:
        asked = asyncio.run_coroutine_threadsafe(stream.current_calls(self._timeout), stream.loop)
        return all(calls == [] for calls in asked.result(self._timeout + 5).values())


def _as_frame(event: Mapping[str, Any]) -> str:
    return json.dumps({"msgType": "PhoneEvent", "ctiMessage": dict(event)})
