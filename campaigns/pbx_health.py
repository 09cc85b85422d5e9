"""Since when each PBX cannot be called on, and since when it can again, judged where it is read and told on.

Only campaigns of several PBXs ask: what a PBX is out for goes to the others. The row carries it over restarts and
from one scheduler to the next.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns import stored_gateways
from dialer.pools import Outage
from dialer.settings import TimingSettings

# So many orders refused in a row, in so short a time, are the PBX's doing and not the numbers'.
REFUSED_IN_A_ROW = 5

_BAD = text(
    """
    INSERT INTO pbx_status (pbx, out_since, out_why) VALUES (:pbx, :now, :why)
    ON CONFLICT (pbx) DO UPDATE
    SET out_since = coalesce(pbx_status.out_since, excluded.out_since), back_since = NULL, out_why = excluded.out_why
    WHERE pbx_status.out_since IS NULL OR pbx_status.back_since IS NOT NULL OR pbx_status.out_why <> excluded.out_why
    """
)
# Back from an outage that was one: for a while nothing is moved. Back from a hiccup: as if nothing had been.
_GOOD = text(
    """
    UPDATE pbx_status SET
        out_since = CASE WHEN lasting THEN out_since END,
        back_since = CASE WHEN lasting THEN coalesce(back_since, :now) END,
        out_why = CASE WHEN lasting THEN out_why ELSE '' END
    FROM (SELECT pbx AS name, coalesce(back_since, :now) - out_since >= make_interval(secs => :after)
                 AND (back_since IS NULL OR :now - back_since < make_interval(secs => :back_for)) AS lasting
          FROM pbx_status WHERE pbx = :pbx) AS judged
    WHERE pbx = :pbx AND pbx = name AND out_since IS NOT NULL
      AND (NOT lasting OR back_since IS NULL)
    """
)
_LAST_ORDERS = text(
    """
    SELECT t.state FROM campaign_pbxes m JOIN campaigns c ON c.id = m.campaign_id AND c.state <> 'archived'
    CROSS JOIN LATERAL (SELECT state, ordered_at FROM attempts
                        WHERE campaign_id = c.id AND pbx = :pbx AND sent_at IS NOT NULL
                          AND ordered_at > CAST(:now AS timestamptz) - interval '1 minute'
                        ORDER BY ordered_at DESC LIMIT :most) AS t
    WHERE m.pbx = :pbx ORDER BY t.ordered_at DESC LIMIT :most
    """
)

_OUT_OF_USE = text("SELECT pbx, out_since, out_why FROM pbx_status WHERE out_since IS NOT NULL AND back_since IS NULL")


def note(session: Session, pbx: str, trouble: str, *, now: datetime, timing: TimingSettings) -> None:
    """Keep that a PBX can be called on now, or (`trouble`) why it cannot."""
    given: dict[str, Any] = {"pbx": pbx, "now": now}
    if trouble:
        session.execute(_BAD, given | {"why": trouble[:500]})
    else:
        session.execute(_GOOD, given | {"after": timing.failover_after, "back_for": timing.failback_after})


def of_a_good_read(session: Session, pbx: str, gateways: Sequence[Mapping[str, Any]], now: datetime) -> str:
    """Say what keeps a PBX that answers from being called on; empty when nothing does."""
    if not stored_gateways.usable(gateways):
        return "no gateway of it is enabled and registered"
    last = list(session.scalars(_LAST_ORDERS, {"pbx": pbx, "now": now, "most": REFUSED_IN_A_ROW}))
    if len(last) == REFUSED_IN_A_ROW and set(last) == {"refused"}:
        return f"it refused the last {REFUSED_IN_A_ROW} orders"
    return ""


def outages(session: Session, names: Sequence[str]) -> dict[str, Outage]:
    """Return what is kept of these PBXs."""
    query = text("SELECT pbx, out_since, back_since, out_why FROM pbx_status WHERE pbx = ANY(:names)")
    rows = session.execute(query, {"names": list(names)})
    return {row.pbx: Outage(row.out_since, row.back_since, row.out_why) for row in rows}


def out_of_use(session: Session) -> dict[str, Outage]:
    """Return the PBXs that cannot be called on now."""
    rows = session.execute(_OUT_OF_USE)
    return {row.pbx: Outage(row.out_since, None, row.out_why) for row in rows}
