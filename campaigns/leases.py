"""Who schedules what: one row per thing, on database time, with a fence that rises at every change of hands.

No advisory locks: behind a transaction pooler two schedulers both hold them. A holder that was asleep finds a
higher fence at the gate and can order nothing (I8).
"""

from collections.abc import Iterable

from sqlalchemy import text
from sqlalchemy.orm import Session

_CLAIM = text(
    """
    INSERT INTO leases AS l (name, holder, fence, expires_at)
    SELECT name, :holder, 1, clock_timestamp() + make_interval(secs => :ttl)
    FROM unnest(CAST(:names AS text[])) AS name ORDER BY name
    ON CONFLICT (name) DO UPDATE SET
        holder = excluded.holder,
        fence = l.fence + CASE
            WHEN l.holder = excluded.holder AND l.expires_at > clock_timestamp() THEN 0 ELSE 1 END,
        expires_at = excluded.expires_at
    WHERE l.holder = excluded.holder OR l.expires_at <= clock_timestamp()
    RETURNING name, fence
    """
)


def claim(session: Session, names: Iterable[str], holder: str, ttl: float) -> dict[str, int]:
    """Take or renew the named leases for `ttl` seconds; returns name -> fence of those we now hold.

    A lease that ran out and is taken again, even by its old holder, gets a new fence: whatever was decided
    under the old one is void.
    """
    wanted = sorted(set(names))
    if not wanted:
        return {}
    rows = session.execute(_CLAIM, {"names": wanted, "holder": holder, "ttl": ttl})
    return {row.name: row.fence for row in rows}


def holds(session: Session, name: str, holder: str, fence: int) -> bool:
    """Whether this claim is still good, on the database's clock; keeps it so until the transaction ends."""
    query = text(
        "SELECT 1 FROM leases WHERE name = :name AND holder = :holder AND fence = :fence "
        "AND expires_at > clock_timestamp() FOR SHARE"
    )
    return session.execute(query, {"name": name, "holder": holder, "fence": fence}).first() is not None


def release(session: Session, holder: str) -> None:
    """Give everything back at once, so that a successor need not wait."""
    session.execute(text("UPDATE leases SET expires_at = clock_timestamp() WHERE holder = :holder"), {"holder": holder})
