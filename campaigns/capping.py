"""The caps in force for a campaign, and the earlier calls that count against them: read by index, from rows.

Calls count whichever campaign made them. The gate reads them after it has locked every number that counts, so two
campaigns never let the last allowed call pass twice.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from campaigns import ledger
from campaigns.contact_numbers import numbers_of as all_numbers
from campaigns.models import Attempt, Campaign, Contact, Installation
from dialer import caps as rules
from dialer.caps import Call, Cap, Earlier
from dialer.errors import BadInput, NotFound
from dialer.gate import Verdict
from dialer.retries import NEVER_RANG

# An order is sent within seconds of being written; what is counted is the sending, what is indexed the writing.
_SLACK = timedelta(minutes=5)


def in_force(session: Session, campaign: Campaign) -> tuple[Cap, ...]:
    """Return every cap a call of this campaign must keep: its own, and those of the installation."""
    everywhere = session.get(Installation, 1)
    own = [*rules.parse_all(campaign.number_caps), *rules.parse_all(campaign.contact_caps, "contact")]
    if everywhere is not None:
        own += rules.parse_all(everywhere.number_caps)
        own += rules.parse_all(everywhere.contact_caps, "contact")
    return tuple(dict.fromkeys(own))


def numbers_of(contact: Contact) -> tuple[str, ...]:
    """Return every number of a contact, the first one first."""
    return tuple(dict.fromkeys(number for number in (*all_numbers(contact), contact.next_number) if number))


@dataclass(slots=True)
class Counted:
    """The caps in force and the earlier calls to some numbers, as far back as any cap reaches."""

    caps: tuple[Cap, ...] = ()
    calls: dict[str, list[Call]] = field(default_factory=dict)

    @classmethod
    def read(cls, session: Session, campaign: Campaign, contacts: Iterable[Contact], now: datetime) -> "Counted":
        """Read them for some contacts; nothing is asked where no cap is in force."""
        caps = in_force(session, campaign)
        if not caps:
            return cls()
        numbers = {number for contact in contacts for number in numbers_of(contact)}
        at = func.coalesce(Attempt.sent_at, Attempt.ordered_at)
        query = select(Attempt.number, at.label("at"), Attempt.joined_at.is_not(None).label("talked")).where(
            Attempt.number.in_(numbers),
            Attempt.ordered_at > now - rules.reach(caps) - _SLACK,
            Attempt.state.not_in(NEVER_RANG),
        )
        calls: dict[str, list[Call]] = defaultdict(list)
        for row in session.execute(query):
            calls[row.number].append(Call(row.at, row.talked))
        return cls(caps, calls)

    def add(self, number: str, at: datetime) -> None:
        """Count a call that is being ordered, for what is judged after it in the same transaction."""
        self.calls.setdefault(number, []).append(Call(at))

    def judge(self, contact: Contact, number: str, now: datetime, zones: Sequence[str]) -> tuple[Verdict, ...]:
        """Ask each cap about a call to one number of a contact."""
        own = [call for one in numbers_of(contact) for call in self.calls.get(one, ())]
        return rules.judge(self.caps, now, Earlier(self.calls.get(number, ()), own), zones)


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
