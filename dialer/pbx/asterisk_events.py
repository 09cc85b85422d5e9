"""What Asterisk tells on its websocket, in our words. Pure: an event is read by itself, whatever came before it.

Our reference is the channel's id, so every event of a channel names its call. An agent's conversations take place in
a bridge of the agent's own, named after their channel: who enters it meets that agent.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from dialer.errors import EventTrouble
from dialer.pbx.asterisk_causes import ended_unanswered, refused_by_far_end
from dialer.pbx.base import CallEvent, CallOutcome, EventKeys, Heard, Payload, Role, WaitingLeg
from dialer.pbx.foreign import foreign_id, inert

MAX_EVENT = 64 * 1024
GONE, FOUND = "DialerGone", "DialerFound"  # events of our own making: see `made`
WAITS = ("StasisStart", FOUND)  # of a customer: who answered, and hears nothing until somebody comes
MESSAGE, MACHINE = "dialer-message", "dialer-machine"  # what the dialplan says by UserEvent
_AGENT = re.compile(r"[A-Za-z0-9._:]{1,60}-a[0-9]{1,20}")
_CUSTOMER = re.compile(r"[A-Za-z0-9._:]{1,60}-c[0-9]{1,20}")
_TALK = "-talk"

Event = Mapping[str, Any]


def is_agent(channel_id: str) -> bool:
    """Whether a channel is an agent's leg of ours."""
    return _AGENT.fullmatch(channel_id) is not None


def is_customer(channel_id: str) -> bool:
    """Whether a channel is a customer whom we called."""
    return _CUSTOMER.fullmatch(channel_id) is not None


def talk_bridge(agent_channel: str) -> str:
    """The bridge in which this agent talks. A bridge named as the channel itself would send us no events."""
    return agent_channel + _TALK


def agent_of(bridge_id: str) -> str | None:
    """The agent's channel whose talk bridge this is; None when it is another kind of bridge."""
    agent = bridge_id.removesuffix(_TALK)
    return agent if agent != bridge_id and is_agent(agent) else None


def made(kind: str, ref: str) -> Payload:
    """An event of our own making, about something seen when nobody told us of it."""
    body = json.dumps({"type": kind, "channel": {"id": ref}}).encode()
    return Payload("LOOK", "", body, "application/json")


def parsed(body: bytes) -> Event:
    """Return an event's fields; empty when it is none."""
    if not body or len(body) > MAX_EVENT:
        return {}
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) and isinstance(event.get("type"), str) else {}


def channel_of(event: Event) -> Event:
    """The channel an event is about; in `Dial` it is the peer."""
    for name in ("channel", "peer"):
        channel = event.get(name)
        if isinstance(channel, dict) and isinstance(channel.get("id"), str):
            return channel
    return {}


def met(event: Event) -> tuple[str, str] | None:
    """(customer, agent) if the event says that they are in the agent's bridge together."""
    bridge = event.get("bridge")
    if event.get("type") != "ChannelEnteredBridge" or not isinstance(bridge, dict):
        return None
    agent, members = agent_of(str(bridge.get("id", ""))), bridge.get("channels")
    if agent is None or not isinstance(members, list) or agent not in members:
        return None
    customers = [one for one in members if isinstance(one, str) and is_customer(one)]
    # Two customers with one agent is what never may be: the listener takes out whoever came second.
    return (customers[0], agent) if len(customers) == 1 else None


def one_too_many(event: Event) -> str | None:
    """The customer who has just entered a bridge in which an agent talks with another."""
    bridge, channel_id = event.get("bridge"), channel_of(event).get("id")
    if event.get("type") != "ChannelEnteredBridge" or not isinstance(bridge, dict) or not isinstance(channel_id, str):
        return None
    if agent_of(str(bridge.get("id", ""))) is None or not is_customer(channel_id):
        return None
    members = bridge.get("channels")
    others = [one for one in members if isinstance(one, str) and is_customer(one)] if isinstance(members, list) else []
    return channel_id if len(others) > 1 else None


class AsteriskEvents:
    """Reads events; `waits_on_answer`: something stands between an answer and us, so the answer is news by itself."""

    def __init__(self, *, waits_on_answer: bool = False) -> None:
        self._patient_answer = not waits_on_answer

    def keys(self, payload: Payload) -> EventKeys:
        """Find the call in an event; whatever came, an answer and no error."""
        event = parsed(payload.body)
        pair = met(event)
        ref = pair[0] if pair else foreign_id(channel_of(event).get("id"))
        if not ref:
            return EventKeys()
        waits = event.get("type") in WAITS and is_customer(ref)
        return EventKeys(ref=ref, can_wait=self._can_wait(event), joinable=WaitingLeg(ref, ref) if waits else None)

    def read(self, payload: Payload) -> CallEvent:
        """Understand an event; EventTrouble says what is wrong with it."""
        event = parsed(payload.body)
        if not event:
            raise EventTrouble("this is no event of Asterisk's: not JSON with a type, or longer than 64 KiB")
        channel = channel_of(event)
        channel_id = foreign_id(channel.get("id"))
        kind = str(event["type"])
        name = inert(kind, 40) or "nameless"
        if channel_id is None or not (is_agent(channel_id) or is_customer(channel_id)):
            return CallEvent(Heard.OTHER, name)
        told = self._told(kind, event, channel, channel_id)
        heard, role, more = told
        if heard is Heard.BRIDGED:
            return CallEvent(heard, name, role=role, **more)
        return CallEvent(
            heard,
            name,
            ref=channel_id,
            call_id=channel_id,
            role=role,
            leg_id=channel_id,
            vendor_time=inert(str(event.get("timestamp", "")), 40) or None,
            **more,
        )

    def _told(self, kind: str, event: Event, channel: Event, channel_id: str) -> tuple[Heard, Role, dict[str, Any]]:
        own = Role.AGENT if is_agent(channel_id) else Role.CUSTOMER
        cause, status = _number(event.get("cause")), _number(event.get("tech_cause"))
        up = channel.get("state") == "Up"
        match kind:
            case "Dial" if event.get("dialstatus") == "":
                return Heard.CALLING, own, {}
            case "Dial" if event.get("dialstatus") in ("RINGING", "PROGRESS"):
                return Heard.RINGING, own, {}
            case "ChannelStateChange" if up:
                return Heard.ANSWERED, own, {"outcome": CallOutcome.OK}
            case kind if kind in WAITS and own is Role.CUSTOMER:
                return Heard.ANSWERED, Role.RECEPTION, {}
            case "DialerFound":
                return Heard.ANSWERED, own, {}
            case "ChannelEnteredBridge":
                return _entered(event, own)
            case "ChannelUserevent" if event.get("eventname") == MESSAGE:
                return Heard.ANSWERED, Role.MESSAGE, {}
            case "ChannelUserevent" if event.get("eventname") == MACHINE:
                return Heard.NOT_REACHED, own, {"outcome": CallOutcome.MACHINE, "note": "an answering machine"}
            case "ChannelHangupRequest" if not event.get("soft"):
                if up:
                    return Heard.LEFT, own, {}
                outcome, unrung = refused_by_far_end(cause, status)
                return Heard.NOT_REACHED, own, _ending(outcome, unrung, channel, cause, status)
            case "ChannelDestroyed":
                if up:
                    return Heard.ENDED, own, {"outcome": CallOutcome.OK}
                outcome, unrung = ended_unanswered(cause, status)
                return Heard.ENDED, own, _ending(outcome, unrung, channel, cause, status)
            case "DialerGone":
                return Heard.ENDED, own, {"outcome": CallOutcome.UNKNOWN, "note": "gone while nobody told us"}
        return Heard.OTHER, own, {}

    def _can_wait(self, event: Event) -> bool:
        match event.get("type"):
            case "Dial":
                return True
            case "ChannelHangupRequest":
                return True  # ChannelDestroyed follows at once
            case "ChannelStateChange":
                # StasisStart follows at once, unless something listens for a machine first.
                return self._patient_answer or is_agent(str(channel_of(event).get("id", "")))
        return False


def _entered(event: Event, own: Role) -> tuple[Heard, Role, dict[str, Any]]:
    pair = met(event)
    if pair is not None:
        customer, agent = pair
        return Heard.BRIDGED, Role.AGENT, {"ref": customer, "call_id": customer, "other_call_id": agent}
    # Alone in any bridge, an agent waits; a customer is there with nobody, which no state of ours is.
    return (Heard.ANSWERED, Role.WAITING, {}) if own is Role.AGENT else (Heard.OTHER, own, {})


def _ending(
    outcome: CallOutcome, unrung: CallOutcome | None, channel: Event, cause: int | None, status: int | None
) -> dict[str, Any]:
    rang = channel.get("state") == "Ringing"
    note = f"cause {cause}, SIP {status}" if status is not None else f"cause {cause}"
    return {"outcome": outcome, "unrung": None if rang else unrung, "note": note}


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
