"""A campaign's calls as a pacer hears of them: from the view of this moment, or from stored rows after a restart."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns.agent_states import AWAY
from campaigns.models import Attempt
from dialer.calls import CallState
from dialer.pacing import Happened, PaceEvent, events_of_call
from dialer.pacing.answers import Chance

# A new leader learns from this many of the campaign's last attempts.
REMEMBERED = 3_000
ON_THE_WAY = (CallState.ORDERED, CallState.SENDING, CallState.UNKNOWN, CallState.PLACED, CallState.RINGING)
MAY_BE_GIVEN_UP = (CallState.PLACED, CallState.RINGING)


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt as the pacer's view shows it."""

    id: int
    state: CallState
    ordered_at: datetime
    answered_at: datetime | None
    joined_at: datetime | None
    ended_at: datetime | None
    agent_id: int | None
    gateway: str
    sent_at: datetime | None
    group: str = ""
    ringing_at: datetime | None = None
    known_to_pbx: bool = False  # by an id of its own, which a command could name
    given_up_at: datetime | None = None
    reserved: bool = False  # an agent is kept for it
    agent_first: bool = False  # its agent's phone rings first: it wants no other
    number: str = ""
    expected: Chance | None = None  # how likely an answer was, as far as that was learnt beforehand

    @classmethod
    def of(cls, row: Sequence[Any]) -> "Call":
        """Read the view's JSON: id, state, five times, agent, gateway, group, two times, known, two flags, number."""
        ordered, answered, joined, ended, sent, ringing, given_up = (
            datetime.fromisoformat(value) if value else None for value in (*row[2:7], *row[10:12])
        )
        assert ordered is not None
        return cls(
            row[0], CallState(row[1]), ordered, answered, joined, ended, row[7], str(row[8]), sent, row[9], ringing,
            row[12], given_up, row[13], row[14], row[15],
        )  # fmt: skip

    def can_be_given_up(self, now: datetime, least: float) -> bool:
        """Whether it has rung for `least` seconds, on the PBX's word, and nothing stands against ending it."""
        if self.state not in MAY_BE_GIVEN_UP or not self.known_to_pbx or self.given_up_at is not None:
            return False
        return self.ringing_at is not None and (now - self.ringing_at).total_seconds() >= least


def events_of(call: Call) -> list[PaceEvent]:
    """Everything that has happened to a call, in order."""
    told = events_of_call(
        str(call.id),
        call.state,
        ordered_at=call.ordered_at,
        answered_at=call.answered_at,
        joined_at=call.joined_at,
        ended_at=call.ended_at,
        agent=str(call.agent_id or ""),
        # Told with the end only: until then the order may be taken back because the person answered.
        given_up_at=call.given_up_at if call.ended_at is not None else None,
    )
    known: dict[str, Any] = {"group": call.group, "expected": call.expected}
    return [replace(event, **known) if event.kind is Happened.LAUNCHED else event for event in told]


_WRAP_UPS = text(
    """
    SELECT agent_id, at, details ->> 'to' AS state FROM ledger
    WHERE campaign_id = :campaign_id AND at >= :since AND kind = 'agent' AND details ->> 'from' = 'wrap_up'
    ORDER BY at DESC LIMIT :most
    """
)


def remembered(
    session: Session, campaign_id: int, told: Callable[[Sequence[Call]], Sequence[Call]] | None = None
) -> list[PaceEvent]:
    """What a new leader learns from: the campaign's last attempts, and how the wrap-ups after them ended.

    `told`: adds to calls what was to be expected of each.
    """
    query = (
        select(Attempt)
        .where(Attempt.campaign_id == campaign_id, Attempt.ended_at.is_not(None))
        .order_by(Attempt.ordered_at.desc())
        .limit(REMEMBERED)
    )
    calls = [
        Call(
            row.id,
            CallState(row.state),
            row.ordered_at,
            row.answered_at,
            row.joined_at,
            row.ended_at,
            row.agent_id,
            row.gateway,
            row.sent_at,
            row.answer_group,
            given_up_at=row.given_up_at,
            number=row.number,
        )
        for row in session.scalars(query)
    ]
    oldest = calls[-1].ordered_at if calls else None
    found = [event for call in (told(calls) if told is not None else calls) for event in events_of(call)]
    if oldest is None:
        return found
    given = {"campaign_id": campaign_id, "since": oldest, "most": REMEMBERED}
    return found + [left_wrap_up(row.agent_id, row.state, row.at) for row in session.execute(_WRAP_UPS, given)]


def left_wrap_up(agent_id: int, state: str, at: datetime) -> PaceEvent:
    """Tell that a wrap-up is over; who goes on a break says nothing of how long one lasts."""
    kind = Happened.PAUSE if state in AWAY else Happened.READY
    return PaceEvent(kind, at, agent=str(agent_id))
