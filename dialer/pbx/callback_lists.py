"""A PBX that keeps callback lists of its own, and lets us work through them: `KeepsCallbacks`, and its values.

A request of such a list is taken in an agent's name before anybody rings for it, and is started by the PBX itself: only
so does it write a ticket, into which the result goes when the call is over.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time
from typing import Protocol, runtime_checkable

from dialer.errors import PbxRefused
from dialer.pbx.base import AgentFirstOrder


@dataclass(frozen=True, slots=True)
class ListPeriod:
    """A part of the day, as the PBX has it. `ends` before `starts`, or no time at all, is its own affair."""

    id: str
    name: str
    starts: time
    ends: time
    default: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """Somebody who asked to be called, as the list has them: text is as it was typed there, made inert."""

    id: str
    phone: str = ""
    mobile: str = ""
    first_name: str = ""
    last_name: str = ""
    company: str = ""
    description: str = ""
    due_date: date | None = None
    period: ListPeriod | None = None
    taken_by: str = ""  # the agent who has taken it: a user id of ours, else the PBX's own id after a "#"


@dataclass(frozen=True, slots=True)
class RequestList:
    """One list with the requests that are open in it. `unread`: entries that could not be understood."""

    id: str
    name: str
    requests: Sequence[Request]
    unread: int = 0


@dataclass(frozen=True, slots=True)
class Word:
    """What came of a request, in the words of XiVO's tickets; day and period only with another time (`Callback`)."""

    status: str
    comment: str = ""
    day: date | None = None
    period: str = ""  # its name
    period_id: str = ""  # where the PBX has no period of that name


class TakenElsewhere(PbxRefused):
    """Another agent has taken the request, in the PBX's own page: nobody may ring for it."""


class NoLongerListed(PbxRefused):
    """The request is not among those the PBX shows to this agent."""


@runtime_checkable
class KeepsCallbacks(Protocol):
    """A `Pbx` with callback lists of its own."""

    @property
    def callback_lists(self) -> Mapping[str, str]:
        """The lists we work through, by name or id, and the campaign of each; empty: none."""

    @property
    def callback_poll(self) -> float:
        """Seconds between two reads of them."""

    def read_lists(self) -> Sequence[RequestList]:
        """Read every list there is, with the requests that are open."""

    def take_request(self, request_id: str, user_id: str) -> None:
        """Take a request in an agent's name; harmless when they have it. TakenElsewhere when somebody else has."""

    def release_request(self, request_id: str, user_id: str) -> None:
        """Give back a request that this agent has taken."""

    def start_request(
        self,
        order: AgentFirstOrder,
        request_id: str,
        *,
        ticket: Callable[[str], None],
        before_send: Callable[[], None] | None = None,
    ) -> str:
        """As `call_for_agent`, for a request this agent has taken; `ticket` is told the ticket's id when it is known.

        It may be told though the order then ends as unknown.
        """

    def write_ticket(self, ticket_id: str, request_id: str, user_id: str, word: Word, *, again: bool) -> str:
        """Write what came of it; returns the id of the period it is put to. `again`: it may be there by now."""

    def send_csv(self, list_name: str, csv: bytes) -> str:
        """Have the PBX import requests into a list of its own; returns what it said. PbxRefused where it cannot."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a PBX counted of an agent's or a queue's day: its own names and figures, and those we have a name for.

    Of agents `ready`, `paused`, `wrap_up` (seconds), `calls_in`, `calls_out`; of queues `entered`, `answered`,
    `abandoned`, `closed`, `timed_out`, `waiting`, `available`, `talking`.
    """

    kind: str  # "agent" or "queue"
    key: str  # a user id of ours, else the PBX's own id after a "#"; of a queue its name
    name: str
    figures: Mapping[str, float | str]
    known: Mapping[str, float] = field(default_factory=dict)


@runtime_checkable
class TellsFigures(Protocol):
    """A `Pbx` that counts for itself what its agents and queues do."""

    @property
    def figures_every(self) -> float:
        """Seconds between two reads; 0: they are not wanted."""

    @property
    def figures_zone(self) -> str:
        """The clock by which it begins again at midnight."""

    def read_figures(self) -> Sequence[Told]:
        """Read the figures of its present day."""


@runtime_checkable
class HearsAgents(Protocol):
    """A `Pbx` that can be told what an agent said of themselves to the dialer."""

    @property
    def hears_agents(self) -> bool:
        """Whether the settings want it told."""

    def tell_agent(self, user_id: str, verb: str, *, phone: str, reason: str = "") -> None:
        """Log in, log out, pause or make ready. PbxRefused says what it objects to; else it may not be done."""
