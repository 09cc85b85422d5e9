"""callbacks"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

BEFORE = "0005"

revision = "0006"
down_revision = BEFORE

INSTANT = postgresql.TIMESTAMP(timezone=True)
OPEN = "closed_at IS NULL"


def upgrade() -> None:
    op.add_column("contacts", sa.Column("kept_for", sa.BigInteger(), nullable=True))
    op.add_column("contacts", sa.Column("kept_as", sa.Text(), server_default="", nullable=False))
    op.add_column("contacts", sa.Column("kept_until", INSTANT, nullable=True))
    op.create_table(
        "callbacks",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("contact_id", sa.BigInteger(), nullable=False),
        sa.Column("due_date", sa.Date(), nullable=False),
        sa.Column("period_id", sa.BigInteger(), nullable=True),
        sa.Column("period", sa.Text(), server_default="", nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.Column("deadline_at", INSTANT, nullable=False),
        sa.Column("alarm_at", INSTANT, nullable=False),
        sa.Column("owner_id", sa.BigInteger(), nullable=True),
        sa.Column("fallback", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.Column("taken_by", sa.BigInteger(), nullable=True),
        sa.Column("taken_at", INSTANT, nullable=True),
        sa.Column("held_until", INSTANT, nullable=True),
        sa.Column("attempts_before", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("made_at", INSTANT, nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("called_at", INSTANT, nullable=True),
        sa.Column("reached_at", INSTANT, nullable=True),
        sa.Column("alarmed_at", INSTANT, nullable=True),
        sa.Column("alarm", sa.Text(), server_default="", nullable=False),
        sa.Column("broke_at", INSTANT, nullable=True),
        sa.Column("closed_at", INSTANT, nullable=True),
        sa.Column("closed_by", sa.Text(), server_default="", nullable=False),
        sa.Column("result", sa.Text(), server_default="", nullable=False),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint("deadline_at > due_at", name=op.f("ck_callbacks_deadline")),
        sa.CheckConstraint("result IN ('','kept','late','lost','moved','withdrawn')", name=op.f("ck_callbacks_result")),
        sa.CheckConstraint("(closed_at IS NULL) = (result = '')", name=op.f("ck_callbacks_closed")),
        sa.CheckConstraint("(taken_by IS NULL) = (taken_at IS NULL)", name=op.f("ck_callbacks_taken")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_callbacks_campaign_id_campaigns")),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name=op.f("fk_callbacks_contact_id_contacts"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["owner_id"], ["agents.id"], name=op.f("fk_callbacks_owner_id_agents")),
        sa.ForeignKeyConstraint(["taken_by"], ["agents.id"], name=op.f("fk_callbacks_taken_by_agents")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_callbacks")),
    )
    uncalled = f"{OPEN} AND called_at IS NULL"
    op.create_index(
        "uq_callbacks_open_contact", "callbacks", ["contact_id"], unique=True, postgresql_where=sa.text(OPEN)
    )
    op.create_index("ix_callbacks_contact", "callbacks", ["contact_id"])
    op.create_index("ix_callbacks_due", "callbacks", ["campaign_id", "due_at"])
    op.create_index("ix_callbacks_open_due", "callbacks", ["campaign_id", "due_at"], postgresql_where=sa.text(OPEN))
    op.create_index(
        "ix_callbacks_alarm", "callbacks", ["alarm_at"], postgresql_where=sa.text(f"{uncalled} AND alarmed_at IS NULL")
    )
    op.create_index(
        "ix_callbacks_deadline",
        "callbacks",
        ["deadline_at"],
        postgresql_where=sa.text(f"{uncalled} AND broke_at IS NULL"),
    )
    op.create_index(
        "ix_callbacks_held", "callbacks", ["held_until"], postgresql_where=sa.text(f"{OPEN} AND held_until IS NOT NULL")
    )
    op.create_table(
        "callback_tickets",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("callback_id", sa.BigInteger(), nullable=False),
        sa.Column("attempt_id", sa.BigInteger(), nullable=True),
        sa.Column("agent_id", sa.BigInteger(), nullable=True),
        sa.Column("number", sa.Text(), server_default="", nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.Column("status", sa.Text(), server_default="", nullable=False),
        sa.Column("comment", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint(
            "status IN ('','NoAnswer','Answered','Fax','Email','Callback')", name=op.f("ck_callback_tickets_status")
        ),
        sa.ForeignKeyConstraint(
            ["callback_id"], ["callbacks.id"], name=op.f("fk_callback_tickets_callback_id_callbacks")
        ),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempts.id"], name=op.f("fk_callback_tickets_attempt_id_attempts")),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_callback_tickets_agent_id_agents")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_callback_tickets")),
    )
    op.create_index("uq_callback_tickets_attempt", "callback_tickets", ["attempt_id"], unique=True)
    op.create_index("ix_callback_tickets_callback", "callback_tickets", ["callback_id"])
    op.create_index("ix_callback_tickets_started", "callback_tickets", ["started_at"])


def downgrade() -> None:
    # The release before knows no agent's own callback: from here on anybody may be given it.
    op.drop_table("callback_tickets")
    op.drop_table("callbacks")
    op.drop_column("contacts", "kept_until")
    op.drop_column("contacts", "kept_as")
    op.drop_column("contacts", "kept_for")
