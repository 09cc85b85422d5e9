"""What an agent says to the dialer, told XiVO; and what XiVO counts of its agents and queues."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from dialer.errors import PbxRefused
from dialer.pbx.base import Presence
from dialer.pbx.callback_lists import Told
from dialer.pbx.foreign import inert
from dialer.pbx.xivo_callbacks import Numbers
from dialer.pbx.xivo_frames import Frame, entries, presence_of, text_of
from dialer.pbx.xivo_lists import agent_figures, known_figures, queue_figures, queues_of
from dialer.pbx.xivo_session import NotTold, Session
from dialer.pbx.xivo_wire import Wire
from dialer.settings import PbxSettings

QUIET = 1.0  # seconds without a figure, after which the first, which come of themselves, have all come
_COMMANDS = {"login": "agentLogin", "logout": "agentLogout", "pause": "pauseAgent", "ready": "unpauseAgent"}
# What an agent's state must be, or must not, to say that a command was done.
_DONE: dict[str, Callable[[Presence], bool]] = {
    "login": lambda now: now not in (Presence.UNAVAILABLE, Presence.UNKNOWN),
    "logout": lambda now: now is Presence.UNAVAILABLE,
    "pause": lambda now: now is Presence.ABSENT,
    "ready": lambda now: now not in (Presence.ABSENT, Presence.UNAVAILABLE, Presence.UNKNOWN),
}
# A state that makes a command pointless: it is not sent, or XiVO would answer it with an error.
_OUT = ("pause", "ready")


class XivoDesk:
    """Agents and figures of one XiVO."""

    def __init__(
        self, wire: Wire, settings: PbxSettings, numbers: Numbers, login_of: Callable[[str], str], within: float
    ) -> None:
        self._wire, self._settings, self._numbers, self._login_of = wire, settings, numbers, login_of
        self._within = within

    # agents -------------------------------------------------------------------------------------------

    def tell(self, number: str, verb: str, phone: str, reason: str) -> None:
        """Send an agent's word in the agent's own name, and see that it is so.

        A phone in a call shows its state afterwards: then it is enough that nothing is objected to.
        """
        agent = self._numbers.id_of(number)
        with self._wire.open(self._login_of(number)) as session:
            before = self._state(session, agent)
            if _DONE[verb](before) and not (verb == "ready" and before is Presence.RESERVED):
                return
            if verb in _OUT and before is Presence.UNAVAILABLE:
                raise PbxRefused(
                    self._wire.name, f"agent {inert(number, 20)} is not logged in at XiVO; `dialer agent login` first"
                )
            more: dict[str, Any] = {"agentid": int(agent) if agent.isdecimal() else agent}
            if verb == "login":
                more["agentphonenumber"] = phone
            if verb == "pause" and reason:
                more["reason"] = inert(reason, 60)
            try:
                session.ask(_COMMANDS[verb], lambda frame: self._done(frame, agent, verb, number), self._within, **more)
            except NotTold:
                now = self._state(session, agent)
                if not _DONE[verb](now) and now not in (Presence.BUSY, Presence.RINGING):
                    raise

    def _done(self, frame: Frame, agent: str, verb: str, number: str) -> bool | None:
        if frame.kind in ("Error", "AgentError"):
            self._object(frame, number)
        if frame.kind != "AgentStateEvent" or text_of(frame.of("agentId")) != agent:
            return None
        return _DONE[verb](presence_of(frame.of("name"))) or None

    def _object(self, frame: Frame, number: str) -> None:
        code = text_of(frame.of("Error")) or text_of(frame.of("error"))
        who = f"agent {inert(number, 20)}"
        if code == "LoggedInOnAnotherPhone":
            there, wanted = (inert(text_of(frame.of(name)), 20) for name in ("phoneNb", "RequestedNb"))
            raise PbxRefused(
                self._wire.name,
                f"{who} is logged in on phone {there}, and wanted {wanted}: XiVO leaves it so, and so do we; log out "
                "there first",
            )
        if code == "PhoneNumberUnknown":
            raise PbxRefused(self._wire.name, f"XiVO knows no such phone for {who}: give the number of their line")
        if code:
            raise PbxRefused(self._wire.name, f"{who}: XiVO reports {self._wire.shown(code, 60)}")

    def _state(self, session: Session, agent: str) -> Presence:
        def mine(frame: Frame) -> Presence | None:
            if frame.kind != "AgentDirectory":
                return None
            listed = frame.message
            if isinstance(listed, dict):
                listed = next((value for value in listed.values() if isinstance(value, list)), [])
            for pair in entries(listed):
                one, state = pair.get("agent"), pair.get("agentState")
                if isinstance(one, dict) and text_of(one.get("id")) == agent:
                    return presence_of(state.get("name")) if isinstance(state, dict) else Presence.UNKNOWN
            return Presence.UNKNOWN

        try:
            found: Presence = session.ask("getAgentDirectory", mine, self._settings.timeout)
            return found
        except NotTold:
            return Presence.UNKNOWN

    # figures ------------------------------------------------------------------------------------------

    def figures(self) -> Sequence[Told]:
        """Subscribe as the supervisor, and take what comes at once: the figures of the day, as they are now."""
        agents: dict[str, dict[str, float | str]] = {}
        queues: dict[str, dict[str, float | str]] = {}
        names: dict[str, tuple[str, str]] = {}

        def take(frame: Frame) -> None:
            if frame.kind == "AgentStatistics" and (told := agent_figures(frame.message)) is not None:
                agents.setdefault(told[0], {}).update(told[1])
            elif frame.kind == "QueueStatistics" and (of_queue := queue_figures(frame.message)) is not None:
                queue_id, name, values = of_queue
                queues.setdefault(name or f"#{queue_id}", {}).update(values)
                if queue_id and name:
                    names.setdefault(queue_id, (name, name))
            elif frame.kind == "QueueList":
                names.update(queues_of(frame.message))

        with self._wire.open(self._settings.user) as session:
            numbers = self._numbers.read(session)
            self._list_queues(session, names)
            wanted = ("subscribeToQueueStats", "subscribeToAgentStats")
            session.gather(wanted, take, max(QUIET * 2, self._settings.timeout), QUIET)
        found = [
            Told("agent", numbers.get(agent) or f"#{inert(agent, 20)}", "", values, known_figures(values))
            for agent, values in agents.items()
        ]
        merged: dict[str, dict[str, float | str]] = {}
        called: dict[str, str] = {}
        for key, values in queues.items():
            name, shown = names.get(key.removeprefix("#"), (key, "")) if key.startswith("#") else (key, "")
            merged.setdefault(name, {}).update(values)
            called[name] = shown or next((one for own, one in names.values() if own == name), "")
        return [
            *found,
            *(Told("queue", name, called[name], values, known_figures(values)) for name, values in merged.items()),
        ]

    def _list_queues(self, session: Session, names: dict[str, tuple[str, str]]) -> None:
        def listed(frame: Frame) -> bool | None:
            if frame.kind != "QueueList":
                return None
            names.update(queues_of(frame.message))
            return True

        with contextlib.suppress(NotTold):  # then queues are called by their ids
            session.ask("getList", listed, self._settings.timeout, objectType="queue")
