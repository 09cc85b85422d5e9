"""What the pacer decided lately, to show."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.models import Campaign, PaceDecision


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision, or several equal ones in a row: `ticks` of them between `decided_at` and `until_at`."""

    decided_at: datetime
    until_at: datetime
    ticks: int
    calls: int
    ordered: int
    why: str

    def as_json(self) -> dict[str, Any]:
        """Return the decision for a program."""
        return asdict(self)


def last_decisions(session: Session, campaign: str, count: int) -> list[Decided]:
    """Return the newest `count` decisions about a campaign, newest first."""
    query = (
        select(PaceDecision)
        .join(Campaign, Campaign.id == PaceDecision.campaign_id)
        .where(Campaign.name == campaign)
        .order_by(PaceDecision.decided_at.desc(), PaceDecision.id.desc())
        .limit(count)
    )
    return [
        Decided(row.decided_at, row.until_at, row.ticks, row.calls, row.ordered, row.why)
        for row in session.scalars(query)
    ]
