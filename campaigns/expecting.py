"""What a pacer is told beforehand of a campaign with an order of its own: who comes next, how likely they answer.

Under a person's order nothing is to be chosen, but the pacer knows which contacts its next calls go to. Where the order
is by the best time it is also told how likely each answers at this hour, as learnt from weeks of calls, and how sure
that is: the turn of an hour, at which others are called and answer differently, is known before its first call.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import TypeVar

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns import best_times, lanes, pace_calls, pace_records
from campaigns.models import Campaign
from campaigns.prospects import group_of
from dialer.best_times import BestTimes, Who, hour_of_week, kind_of, zone_of
from dialer.next_contact import BEST_TIME, parse_order
from dialer.pacing.answers import Chance

LOOK_EVERY = timedelta(seconds=5)  # who comes next changes slowly; at the turn of an hour it is looked at once more
LOOKED_AT = 50  # contacts: more than are ordered until the next look, but for the largest teams

C = TypeVar("C", pace_calls.Call, pace_records.Call)
_CONTACTS = text("""
    SELECT k.id, k.list_id, k.tried, coalesce(k.next_number, k.phone) AS number
    FROM contacts k WHERE k.id = ANY(CAST(:ids AS bigint[]))
""")


@dataclass(frozen=True, slots=True)
class Expecting:
    """How likely a call is answered, by who is called and the hour there."""

    times: BestTimes
    zone: str  # of numbers that name none

    def of(self, group: str, number: str, at: datetime) -> tuple[str, Chance]:
        """Return the pacer's name for contacts like this one at this hour, and how likely they answer."""
        kind, hour = kind_of(number), hour_of_week(at, zone_of(number, self.zone))
        sure = self.times.sure(Who(group, kind), hour)
        # Rounded as it is stored with a decision: of a call and of a moment the very same is told.
        return f"{group} {kind} {hour}", Chance(round(sure.value, 4), round(sure.calls, 1))

    def told(self, calls: Iterable[C]) -> list[C]:
        """Return calls with what was to be expected of each when it was ordered."""
        return [self._told(call) if call.group and call.number else call for call in calls]

    def _told(self, call: C) -> C:
        name, chance = self.of(call.group, call.number, call.ordered_at)
        return replace(call, group=name, expected=chance)


@dataclass(frozen=True, slots=True)
class Coming:
    """The contacts that come first in a campaign's order, and what is expected of them; nothing where it has none."""

    prospects: tuple[tuple[str, int], ...] = ()
    expected: tuple[tuple[str, float, float], ...] = ()  # group, chance, calls behind it
    expecting: Expecting | None = None

    @classmethod
    def look(cls, session: Session, campaign: Campaign, now: datetime, *, full: Collection[int] = ()) -> "Coming":
        """Look who comes next. What is found is locked and judged by the gate, when it comes to calling. `full`: lists
        of which nobody new is called."""
        by_hour = BEST_TIME in parse_order(campaign.contact_order)
        expecting = expecting_of(session, campaign) if by_hour else None
        first = lanes.first_due(session, campaign, now, LOOKED_AT, full=full)
        rows = {row.id: row for row in session.execute(_CONTACTS, {"ids": first})} if first else {}
        named: list[str] = []
        expected: dict[str, Chance] = {}
        for row in (rows[contact_id] for contact_id in first if contact_id in rows):
            name = group_of(row.list_id, row.tried + 1)
            if expecting is not None:
                name, chance = expecting.of(name, row.number, now)
                expected[name] = chance
            named.append(name)
        return cls(
            tuple((name, len(list(alike))) for name, alike in groupby(named)),
            tuple((name, one.value, one.calls) for name, one in expected.items()),
            expecting,
        )


def expecting_of(session: Session, campaign: Campaign) -> Expecting | None:
    """Return what was learnt last of a campaign's hours; None where nothing was."""
    times = best_times.kept(session, campaign.id)
    return Expecting(times, best_times.zone_of_campaign(campaign)) if times.seen else None
