"""how far lists are worked"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"

_INSTANT = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    # Columns with a constant default and a new table: nothing is read or rewritten.
    for name in ("cap", "cap_today"):
        op.add_column("lists", sa.Column(name, sa.Text(), server_default="", nullable=False))
    op.create_table(
        "list_counts",
        sa.Column("list_id", sa.BigInteger(), sa.ForeignKey("lists.id"), primary_key=True, autoincrement=False),
        sa.Column("campaign_id", sa.BigInteger(), sa.ForeignKey("campaigns.id"), nullable=False),
        sa.Column("contacts", sa.BigInteger(), nullable=False),
        sa.Column("tried", sa.BigInteger(), nullable=False),
        sa.Column("today", sa.BigInteger(), nullable=False),
        sa.Column("today_until", _INSTANT, nullable=False),
        sa.Column("counted_at", _INSTANT, nullable=False),
        sa.Column("took", sa.Float(), nullable=False),
    )
    op.create_index("ix_list_counts_campaign_id", "list_counts", ["campaign_id"])


def downgrade() -> None:
    op.drop_table("list_counts")
    for name in ("cap_today", "cap"):
        op.drop_column("lists", name)
