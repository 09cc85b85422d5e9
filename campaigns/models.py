"""Every table, and what the database refuses by itself.

Counts are rows: no column here counts something that could be counted. Rows of attempts, assignments and the
ledger are never deleted: reports and regulators ask for them.
"""

from datetime import date, datetime, time
from typing import Any

from sqlalchemy import (
    DDL,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    SmallInteger,
    UniqueConstraint,
    event,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from campaigns.db import Base
from dialer.calls import OPEN
from dialer.dispositions import DOES

Instant = TIMESTAMP(timezone=True)
_OPEN_SQL = "state IN (" + ", ".join(f"'{state}'" for state in OPEN) + ")"


def _id() -> Mapped[int]:
    return mapped_column(BigInteger, Identity(always=False), primary_key=True)


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


class Campaign(Base):
    """A goal: whom to call through which PBX, with which agents, under which rules."""

    __tablename__ = "campaigns"
    __table_args__ = (
        CheckConstraint("state IN ('draft','running','paused','stopped','archived')", name="state"),
        CheckConstraint("mode IN ('manual','preview','progressive','power','predictive','agentless')", name="mode"),
        CheckConstraint("max_abandonment >= 0 AND max_abandonment <= 1", name="max_abandonment"),
        CheckConstraint("max_attempts BETWEEN 1 AND 100", name="max_attempts"),
        CheckConstraint(
            "weight > 0 AND ratio > 0 AND calls_per_second > 0 AND min_ring >= 0 AND desired_wait >= 0", name="goals"
        ),
    )
    id: Mapped[int] = _id()
    name: Mapped[str] = mapped_column(Text, unique=True)
    pbx: Mapped[str] = mapped_column(Text)
    mode: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, default="draft", server_default="draft")
    country: Mapped[str] = mapped_column(Text)  # ISO 3166 alpha-2: how bare numbers are read
    time_zone: Mapped[str | None] = mapped_column(Text)  # for numbers that name no zone
    hours: Mapped[str] = mapped_column(Text)  # "always" or "09:00-20:00", local to the phone
    caller_id: Mapped[str] = mapped_column(Text)  # the first of its pool (`campaign_caller_ids`)
    max_attempts: Mapped[int] = mapped_column(default=3)  # per contact
    number_gap: Mapped[float] = mapped_column(default=600.0)  # seconds between two calls to one number
    retry_delay: Mapped[float] = mapped_column(default=3600.0)  # seconds after an attempt that reached nobody
    max_abandonment: Mapped[float] = mapped_column(default=0.03)
    max_lines: Mapped[int | None]
    ratio: Mapped[float | None]  # calls for each free agent, in power mode
    desired_wait: Mapped[float | None]  # seconds an agent shall have between two calls
    min_ring: Mapped[float | None]  # seconds after which a call nobody could take may be given up; null: never
    calls_per_second: Mapped[float | None]  # on each gateway
    weight: Mapped[float] = mapped_column(default=1.0, server_default=text("1"))  # of agents it shares with others
    inbound_first: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    answer_limit: Mapped[float] = mapped_column(default=2.0)  # seconds; from the rule pack
    wrap_up_limit: Mapped[float] = mapped_column(default=30.0)  # seconds
    rule_pack: Mapped[str] = mapped_column(Text, default="default-2026")
    agents_spec: Mapped[str] = mapped_column(Text, default="")  # as typed: "101,102" or "group:Sales"
    created_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())
    started_at: Mapped[datetime | None] = mapped_column(Instant)
    state_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())
    contact_order: Mapped[str] = mapped_column(
        Text, default="", server_default=""
    )  # "priority,freshest"; "": by due time
    contact_filter: Mapped[list[Any]] = mapped_column(JSONB, default=list, server_default=text("'[]'::jsonb"))
    number_caps: Mapped[str] = mapped_column(Text, default="", server_default="")  # "3/day, 7/7d", by any campaign
    contact_caps: Mapped[str] = mapped_column(Text, default="", server_default="")  # over all numbers of a contact
    # A rule for each end that has one: {"busy": {"delay": 300, "most": 2}}.
    retry_rules: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default=text("'{}'::jsonb"))
    script: Mapped[str] = mapped_column(Text, default="", server_default="")  # what the agent reads, with {fields}
    form: Mapped[list[Any]] = mapped_column(JSONB, default=list, server_default=text("'[]'::jsonb"))  # what they ask
    needs_consent: Mapped[bool] = mapped_column(default=False, server_default=text("false"))  # whatever the pack says


class CallerId(Base):
    """A number of ours that people are shown, with what spares it. One row, however many campaigns show it."""

    __tablename__ = "caller_ids"
    __table_args__ = (
        CheckConstraint("daily_cap > 0", name="daily_cap"),
        CheckConstraint("rest >= 0", name="rest"),
        CheckConstraint("(resting_until IS NULL) = (resting_because = '')", name="resting"),
    )
    number: Mapped[str] = mapped_column(Text, primary_key=True)  # E.164, or the digits a PBX maps itself
    daily_cap: Mapped[int | None]  # calls in any 24 hours, by all campaigns; null: any number
    rest: Mapped[float] = mapped_column(default=86_400.0, server_default=text("86400"))  # seconds; 0: never by itself
    # Shown to nobody before that. Stays when the rest is over: the answers before it are not counted again.
    resting_until: Mapped[datetime | None] = mapped_column(Instant)
    resting_because: Mapped[str] = mapped_column(Text, default="", server_default="")
    added_by: Mapped[str] = mapped_column(Text, default="", server_default="")
    added_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())


class CampaignCallerId(Base):
    """A caller id of a campaign's pool. A campaign without any shows its `caller_id`."""

    __tablename__ = "campaign_caller_ids"
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"), primary_key=True)
    number: Mapped[str] = mapped_column(ForeignKey("caller_ids.number"), primary_key=True, index=True)


class CampaignPbx(Base):
    """One of several PBXs a campaign calls through. A campaign without any calls through its `pbx`.

    Its `pbx` is the first of them. One that was removed keeps its row until its calls are over, and after.
    """

    __tablename__ = "campaign_pbxes"
    __table_args__ = (CheckConstraint("role IN ('pool','standby','removed')", name="role"),)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"), primary_key=True)
    pbx: Mapped[str] = mapped_column(Text, primary_key=True, index=True)
    position: Mapped[int]
    role: Mapped[str] = mapped_column(Text)


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
    id: Mapped[int] = _id()
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


class ContactList(Base):
    """One imported file, or one callback list."""

    __tablename__ = "lists"
    # manual: numbers that agents dialled by hand.
    __table_args__ = (CheckConstraint("kind IN ('contacts','callbacks','manual')", name="kind"),)
    id: Mapped[int] = _id()
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
    id: Mapped[int] = _id()
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    name: Mapped[str] = mapped_column(Text)
    starts: Mapped[time]
    ends: Mapped[time]
    is_default: Mapped[bool] = mapped_column(default=False)


class Import(Base):
    """One run of the importer over one file: a background job that survives the one who asked for it."""

    __tablename__ = "imports"
    __table_args__ = (
        CheckConstraint("state IN ('waiting','running','done','failed','undone')", name="state"),
        Index("ix_imports_open", "id", postgresql_where=text("state IN ('waiting','running')")),
    )
    id: Mapped[int] = _id()
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
    id: Mapped[int] = _id()
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
    number_types: Mapped[list[str] | None] = mapped_column(
        ARRAY(Text)
    )  # of all numbers in their order: mobile, work ...
    same_as: Mapped[int | None] = mapped_column(
        BigInteger
    )  # an earlier contact with a number of this one, by --duplicates link
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
        Index("ix_attempts_waiting", "answered_at", postgresql_where=text("state IN ('answered','held')")),
        CheckConstraint(f"(ended_at IS NULL) = ({_OPEN_SQL})", name="final_is_ended"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=False), primary_key=True)
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
        CheckConstraint(f"(ended_at IS NULL) = ({_OPEN_SQL})", name="final_is_ended"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=False), primary_key=True)
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
    id: Mapped[int] = _id()
    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempts.id"))
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"))
    leg_id: Mapped[int | None] = mapped_column(ForeignKey("agent_legs.id"))  # null: the call rings the agent first
    assigned_at: Mapped[datetime] = mapped_column(Instant)
    agent_free_at: Mapped[datetime | None] = mapped_column(Instant)  # since when the agent had been parked
    joined_at: Mapped[datetime | None] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    result: Mapped[str] = mapped_column(Text, default="", server_default="")


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
    id: Mapped[int] = _id()
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id"))
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"))
    offered_at: Mapped[datetime] = mapped_column(Instant)
    until: Mapped[datetime] = mapped_column(Instant)
    state: Mapped[str] = mapped_column(Text, default="open", server_default="open")
    reason: Mapped[str] = mapped_column(Text, default="", server_default="")  # the agent's, or the rule's
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    attempt_id: Mapped[int | None] = mapped_column(ForeignKey("attempts.id"))  # what accepting it ordered


class Command(Base):
    """One thing asked of the PBX about a call, done once: claimed by compare-and-set before it is sent."""

    __tablename__ = "commands"
    __table_args__ = (
        UniqueConstraint("ref", "kind", "about"),
        CheckConstraint("kind IN ('join','message','hang_up')", name="kind"),
        CheckConstraint("state IN ('due','sending','accepted','refused','unknown','not_sent')", name="state"),
        Index("ix_commands_due", "due_at", postgresql_where=text("state IN ('due','sending')")),
    )
    id: Mapped[int] = _id()
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
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=False), primary_key=True)
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


class PaceDecision(Base):
    """What the pacer decided and why. Equal decisions in a row are one row: `until_at`, `ticks`."""

    __tablename__ = "pace_decisions"
    __table_args__ = (Index("ix_pace_decisions_campaign", "campaign_id", "decided_at"),)
    id: Mapped[int] = _id()
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
    id: Mapped[int] = _id()
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


class Lease(Base):
    """Who schedules what: a row on database time with a rising fence (I8)."""

    __tablename__ = "leases"
    name: Mapped[str] = mapped_column(Text, primary_key=True)  # "campaign:7", "pbx:main", "calendar"
    holder: Mapped[str] = mapped_column(Text)
    fence: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[datetime] = mapped_column(Instant)


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
    id: Mapped[int] = _id()
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


class Ledger(Base):
    """What happened and who said so, in order, for ever: the database refuses update and delete (I23)."""

    __tablename__ = "ledger"
    __table_args__ = (
        Index("ix_ledger_campaign", "campaign_id", "at"),
        Index("ix_ledger_attempt", "attempt_id"),
    )
    id: Mapped[int] = _id()
    at: Mapped[datetime] = mapped_column(Instant)
    kind: Mapped[str] = mapped_column(Text)
    who: Mapped[str] = mapped_column(Text)
    campaign_id: Mapped[int | None]
    attempt_id: Mapped[int | None] = mapped_column(BigInteger)
    agent_id: Mapped[int | None]
    why: Mapped[str] = mapped_column(Text, default="", server_default="")
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default=text("'{}'::jsonb"))


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
    id: Mapped[int] = _id()
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


class ProcessBeat(Base):
    """A process of ours that is alive: for `dialer doctor`, the status and the dashboard."""

    __tablename__ = "process_beats"
    name: Mapped[str] = mapped_column(Text, primary_key=True)  # "scheduler:host:4711"
    kind: Mapped[str] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(Instant)
    beat_at: Mapped[datetime] = mapped_column(Instant)
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default=text("'{}'::jsonb"))


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
    id: Mapped[int] = _id()
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
    id: Mapped[int] = _id()
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
    id: Mapped[int] = _id()
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
    id: Mapped[int] = _id()
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


class ImportTemplate(Base):
    """How files of one kind are read, under a name: saved once, used with --mapping NAME."""

    __tablename__ = "import_templates"
    __table_args__ = (Index("uq_import_templates_name", text("lower(name)"), unique=True),)
    id: Mapped[int] = _id()
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


class Disposition(Base):
    """A word agents have for what came of a call. Never deleted: attempts refer to it; `retired_at` takes it away."""

    __tablename__ = "dispositions"
    __table_args__ = (
        UniqueConstraint("campaign_id", "code"),
        CheckConstraint("does IN (" + ", ".join(f"'{one}'" for one in DOES) + ")", name="does"),
    )
    id: Mapped[int] = _id()
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    code: Mapped[str] = mapped_column(Text)
    label: Mapped[str] = mapped_column(Text)
    meaning: Mapped[str] = mapped_column(Text)
    does: Mapped[str] = mapped_column(Text)
    retry_rule: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default=text("'{}'::jsonb"))
    everywhere: Mapped[bool] = mapped_column(default=False, server_default=text("false"))  # of dnc: all campaigns
    retired_at: Mapped[datetime | None] = mapped_column(Instant)


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
    id: Mapped[int] = _id()
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


# The records are the only defence when a regulator asks; so the database itself says no.
LEDGER_GUARD = """
CREATE OR REPLACE FUNCTION refuse_ledger_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND current_setting('dialer.forgetting', true) = 'on' THEN
        RETURN NULL;  -- ledger_keeps_its_facts looks at each row
    END IF;
    RAISE EXCEPTION 'the ledger is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$
"""
LEDGER_TRIGGER = """
CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger
FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change()
"""
# Erasing a person takes their number out of the words of a row. What happened, when, to which call, who said so, and
# which details the row has, stays as it was.
LEDGER_FACTS = """
CREATE OR REPLACE FUNCTION keep_ledger_facts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('dialer.forgetting', true) IS DISTINCT FROM 'on'
       OR (NEW.id, NEW.at, NEW.kind, NEW.who, NEW.campaign_id, NEW.attempt_id, NEW.agent_id)
          IS DISTINCT FROM (OLD.id, OLD.at, OLD.kind, OLD.who, OLD.campaign_id, OLD.attempt_id, OLD.agent_id)
       OR ARRAY(SELECT jsonb_object_keys(NEW.details) ORDER BY 1)
          IS DISTINCT FROM ARRAY(SELECT jsonb_object_keys(OLD.details) ORDER BY 1) THEN
        RAISE EXCEPTION 'the ledger is append-only: UPDATE refused' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$
"""
LEDGER_FACTS_TRIGGER = """
CREATE TRIGGER ledger_keeps_its_facts BEFORE UPDATE ON ledger FOR EACH ROW EXECUTE FUNCTION keep_ledger_facts()
"""
for _statement in (LEDGER_GUARD, LEDGER_TRIGGER, LEDGER_FACTS, LEDGER_FACTS_TRIGGER):
    _ddl = DDL(_statement.replace("%", "%%"))  # type: ignore[no-untyped-call]
    event.listen(Ledger.__table__, "after_create", _ddl)
