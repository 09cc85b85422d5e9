"""Rests the caller ids that need it: those phones seem to mark, and those that reached their daily cap.

Every scheduler looks; rows are locked and asked again, so twice does no harm. The cap itself is the gate's and holds
without this; here it only begins a rest.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from campaigns import ledger
from campaigns.caller_ids import A_DAY
from campaigns.models import CallerId
from dialer.caller_id_rests import Stratum, behind
from dialer.retries import NEVER_RANG

_MOST = 1_000  # the newest calls of each that are compared

# Calls alike: of one campaign, in one hour, to one area. What was before a rest is not held against anybody again.
_STRATA = text(f"""
    SELECT c.number AS caller_id, a.campaign_id, date_trunc('hour', a.ordered_at) AS hour, left(a.number, 5) AS area,
           count(*) AS calls, count(a.answered_at) AS answered
    FROM caller_ids c CROSS JOIN LATERAL (
        SELECT campaign_id, ordered_at, number, answered_at FROM attempts
        WHERE caller_id = c.number AND ordered_at > greatest(:since, c.resting_until)
          AND ended_at IS NOT NULL AND state NOT IN ({", ".join(f"'{state}'" for state in NEVER_RANG)})
        ORDER BY ordered_at DESC LIMIT {_MOST}) AS a
    GROUP BY 1, 2, 3, 4
""")  # noqa: S608 (text of our own)
_AT_THE_CAP = text(f"""
    SELECT c.number FROM caller_ids c CROSS JOIN LATERAL (
        SELECT count(*) AS calls, max(ordered_at) AS last_at
        FROM (SELECT ordered_at FROM attempts WHERE caller_id = c.number AND ordered_at > :since
                AND state NOT IN ({", ".join(f"'{state}'" for state in NEVER_RANG)})
              ORDER BY ordered_at DESC LIMIT c.daily_cap) AS few) AS day
    WHERE c.daily_cap IS NOT NULL AND c.rest > 0 AND day.calls >= c.daily_cap
      AND (c.resting_until IS NULL OR c.resting_until < least(day.last_at, CAST(:now AS timestamptz)))
""")  # noqa: S608
# Pools in which nobody else is awake.
_LAST_AWAKE = text("""
    SELECT p.number FROM campaign_caller_ids p
    WHERE NOT EXISTS (SELECT FROM campaign_caller_ids o JOIN caller_ids c ON c.number = o.number
                      WHERE o.campaign_id = p.campaign_id AND o.number <> p.number
                        AND (c.resting_until IS NULL OR c.resting_until <= :now))
""")


def watch(session: Session, *, now: datetime, who: str = "dialer") -> list[str]:
    """Let those rest that need it; returns their numbers. The caller owns the transaction."""
    given = {"since": now - A_DAY, "now": now}
    capped = set(session.scalars(_AT_THE_CAP, given))
    because = dict.fromkeys(sorted(capped), "reached its daily cap")
    for number, why in _behind(session.execute(_STRATA, given).all()):
        because.setdefault(number, why)
    rested = []
    for number, why in because.items():
        one = session.get_one(CallerId, number, with_for_update={"key_share": True}, populate_existing=True)
        awake = one.resting_until is None or one.resting_until <= now
        if not awake or one.rest <= 0:
            continue
        # A cap says stop whoever else there is; answers only say that another would do better.
        if number not in capped and number in set(session.scalars(_LAST_AWAKE, {"now": now})):
            continue
        one.resting_until, one.resting_because = now + timedelta(seconds=one.rest), why
        session.flush()
        ledger.record(
            session, at=now, kind="caller_id", who=who, why=why, verb="rest", caller_id=number,
            daily_cap=one.daily_cap, rest=one.rest, resting_until=one.resting_until.isoformat(),
        )  # fmt: skip
        rested.append(number)
    return rested


def _behind(rows: Iterable[Row[tuple[object, ...]]]) -> list[tuple[str, str]]:
    """Return those behind their peers with why, the surest first: after a rest the others' peers are fewer."""
    together: dict[object, list[int]] = defaultdict(lambda: [0, 0])
    own: dict[str, dict[object, tuple[int, int]]] = defaultdict(dict)
    for row in rows:
        alike = (row.campaign_id, row.hour, row.area)
        together[alike][0] += row.calls
        together[alike][1] += row.answered
        own[row.caller_id][alike] = (row.calls, row.answered)
    found = []
    for number, strata in own.items():
        compared = (
            Stratum(calls, answered, together[alike][0] - calls, together[alike][1] - answered)
            for alike, (calls, answered) in strata.items()
        )
        if (how := behind(compared)) is not None:
            found.append((how.deviations, number, str(how)))
    return [(number, why) for _, number, why in sorted(found, reverse=True)]
