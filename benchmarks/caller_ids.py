"""What does the choice of caller ids cost the gate, for 100 calls at once?

    python benchmarks/caller_ids.py [--database-url postgresql://...] [--times 200] [--json FILE]

A campaign with a pool of 1, 20 and 200 numbers in ten areas, without a cap and with one of 200 a day; half a million
attempts, of which every number made 150 in the last day. Pools are read and a hundred calls take a number
each, over and over, each time rolled back.
"""

import json
import os
import time
from datetime import UTC, datetime
from typing import Any

import _database
import psycopg

_database.product_first()

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
CALLS = 100
PAST = """
    INSERT INTO attempts (campaign_id, contact_id, number, gateway, caller_id, attempt_no, fence, proof, answer_limit,
                          rule_pack, pbx, ref, state, ordered_at, not_after, ended_at)
    SELECT 1, 1, '+39063' || lpad(n::text, 7, '0'), '4', c.number, 1, 1, '{}', 2, 'p', 'main', 'r' || c.number || n,
           'no_answer', timestamptz '2026-03-02 10:00Z' - n * (CASE WHEN n <= 150 THEN interval '9 min'
                                                               ELSE interval '1 hour' END), now(), now()
    FROM caller_ids c, generate_series(1, 2500) n
"""


def main() -> None:
    arguments = _database.parser(__doc__)
    arguments.add_argument("--times", type=int, default=200)
    given = arguments.parse_args()
    figures: list[dict[str, Any]] = []
    with _database.database(given) as made:
        if made.new:
            prepare(made.url)
        for size in (1, 20, 200):
            for cap in (None, 200):
                figures.append(measure(made.url, size, cap, given.times))
                print(json.dumps(figures[-1]), flush=True)
    _database.write(figures, given)


def prepare(url: str) -> None:
    """Make a campaign, two hundred caller ids in Rome, Milan and three hundred other places, and their past."""
    from campaigns.db import engine_for, session_factory
    from campaigns.models import CallerId, Campaign, Contact, ContactList

    engine = engine_for(url)
    with session_factory(engine).begin() as session:
        session.add(
            Campaign(
                name="bench", pbx="main", mode="predictive", state="running", country="IT", hours="always",
                caller_id="+390600000000",
            )
        )  # fmt: skip
        session.flush()
        session.add(ContactList(campaign_id=1, name="list", kind="contacts"))
        session.flush()
        session.add(Contact(campaign_id=1, list_id=1, line=1, phone="+390612345678", state="closed"))
        areas = ("06", "02", "011", "055", "081", "091", "010", "051", "040", "070")
        session.add_all(CallerId(number=f"+39{areas[n % 10]}{4000000 + n}") for n in range(200))
    engine.dispose()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(PAST)
        connection.execute("VACUUM ANALYZE attempts")


def measure(url: str, size: int, cap: int | None, times: int) -> dict[str, Any]:
    """Read the pool and take a number for each of a hundred calls, `times` times."""
    from campaigns.caller_ids import showable
    from campaigns.db import engine_for, session_factory
    from campaigns.models import Campaign

    with psycopg.connect(url) as connection:
        connection.execute("DELETE FROM campaign_caller_ids")
        connection.execute("UPDATE caller_ids SET daily_cap = %s", (cap,))
        connection.execute(
            "INSERT INTO campaign_caller_ids SELECT 1, number FROM caller_ids ORDER BY right(number, 7) LIMIT %s",
            (size,),
        )
    engine = engine_for(url)
    took: list[float] = []
    for turn in range(times + 20):
        numbers = [f"+39{('06', '02', '011', '0577', '345')[n % 5]}{5000000 + 100 * turn + n}" for n in range(CALLS)]
        with session_factory(engine)() as session:
            campaign = session.get_one(Campaign, 1)
            began = time.perf_counter()
            pool = showable(session, campaign, NOW).pool
            for number in numbers[: CALLS if pool.left is None else pool.left]:
                pool.take(number)
            if turn >= 20:  # the first ones fill caches and learn plans
                took.append((time.perf_counter() - began) * 1000)
            session.rollback()
    engine.dispose()
    took.sort()
    return {
        "caller_ids": size,
        "daily_cap": cap,
        "p50_ms": round(took[len(took) // 2], 2),
        "p99_ms": round(took[int(len(took) * 0.99) - 1], 2),
        "load_average": round(os.getloadavg()[0], 1),
    }


if __name__ == "__main__":
    main()
