"""Fakes of our own, honest ones: a PBX that records what it is asked and says what it is told to."""

from collections.abc import Callable, Sequence
from datetime import datetime
from urllib.parse import parse_qs

from sqlalchemy.orm import Session

from campaigns.models import LoggedEvent
from dialer.errors import PbxError
from dialer.pbx.base import (
    AgentFirstOrder,
    AgentOrder,
    CallEvent,
    CustomerOrder,
    EventKeys,
    Feature,
    Finding,
    Gateway,
    LiveCall,
    PastCall,
    Payload,
    PbxUser,
    WaitingLeg,
)


class FakePbx:
    """Records every command; events are put in by `say` and come back out of `read`."""

    def __init__(self, name: str = "main") -> None:
        self.name = name
        self.features = frozenset(Feature) - {Feature.NAILED_UP}
        self.sent: list[tuple[str, object]] = []
        self.answers: dict[str, PbxError] = {}  # command -> error to raise
        self.lines: list[Gateway] = [Gateway("4", "trunk", True, True, 30, 0)]
        self.people: list[PbxUser] = []
        self.lists_read: list[str] = []  # the lists that were asked for
        self.live: list[LiveCall] = []
        self.past: list[PastCall] = []
        self._events: list[CallEvent] = []

    def say(self, session: Session, event: CallEvent, *, at: datetime | None = None) -> LoggedEvent:
        """Log an event as the receiver would."""
        self._events.append(event)
        logged = LoggedEvent(
            pbx=self.name,
            ref=event.ref,
            call_id=event.call_id,
            method="GET",
            query=f"n={len(self._events) - 1}",
        )
        if at is not None:
            logged.received_at = at
        session.add(logged)
        session.flush()
        return logged

    def commands(self, kind: str) -> list[object]:
        return [what for sent, what in self.sent if sent == kind]

    def keys(self, payload: Payload) -> EventKeys:
        event = self.read(payload)
        return EventKeys(event.ref, event.call_id, event.request_id)

    def read(self, payload: Payload) -> CallEvent:
        return self._events[int(parse_qs(payload.query)["n"][0])]

    def gateways(self) -> Sequence[Gateway]:
        self._list("gateways")
        return self.lines

    def users(self) -> Sequence[PbxUser]:
        self._list("users")
        return self.people

    def current_calls(self) -> Sequence[LiveCall]:
        return self.live

    def call_report(self, since: datetime) -> Sequence[PastCall]:
        return self.past

    def check(self) -> Sequence[Finding]:
        return []

    def call_customer(self, order: CustomerOrder, *, before_send: Callable[[], None] | None = None) -> str:
        return self._do("call_customer", order, before_send)

    def call_agent(self, order: AgentOrder, *, before_send: Callable[[], None] | None = None) -> str:
        return self._do("call_agent", order, before_send)

    def call_for_agent(self, order: AgentFirstOrder, *, before_send: Callable[[], None] | None = None) -> str:
        return self._do("call_for_agent", order, before_send)

    def join(self, customer: WaitingLeg, agent: WaitingLeg, user_id: str) -> str:
        return self._do("join", (customer, agent, user_id))

    def play_message(self, customer: WaitingLeg) -> str:
        return self._do("play_message", customer)

    def hang_up(self, call_id: str) -> str:
        return self._do("hang_up", call_id)

    def close(self) -> None:
        """Nothing is open."""

    def _list(self, kind: str) -> None:
        self.lists_read.append(kind)
        if kind in self.answers:
            raise self.answers[kind]

    def _do(self, kind: str, what: object, before_send: Callable[[], None] | None = None) -> str:
        if before_send is not None:
            before_send()
        self.sent.append((kind, what))
        if kind in self.answers:
            raise self.answers[kind]
        return f"{17012345678000 + len(self.sent)}"
