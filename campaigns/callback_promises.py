"""Whether a promised callback could be kept at all: asked of the rules of calling while the person is on the line.

A promise is not made later by moving it, so what the rules would not allow within its time is refused.
"""

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from campaigns.models import Campaign, Contact
from campaigns.putting_off import next_allowed
from dialer.errors import BadInput


def first_moment(
    session: Session, campaign: Campaign, contact: Contact, number: str, at: datetime, ends: datetime, zone: ZoneInfo
) -> datetime:
    """Return the first moment of the promised stretch at which the rules allow the call; BadInput when none does."""
    allowed = next_allowed(session, campaign, contact, number, at, promised=True)
    if allowed > ends or (allowed == ends and at != ends):
        raise BadInput(
            f"the callback cannot be promised for {_wall(at, zone)}: the rules of calling (hours where the phone is, "
            f"caps, gap) allow it from {_wall(allowed, zone)} on"
        )
    return allowed


def _wall(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M} ({zone.key})"
