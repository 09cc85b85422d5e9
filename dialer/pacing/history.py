"""Events into what a pacer knows, and stored attempts into events: what is remembered across a restart."""

from collections import OrderedDict, deque
from collections.abc import Iterable
from datetime import datetime, timedelta

from dialer.calls import CallState
from dialer.pacing.answers import Answers, Chance
from dialer.pacing.base import Happened, PaceEvent, Snapshot
from dialer.pacing.inbound import Callers
from dialer.pacing.lengths import Lengths
from dialer.pacing.ringing import Rings

_ORDER = {kind: n for n, kind in enumerate(Happened)}  # of events at the same moment
_REMEMBERED = 20_000  # calls and agents kept in mind; the oldest are forgotten
_STUCK = timedelta(minutes=2)  # a call whose end is not told by then no longer holds up the lessons of later ones
_SETTLE_EVERY = timedelta(seconds=10)  # what was learnt is reckoned into curves this often
_WAITS, _FEW_WAITS = 20, 3  # abandoned calls whose wait is remembered, and from which on it is believed

_TRIED = (CallState.BUSY, CallState.NO_ANSWER, CallState.REJECTED, CallState.UNAVAILABLE)
_ANSWERED = (CallState.COMPLETED, CallState.ABANDONED, CallState.HUNG_UP, CallState.PLAYED)


class Since:
    """Since when each of many things goes on. What is over is remembered as over: an event told twice counts once."""

    def __init__(self) -> None:
        self._since: OrderedDict[str, datetime | None] = OrderedDict()

    def begin(self, name: str, at: datetime) -> bool:
        """Keep when it began; False when that was told before."""
        if name in self._since:
            return False
        self._since[name] = at
        if len(self._since) > _REMEMBERED:
            self._since.popitem(last=False)
        return True

    def end(self, name: str, at: datetime) -> float | None:
        """Return how many seconds it lasted; None when it is over already, or its beginning was never told."""
        began = self._since.get(name)
        if began is None:
            return None
        self._since[name] = None
        return (at - began).total_seconds()


class History:
    """How often calls are answered, and how long ringing, talk and wrap-up last.

    Answers are learnt in the order in which calls were *ordered*. Those of one moment end in another order: first
    the answered, then all the others at once when they have rung out, and a row of two hundred of these would look
    like a list that nobody answers.
    """

    def __init__(self) -> None:
        self.answers = Answers()
        self.rings = Rings()
        self.talk = Lengths(180.0)
        self.wrap_up = Lengths(20.0)
        self.callers = Callers()
        self._ringing, self._talks, self._waiting = Since(), Since(), Since()
        self._waits: deque[float] = deque(maxlen=_WAITS)
        self._wraps: dict[str, datetime] = {}
        self._ordered: deque[tuple[str, datetime, str]] = deque()
        self._ended: dict[str, float | None] = {}  # how far it was answered; None when it says nothing
        self._settled: datetime | None = None

    def observe(self, event: PaceEvent) -> None:
        """Learn from one event."""
        match event.kind:
            case Happened.LAUNCHED:
                if self._ringing.begin(event.call, event.at):
                    if event.expected is not None:
                        self.answers.expect(event.group, event.expected)
                    self._ordered.append((event.call, event.at, event.group))
            case Happened.ANSWERED | Happened.NO_ANSWER | Happened.GIVEN_UP | Happened.FAILED:
                rang = self._ringing.end(event.call, event.at)
                if rang is not None:
                    self._rung(event, rang)
                if event.kind is Happened.ANSWERED:
                    self._waiting.begin(event.call, event.at)
            case Happened.CONNECTED:
                self._waiting.end(event.call, event.at)
                self._talks.begin(event.call, event.at)
            case Happened.TALK_END:
                talked = self._talks.end(event.call, event.at)
                if talked is not None:
                    self.talk.observe(talked)
                    self._wraps[event.agent] = event.at
            case Happened.READY:
                since = self._wraps.pop(event.agent, None)
                if since is not None:
                    self.wrap_up.observe((event.at - since).total_seconds())
            case Happened.LOGIN | Happened.LOGOUT | Happened.PAUSE:
                self._wraps.pop(event.agent, None)  # a wrap-up that ends so says nothing of its length
            case Happened.INBOUND:
                self.callers.observe(event.at)
            case Happened.ABANDONED:
                waited = self._waiting.end(event.call, event.at)
                if waited is not None:
                    self._waits.append(waited)

    def patience(self, by_law: float) -> float:
        """Return for how many seconds after we hear of an answer an agent is in time: at most what the law gives.

        Less where answers are told late, or a machine detector listens first. The longest of the last waits tells:
        others ended sooner, because the customer was taken for a machine.
        """
        return by_law if len(self._waits) < _FEW_WAITS else min(by_law, max(self._waits))

    def pass_hour(self, now: datetime) -> None:
        """It is this hour by now; told as time goes by, and of what is learnt afterwards as it went."""
        self.answers.turn(now.hour)

    def settle(self, now: datetime, seen: Snapshot) -> bool:
        """Reckon what was learnt into curves, with the talks and wrap-ups now running; whether it was time to."""
        self.pass_hour(now)
        for group, value, calls in seen.expected:
            self.answers.expect(group, Chance(value, calls))
        if seen.expected:
            self.answers.face(seen.prospects)
        if self._settled is not None and timedelta(0) <= now - self._settled < _SETTLE_EVERY:
            return False
        self._settled = now
        self.rings.settle()
        self.talk.settle((*seen.talking, *seen.elsewhere))
        self.wrap_up.settle(seen.wrapping)
        return True

    def _rung(self, event: PaceEvent, rang: float) -> None:
        match event.kind:
            case Happened.ANSWERED:
                self.rings.observe(rang, True)
                self._ended[event.call] = 1.0
            case Happened.NO_ANSWER:
                self.rings.observe(rang, False)
                self._ended[event.call] = 0.0
            case Happened.GIVEN_UP:
                self.rings.observe(rang, None)
                self._ended[event.call] = self.rings.left(self.answers.usual, rang)[0]
            case _:
                self._ended[event.call] = None
        while self._ordered:
            call, since, group = self._ordered[0]
            if call not in self._ended and event.at - since < _STUCK:
                return
            self._ordered.popleft()
            answered = self._ended.pop(call, None)
            if answered is not None:
                self.answers.observe(answered, group, since.hour)


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
    group: str = "",
    given_up_at: datetime | None = None,
) -> list[PaceEvent]:
    """Return what a stored attempt tells a pacer. `ended_at`: when the talk, or the try, was over."""
    told = [PaceEvent(Happened.LAUNCHED, ordered_at, call, group=group)]
    if answered_at is not None:
        told.append(PaceEvent(Happened.ANSWERED, answered_at, call))
    elif given_up_at is not None:
        told.append(PaceEvent(Happened.GIVEN_UP, given_up_at, call))
    if joined_at is not None:
        told.append(PaceEvent(Happened.CONNECTED, joined_at, call, agent))
    if ended_at is None:
        return told
    if joined_at is not None:
        told.append(PaceEvent(Happened.TALK_END, ended_at, call, agent))
    elif state is CallState.ABANDONED:
        told.append(PaceEvent(Happened.ABANDONED, ended_at, call))
    elif answered_at is None and given_up_at is None and state in _TRIED:
        told.append(PaceEvent(Happened.NO_ANSWER, ended_at, call))
    elif answered_at is None and given_up_at is None and state not in _ANSWERED:
        told.append(PaceEvent(Happened.FAILED, ended_at, call))
    return told
