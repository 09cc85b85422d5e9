"""XiVO through Xuc: an agent's own phone dials, ordered on a websocket in the agent's name.

Xuc calls nobody without an agent and joins nobody, so agents are rung first. It answers no command: the call's first
event, with our reference attached, is the reply. Events come to `dialer listener`, which holds one connection for each
agent. Who is ready is XiVO's word (`getAgentDirectory`); its wrap-up and its pauses are believed.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx
import stamina

from dialer.errors import PbxBusy, PbxRefused, PbxUnavailable, SettingsError
from dialer.pbx.base import (
    AgentFirstOrder,
    CallEvent,
    Doubt,
    EventKeys,
    EventStream,
    Feature,
    Finding,
    Gateway,
    Payload,
    PbxUser,
    Settled,
    Told,
)
from dialer.pbx.callback_lists import RequestList, Word
from dialer.pbx.callback_lists import Told as Figures
from dialer.pbx.dialled import dialled
from dialer.pbx.foreign import inert, is_number, is_reference, masked
from dialer.pbx.http import ReadRefused
from dialer.pbx.lacking import Lacking
from dialer.pbx.own_words import gateways_of
from dialer.pbx.xivo_accounts import Accounts
from dialer.pbx.xivo_callbacks import Numbers, XivoCallbacks
from dialer.pbx.xivo_check import check_callbacks, check_set_up
from dialer.pbx.xivo_desk import XivoDesk
from dialer.pbx.xivo_events import XivoEvents, call_id_of, gone, split
from dialer.pbx.xivo_frames import Frame, agents_of, command
from dialer.pbx.xivo_house import House
from dialer.pbx.xivo_options import logins_of, read_options
from dialer.pbx.xivo_wire import Wire
from dialer.settings import PbxSettings

PHONE_CHECK = 1.0  # seconds we wait to be told whether a phone is free


class XivoPbx(Lacking):
    """One XiVO as a `Pbx`, and as one whose events `dialer listener` fetches (`Streaming`)."""

    features = frozenset({Feature.AGENT_FIRST, Feature.PRESENCE, Feature.HANG_UP})

    def __init__(
        self,
        name: str,
        settings: PbxSettings,
        *,
        environ: Mapping[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open no connection yet. SettingsError for options that cannot be."""
        if not settings.user:
            raise SettingsError(f"pbx.{name}.user: name a XiVO user with supervisor rights, who sees all agents")
        self.name = name
        settings = settings.model_copy(update={"url": settings.url.rstrip("/")})
        self.settings = settings
        self.options = read_options(name, settings)
        self._logins = logins_of(name, self.options)
        everybody = {settings.user, *self._logins.values()}
        self._accounts = Accounts(
            name,
            settings,
            self.options.login_path,
            everybody,
            environ=environ,
            transport=transport,
            monotonic=monotonic,
        )
        self._wire = Wire(name, settings, self._accounts, self.options.socket_path)
        self._events = XivoEvents(settings, self.options)
        bound = self.options.bound_lists
        self._house = House(self._wire, self._events, self._logins, settings.timeout, starts_unmarked=bool(bound))
        numbers = Numbers(self._wire, settings.user, settings.timeout)
        self._callbacks = XivoCallbacks(
            self._wire, settings, self.options, numbers, self._login, environ=environ, transport=transport
        )
        self._desk = XivoDesk(self._wire, settings, numbers, self._login, self.options.confirm_within)

    def __repr__(self) -> str:
        return f"<XivoPbx {self.name}>"

    def close(self) -> None:
        """Close the connections."""
        self._accounts.close()
        self._callbacks.close()

    # events -------------------------------------------------------------------------------------------

    def keys(self, payload: Payload) -> EventKeys:
        return self._events.keys(payload)

    def read(self, payload: Payload) -> CallEvent:
        return self._events.read(payload)

    async def open_stream(self) -> EventStream:
        return await self._house.open_stream()

    def told(self, message: str) -> Told:
        return self._house.told(message)

    def settle(self) -> Settled:
        return self._house.settle()

    def look_around(self) -> Settled:
        return self._house.look_around()

    def gone(self, ref: str) -> Payload:
        return gone(ref)

    def see_to(self, chore: str) -> None:
        """Xuc leaves nothing to us."""
        del chore

    # reads --------------------------------------------------------------------------------------------

    def gateways(self) -> Sequence[Gateway]:
        return gateways_of(self.name, self.options)

    def users(self) -> Sequence[PbxUser]:
        """List the agents of the settings, as XiVO sees them now."""
        for attempt in stamina.retry_context(
            on=lambda exc: isinstance(exc, PbxUnavailable) and not isinstance(exc, SettingsError),
            attempts=3,
            timeout=self.settings.timeout,
            wait_initial=0.05,
            wait_max=0.4,
            wait_jitter=0.05,
        ):
            with attempt:
                return self._directory()
        raise AssertionError("the last attempt returns or raises")  # pragma: no cover

    def _directory(self) -> Sequence[PbxUser]:
        def listed(frame: Frame) -> Sequence[PbxUser] | None:
            return agents_of(frame.message, self._logins) if frame.kind == "AgentDirectory" else None

        refused = ""
        try:
            with self._wire.open(self.settings.user) as session:
                found: Sequence[PbxUser] = session.ask("getAgentDirectory", listed, self.settings.timeout)
                return found
        except PbxRefused as exc:
            refused = exc.why
        raise ReadRefused(self.name, refused)

    def check(self) -> Sequence[Finding]:
        def let_in(login: str) -> None:
            self._wire.open(login).close()

        found = check_set_up(self.name, self.settings, self.options, self._logins, self.users, let_in)
        return [*found, *check_callbacks(self.name, self.options, self.read_lists, self._callbacks.server_answers)]

    def doubts(self) -> Sequence[Doubt]:
        """Whether `EventDialing` comes when the agent took the phone is told by no document we have."""
        return [Doubt("extra.dialing_means", "EventDialing", self.options.dialing_means, "customer", "agent")]

    # commands -----------------------------------------------------------------------------------------

    def call_for_agent(self, order: AgentFirstOrder, *, before_send: Callable[[], None] | None = None) -> str:
        """Let an agent's phone dial; returns our id of the call, which the first event with our reference tells."""
        login = self._login(order.user_id)
        if not (order.extension.isascii() and order.extension.isdecimal() and len(order.extension) <= 15):
            raise self._refuse(f"agent {inert(order.user_id, 20)} has no phone of digits")
        if not is_number(order.number):
            raise self._refuse(f"the number {masked(inert(order.number, 30))!r} is not digits with at most one plus")
        if not is_reference(order.ref):
            raise self._refuse(f"{inert(order.ref, 40)!r} is no reference of ours")

        def ours(frame: Frame) -> str | None:
            event = _phone_event(frame)
            if event is None or self._events.reference(event) != order.ref:
                return None
            return call_id_of(event, order.user_id) or ""

        told = command(
            "dial",
            destination=dialled(self.settings, order.number),
            variables={self.options.variable: order.ref},
        )
        with self._wire.open(login) as session:
            # Presence is seconds old: a queue may have called the agent since. Where it is not told, we go on.
            if session.calls(PHONE_CHECK):
                raise PbxBusy(self.name, f"the phone of agent {inert(order.user_id, 20)} is in use; nothing was sent")
            return str(session.order(told, ours, self.options.confirm_within, before_send))

    def hang_up(self, call_id: str) -> str:
        """End a call. Xuc ends whatever the agent is on, so it is asked first whether that is this call alone."""
        parts = split(call_id)
        if parts is None:
            raise self._refuse(f"{inert(call_id, 40)!r} is no id of a call")
        login = self._login(parts[1])

        def released(frame: Frame) -> str | None:
            event = _phone_event(frame)
            over = event is not None and event.get("eventType") == "EventReleased"
            return call_id if event is not None and over and call_id_of(event, parts[1]) == call_id else None

        with self._wire.open(login) as session:
            calls = session.calls(self.settings.timeout)
            if calls is None:
                raise PbxUnavailable(self.name, "Xuc does not tell which calls there are; nothing was ended")
            if {call_id_of(one, parts[1]) for one in calls} != {call_id}:
                raise self._refuse(
                    f"the call cannot be ended: {'the phone is on another call' if calls else 'it is over'}"
                )
            return str(session.order(command("hangup"), released, self.options.confirm_within, None))

    # callback lists, agents' words and figures --------------------------------------------------------

    @property
    def callback_lists(self) -> Mapping[str, str]:
        return self.options.bound_lists

    @property
    def callback_poll(self) -> float:
        return self.options.callback_poll

    def read_lists(self) -> Sequence[RequestList]:
        return self._callbacks.read_lists()

    def take_request(self, request_id: str, user_id: str) -> None:
        self._callbacks.take(request_id, user_id)

    def release_request(self, request_id: str, user_id: str) -> None:
        self._callbacks.release(request_id, user_id)

    def start_request(
        self,
        order: AgentFirstOrder,
        request_id: str,
        *,
        ticket: Callable[[str], None],
        before_send: Callable[[], None] | None = None,
    ) -> str:
        """Let XiVO call a request that this agent has taken: it alone can write the ticket."""
        if not is_number(order.number):
            raise self._refuse(f"the number {masked(inert(order.number, 30))!r} is not digits with at most one plus")
        return self._callbacks.start(order, request_id, ticket, before_send)

    def write_ticket(self, ticket_id: str, request_id: str, user_id: str, word: Word, *, again: bool) -> str:
        return self._callbacks.write_ticket(ticket_id, request_id, user_id, word, again=again)

    def send_csv(self, list_name: str, csv: bytes) -> str:
        return self._callbacks.send_csv(list_name, csv)

    @property
    def hears_agents(self) -> bool:
        return self.options.agent_words == "told"

    def tell_agent(self, user_id: str, verb: str, *, phone: str, reason: str = "") -> None:
        self._desk.tell(user_id, verb, phone, reason)

    @property
    def figures_every(self) -> float:
        return self.options.statistics_every

    @property
    def figures_zone(self) -> str:
        return self.options.time_zone

    def read_figures(self) -> Sequence[Figures]:
        return self._desk.figures()

    def _login(self, user_id: str) -> str:
        login = self._logins.get(user_id)
        if login is None:
            raise self._refuse(
                f"agent {inert(user_id, 20)!r} has no XiVO user in the settings; add it to pbx.{self.name}.extra.agents"
            )
        return login

    def _refuse(self, why: str) -> PbxRefused:
        return PbxRefused(self.name, f"{why}; nothing was sent")


def _phone_event(frame: Frame) -> Mapping[str, Any] | None:
    return frame.message if frame.kind == "PhoneEvent" and isinstance(frame.message, dict) else None
