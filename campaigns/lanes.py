"""The first contacts of a campaign that has an order of its own, straight from one index.

A lane is the contacts of one list, one priority and one number of earlier attempts (`dialer.next_contact`). Lanes are
found by jumping through the index from one to the next, and contacts are read only from the lanes that come first: a
list of ten million costs what one of thousands does. Every bound is a row comparison on the index's own columns, in
its own order, so no other index serves the statement, whatever the planner believes of the lists.

Nothing is locked here: what is found is judged on locked rows by the gate. By best time it is besides put off
(`best_time_order`).
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from campaigns import best_time_order
from campaigns.db import array
from campaigns.models import Campaign
from dialer.next_contact import BEST_TIME, Lane, mixed, parse_order, rank

MOST_LANES = 2_000
_AT_ONCE = 16  # lanes read with one question
_A_FEW = 5  # contacts of each lane, where some of every lane are wanted
_RECENT = 200  # calls by which the mix of lists is judged

_OPEN = "campaign_id = :campaign AND state = 'open' AND due_date IS NULL"
_LEAST, _GREATEST = "CAST(-32768 AS smallint)", "CAST(32767 AS smallint)"
_IN_ORDER = "list_id, priority, tried, next_at, id"
_THAT_ARE_DUE = f"""
    SELECT f.list_id, f.priority, f.tried, l.created_at,
           coalesce(least(1.0, n.tried / nullif(CAST(n.contacts AS float8), 0)), 0.0) AS penetration
    FROM (SELECT * FROM lane LIMIT {MOST_LANES}) AS f JOIN lists l ON l.id = f.list_id
    LEFT JOIN list_counts n ON n.list_id = l.id
    WHERE f.next_at <= :now AND NOT (f.tried = 0 AND f.list_id = ANY(:full))
"""  # noqa: S608 (text of our own)
_LANES = text(f"""
    WITH RECURSIVE lane AS (
        (SELECT list_id, priority, tried, next_at FROM contacts WHERE {_OPEN} ORDER BY {_IN_ORDER} LIMIT 1)
        UNION ALL
        SELECT k.list_id, k.priority, k.tried, k.next_at FROM lane CROSS JOIN LATERAL (
            SELECT list_id, priority, tried, next_at FROM contacts
            WHERE {_OPEN} AND (list_id, priority, tried) > (lane.list_id, lane.priority, lane.tried)
            ORDER BY {_IN_ORDER} LIMIT 1) AS k)
    {_THAT_ARE_DUE}
""")  # noqa: S608 (text of our own)
# Those of the lists that have a share, which nearly always are enough.
_LANES_OF_LISTS = text(f"""
    WITH RECURSIVE lane AS (
        SELECT k.* FROM unnest(CAST(:lists AS bigint[])) AS list(id) CROSS JOIN LATERAL (
            SELECT list_id, priority, tried, next_at FROM contacts
            WHERE {_OPEN} AND (list_id, priority, tried) >= (list.id, {_LEAST}, {_LEAST})
              AND (list_id, priority, tried) <= (list.id, {_GREATEST}, {_GREATEST})
            ORDER BY {_IN_ORDER} LIMIT 1) AS k
        UNION ALL
        SELECT k.list_id, k.priority, k.tried, k.next_at FROM lane CROSS JOIN LATERAL (
            SELECT list_id, priority, tried, next_at FROM contacts
            WHERE {_OPEN} AND (list_id, priority, tried) > (lane.list_id, lane.priority, lane.tried)
              AND (list_id, priority, tried) <= (lane.list_id, {_GREATEST}, {_GREATEST})
            ORDER BY {_IN_ORDER} LIMIT 1) AS k)
    {_THAT_ARE_DUE}
""")  # noqa: S608
_SHARES = text("SELECT id, share FROM lists WHERE campaign_id = :campaign AND share > 0")
# The server puts together the lanes that are taken together: of the hundreds each may give, only the first are told.
_CONTACTS = text(f"""
    SELECT lane.place, k.id
    FROM unnest(CAST(:lists AS bigint[]), CAST(:priorities AS smallint[]), CAST(:tries AS smallint[]),
                CAST(:places AS int[])) AS lane(list_id, priority, tried, place)
    CROSS JOIN LATERAL (
        SELECT id, next_at FROM contacts
        WHERE {_OPEN} AND (list_id, priority, tried) >= (lane.list_id, lane.priority, lane.tried)
          AND (list_id, priority, tried, next_at)
              <= (lane.list_id, lane.priority, lane.tried, CAST(:now AS timestamptz))
        ORDER BY {_IN_ORDER} LIMIT :of_a_lane) AS k
    ORDER BY lane.place, k.next_at, k.id LIMIT :most
""")  # noqa: S608
_PROMISED = text("""
    SELECT coalesce(min(next_at) <= :now, false) FROM contacts
    WHERE campaign_id = :campaign AND state = 'open' AND due_date IS NOT NULL
""")
_RECENTLY = text(f"""
    SELECT k.list_id FROM (SELECT contact_id FROM attempts WHERE campaign_id = :campaign
                           ORDER BY ordered_at DESC LIMIT {_RECENT}) AS a JOIN contacts k ON k.id = a.contact_id
""")  # noqa: S608


def first_due(
    session: Session, campaign: Campaign, now: datetime, most: int, *, full: Collection[int] = ()
) -> list[int]:
    """Return the ids of up to `most` contacts due now, in the campaign's order and mix. Promised callbacks are not
    among them, nor is whoever was never tried of a list that is `full`."""
    order = parse_order(campaign.contact_order)
    by_hour = BEST_TIME in order
    given = {"campaign": campaign.id, "now": now, "full": list(full)}
    shares = {row.id: row.share for row in session.execute(_SHARES, {"campaign": campaign.id})}

    def queue(of: Sequence[Lane], wanted: int) -> list[int]:
        if by_hour:
            looked_at = _in_order(session, campaign.id, of, order, now, max(wanted, best_time_order.LOOKED_AT), by_hour)
            return best_time_order.in_order(session, campaign, now, looked_at, wanted)
        return [contact_id for _, contact_id in _in_order(session, campaign.id, of, order, now, wanted)]

    if not shares:
        return queue(_lanes(session, _LANES, given), most)
    of_lists = _lanes(session, _LANES_OF_LISTS, {**given, "lists": sorted(shares)})
    queues = {
        list_id: queue([lane for lane in of_lists if lane.list_id == list_id], most)
        for list_id in {lane.list_id for lane in of_lists}
    }
    short = most - sum(map(len, queues.values()))
    if short > 0:
        others = [lane for lane in _lanes(session, _LANES, given) if lane.list_id not in shares]
        queues[0] = queue(others, short)
    recent = Counter(session.scalars(_RECENTLY, {"campaign": campaign.id}))
    return mixed(queues, shares, recent, most)


def anybody_due(session: Session, campaign_id: int, now: datetime, *, full: Collection[int]) -> bool:
    """Whether anybody is due who may be chosen: promised callbacks, and all but those never tried of full lists."""
    given = {"campaign": campaign_id, "now": now, "full": list(full)}
    return bool(session.scalar(_PROMISED, given)) or session.execute(_LANES, given).first() is not None


def _lanes(session: Session, query: TextClause, given: Mapping[str, object]) -> list[Lane]:
    return [Lane._make(row) for row in session.execute(query, given).all()]


def _in_order(
    session: Session,
    campaign_id: int,
    lanes: Sequence[Lane],
    order: Sequence[str],
    now: datetime,
    most: int,
    of_each: bool = False,
) -> list[tuple[int, int]]:
    """Return the first contacts of these lanes, each behind its rank; lanes of one rank are taken together.

    `of_each`: some of every lane of a rank rather than the longest due of all.
    """
    found: list[tuple[int, int]] = []
    ranks = 0
    ranked = sorted(((rank(lane, order), at) for at, lane in enumerate(lanes)))
    groups = [[lanes[at] for _, at in group] for _, group in groupby(ranked, key=itemgetter(0))]
    while groups and len(found) < most:
        part = [groups.pop(0)]
        while groups and sum(map(len, part)) + len(groups[0]) <= _AT_ONCE:
            part.append(groups.pop(0))
        these = [lane for group in part for lane in group]
        wanted = most - len(found)
        given = {
            "campaign": campaign_id,
            "now": now,
            "most": wanted,
            "of_a_lane": max(_A_FEW, wanted // len(these)) if of_each and these else wanted,
            "lists": array(lane.list_id for lane in these),
            "priorities": array(lane.priority for lane in these),
            "tries": array(lane.tried for lane in these),
            "places": array(at for at, group in enumerate(part) for _ in group),
        }
        found += [(ranks + place, contact_id) for place, contact_id in session.execute(_CONTACTS, given).all()]
        ranks += len(part)
    return found
