"""The caps in force for a campaign: its own and the installation's. What counts against them is in `earlier_calls`."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from campaigns import ledger
from campaigns.models import Campaign, Installation
from dialer import caps as rules
from dialer.caps import Cap
from dialer.errors import BadInput, NotFound


def in_force(session: Session, campaign: Campaign) -> tuple[Cap, ...]:
    """Return every cap a call of this campaign must keep: its own, and those of the installation."""
    everywhere = session.get(Installation, 1)
    own = [*rules.parse_all(campaign.number_caps), *rules.parse_all(campaign.contact_caps, "contact")]
    if everywhere is not None:
        own += rules.parse_all(everywhere.number_caps)
        own += rules.parse_all(everywhere.contact_caps, "contact")
    return tuple(dict.fromkeys(own))


# Setting them --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CapChange:
    """Caps before and after."""

    setting: str
    old: str
    new: str


def set_caps(
    session: Session,
    campaign: Campaign,
    *,
    number: str | None = None,
    contact: str | None = None,
    now: datetime,
    who: str,
    why: str = "",
) -> list[CapChange]:
    """Give a campaign other caps; None stays, `none` takes them away. Returns what really changed.

    The caller holds the campaign's row. BadInput for one that cannot be read, and for one that is taken away or
    replaced by another without a reason: they are there for the people who are called.
    """
    if campaign.state == "archived":
        raise BadInput(f"campaign {campaign.name} is archived: its caps cannot be changed")
    changes = []
    for setting, given in (("number_caps", number), ("contact_caps", contact)):
        old: str = getattr(campaign, setting)
        if given is None:
            continue
        new = written(given)
        if new == old:
            continue
        gone = set(rules.parse_all(old)) - set(rules.parse_all(new))
        if gone and not why.strip():
            raise BadInput(
                f"campaign {campaign.name}: taking away the cap {', '.join(str(cap) for cap in gone)} needs a reason: "
                "give it with --why, it is kept in the ledger"
            )
        setattr(campaign, setting, new)
        changes.append(CapChange(setting, old, new))
        ledger.record(
            session,
            at=now,
            kind="caps",
            who=who,
            campaign_id=campaign.id,
            why=why,
            setting=setting,
            old=old,
            new=new,
        )
    return changes


def written(given: str) -> str:
    """Return caps as they are kept; BadInput for what cannot be read."""
    return ", ".join(str(cap) for cap in rules.parse_all(given))


def keep_everywhere(session: Session, *, number: str, contact: str, now: datetime, who: str) -> bool:
    """Write the caps of the settings down for every campaign; returns whether they changed.

    Whoever schedules calls does so when it starts, so that a person's command under other settings keeps to them too.
    """
    kept = session.get(Installation, 1, with_for_update=True, populate_existing=True)
    if kept is None:
        raise NotFound("the database has no installation yet: a process that starts makes it")
    before = (kept.number_caps, kept.contact_caps)
    after = (written(number), written(contact))
    if before == after:
        return False
    kept.number_caps, kept.contact_caps = after
    for setting, old, new in zip(("number_caps", "contact_caps"), before, after, strict=True):
        if old != new:
            ledger.record(session, at=now, kind="caps", who=who, why="the settings", setting=setting, old=old, new=new)
    return True
