"""Pacing: what was decided, foretold and learnt."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from campaigns.db import Base
from campaigns.models.columns import Instant, row_id


class PaceDecision(Base):
    """What the pacer decided and why. Equal decisions in a row are one row: `until_at`, `ticks`."""

    __tablename__ = "pace_decisions"
    __table_args__ = (Index("ix_pace_decisions_campaign", "campaign_id", "decided_at"),)
    id: Mapped[int] = row_id()
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    decided_at: Mapped[datetime] = mapped_column(Instant)
    until_at: Mapped[datetime] = mapped_column(Instant)
    ticks: Mapped[int] = mapped_column(default=1)
    calls: Mapped[int]  # what the pacer wanted
    ordered: Mapped[int]  # what passed the gate
    why: Mapped[str] = mapped_column(Text)
    snapshot: Mapped[dict[str, Any]] = mapped_column(JSONB)
    limits: Mapped[dict[str, Any]] = mapped_column(JSONB)
    reckoned: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default=text("'{}'::jsonb"))
    fence: Mapped[int] = mapped_column(BigInteger)
    pbx: Mapped[str] = mapped_column(Text, default="", server_default="")  # where a campaign has several


class Forecast(Base):
    """What was foretold of a campaign, from what, and by whom: kept to be compared with what came."""

    __tablename__ = "forecasts"
    __table_args__ = (Index("ix_forecasts_campaign", "campaign_id", "made_at"),)
    id: Mapped[int] = row_id()
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    made_at: Mapped[datetime] = mapped_column(Instant)
    made_by: Mapped[str] = mapped_column(Text)
    starts_at: Mapped[datetime] = mapped_column(Instant)  # the next moment of its calling hours
    horizon: Mapped[float]  # seconds from then on
    inputs: Mapped[dict[str, Any]] = mapped_column(JSONB)
    forecast: Mapped[dict[str, Any]] = mapped_column(JSONB)


class LearntTimes(Base):
    """When a campaign's people answer, as it was last learnt from the attempts; the gate orders contacts by it."""

    __tablename__ = "learnt_times"
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"), primary_key=True)
    learnt_at: Mapped[datetime] = mapped_column(Instant)
    learnt: Mapped[dict[str, Any]] = mapped_column(JSONB)  # `dialer.best_times.BestTimes`
    put_off_at: Mapped[datetime | None] = mapped_column(Instant)  # when contacts were last put off to a better hour
