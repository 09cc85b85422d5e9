"""What Xuc says of an agent's phone, in our words.

A call's id is XiVO's `linkedId` and the agent's number, `1770091506.11@1015`: transfers change other ids, and to end a
call is a command on its agent's own connection.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from dialer.errors import EventTrouble
from dialer.pbx.base import CallEvent, CallOutcome, EventKeys, Heard, Payload, Role
from dialer.pbx.dialled import as_e164
from dialer.pbx.foreign import foreign_id, inert, is_reference
from dialer.pbx.xivo_frames import Frame, NotXuc, parsed, text_of
from dialer.pbx.xivo_options import XivoOptions
from dialer.settings import PbxSettings

GONE = "DialerGone"  # of our own making: a call is not among those that XiVO shows after a lost connection
MAX_BODY = 64 * 1024


def logged(agent: str, frame: str) -> Payload:
    """A frame as it is kept: with the agent on whose connection it came."""
    return Payload("WS", f"agent={agent}", frame.encode("utf-8", "replace"), "application/json")


def gone(ref: str) -> Payload:
    """The event of a call that is not there any more."""
    body = json.dumps({"msgType": GONE, "ctiMessage": {"ref": ref}})
    return Payload("WS", "", body.encode(), "application/json")


def call_id_of(event: Mapping[str, Any], agent: str) -> str | None:
    """How we name the call of a phone event."""
    linked = foreign_id(text_of(event.get("linkedId")) or text_of(event.get("uniqueId")))
    return foreign_id(f"{linked}@{agent}" if agent else linked) if linked and "@" not in linked else None


def split(call_id: str) -> tuple[str, str] | None:
    """The linkedId and the agent of one of our ids; None when it is none."""
    linked, _, agent = call_id.partition("@")
    good = foreign_id(call_id) is not None and bool(linked) and agent.isascii() and agent.isdecimal()
    return (linked, agent) if good else None


class XivoEvents:
    """Reads events under the settings of one PBX."""

    def __init__(self, settings: PbxSettings, options: XivoOptions) -> None:
        self._settings = settings
        self._options = options
        self._key = f"usr_{options.variable}".lower()

    def reference(self, event: Mapping[str, Any]) -> str | None:
        """Our reference in what is attached to a call, whatever letters it comes back in."""
        attached = event.get("userData")
        if not isinstance(attached, dict):
            return None
        found = next((text_of(value) for key, value in attached.items() if str(key).lower() == self._key), "")
        return found if is_reference(found) else None

    def keys(self, payload: Payload) -> EventKeys:
        """Which call to look at. A phone that rings can wait: nothing hangs on it."""
        try:
            frame, agent = _opened(payload)
        except EventTrouble:
            return EventKeys()
        if frame.kind == GONE:
            return EventKeys(ref=_gone_ref(frame))
        event = frame.message if isinstance(frame.message, dict) else {}
        waits = text_of(event.get("eventType")) in ("EventDialing", "EventRinging")
        return EventKeys(ref=self.reference(event), call_id=call_id_of(event, agent), can_wait=waits)

    def read(self, payload: Payload) -> CallEvent:
        frame, agent = _opened(payload)
        if frame.kind == GONE:
            # Whether they talked is what earlier events say; of the doubt the customer keeps the benefit.
            return CallEvent(Heard.ENDED, GONE, ref=_gone_ref(frame), role=Role.CUSTOMER, outcome=CallOutcome.NO_ANSWER)
        event = frame.message
        if frame.kind != "PhoneEvent" or not isinstance(event, dict):
            raise EventTrouble(f"not a phone event: {inert(frame.kind, 40)!r}")
        ref, call_id = self.reference(event), call_id_of(event, agent)
        if ref is None and call_id is None:
            raise EventTrouble("a phone event that names no call")
        name = inert(text_of(event.get("eventType")), 40) or "no name"
        heard, role, outcome = self._said(name, event, ours=ref is not None)
        return CallEvent(
            heard=heard,
            name=name,
            ref=ref,
            call_id=call_id,
            role=role,
            outcome=outcome,
            number=as_e164(self._settings, text_of(event.get("otherDN"))),
            user_id=agent or None,
        )

    def _said(self, name: str, event: Mapping[str, Any], *, ours: bool) -> tuple[Heard, Role, CallOutcome | None]:
        if not ours and comes_in(event):
            ends = name in ("EventReleased", "EventFailure")
            return (Heard.ENDED if ends else Heard.ARRIVED), Role.OTHER, None
        match name:
            case "EventDialing":
                if self._options.dialing_means == "customer":
                    return Heard.RINGING, Role.CUSTOMER, None
                return Heard.CALLING, Role.AGENT, None
            case "EventRinging":
                return Heard.RINGING, Role.AGENT, None
            case "EventEstablished":
                # Some phones tell that the agent took the call: then there is no other party yet.
                other = text_of(event.get("otherDN"))
                alone = not other or other == text_of(event.get("DN"))
                return Heard.ANSWERED, Role.AGENT if alone else Role.CUSTOMER, None
            case "EventReleased":
                # It gives no cause. Where `EventDialing` is known to be the customer's phone, its absence tells that
                # the agent's was not taken; else the doubt goes to the customer, and counts.
                known = self._options.dialing_means == "customer"
                return Heard.ENDED, Role.CUSTOMER, CallOutcome.UNKNOWN if known else CallOutcome.NO_ANSWER
            case "EventFailure":
                return Heard.COMMAND_FAILED, Role.OTHER, None
            case "EventOnHold":
                return Heard.HELD, Role.OTHER, None
        return Heard.OTHER, Role.OTHER, None  # of a later release: the call goes on


def comes_in(event: Mapping[str, Any]) -> bool:
    """Whether somebody calls the agent. Only a phone that is called rings; later releases also say it."""
    direction = text_of(event.get("callDirection")).lower()
    return direction == "incoming" if direction else event.get("eventType") == "EventRinging"


def _opened(payload: Payload) -> tuple[Frame, str]:
    trouble = ""
    try:
        if len(payload.body) > MAX_BODY:
            raise NotXuc("too long for an event")
        frame = parsed(payload.body.decode("utf-8", "replace"))
    except NotXuc as exc:
        trouble = str(exc)
    if trouble:
        raise EventTrouble(f"no message of Xuc: {trouble}")
    agent = parse_qs(payload.query[:200]).get("agent", [""])[0]
    return frame, agent if agent.isascii() and agent.isdecimal() and len(agent) <= 15 else ""


def _gone_ref(frame: Frame) -> str | None:
    ref = text_of(frame.of("ref"))
    return ref if is_reference(ref) else None
