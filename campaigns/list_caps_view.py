"""How far a campaign's lists were worked, as people ask: counted from the rows, whether a list has a cap or not."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns import list_caps
from campaigns.campaign_values import usual_zone
from campaigns.models import Campaign
from dialer.list_caps import Standing
from dialer.rate_windows import midnight

_WORKED = text("""
    SELECT l.id, l.name, l.cap, l.cap_today, k.contacts, k.tried, coalesce(today.tried, 0) AS today
    FROM lists l
    CROSS JOIN LATERAL (SELECT count(*) AS contacts, count(*) FILTER (WHERE tried > 0) AS tried
                        FROM contacts WHERE list_id = l.id) AS k
    LEFT JOIN (SELECT answer_group, count(*) AS tried FROM attempts
               WHERE campaign_id = :campaign AND ordered_at >= :day_begins GROUP BY answer_group) AS today
        ON today.answer_group = l.id || '/1'
    WHERE l.campaign_id = :campaign AND l.undone_at IS NULL AND l.kind <> 'manual'
    ORDER BY l.id
""")


def worked(session: Session, campaign: Campaign, now: datetime) -> Sequence[Standing]:
    """Return how far each list was worked, the oldest first."""
    zone = usual_zone(campaign.country, campaign.time_zone)
    given = {"campaign": campaign.id, "day_begins": midnight(now, zone)}
    offered = list_caps.offered(session, campaign.id)
    ends = midnight(now, zone, days=1)
    return [Standing.of((*row, ends), now, offered[row.id]) for row in session.execute(_WORKED, given)]


def told(one: Standing) -> dict[str, Any]:
    """Return a list for a program. `room`: how many more may be called for the first time; null: all."""
    return {
        "id": one.list_id,
        "list": one.name,
        "contacts": one.contacts,
        "tried": one.tried,
        "penetration": round(one.penetration, 6),
        "tried_today": one.today,
        "cap": str(one.cap) if one.cap else None,
        "cap_today": str(one.cap_today) if one.cap_today else None,
        "room": one.room,
        "until": one.until,
    }
