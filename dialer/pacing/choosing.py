"""Which contacts to dial: the surest for agents who sit idle, the others for those who will be free.

An idle agent without a call waits for one answer, and the surest contact brings it soonest without any risk. Calls
placed ahead of the agents carry the same risk per answer whoever they go to, so the sure contacts are kept for where
they save most.

Where a person has set the order nothing is chosen: the contacts come as they do, and each is worth what it is.
"""

from collections import deque
from collections.abc import Mapping

from dialer.pacing.answers import Answers
from dialer.pacing.base import Snapshot


class Chooser:
    """Hands out groups, one call at a time, while there are contacts of them."""

    def __init__(self, answers: Answers, now: Snapshot) -> None:
        self._in_order = deque(group for group, count in now.prospects for _ in range(count)) if now.in_order else None
        self._left: dict[str, int] = {}
        for group, count in now.prospects:
            if count > 0:
                self._left[group] = self._left.get(group, 0) + count
        self._chances: Mapping[str, float] = {group: answers.chance(group) for group in self._left}
        self._usual = self._mean(answers)
        self._sure_first = sorted(self._left, key=lambda group: (-self._chances[group], group))

    @property
    def matters(self) -> bool:
        """Whether there is anything to choose."""
        return self._in_order is None and len(self._sure_first) > 1

    def _mean(self, answers: Answers) -> float:
        total = sum(self._left.values())
        if not total:
            return answers.chance()
        return sum(self._chances[group] * count for group, count in self._left.items()) / total

    def next(self, *, idle: bool) -> tuple[str, float]:
        """Take one contact for an agent who is idle (or will be free): its group, and the chance that it answers."""
        if self._in_order is not None:
            group = self._in_order.popleft() if self._in_order else ""
            return group, self._chances.get(group, self._usual)
        order = self._sure_first if idle else reversed(self._sure_first)
        for group in order:
            if self._left[group] > 0:
                self._left[group] -= 1
                return group, self._chances[group]
        return "", self._usual

    def put_back(self, group: str) -> None:
        """This one is not called after all."""
        if group in self._left:
            self._left[group] += 1
