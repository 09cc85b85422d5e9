"""What the dates, periods and owners of a callback list mean in a campaign, read before its file is."""

from collections import defaultdict
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import periods
from campaigns.callback_dates import Calendar, campaign_zone
from campaigns.import_callbacks import CallbackRows, LegalHours
from campaigns.import_options import ImportOptions
from campaigns.models import Agent, Campaign, CampaignAgent
from dialer.abandonment import rule_pack
from dialer.windows import Hours


def callback_rows(
    session: Session, campaign: Campaign, options: ImportOptions, now: datetime
) -> tuple[CallbackRows, str]:
    """Return the judge of a callback list's rows, and what was assumed of the campaign's time zone."""
    zone, note = campaign_zone(campaign.time_zone, campaign.country, now)
    by_name, default = periods.wanted(session, campaign.id)
    calendar = Calendar(zone, now, Hours.parse(campaign.hours), by_name, default)
    owners, agents = _owners(session, campaign)
    legal = legal_hours(campaign, options.rule_pack)
    return CallbackRows(calendar, legal, options.outside_hours, owners, agents), note


def legal_hours(campaign: Campaign, list_pack: str = "") -> LegalHours:
    """Return the hours of a campaign with those of its rule pack, and of a list's own."""
    packs = [rule_pack(name) for name in dict.fromkeys(filter(None, (campaign.rule_pack, list_pack)))]
    rules = [(pack.name, pack.calling) for pack in packs]
    return LegalHours(Hours.parse(campaign.hours), rules, campaign.country, campaign.time_zone, campaign.mode)


def _owners(session: Session, campaign: Campaign) -> tuple[dict[str, frozenset[int]], list[str]]:
    """Return the campaign's agents by what people call them; a user id means more than an extension, that than a name.

    As `roster.find_agent` reads it, asked once for a file of a million rows.
    """
    mine = select(Agent).join(CampaignAgent, CampaignAgent.agent_id == Agent.id)
    found = session.scalars(mine.where(CampaignAgent.campaign_id == campaign.id).order_by(Agent.name, Agent.id)).all()
    owners: dict[str, frozenset[int]] = {}
    for means in ("name", "extension", "user_id"):
        here: dict[str, set[int]] = defaultdict(set)
        for agent in found:
            if told := " ".join(str(getattr(agent, means)).split()).casefold():
                here[told].add(agent.id)
        owners |= {told: frozenset(ids) for told, ids in here.items()}
    return owners, [f"{one.name or 'no name'} {one.extension or one.user_id}" for one in found]
