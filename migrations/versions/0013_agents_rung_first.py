"""calls that ring the agent first, and the requests a PBX's account allows"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

BEFORE = "0012"

revision = "0013"
down_revision = BEFORE

INSTANT = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    # A constant default and a null: PostgreSQL adds both without rewriting the table.
    op.add_column("attempts", sa.Column("agent_first", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("attempts", sa.Column("agent_answered_at", INSTANT, nullable=True))
    op.alter_column("assignments", "leg_id", nullable=True)
    op.create_table(
        "pbx_requests",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("pbx", sa.Text(), nullable=False),
        sa.Column("sent_at", INSTANT, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pbx_requests")),
    )
    op.create_index("ix_pbx_requests_sent", "pbx_requests", ["pbx", "sent_at"])
    op.create_table(
        "pbx_accounts",
        sa.Column("pbx", sa.Text(), nullable=False),
        sa.Column("closed_until", INSTANT, nullable=True),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.Column("times", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("pbx", name=op.f("pk_pbx_accounts")),
    )


def downgrade() -> None:
    op.drop_table("pbx_accounts")
    op.drop_table("pbx_requests")
    # The release before knows no assignment without a leg on the line.
    op.execute("DELETE FROM assignments WHERE leg_id IS NULL")
    op.alter_column("assignments", "leg_id", nullable=False)
    op.drop_column("attempts", "agent_answered_at")
    op.drop_column("attempts", "agent_first")
