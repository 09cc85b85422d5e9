"""How fast is a list imported, and what would the database alone need? Ceiling and product in one run.

    python benchmarks/import_rows.py [--database-url postgresql://...] [--rows 100000] [--kind callbacks] [--json FILE]

The file is made first and is dirty: two columns of numbers in five notations, 8 % refused, 2 % repeats, accents, custom
columns. Then the waterfall of `dialer why` and the undo of the import are timed. The ceiling is COPY of the same
accepted rows, as finished text, into the same table, empty as the import found it, with its constraints and indexes.
"""

import argparse
import os
import random
import resource
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import _database
import psycopg
from sqlalchemy.orm import Session, sessionmaker

_database.product_first()

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
BAD = ("3.93E+11", "", "112", "899123456", "06 12", "ask Mario", "612345678", "06 1234567 int. 3")


def write_file(path: Path, rows: int, kind: str, seed: int) -> None:
    """Write a list as a call centre would get it: mostly good, and every kind of trouble."""
    chance = random.Random(seed)
    names = ["Mario", "Giulia", "Zoë", "José", "Anna Maria", "O'Neill", "Łukasz", "Nicolò"]
    repeats: list[str] = []
    with path.open("w", encoding="utf-8", newline="") as out:
        if kind == "callbacks":
            out.write("phoneNumber|mobilePhoneNumber|firstName|lastName|company|description|dueDate|period\n")
        else:
            out.write("phone,mobile,first_name,last_name,company,notes,customer_id,city\n")
        for row in range(rows):
            number = _number(chance, repeats)
            first, last = chance.choice(names), chance.choice(names)
            company = f"Ditta {chance.randrange(9999)}"
            if kind == "callbacks":
                day = chance.choice(["", "2026-03-10", "2026-04-01"])
                period = chance.choice(["", "Morning", "Afternoon"])
                out.write(f"{number}||{first}|{last}|{company}|call back about offer {row}|{day}|{period}\n")
            else:
                # Half of the contacts have a second number; one in a hundred of those is somebody's already.
                second = _number(chance, repeats, bad=0.0, again=0.01) if chance.random() < 0.5 else ""
                out.write(
                    f'{number},{second},{first},{last},"{company}, SRL",offer {row},C{row:07d},Città {row % 97}\n'
                )


def _number(chance: random.Random, repeats: list[str], bad: float = 0.08, again: float = 0.02) -> str:
    draw = chance.random()
    if draw < bad:
        return chance.choice(BAD)
    if draw < bad + again and repeats:
        return chance.choice(repeats)
    mobile = f"3{chance.choice('2345678')}{chance.randrange(10**8):08d}"
    landline = f"{chance.choice(['06', '02', '011', '081'])}{chance.randrange(10**7):07d}"
    number = mobile if draw < 0.7 else landline
    if len(repeats) < 20_000:
        repeats.append(number)
    spaced = f"{number[:3]} {number[3:6]} {number[6:]}"
    return chance.choice([number, f"+39{number}", f"0039{number}", spaced, f"+39 {spaced}"])


def main() -> None:
    arguments = _database.parser(__doc__)
    arguments.add_argument("--rows", type=int, default=100_000)
    arguments.add_argument("--kind", choices=("contacts", "callbacks"), default="contacts")
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    with _database.database(given) as made, tempfile.TemporaryDirectory() as folder:
        if not made.new:
            arguments.error(f"database {given.keep} is there already: this one wants to be alone in its own")
        figures = measure(made.url, Path(folder), given)
    for label, value in figures.items():
        print(f"{label:28} {value}")
    _database.write(figures, given)


def measure(url: str, folder: Path, given: argparse.Namespace) -> dict[str, object]:
    """Import the file, then copy its accepted rows by COPY alone."""
    from campaigns import importing, periods
    from campaigns.db import engine_for, session_factory
    from campaigns.models import Campaign

    file = folder / "rows.csv"
    write_file(file, given.rows, given.kind, given.seed)
    engine = engine_for(url)
    sessions = session_factory(engine)
    before = _peak_mib()
    with sessions() as session, session.begin():
        campaign = Campaign(
            name="bench", pbx="main", mode="progressive", country="IT", hours="always", caller_id="+39061234567"
        )
        session.add(campaign)
        session.flush()
        for period, starts, ends, default in (
            ("Morning", "9:00", "12:00", True),
            ("Afternoon", "14:00", "18:00", False),
        ):
            periods.define(session, campaign.id, period, starts, ends, default=bool(default), who="bench", now=NOW)
    began, cpu = time.perf_counter(), time.process_time()
    with sessions() as session, session.begin():
        job = importing.submit_import(
            session,
            campaign=campaign,
            source=file,
            file_name=file.name,
            kind=given.kind,
            data_dir=folder,
            now=NOW,
        )
    job = importing.run_import(sessions, job.id, now=NOW)
    took, used = time.perf_counter() - began, time.process_time() - cpu
    peak = _peak_mib()
    if job.state != "done":
        raise SystemExit(f"the import {job.state}: {job.error}")
    data = _accepted(url)
    waterfall = _waterfall(sessions)
    began = time.perf_counter()
    with sessions() as session, session.begin():
        undone = importing.undo_import(session, job.id, NOW, "bench")
    undo = time.perf_counter() - began
    ceiling = _ceiling(url, data)
    engine.dispose()
    return {
        "rows": job.rows,
        "accepted": job.accepted,
        "rejected": job.rejected,
        "duplicates": job.duplicates,
        "file_mib": round(job.bytes_total / 2**20, 1),
        "seconds": round(took, 2),
        "client_cpu_seconds": round(used, 2),
        "rows_per_second": round(job.rows / took),
        "copy_only_seconds": round(ceiling, 2),
        "copy_only_rows_per_second": round(job.accepted / ceiling),
        "times_the_ceiling": round(took / ceiling, 2),
        "waterfall_seconds": waterfall,
        "undo_seconds": round(undo, 2),
        "undo_removed": undone.removed,
        "peak_rss_mib": round(peak),
        "rss_before_mib": round(before),
        "load_average": [round(value, 1) for value in os.getloadavg()],
    }


def _accepted(url: str) -> bytes:
    """Read back the rows that were accepted, as COPY text."""
    from campaigns.import_copying import COLUMNS

    query = f"COPY (SELECT {COLUMNS} FROM contacts ORDER BY line) TO STDOUT"
    with psycopg.connect(url) as connection, connection.cursor().copy(query) as out:
        return b"".join(bytes(block) for block in out)


def _ceiling(url: str, data: bytes) -> float:
    """Seconds that COPY of the very rows that were accepted takes, into the same table, empty again."""
    from campaigns.import_copying import COLUMNS

    with psycopg.connect(url) as connection:
        connection.execute("TRUNCATE contacts CASCADE")
        connection.commit()
        began = time.perf_counter()
        with connection.cursor().copy(f"COPY contacts ({COLUMNS}) FROM STDIN") as copy:
            for at in range(0, len(data), 1 << 20):
                copy.write(data[at : at + (1 << 20)])
        connection.commit()
        return time.perf_counter() - began


def _waterfall(sessions: "sessionmaker[Session]") -> float:
    """Seconds of the second count: the first one finds cold caches, and nobody asks only once."""
    from campaigns import waterfall
    from campaigns.models import Campaign

    for _ in range(2):
        with sessions() as session:
            began = time.perf_counter()
            waterfall.waterfall(session, session.get_one(Campaign, 1), now=NOW, ring_seconds=30)
            took = time.perf_counter() - began
    return round(took, 2)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
