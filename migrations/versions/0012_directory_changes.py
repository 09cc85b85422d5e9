"""what was set up on directories"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"

INSTANT = postgresql.TIMESTAMP(timezone=True)
STATES = "state IN ('sent','made','refused','not_ours','undoing','undone','gone')"


def upgrade() -> None:
    op.create_table(
        "directory_changes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("directory", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=True),
        sa.Column("creates", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("claimed_until", INSTANT, nullable=True),
        sa.Column("made_id", sa.Text(), server_default="", nullable=False),
        sa.Column("made_path", sa.Text(), server_default="", nullable=False),
        sa.Column("record", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("written_at", INSTANT, server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", INSTANT, nullable=True),
        sa.Column("trouble", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint(STATES, name=op.f("ck_directory_changes_state")),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name=op.f("fk_directory_changes_campaign_id_campaigns")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_directory_changes")),
    )
    op.create_index(
        "uq_directory_changes_open",
        "directory_changes",
        ["directory", "key"],
        unique=True,
        postgresql_where=sa.text("state IN ('sent','made','undoing')"),
    )


def downgrade() -> None:
    op.drop_table("directory_changes")
