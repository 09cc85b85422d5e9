"""Free lines of a PBX, gateway by gateway, as one look at it found them."""

from dataclasses import dataclass


@dataclass(slots=True)
class Lines:
    """Free lines by gateway; taken one by one, from the gateway with most left.

    `room`: how many calls each gateway may be sent this moment, where the calls per second are limited.
    """

    free: dict[str, int]
    room: dict[str, int] | None = None
    pbx: str | None = None  # whose they are; None: of the campaign's first

    @property
    def total(self) -> int:
        return sum(self.free.values())

    @property
    def now(self) -> int:
        """Calls that can be sent this moment."""
        return sum(map(self._left, self.free))

    def take(self) -> str:
        gateway = max(self.free, key=self._left)
        self.free[gateway] -= 1
        if self.room is not None:
            self.room[gateway] -= 1
        return gateway

    def _left(self, gateway: str) -> int:
        free = self.free[gateway]
        return free if self.room is None else min(free, self.room[gateway])
