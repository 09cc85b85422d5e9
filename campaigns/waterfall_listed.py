"""Numbers on the do-not-call list that contacts of a campaign may be called at, without hashing a million of them.

Those between the least and the greatest of the campaign's are taken as they are while they are few. Beyond that two
indexes are read side by side, each in the order of numbers: that of the do-not-call list, and that of all contacts;
where most contacts with such numbers are not the campaign's, those of its own lists instead, put in one order.
Too many may be named, of others than the due ones of this campaign: whoever asks looks up whose they are.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns import waterfall_plan

# Looking up whose so many numbers are takes as long as reading half a million side by side.
_FEW = 50_000
# Putting lists in one order costs some four times of reading as many numbers that are in order; each list is a part of
# its own in the plan, and of many the planning costs more.
_DEARER = 4
_MOST_LISTS = 64

# Numbers on the list that may be a contact's; some twice.
_ONE_BY_ONE = "SELECT number FROM do_not_call WHERE number BETWEEN :low AND :high"
_SIDE_BY_SIDE = """
    SELECT p.phone FROM ({phones}) AS p (phone)
    JOIN do_not_call d ON d.number = p.phone AND d.number BETWEEN :low AND :high
"""
_OF_ALL = "SELECT phone FROM contacts WHERE phone BETWEEN :low AND :high"
_OF_ONE_LIST = "(SELECT phone FROM contacts WHERE list_id = {} ORDER BY phone)"
_OF_NEXT = """
    SELECT d.number FROM contacts k JOIN do_not_call d ON d.number = k.next_number
    WHERE k.campaign_id = :campaign_id AND k.next_number IS NOT NULL
"""
_LISTED = """
    SELECT number FROM ({first} UNION {next}) AS met (number)
    WHERE EXISTS (SELECT FROM do_not_call e WHERE e.number = met.number
                  AND (e.campaign_id IS NULL OR e.campaign_id = :campaign_id) OFFSET 0)
"""
_BOUNDS = """
    SELECT min(l.low) AS low, max(l.high) AS high FROM unnest(CAST(:lists AS bigint[])) AS list (id)
    CROSS JOIN LATERAL (SELECT min(phone) AS low, max(phone) AS high FROM contacts WHERE list_id = list.id) AS l
"""
_FORBIDDEN = f"SELECT count(*) FROM ({_ONE_BY_ONE} LIMIT :few + 1) AS d"  # noqa: S608 (text of our own)
_OF_THE_LISTS = "SELECT phone FROM contacts WHERE list_id = ANY(:lists)"


def listed(session: Session, values: Mapping[str, Any]) -> Sequence[str]:
    """Return those numbers. `values`: of the waterfall, with the `lists` that are counted."""
    if not values["lists"]:
        return []
    given = {**values, **session.execute(text(_BOUNDS), values).one()._mapping, "few": _FEW}
    query = _LISTED.format(first=_first_numbers(session, given), next=_OF_NEXT)
    with waterfall_plan.side_by_side(session):
        return session.scalars(text(query), given).all()


def _first_numbers(session: Session, given: Mapping[str, Any]) -> str:
    """Return the cheapest of the searches among first numbers."""
    if session.execute(text(_FORBIDDEN), given).scalar_one() <= _FEW:
        return _ONE_BY_ONE
    lists: Sequence[int] = given["lists"]
    guessed = waterfall_plan.guessed_rows
    if len(lists) > _MOST_LISTS or guessed(session, _OF_ALL, given) < _DEARER * guessed(session, _OF_THE_LISTS, given):
        return _SIDE_BY_SIDE.format(phones=_OF_ALL)
    return _SIDE_BY_SIDE.format(phones=" UNION ALL ".join(_OF_ONE_LIST.format(int(list_id)) for list_id in lists))
