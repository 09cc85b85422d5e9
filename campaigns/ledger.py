"""The ledger: what happened, when, who said so and why. Rows are only ever added (I23)."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from campaigns.models import Ledger


def record(
    session: Session,
    *,
    at: datetime,
    kind: str,
    who: str,
    campaign_id: int | None = None,
    attempt_id: int | None = None,
    agent_id: int | None = None,
    why: str = "",
    **details: Any,
) -> Ledger:
    """Add one row; it stands or falls with the caller's transaction, like the thing it tells of.

    `details` must be what JSON can hold. Control characters in a reason typed by a person become spaces: the row
    is printed on terminals, and PostgreSQL keeps no NUL.
    """
    row = Ledger(
        at=at,
        kind=kind,
        who=who,
        campaign_id=campaign_id,
        attempt_id=attempt_id,
        agent_id=agent_id,
        why="".join(char if char.isprintable() else " " for char in why)[:2000],
        details=details,
    )
    session.add(row)
    return row
