"""What is known of the PBXs and directories, and what was set up or asked there."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from campaigns.db import Base
from campaigns.models.columns import Instant, row_id


class PbxStatus(Base):
    """The last reads of a PBX: lines and agents, and what went wrong since."""

    __tablename__ = "pbx_status"
    pbx: Mapped[str] = mapped_column(Text, primary_key=True)
    read_at: Mapped[datetime | None] = mapped_column(Instant)  # last good read of lines and agents
    gateways: Mapped[list[Any]] = mapped_column(JSONB, default=list, server_default=text("'[]'::jsonb"))
    calls_at: Mapped[datetime | None] = mapped_column(Instant)  # last good list of current calls
    trouble: Mapped[str] = mapped_column(Text, default="", server_default="")
    trouble_at: Mapped[datetime | None] = mapped_column(Instant)
    # `campaigns/pbx_health.py`: since when it cannot be called on, and since when it can again; null while all is well.
    out_since: Mapped[datetime | None] = mapped_column(Instant)
    back_since: Mapped[datetime | None] = mapped_column(Instant)
    out_why: Mapped[str] = mapped_column(Text, default="", server_default="")


class PbxRequest(Base):
    """A request sent to a PBX whose account allows so many in a while: counted, and deleted when the while is over."""

    __tablename__ = "pbx_requests"
    __table_args__ = (Index("ix_pbx_requests_sent", "pbx", "sent_at"),)
    id: Mapped[int] = row_id()
    pbx: Mapped[str] = mapped_column(Text)
    sent_at: Mapped[datetime] = mapped_column(Instant)
    kind: Mapped[str] = mapped_column(Text)


class PbxAccount(Base):
    """Whether a PBX's account is closed to us for a while; its row is the lock under which its requests are counted."""

    __tablename__ = "pbx_accounts"
    pbx: Mapped[str] = mapped_column(Text, primary_key=True)
    closed_until: Mapped[datetime | None] = mapped_column(Instant)
    why: Mapped[str] = mapped_column(Text, default="", server_default="")
    times: Mapped[int] = mapped_column(default=0, server_default=text("0"))  # refused in a row


class PbxFigures(Base):
    """What a PBX counted of an agent or a queue on one of its days, when it was last read."""

    __tablename__ = "pbx_figures"
    __table_args__ = (CheckConstraint("kind IN ('agent','queue')", name="kind"),)
    pbx: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)  # by the PBX's clock
    name: Mapped[str] = mapped_column(Text, default="", server_default="")
    figures: Mapped[dict[str, Any]] = mapped_column(JSONB)
    read_at: Mapped[datetime] = mapped_column(Instant)


class DirectoryChange(Base):
    """A thing we set up on a directory: written before the request leaves, kept when it is taken back.

    `sent`: claimed, and what became of it is looked up; `made`: ours, and to be taken back by `undo`.
    """

    __tablename__ = "directory_changes"
    __table_args__ = (
        CheckConstraint("state IN ('sent','made','refused','not_ours','undoing','undone','gone')", name="state"),
        # Whatever runs at once: one thing is set up once, and is one row's.
        Index(
            "uq_directory_changes_open",
            "directory",
            "key",
            unique=True,
            postgresql_where=text("state IN ('sent','made','undoing')"),
        ),
    )
    id: Mapped[int] = row_id()
    directory: Mapped[str] = mapped_column(Text)
    label: Mapped[str] = mapped_column(Text)  # what was set up together: the name of the group
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaigns.id"))
    creates: Mapped[str] = mapped_column(Text)
    key: Mapped[str] = mapped_column(Text)
    what: Mapped[str] = mapped_column(Text)
    method: Mapped[str] = mapped_column(Text)
    path: Mapped[str] = mapped_column(Text)
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)
    state: Mapped[str] = mapped_column(Text)
    claimed_until: Mapped[datetime | None] = mapped_column(Instant)  # whoever sends it is gone by then
    made_id: Mapped[str] = mapped_column(Text, default="", server_default="")
    made_path: Mapped[str] = mapped_column(Text, default="", server_default="")
    record: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default=text("'{}'::jsonb"))
    who: Mapped[str] = mapped_column(Text)
    written_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())
    ended_at: Mapped[datetime | None] = mapped_column(Instant)  # made, refused, or taken back
    trouble: Mapped[str] = mapped_column(Text, default="", server_default="")
