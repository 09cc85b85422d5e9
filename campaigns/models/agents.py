"""Agents: people at PBX extensions, where they are in their work, and what they are shown."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from campaigns.db import Base
from campaigns.models.columns import Instant, row_id


class Agent(Base):
    """A person at a PBX extension, and where they are in their work: the dialer's own record."""

    __tablename__ = "agents"
    __table_args__ = (
        UniqueConstraint("pbx", "user_id"),
        CheckConstraint(
            "state IN ('out','ready','parking','parked','assigned','talking','wrap_up','paused')", name="state"
        ),
        Index("ix_agents_parked", "idle_since", postgresql_where=text("state = 'parked'")),
        # Kept for one certain call, on the agent's own row: the assigning statement locks and tests this very row, so
        # a customer who answers at this instant cannot be given an agent who is being reserved for another.
        Index("uq_agents_reserved", "reserved_attempt_id", unique=True),
        CheckConstraint("reserved_for IN ('','offer','callback','call')", name="reserved_for"),
        CheckConstraint("(reserved_for = '') = (reserved_until IS NULL)", name="reserved_until"),
        CheckConstraint("(reserved_for = 'call') = (reserved_attempt_id IS NOT NULL)", name="reserved_attempt"),
    )
    id: Mapped[int] = row_id()
    pbx: Mapped[str] = mapped_column(Text)
    user_id: Mapped[str] = mapped_column(Text)  # the PBX's entity id
    name: Mapped[str] = mapped_column(Text, default="")
    extension: Mapped[str] = mapped_column(Text, default="")
    state: Mapped[str] = mapped_column(Text, default="out", server_default="out")
    reason: Mapped[str] = mapped_column(Text, default="", server_default="")
    # Who said so: 'presence' may be undone by presence, 'person' only by a person.
    said_by: Mapped[str] = mapped_column(Text, default="presence", server_default="presence")
    since: Mapped[datetime] = mapped_column(Instant, server_default=func.now())
    idle_since: Mapped[datetime | None] = mapped_column(Instant)  # last time a customer left; longest idle first
    until: Mapped[datetime | None] = mapped_column(Instant)  # the deadline of the state, when it has one
    not_before: Mapped[datetime | None] = mapped_column(Instant)  # no new parking call before this
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaigns.id"))  # parked for
    presence: Mapped[str] = mapped_column(Text, default="unknown", server_default="unknown")
    presence_at: Mapped[datetime | None] = mapped_column(Instant)  # last read of the PBX's record
    presence_left: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    # What the agent becomes when the call in hand is over: '', 'out' or 'paused'.
    wanted: Mapped[str] = mapped_column(Text, default="", server_default="")
    wanted_reason: Mapped[str] = mapped_column(Text, default="", server_default="")
    # '', 'offer' (reads one), 'callback' (kept ahead of one that is nearly due), 'call' (of `reserved_attempt_id`).
    reserved_for: Mapped[str] = mapped_column(Text, default="", server_default="")
    reserved_until: Mapped[datetime | None] = mapped_column(Instant)  # released by the sweep after that
    reserved_attempt_id: Mapped[int | None] = mapped_column(
        ForeignKey("attempts.id", use_alter=True, name="fk_agents_reserved_attempt_id_attempts")
    )
    # Another phone of that agent, on another PBX: no agent of its own. Moving swaps the phones of the two rows, so
    # that a person is one row wherever they work, and can never be given two customers (I9).
    spare_of: Mapped[int | None] = mapped_column(ForeignKey("agents.id"), index=True)
    home_pbx: Mapped[str | None] = mapped_column(Text)  # of who works on another phone for now: where they go back to


class CampaignAgent(Base):
    """Which agents work for which campaign."""

    __tablename__ = "campaign_agents"
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"), primary_key=True)
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"), primary_key=True, index=True)


class Offer(Base):
    """One contact shown to one agent in preview mode, to be accepted or skipped before its time is over."""

    __tablename__ = "offers"
    __table_args__ = (
        CheckConstraint("state IN ('open','accepted','skipped','expired','withdrawn')", name="state"),
        CheckConstraint("(state = 'open') = (ended_at IS NULL)", name="ended"),
        Index("uq_offers_open_agent", "agent_id", unique=True, postgresql_where=text("state = 'open'")),
        Index("uq_offers_open_contact", "contact_id", unique=True, postgresql_where=text("state = 'open'")),
        Index("ix_offers_campaign", "campaign_id", "offered_at"),
        Index("ix_offers_contact", "contact_id"),
    )
    id: Mapped[int] = row_id()
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id"))
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"))
    offered_at: Mapped[datetime] = mapped_column(Instant)
    until: Mapped[datetime] = mapped_column(Instant)
    state: Mapped[str] = mapped_column(Text, default="open", server_default="open")
    reason: Mapped[str] = mapped_column(Text, default="", server_default="")  # the agent's, or the rule's
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    attempt_id: Mapped[int | None] = mapped_column(ForeignKey("attempts.id"))  # what accepting it ordered
