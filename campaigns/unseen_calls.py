"""Open calls on a PBX that is out of use: which of them count against their campaign's limit of lines.

Nobody can see them, and any may really go on, so each counts until the PBX is back and says what became of it (the
sweep), or its agent says that the line is dead, or no call of its kind lasts so long. What stops counting stays open as
it was: its contact is called nowhere else before the PBX was asked (I3). The limit is about lines, so the worst that
comes of a call that lasts still longer is one line above it.
"""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

# An agent's phone rings first on some PBXs, and none of them rings anybody for longer than five minutes.
_NOT_MET = "interval '6 minutes'"
_TALKING = "interval '1 hour'"

OUT = "(s.out_since IS NOT NULL AND s.back_since IS NULL)"  # of the row `s` of a PBX
# Of an open attempt `t` with the row `s` of its PBX, at `:now`.
COUNTS = f"""(NOT {OUT} OR s.pbx IS NULL OR CASE WHEN t.joined_at IS NULL
    THEN coalesce(t.answered_at, t.sent_at, t.ordered_at) > CAST(:now AS timestamptz) - {_NOT_MET}
    ELSE t.joined_at > CAST(:now AS timestamptz) - {_TALKING}
         AND EXISTS (SELECT FROM assignments u WHERE u.attempt_id = t.id AND u.ended_at IS NULL) END)"""

_LINES = text(
    f"""
    SELECT count(*) FROM attempts t LEFT JOIN pbx_status s ON s.pbx = t.pbx
    WHERE t.campaign_id = :campaign_id AND t.ended_at IS NULL AND {COUNTS}
    """  # noqa: S608 (text of our own)
)


def lines_taken(session: Session, campaign_id: int, now: datetime) -> int:
    """Return how many of its limit of lines a campaign uses, over all its PBXs."""
    return session.scalar(_LINES, {"campaign_id": campaign_id, "now": now}) or 0
