"""The connection on which events are written: what is answered 200 is on disk when its INSERT returns (I15)."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg

log = logging.getLogger(__name__)

# Given the address, and the seconds a statement may take.
Opens = Callable[[str, float], Awaitable[psycopg.AsyncConnection[Any]]]


async def opened(address: str, limit: float) -> psycopg.AsyncConnection[Any]:
    """Connect to the database, each statement within `limit` seconds and committed by itself."""
    milliseconds = int(limit * 1000)
    connection = await psycopg.AsyncConnection.connect(
        address,
        autocommit=True,  # one INSERT is one transaction: committed, and on disk, when it returns
        connect_timeout=max(2, int(limit)),
        application_name="dialer event log",
        options=(
            "-c timezone=UTC -c synchronous_commit=on "
            f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds}"
        ),
    )
    row = await (await connection.execute("SHOW fsync")).fetchone()
    if row is not None and row[0] != "on":
        log.warning("PostgreSQL runs with fsync=%s: events answered 200 would not survive a power cut", row[0])
    return connection
