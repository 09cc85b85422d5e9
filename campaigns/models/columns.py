"""What the columns of every table are made of."""

from sqlalchemy import BigInteger, Identity
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from dialer.calls import OPEN

Instant = TIMESTAMP(timezone=True)
OPEN_SQL = "state IN (" + ", ".join(f"'{state}'" for state in OPEN) + ")"  # of a call that is not over


def row_id() -> Mapped[int]:
    """Return the primary key of a table whose rows have no name of their own."""
    return mapped_column(BigInteger, Identity(always=False), primary_key=True)
