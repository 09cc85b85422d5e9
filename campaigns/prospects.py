"""Contacts that are due, by how likely they are to answer: what a pacer may choose from.

A group is a list and the attempt it would be, "12/1"; from the third attempt on they are alike. Only the first
contacts in order are looked at, and only through indexes: a list of a million costs what one of hundreds does.
Promised callbacks are not among them: they are called for themselves (`callbacks_ahead`).
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

LOOKED_AT = 200
ALIKE_FROM = 3

_FIRST_DUE = """
    SELECT id, list_id, next_at FROM contacts
    WHERE campaign_id = {campaign} AND state = 'open' AND next_at <= :now AND due_date IS NULL
    ORDER BY next_at, id LIMIT {most}
"""
# Where lists are at their caps they are found by lane (`lanes`): in the order of time they would hide the others.
_OF_THESE = "SELECT id, list_id, next_at FROM contacts WHERE id = ANY(CAST(:these AS bigint[]))"
_LOOKED_AT = f"""
    SELECT k.id, k.next_at, k.list_id || '/' || (1 + t.tries) AS name
    FROM ({{found}}) AS k
    CROSS JOIN LATERAL (SELECT count(*) AS tries
                        FROM (SELECT 1 FROM attempts WHERE contact_id = k.id LIMIT {ALIKE_FROM - 1}) AS few) AS t
"""  # noqa: S608
_BY_GROUP_OF_DUE = text(f"""
    SELECT c.id, seen.name, count(*) AS contacts FROM unnest(CAST(:campaigns AS bigint[])) AS c(id)
    CROSS JOIN LATERAL ({_LOOKED_AT.format(found=_FIRST_DUE.format(campaign="c.id", most=LOOKED_AT))}) AS seen
    GROUP BY c.id, seen.name ORDER BY c.id, seen.name
""")  # noqa: S608
_BY_GROUP_OF_THESE = text(f"""
    SELECT name, count(*) AS contacts FROM ({_LOOKED_AT.format(found=_OF_THESE)}) AS seen GROUP BY name ORDER BY name
""")  # noqa: S608
_PREFERRED = f"""
    SELECT seen.id FROM ({_LOOKED_AT}) AS seen
    LEFT JOIN unnest(CAST(:groups AS text[])) WITH ORDINALITY AS wish(name, rank) ON wish.name = seen.name
    ORDER BY wish.rank NULLS LAST, seen.next_at, seen.id LIMIT :most
"""  # noqa: S608
_PREFERRED_OF_DUE, _PREFERRED_OF_THESE = (
    text(_PREFERRED.format(found=found))
    for found in (_FIRST_DUE.format(campaign=":campaign_id", most=LOOKED_AT), _OF_THESE)
)


def group_of(list_id: int, attempt_no: int) -> str:
    """Return the group of an attempt, counted from 1."""
    return f"{list_id}/{min(ALIKE_FROM, attempt_no)}"


def by_groups(session: Session, campaigns: Sequence[int], now: datetime) -> dict[int, tuple[tuple[str, int], ...]]:
    """Count the contacts due now of these campaigns by group, as far as is looked. Without those of which none is."""
    found: dict[int, tuple[tuple[str, int], ...]] = {}
    if campaigns:
        for row in session.execute(_BY_GROUP_OF_DUE, {"campaigns": list(campaigns), "now": now}):
            found[row.id] = (*found.get(row.id, ()), (row.name, row.contacts))
    return found


def by_group(session: Session, these: Sequence[int]) -> tuple[tuple[str, int], ...]:
    """Count contacts that are due, found already, by group."""
    return tuple((row.name, row.contacts) for row in session.execute(_BY_GROUP_OF_THESE, {"these": list(these)}))


def preferred(
    session: Session,
    campaign_id: int,
    now: datetime,
    groups: Sequence[str],
    most: int,
    *,
    these: Sequence[int] | None = None,
) -> list[int]:
    """Return ids of contacts due now, those of the groups first and in their order, then the others as they come.

    Nothing is locked: what is found here is judged on locked rows afterwards. `these`: the first due, found already.
    """
    given = {"campaign_id": campaign_id, "now": now, "groups": list(groups), "most": most, "these": list(these or ())}
    query = _PREFERRED_OF_DUE if these is None else _PREFERRED_OF_THESE
    return list(session.scalars(query, given))
