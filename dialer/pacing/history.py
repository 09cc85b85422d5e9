"""Events into lengths of time, and stored attempts into events: what a pacer remembers across a restart."""

from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta

from dialer.calls import CallState
from dialer.pacing.base import Happened, PaceEvent
from dialer.pacing.learning import Answers, MeanTime

_ORDER = {kind: n for n, kind in enumerate(Happened)}  # of events at the same moment
_REMEMBERED = 20_000  # calls and agents kept in mind; the oldest are forgotten
_STUCK = timedelta(minutes=2)  # a call whose end is not told by then no longer holds up the lessons of later ones

_TRIED = (CallState.BUSY, CallState.NO_ANSWER, CallState.REJECTED, CallState.UNAVAILABLE)
_ANSWERED = (CallState.COMPLETED, CallState.ABANDONED, CallState.HUNG_UP)


class History:
    """How often calls are answered, and how long ringing, talk and wrap-up last. An event told twice counts once.

    Answers are learnt in the order in which calls were *ordered*. Those of one moment end in another order: first
    the answered, then all the others at once when they have rung out, and a row of two hundred of these would look
    like a list that nobody answers.
    """

    def __init__(self) -> None:
        self.answers = Answers()
        self.ring = MeanTime(12.0, weight=10.0, half_life=200.0)
        self.talk = MeanTime(180.0)
        self.wrap_up = MeanTime(20.0)
        # Since when; None once it is over, so that a repetition changes nothing.
        self._rings: dict[str, datetime | None] = {}
        self._talks: dict[str, datetime | None] = {}
        self._wraps: dict[str, datetime] = {}
        self._ordered: deque[tuple[str, datetime]] = deque()
        self._ended: dict[str, bool | None] = {}  # answered or not; None when it says nothing

    def observe(self, event: PaceEvent) -> None:
        """Learn from one event."""
        match event.kind:
            case Happened.LAUNCHED:
                if _begin(self._rings, event.call, event.at):
                    self._ordered.append((event.call, event.at))
            case Happened.ANSWERED:
                rang = _end(self._rings, event.call, event.at)
                if rang is not None:
                    self.ring.observe(rang)
                    self._learn(event, True)
            case Happened.NO_ANSWER | Happened.FAILED | Happened.GIVEN_UP:
                if _end(self._rings, event.call, event.at) is not None:
                    self._learn(event, False if event.kind is Happened.NO_ANSWER else None)
            case Happened.CONNECTED:
                _begin(self._talks, event.call, event.at)
            case Happened.TALK_END:
                talked = _end(self._talks, event.call, event.at)
                if talked is not None:
                    self.talk.observe(talked)
                    self._wraps[event.agent] = event.at
            case Happened.READY:
                since = self._wraps.pop(event.agent, None)
                if since is not None:
                    self.wrap_up.observe((event.at - since).total_seconds())
            case Happened.LOGIN | Happened.LOGOUT | Happened.PAUSE:
                self._wraps.pop(event.agent, None)  # a wrap-up that ends so says nothing of its length
            case Happened.ABANDONED | Happened.INBOUND:
                pass  # counted in the budget, which is read from rows

    def _learn(self, event: PaceEvent, answered: bool | None) -> None:
        self._ended[event.call] = answered
        while self._ordered:
            call, since = self._ordered[0]
            if call not in self._ended and event.at - since < _STUCK:
                return
            self._ordered.popleft()
            result = self._ended.pop(call, None)
            if result is not None:
                self.answers.observe(result)


def in_order(events: Iterable[PaceEvent]) -> list[PaceEvent]:
    """Return events in the one order in which they are learnt from, whatever order they were read in."""
    return sorted(events, key=lambda event: (event.at, _ORDER[event.kind], event.call, event.agent))


def events_of_call(
    call: str,
    state: CallState,
    *,
    ordered_at: datetime,
    answered_at: datetime | None = None,
    joined_at: datetime | None = None,
    ended_at: datetime | None = None,
    agent: str = "",
) -> list[PaceEvent]:
    """Return what a stored attempt tells a pacer. `ended_at`: when the talk, or the try, was over."""
    told = [PaceEvent(Happened.LAUNCHED, ordered_at, call)]
    if answered_at is not None:
        told.append(PaceEvent(Happened.ANSWERED, answered_at, call))
    if joined_at is not None:
        told.append(PaceEvent(Happened.CONNECTED, joined_at, call, agent))
    if ended_at is None:
        return told
    if joined_at is not None:
        told.append(PaceEvent(Happened.TALK_END, ended_at, call, agent))
    elif state is CallState.ABANDONED:
        told.append(PaceEvent(Happened.ABANDONED, ended_at, call))
    elif answered_at is None and state in _TRIED:
        told.append(PaceEvent(Happened.NO_ANSWER, ended_at, call))
    elif answered_at is None and state not in _ANSWERED:
        told.append(PaceEvent(Happened.FAILED, ended_at, call))
    return told


def _begin(since: dict[str, datetime | None], name: str, at: datetime) -> bool:
    """Keep when it began; False when that was told before."""
    if name in since:
        return False
    since[name] = at
    if len(since) > _REMEMBERED:
        del since[next(iter(since))]
    return True


def _end(since: dict[str, datetime | None], name: str, at: datetime) -> float | None:
    """Return how long it lasted; None when it is over already, or its beginning was never told."""
    began = since.get(name)
    if began is None:
        return None
    since[name] = None
    return (at - began).total_seconds()
