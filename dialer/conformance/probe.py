"""One call of a conformance run, and what has been heard of it. Its reference can be no campaign's."""

import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime

from dialer.pbx.base import CallEvent, CallOutcome, Heard, Role, WaitingLeg
from dialer.pbx.same_call import Start, is_same

_PROBE = re.compile(r"probe[0-9a-f]{8}-[ac][0-9]{1,20}")


def new_prefix() -> str:
    """Return the beginning of every reference of one run. An installation's own begins with a d."""
    return f"probe{secrets.token_hex(4)}"


def is_probe(ref: str | None) -> bool:
    """Whether a reference is of a call that a conformance run placed."""
    return ref is not None and _PROBE.fullmatch(ref) is not None


@dataclass(frozen=True, slots=True)
class Note:
    """An event of the call, and how many seconds after the order it came."""

    after: float
    event: CallEvent


@dataclass
class Probe:
    """A call of ours. `number` is the customer's, `user_id` the agent's whose phone it rings."""

    ref: str
    ordered_at: datetime
    number: str = ""
    user_id: str = ""
    agent_first: bool = False
    request_id: str = ""
    call_id: str | None = None
    found_by: str = ""  # by what its events were known to be of it
    sure: bool = True  # False: the order got no usable reply
    ended: bool = False
    unseen_end: bool = False  # nothing can tell that it is over but the person in front of the phone, who was asked
    notes: list[Note] = field(default_factory=list)

    def take(self, event: CallEvent, at: datetime, told_ref: str | None = None) -> bool:
        """Keep an event if it is of this call; whether it was."""
        by = self._known_by(event, at, told_ref)
        if not by:
            return False
        if not self.found_by or by == "our reference":
            self.found_by = by
        if event.call_id and (self.call_id is None or by == "agent and number"):
            self.call_id = event.call_id
        self.notes.append(Note(max(0.0, (at - self.ordered_at).total_seconds()), event))
        self.ended = self.ended or event.heard is Heard.ENDED
        return True

    def _known_by(self, event: CallEvent, at: datetime, told_ref: str | None) -> str:
        if self.ref in (event.ref, told_ref):
            return "our reference"
        if event.ref is not None:
            return ""
        if event.call_id is not None and event.call_id == self.call_id:
            return "the PBX's id of the call"
        if event.request_id and event.request_id == self.request_id:
            return "the request's id"
        if self.agent_first:
            start = Start(self.ref, self.user_id, self.number, self.ordered_at, heard=bool(self.notes))
            if is_same(start, event, at):
                return "agent and number"
        return ""

    def first(self, *heard: Heard, role: Role | None = None) -> Note | None:
        """Return the first note of one of these kinds, of this role if one is given."""
        found = (note for note in self.notes if note.event.heard in heard)
        return next((note for note in found if role is None or note.event.role is role), None)

    def answered(self) -> Note | None:
        """The customer's answer, however it is told."""
        return self.first(Heard.ANSWERED, role=Role.CUSTOMER) or self.first(Heard.ANSWERED, role=Role.RECEPTION)

    def waiting_leg(self, at: Role) -> WaitingLeg | None:
        """Where this side waits: a customer at the reception, by its leg; an agent among the waiting, by their own."""
        there = self.first(Heard.ANSWERED, role=at)
        own = there if at is Role.RECEPTION else self.first(Heard.ANSWERED, role=Role.AGENT) or there
        if there is None or own is None or self.call_id is None or not own.event.leg_id:
            return None
        return WaitingLeg(self.call_id, own.event.leg_id)

    def outcome(self) -> tuple[CallOutcome | None, str]:
        """How it ended, and the PBX's own reason: the leg's word before the whole call's."""
        for heard in (Heard.NOT_REACHED, Heard.ENDED):
            note = self.first(heard)
            if note is not None and note.event.outcome is not None:
                return note.event.outcome, note.event.note or note.event.name
        return None, ""
