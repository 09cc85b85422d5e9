"""How long does it take to choose and gate 100 contacts, and does it grow with the list?

    python benchmarks/choosing.py [--database-url postgresql://...] [--sizes 100000,1000000,10000000] [--json FILE]

For each size a campaign of that many contacts on 20 lists (five priorities, up to three attempts), a tenth of them
due, under Italy's rule pack, with four caps, 300,000 past attempts and more of those who are due first, and a million
numbers on the do-not-call list: every fiftieth contact's. 100 contacts are then chosen, locked and asked every rule
about, over and over, each time undone: by due time alone, by an order of priority and freshness, by a mix of two
lists, and by best time. PostgreSQL counts sequential scans meanwhile. What is chosen is undone behind a savepoint and
the transaction committed, as the product's are: after a rollback the driver forgets which statements are prepared.

Between any two of these the ceiling is taken: 100 contacts known beforehand are locked with their numbers, and their
attempts written and committed, with no rule asked. Beside the time on the clock stands the work: CPU time of this
process and of its server process together, which a busy machine hardly changes.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import _database
import psycopg

_database.product_first()

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
WANTED = 100
LISTS = 20
PATHS = {
    "due time": ("", ()),
    "priority, freshest": ("priority,freshest", ()),
    "mix 70/30": ("due", ((1, 0.7), (2, 0.3))),
    "best time": ("best-time", ()),
}
FILL = """
    INSERT INTO contacts (campaign_id, list_id, line, phone, first_name, last_name, company, description, custom,
                          next_at, priority, tried)
    SELECT 1, 1 + n % {lists}, n, '+3906' || lpad(n::text, 8, '0'), 'Ada', 'Rossi', 'Ditta ' || n % 9999, 'offer',
           '{{"city": "Roma"}}', CASE WHEN n / 7 % 10 = 0 THEN timestamptz '2026-03-01' + n % 80000 * interval '1 s'
                                   ELSE timestamptz '2026-03-03' + n % 80000 * interval '1 s' END,
           n / 11 % 5 - 2, n / 13 % 4
    FROM generate_series({first}, {last}) n
"""
ATTEMPTS = """
    INSERT INTO attempts (campaign_id, contact_id, number, gateway, caller_id, attempt_no, fence, proof, answer_limit,
                          rule_pack, pbx, ref, state, ordered_at, not_after, ended_at)
    SELECT 1, k.id, k.phone, '4', 'x', 1, 1, '{}', 2, 'p', 'main', 'r' || k.id || '-' || t, 'no_answer',
           timestamptz '2026-02-20' + k.id % 600000 * interval '1 s', timestamptz '2026-02-20', timestamptz '2026-02-20'
    FROM (SELECT * FROM contacts WHERE tried > 0 ORDER BY id LIMIT 150000) k, generate_series(1, 2) t
"""
# Those who are due first, and so are chosen, were tried before: their calls are what caps and gap count.
MORE = """
    INSERT INTO attempts (campaign_id, contact_id, number, gateway, caller_id, attempt_no, fence, proof, answer_limit,
                          rule_pack, pbx, ref, state, ordered_at, not_after, ended_at)
    SELECT 1, k.id, k.phone, '4', 'x', t, 1, '{}', 2, 'p', 'main', 's' || k.id || '-' || t, 'no_answer',
           timestamptz '2026-02-20' + k.id % 600000 * interval '1 s', timestamptz '2026-02-20', timestamptz '2026-02-20'
    FROM contacts k, generate_series(1, k.tried) t
    WHERE k.id > :first AND k.id % 80000 < 2000 AND k.tried > 0 AND k.next_at < timestamptz '2026-03-02'
"""
CEILING = """
    INSERT INTO attempts (campaign_id, contact_id, number, gateway, caller_id, attempt_no, fence, proof, answer_limit,
                          rule_pack, pbx, ref, state, ordered_at, not_after, ended_at)
    SELECT 1, k.id, k.phone, '4', 'x', 1, 1, '{}', 2, 'p', 'main', 'ceiling-' || k.id || '-' || %(turn)s, 'no_answer',
           timestamptz '2026-01-01', timestamptz '2026-01-01', timestamptz '2026-01-01'
    FROM contacts k WHERE k.id = ANY(%(ids)s)
"""


def main() -> None:
    arguments = _database.parser(__doc__)
    arguments.add_argument("--sizes", default="100000,1000000,10000000")
    arguments.add_argument("--times", type=int, default=300)
    arguments.add_argument("--only", choices=list(PATHS))
    given = arguments.parse_args()
    figures = []
    with _database.database(given) as made:
        if made.new:
            prepare(made.url)
        there = size_of(made.url)
        for size in sorted(int(word) for word in given.sizes.split(",")):
            if size < there:
                arguments.error(f"database {given.keep} holds {there:,} contacts already")
            grow(made.url, there, size)
            there = size
            for path, (order, shares) in PATHS.items():
                if given.only in (None, path):
                    figures.append(measure(made.url, size, path, order, shares, given.times))
                    print(json.dumps(figures[-1]), flush=True)
    _database.write(figures, given)


def prepare(url: str) -> None:
    """Make the campaign, its lists and a do-not-call list of a million numbers."""
    from campaigns.db import engine_for, session_factory
    from campaigns.models import Campaign, Lease

    engine = engine_for(url)
    with session_factory(engine)() as session, session.begin():
        session.add(
            Campaign(
                name="bench",
                pbx="main",
                mode="predictive",
                state="running",
                country="IT",
                hours="09:00-20:00",
                time_zone="Europe/Rome",
                caller_id="+39061234567",
                max_attempts=9,
                number_gap=600.0,
                rule_pack="it-2026",
                number_caps="3/day, 7/7d",
                contact_caps="6/7d, 1 talk/7d",
            )
        )
        session.add(Lease(name="campaign:1", holder="bench", fence=1, expires_at=datetime(2100, 1, 1, tzinfo=UTC)))
    engine.dispose()
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO lists (campaign_id, name, kind, created_at) "
            "SELECT 1, 'list ' || n, 'contacts', timestamptz '2026-02-01' + n * interval '1 day' "
            f"FROM generate_series(1, {LISTS}) n"
        )
        connection.execute(
            "INSERT INTO do_not_call (number, source) "
            "SELECT '+3906' || lpad((n * 50)::text, 8, '0'), 'bench' FROM generate_series(1, 1000000) n"
        )


def size_of(url: str) -> int:
    """Count the contacts there are, by the last of them: they are written in order, and never in part."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT line FROM contacts ORDER BY id DESC LIMIT 1").fetchone()
    return int(row[0]) if row is not None else 0


def grow(url: str, there: int, size: int) -> None:
    """Bring the campaign to `size` contacts; the indexes are made afterwards, as filling is not what is measured."""
    if size == there:
        return
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET maintenance_work_mem = '512MB'; SET synchronous_commit = off")
        with connection.transaction():
            with _database.indexes_made_afterwards(connection, "contacts"):
                step = 500_000
                for first in range(there + 1, size + 1, step):
                    last = min(size, first + step - 1)
                    connection.execute(FILL.format(lists=LISTS, first=first, last=last))
            if there == 0:
                connection.execute(ATTEMPTS)
            connection.execute(MORE.replace(":first", str(max(there, 150_000 * 4 // 3))))
    _database.vacuum(url)


def measure(
    url: str, size: int, path: str, order: str, shares: tuple[tuple[int, float], ...], times: int
) -> dict[str, Any]:
    """Choose and gate a hundred contacts `times` times."""
    from campaigns import garbage, gate
    from campaigns.db import engine_for, session_factory
    from campaigns.installation import ensure_installation
    from dialer.settings import TimingSettings

    with psycopg.connect(url) as connection:
        connection.execute("DELETE FROM attempts WHERE ref LIKE 'ceiling-%'")  # of a run that was broken off
        connection.execute("UPDATE campaigns SET contact_order = %s", (order,))
        connection.execute("UPDATE lists SET share = NULL")
        for number, share in shares:
            connection.execute("UPDATE lists SET share = %s WHERE id = %s", (share, number))
    engine = engine_for(url)
    ensure_installation(engine)
    sessions, claim, timing = session_factory(engine), gate.Claim("campaign:1", "bench", 1), TimingSettings()
    took: list[float] = []
    work: list[float] = []
    bare: list[float] = []
    through = 0
    scans = _scans(url)
    with psycopg.connect(url, autocommit=False) as beside:
        server = engine_pid(sessions)
        garbage.settle()  # as every process does: what is loaded once is looked at by the collector no more
        for turn in range(times + 20):
            with sessions() as session, undone(session):
                began, used = time.perf_counter(), _cpu(server)
                allowed = gate.let_through(session, 1, WANTED, claim, now=NOW, timing=timing)
                session.flush()
                spent, worked = time.perf_counter() - began, _cpu(server) - used
            first = 40_000 + turn * WANTED  # not those who are due first: their attempts would be used up
            known = ceiling(beside, list(range(first, first + WANTED)), turn)
            if turn >= 20:  # the first ones fill caches and learn plans
                took.append(spent * 1000)
                work.append(worked * 1000)
                bare.append(known * 1000)
                through += len(allowed.contacts)
        beside.execute("DELETE FROM attempts WHERE ref LIKE 'ceiling-%'")
    engine.dispose()
    found = {"contacts": size, "order": path, "through": through / times}
    for name, values in (("", took), ("work_", work), ("ceiling_", bare)):
        values.sort()
        for share in (50, 99):
            found[f"{name}p{share}_ms"] = round(values[max(0, len(values) * share // 100 - 1)], 1)
    return found | {
        "max_ms": round(took[-1], 1),
        "sequential_scans": _scans(url) - scans,
        "load_average": round(os.getloadavg()[0], 1),
    }


@contextmanager
def undone(session: Any) -> Iterator[None]:
    """Undo whatever is written meanwhile, and commit; the driver hears nothing of it."""
    raw = session.connection().connection.driver_connection.pgconn
    raw.exec_(b"SAVEPOINT before")
    yield
    raw.exec_(b"ROLLBACK TO SAVEPOINT before")
    session.expunge_all()
    session.commit()


def ceiling(connection: psycopg.Connection[Any], ids: list[int], turn: int) -> float:
    """Lock contacts known beforehand with their numbers, write their attempts and commit; seconds it took."""
    began = time.perf_counter()
    given = {"ids": ids, "turn": turn}
    connection.execute("SELECT 1 FROM contacts WHERE id = ANY(%(ids)s) ORDER BY id FOR NO KEY UPDATE", given)
    connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(phone, 711)) FROM contacts WHERE id = ANY(%(ids)s)", given
    )
    connection.execute(CEILING, given)
    connection.commit()
    return time.perf_counter() - began


def engine_pid(sessions: Any) -> int:
    """Return the process id of the one server process the sessions use, one after the other."""
    with sessions() as session:
        return int(session.connection().exec_driver_sql("SELECT pg_backend_pid()").scalar_one())


def _cpu(server: int) -> float:
    """CPU seconds of this process and of a server process on this machine; of this one alone where it is elsewhere."""
    try:
        of_server = int(Path(f"/proc/{server}/schedstat").read_text("ascii").split()[0]) / 1e9
    except (OSError, ValueError):
        of_server = 0.0
    return time.process_time() + of_server


def _scans(url: str) -> int:
    """Count sequential scans of the large tables so far."""
    time.sleep(1.5)  # what a connection did is told a second later
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT sum(seq_scan) FROM pg_stat_user_tables WHERE relname IN ('contacts', 'attempts', 'do_not_call')"
        ).fetchone()
    return int(row[0]) if row is not None and row[0] is not None else 0


if __name__ == "__main__":
    main()
