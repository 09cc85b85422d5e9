"""Engine, sessions, and the naming of constraints. PostgreSQL only."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, MetaData, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker

from dialer.errors import ServiceUnreachable


class Base(DeclarativeBase):
    """Base of every table; names are spelled out so that migrations can find constraints again."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def engine_for(url: str, *, pool_size: int = 12, application_name: str = "dialer") -> Engine:
    """Open a pool. Lock, statement and idle time-outs keep one stuck process from stopping the others."""
    address = make_url(url).set(drivername="postgresql+psycopg")
    return create_engine(
        address,
        pool_size=pool_size,
        max_overflow=4,
        pool_timeout=10,
        pool_pre_ping=False,
        connect_args={
            "application_name": application_name,
            "connect_timeout": 5,
            "options": (
                "-c timezone=UTC -c lock_timeout=5s -c statement_timeout=60s -c idle_in_transaction_session_timeout=60s"
            ),
        },
    )


def session_factory(engine: Engine) -> sessionmaker[Session]:
    """Sessions whose objects stay readable after commit: what we send must be what we committed."""
    return sessionmaker(engine, expire_on_commit=False)


# How rows are locked: against every change, but not against a row elsewhere that merely refers to them. The
# stronger lock would make a handler that refers to a leg wait for the one that holds it, and the reverse.
ROW_LOCK: dict[str, Any] = {"key_share": True}
ROW_LOCK_OR_SKIP: dict[str, Any] = {"key_share": True, "skip_locked": True}


MOST_ID = 2**63 - 1  # no row has a higher one, and a question about it would be refused


def database_now(session: Session) -> datetime:
    """Return the database's time: the one clock that decides about calls on every host."""
    now: datetime = session.execute(text("SELECT clock_timestamp()")).scalar_one()
    return now


def array(values: Iterable[int] | Iterable[str]) -> str:
    """Write an array as PostgreSQL reads it, for a statement that casts it: `CAST(:ids AS bigint[])`.

    The driver looks at each element of a list by itself, which for the hundreds of a gate takes ten times as long.
    """
    told = [str(value) for value in values]
    whole = '","'.join(told)
    if "\\" in whole or whole.count('"') > 2 * (len(told) - 1):  # more than stand between them
        whole = '","'.join(one.replace("\\", r"\\").replace('"', r"\"") for one in told)
    return f'{{"{whole}"}}' if told else "{}"


@contextmanager
def reachable(what: str = "PostgreSQL") -> Iterator[None]:
    """Turn a driver's connection error into our sentence."""
    from sqlalchemy.exc import OperationalError

    try:
        yield
    except OperationalError as exc:
        state = getattr(exc.orig, "sqlstate", None)
        if state is not None and not state.startswith(("08", "57P", "53")):
            raise  # it answered, and said no: a deadlock, a time-out
        first: Any = str(exc.orig).strip().splitlines()
        raise ServiceUnreachable(
            f"{what} cannot be reached: {first[0] if first else 'no answer'}; "
            "check database.url, or leave it empty for the embedded server"
        ) from exc
