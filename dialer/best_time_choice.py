"""Whom to call now and whom later: who answers now nearly as likely as ever goes first, who has a better hour waits.

Whoever is due may be called; this only says in which order, and which of them are put off to their better hour. Nobody
is put off unless those who stay are enough until then, so that no agent sits idle for somebody's better hour; nor for
longer than `PATIENCE` after their last call, so that nobody's chances run out with waiting.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from dialer.best_times import BestTimes, Who, hour_of_week

AHEAD = timedelta(hours=48)  # better hours are looked for so far
PATIENCE = timedelta(days=4)  # and who was called before is not put off beyond this after it
MUCH_BETTER = 1.25  # times as likely, and beyond what chance explains of both
_AS_GOOD = 0.75  # of the best: the first such hour is taken, or everybody would wait for one
_SURE = 1.5  # standard deviations of each
_SLACK = 1.3  # calls made for each that is expected: those who are not reached come back, but not at once
_HOUR = timedelta(hours=1)


class Due(NamedTuple):
    """One who may be called now. `rank`: where the campaign's order puts them, before any hour counts."""

    id: int
    who: Who
    zone: str
    rank: int = 0
    patient: bool = True  # may be put off at all


class Outlook:
    """What the hours ahead hold for people who are due, reckoned once for all who are alike.

    `is_open`: whether phones of a zone may ring from a moment on.
    """

    def __init__(self, times: BestTimes, now: datetime, is_open: Callable[[str, datetime], bool]) -> None:
        self._times, self._now, self._is_open = times, now, is_open
        self._hours: dict[str, list[tuple[datetime, int]]] = {}
        self._turns: dict[tuple[Who, str], tuple[float, datetime | None]] = {}

    def in_order(self, due: Sequence[Due]) -> list[Due]:
        """Return them as they are to be called: within a rank who has least to gain by waiting, then as they came."""
        return sorted(due, key=lambda one: (one.rank, -self._of(one)[0]))

    def put_off(self, due: Sequence[Due], *, staying: int, an_hour: float) -> list[tuple[int, datetime]]:
        """Return who waits for a much better hour, and until when.

        `staying`: how many are due now, these among them; `an_hour`: calls the campaign makes in one.
        """
        later = []
        # Who would themselves rather wait is no reason for another to.
        staying = int(staying * sum(self._of(one)[1] is None for one in due) / max(1, len(due)))
        for one in sorted(due, key=lambda one: self._of(one)[0]):
            until = self._of(one)[1]
            if until is None or not one.patient:
                continue
            needed = an_hour * _SLACK * (1 + sum(at < until for at, _ in self._open(one.zone)))
            if staying >= needed:
                later.append((one.id, until))
        return later

    def _of(self, one: Due) -> tuple[float, datetime | None]:
        """The chance now over the best one ahead, above 1 when it gets no better; and the much better hour, if any."""
        known = self._turns.get((one.who, one.zone))
        if known is None:
            known = self._turns[one.who, one.zone] = self._reckon(one.who, one.zone)
        return known

    def _reckon(self, who: Who, zone: str) -> tuple[float, datetime | None]:
        now = self._times.sure(who, hour_of_week(self._now, zone))
        ahead = [(at, self._times.sure(who, hour)) for at, hour in self._open(zone)]
        best = max((chance.value for _, chance in ahead), default=0.0)
        if not best:
            return 2.0, None
        for at, then in ahead:
            much_better = then.value > MUCH_BETTER * now.value and then.value >= _AS_GOOD * best
            if much_better and then.value - _SURE * then.sd > now.value + _SURE * now.sd:
                return now.value / best, at
        return now.value / best, None

    def _open(self, zone: str) -> list[tuple[datetime, int]]:
        """The beginnings of the hours ahead in which phones of a zone may ring, each with the hour of their week."""
        if zone not in self._hours:
            first = self._now.replace(minute=0, second=0, microsecond=0) + _HOUR
            hours = [first + n * _HOUR for n in range(int(AHEAD / _HOUR))]
            self._hours[zone] = [(at, hour_of_week(at, zone)) for at in hours if self._is_open(zone, at)]
        return self._hours[zone]
