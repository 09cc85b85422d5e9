"""The book of requests over all processes: rows, counted under the lock of their account's row (I19)."""

from sqlalchemy import Connection, Engine, text

from campaigns.db import reachable
from dialer.pbx.request_book import Account

_LOCK = text(
    "INSERT INTO pbx_accounts (pbx) VALUES (:pbx) ON CONFLICT (pbx) DO NOTHING"
)  # fmt: skip
_ACCOUNT = """
    SELECT coalesce(extract(epoch FROM closed_until - clock_timestamp()), 0) AS closed_for, why, times
    FROM pbx_accounts WHERE pbx = :pbx
"""
_AGES = text(
    """
    SELECT extract(epoch FROM clock_timestamp() - sent_at) AS age FROM pbx_requests
    WHERE pbx = :pbx AND sent_at > clock_timestamp() - make_interval(secs => :window) ORDER BY sent_at DESC
    """
)
_OVER = text(
    "DELETE FROM pbx_requests WHERE pbx = :pbx AND sent_at <= clock_timestamp() - make_interval(secs => :window)"
)
_WRITE = text("INSERT INTO pbx_requests (pbx, sent_at, kind) VALUES (:pbx, clock_timestamp(), :kind)")
_CLOSE = text(
    """
    INSERT INTO pbx_accounts (pbx, closed_until, why, times)
    VALUES (:pbx, clock_timestamp() + make_interval(secs => :seconds), :why, 1)
    ON CONFLICT (pbx) DO UPDATE SET closed_until = excluded.closed_until, why = excluded.why,
                                    times = pbx_accounts.times + 1
    """
)
_REOPEN = text("UPDATE pbx_accounts SET closed_until = NULL, why = '', times = 0 WHERE pbx = :pbx AND times > 0")


class SharedBook:
    """A `RequestBook` on the database; each question is a short transaction of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def take(self, account: str, kind: str, most: int, window: float) -> Account | None:
        with reachable(), self._engine.begin() as connection:
            connection.execute(_LOCK, {"pbx": account})
            now = self._now(connection, account, window, lock=True)
            if now.closed_for > 0 or len(now.ages) >= most:
                return now
            connection.execute(_OVER, {"pbx": account, "window": window})
            connection.execute(_WRITE, {"pbx": account, "kind": kind})
            return None

    def look(self, account: str, window: float) -> Account:
        with reachable(), self._engine.begin() as connection:
            return self._now(connection, account, window, lock=False)

    def close(self, account: str, seconds: float, why: str) -> None:
        with reachable(), self._engine.begin() as connection:
            connection.execute(_CLOSE, {"pbx": account, "seconds": seconds, "why": why[:500]})

    def reopen(self, account: str) -> None:
        with reachable(), self._engine.begin() as connection:
            connection.execute(_REOPEN, {"pbx": account})

    def _now(self, connection: Connection, account: str, window: float, *, lock: bool) -> Account:
        found = connection.execute(text(_ACCOUNT + (" FOR UPDATE" if lock else "")), {"pbx": account}).one_or_none()
        ages = connection.execute(_AGES, {"pbx": account, "window": window})
        return Account(
            tuple(float(row.age) for row in ages),
            max(0.0, float(found.closed_for)) if found is not None else 0.0,
            found.why if found is not None else "",
            found.times if found is not None else 0,
        )
