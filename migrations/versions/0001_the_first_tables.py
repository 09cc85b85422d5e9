"""the first tables"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

# The ledger is append-only, and the database itself says so.
LEDGER_GUARD = """
CREATE OR REPLACE FUNCTION refuse_ledger_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$
"""
LEDGER_TRIGGER = """
CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger
FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change()
"""


def upgrade() -> None:
    op.create_table(
        "campaigns",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("pbx", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="draft", nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=True),
        sa.Column("hours", sa.Text(), nullable=False),
        sa.Column("caller_id", sa.Text(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("number_gap", sa.Double(), nullable=False),
        sa.Column("retry_delay", sa.Double(), nullable=False),
        sa.Column("max_abandonment", sa.Double(), nullable=False),
        sa.Column("max_lines", sa.Integer(), nullable=True),
        sa.Column("answer_limit", sa.Double(), nullable=False),
        sa.Column("wrap_up_limit", sa.Double(), nullable=False),
        sa.Column("rule_pack", sa.Text(), nullable=False),
        sa.Column("agents_spec", sa.Text(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("state_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("mode IN ('progressive','predictive')", name=op.f("ck_campaigns_mode")),
        sa.CheckConstraint(
            "state IN ('draft','running','paused','stopped','archived')", name=op.f("ck_campaigns_state")
        ),
        sa.CheckConstraint("max_abandonment >= 0 AND max_abandonment <= 1", name=op.f("ck_campaigns_max_abandonment")),
        sa.CheckConstraint("max_attempts BETWEEN 1 AND 100", name=op.f("ck_campaigns_max_attempts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaigns")),
        sa.UniqueConstraint("name", name=op.f("uq_campaigns_name")),
    )
    op.create_table(
        "commands",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("about", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("pbx", sa.Text(), nullable=False),
        sa.Column("arguments", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), server_default="due", nullable=False),
        sa.Column("due_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("sent_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("done_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("answer", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint("kind IN ('join','message','hang_up')", name=op.f("ck_commands_kind")),
        sa.CheckConstraint(
            "state IN ('due','sending','accepted','refused','unknown','not_sent')", name=op.f("ck_commands_state")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commands")),
        sa.UniqueConstraint("ref", "kind", "about", name=op.f("uq_commands_ref_kind_about")),
    )
    op.create_index(
        "ix_commands_due", "commands", ["due_at"], unique=False, postgresql_where=sa.text("state IN ('due','sending')")
    )
    op.create_index(op.f("ix_commands_request_id"), "commands", ["request_id"], unique=False)
    op.create_table(
        "installation",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_installation_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installation")),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "ledger",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("campaign_id", sa.Integer(), nullable=True),
        sa.Column("attempt_id", sa.BigInteger(), nullable=True),
        sa.Column("agent_id", sa.Integer(), nullable=True),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "details", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger")),
    )
    op.create_index("ix_ledger_attempt", "ledger", ["attempt_id"], unique=False)
    op.create_index("ix_ledger_campaign", "ledger", ["campaign_id", "at"], unique=False)
    op.create_table(
        "logged_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("pbx", sa.Text(), nullable=False),
        sa.Column(
            "received_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("source", sa.Text(), server_default="webhook", nullable=False),
        sa.Column("ref", sa.Text(), nullable=True),
        sa.Column("call_id", sa.Text(), nullable=True),
        sa.Column("can_wait", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), server_default=sa.text("''::bytea"), nullable=False),
        sa.Column("content_type", sa.Text(), server_default="", nullable=False),
        sa.Column("handled_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("trouble", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_logged_events")),
    )
    op.create_index("ix_logged_events_received", "logged_events", ["received_at"], unique=False)
    op.create_index("ix_logged_events_ref", "logged_events", ["ref"], unique=False)
    op.create_index(
        "ix_logged_events_unhandled",
        "logged_events",
        ["can_wait", "id"],
        unique=False,
        postgresql_where=sa.text("handled_at IS NULL"),
    )
    op.create_table(
        "pbx_status",
        sa.Column("pbx", sa.Text(), nullable=False),
        sa.Column("read_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column(
            "gateways", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False
        ),
        sa.Column("calls_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("trouble", sa.Text(), server_default="", nullable=False),
        sa.Column("trouble_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("pbx", name=op.f("pk_pbx_status")),
    )
    op.create_table(
        "process_beats",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("started_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("beat_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column(
            "details", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_process_beats")),
    )
    op.create_table(
        "agents",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("pbx", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("extension", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="out", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("said_by", sa.Text(), server_default="presence", nullable=False),
        sa.Column("since", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("idle_since", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("until", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("not_before", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("campaign_id", sa.BigInteger(), nullable=True),
        sa.Column("presence", sa.Text(), server_default="unknown", nullable=False),
        sa.Column("presence_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("presence_left", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("wanted", sa.Text(), server_default="", nullable=False),
        sa.Column("wanted_reason", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint(
            "state IN ('out','ready','parking','parked','assigned','talking','wrap_up','paused')",
            name=op.f("ck_agents_state"),
        ),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_agents_campaign_id_campaigns")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agents")),
        sa.UniqueConstraint("pbx", "user_id", name=op.f("uq_agents_pbx_user_id")),
    )
    op.create_index(
        "ix_agents_parked", "agents", ["idle_since"], unique=False, postgresql_where=sa.text("state = 'parked'")
    )
    op.create_table(
        "do_not_call",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("added_by", sa.Text(), server_default="", nullable=False),
        sa.Column("added_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_do_not_call_campaign_id_campaigns")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_do_not_call")),
    )
    op.create_index(
        "uq_do_not_call_number", "do_not_call", ["number", sa.literal_column("coalesce(campaign_id, 0)")], unique=True
    )
    op.create_table(
        "lists",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("undone_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('contacts','callbacks')", name=op.f("ck_lists_kind")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_lists_campaign_id_campaigns")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lists")),
    )
    op.create_index(op.f("ix_lists_campaign_id"), "lists", ["campaign_id"], unique=False)
    op.create_table(
        "pace_decisions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("decided_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("until_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("ticks", sa.Integer(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("ordered", sa.Integer(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("snapshot", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("limits", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name=op.f("fk_pace_decisions_campaign_id_campaigns")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pace_decisions")),
    )
    op.create_index("ix_pace_decisions_campaign", "pace_decisions", ["campaign_id", "decided_at"], unique=False)
    op.create_table(
        "periods",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("starts", sa.Time(), nullable=False),
        sa.Column("ends", sa.Time(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.CheckConstraint("starts < ends", name=op.f("ck_periods_order")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_periods_campaign_id_campaigns")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_periods")),
    )
    op.create_index(
        "uq_periods_default", "periods", ["campaign_id"], unique=True, postgresql_where=sa.text("is_default")
    )
    op.create_index("uq_periods_name", "periods", ["campaign_id", sa.literal_column("lower(name)")], unique=True)
    op.create_table(
        "agent_legs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("agent_id", sa.BigInteger(), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("pbx", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("ordered_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("not_after", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("sent_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("pbx_call_id", sa.Text(), nullable=True),
        sa.Column("first_leg_id", sa.Text(), nullable=True),
        sa.Column("second_leg_id", sa.Text(), nullable=True),
        sa.Column("heard_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("ringing_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("answered_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("held_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("joined_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("left_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("leg_outcome", sa.Text(), nullable=True),
        sa.Column("final_outcome", sa.Text(), nullable=True),
        sa.Column("over_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("ended_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("trouble", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint(
            "(ended_at IS NULL) = (state IN ('ordered', 'sending', 'unknown', 'placed', 'ringing', 'answered', 'held', 'joined', 'message', 'ending'))",
            name=op.f("ck_agent_legs_final_is_ended"),
        ),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_agent_legs_agent_id_agents")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_agent_legs_campaign_id_campaigns")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent_legs")),
        sa.UniqueConstraint("ref", name=op.f("uq_agent_legs_ref")),
    )
    op.create_index("ix_agent_legs_call_id", "agent_legs", ["pbx", "pbx_call_id"], unique=False)
    op.create_index(
        "uq_agent_legs_open_agent",
        "agent_legs",
        ["agent_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "campaign_agents",
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("agent_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_campaign_agents_agent_id_agents")),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name=op.f("fk_campaign_agents_campaign_id_campaigns")
        ),
        sa.PrimaryKeyConstraint("campaign_id", "agent_id", name=op.f("pk_campaign_agents")),
    )
    op.create_index(op.f("ix_campaign_agents_agent_id"), "campaign_agents", ["agent_id"], unique=False)
    op.create_table(
        "contacts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("list_id", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=False),
        sa.Column("phone2", sa.Text(), nullable=True),
        sa.Column("first_name", sa.Text(), nullable=False),
        sa.Column("last_name", sa.Text(), nullable=False),
        sa.Column("company", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("custom", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("due_date", sa.Date(), nullable=True),
        sa.Column("period_id", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("next_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("next_number", sa.Text(), nullable=True),
        sa.Column("closed_because", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint("state IN ('open','live','closed')", name=op.f("ck_contacts_state")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_contacts_campaign_id_campaigns")),
        sa.ForeignKeyConstraint(["list_id"], ["lists.id"], name=op.f("fk_contacts_list_id_lists")),
        sa.ForeignKeyConstraint(["period_id"], ["periods.id"], name=op.f("fk_contacts_period_id_periods")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contacts")),
        sa.UniqueConstraint("list_id", "phone", name=op.f("uq_contacts_list_id_phone")),
    )
    op.create_index(
        "ix_contacts_due",
        "contacts",
        ["campaign_id", "next_at"],
        unique=False,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index("ix_contacts_phone", "contacts", ["phone"], unique=False)
    op.create_table(
        "imports",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("list_id", sa.BigInteger(), nullable=True),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("stored_path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("options", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("bytes_total", sa.BigInteger(), nullable=False),
        sa.Column("bytes_done", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("accepted", sa.Integer(), nullable=False),
        sa.Column("rejected", sa.Integer(), nullable=False),
        sa.Column("duplicates", sa.Integer(), nullable=False),
        sa.Column("reject_file", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("heartbeat_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("finished_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('waiting','running','done','failed','undone')", name=op.f("ck_imports_state")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_imports_campaign_id_campaigns")),
        sa.ForeignKeyConstraint(["list_id"], ["lists.id"], name=op.f("fk_imports_list_id_lists")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imports")),
    )
    op.create_index(op.f("ix_imports_campaign_id"), "imports", ["campaign_id"], unique=False)
    op.create_index(
        "ix_imports_open", "imports", ["id"], unique=False, postgresql_where=sa.text("state IN ('waiting','running')")
    )
    op.create_table(
        "attempts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("contact_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("gateway", sa.Text(), nullable=False),
        sa.Column("caller_id", sa.Text(), nullable=False),
        sa.Column("attempt_no", sa.Integer(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("proof", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("answer_limit", sa.Double(), nullable=False),
        sa.Column("rule_pack", sa.Text(), nullable=False),
        sa.Column("message_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("message_heard_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("join_sent_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("agent_id", sa.BigInteger(), nullable=True),
        sa.Column("pbx", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("ordered_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("not_after", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("sent_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("pbx_call_id", sa.Text(), nullable=True),
        sa.Column("first_leg_id", sa.Text(), nullable=True),
        sa.Column("second_leg_id", sa.Text(), nullable=True),
        sa.Column("heard_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("ringing_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("answered_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("held_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("joined_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("left_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("leg_outcome", sa.Text(), nullable=True),
        sa.Column("final_outcome", sa.Text(), nullable=True),
        sa.Column("over_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("ended_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("trouble", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint(
            "(ended_at IS NULL) = (state IN ('ordered', 'sending', 'unknown', 'placed', 'ringing', 'answered', 'held', 'joined', 'message', 'ending'))",
            name=op.f("ck_attempts_final_is_ended"),
        ),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_attempts_agent_id_agents")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_attempts_campaign_id_campaigns")),
        sa.ForeignKeyConstraint(["contact_id"], ["contacts.id"], name=op.f("fk_attempts_contact_id_contacts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
        sa.UniqueConstraint("ref", name=op.f("uq_attempts_ref")),
    )
    op.create_index(
        "ix_attempts_answered",
        "attempts",
        ["campaign_id", "answered_at"],
        unique=False,
        postgresql_where=sa.text("answered_at IS NOT NULL"),
    )
    op.create_index("ix_attempts_call_id", "attempts", ["pbx", "pbx_call_id"], unique=False)
    op.create_index("ix_attempts_campaign", "attempts", ["campaign_id", "ordered_at"], unique=False)
    op.create_index("ix_attempts_contact", "attempts", ["contact_id"], unique=False)
    op.create_index("ix_attempts_ended", "attempts", ["campaign_id", "ended_at"], unique=False)
    op.create_index("ix_attempts_number", "attempts", ["number", "ordered_at"], unique=False)
    op.create_index(
        "ix_attempts_open", "attempts", ["campaign_id"], unique=False, postgresql_where=sa.text("ended_at IS NULL")
    )
    op.create_index(
        "ix_attempts_waiting",
        "attempts",
        ["answered_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('answered','held')"),
    )
    op.create_index(
        "uq_attempts_open_number", "attempts", ["number"], unique=True, postgresql_where=sa.text("ended_at IS NULL")
    )
    op.create_table(
        "assignments",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("attempt_id", sa.BigInteger(), nullable=False),
        sa.Column("agent_id", sa.BigInteger(), nullable=False),
        sa.Column("leg_id", sa.BigInteger(), nullable=False),
        sa.Column("assigned_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("agent_free_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("joined_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("ended_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("result", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_assignments_agent_id_agents")),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempts.id"], name=op.f("fk_assignments_attempt_id_attempts")),
        sa.ForeignKeyConstraint(["leg_id"], ["agent_legs.id"], name=op.f("fk_assignments_leg_id_agent_legs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assignments")),
    )
    op.create_index("ix_assignments_attempt", "assignments", ["attempt_id"], unique=False)
    op.create_index(
        "uq_assignments_open_agent",
        "assignments",
        ["agent_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "uq_assignments_open_attempt",
        "assignments",
        ["attempt_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.execute(LEDGER_GUARD)
    op.execute(LEDGER_TRIGGER)


def downgrade() -> None:
    op.drop_index("uq_assignments_open_attempt", table_name="assignments", postgresql_where=sa.text("ended_at IS NULL"))
    op.drop_index("uq_assignments_open_agent", table_name="assignments", postgresql_where=sa.text("ended_at IS NULL"))
    op.drop_index("ix_assignments_attempt", table_name="assignments")
    op.drop_table("assignments")
    op.drop_index("uq_attempts_open_number", table_name="attempts", postgresql_where=sa.text("ended_at IS NULL"))
    op.drop_index(
        "ix_attempts_waiting", table_name="attempts", postgresql_where=sa.text("state IN ('answered','held')")
    )
    op.drop_index("ix_attempts_open", table_name="attempts", postgresql_where=sa.text("ended_at IS NULL"))
    op.drop_index("ix_attempts_number", table_name="attempts")
    op.drop_index("ix_attempts_ended", table_name="attempts")
    op.drop_index("ix_attempts_contact", table_name="attempts")
    op.drop_index("ix_attempts_campaign", table_name="attempts")
    op.drop_index("ix_attempts_call_id", table_name="attempts")
    op.drop_index("ix_attempts_answered", table_name="attempts", postgresql_where=sa.text("answered_at IS NOT NULL"))
    op.drop_table("attempts")
    op.drop_index("ix_imports_open", table_name="imports", postgresql_where=sa.text("state IN ('waiting','running')"))
    op.drop_index(op.f("ix_imports_campaign_id"), table_name="imports")
    op.drop_table("imports")
    op.drop_index("ix_contacts_phone", table_name="contacts")
    op.drop_index("ix_contacts_due", table_name="contacts", postgresql_where=sa.text("state = 'open'"))
    op.drop_table("contacts")
    op.drop_index(op.f("ix_campaign_agents_agent_id"), table_name="campaign_agents")
    op.drop_table("campaign_agents")
    op.drop_index("uq_agent_legs_open_agent", table_name="agent_legs", postgresql_where=sa.text("ended_at IS NULL"))
    op.drop_index("ix_agent_legs_call_id", table_name="agent_legs")
    op.drop_table("agent_legs")
    op.drop_index("uq_periods_name", table_name="periods")
    op.drop_index("uq_periods_default", table_name="periods", postgresql_where=sa.text("is_default"))
    op.drop_table("periods")
    op.drop_index("ix_pace_decisions_campaign", table_name="pace_decisions")
    op.drop_table("pace_decisions")
    op.drop_index(op.f("ix_lists_campaign_id"), table_name="lists")
    op.drop_table("lists")
    op.drop_index("uq_do_not_call_number", table_name="do_not_call")
    op.drop_table("do_not_call")
    op.drop_index("ix_agents_parked", table_name="agents", postgresql_where=sa.text("state = 'parked'"))
    op.drop_table("agents")
    op.drop_table("process_beats")
    op.drop_table("pbx_status")
    op.drop_index(
        "ix_logged_events_unhandled", table_name="logged_events", postgresql_where=sa.text("handled_at IS NULL")
    )
    op.drop_index("ix_logged_events_ref", table_name="logged_events")
    op.drop_index("ix_logged_events_received", table_name="logged_events")
    op.drop_table("logged_events")
    op.drop_index("ix_ledger_campaign", table_name="ledger")
    op.drop_index("ix_ledger_attempt", table_name="ledger")
    op.drop_table("ledger")
    op.drop_table("leases")
    op.drop_table("installation")
    op.drop_index(op.f("ix_commands_request_id"), table_name="commands")
    op.drop_index("ix_commands_due", table_name="commands", postgresql_where=sa.text("state IN ('due','sending')"))
    op.drop_table("commands")
    op.drop_table("campaigns")
    op.execute("DROP FUNCTION refuse_ledger_change()")
