"""Calls: what was ordered, who was given whom, what was asked of the PBX and what it told.

Rows of attempts and assignments are never deleted: reports and regulators ask for them.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from campaigns.db import Base
from campaigns.models.columns import OPEN_SQL, Instant, row_id


class PlacedCall:
    """What an attempt and an agent's leg have in common: a call we order from a PBX."""

    pbx: Mapped[str] = mapped_column(Text)
    ref: Mapped[str] = mapped_column(Text, unique=True)  # travels as extid
    state: Mapped[str] = mapped_column(Text, default="ordered")
    ordered_at: Mapped[datetime] = mapped_column(Instant)
    not_after: Mapped[datetime] = mapped_column(Instant)  # never sent after this
    sent_at: Mapped[datetime | None] = mapped_column(Instant)
    request_id: Mapped[str | None] = mapped_column(Text)
    pbx_call_id: Mapped[str | None] = mapped_column(Text)  # the communication
    first_leg_id: Mapped[str | None] = mapped_column(Text)  # the customer's, or the agent's
    second_leg_id: Mapped[str | None] = mapped_column(Text)  # the reception's, or the waiting IVR's
    heard_at: Mapped[datetime | None] = mapped_column(Instant)  # last event, or last seen in the PBX's list
    ringing_at: Mapped[datetime | None] = mapped_column(Instant)
    answered_at: Mapped[datetime | None] = mapped_column(Instant)
    held_at: Mapped[datetime | None] = mapped_column(Instant)
    joined_at: Mapped[datetime | None] = mapped_column(Instant)
    left_at: Mapped[datetime | None] = mapped_column(Instant)  # when the customer (or the agent) hung up
    leg_outcome: Mapped[str | None] = mapped_column(Text)
    final_outcome: Mapped[str | None] = mapped_column(Text)
    over_at: Mapped[datetime | None] = mapped_column(Instant)  # the PBX said it is over
    ended_at: Mapped[datetime | None] = mapped_column(Instant)  # we closed it; null while open
    trouble: Mapped[str] = mapped_column(Text, default="", server_default="")


class Attempt(PlacedCall, Base):
    """One try to reach one contact. Rows are never deleted: reports and regulators count them."""

    __tablename__ = "attempts"
    __table_args__ = (
        # One number rings once at a time, over all contacts and campaigns (I1).
        Index("uq_attempts_open_number", "number", unique=True, postgresql_where=text("ended_at IS NULL")),
        Index("ix_attempts_open", "campaign_id", postgresql_where=text("ended_at IS NULL")),
        Index("ix_attempts_number", "number", "ordered_at"),
        Index("ix_attempts_contact", "contact_id"),
        Index("ix_attempts_campaign", "campaign_id", "ordered_at"),
        Index("ix_attempts_call_id", "pbx", "pbx_call_id"),
        # How often a caller id was shown, by any campaign.
        Index("ix_attempts_caller_id", "caller_id", "ordered_at"),
        Index("ix_attempts_answered", "campaign_id", "answered_at", postgresql_where=text("answered_at IS NOT NULL")),
        Index("ix_attempts_ended", "campaign_id", "ended_at"),
        # Found abandoned by the PBX's report alone: few, and looked for at every count of the rate.
        Index(
            "ix_attempts_abandoned_unheard",
            "campaign_id",
            "ended_at",
            postgresql_where=text("answered_at IS NULL AND state = 'abandoned'"),
        ),
        # Who rests after an abandoned call: few among many, counted whenever somebody asks why nobody is called.
        Index(
            "ix_attempts_abandoned",
            "ordered_at",
            postgresql_include=["number", "ended_at"],
            postgresql_where=text("state = 'abandoned'"),
        ),
        # Who said no lately, of all who were called.
        Index(
            "ix_attempts_disposition",
            "disposition_id",
            "ordered_at",
            postgresql_where=text("disposition_id IS NOT NULL"),
        ),
        Index(
            "ix_attempts_detected",
            "campaign_id",
            "ended_at",
            postgresql_where=text("leg_outcome = 'machine' AND answered_at IS NULL"),
        ),
        Index("ix_attempts_waiting", "answered_at", postgresql_where=text("state IN ('answered','held')")),
        CheckConstraint(f"(ended_at IS NULL) = ({OPEN_SQL})", name="final_is_ended"),
    )
    id: Mapped[int] = row_id()
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id"))
    number: Mapped[str] = mapped_column(Text)
    gateway: Mapped[str] = mapped_column(Text)
    caller_id: Mapped[str] = mapped_column(Text)
    attempt_no: Mapped[int]  # of the contact, from 1
    fence: Mapped[int] = mapped_column(BigInteger)  # of the scheduler's lease when it passed the gate
    proof: Mapped[dict[str, Any]] = mapped_column(JSONB)  # which rules were tested against what, and when
    answer_limit: Mapped[float]  # seconds, of the rule pack in force
    rule_pack: Mapped[str] = mapped_column(Text)
    mode: Mapped[str] = mapped_column(Text, default="", server_default="")  # of the campaign when it was ordered
    reserved_agent_id: Mapped[int | None] = mapped_column(ForeignKey("agents.id"))  # ordered for this agent
    message_at: Mapped[datetime | None] = mapped_column(Instant)  # the message was ordered
    message_heard_at: Mapped[datetime | None] = mapped_column(Instant)  # the message IVR took the call
    join_sent_at: Mapped[datetime | None] = mapped_column(Instant)
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agents.id"))  # who met the person
    answer_group: Mapped[str] = mapped_column(Text, default="", server_default="")  # "12/1": list, attempt up to 3
    given_up_at: Mapped[datetime | None] = mapped_column(Instant)  # while it rang, nobody being free for an answer
    # What the agent said of it; without a word the state is what came of it.
    disposition_id: Mapped[int | None] = mapped_column(ForeignKey("dispositions.id"))
    disposed_at: Mapped[datetime | None] = mapped_column(Instant)
    disposed_by: Mapped[str | None] = mapped_column(Text)
    callback_at: Mapped[datetime | None] = mapped_column(Instant)  # promised in this call
    callback_period_id: Mapped[int | None] = mapped_column(ForeignKey("periods.id", ondelete="SET NULL"))
    note: Mapped[str] = mapped_column(Text, default="", server_default="")
    answers: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default=text("'{}'::jsonb"))
    # The agent's phone rings, then the customer's from it: the agent was given to it from the start.
    agent_first: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    agent_answered_at: Mapped[datetime | None] = mapped_column(Instant)  # where the PBX tells it


LEFT_BEHIND = "left behind on a PBX that is out of use"


class AgentLeg(PlacedCall, Base):
    """A call to an agent's phone that parks the agent on the waiting IVR until a customer comes."""

    __tablename__ = "agent_legs"
    __table_args__ = (
        Index("uq_agent_legs_open_agent", "agent_id", unique=True, postgresql_where=text("ended_at IS NULL")),
        Index("ix_agent_legs_call_id", "pbx", "pbx_call_id"),
        Index("ix_agent_legs_left_behind", "pbx", "ended_at", postgresql_where=text(f"trouble = '{LEFT_BEHIND}'")),
        CheckConstraint(f"(ended_at IS NULL) = ({OPEN_SQL})", name="final_is_ended"),
    )
    id: Mapped[int] = row_id()
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"))
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))


class Assignment(Base):
    """One agent given to one answered customer, or to a call that rings the agent first. Two customers can never get
    one agent (I9)."""

    __tablename__ = "assignments"
    __table_args__ = (
        Index("uq_assignments_open_agent", "agent_id", unique=True, postgresql_where=text("ended_at IS NULL")),
        Index("uq_assignments_open_attempt", "attempt_id", unique=True, postgresql_where=text("ended_at IS NULL")),
        Index("ix_assignments_attempt", "attempt_id"),
        Index("ix_assignments_agent", "agent_id", "id"),  # an agent's last call
    )
    id: Mapped[int] = row_id()
    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempts.id"))
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"))
    leg_id: Mapped[int | None] = mapped_column(ForeignKey("agent_legs.id"))  # null: the call rings the agent first
    assigned_at: Mapped[datetime] = mapped_column(Instant)
    agent_free_at: Mapped[datetime | None] = mapped_column(Instant)  # since when the agent had been parked
    joined_at: Mapped[datetime | None] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    result: Mapped[str] = mapped_column(Text, default="", server_default="")


class Command(Base):
    """One thing asked of the PBX about a call, done once: claimed by compare-and-set before it is sent."""

    __tablename__ = "commands"
    __table_args__ = (
        UniqueConstraint("ref", "kind", "about"),
        CheckConstraint("kind IN ('join','message','hang_up')", name="kind"),
        CheckConstraint("state IN ('due','sending','accepted','refused','unknown','not_sent')", name="state"),
        Index("ix_commands_due", "due_at", postgresql_where=text("state IN ('due','sending')")),
    )
    id: Mapped[int] = row_id()
    ref: Mapped[str] = mapped_column(Text)  # of the attempt or leg
    kind: Mapped[str] = mapped_column(Text)
    about: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))  # assignment of a join
    pbx: Mapped[str] = mapped_column(Text)
    arguments: Mapped[dict[str, Any]] = mapped_column(JSONB)
    state: Mapped[str] = mapped_column(Text, default="due", server_default="due")
    due_at: Mapped[datetime] = mapped_column(Instant)
    sent_at: Mapped[datetime | None] = mapped_column(Instant)
    done_at: Mapped[datetime | None] = mapped_column(Instant)
    request_id: Mapped[str | None] = mapped_column(Text, index=True)
    answer: Mapped[str] = mapped_column(Text, default="", server_default="")


class LoggedEvent(Base):
    """An event as it came, kept before it was understood. `handled_at` null: somebody must still look."""

    __tablename__ = "logged_events"
    __table_args__ = (
        Index("ix_logged_events_unhandled", "can_wait", "id", postgresql_where=text("handled_at IS NULL")),
        Index("ix_logged_events_ref", "ref"),
        Index("ix_logged_events_received", "received_at"),
    )
    id: Mapped[int] = row_id()
    pbx: Mapped[str] = mapped_column(Text)
    received_at: Mapped[datetime] = mapped_column(Instant, server_default=text("clock_timestamp()"))
    source: Mapped[str] = mapped_column(Text, default="webhook", server_default="webhook")  # webhook | sweep
    ref: Mapped[str | None] = mapped_column(Text)
    call_id: Mapped[str | None] = mapped_column(Text)
    can_wait: Mapped[bool] = mapped_column(default=False, server_default=text("false"))  # nobody was rung for it
    method: Mapped[str] = mapped_column(Text)
    query: Mapped[str] = mapped_column(Text)  # percent-encoded, so any byte survives
    body: Mapped[bytes] = mapped_column(LargeBinary, default=b"", server_default=text("''::bytea"))
    content_type: Mapped[str] = mapped_column(Text, default="", server_default="")
    handled_at: Mapped[datetime | None] = mapped_column(Instant)
    trouble: Mapped[str] = mapped_column(Text, default="", server_default="")
