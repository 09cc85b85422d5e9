"""Who schedules what: one row per thing, on database time, with a fence that rises at every change of hands.

No advisory locks: behind a transaction pooler two schedulers both hold them. A holder that was asleep finds a
higher fence at the gate and can order nothing (I8).
"""

import math
from collections.abc import Iterable, Sequence

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

_PRESENT = "present:"  # with the holder's name: one that lives, whether or not it leads anything
_ALIVE = text("SELECT count(*) FROM leases WHERE starts_with(name, :present) AND expires_at > clock_timestamp()")
# Each process has a name of its own, and most go without a word. Two that tidy at once do not wait for each other.
_FORGET = text(
    """
    DELETE FROM leases WHERE name IN (
        SELECT name FROM leases
        WHERE starts_with(name, :present) AND expires_at < clock_timestamp() - interval '1 minute'
        FOR UPDATE SKIP LOCKED
    )
    """
)
_HOLDERS = text("SELECT name, holder FROM leases WHERE name = ANY(:names) AND expires_at > clock_timestamp()")
_HOLDS = text(
    "SELECT 1 FROM leases WHERE name = :name AND holder = :holder AND fence = :fence "
    "AND expires_at > clock_timestamp() FOR SHARE"
)
_GIVE_BACK = text(
    "UPDATE leases SET expires_at = clock_timestamp() WHERE name = ANY(:names) AND holder = :holder "
    "AND expires_at > clock_timestamp()"
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
    return session.execute(_HOLDS, {"name": name, "holder": holder, "fence": fence}).first() is not None


def release(session: Session, holder: str) -> None:
    """Give everything back at once, so that a successor need not wait."""
    session.execute(text("UPDATE leases SET expires_at = clock_timestamp() WHERE holder = :holder"), {"holder": holder})


def take_part(session: Session, holder: str, ttl: float) -> int:
    """Say that this holder lives, for `ttl` seconds; returns how many do."""
    claim(session, [_PRESENT + holder], holder, ttl)
    session.execute(_FORGET, {"present": _PRESENT})
    return int(session.execute(_ALIVE, {"present": _PRESENT}).scalar_one())


def fair_share(session: Session, names: Sequence[str], holder: str, present: int) -> list[str]:
    """Which of these leases this holder should claim now that `present` holders live; what it holds above that it
    gives back.

    Everybody keeps what they have up to an equal part, rounded up, and takes what is free up to it: things change
    hands only when somebody comes or goes, and the parts of all together are never less than everything.
    """
    rows = session.execute(_HOLDERS, {"names": list(names)})
    holders = {row.name: row.holder for row in rows}
    part = math.ceil(len(names) / present)
    ours = [name for name in names if holders.get(name) == holder]
    free = [name for name in names if name not in holders]
    if len(ours) > part:
        session.execute(_GIVE_BACK, {"names": ours[part:], "holder": holder})
    return [*ours[:part], *free[: max(0, part - len(ours))]]
