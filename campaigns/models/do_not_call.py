"""Numbers nobody calls."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from campaigns.db import Base
from campaigns.models.columns import Instant, row_id


class DoNotCall(Base):
    """A number nobody calls: in one campaign, or anywhere when `campaign_id` is null."""

    __tablename__ = "do_not_call"
    __table_args__ = (
        Index(
            "uq_do_not_call_number",
            "number",
            text("coalesce(campaign_id, 0)"),
            unique=True,
        ),
    )
    id: Mapped[int] = row_id()
    number: Mapped[str] = mapped_column(Text)
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaigns.id"))
    source: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text, default="", server_default="")
    added_by: Mapped[str] = mapped_column(Text, default="", server_default="")
    added_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())


class Forgotten(Base):
    """A number nobody calls again whose owner is not known here any more: its keyed digest alone."""

    __tablename__ = "forgotten"
    digest: Mapped[str] = mapped_column(Text, primary_key=True)
    added_by: Mapped[str] = mapped_column(Text, default="", server_default="")
    added_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())


class SharesForgotten(Base):
    """A contact that had a number when its owner asked to be forgotten: one of few whose digests must be looked up."""

    __tablename__ = "shares_forgotten"
    # No foreign key: a contact that is gone does no harm here, and an import is taken back without looking.
    contact_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
