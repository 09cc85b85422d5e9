"""This installation and its processes."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from campaigns.db import Base
from campaigns.models.columns import Instant


class Installation(Base):
    """One row: the prefix of our references, so that two databases on one PBX never share one."""

    __tablename__ = "installation"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)
    id: Mapped[int] = mapped_column(primary_key=True, default=1, autoincrement=False)
    prefix: Mapped[str] = mapped_column(Text)
    # For every campaign, from the settings of whoever schedules: decided on in the rows, as its own caps are.
    number_caps: Mapped[str] = mapped_column(Text, default="", server_default="")
    contact_caps: Mapped[str] = mapped_column(Text, default="", server_default="")
    forgotten_key: Mapped[str | None] = mapped_column(Text)  # of forgotten numbers' digests; drawn when needed


class Lease(Base):
    """Who schedules what: a row on database time with a rising fence (I8)."""

    __tablename__ = "leases"
    name: Mapped[str] = mapped_column(Text, primary_key=True)  # "campaign:7", "pbx:main", "calendar"
    holder: Mapped[str] = mapped_column(Text)
    fence: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[datetime] = mapped_column(Instant)


class ProcessBeat(Base):
    """A process of ours that is alive: for `dialer doctor`, the status and the dashboard."""

    __tablename__ = "process_beats"
    name: Mapped[str] = mapped_column(Text, primary_key=True)  # "scheduler:host:4711"
    kind: Mapped[str] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(Instant)
    beat_at: Mapped[datetime] = mapped_column(Instant)
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default=text("'{}'::jsonb"))
