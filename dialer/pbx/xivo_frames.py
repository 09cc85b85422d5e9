"""The frames of Xuc's websocket, read and written; nothing in here asks anybody."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dialer.pbx.base import PbxUser, Presence
from dialer.pbx.foreign import inert

MAX_FRAME = 1024 * 1024
MAX_LISTS = 16 * MAX_FRAME  # callback lists come in one frame, of half a kilobyte a request
PING = '{"claz":"ping"}'

# What is not in here is a state of a later release: an agent in it gets no call.
_PRESENCE = {
    "AgentReady": Presence.AVAILABLE,
    "AgentLogin": Presence.RESERVED,  # logged in, and not ready yet
    "AgentOnPause": Presence.ABSENT,
    "AgentOnWrapup": Presence.RESERVED,  # XiVO's own time after a call
    "AgentRinging": Presence.RINGING,
    "AgentDialing": Presence.BUSY,
    "AgentOnCall": Presence.BUSY,
    "AgentLoggedOut": Presence.UNAVAILABLE,
}


class NotXuc(Exception):
    """A frame that is not of Xuc's language. Its text says why."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message of the server: its type, and what it says."""

    kind: str
    message: Any = field(repr=False)

    def of(self, name: str) -> Any:
        """A field of the message; None when there is none."""
        return self.message.get(name) if isinstance(self.message, dict) else None


def parsed(text: str) -> Frame:
    """Read a frame; NotXuc when it is none."""
    why = ""
    try:
        told = json.loads(text[:MAX_LISTS])
        if isinstance(told, dict) and isinstance(told.get("msgType"), str):
            return Frame(told["msgType"], told.get("ctiMessage"))
        why = "JSON without a msgType"
    except ValueError:
        why = "no JSON"  # and nothing of it is shown: a page may repeat our address, token and all
    except RecursionError:
        why = "JSON too deep to be a message"
    raise NotXuc(why)


def command(name: str, **arguments: Any) -> str:
    """Write a command as the maker's own client does."""
    return json.dumps({"claz": "web", "command": name, **arguments}, separators=(",", ":"))


def entries(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list; nothing for anything else."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def text_of(value: Any) -> str:
    """A scalar as text; empty for anything else."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def presence_of(state: Any) -> Presence:
    """What an agent's state means to us."""
    return _PRESENCE.get(text_of(state), Presence.UNKNOWN)


def agents_of(message: Any, logins: Mapping[str, str]) -> Sequence[PbxUser]:
    """Read an AgentDirectory: the agents of the settings, as XiVO sees them; NotXuc when it is none.

    The document shows pairs of `agent` and `agentState`, and not whether the list has a name around it.
    """
    listed = message
    if isinstance(message, dict):
        listed = next((value for value in message.values() if isinstance(value, list)), None)
    if not isinstance(listed, list):
        raise NotXuc("an agent directory without a list")
    seen: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}
    for pair in entries(listed):
        agent, state = pair.get("agent"), pair.get("agentState")
        if isinstance(agent, dict):
            seen[text_of(agent.get("number"))] = (agent, state if isinstance(state, dict) else {})
    found = []
    for number, login in logins.items():
        agent, state = seen.get(number, ({}, {}))
        called = " ".join(filter(None, (text_of(agent.get("firstName")), text_of(agent.get("lastName")))))
        phone = text_of(state.get("phoneNb"))
        extension = phone if phone.isascii() and phone.isdecimal() and len(phone) <= 15 else number
        found.append(PbxUser(number, inert(called, 80) or login, extension, presence_of(state.get("name"))))
    return found


def calls_of(message: Any) -> list[Mapping[str, Any]]:
    """The phone events in a CurrentCallsPhoneEvents; NotXuc when it has no list of them."""
    listed = message.get("events") if isinstance(message, dict) else message
    if not isinstance(listed, list):
        raise NotXuc("current calls without a list")
    return [event for event in entries(listed) if event.get("eventType") != "EventReleased"]
