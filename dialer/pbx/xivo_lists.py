"""XiVO's callback lists as its websocket tells them, read into our values; nothing in here asks anybody."""

from collections.abc import Mapping, Sequence
from datetime import date, time
from typing import Any

from dialer.pbx.callback_lists import ListPeriod, Request, RequestList
from dialer.pbx.foreign import foreign_id, inert
from dialer.pbx.xivo_frames import Frame, NotXuc, entries, text_of

LONGEST_TEXT = 1000


def ids_of(message: Any) -> dict[str, str]:
    """XiVO's id of each agent -> agent number, from an AgentDirectory."""
    listed = message
    if isinstance(message, dict):
        listed = next((value for value in message.values() if isinstance(value, list)), None)
    found = {}
    for pair in entries(listed):
        agent = pair.get("agent")
        if isinstance(agent, dict) and text_of(agent.get("id")):
            found[text_of(agent["id"])] = text_of(agent.get("number"))
    return found


def raw_lists(message: Any) -> list[Mapping[str, Any]]:
    """The lists of a CallbackLists; NotXuc when it is none.

    The document speaks of lists and prints one; later releases may have a name around them.
    """
    listed = message
    if isinstance(message, dict):
        listed = [message] if "callbacks" in message else next(
            (value for value in message.values() if isinstance(value, list)), None
        )  # fmt: skip
    if not isinstance(listed, list):
        raise NotXuc("callback lists without a list")
    return [one for one in entries(listed) if "callbacks" in one]


def lists_of(message: Any, agents: Mapping[str, str]) -> list[RequestList]:
    """Read a CallbackLists. `agents`: XiVO's ids and agent numbers."""
    found = []
    for one in raw_lists(message):
        uuid = foreign_id(text_of(one.get("uuid")))
        if uuid is None or not isinstance(one["callbacks"], list):
            continue  # of a list without a name or without its requests nothing may be concluded
        told = [request_of(entry, agents) for entry in one["callbacks"]]
        requests = [request for request in told if request is not None]
        found.append(RequestList(uuid, inert(text_of(one.get("name")), 200), requests, len(told) - len(requests)))
    return found


def request_of(entry: Any, agents: Mapping[str, str]) -> Request | None:
    """Read one callback; None when it has no name to call it by."""
    uuid = foreign_id(text_of(entry.get("uuid"))) if isinstance(entry, dict) else None
    if uuid is None:
        return None

    def text(name: str, limit: int = 200) -> str:
        return inert(text_of(entry.get(name)), limit)

    return Request(
        id=uuid,
        phone=text("phoneNumber", 60),
        mobile=text("mobilePhoneNumber", 60),
        first_name=text("firstName"),
        last_name=text("lastName"),
        company=text("company"),
        description=text("description", LONGEST_TEXT),
        due_date=_day(text_of(entry.get("dueDate"))),
        period=period_of(entry.get("preferredPeriod")),
        taken_by=holder_of(entry, agents),
    )


def holder_of(entry: Mapping[str, Any], agents: Mapping[str, str]) -> str:
    """Who has taken a callback: an agent number, else XiVO's id of them; empty when it is free."""
    told = text_of(entry.get("agentId"))
    return (agents.get(told) or f"#{inert(told, 20)}") if told else ""


def period_of(told: Any) -> ListPeriod | None:
    """Read a preferred period; None when it says no times."""
    if not isinstance(told, dict):
        return None
    starts, ends = _clock(told.get("periodStart")), _clock(told.get("periodEnd"))
    uuid, name = foreign_id(text_of(told.get("uuid"))), inert(text_of(told.get("name")), 60)
    if starts is None or ends is None or uuid is None or not name:
        return None
    if ends == time(0):
        ends = time(23, 59, 59)  # midnight at its end
    return ListPeriod(uuid, name, starts, ends, told.get("default") is True)


def periods_of(message: Any) -> list[ListPeriod]:
    """Read a PreferredCallbackPeriodList."""
    listed = message
    if isinstance(message, dict):
        listed = next((value for value in message.values() if isinstance(value, list)), None)
    return [found for one in entries(listed) if (found := period_of(one)) is not None]


def find(message: Any, request_id: str) -> Mapping[str, Any] | None:
    """Find a callback in a CallbackLists; None when it is in none of them."""
    for one in raw_lists(message):
        for entry in entries(one["callbacks"]):
            if text_of(entry.get("uuid")) == request_id:
                return entry
    return None


def names(frame: Frame, kind: str, request_id: str, field: str = "uuid") -> bool:
    """Whether this is the event `kind` about this request."""
    return frame.kind == kind and text_of(frame.of(field)) == request_id


def agent_figures(message: Any) -> tuple[str, dict[str, float | str]] | None:
    """XiVO's id of an agent and their figures, from an AgentStatistics."""
    if not isinstance(message, dict) or not text_of(message.get("id")):
        return None
    return text_of(message["id"]), _figures(message.get("statistics"), "name")


def queue_figures(message: Any) -> tuple[str, str, dict[str, float | str]] | None:
    """Id and name of a queue (either may be missing) and its figures, from a QueueStatistics."""
    if not isinstance(message, dict):
        return None
    told = text_of(message.get("queueId")), inert(text_of(message.get("queueRef")), 100)
    return (*told, _figures(message.get("counters"), "statName")) if any(told) else None


def queues_of(message: Any) -> dict[str, tuple[str, str]]:
    """Id of each queue -> its name and what people call it, from a QueueList."""
    return {
        text_of(one.get("id")): (inert(text_of(one.get("name")), 100), inert(text_of(one.get("displayName")), 100))
        for one in entries(message)
        if text_of(one.get("id"))
    }


# The names of the manual's table, and those of its printed message.
_KNOWN = {
    "ready": ("AgentReadyTotalTime", "ReadyTime"),
    "paused": ("AgentPausedTotalTime", "PausedTime"),
    "wrap_up": ("AgentWrapupTotalTime", "WrapupTime"),
    "calls_in": ("InbCalls",),
    "calls_out": ("OutCalls",),
    "entered": ("TotalNumberCallsEntered",),
    "answered": ("TotalNumberCallsAnswered",),
    "abandoned": ("TotalNumberCallsAbandonned",),
    "closed": ("TotalNumberCallsClosed",),
    "timed_out": ("TotalNumberCallsTimeout",),
    "waiting": ("WaitingCalls",),
    "available": ("AvailableAgents",),
    "talking": ("TalkingAgents",),
}


def known_figures(told: Mapping[str, float | str]) -> dict[str, float]:
    """Those of XiVO's figures that we have a name for."""
    found = {}
    for ours, theirs in _KNOWN.items():
        value = next((told[name] for name in theirs if name in told), None)
        if isinstance(value, int | float):
            found[ours] = float(value)
    return found


def _figures(listed: Any, name: str) -> dict[str, float | str]:
    found: dict[str, float | str] = {}
    for one in entries(listed)[:200]:
        key, value = inert(text_of(one.get(name)), 60), one.get("value")
        if key and isinstance(value, int | float) and not isinstance(value, bool):
            found[key] = value
        elif key and isinstance(value, str):
            found[key] = inert(value, 60)
    return found


def _day(told: str) -> date | None:
    try:
        return date.fromisoformat(told[:10]) if told else None
    except ValueError:
        return None


def _clock(told: Any) -> time | None:
    try:
        return time.fromisoformat(text_of(told)[:8]) if text_of(told) else None
    except ValueError:
        return None


def requests_by_id(lists: Sequence[RequestList]) -> dict[str, Request]:
    """All requests of some lists."""
    return {one.id: one for each in lists for one in each.requests}
