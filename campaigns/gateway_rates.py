"""How many calls a second a gateway may be sent: counted from rows, over all campaigns of its PBX."""

from datetime import datetime, timedelta
from math import floor

from sqlalchemy import text
from sqlalchemy.orm import Session

# Two gates that count at once would both find room for the same call.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:pbx, 712))")
_LATELY = text(
    """
    SELECT t.gateway, count(*) AS calls FROM campaigns c
    CROSS JOIN LATERAL (SELECT gateway FROM attempts
                        WHERE campaign_id = c.id AND ordered_at > :since AND pbx = :pbx) AS t
    WHERE (c.pbx = :pbx OR c.id IN (SELECT campaign_id FROM campaign_pbxes WHERE pbx = :pbx))
      AND c.state <> 'archived' GROUP BY t.gateway
    """
)


def window(rate: float) -> tuple[int, timedelta]:
    """Return (calls, in what time): whole calls in a second, or one call in some seconds when the rate is below 1."""
    return (floor(rate), timedelta(seconds=1)) if rate >= 1 else (1, timedelta(seconds=1 / rate))


def room(session: Session, pbx: str, rate: float, now: datetime) -> "Room":
    """Return what each gateway may still be sent now. Other gates of this PBX that ask wait until we commit."""
    most, length = window(rate)
    session.execute(_LOCK, {"pbx": f"gateways of {pbx}"})
    rows = session.execute(_LATELY, {"pbx": pbx, "since": now - length})
    return Room(most, {row.gateway: row.calls for row in rows})


class Room:
    """What was ordered lately on each gateway, and the most that may be."""

    def __init__(self, most: int, ordered: dict[str, int]) -> None:
        self._most, self._ordered = most, ordered

    def left(self, gateway: str) -> int:
        """Return how many more calls this gateway may be sent."""
        return max(0, self._most - self._ordered.get(gateway, 0))
