"""Due contacts that were called so often that a cap may hold them: found by the numbers of the calls, and few.

Who is at a cap is put off when they are met, so hardly anybody is. The numbers of calls stand in order in their index;
a number called as often as the least of the caps is looked for among the contacts, and never the other way round.
Whom this names is then asked the gate's own rule: it may name too many, and never too few.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import product
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns import waterfall_plan
from campaigns.earlier_calls import A_CALL
from dialer import caps as cap_rules
from dialer.caps import Cap

# The due contacts of whom a number is the first, or the next one. Of the further numbers the searches below know.
_WHOSE = """
    CROSS JOIN LATERAL (
        SELECT * FROM contacts WHERE phone = called.number OFFSET 0) AS k WHERE {due}
    UNION SELECT k.id FROM called CROSS JOIN LATERAL (
        SELECT * FROM contacts WHERE next_number = called.number AND next_number IS NOT NULL
                                 AND campaign_id = :campaign_id OFFSET 0) AS k WHERE {due}
"""
_DUE = "k.campaign_id = :campaign_id AND k.state = 'open' AND k.next_at <= :now"
# Those that count: in the index of the numbers are also calls that never rang, and in which nobody spoke.
_COUNTS = "t.ordered_at > :since AND t.state <> ALL(:never_rang) AND (NOT :talks OR t.joined_at IS NOT NULL)"
# One reading of the numbers serves all kinds of caps: each has its own days, and calls enough for one of them will do.
_OF_A_KIND = "count(*) FILTER (WHERE ordered_at > :since_{n}) >= :least_{n}"
_THAT_COUNT = """count(*) FILTER (
    WHERE t.ordered_at > :since_{n} AND t.state <> ALL(:never_rang) AND (NOT :talks_{n} OR t.joined_at IS NOT NULL)
) >= :least_{n}"""
_ONE_NUMBER = f"""
    WITH often AS MATERIALIZED (
        SELECT number FROM attempts WHERE ordered_at > :since AND number BETWEEN :low AND :high
        GROUP BY number HAVING {{of_a_kind}}
    ), called AS MATERIALIZED (
        SELECT often.number FROM often CROSS JOIN LATERAL (
            SELECT {{that_count}} AS enough FROM attempts t
            WHERE t.number = often.number AND t.ordered_at > :since OFFSET 0) AS n
        WHERE n.enough)
    SELECT k.id FROM called {_WHOSE.format(due=_DUE)}
"""  # noqa: S608 (text of our own)
# Of somebody with more numbers than one the calls to all of them count, and those to numbers they no longer have.
_NUMBERS = "array_remove(array_append(k.more_numbers, k.phone) || k.phone2 || k.next_number, NULL)"
_TIMES = f"""
    (SELECT count(*) FROM attempts t WHERE t.number = ANY({_NUMBERS}) AND {_COUNTS})
    + (SELECT count(*) FROM attempts t WHERE t.contact_id = k.id AND t.number <> ALL({_NUMBERS}) AND {_COUNTS})
"""  # noqa: S608
# Those whose second number was called, by whomever.
_SECOND = f"""
    SELECT k.id FROM (
        SELECT DISTINCT a.number FROM contacts p JOIN attempts a ON a.number = p.phone2
        WHERE p.phone2 BETWEEN :low AND :high AND a.number BETWEEN :low AND :high AND a.ordered_at > :since) AS called
    CROSS JOIN LATERAL (SELECT * FROM contacts WHERE phone2 = called.number AND phone2 IS NOT NULL OFFSET 0) AS k
    WHERE {_DUE} AND {_TIMES} >= :least
"""  # noqa: S608
# Those whose calls may have been to a number they no longer have: the database notes who lost one. Of who has theirs
# still, calls to the first number are found by themselves, and those to the others by the searches beside this one.
_LOST = f"""
    SELECT k.id FROM contacts k WHERE k.renumbered AND {_DUE} AND {_TIMES} >= :least
"""  # noqa: S608
# Those with three numbers and more any of which was called.
_MORE = f"""
    WITH many AS MATERIALIZED (
        SELECT k.id, n.number FROM contacts k CROSS JOIN LATERAL unnest({_NUMBERS}) AS n (number)
        WHERE k.more_numbers IS NOT NULL AND {_DUE}
    ), called AS MATERIALIZED (
        SELECT number FROM attempts WHERE ordered_at > :since GROUP BY number
    ), met AS (SELECT DISTINCT many.id FROM many JOIN called ON called.number = many.number)
    SELECT k.id FROM met JOIN contacts k ON k.id = met.id WHERE {_TIMES} >= :least
"""  # noqa: S608
# Between which numbers the campaign's are, by the ends of indexes; and whether anybody has three.
_BOUNDS = """
    SELECT least(min(l.low), p.low, n.low, CASE WHEN m.any THEN a.low END) AS low,
           greatest(max(l.high), p.high, n.high, CASE WHEN m.any THEN a.high END) AS high,
           p.low AS low2, p.high AS high2, m.any AS three
    FROM unnest(CAST(:lists AS bigint[])) AS list (id)
    CROSS JOIN LATERAL (SELECT min(phone) AS low, max(phone) AS high FROM contacts WHERE list_id = list.id) AS l
    CROSS JOIN (SELECT min(phone2) AS low, max(phone2) AS high FROM contacts WHERE phone2 IS NOT NULL) AS p
    CROSS JOIN (SELECT min(next_number) AS low, max(next_number) AS high FROM contacts
                WHERE campaign_id = :campaign_id AND next_number IS NOT NULL) AS n
    CROSS JOIN (SELECT min(number) AS low, max(number) AS high FROM attempts) AS a
    CROSS JOIN (SELECT EXISTS (SELECT FROM contacts WHERE campaign_id = :campaign_id AND more_numbers IS NOT NULL)
                       AS any) AS m
    GROUP BY p.low, p.high, n.low, n.high, a.low, a.high, m.any
"""


def called_often(session: Session, caps: Sequence[Cap], values: Mapping[str, Any], now: datetime) -> set[int]:
    """Return their ids. `caps`: all that may count for any of them; `values`: of the waterfall."""
    bounds = session.execute(text(_BOUNDS), values).one_or_none() if caps else None
    if bounds is None or bounds.low is None:
        return set()
    searches = [
        (per, {"since": now - cap_rules.reach(asked) - A_CALL, "least": min(cap.count for cap in asked),
               "talks": counts == "talks"})
        for per, counts in product(("number", "contact"), ("calls", "talks"))
        if (asked := [cap for cap in caps if (cap.per, cap.counts) == (per, counts)])
    ]  # fmt: skip
    given = {**values, "low": bounds.low, "high": bounds.high}
    found = _by_one_number(session, [more for _, more in searches], given)
    for per, more in searches:
        if per == "number":
            continue
        given |= more
        with waterfall_plan.counting(session):
            found.update(session.scalars(text(_LOST), given))
            if bounds.three:
                found.update(session.scalars(text(_MORE), given))
        if bounds.low2 is not None:
            with waterfall_plan.side_by_side(session):
                found.update(session.scalars(text(_SECOND), {**given, "low": bounds.low2, "high": bounds.high2}))
    return found


def _by_one_number(session: Session, searches: Sequence[Mapping[str, Any]], given: Mapping[str, Any]) -> set[int]:
    """Return those one of whose numbers alone was called often enough for one of the searches."""
    query = _ONE_NUMBER.format(
        of_a_kind=" OR ".join(_OF_A_KIND.format(n=n) for n in range(len(searches))),
        that_count=" OR ".join(_THAT_COUNT.format(n=n) for n in range(len(searches))),
    )
    of_each = {f"{name}_{n}": value for n, more in enumerate(searches) for name, value in more.items()}
    with waterfall_plan.in_order(session):
        return set(session.scalars(text(query), {**given, **of_each, "since": min(more["since"] for more in searches)}))
