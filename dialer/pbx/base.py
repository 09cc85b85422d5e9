"""What the dialer asks of a PBX, and what a PBX tells it, in our words.

An adapter turns these into one maker's requests and turns that maker's events into `CallEvent`. Callers
catch `PbxUnavailable`, `PbxRefused` and `OutcomeUnknown` from commands, and `PbxNonsense` or
`PbxUnavailable` from reads; never an HTTP library's errors.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable


class Feature(StrEnum):
    """What a PBX can do. The modes a campaign may use follow from it."""

    CUSTOMER_FIRST = "customer_first"  # calls a customer with no agent attached
    JOIN = "join"  # joins a waiting customer to a parked agent
    DIVERT = "divert"  # sends a waiting customer to the recorded message
    HANG_UP = "hang_up"
    PRESENCE = "presence"
    LINES = "lines"
    CURRENT_CALLS = "current_calls"
    CALL_REPORT = "call_report"
    RECORDING = "recording"
    AGENT_FIRST = "agent_first"  # rings an agent's phone, then calls a number from it
    NAILED_UP = "nailed_up"  # an agent's call goes on from one customer to the next
    ONE_PER_REF = "one_per_ref"  # takes an order sent twice under one reference as one


class Role(StrEnum):
    """The part an entity plays in one of our calls."""

    CUSTOMER = "customer"  # the number behind a gateway
    AGENT = "agent"
    RECEPTION = "reception"  # where answered customers wait
    WAITING = "waiting"  # where parked agents wait
    MESSAGE = "message"  # the recorded message for customers nobody could take
    OTHER = "other"


class Heard(StrEnum):
    """What an event says, in our words. `calls.py` gives each its effect."""

    CALLING = "calling"  # the PBX is calling the entity (`role`); carries its leg
    RINGING = "ringing"  # the entity's phone rings
    ANSWERED = "answered"  # the entity took the call
    NOT_REACHED = "not_reached"  # the entity did not take the call; `outcome` says why
    LEFT = "left"  # the entity went away; `role` says who
    DROPPED = "dropped"  # the PBX sent the entity away; `role` says whom
    TRANSFERRED = "transferred"  # entity `role` came in from communication `other_call_id`
    BRIDGED = "bridged"  # customer and agent were put together, and the agent's own call goes on beside it
    DIVERTED = "diverted"  # the call was sent on to entity `role`, which now rings
    ENDED = "ended"  # the communication is over; `outcome` is final
    HELD = "held"  # an agent put the customer on hold
    RETRIEVED = "retrieved"
    COMMAND_FAILED = "command_failed"  # an accepted command could not be carried out
    ARRIVED = "arrived"  # somebody calls in; not one of our calls
    OTHER = "other"  # understood, and nothing to us (voicemail, another user's call)


class CallOutcome(StrEnum):
    """How a leg or a call ended, whichever side of the PBX's table it came from."""

    OK = "ok"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    REJECTED = "rejected"
    UNAVAILABLE = "unavailable"
    NO_LINES = "no_lines"
    INVALID = "invalid"  # the network says that there is no such number
    MACHINE = "machine"  # an answering machine took the call
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class CustomerOrder:
    """Call `number` through `gateway`; when it answers, let it wait at the reception."""

    ref: str  # ours, unique, repeated by the PBX in every event
    number: str  # E.164 with the plus
    gateway: str
    caller_id: str  # what the customer sees


@dataclass(frozen=True, slots=True)
class AgentOrder:
    """Call an agent's phone, which answers by itself, and let the agent wait among the parked."""

    ref: str
    user_id: str
    extension: str
    display: str = ""  # what the agent's phone shows; empty means the extension


@dataclass(frozen=True, slots=True)
class AgentFirstOrder:
    """Ring this agent's phone; when it is taken, call `number` from it. Both talk as soon as the number answers."""

    ref: str
    user_id: str
    extension: str
    number: str  # E.164 with the plus
    caller_id: str  # what the customer sees, where the PBX can be told


@dataclass(frozen=True, slots=True)
class WaitingLeg:
    """Where one side waits: the communication, and the leg that a join moves or replaces.

    For a customer `leg_id` is the *reception's* leg (it is replaced); for an agent it is the agent's own.
    """

    call_id: str
    leg_id: str


@dataclass(frozen=True, slots=True)
class CallEvent:
    """One thing a PBX told us about one call. Every field a PBX may leave out is optional."""

    heard: Heard
    name: str  # the maker's own word, for logs and pages
    ref: str | None = None
    call_id: str | None = None
    role: Role = Role.OTHER
    party_id: str | None = None  # gateway, user or IVR id, inside its type
    leg_id: str | None = None
    outcome: CallOutcome | None = None
    unrung: CallOutcome | None = None  # the outcome instead, if the phone had not rung: some causes mean two things
    other_call_id: str | None = None
    request_id: str | None = None
    number: str | None = None
    vendor_time: str | None = None  # as printed; it has no zone, so the receipt time is the truth
    note: str | None = None  # what the PBX gave as a reason
    # Of PBXs that repeat no reference, by which a call is found all the same (`dialer.pbx.same_call`).
    user_id: str | None = None  # the agent whose phone it speaks of; `number` is then the other party's
    began: datetime | None = None  # when the call began, by the PBX's clock; aware
    talked: float | None = None  # seconds, told when it is over


@dataclass(frozen=True, slots=True)
class EventKeys:
    """What the receiver needs of an event before it is understood: which call to look at."""

    ref: str | None = None
    call_id: str | None = None
    request_id: str | None = None
    # Nobody waits for this one (a phone rings, the PBX calls somebody): the second look is soon enough, and the
    # call's next event brings it along.
    can_wait: bool = False
    # A customer who has answered and can be joined this instant, where the event alone says so.
    joinable: WaitingLeg | None = None


@dataclass(frozen=True, slots=True)
class Gateway:
    """A bundle of outside lines."""

    id: str
    name: str
    enabled: bool
    registered: bool
    lines: int
    busy_lines: int
    status: str = ""  # the maker's word for the link

    @property
    def usable(self) -> bool:
        return self.enabled and self.registered

    @property
    def free_lines(self) -> int:
        return max(0, self.lines - self.busy_lines) if self.usable else 0


class Presence(StrEnum):
    """A user's state as the PBX sees it."""

    UNKNOWN = "unknown"
    UNAVAILABLE = "unavailable"
    AVAILABLE = "available"
    RINGING = "ringing"
    BUSY = "busy"
    DO_NOT_DISTURB = "do_not_disturb"
    RESERVED = "reserved"
    ABSENT = "absent"
    DIVERTED = "diverted"


@dataclass(frozen=True, slots=True)
class PbxUser:
    """A user of the PBX, who may be one of our agents."""

    id: str
    name: str
    extension: str
    presence: Presence
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LiveCall:
    """A call in progress, as the PBX lists it."""

    call_id: str
    ref: str | None
    started: str = ""
    connected_role: Role | None = None  # None: nobody is connected yet, or the PBX does not say
    connected_id: str | None = None
    leg_id: str | None = None  # of `connected_role`, where the PBX tells it


@dataclass(frozen=True, slots=True)
class PastCall:
    """A finished call, as the PBX's report tells it. Times in seconds."""

    call_id: str
    ref: str | None
    outcome: CallOutcome
    started: str = ""
    duration: float | None = None
    ring_time: float | None = None
    ivr_time: float | None = None
    talk_time: float | None = None
    connected_role: Role | None = None
    connected_id: str | None = None
    # Of PBXs that repeat no reference, as in `CallEvent`.
    user_id: str | None = None
    number: str | None = None
    began: datetime | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `dialer pbx check`: what was looked at, how it is, and how to mend it."""

    ok: bool
    what: str
    remedy: str = ""
    fatal: bool = True  # a finding that is not ok and not fatal is a warning


@dataclass(frozen=True, slots=True)
class Room:
    """How many calls a PBX's account lets us start now, and the sentence that says why no more."""

    calls: int
    why: str


@dataclass(frozen=True, slots=True)
class Payload:
    """An event as it came over HTTP, before anyone understood it."""

    method: str
    query: str  # still percent-encoded
    body: bytes = b""
    content_type: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)


class Pbx(Protocol):
    """One PBX. Commands are sent once and never retried in here; reads may be retried."""

    name: str
    features: frozenset[Feature]

    # events -----------------------------------------------------------------------------------------
    def keys(self, payload: Payload) -> EventKeys:
        """Find the ids in an event, cheaply and without ever failing."""

    def read(self, payload: Payload) -> CallEvent:
        """Understand an event; EventTrouble when it cannot be."""

    # reads ------------------------------------------------------------------------------------------
    # Without Feature.LINES, or Feature.PRESENCE, these two say what the settings say, and nothing is asked.
    def gateways(self) -> Sequence[Gateway]: ...

    def users(self) -> Sequence[PbxUser]: ...

    def current_calls(self) -> Sequence[LiveCall]: ...

    def call_report(self, since: datetime) -> Sequence[PastCall]: ...

    def check(self) -> Sequence[Finding]:
        """Look at the whole set-up and say in plain words what would go wrong."""

    # commands: return the PBX's request id, or raise one of the three errors ------------------------
    # `before_send` is called as the last act before the request is written, on a connection that already
    # stands; when it raises, nothing is sent and what it raised comes back to the caller.
    def call_customer(self, order: CustomerOrder, *, before_send: Callable[[], None] | None = None) -> str: ...

    def call_agent(self, order: AgentOrder, *, before_send: Callable[[], None] | None = None) -> str: ...

    def call_for_agent(self, order: AgentFirstOrder, *, before_send: Callable[[], None] | None = None) -> str:
        """Ring an agent's phone and then the customer's; returns the PBX's id of the call, "" when it tells none.

        PbxRefused where there is no Feature.AGENT_FIRST.
        """

    def join(self, customer: WaitingLeg, agent: WaitingLeg, user_id: str) -> str:
        """Replace the reception in the customer's call by the agent waiting in theirs."""

    def play_message(self, customer: WaitingLeg) -> str:
        """Send a waiting customer to the recorded message."""

    def hang_up(self, call_id: str) -> str: ...

    def close(self) -> None: ...


@runtime_checkable
class Metered(Protocol):
    """A PBX whose account allows so many requests in a while."""

    def room(self) -> Room:
        """Say how many calls may be started now; asks our own book, and never the PBX."""


@dataclass(frozen=True, slots=True)
class Told:
    """What one message of an event stream means to the listener."""

    payload: Payload | None = None  # to be logged; None: nothing anybody needs to know again
    ref: str | None = None  # the call it is about
    chore: str = ""  # what the PBX leaves to us at this moment; in the adapter's own words
    replaced: bool = False  # another connection has taken the stream over


@dataclass(frozen=True, slots=True)
class Settled:
    """What a PBX showed when its event stream was opened anew."""

    waiting: Sequence[Told] = ()  # who has answered and is with nobody: customers first, the longest wait first
    present: frozenset[str] = frozenset()  # references of the calls there are
    chores: Sequence[str] = ()
    restarted: bool = False  # since the stream was open before: whatever was there is gone
    unsure: bool = False  # it could not show all of them: who is missing may be there


class StreamEnded(Exception):
    """An event stream is over; the text says how."""


class EventStream(Protocol):
    """An open connection on which a PBX tells its events."""

    async def receive(self) -> str:
        """Return the next message; StreamEnded when there will be none."""

    async def close(self) -> None: ...


@runtime_checkable
class Streaming(Protocol):
    """A `Pbx` that tells its events on a connection we hold. `dialer listener` is the one who holds it."""

    async def open_stream(self) -> EventStream:
        """Connect; PbxUnavailable or PbxRefused when that fails."""

    def told(self, message: str) -> Told:
        """Say what a message is to us; cheaply, and without ever failing."""

    def settle(self) -> Settled:
        """Ask for the events we want, and look at what there is. To be called when the stream is open."""

    def look_around(self) -> Settled:
        """Look at what there is, while the stream is open: chores that were not done, or came too early."""

    def gone(self, ref: str) -> Payload:
        """Return an event of our own making: a call we knew is not there any more."""

    def see_to(self, chore: str) -> None:
        """Do what the PBX leaves to us; harmless when done twice, and when it is too late."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """What a maker's documents leave open and one call can tell: whose phone the event `word` speaks of."""

    setting: str  # below the PBX's section: extra.ringing_means
    word: str
    now: str  # what the settings say
    customer: str  # what they say when it speaks of the customer's phone
    agent: str
    unknown: str = "unknown"


@runtime_checkable
class Doubting(Protocol):
    """A PBX of which something is open; `dialer pbx conformance` decides it."""

    def doubts(self) -> Sequence[Doubt]: ...
