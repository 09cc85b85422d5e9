"""Callbacks: calls promised to people, by us or on a PBX's own callback lists, and what was done about them."""

from datetime import date, datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from campaigns.db import Base
from campaigns.models.columns import Instant, row_id


class Callback(Base):
    """A promise to call one contact at a time. It ends as kept, late, lost, moved or withdrawn; the row stays."""

    __tablename__ = "callbacks"
    __table_args__ = (
        Index("uq_callbacks_open_contact", "contact_id", unique=True, postgresql_where=text("closed_at IS NULL")),
        Index("ix_callbacks_contact", "contact_id"),
        Index("ix_callbacks_due", "campaign_id", "due_at"),
        Index("ix_callbacks_open_due", "campaign_id", "due_at", postgresql_where=text("closed_at IS NULL")),
        # What the watch looks for every second: few of them.
        Index(
            "ix_callbacks_alarm",
            "alarm_at",
            postgresql_where=text("closed_at IS NULL AND called_at IS NULL AND alarmed_at IS NULL"),
        ),
        Index(
            "ix_callbacks_deadline",
            "deadline_at",
            postgresql_where=text("closed_at IS NULL AND called_at IS NULL AND broke_at IS NULL"),
        ),
        Index("ix_callbacks_held", "held_until", postgresql_where=text("closed_at IS NULL AND held_until IS NOT NULL")),
        CheckConstraint("deadline_at > due_at", name="deadline"),
        CheckConstraint("result IN ('','kept','late','lost','moved','withdrawn')", name="result"),
        CheckConstraint("(closed_at IS NULL) = (result = '')", name="closed"),
        CheckConstraint("(taken_by IS NULL) = (taken_at IS NULL)", name="taken"),
    )
    id: Mapped[int] = row_id()
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id", ondelete="CASCADE"))  # an import taken back
    due_date: Mapped[date]
    period_id: Mapped[int | None] = mapped_column(BigInteger)  # as the contact's; the period may be gone by now
    period: Mapped[str] = mapped_column(Text, default="", server_default="")  # its name when this was promised
    zone: Mapped[str] = mapped_column(Text)  # whose clock the promise was made by
    due_at: Mapped[datetime] = mapped_column(Instant)
    deadline_at: Mapped[datetime] = mapped_column(Instant)  # the first moment that is too late
    alarm_at: Mapped[datetime] = mapped_column(Instant)  # reported when it was not called by then
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("agents.id"))
    fallback: Mapped[float] = mapped_column(default=0.0, server_default=text("0"))  # seconds; see owner_keeps_until
    taken_by: Mapped[int | None] = mapped_column(ForeignKey("agents.id"))
    taken_at: Mapped[datetime | None] = mapped_column(Instant)
    held_until: Mapped[datetime | None] = mapped_column(Instant)  # the contact's `kept_until`, where the watch looks
    attempts_before: Mapped[int] = mapped_column(default=0, server_default=text("0"))  # the release before reads it
    made_at: Mapped[datetime] = mapped_column(Instant)
    made_by: Mapped[str] = mapped_column(Text)
    called_at: Mapped[datetime | None] = mapped_column(Instant)  # the phone rang for it
    reached_at: Mapped[datetime | None] = mapped_column(Instant)  # an agent met the person
    alarmed_at: Mapped[datetime | None] = mapped_column(Instant)
    alarm: Mapped[str] = mapped_column(Text, default="", server_default="")  # what kept it from being called then
    broke_at: Mapped[datetime | None] = mapped_column(Instant)  # it was found past its deadline, not called
    closed_at: Mapped[datetime | None] = mapped_column(Instant)
    closed_by: Mapped[str] = mapped_column(Text, default="", server_default="")
    result: Mapped[str] = mapped_column(Text, default="", server_default="")
    why: Mapped[str] = mapped_column(Text, default="", server_default="")


class CallbackTicket(Base):
    """What was done about a callback once: XiVO's ticket. The request's own fields are the callback's and contact's."""

    __tablename__ = "callback_tickets"
    __table_args__ = (
        Index("uq_callback_tickets_attempt", "attempt_id", unique=True),
        Index("ix_callback_tickets_callback", "callback_id"),
        Index("ix_callback_tickets_started", "started_at"),
        CheckConstraint("status IN ('','NoAnswer','Answered','Fax','Email','Callback')", name="status"),
    )
    id: Mapped[int] = row_id()
    callback_id: Mapped[int] = mapped_column(ForeignKey("callbacks.id"))
    attempt_id: Mapped[int | None] = mapped_column(ForeignKey("attempts.id"))
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agents.id"))
    number: Mapped[str] = mapped_column(Text, default="", server_default="")
    started_at: Mapped[datetime] = mapped_column(Instant)
    updated_at: Mapped[datetime] = mapped_column(Instant)
    status: Mapped[str] = mapped_column(Text, default="", server_default="")  # empty while nobody has said
    comment: Mapped[str] = mapped_column(Text, default="", server_default="")


class PbxList(Base):
    """A callback list that a PBX keeps, bound to a campaign by the settings: what its last read came to."""

    __tablename__ = "pbx_lists"
    pbx: Mapped[str] = mapped_column(Text, primary_key=True)
    bound_as: Mapped[str] = mapped_column(Text, primary_key=True)  # its name or id, as the settings have it
    pbx_list: Mapped[str] = mapped_column(Text, default="", server_default="")  # the PBX's id of it
    name: Mapped[str] = mapped_column(Text, default="", server_default="")
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaigns.id"))
    list_id: Mapped[int | None] = mapped_column(ForeignKey("lists.id"))  # where its people are with us
    read_at: Mapped[datetime | None] = mapped_column(Instant)  # the last good read
    trouble: Mapped[str] = mapped_column(Text, default="", server_default="")


class ListedRequest(Base):
    """A request of a PBX's callback list, and the contact it became. One row for each, whatever becomes of it."""

    __tablename__ = "listed_requests"
    __table_args__ = (
        UniqueConstraint("pbx", "request_id"),
        # One that is open has the contact to itself: two of one number come one after the other.
        Index(
            "uq_listed_requests_open_contact",
            "contact_id",
            unique=True,
            postgresql_where=text("gone_at IS NULL AND contact_id IS NOT NULL"),
        ),
        Index("ix_listed_requests_contact", "contact_id"),
        Index("ix_listed_requests_held", "pbx", postgresql_where=text("held_attempt_id IS NOT NULL")),
    )
    id: Mapped[int] = row_id()
    pbx: Mapped[str] = mapped_column(Text)
    request_id: Mapped[str] = mapped_column(Text)  # the PBX's
    pbx_list: Mapped[str] = mapped_column(Text)
    contact_id: Mapped[int | None] = mapped_column(ForeignKey("contacts.id"))  # null: it cannot be called; `trouble`
    told: Mapped[str] = mapped_column(Text, default="", server_default="")  # a digest of what it says of its person
    due_date: Mapped[date | None]  # as it stands there, or as we wrote it there last
    period_id: Mapped[str] = mapped_column(Text, default="", server_default="")  # the PBX's
    period: Mapped[str] = mapped_column(Text, default="", server_default="")
    seen_at: Mapped[datetime] = mapped_column(Instant)  # for the first time
    missing_since: Mapped[datetime | None] = mapped_column(Instant)  # one read without it is not believed
    gone_at: Mapped[datetime | None] = mapped_column(Instant)  # closed there, by an agent or by our ticket
    taken_by: Mapped[str] = mapped_column(Text, default="", server_default="")  # there; empty: free
    held_by: Mapped[str] = mapped_column(Text, default="", server_default="")  # the agent for whom we took it
    held_attempt_id: Mapped[int | None] = mapped_column(ForeignKey("attempts.id"))
    written_at: Mapped[datetime | None] = mapped_column(Instant)  # our last ticket: reads from before are older
    trouble: Mapped[str] = mapped_column(Text, default="", server_default="")


class ListedTicket(Base):
    """The PBX's own ticket of a call it started for one of its requests; written back when the call is over."""

    __tablename__ = "listed_tickets"
    __table_args__ = (
        UniqueConstraint("attempt_id"),
        CheckConstraint("state IN ('open','written','given_up')", name="state"),
        Index("ix_listed_tickets_open", "pbx", "due_at", postgresql_where=text("state = 'open'")),
        Index("ix_listed_tickets_request", "request_id"),
    )
    id: Mapped[int] = row_id()
    pbx: Mapped[str] = mapped_column(Text)
    request_id: Mapped[int] = mapped_column(ForeignKey("listed_requests.id"))
    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempts.id"))
    user_id: Mapped[str] = mapped_column(Text)  # in whose name
    ticket_id: Mapped[str] = mapped_column(Text, default="", server_default="")  # empty: it was never told
    state: Mapped[str] = mapped_column(Text, default="open", server_default="open")
    status: Mapped[str] = mapped_column(Text, default="", server_default="")  # as it was written
    made_at: Mapped[datetime] = mapped_column(Instant)
    due_at: Mapped[datetime] = mapped_column(Instant)  # of the next try
    tries: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    trouble: Mapped[str] = mapped_column(Text, default="", server_default="")
    done_at: Mapped[datetime | None] = mapped_column(Instant)
