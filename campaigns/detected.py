"""Which calls a machine detector ended, and how many of them were people's: heard in a sample, and said per campaign.

These people count as abandoned in every window (`budgets`), report and list, because they answered and met silence;
`dialer.abandonment` reckons how many. The caller owns the transaction.
"""

from datetime import datetime

from sqlalchemy.orm import Session

from campaigns import ledger
from campaigns.models import Campaign
from dialer.errors import BadInput

# SQL of an attempt, never null. Not by the answer: it is told before the detector has listened.
IS = "(joined_at IS NULL AND coalesce(leg_outcome = 'machine', false))"


def set_people_among_machines(
    session: Session, campaign: Campaign, share: float, *, now: datetime, who: str, why: str
) -> bool:
    """Set the share, from 0 to 1, of a campaign whose row the caller has locked; whether it is another.

    `why` says how it was found, which a regulator will ask: BadInput without it.
    """
    if not why.strip():
        raise BadInput("say with --why how it was found: how many of the calls taken for machines were heard, and when")
    if not 0.0 <= share <= 1.0:
        raise BadInput(f"{share} is no share: between 0 and 1, as 0.03 or 3%")
    share = round(share, 9)  # 1.1 % is 0.011000000000000001 to a float, and one person more
    before = campaign.people_among_machines
    if share == before:
        return False
    campaign.people_among_machines = share
    ledger.record(
        session, at=now, kind="people_among_machines", who=who, campaign_id=campaign.id, why=why,
        before=before, after=share,
    )  # fmt: skip
    return True
