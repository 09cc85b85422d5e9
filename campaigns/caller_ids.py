"""The caller ids a campaign may show at this moment: read for a whole batch, in the transaction that orders the calls.

How often each was shown is counted from the attempts, over all campaigns that show it, and no farther than its cap, or
than makes a difference to the choice. The rows of those that have a cap are locked first, in one order, before any
contact or number is: two campaigns never let the last call of a day pass twice.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from campaigns.models import Campaign
from dialer.abandonment import rule_pack
from dialer.caller_id_laws import Objection, objections
from dialer.caller_ids import ALIKE_FROM, CallerId, Pool
from dialer.gate import Verdict
from dialer.retries import NEVER_RANG

A_DAY = timedelta(hours=24)  # a caller id has no midnight of its own: any 24 hours

# What a process of the release before wrote has no pool, and shows the campaign's own number.
_POOL_OF = """
    SELECT number FROM campaign_caller_ids WHERE campaign_id = :campaign
    UNION ALL SELECT :own WHERE NOT EXISTS (SELECT FROM campaign_caller_ids WHERE campaign_id = :campaign)
"""
_LOCK = text(f"""
    SELECT number FROM caller_ids WHERE daily_cap IS NOT NULL AND number IN ({_POOL_OF})
    ORDER BY number FOR NO KEY UPDATE
""")  # noqa: S608 (text of our own)
_READ = text(f"""
    SELECT pool.number, c.daily_cap, c.resting_until, shown.calls, shown.first_at, shown.last_at,
           (SELECT array_agg(DISTINCT rule_pack) FROM lists
            WHERE campaign_id = :campaign AND rule_pack IS NOT NULL AND undone_at IS NULL) AS packs
    FROM ({_POOL_OF}) AS pool LEFT JOIN caller_ids c ON c.number = pool.number
    CROSS JOIN LATERAL (
        SELECT count(*) AS calls, min(ordered_at) AS first_at, max(ordered_at) AS last_at
        FROM (SELECT ordered_at FROM attempts
              WHERE caller_id = pool.number AND ordered_at > :since
                AND state NOT IN ({", ".join(f"'{state}'" for state in NEVER_RANG)})
              ORDER BY ordered_at DESC LIMIT coalesce(c.daily_cap, {ALIKE_FROM})) AS few) AS shown
    ORDER BY pool.number
""")  # noqa: S608


_Row = Row[tuple[object, ...]]


@dataclass(slots=True)
class Showable:
    """The caller ids that may be shown now, and what keeps the others back."""

    pool: Pool = field(default_factory=lambda: Pool(()))
    kept_back: str = ""  # "1 resting, 2 at their daily cap"
    until: datetime | None = None  # the first of them may be shown again then, if time helps

    def keep(self, wanted: int, held_back: list[str]) -> int:
        """Return how many of the wanted calls there are caller ids for; says so when there are fewer."""
        left = self.pool.left
        if left is None or wanted <= left:
            return wanted
        held_back.append(f"caller ids ({self.kept_back or 'none is left'})")
        return left

    @property
    def refusal(self) -> Verdict | None:
        """Why one call cannot be made now; None when it can."""
        if self.pool.left != 0:
            return None
        when = f", the first again at {self.until:%Y-%m-%d %H:%M} UTC" if self.until is not None else ""
        return Verdict(False, "caller_id", f"no caller id may be shown: {self.kept_back}{when}", self.until)


def showable(session: Session, campaign: Campaign, now: datetime) -> Showable:
    """Read the caller ids a campaign may show, those with a cap locked until the caller commits.

    To be asked before the locks on contacts and numbers.
    """
    rows = _read(session, campaign, now)
    if any(row.daily_cap is not None for row in rows):
        session.execute(_LOCK, {"campaign": campaign.id, "own": campaign.caller_id})
        rows = _read(session, campaign, now)  # with whatever those who held the locks have shown meanwhile
    return _showable(rows, campaign, now)


def looked_at(session: Session, campaign: Campaign, now: datetime) -> Showable:
    """Read the same without locks, for whoever explains: it binds nobody."""
    return _showable(_read(session, campaign, now), campaign, now)


def _read(session: Session, campaign: Campaign, now: datetime) -> Sequence[_Row]:
    given = {"campaign": campaign.id, "own": campaign.caller_id, "since": now - A_DAY}
    return session.execute(_READ, given).all()


def _showable(rows: Iterable[_Row], campaign: Campaign, now: datetime) -> Showable:
    free: list[CallerId] = []
    kept: dict[str, int] = {}
    waits: list[datetime] = []
    for row in rows:
        why, until = _kept_back(row, campaign, now)
        if why:
            kept[why] = kept.get(why, 0) + 1
            waits += [until] if until is not None else []
            continue
        left = row.daily_cap - row.calls if row.daily_cap is not None else None
        free.append(CallerId(row.number, row.calls, row.last_at, left))
        if left is not None and row.calls:
            waits.append(row.first_at + A_DAY)  # should the batch take what is left of it
    if free and all(one.left is not None for one in free):
        kept["with few calls left today"] = len(free)
    told = ", ".join(f"{count} {why}" for why, count in kept.items())
    return Showable(Pool(free), told, min(waits, default=None))


def _kept_back(row: _Row, campaign: Campaign, now: datetime) -> tuple[str, datetime | None]:
    """Why one caller id may not be shown now, and until when; nothing when it may."""
    if barred(row.number, campaign.rule_pack, row.packs or (), campaign.mode):
        return "barred by law", None
    if row.resting_until is not None and row.resting_until > now:
        return "resting", row.resting_until
    if row.daily_cap is not None and row.calls >= row.daily_cap:
        return "at the daily cap", row.first_at + A_DAY
    return "", None


def laws_of(number: str, pack: str, of_lists: Collection[str], mode: str) -> Sequence[str]:
    """Say what the packs of a campaign and its lists have against showing a number; what bars it comes first."""
    return [str(one) for one in sorted(_objections(number, (pack, *of_lists), mode), key=lambda one: not one.barred)]


def barred(number: str, pack: str, of_lists: Collection[str], mode: str) -> str:
    """Say why a number may not be shown at all; empty when it may."""
    return next((str(one) for one in _objections(number, (pack, *of_lists), mode) if one.barred), "")


@lru_cache(maxsize=4096)
def _objections(number: str, packs: tuple[str, ...], mode: str) -> tuple[Objection, ...]:
    rules = [(name, rule) for name in packs for rule in rule_pack(name).calling.caller_ids]
    return objections(number, rules, mode)
