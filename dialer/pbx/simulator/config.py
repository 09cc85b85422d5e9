"""What a simulated call centre is like. Durations of people are seconds of life; `speed` shortens them.

`speed` divides ringing, talking, wrap-up, breaks and the time a phone takes to answer itself. It leaves alone
what the law and the machines do in real seconds: the reception's limit and its message, the patience of
somebody who hears nothing, the delay of commands, the network.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from dialer.pbx.simulator.chance import LogNormal
from dialer.pbx.simulator.tables import Link, NodeAction, RingMode

RECEPTION, WAITING, ABANDON = 17, 18, 19  # the IVRs every world has unless told otherwise

# Seconds of life.
RING = LogNormal(12.0, 6.0, cut=22.0)
TALK = LogNormal(180.0, 120.0, cut=3600.0)
WRAP_UP = LogNormal(20.0, 10.0, cut=120.0)
REST = LogNormal(480.0, 240.0, cut=1800.0)


class Ending(StrEnum):
    """What becomes of ringing a number."""

    ANSWERS = "answers"
    BUSY = "busy"
    REJECTED = "rejected"
    UNAVAILABLE = "unavailable"
    NO_ANSWER = "no_answer"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a chosen number does, whatever was drawn; None leaves the draw."""

    ending: Ending | None = None
    ring: float | None = None  # seconds of life
    patience: float | None = None  # real seconds, from the answer
    talk: float | None = None  # seconds of life
    hangs_up_first: bool | None = None  # the customer ends the conversation, not the agent


# Numbers that end in these always do the same: for demonstrations and tests by hand.
LAST_TWO_DIGITS: Mapping[str, Behaviour] = {
    "00": Behaviour(Ending.BUSY),
    "01": Behaviour(Ending.REJECTED),
    "02": Behaviour(Ending.UNAVAILABLE),
    "03": Behaviour(Ending.NO_ANSWER),
    "04": Behaviour(Ending.ANSWERS, patience=3600.0),
    "05": Behaviour(Ending.ANSWERS, patience=1.0),
    "06": Behaviour(Ending.ANSWERS, patience=3600.0, talk=600.0),
    "07": Behaviour(Ending.ANSWERS, patience=3600.0, talk=5.0, hangs_up_first=True),
}


@dataclass(frozen=True)
class CustomerConfig:
    """The people behind the numbers."""

    answer_probability: float = 0.25
    # (seconds of the world, probability from then on): a jump in the answer rate.
    answer_steps: tuple[tuple[float, float], ...] = ()
    ring: LogNormal = RING
    ring_out: float = 22.0
    fast_end: tuple[float, float] = (1.0, 3.0)  # busy, rejected, unavailable
    signal: tuple[float, float] = (0.3, 1.2)  # until the network says the phone rings
    # The rest of those who do not answer let it ring.
    busy_share: float = 0.12
    rejected_share: float = 0.08
    unavailable_share: float = 0.10
    patience_mean: float = 15.0  # real seconds of waiting before hanging up
    talk: LogNormal = TALK
    hangs_up_first: float = 0.6
    by_number: Mapping[str, Behaviour] = field(default_factory=dict)  # digits as dialled, plus signs ignored
    by_last_digits: Mapping[str, Behaviour] = field(default_factory=dict)


@dataclass(frozen=True)
class AgentConfig:
    """The users of the PBX who are agents, and how they live."""

    count: int = 20
    first_id: int = 101
    first_extension: int = 201
    pick_up: tuple[float, float] = (0.2, 0.6)  # a phone that answers by itself
    # Phones that ignore auto_answer, and how long such an agent takes.
    ignores_auto_answer: float = 0.05
    slow_pick_up: tuple[float, float] = (2.0, 6.0)
    never_picks_up: float = 0.002  # of the calls to a phone: nobody takes it
    ring_out: float = 20.0
    wrap_up: LogNormal = WRAP_UP
    work_mean: float | None = 3000.0  # between two breaks; None: no breaks
    rest: LogNormal = REST
    slips_per_hour: float = 0.1  # hangs up the parked call by mistake and stays
    takes_second_call: bool = False  # a phone in a call answers another one too


@dataclass(frozen=True)
class GatewayConfig:
    """A bundle of outside lines."""

    id: int = 4
    name: str = "trunk-a"
    lines: int = 60
    type: int = 0
    enabled: bool = True
    link: Link = Link.REGISTERED
    host_port: str = "192.0.2.10:5060"


@dataclass(frozen=True)
class Clip:
    """A sound. `message` says that it is the recorded message the law asks for, and not mere music."""

    seconds: float
    message: bool = False


CLIPS: Mapping[str, Clip] = {
    "comfort.wav": Clip(2.0),
    "hold-music.wav": Clip(30.0),
    "nobody-free.wav": Clip(6.0, message=True),
}


@dataclass(frozen=True)
class NodeConfig:
    """One node of an IVR, with the fields the PBX lists.

    A looping node that waits for input goes on to its action after `waiting_input_time`; without one it
    loops for ever. A node that plays once goes on when it has played. Action 0 ends the call.
    """

    node_id: int
    parent_id: int = -1
    description: str = ""
    select_key: str = ""
    go_back_key: str = ""
    audio_type: int = 1
    audio_message: str = ""
    audio_loop: bool = False
    input_type: int = 0
    input_length: int = 0
    term_char: str = ""
    timeout_last_digit: int = 0
    waiting_input_time: float = 0.0
    action: NodeAction = NodeAction.NONE
    called_type: int | None = None
    called_id: int | None = None
    called_external_number: str = ""
    script: str = ""


@dataclass(frozen=True)
class IvrConfig:
    """An automatic responder: a tree of nodes; the one without parent is run first."""

    id: int
    name: str
    description: str
    nodes: tuple[NodeConfig, ...]


def reception(limit: float = 2.0, *, id: int = RECEPTION, armed: bool = True) -> IvrConfig:
    """Where answered customers wait. Armed, it plays the message by itself after `limit` seconds."""
    wait = NodeConfig(
        0,
        description="Comfort tone while an agent is found",
        audio_message="comfort.wav",
        audio_loop=True,
        input_type=1 if armed else 0,
        input_length=1 if armed else 0,
        waiting_input_time=limit if armed else 0.0,
        action=NodeAction.NEXT_NODE if armed else NodeAction.NONE,
    )
    message = NodeConfig(1, parent_id=0, description="Nobody is free", audio_message="nobody-free.wav")
    return IvrConfig(id, "Reception", "Answered customers wait here", (wait, message) if armed else (wait,))


def waiting(*, id: int = WAITING) -> IvrConfig:
    """Where parked agents wait, for as long as it takes."""
    node = NodeConfig(0, description="Music", audio_message="hold-music.wav", audio_loop=True)
    return IvrConfig(id, "Waiting", "Agents wait for customers here", (node,))


def abandon(*, id: int = ABANDON) -> IvrConfig:
    """The recorded message, once."""
    node = NodeConfig(0, description="Nobody is free", audio_message="nobody-free.wav")
    return IvrConfig(id, "Nobody free", "Recorded message, then the end", (node,))


@dataclass(frozen=True)
class GroupConfig:
    """A ring group; members are user ids, and none named means every agent."""

    id: int
    name: str
    members: tuple[int, ...] = ()
    ring_mode: RingMode = RingMode.ALL
    is_broadcast: bool = False
    queue_limit: float = 60.0  # real seconds in the queue of a group that queues


@dataclass(frozen=True)
class LostNames:
    """What we take the guide's lost words to be. Several names: any of them is understood."""

    terminate: tuple[str, ...] = ("call_id",)
    divert_call: tuple[str, ...] = ("call_id",)
    divert_leg: tuple[str, ...] = ("sender_call_id", "sender_local_id", "entity_call_id", "local_id")
    recording: tuple[str, ...] = ("enable", "recording", "action")
    report_from: tuple[str, ...] = ("from", "date_from", "start_date", "from_date", "start_time")
    report_to: tuple[str, ...] = ("to", "date_to", "end_date", "to_date", "end_time")
    hold: str = "hold"
    retrieve: str = "retrieve"
    mode_normal: int = 0
    mode_absent: int = 1
    mode_do_not_disturb: int = 2
    mode_diverted: int = 3


@dataclass(frozen=True)
class WorldConfig:
    """A whole call centre. The defaults are life-like."""

    speed: float = 1.0
    token: str = "simulator"  # noqa: S105 - of a PBX that is not real
    epoch: datetime = datetime(2026, 3, 2, 9, 0)  # noqa: DTZ001 - the PBX prints its own time with no zone
    customers: CustomerConfig = CustomerConfig()
    agents: AgentConfig = AgentConfig()
    gateways: tuple[GatewayConfig, ...] = (GatewayConfig(),)
    ivrs: tuple[IvrConfig, ...] = (reception(), waiting(), abandon())
    groups: tuple[GroupConfig, ...] = (GroupConfig(5, "Sales"),)
    clips: Mapping[str, Clip] = field(default_factory=lambda: dict(CLIPS))
    command_delay: tuple[float, float] = (0.005, 0.05)
    internal_delay: tuple[float, float] = (0.001, 0.005)  # an IVR answers
    user_events: bool = False
    divert_event: bool = True  # say call_divert when the new entity rings
    event_type: int = 1  # of extended events; the guide lost it
    report_size: int = 1000  # newest records in one report, however long the past
    names: LostNames = LostNames()
    silence_limit: float = 2.0  # the book's judgement: nobody may hear nothing for longer
    tolerance: float = 0.25

    def __post_init__(self) -> None:
        if self.speed <= 0:
            raise ValueError(f"speed must be above 0 (1 is life), not {self.speed}")

    @classmethod
    def demo(
        cls, *, agents: int = 20, lines: int = 60, speed: float = 20.0, answer_probability: float = 0.25
    ) -> "WorldConfig":
        """A call centre faster than life, to be looked at: shorter breaks, otherwise as in life."""
        return cls(
            speed=speed,
            customers=CustomerConfig(answer_probability=answer_probability),
            agents=AgentConfig(count=agents),
            gateways=(GatewayConfig(lines=lines),),
        )


# Who never gives up, in seconds: for a world in which only the reception's limit ends a wait.
_ENDLESS = 1e9

# Call centres by name, before agents, lines, speed and answer probability are told.
PROFILES: Mapping[str, WorldConfig] = {
    "life": WorldConfig(),
    # The world pacing is measured in, as an operator's formulas see it: nothing but ringing, talk and wrap-up takes
    # time, nobody is away, and whoever answers waits for the whole of the limit.
    "pacing": WorldConfig(
        customers=CustomerConfig(
            busy_share=0.06,
            rejected_share=0.04,
            unavailable_share=0.05,
            patience_mean=_ENDLESS,
            talk=LogNormal(180.0, 180.0),
        ),
        agents=AgentConfig(
            ignores_auto_answer=0.0,
            never_picks_up=0.0,
            wrap_up=LogNormal(20.0, 14.0),
            work_mean=None,
            slips_per_hour=0.0,
        ),
    ),
}
