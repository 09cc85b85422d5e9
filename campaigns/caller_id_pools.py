"""The pool of caller ids of each campaign, as people set it: add, remove, cap, rest, wake.

Every change is in the ledger with who and why. The caller owns the transaction.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from campaigns import caller_ids, ledger
from campaigns.campaign_values import caller_id_doubt, checked_caller_id
from campaigns.models import CallerId, Campaign, CampaignCallerId, ContactList
from dialer.errors import BadInput, NotFound, RefusedByRule
from dialer.retries import NEVER_RANG

LONGEST_REST = timedelta(days=366)

_SHOWN = text(f"""
    SELECT c.number, c.daily_cap, c.rest, c.resting_until, c.resting_because, c.added_at, c.added_by,
           (SELECT array_agg(k.name ORDER BY k.name) FROM campaign_caller_ids p JOIN campaigns k ON k.id = p.campaign_id
            WHERE p.number = c.number) AS campaigns,
           day.calls, day.answered, day.last_at
    FROM caller_ids c CROSS JOIN LATERAL (
        SELECT count(*) AS calls, count(answered_at) AS answered, max(ordered_at) AS last_at FROM attempts a
        WHERE a.caller_id = c.number AND a.ordered_at > :since
          AND a.state NOT IN ({", ".join(f"'{state}'" for state in NEVER_RANG)})) AS day
    WHERE (CAST(:campaign AS bigint) IS NULL OR EXISTS (
              SELECT FROM campaign_caller_ids p WHERE p.number = c.number AND p.campaign_id = :campaign))
      AND (CAST(:number AS text) IS NULL OR c.number = :number)
    ORDER BY c.number
""")  # noqa: S608 (text of our own)


@dataclass(frozen=True, slots=True)
class Shown:
    """One caller id, and what it did in the last 24 hours."""

    number: str
    daily_cap: int | None
    rest: float  # seconds
    resting_until: datetime | None  # in the future, or None
    resting_because: str
    campaigns: Sequence[str]
    calls: int
    answered: int
    last_at: datetime | None
    added_at: datetime
    added_by: str

    def as_json(self) -> dict[str, Any]:
        """Return it for a program."""
        told = {name: getattr(self, name) for name in self.__slots__}
        return {**told, "campaigns": list(self.campaigns), "share": self.answered / self.calls if self.calls else None}


def shown(
    session: Session, *, campaign: Campaign | None = None, number: str | None = None, now: datetime
) -> list[Shown]:
    """Return the caller ids there are, or a campaign's, with the calls of the last 24 hours."""
    given = {"since": now - caller_ids.A_DAY, "campaign": campaign.id if campaign else None, "number": number}
    found = []
    for row in session.execute(_SHOWN, given).mappings():
        values = {**row, "campaigns": row["campaigns"] or []}
        if row["resting_until"] is not None and row["resting_until"] <= now:
            values |= {"resting_until": None, "resting_because": ""}
        found.append(Shown(**values))
    return found


def add(
    session: Session,
    campaign: Campaign,
    given: str,
    *,
    daily_cap: int | None = None,
    rest: float | None = None,
    who: str,
    now: datetime,
    why: str = "",
) -> tuple[CallerId, list[str]]:
    """Put a number in a campaign's pool; returns it with what makes it doubtful. The caller holds the campaign's row.

    RefusedByRule where a rule pack of the campaign or of one of its lists bars it.
    """
    if campaign.state == "archived":
        raise BadInput(f"campaign {campaign.name} is archived: its caller ids cannot be changed")
    number = checked_caller_id(given, campaign.country)
    of_lists = packs_of_lists(session, campaign)
    if why_not := caller_ids.barred(number, campaign.rule_pack, of_lists, campaign.mode):
        raise RefusedByRule(f"campaign {campaign.name}: {why_not}")
    values = {"number": number, "added_by": who, "added_at": now}
    session.execute(insert(CallerId).values(values).on_conflict_do_nothing())
    one = _locked(session, number)
    _set(one, daily_cap, rest)
    pooled = {"campaign_id": campaign.id, "number": number}
    new = session.execute(
        insert(CampaignCallerId).values(pooled).on_conflict_do_nothing().returning(CampaignCallerId.number)
    ).first()
    if new is not None or daily_cap is not None or rest is not None:
        _record(session, one, "add", who=who, now=now, why=why, campaign=campaign)
    return one, doubts(campaign, number, of_lists)


def begin(session: Session, campaign: Campaign, *, who: str, now: datetime) -> None:
    """Give a new campaign the pool of its one number."""
    session.execute(
        insert(CallerId).values(number=campaign.caller_id, added_by=who, added_at=now).on_conflict_do_nothing()
    )
    session.add(CampaignCallerId(campaign_id=campaign.id, number=campaign.caller_id))
    session.flush()


def remove(session: Session, campaign: Campaign, given: str, *, who: str, now: datetime, why: str = "") -> CallerId:
    """Take a number out of a campaign's pool; calls that show it go on. The caller holds the campaign's row."""
    number = known(session, given, campaign.country).number
    pool = set(numbers_of(session, campaign))
    if number not in pool:
        raise NotFound(f"campaign {campaign.name} does not show {number}: it shows {', '.join(sorted(pool))}")
    if len(pool) == 1:
        raise BadInput(f"{number} is the only caller id of campaign {campaign.name}: add another one first")
    one = _locked(session, number)
    session.delete(session.get_one(CampaignCallerId, (campaign.id, number)))
    session.flush()
    if campaign.caller_id == number:
        campaign.caller_id = min(pool - {number})
    _record(session, one, "remove", who=who, now=now, why=why, campaign=campaign)
    return one


def change(
    session: Session,
    given: str,
    *,
    daily_cap: int | None = None,
    rest: float | None = None,
    who: str,
    now: datetime,
    why: str = "",
) -> CallerId:
    """Give a number another daily cap (0: none) or length of rest, for every campaign that shows it.

    BadInput for a cap that is raised or taken away without a reason: it spares the people who are called, too.
    """
    one = _locked(session, known(session, given).number)
    before = one.daily_cap
    looser = before is not None and daily_cap is not None and (daily_cap == 0 or daily_cap > before)
    if looser and not why.strip():
        raise BadInput(f"{one.number}: a daily cap of {before} is loosened for a reason only: give it with --why")
    _set(one, daily_cap, rest)
    _record(session, one, "set", who=who, now=now, why=why)
    return one


def rest(session: Session, given: str, *, until: datetime, because: str, who: str, now: datetime) -> CallerId:
    """Show a number to nobody until then."""
    if not now < until <= now + LONGEST_REST:
        raise BadInput("a caller id rests a second at least, and a year at most")
    one = _locked(session, known(session, given).number)
    one.resting_until, one.resting_because = until, because or "somebody said so"
    _record(session, one, "rest", who=who, now=now, why=because)
    return one


def wake(session: Session, given: str, *, who: str, now: datetime, why: str = "") -> bool:
    """End a number's rest; what it did before is not held against it again. Returns whether it was resting."""
    one = _locked(session, known(session, given).number)
    if one.resting_until is None or one.resting_until <= now:
        return False
    one.resting_until = now
    _record(session, one, "wake", who=who, now=now, why=why)
    return True


def known(session: Session, given: str, country: str = "") -> CallerId:
    """Find a caller id as people write it; NotFound says which there are."""
    digits = re.sub(r"[\s().\-/]+", "", given)
    wanted = {digits, f"+{digits[2:]}" if digits.startswith("00") else digits}
    if country:
        wanted.add(checked_caller_id(given, country))
    found = session.scalars(select(CallerId).where(CallerId.number.in_(wanted))).first()
    if found is None:
        some = session.scalars(select(CallerId.number).order_by(CallerId.number).limit(6)).all()
        told = (
            f"there are {', '.join(some[:5])}{' and others' if len(some) > 5 else ''}" if some else "there is none yet"
        )
        shown_as = "".join(char if char.isprintable() else "?" for char in given)[:30]
        raise NotFound(f"no campaign shows {shown_as!r}; {told}. Write it with + and its country code")
    return found


def numbers_of(session: Session, campaign: Campaign) -> list[str]:
    """Return the numbers a campaign shows."""
    query = select(CampaignCallerId.number).where(CampaignCallerId.campaign_id == campaign.id)
    return list(session.scalars(query.order_by(CampaignCallerId.number))) or [campaign.caller_id]


def packs_of_lists(session: Session, campaign: Campaign) -> tuple[str, ...]:
    """Return the rule packs of a campaign's lists, beside its own."""
    query = select(ContactList.rule_pack).where(
        ContactList.campaign_id == campaign.id, ContactList.rule_pack.is_not(None), ContactList.undone_at.is_(None)
    )
    return tuple(sorted({pack for pack in session.scalars(query) if pack is not None}))


def doubts(campaign: Campaign, number: str, of_lists: Sequence[str]) -> list[str]:
    """Say what may be wrong with a campaign's number: for its carrier, or by a law."""
    told = caller_ids.laws_of(number, campaign.rule_pack, of_lists, campaign.mode)
    plan = caller_id_doubt(number, campaign.country)
    if plan and not any("public plan" in one for one in told):
        told = [*told, f"the caller id {number} may be refused by the PBX or its carrier: {plan}"]
    return list(told)


def shortcomings(session: Session, campaign: Campaign) -> list[str]:
    """Say what is wrong with a campaign's pool before it calls; empty when nothing is."""
    of_lists = packs_of_lists(session, campaign)
    return [doubt for number in numbers_of(session, campaign) for doubt in doubts(campaign, number, of_lists)]


def _set(one: CallerId, daily_cap: int | None, rest: float | None) -> None:
    if daily_cap is not None:
        if not 0 <= daily_cap <= 100_000:
            raise BadInput(f"a daily cap of {daily_cap}: give 1 to 100,000 calls, or none")
        one.daily_cap = daily_cap or None
    if rest is not None:
        if not 0 <= rest <= LONGEST_REST.total_seconds():
            raise BadInput("a caller id rests at most a year; 0 lets it never rest by itself")
        one.rest = rest


def _locked(session: Session, number: str) -> CallerId:
    return session.get_one(CallerId, number, with_for_update={"key_share": True}, populate_existing=True)


def _record(
    session: Session, one: CallerId, verb: str, *, who: str, now: datetime, why: str, campaign: Campaign | None = None
) -> None:
    until = one.resting_until.isoformat() if one.resting_until is not None else None
    told: dict[str, Any] = {"verb": verb, "caller_id": one.number, "daily_cap": one.daily_cap, "rest": one.rest}
    ledger.record(
        session, at=now, kind="caller_id", who=who, campaign_id=campaign.id if campaign else None, why=why,
        resting_until=until, **told,
    )  # fmt: skip
