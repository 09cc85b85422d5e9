"""goals of the pace, groups of contacts, calls given up"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

# Until now a limit above the rule pack's was stored and not kept to; from now on what is stored holds. So what was
# never granted is written down as what really held.
NEVER_GRANTED = """
WITH raised AS (
    SELECT id, max_abandonment FROM campaigns WHERE max_abandonment > 0.03 FOR UPDATE
), lowered AS (
    UPDATE campaigns SET max_abandonment = 0.03 WHERE id IN (SELECT id FROM raised)
)
INSERT INTO ledger (at, kind, who, campaign_id, why, details)
SELECT clock_timestamp(), 'pace', 'migration:0002', id,
       'the rule pack''s ceiling held all the while: a higher one needs the right to raise it',
       jsonb_build_object('setting', 'max_abandonment', 'old', max_abandonment, 'new', 0.03)
FROM raised
"""
# The release before knows two modes. What it does not know must not begin to dial by itself.
MODES_UNKNOWN_BEFORE = """
UPDATE campaigns SET mode = 'progressive', state = CASE WHEN state IN ('running', 'paused') THEN 'stopped' ELSE state END
WHERE mode NOT IN ('progressive','predictive')
"""


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("ratio", sa.Double(), nullable=True))
    op.add_column("campaigns", sa.Column("desired_wait", sa.Double(), nullable=True))
    op.add_column("campaigns", sa.Column("min_ring", sa.Double(), nullable=True))
    op.add_column("campaigns", sa.Column("calls_per_second", sa.Double(), nullable=True))
    op.add_column("campaigns", sa.Column("weight", sa.Double(), server_default=sa.text("1"), nullable=False))
    op.add_column(
        "campaigns", sa.Column("inbound_first", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.drop_constraint(op.f("ck_campaigns_mode"), "campaigns", type_="check")
    op.create_check_constraint(
        op.f("ck_campaigns_mode"),
        "campaigns",
        "mode IN ('manual','preview','progressive','power','predictive','agentless')",
    )
    op.create_check_constraint(
        op.f("ck_campaigns_goals"),
        "campaigns",
        "weight > 0 AND ratio > 0 AND calls_per_second > 0 AND min_ring >= 0 AND desired_wait >= 0",
    )
    op.execute(NEVER_GRANTED)
    op.add_column("attempts", sa.Column("answer_group", sa.Text(), server_default="", nullable=False))
    op.add_column("attempts", sa.Column("given_up_at", postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.create_index(
        "ix_contacts_due_in_order",
        "contacts",
        ["campaign_id", "next_at", "id"],
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index(
        "ix_attempts_abandoned_unheard",
        "attempts",
        ["campaign_id", "ended_at"],
        postgresql_where=sa.text("answered_at IS NULL AND state = 'abandoned'"),
    )
    op.add_column(
        "pace_decisions",
        sa.Column(
            "reckoned",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
    )


def downgrade() -> None:
    op.drop_column("pace_decisions", "reckoned")
    op.drop_index("ix_attempts_abandoned_unheard", table_name="attempts")
    op.drop_index("ix_contacts_due_in_order", table_name="contacts")
    op.drop_column("attempts", "given_up_at")
    op.drop_column("attempts", "answer_group")
    op.drop_constraint(op.f("ck_campaigns_goals"), "campaigns", type_="check")
    op.drop_constraint(op.f("ck_campaigns_mode"), "campaigns", type_="check")
    op.execute(MODES_UNKNOWN_BEFORE)
    op.create_check_constraint(op.f("ck_campaigns_mode"), "campaigns", "mode IN ('progressive','predictive')")
    for name in ("inbound_first", "weight", "calls_per_second", "min_ring", "desired_wait", "ratio"):
        op.drop_column("campaigns", name)
