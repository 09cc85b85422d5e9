"""End calls that have rung long enough and that nobody will be free for, before anybody answers them.

Never sooner than the law lets: measured from the moment the PBX said the phone rang, on locked rows. The answer
may come at the same moment: then the hang-up is withdrawn if nobody has begun to send it, and if it was sent, who
answered was abandoned.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import leases, ledger, pbx_commands
from campaigns.db import ROW_LOCK_OR_SKIP
from campaigns.gate import Claim, LeaseLost
from campaigns.models import Attempt, Campaign, LoggedEvent
from campaigns.pace_calls import MAY_BE_GIVEN_UP
from dialer.abandonment import rule_pack


def least_ring(campaign: Campaign) -> float | None:
    """Return the seconds a phone must have rung before its call may be given up; None when calls ring out."""
    if campaign.min_ring is None:
        return None
    return max(campaign.min_ring, rule_pack(campaign.rule_pack).ring_minimum.total_seconds())


def give_up(
    session: Session, campaign: Campaign, calls: Sequence[str], claim: Claim, *, why: str, now: datetime
) -> list[str]:
    """Order the end of those of `calls` (attempt ids) that still ring, and have for long enough.

    Returns their references, to be looked at after the commit; a call whose row somebody holds, or of which an
    event waits to be understood, is left alone: it may be the answer. LeaseLost when the claim is void.
    """
    least = least_ring(campaign)
    ids = [int(call) for call in calls if call.isdecimal()]
    if least is None or not ids:
        return []
    if not leases.holds(session, claim.name, claim.holder, claim.fence):
        raise LeaseLost(claim.name)
    unheard = select(LoggedEvent.id).where(
        LoggedEvent.ref == Attempt.ref, LoggedEvent.handled_at.is_(None), ~LoggedEvent.can_wait
    )
    ringing = (
        select(Attempt)
        .where(
            Attempt.id.in_(ids),
            Attempt.campaign_id == campaign.id,
            Attempt.state.in_(MAY_BE_GIVEN_UP),
            Attempt.answered_at.is_(None),
            Attempt.over_at.is_(None),
            Attempt.given_up_at.is_(None),
            Attempt.pbx_call_id.is_not(None),
            Attempt.ringing_at <= now - timedelta(seconds=least),
            ~unheard.exists(),
        )
        .order_by(Attempt.id)
        .with_for_update(**ROW_LOCK_OR_SKIP)
        .execution_options(populate_existing=True)
    )
    refs: list[str] = []
    for attempt in session.scalars(ringing).all():
        if pbx_commands.order_hang_up(session, attempt, now=now) is None:
            continue
        attempt.given_up_at = now
        assert attempt.ringing_at is not None
        ledger.record(
            session,
            at=now,
            kind="given_up",
            who=f"scheduler:{claim.holder}",
            campaign_id=campaign.id,
            attempt_id=attempt.id,
            why=why,
            rang=round((now - attempt.ringing_at).total_seconds(), 3),
            least_ring=least,
            rule_pack=campaign.rule_pack,
            fence=claim.fence,
        )
        refs.append(attempt.ref)
    return refs
