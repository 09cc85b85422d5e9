"""A campaign: its goals and rules, the PBXs and caller ids it calls through, the words its agents have."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from campaigns.db import Base
from campaigns.models.columns import Instant, row_id
from dialer.abandonment import PEOPLE_AMONG_MACHINES
from dialer.dispositions import DOES


class Campaign(Base):
    """A goal: whom to call through which PBX, with which agents, under which rules."""

    __tablename__ = "campaigns"
    __table_args__ = (
        CheckConstraint("state IN ('draft','running','paused','stopped','archived')", name="state"),
        CheckConstraint("mode IN ('manual','preview','progressive','power','predictive','agentless')", name="mode"),
        CheckConstraint("max_abandonment >= 0 AND max_abandonment <= 1", name="max_abandonment"),
        CheckConstraint("max_attempts BETWEEN 1 AND 100", name="max_attempts"),
        CheckConstraint("people_among_machines BETWEEN 0 AND 1", name="people_among_machines"),
        CheckConstraint(
            "weight > 0 AND ratio > 0 AND calls_per_second > 0 AND min_ring >= 0 AND desired_wait >= 0", name="goals"
        ),
    )
    id: Mapped[int] = row_id()
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
    # Of the calls a machine detector ends, the share that were people's, as somebody heard in a sample of them.
    people_among_machines: Mapped[float] = mapped_column(
        default=PEOPLE_AMONG_MACHINES, server_default=text(str(PEOPLE_AMONG_MACHINES))
    )
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
    # "priority,freshest"; empty: by due time
    contact_order: Mapped[str] = mapped_column(Text, default="", server_default="")
    contact_filter: Mapped[list[Any]] = mapped_column(JSONB, default=list, server_default=text("'[]'::jsonb"))
    number_caps: Mapped[str] = mapped_column(Text, default="", server_default="")  # "3/day, 7/7d", by any campaign
    contact_caps: Mapped[str] = mapped_column(Text, default="", server_default="")  # over all numbers of a contact
    # A rule for each end that has one: {"busy": {"delay": 300, "most": 2}}.
    retry_rules: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default=text("'{}'::jsonb"))
    script: Mapped[str] = mapped_column(Text, default="", server_default="")  # what the agent reads, with {fields}
    form: Mapped[list[Any]] = mapped_column(JSONB, default=list, server_default=text("'[]'::jsonb"))  # what they ask
    needs_consent: Mapped[bool] = mapped_column(default=False, server_default=text("false"))  # whatever the pack says


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


class Disposition(Base):
    """A word agents have for what came of a call. Never deleted: attempts refer to it; `retired_at` takes it away."""

    __tablename__ = "dispositions"
    __table_args__ = (
        UniqueConstraint("campaign_id", "code"),
        CheckConstraint("does IN (" + ", ".join(f"'{one}'" for one in DOES) + ")", name="does"),
    )
    id: Mapped[int] = row_id()
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    code: Mapped[str] = mapped_column(Text)
    label: Mapped[str] = mapped_column(Text)
    meaning: Mapped[str] = mapped_column(Text)
    does: Mapped[str] = mapped_column(Text)
    retry_rule: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default=text("'{}'::jsonb"))
    everywhere: Mapped[bool] = mapped_column(default=False, server_default=text("false"))  # of dnc: all campaigns
    retired_at: Mapped[datetime | None] = mapped_column(Instant)
