"""A communication and its two legs: the values the exchange works on."""

from dataclasses import dataclass, field
from enum import Enum

from dialer.pbx.simulator.agenda import Entry
from dialer.pbx.simulator.entities import User
from dialer.pbx.simulator.people import Customer
from dialer.pbx.simulator.tables import EntityType


class LegState(Enum):
    CALLING = "calling"
    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Order:
    """Connect one entity to another: the first is called, and when it answers, the second."""

    calling_type: EntityType
    calling_id: int
    calling_number: str
    called_type: EntityType
    called_id: int
    called_number: str
    extid: str = ""
    auto_answer: int = 0
    request_id: str = ""
    by_user: bool = False  # the user service: told in user events, with its own failure event


@dataclass(slots=True, eq=False)
class Leg:
    """One entity's part in a communication."""

    id: int
    com: "Communication"
    type: EntityType
    entity: int
    number: str  # outside number or extension
    calling_side: bool
    called_at: float
    state: LegState = LegState.CALLING
    answered_at: float | None = None
    user: User | None = None  # whose phone it is; a group's member once one is chosen
    customer: Customer | None = None
    holds_line: bool = False  # one of a gateway's
    in_book: bool = False  # a number we dialled, not somebody who called in
    timers: list[Entry] = field(default_factory=list)
    patience: Entry | None = None  # when this customer hangs up, if nobody comes

    @property
    def is_answered(self) -> bool:
        return self.state is LegState.ANSWERED

    @property
    def is_live(self) -> bool:
        return self.state is not LegState.ENDED

    def is_entity(self, kind: int, id: int) -> bool:
        """Whether this is the leg of that entity, or of that member of a group."""
        return (self.type == kind and self.entity == id) or (
            kind == EntityType.USER and self.user is not None and self.user.id == id
        )

    @property
    def connected(self) -> tuple[EntityType, int]:
        """Who is really there: for a group, its member."""
        return (EntityType.USER, self.user.id) if self.user is not None else (self.type, self.entity)

    def stop_timers(self) -> None:
        for timer in self.timers:
            timer.cancel()
        self.timers.clear()
        self.stop_patience()

    def stop_patience(self) -> None:
        if self.patience is not None:
            self.patience.cancel()
            self.patience = None


@dataclass(slots=True, eq=False)
class Communication:
    """The switching of one call between two entities, and after it the record of the call."""

    id: int
    order: Order
    started: float
    calling: Leg | None = None
    called: Leg | None = None
    active: bool = False  # both have answered at some time
    ended: float | None = None
    outcome: int = 0
    answered: float | None = None
    connected: tuple[EntityType, int, str] | None = None
    recording: bool = False
    held_since: float | None = None
    diverted_from: tuple[EntityType, int] | None = None  # until the new entity rings
    ref_id: int | None = None  # the communication a transferred party came from
    ring_time: float = 0.0
    ivr_time: float = 0.0
    talk_time: float = 0.0
    hold_time: float = 0.0
    queue_time: float = 0.0

    @property
    def legs(self) -> tuple[Leg, ...]:
        return tuple(leg for leg in (self.calling, self.called) if leg is not None)

    @property
    def live_legs(self) -> tuple[Leg, ...]:
        return tuple(leg for leg in self.legs if leg.is_live)

    def other(self, leg: Leg) -> Leg | None:
        return self.called if leg is self.calling else self.calling

    def leg(self, id: int) -> Leg | None:
        return next((leg for leg in self.live_legs if leg.id == id), None)

    def leg_of(self, kind: int, id: int) -> Leg | None:
        return next((leg for leg in self.live_legs if leg.is_entity(kind, id)), None)

    @property
    def is_internal(self) -> bool:
        return all(leg.type is not EntityType.GATEWAY for leg in self.legs)
