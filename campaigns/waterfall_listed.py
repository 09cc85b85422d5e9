"""Due contacts whose next number is on the do-not-call list: two lists of a million, compared in the order of indexes.

The numbers of each list of the campaign stand in order in the index that keeps them unique there, those of the
do-not-call list in its own. Read side by side nothing is hashed or sorted, and only who is on both is looked at.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns import waterfall_plan

# Beyond, putting the lists in one order costs more than reading the contacts; each is a part of its own in the plan.
_MOST_LISTS = 64

_LISTED = """
    SELECT k.id FROM ({phones}) AS p (list_id, phone)
    JOIN do_not_call d ON d.number = p.phone AND d.number BETWEEN :low AND :high
    CROSS JOIN LATERAL (
        SELECT k.id FROM contacts k
        WHERE k.list_id = p.list_id AND k.phone = p.phone AND k.campaign_id = :campaign_id
          AND k.state = 'open' AND k.next_at <= :now AND coalesce(k.next_number, k.phone) = k.phone
          AND EXISTS (SELECT FROM do_not_call e WHERE e.number = p.phone
                      AND (e.campaign_id IS NULL OR e.campaign_id = :campaign_id))
        OFFSET 0) AS k
    UNION
    SELECT k.id FROM contacts k JOIN do_not_call d ON d.number = k.next_number
    CROSS JOIN LATERAL (
        SELECT FROM do_not_call e WHERE e.number = k.next_number
                                    AND (e.campaign_id IS NULL OR e.campaign_id = :campaign_id) LIMIT 1) AS e
    WHERE k.campaign_id = :campaign_id AND k.next_number IS NOT NULL AND k.list_id = ANY(:lists)
      AND k.state = 'open' AND k.next_at <= :now
"""
_BOUNDS = """
    SELECT min(l.low) AS low, max(l.high) AS high FROM unnest(CAST(:lists AS bigint[])) AS list (id)
    CROSS JOIN LATERAL (SELECT min(phone) AS low, max(phone) AS high FROM contacts WHERE list_id = list.id) AS l
"""
_OF_ONE = "(SELECT list_id, phone FROM contacts WHERE list_id = {} ORDER BY phone)"
_OF_ALL = "SELECT list_id, phone FROM contacts WHERE list_id = ANY(:lists)"


def listed(session: Session, values: Mapping[str, Any]) -> Sequence[int]:
    """Return their ids. `values`: of the waterfall, with the `lists` that are counted."""
    lists: Sequence[int] = values["lists"]
    if not lists:
        return []
    given = {**values, **session.execute(text(_BOUNDS), values).one()._mapping}
    if len(lists) > _MOST_LISTS:
        with waterfall_plan.counting(session):
            return session.scalars(text(_LISTED.format(phones=_OF_ALL)), given).all()
    phones = " UNION ALL ".join(_OF_ONE.format(int(list_id)) for list_id in lists)
    with waterfall_plan.side_by_side(session):
        return session.scalars(text(_LISTED.format(phones=phones)), given).all()
