"""dispositions, retry rules, caps, scripts"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

BEFORE = "0004"

revision = "0005"
down_revision = BEFORE

INSTANT = postgresql.TIMESTAMP(timezone=True)
JSON = postgresql.JSONB(astext_type=sa.Text())
NOTHING, NONE = sa.text("'{}'::jsonb"), sa.text("'[]'::jsonb")


def upgrade() -> None:
    for table in ("installation", "campaigns"):
        for column in ("number_caps", "contact_caps"):
            op.add_column(table, sa.Column(column, sa.Text(), server_default="", nullable=False))
    op.add_column("campaigns", sa.Column("retry_rules", JSON, server_default=NOTHING, nullable=False))
    op.add_column("campaigns", sa.Column("script", sa.Text(), server_default="", nullable=False))
    op.add_column("campaigns", sa.Column("form", JSON, server_default=NONE, nullable=False))
    op.create_table(
        "dispositions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("meaning", sa.Text(), nullable=False),
        sa.Column("does", sa.Text(), nullable=False),
        sa.Column("retry_rule", JSON, server_default=NOTHING, nullable=False),
        sa.Column("everywhere", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("retired_at", INSTANT, nullable=True),
        sa.CheckConstraint("does IN ('close', 'retry', 'callback', 'dnc')", name=op.f("ck_dispositions_does")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_dispositions_campaign_id_campaigns")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dispositions")),
        sa.UniqueConstraint("campaign_id", "code", name=op.f("uq_dispositions_campaign_id_code")),
    )
    op.add_column("contacts", sa.Column("promised_at", INSTANT, nullable=True))
    op.add_column("attempts", sa.Column("disposition_id", sa.BigInteger(), nullable=True))
    op.add_column("attempts", sa.Column("disposed_at", INSTANT, nullable=True))
    op.add_column("attempts", sa.Column("disposed_by", sa.Text(), nullable=True))
    op.add_column("attempts", sa.Column("callback_at", INSTANT, nullable=True))
    op.add_column("attempts", sa.Column("callback_period_id", sa.BigInteger(), nullable=True))
    op.add_column("attempts", sa.Column("note", sa.Text(), server_default="", nullable=False))
    op.add_column("attempts", sa.Column("answers", JSON, server_default=NOTHING, nullable=False))
    # Every row of now has none, so there is nothing to look through while the table is locked.
    op.create_foreign_key(
        op.f("fk_attempts_disposition_id_dispositions"),
        "attempts",
        "dispositions",
        ["disposition_id"],
        ["id"],
        postgresql_not_valid=True,
    )
    op.create_foreign_key(
        op.f("fk_attempts_callback_period_id_periods"),
        "attempts",
        "periods",
        ["callback_period_id"],
        ["id"],
        ondelete="SET NULL",
        postgresql_not_valid=True,
    )
    op.create_index("ix_assignments_agent", "assignments", ["agent_id", "id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_assignments_agent", table_name="assignments")
    for column in (
        "answers",
        "note",
        "callback_period_id",
        "callback_at",
        "disposed_by",
        "disposed_at",
        "disposition_id",
    ):
        op.drop_column("attempts", column)
    op.drop_column("contacts", "promised_at")
    op.drop_table("dispositions")
    for column in ("form", "script", "retry_rules"):
        op.drop_column("campaigns", column)
    for table in ("campaigns", "installation"):
        for column in ("contact_caps", "number_caps"):
            op.drop_column(table, column)
