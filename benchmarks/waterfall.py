"""How long does `dialer why CAMPAIGN` take to count a million contacts down to those that may be called now?

    python benchmarks/waterfall.py [--database-url postgresql://...] [--contacts 1000000] [--times 9] [--json FILE]

Three campaigns, one after the other, of so many contacts on 20 lists, their numbers in no order: Italian ones under
the Italian pack (one time zone); American ones under the American pack with addresses (six zones, laws of states, a
tenth with a ZIP code); French ones under the French pack, a third with a second number, where consent and frequency
count. In each a tenth is closed and a tenth not yet due; there are 300,000 calls of the last eleven days, a million
numbers on the do-not-call list (every fiftieth contact's among them) and a thousand forgotten ones. The ceiling, timed
in turn with it: `SELECT count(*)` of the same rows. Each is counted with up to two parallel workers, and
without any (`alone_s`).
"""

import json
import os
import time
from datetime import UTC, datetime
from typing import Any

import _database
import psycopg

_database.product_first()

NOW = datetime(2026, 3, 3, 15, 0, tzinfo=UTC)  # a Tuesday: all of Italy and half of America may be called
LISTS = 20
AREAS = "212 305 312 713 303 602 213 206 405 415 615 808 907 202 404 617 512 702 801 504"
STATES = "NY FL IL TX CO AZ CA WA OK CA TN HI AK DC GA MA TX NV UT LA"
ZIPS = "100 331 606 770 802 850 900 981 731 941 372 968 995 200 303 021 787 891 841 701"
PLACE = "{n} * 611953 % 1000000"  # every number once, in no order
CAMPAIGNS = {
    "Italy": ("IT", "it-2026", f"'+3906' || lpad(({PLACE})::text, 8, '0')", 0),
    "America": ("US", "us-2026", f"'+1' || ('{{{{{AREAS.replace(' ', ',')}}}}}'::text[])[1 + {{n}} % 20] "
                f"|| (2000000 + {PLACE})::text", 0),
    "France": ("FR", "fr-2026", f"'+331' || lpad((40000000 + {PLACE})::text, 8, '0')", 3),
}  # fmt: skip
FILL = """
    INSERT INTO contacts (campaign_id, list_id, line, phone, phone2, first_name, last_name, company, description,
                          custom, next_at, state, closed_because, tried, region, postcode, consent)
    SELECT {campaign}, {lists} * ({campaign} - 1) + 1 + n % {lists}, n, {phone},
           CASE WHEN {second} > 0 AND n % {second} = 1 THEN '+336' || lpad((10000000 + n)::text, 8, '0') END,
           'Ada', 'Rossi', 'Ditta ' || n % 9999, 'offer', '{{"city": "Roma"}}',
           CASE WHEN n % 10 = 3 THEN NULL WHEN n % 10 = 4 THEN timestamptz '2026-03-04' + n % 80000 * interval '1 s'
                ELSE timestamptz '2026-03-01' + n % 80000 * interval '1 s' END,
           CASE WHEN n % 10 = 3 THEN 'closed' ELSE 'open' END,
           CASE WHEN n % 10 = 3 THEN (ARRAY['reached', 'unreachable', 'attempts used up'])[1 + n / 10 % 3] ELSE '' END,
           CASE WHEN n % 7 = 0 THEN 2 ELSE 0 END,
           CASE WHEN {american} THEN 'US-' || ('{{{states}}}'::text[])[1 + n % 20] ELSE '' END,
           CASE WHEN {american} AND n / 20 % 10 = 0 THEN ('{{{zips}}}'::text[])[1 + n % 20] || '0' || n / 200 % 10
                ELSE '' END, n % 4 <> 0
    FROM generate_series(1, {contacts}) n
"""
ATTEMPTS = """
    INSERT INTO attempts (campaign_id, contact_id, number, gateway, caller_id, attempt_no, fence, proof, answer_limit,
                          rule_pack, pbx, ref, state, ordered_at, sent_at, not_after, ended_at)
    SELECT {campaign}, k.id, k.phone, '4', 'x', t, 1, '{{}}', 2, 'p', 'main', 'r' || k.id || '-' || t,
           CASE WHEN k.id % 50 = 0 THEN 'abandoned' ELSE 'no_answer' END, at, at, at, at + interval '30 s'
    FROM (SELECT * FROM contacts WHERE campaign_id = {campaign} AND tried > 0 ORDER BY id LIMIT 150000) k,
         generate_series(1, 2) t, LATERAL (SELECT timestamptz '2026-02-20' + k.id * 7 % 950000 * interval '1 s' AS at) a
"""


def main() -> None:
    arguments = _database.parser(__doc__)
    arguments.add_argument("--contacts", type=int, default=1_000_000)
    arguments.add_argument("--times", type=int, default=9)
    arguments.add_argument("--only", choices=list(CAMPAIGNS))
    given = arguments.parse_args()
    figures = []
    with _database.database(given) as made:
        if made.new:
            prepare(made.url)
        for number, called in enumerate(CAMPAIGNS, start=1):
            if given.only in (None, called):
                fill(made.url, number, called, given.contacts)
        _database.vacuum(made.url)
        for number, called in enumerate(CAMPAIGNS, start=1):
            if given.only in (None, called):
                figures.append(measure(made.url, number, called, given.times))
                print(json.dumps(figures[-1]), flush=True)
    _database.write(figures, given)


def prepare(url: str) -> None:
    """Make the campaigns, their lists, and whom nobody may call."""
    from campaigns import forgotten
    from campaigns.db import engine_for, session_factory
    from campaigns.models import Campaign

    engine = engine_for(url)
    with session_factory(engine)() as session, session.begin():
        for called, (country, pack, _, _) in CAMPAIGNS.items():
            session.add(
                Campaign(
                    name=called, pbx="main", mode="predictive", state="running", country=country, hours="09:00-20:00",
                    caller_id="x", max_attempts=3, number_gap=600.0, rule_pack=pack, number_caps="3/day",
                )
            )  # fmt: skip
            session.flush()
        forgotten.remember(session, [f"+3902{n:08}" for n in range(1_000)], who="bench", now=NOW)
    engine.dispose()
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO lists (campaign_id, name, kind) SELECT 1 + n / %s, 'list ' || n, 'contacts' "
            "FROM generate_series(0, %s) n",
            (LISTS, LISTS * len(CAMPAIGNS) - 1),
        )
        for _, _, phone, _ in CAMPAIGNS.values():
            connection.execute(
                f"INSERT INTO do_not_call (number, source) SELECT {phone.format(n='(n * 50::bigint)')}, 'bench' "
                "FROM generate_series(1, 20000) n"
            )
            # The others are of the same country, and no contact's.
            others = phone.replace("% 1000000", "% 1000000 + 1000000").format(n="n::bigint")
            connection.execute(
                f"INSERT INTO do_not_call (number, source) SELECT {others}, 'bench' FROM generate_series(1, 313333) n"
            )


def fill(url: str, campaign: int, called: str, contacts: int) -> None:
    """Write the contacts of one campaign and their calls, unless they are there; the indexes are made afterwards."""
    with psycopg.connect(url, autocommit=True) as connection:
        there = connection.execute("SELECT FROM contacts WHERE campaign_id = %s LIMIT 1", (campaign,)).fetchone()
        if there is not None:
            return
        connection.execute("SET maintenance_work_mem = '512MB'; SET synchronous_commit = off")
        country, _, phone, second = CAMPAIGNS[called]
        with connection.transaction():
            with _database.indexes_made_afterwards(connection, "contacts"):
                connection.execute(
                    FILL.format(
                        campaign=campaign, lists=LISTS, contacts=contacts, phone=phone.format(n="n::bigint"),
                        second=second or "0 * n",
                        american=country == "US", states=STATES.replace(" ", ","),
                        zips=ZIPS.replace(" ", ","),
                    )
                )  # fmt: skip
            connection.execute(ATTEMPTS.format(campaign=campaign))


def measure(url: str, campaign: int, called: str, times: int) -> dict[str, Any]:
    """Count the campaign down, and its rows alone, in turn."""
    from sqlalchemy import text

    from campaigns import waterfall
    from campaigns.db import engine_for, session_factory
    from campaigns.models import Campaign

    engine = engine_for(url)
    took: dict[int, list[float]] = {0: [], 2: []}  # by how many workers may help
    ceiling: list[float] = []
    for turn in range(times + 2):
        for workers, seconds in took.items():
            with session_factory(engine)() as session:
                session.execute(text(f"SET LOCAL max_parallel_workers_per_gather = {workers}"))
                one = session.get_one(Campaign, campaign)
                began = time.perf_counter()
                fall = waterfall.waterfall(session, one, now=NOW, ring_seconds=30)
                spent = time.perf_counter() - began
                began = time.perf_counter()
                rows = session.scalar(text("SELECT count(*) FROM contacts WHERE campaign_id = :c"), {"c": campaign})
                counted = time.perf_counter() - began
                assert rows == fall.imported
            if turn >= 2:  # the first ones fill caches
                seconds.append(spent)
                ceiling.append(counted)
    engine.dispose()
    for values in (*took.values(), ceiling):
        values.sort()
    return {
        "campaign": called,
        "contacts": rows,
        "dialable": fall.dialable,
        "steps": len(fall.steps),
        "median_s": round(took[2][len(took[2]) // 2], 2),
        "worst_s": round(took[2][-1], 2),
        "alone_s": round(took[0][len(took[0]) // 2], 2),
        "alone_worst_s": round(took[0][-1], 2),
        "count_of_the_rows_s": round(ceiling[len(ceiling) // 2], 2),
        "load_average": round(os.getloadavg()[0], 1),
    }


if __name__ == "__main__":
    main()
