"""From the contacts imported to those that may be rung now: each is counted once, under the rule that holds it back.

The rules stand in `waterfall_rules`, in the gate's own order; whichever comes first there counts. Nothing here binds
anybody: only the gate, on locked rows, decides.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from campaigns import list_caps, waterfall_plan
from campaigns import waterfall_groups as groups
from campaigns import waterfall_sql as sql
from campaigns.models import Campaign, Contact, ContactList
from campaigns.prospects import ALIKE_FROM
from campaigns.waterfall_held import Held
from campaigns.waterfall_steps import Counting, Waterfall, alike_of
from dialer.modes import AGENTLESS
from dialer.retries import NEVER_RANG


def waterfall(
    session: Session,
    campaign: Campaign,
    *,
    now: datetime,
    ring_seconds: float,
    contact_list: ContactList | None = None,
) -> Waterfall:
    """Count the contacts of a campaign, or of one list of it, down to those that may be rung now."""
    packs = groups.Packs.read(session, campaign)
    lists = _lists(session, campaign, contact_list)
    full = list_caps.full(session, campaign.id, now)
    columns = {
        "passed_over": sql.PASSED_OVER,
        "keys": groups.columns(packs, campaign),
        "with_agent": groups.with_agent(campaign.mode),
    }
    due = sql.DUE.format(**columns)
    values = groups.parameters(campaign, packs, now=now, ring_seconds=ring_seconds) | {
        "campaign_id": campaign.id,
        "lists": lists,
        "rests": packs.rests(campaign.mode, with_agent=False),
        "rests_with_agent": packs.rests(campaign.mode, with_agent=True),
        "gap": campaign.number_gap,
        "max_attempts": campaign.max_attempts,
        "tried": min(campaign.max_attempts, ALIKE_FROM),
        "never_rang": [str(state) for state in NEVER_RANG],
        "agentless": campaign.mode == AGENTLESS,
        "full": [one.list_id for one in full],
    }
    values |= Held.read(session, campaign, packs, due, values, now).parameters()
    asking = {"due": due, "found": sql.FOUND, **columns}
    with waterfall_plan.counting(session):
        rows = session.execute(text(sql.COUNTED.format(**asking)), values).all()
    counting = Counting({one.list_id: one.until for one in full})
    for row in rows:
        if row.stands == "not due":
            counting.not_due(row.head, row.contacts, row.next_at)
    alike = alike_of(rows)
    if any(one.agree_unknown for one in alike):
        with waterfall_plan.counting(session):
            agree = {row[:3]: row.consent_at for row in session.execute(text(sql.AGREE.format(**asking)), values)}
        alike = [replace(one, consent_at=agree.get(one.place)) if one.agree_unknown else one for one in alike]
    examples = _examples(session, [one.example for one in alike])
    judge = groups.Judge(campaign, packs, now=now, ring_seconds=ring_seconds)
    for one in alike:
        counting.due(one, judge.refusal(examples[one.example], one.place[0], one.consent, one.consent_at))
    return counting.waterfall()


def _examples(session: Session, ids: Sequence[int]) -> dict[int, Any]:
    query = select(
        Contact.id,
        func.coalesce(Contact.next_number, Contact.phone).label("number"),
        Contact.region, Contact.postcode, Contact.time_zone,
    ).where(Contact.id.in_(ids))  # fmt: skip
    return {row.id: row for row in session.execute(query)}


def _lists(session: Session, campaign: Campaign, only: ContactList | None) -> list[int]:
    """Return the lists that count: all of the campaign but those that were taken back, or one of them."""
    query = select(ContactList.id).where(ContactList.campaign_id == campaign.id, ContactList.undone_at.is_(None))
    if only is not None:
        query = query.where(ContactList.id == only.id)
    return list(session.scalars(query.order_by(ContactList.id)))
