"""Lists and the contacts on them."""

from datetime import date, datetime, time
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, SmallInteger, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from campaigns.db import Base
from campaigns.models.columns import Instant, row_id


class ContactList(Base):
    """One imported file, or one callback list."""

    __tablename__ = "lists"
    # manual: numbers that agents dialled by hand.
    __table_args__ = (CheckConstraint("kind IN ('contacts','callbacks','manual')", name="kind"),)
    id: Mapped[int] = row_id()
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"), index=True)
    name: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())
    undone_at: Mapped[datetime | None] = mapped_column(Instant)
    share: Mapped[float | None]  # of the campaign's calls, beside the shares of its other lists
    rule_pack: Mapped[str | None] = mapped_column(Text)  # its rules of calling hold besides the campaign's
    # How many of its contacts get a first attempt, at all and on one day: "60%", "500"; "": as many as there are.
    cap: Mapped[str] = mapped_column(Text, default="", server_default="")
    cap_today: Mapped[str] = mapped_column(Text, default="", server_default="")


class ListCount(Base):
    """How far a list was worked, kept for the gate; only of lists that have a cap, or whose order asks for it.

    Counted from the rows again and again (`list_counts`); in between whoever orders a first attempt adds it here, in
    the same transaction.
    """

    __tablename__ = "list_counts"
    list_id: Mapped[int] = mapped_column(ForeignKey("lists.id"), primary_key=True, autoincrement=False)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"), index=True)
    contacts: Mapped[int] = mapped_column(BigInteger)
    tried: Mapped[int] = mapped_column(BigInteger)
    today: Mapped[int] = mapped_column(BigInteger)  # of them, tried for the first time on this day
    today_until: Mapped[datetime] = mapped_column(Instant)  # the end of that day, where the campaign is
    counted_at: Mapped[datetime] = mapped_column(Instant)
    took: Mapped[float]  # seconds: a long list is counted less often


class Period(Base):
    """A named part of the day in which callbacks are wanted: XiVO's preferred callback period."""

    __tablename__ = "periods"
    __table_args__ = (
        Index("uq_periods_name", "campaign_id", text("lower(name)"), unique=True),
        Index("uq_periods_default", "campaign_id", unique=True, postgresql_where=text("is_default")),
        CheckConstraint("starts < ends", name="order"),
    )
    id: Mapped[int] = row_id()
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    name: Mapped[str] = mapped_column(Text)
    starts: Mapped[time]
    ends: Mapped[time]
    is_default: Mapped[bool] = mapped_column(default=False)


class Contact(Base):
    """A person or company on a list. `next_at` is when it may be tried next; null when it is closed."""

    __tablename__ = "contacts"
    __table_args__ = (
        UniqueConstraint("list_id", "phone"),
        CheckConstraint("state IN ('open','live','closed')", name="state"),
        # A file's contacts are due at one moment: without the id, the first of them are found by sorting them all.
        Index("ix_contacts_due_in_order", "campaign_id", "next_at", "id", postgresql_where=text("state = 'open'")),
        Index("ix_contacts_phone", "phone"),
        # Promised callbacks: few among many, looked for at every tick.
        Index(
            "ix_contacts_promised",
            "campaign_id",
            "next_at",
            postgresql_where=text("state = 'open' AND due_date IS NOT NULL"),
        ),
        # A repeat is looked for over every number, and `dialer why` finds a contact by any of them.
        Index("ix_contacts_phone2", "phone2", postgresql_where=text("phone2 IS NOT NULL")),
        Index(
            "ix_contacts_more_numbers",
            "more_numbers",
            postgresql_using="gin",
            postgresql_where=text("more_numbers IS NOT NULL"),
        ),
        # Who is to be called next at another number than the first: looked for by whoever counts who is held back.
        Index(
            "ix_contacts_next_number",
            "campaign_id",
            "next_number",
            postgresql_where=text("next_number IS NOT NULL"),
        ),
        # Where the rows of a list lie while they lie together: no million entries are read to count a million rows.
        Index(
            "ix_contacts_list",
            "list_id",
            postgresql_using="brin",
            postgresql_with={"pages_per_range": 32, "autosummarize": True},
        ),
        Index("ix_contacts_renumbered", "campaign_id", postgresql_where=text("renumbered")),
        # The lanes of a campaign that has an order of its own (`lanes`): in each, whoever is due longest comes first.
        Index(
            "ix_contacts_lanes",
            "campaign_id",
            "list_id",
            "priority",
            "tried",
            "next_at",
            "id",
            postgresql_where=text("state = 'open' AND due_date IS NULL"),
        ),
    )
    id: Mapped[int] = row_id()
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    list_id: Mapped[int] = mapped_column(ForeignKey("lists.id"))
    line: Mapped[int]  # of the file, header being line 1
    phone: Mapped[str] = mapped_column(Text)  # E.164; the number tried first
    phone2: Mapped[str | None] = mapped_column(Text)
    first_name: Mapped[str] = mapped_column(Text, default="")
    last_name: Mapped[str] = mapped_column(Text, default="")
    company: Mapped[str] = mapped_column(Text, default="")
    description: Mapped[str] = mapped_column(Text, default="")
    custom: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    due_date: Mapped[date | None]
    period_id: Mapped[int | None] = mapped_column(ForeignKey("periods.id"))
    state: Mapped[str] = mapped_column(Text, default="open", server_default="open")
    next_at: Mapped[datetime | None] = mapped_column(Instant)
    next_number: Mapped[str | None] = mapped_column(Text)  # the number to try next; null means `phone`
    closed_because: Mapped[str] = mapped_column(Text, default="", server_default="")
    # A promised callback that is one agent's alone until `kept_until`: 'owner' (called for them when due) or 'taken'
    # (they call it themselves). On this row, because the gate locks and tests this row; no foreign key, because
    # adding one reads all contacts, and agents are never deleted.
    kept_for: Mapped[int | None] = mapped_column(BigInteger)
    kept_as: Mapped[str] = mapped_column(Text, default="", server_default="")
    kept_until: Mapped[datetime | None] = mapped_column(Instant)
    more_numbers: Mapped[list[str] | None] = mapped_column(ARRAY(Text))  # the third and further, as they are tried
    number_types: Mapped[list[str] | None] = mapped_column(ARRAY(Text))  # of all, in their order: mobile, work ...
    # An earlier contact with a number of this one, by --duplicates link.
    same_as: Mapped[int | None] = mapped_column(BigInteger)
    priority: Mapped[int] = mapped_column(SmallInteger, default=0, server_default=text("0"))  # the lowest comes first
    # Attempts when it was last ordered, up to 3: a key of the lanes, and no count; reports count rows.
    tried: Mapped[int] = mapped_column(SmallInteger, default=0, server_default=text("0"))
    promised_at: Mapped[datetime | None] = mapped_column(Instant)  # they were promised a call: tries count from then
    # The rule that put the contact off, and to when: it tells of `next_at` only while that is still the same moment.
    put_off_by: Mapped[str | None] = mapped_column(Text)
    put_off_until: Mapped[datetime | None] = mapped_column(Instant)
    region: Mapped[str] = mapped_column(Text, default="", server_default="")  # ISO 3166-2, where it matters
    postcode: Mapped[str] = mapped_column(Text, default="", server_default="")
    time_zone: Mapped[str] = mapped_column(Text, default="", server_default="")  # of the address
    consent: Mapped[bool] = mapped_column(default=False, server_default=text("false"))  # they agreed to be called
    consent_at: Mapped[datetime | None] = mapped_column(Instant)  # when, where it is known
    consent_source: Mapped[str] = mapped_column(Text, default="", server_default="")
    # A number was taken from the contact, to which calls may have been made: noted by a trigger (migration 0021).
    renumbered: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
