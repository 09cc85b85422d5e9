"""Why a campaign is not calling, all at once: what holds it, the last decision of its pacer, and its waterfall."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from campaigns import why
from campaigns.lists_view import list_named
from campaigns.models import Campaign
from campaigns.pace_log import Decided, last_decisions
from campaigns.waterfall import waterfall
from campaigns.waterfall_steps import Waterfall


@dataclass(frozen=True, slots=True)
class CampaignWhy:
    """The answer; `list_name` when only one list was asked about."""

    campaign: str
    state: str
    list_name: str | None
    fall: Waterfall
    holding: Sequence[str]
    decided: Decided | None

    def as_json(self) -> dict[str, Any]:
        """Return the answer for a program: the same from the command line and from the API."""
        return {
            "campaign": self.campaign,
            "list": self.list_name,
            "state": self.state,
            **self.fall.as_json(),
            "holding": list(self.holding),
            "pace": self.decided.as_json() if self.decided is not None else None,
        }


def ask(
    session: Session, campaign: Campaign, *, now: datetime, ring_seconds: float, of_list: str | None = None
) -> CampaignWhy:
    """Ask about a campaign, or about one list of it by its name or its import's number (NotFound for no such list)."""
    meant = list_named(session, campaign, of_list) if of_list is not None else None
    decided = last_decisions(session, campaign.name, 1)
    return CampaignWhy(
        campaign.name,
        campaign.state,
        meant.name if meant is not None else None,
        waterfall(session, campaign, now=now, ring_seconds=ring_seconds, contact_list=meant),
        why.holding(session, campaign, now=now),
        decided[0] if decided else None,
    )
