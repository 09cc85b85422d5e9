"""Which of a campaign's numbers a person is shown: the one that is most at home where they are, then the least used.

At home is whoever shares the country, and within it the longest part of the caller id's own area code. Digits after the
area code say nothing about a place, so they never decide: a number that differs from the customer's in its last digits
alone is no neighbour. Numbers that no public plan knows are at home nowhere.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from heapq import heapify, heappop, heapreplace

import phonenumbers

from dialer.numbers import E164, calling_code

# So often shown, caller ids count as equally used: whoever was shown longest ago comes next, and nobody counts farther.
ALIKE_FROM = 30
_LONGEST_AREA_CODE = 6
_Place = tuple[str, str]  # a country, and how a number of it begins: ("IT", "+3902")
_ANYWHERE: _Place = ("", "")


@dataclass(frozen=True, slots=True)
class CallerId:
    """One that may be shown now."""

    number: str
    used: int = 0  # calls of the last day, as far as they were counted
    last_at: datetime | None = None  # when it was last shown
    left: int | None = None  # calls it may still make; None: any number


class Pool:
    """The caller ids a batch of calls may show. Each call taken counts for the next."""

    def __init__(self, caller_ids: Collection[CallerId]) -> None:
        self._left = {one.number: one.left for one in caller_ids}
        self._turn = max((one.last_at.timestamp() for one in caller_ids if one.last_at is not None), default=0.0)
        self._used = {
            one.number: (min(one.used, ALIKE_FROM), one.last_at.timestamp() if one.last_at else 0.0, one.number)
            for one in caller_ids
        }
        self._places: dict[_Place, list[tuple[int, float, str]]] = {}
        for number, used in self._used.items():
            # With one alone there is nothing to choose, and no number to be read for it.
            for place in _home(number) if len(self._used) > 1 else (_ANYWHERE,):
                self._places.setdefault(place, []).append(used)
        for heap in self._places.values():
            heapify(heap)

    @property
    def left(self) -> int | None:
        """Calls that may still be made; None: any number."""
        if any(left is None for left in self._left.values()):
            return None
        return sum(left or 0 for left in self._left.values())

    def take(self, number: str) -> str:
        """Return the caller id for a call to an E.164 number; LookupError when none has a call left."""
        for place in _nearest(number) if len(self._places) > 1 else (_ANYWHERE,):
            heap = self._places.get(place, [])
            while heap:
                used = heap[0]
                caller_id = used[2]
                left = self._left[caller_id]
                if left == 0:
                    heappop(heap)
                elif used != self._used[caller_id]:
                    heapreplace(heap, self._used[caller_id])  # it was taken at another of its places meanwhile
                else:
                    if left is not None:
                        self._left[caller_id] = left - 1
                    self._turn += 1.0
                    self._used[caller_id] = (min(used[0] + 1, ALIKE_FROM), self._turn, caller_id)
                    heapreplace(heap, self._used[caller_id])
                    return caller_id
        raise LookupError("no caller id has a call left")


@lru_cache(maxsize=4096)
def _home(number: str) -> tuple[_Place, ...]:
    """Every place a caller id is at home, down to its area code."""
    if not E164.fullmatch(number):
        return (_ANYWHERE,)
    parsed = phonenumbers.parse(number)
    region = phonenumbers.region_code_for_number(parsed)
    if region is None:
        return (_ANYWHERE,)
    begins = 1 + len(calling_code(number))
    ends = begins + phonenumbers.length_of_geographical_area_code(parsed)
    return (_ANYWHERE, *((region, number[:end]) for end in range(begins, ends + 1)))


def _nearest(number: str) -> Iterator[_Place]:
    """Every place that may be a customer's, the narrowest first."""
    region = _region(number)
    if region:
        begins = 1 + len(calling_code(number))
        for end in range(begins + _LONGEST_AREA_CODE, begins - 1, -1):
            yield region, number[:end]
    yield _ANYWHERE


@lru_cache(maxsize=65_536)
def _region(number: str) -> str:
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(number)) or ""
    except phonenumbers.NumberParseException:
        return ""
