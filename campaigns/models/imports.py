"""Imports: files that became contacts, and what takes them back."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from campaigns.db import Base
from campaigns.models.columns import Instant, row_id


class Import(Base):
    """One run of the importer over one file: a background job that survives the one who asked for it."""

    __tablename__ = "imports"
    __table_args__ = (
        CheckConstraint("state IN ('waiting','running','done','failed','undone')", name="state"),
        Index("ix_imports_open", "id", postgresql_where=text("state IN ('waiting','running')")),
    )
    id: Mapped[int] = row_id()
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"), index=True)
    list_id: Mapped[int | None] = mapped_column(ForeignKey("lists.id"))
    file_name: Mapped[str] = mapped_column(Text)  # as the person named it
    stored_path: Mapped[str] = mapped_column(Text)  # our copy, under the data folder
    sha256: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    options: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    state: Mapped[str] = mapped_column(Text, default="waiting", server_default="waiting")
    bytes_total: Mapped[int] = mapped_column(BigInteger, default=0)
    bytes_done: Mapped[int] = mapped_column(BigInteger, default=0)
    rows: Mapped[int] = mapped_column(default=0)
    accepted: Mapped[int] = mapped_column(default=0)
    rejected: Mapped[int] = mapped_column(default=0)
    duplicates: Mapped[int] = mapped_column(default=0)
    reject_file: Mapped[str | None] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())
    heartbeat_at: Mapped[datetime | None] = mapped_column(Instant)  # of the worker that runs it
    finished_at: Mapped[datetime | None] = mapped_column(Instant)
    updated: Mapped[int] = mapped_column(default=0, server_default=text("0"))  # of the duplicates: changed a contact


class ImportTemplate(Base):
    """How files of one kind are read, under a name: saved once, used with --mapping NAME."""

    __tablename__ = "import_templates"
    __table_args__ = (Index("uq_import_templates_name", text("lower(name)"), unique=True),)
    id: Mapped[int] = row_id()
    name: Mapped[str] = mapped_column(Text)
    options: Mapped[dict[str, Any]] = mapped_column(JSONB)  # mapping, delimiter, encoding, duplicates ...
    saved_by: Mapped[str] = mapped_column(Text, default="", server_default="")
    saved_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())


class ImportChange(Base):
    """A contact that an import changed, as it was before: what undo puts back. The contact may be gone since."""

    __tablename__ = "import_changes"
    import_id: Mapped[int] = mapped_column(ForeignKey("imports.id"), primary_key=True)
    contact_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, index=True)
    before: Mapped[dict[str, Any]] = mapped_column(JSONB)
    after: Mapped[dict[str, Any]] = mapped_column(JSONB)


class ImportPull(Base):
    """The last look of a scheduled pull, `[import.NAME]` in the settings."""

    __tablename__ = "import_pulls"
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    looked_at: Mapped[datetime] = mapped_column(Instant)
    import_id: Mapped[int | None] = mapped_column(ForeignKey("imports.id"))  # the last it brought
    file_name: Mapped[str] = mapped_column(Text, default="", server_default="")  # in the folder, until that is over
    trouble: Mapped[str] = mapped_column(Text, default="", server_default="")
