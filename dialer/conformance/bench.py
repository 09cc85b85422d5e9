"""Where a live PBX is tried: orders calls to the operator's own phones, hears their events, and ends all it started.

Time, waiting, the events and the rules of whom may be called are given from outside. A call is in `probes` before its
order leaves, so whatever interrupts us, `end_all` knows of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from dialer.conformance.lines import Decision, Line, does_not, untold
from dialer.conformance.phones import Phones
from dialer.conformance.probe import Probe, new_prefix
from dialer.errors import EventTrouble, OutcomeUnknown, PbxError, PbxRefused, PbxUnavailable, RefusedByRule
from dialer.numbers import mask
from dialer.pbx.base import (
    AgentFirstOrder,
    AgentOrder,
    CallEvent,
    CallOutcome,
    CustomerOrder,
    Feature,
    LiveCall,
    Payload,
    Pbx,
    PbxUser,
)
from dialer.pbx.foreign import inert

LOOK_EVERY = 0.1  # seconds between two looks for events
END_WITHIN = 8.0  # seconds after our order to hang up
LATE_EVENTS = 3.0  # seconds after the end in which an answer may still be told: events come in any order
MOST_STRAYS = 200  # that are kept, to be named


@dataclass(frozen=True, slots=True)
class Overheard:
    """An event as it was kept, with its moment and the reference it was kept under."""

    at: datetime
    payload: Payload
    ref: str | None = None


class Ear(Protocol):
    """Where the PBX's events arrive. `how` says by which way; `trouble` why none would come, and the remedy."""

    how: str

    def trouble(self) -> tuple[str, str] | None: ...

    def new(self, refs: Sequence[str], call_ids: Sequence[str]) -> Sequence[Overheard]:
        """Return, in order and once each, events of these calls and events that name no call of anybody's."""


@dataclass
class Bench:
    """One run against one PBX."""

    pbx: Pbx
    ear: Ear
    phones: Phones
    now: Callable[[], datetime]  # the clock by which events are dated
    wait_for: Callable[[float], None]
    say: Callable[[str], None]  # to the person in front of the phones
    allow: Callable[[Probe], None]  # RefusedByRule when this call may not be made; keeps a record of those that are
    patience: float = 40.0  # seconds for a person to answer, or to hang up
    message_limit: float = 60.0  # by then the recorded message is over
    place: str = ""  # of the PBX's section: pbx.main
    page: str = ""  # docs/pbx/<kind>.md
    gateway: str = ""
    probes: list[Probe] = field(default_factory=list)
    strays: list[CallEvent] = field(default_factory=list)  # that name no call of ours
    unreadable: list[str] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    prefix: str = field(default_factory=new_prefix)

    # orders -------------------------------------------------------------------------------------------

    def call_customer(self, number: str) -> Probe:
        """Call one of the operator's numbers with nobody attached. Raises as the adapter does."""
        probe = self._new("c", number=number)
        order = CustomerOrder(probe.ref, number, self.gateway, self.phones.caller_id)
        return self._send(probe, lambda: self.pbx.call_customer(order))

    def call_again(self, probe: Probe) -> str:
        """Send the order of a call that goes on once more. Only where the PBX is known to take it for the first."""
        return self.pbx.call_customer(CustomerOrder(probe.ref, probe.number, self.gateway, self.phones.caller_id))

    def call_agent(self, user: PbxUser) -> Probe:
        """Call an own agent's phone and let it wait among the parked."""
        probe = self._new("a", user_id=user.id)
        order = AgentOrder(probe.ref, user.id, user.extension, self.phones.caller_id)
        return self._send(probe, lambda: self.pbx.call_agent(order))

    def call_for_agent(self, user: PbxUser, number: str) -> Probe:
        """Ring an own agent's phone and then an own number. No usable reply is no end: the events decide."""
        probe = self._new("c", number=number, user_id=user.id, agent_first=True)
        order = AgentFirstOrder(probe.ref, user.id, user.extension, number, self.phones.caller_id)
        try:
            self._send(probe, lambda: self.pbx.call_for_agent(order))
            probe.call_id = probe.call_id or probe.request_id or None
        except OutcomeUnknown:
            probe.sure = False
        return probe

    def _new(self, mark: str, *, number: str = "", user_id: str = "", agent_first: bool = False) -> Probe:
        if number and not self.phones.may_ring(number):
            raise RefusedByRule(f"{mask(number)} was not given as one of your own numbers; it is not called")
        if user_id and all(user_id != user.id for user in self.phones.agents):
            raise RefusedByRule(f"agent {user_id} was not given as one of your own; their phone is not rung")
        ref = f"{self.prefix}-{mark}{len(self.probes) + 1}"
        return Probe(ref, self.now(), number=number, user_id=user_id, agent_first=agent_first)

    def _send(self, probe: Probe, send: Callable[[], str]) -> Probe:
        self.allow(probe)
        probe.ordered_at = self.now()
        self.probes.append(probe)
        try:
            probe.request_id = send()
        except (PbxRefused, PbxUnavailable):
            self.probes.remove(probe)  # nothing rang
            raise
        except OutcomeUnknown:
            probe.sure = False
            raise
        return probe

    # events -------------------------------------------------------------------------------------------

    def listen(self) -> None:
        """Take what has come, and give each event to its call."""
        refs = [probe.ref for probe in self.probes]
        ids = [probe.call_id for probe in self.probes if probe.call_id]
        for heard in self.ear.new(refs, ids):
            try:
                event = self.pbx.read(heard.payload)
            except EventTrouble as exc:
                self.unreadable = [*self.unreadable, str(exc)][-MOST_STRAYS:]
                continue
            if not any(probe.take(event, heard.at, heard.ref) for probe in reversed(self.probes)):
                self.strays = [*self.strays, event][-MOST_STRAYS:]  # a busy PBX tells of everybody's calls

    def wait(self, until: Callable[[], object], seconds: float) -> bool:
        """Listen until something is so, for at most so many seconds; whether it came to be."""
        left = seconds
        while True:
            self.listen()
            if until():
                return True
            if left <= 0:
                return False
            self.wait_for(min(LOOK_EVERY, left))
            left -= LOOK_EVERY

    def wait_for_answer(self, probe: Probe, seconds: float) -> bool:
        """Listen until a call is answered or over; whether it was answered, though its end were told first."""
        self.wait(lambda: probe.answered() or probe.ended, seconds)
        if probe.answered() is None and probe.ended and probe.outcome()[0] is CallOutcome.OK:
            self.wait(probe.answered, LATE_EVENTS)
        return probe.answered() is not None

    def listed(self, probe: Probe) -> LiveCall | None:
        """Return the PBX's own row of this call, where it lists calls."""
        if Feature.CURRENT_CALLS not in self.pbx.features:
            return None
        same = [call for call in self.pbx.current_calls() if probe.ref == call.ref or probe.call_id == call.call_id]
        return same[0] if same else None

    # ending -------------------------------------------------------------------------------------------

    def hang_up(self, probe: Probe) -> None:
        """Order the end of a call by the id that events give it, as the dialer does. Raises as the adapter does.

        PbxRefused when its id is known from nowhere.
        """
        if probe.call_id is None:
            row = self.listed(probe)
            probe.call_id = row.call_id if row else None
        if probe.call_id is None:
            raise PbxRefused(self.pbx.name, "no event and no list has told the id of the call")
        self.pbx.hang_up(probe.call_id)

    def end(self, probe: Probe) -> bool:
        """See that a call is over, whatever state it is in; whether it is, as far as anybody can tell."""
        self.listen()
        if probe.ended:
            return True
        if Feature.HANG_UP in self.pbx.features and self._hung_up(probe):
            return True
        if Feature.HANG_UP not in self.pbx.features:
            self.say(f"hang up the phones of {self._whose(probe)} now: this PBX cannot be told to")
            if self.wait(lambda: probe.ended, self.patience):
                return True
            if Feature.CURRENT_CALLS not in self.pbx.features:
                probe.ended = probe.unseen_end = True  # there is nobody else to ask
        return probe.ended or self._gone(probe)

    def _hung_up(self, probe: Probe) -> bool:
        for by_reply in (False, True):  # the first may come before the PBX knows the call
            try:
                if by_reply and probe.agent_first and probe.request_id:
                    self.pbx.hang_up(probe.request_id)  # where events name it otherwise than the order's reply did
                else:
                    self.hang_up(probe)
            except PbxError:
                self.wait(lambda: probe.ended, 1.0)
            if self.wait(lambda: probe.ended, END_WITHIN / 2):
                return True
        return False

    def _gone(self, probe: Probe) -> bool:
        """Whether the PBX's own list, if it has one, says that the call is over."""
        if Feature.CURRENT_CALLS not in self.pbx.features:
            return False
        try:
            probe.ended = self.listed(probe) is None
        except PbxError:
            return False
        return probe.ended

    def end_all(self) -> list[Line]:
        """End every call that is not known to be over; a line for each that may still be there."""
        left = [probe for probe in self.probes if not probe.ended]
        for probe in left:
            if Feature.HANG_UP in self.pbx.features:
                try:
                    self.hang_up(probe)
                except PbxError:
                    continue  # tried again below, one at a time
        lost = [
            does_not(
                "clean-up",
                f"the call to {self._whose(probe)} may still be there: its end was not told"
                + (f" (the PBX's id {inert(probe.call_id, 40)})" if probe.call_id else ""),
                "hang up that phone by hand, and end the call in the PBX's own list of calls",
            )
            for probe in left
            if not self.end(probe)
        ]
        unseen = [
            untold(
                "clean-up",
                f"the end of the call to {self._whose(probe)} was never told",
                "see that this phone is quiet: the PBX can neither be asked nor told to end it",
            )
            for probe in self.probes
            if probe.unseen_end
        ]
        return unseen + lost

    def _whose(self, probe: Probe) -> str:
        whose = [f"agent {probe.user_id}"] if probe.user_id else []
        return " and ".join([*whose, *([mask(probe.number)] if probe.number else [])])
