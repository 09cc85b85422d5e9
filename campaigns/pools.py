"""The PBXs of a campaign, in their order: its own one, or several that share its calls.

Every change locks the campaign's row, as the gate does, and is written in the ledger. The caller owns the transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from campaigns import ledger, pbx_health
from campaigns.models import Campaign, CampaignPbx
from dialer.errors import BadInput, NotFound
from dialer.pools import POOL, REMOVED, STANDBY, Member, Outage
from dialer.settings import TimingSettings

# What a replay or a forecast of such a campaign says of itself.
AS_ONE = "in truth nobody is joined across PBXs, so the figures are somewhat too good where few agents work on each"


@dataclass(frozen=True, slots=True)
class Place:
    """One PBX of a campaign, and its part there."""

    pbx: str
    role: str


def of(session: Session, campaign: Campaign, *, removed: bool = False) -> list[Place]:
    """Return the campaign's PBXs in their order; with `removed` also those whose calls may still go on."""
    rows = session.execute(
        select(CampaignPbx.pbx, CampaignPbx.role)
        .where(CampaignPbx.campaign_id == campaign.id)
        .order_by(CampaignPbx.role == REMOVED, CampaignPbx.position, CampaignPbx.pbx)
    ).all()
    if not rows:
        return [Place(campaign.pbx, POOL)]
    return [Place(row.pbx, row.role) for row in rows if removed or row.role != REMOVED]


def names(session: Session, campaign: Campaign) -> list[str]:
    """Return the names of the campaign's PBXs, its first one first."""
    return [place.pbx for place in of(session, campaign)]


def in_the_pool(session: Session, campaign: Campaign) -> list[str]:
    """Return the PBXs that share the campaign's calls while all is well."""
    return [place.pbx for place in of(session, campaign) if place.role == POOL]


def members(session: Session, campaign: Campaign, *, now: datetime, timing: TimingSettings) -> list[Member]:
    """Return the campaign's PBXs with what is known of their health."""
    places = of(session, campaign, removed=True)
    kept = pbx_health.outages(session, [place.pbx for place in places])
    return [member(place.pbx, place.role, kept.get(place.pbx, Outage()), now=now, timing=timing) for place in places]


def member(pbx: str, role: str, outage: Outage, *, now: datetime, timing: TimingSettings) -> Member:
    """Judge one PBX by the time an outage must last, and be over."""
    out = outage.lasts(now, after=timing.failover_after, back_for=timing.failback_after)
    return Member(pbx, role, out, outage.why)


def add(
    session: Session, campaign: Campaign, pbx: str, *, standby: bool = False, who: str, now: datetime, why: str = ""
) -> list[Place]:
    """Let a campaign call through one more PBX, last in the order; or give one it has the other role.

    The caller holds the campaign's row and has seen that the PBX can do what the campaign's mode needs.
    """
    _changeable(campaign)
    role = STANDBY if standby else POOL
    before = of(session, campaign, removed=True)
    kept = [place for place in before if place.pbx != pbx]
    same = next((place for place in before if place.pbx == pbx), None)
    if same is not None and same.role != REMOVED:
        after = [Place(pbx, role) if place.pbx == pbx else place for place in before]
    else:
        alive = [place for place in kept if place.role != REMOVED]
        after = [*alive, Place(pbx, role), *(place for place in kept if place.role == REMOVED)]
    _write(session, campaign, before, after, verb="add", who=who, now=now, why=why, about=pbx)
    return of(session, campaign)


def remove(session: Session, campaign: Campaign, pbx: str, *, who: str, now: datetime, why: str = "") -> list[Place]:
    """Order no more calls of a campaign from a PBX; what rings or talks there goes on to its end."""
    _changeable(campaign)
    before = of(session, campaign, removed=True)
    if all(place.pbx != pbx or place.role == REMOVED for place in before):
        raise NotFound(f"campaign {campaign.name} does not call through PBX {pbx}; it does through {_listed(before)}")
    after = [Place(place.pbx, REMOVED) if place.pbx == pbx else place for place in before]
    _write(session, campaign, before, after, verb="remove", who=who, now=now, why=why, about=pbx)
    return of(session, campaign)


def order(
    session: Session, campaign: Campaign, wanted: Sequence[str], *, who: str, now: datetime, why: str = ""
) -> list[Place]:
    """Put the campaign's PBXs in another order: standbys step in by it, and the first is the campaign's own."""
    _changeable(campaign)
    before = of(session, campaign, removed=True)
    alive = {place.pbx: place for place in before if place.role != REMOVED}
    if sorted(wanted) != sorted(alive):
        raise BadInput(f"name each PBX of campaign {campaign.name} once: {', '.join(alive)}")
    after = [*(alive[name] for name in wanted), *(place for place in before if place.role == REMOVED)]
    _write(session, campaign, before, after, verb="order", who=who, now=now, why=why)
    return of(session, campaign)


def begin(
    session: Session, campaign: Campaign, pbxes: Sequence[str], standbys: Sequence[str], *, who: str, now: datetime
) -> None:
    """Give a new campaign its PBXs; one alone needs no row."""
    named = [*pbxes, *standbys]
    twice = next((name for name in named if named.count(name) > 1), None)
    if twice is not None:
        raise BadInput(f"PBX {twice} is given twice: each once, with --pbx or with --standby")
    if len(named) > 1:
        after = [*(Place(name, POOL) for name in pbxes), *(Place(name, STANDBY) for name in standbys)]
        _write(session, campaign, [Place(campaign.pbx, POOL)], after, verb="create", who=who, now=now, why="")


def _changeable(campaign: Campaign) -> None:
    if campaign.state == "archived":
        raise BadInput(f"campaign {campaign.name} is archived: its PBXs cannot be changed")


def _write(
    session: Session,
    campaign: Campaign,
    before: Sequence[Place],
    after: Sequence[Place],
    *,
    verb: str,
    who: str,
    now: datetime,
    why: str,
    about: str = "",
) -> None:
    if before == after:
        return
    alive = [place for place in after if place.role != REMOVED]
    if not any(place.role == POOL for place in alive):
        raise BadInput(
            f"campaign {campaign.name} needs one PBX that is not a standby: "
            f"`dialer campaign pbx add` another first, or stop the campaign"
        )
    session.execute(delete(CampaignPbx).where(CampaignPbx.campaign_id == campaign.id))
    for position, place in enumerate(after):
        session.add(CampaignPbx(campaign_id=campaign.id, pbx=place.pbx, position=position, role=place.role))
    campaign.pbx = alive[0].pbx
    session.flush()
    more: dict[str, Any] = {"pbx": about} if about else {}
    ledger.record(
        session, at=now, kind="pbxes", who=who, campaign_id=campaign.id, why=why, verb=verb, old=_told(before),
        new=_told(after), **more,
    )  # fmt: skip


def _told(places: Sequence[Place]) -> list[str]:
    return [f"{place.pbx}:{place.role}" for place in places]


def _listed(places: Sequence[Place]) -> str:
    return ", ".join(place.pbx for place in places if place.role != REMOVED)
