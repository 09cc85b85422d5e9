"""forecasts"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

BEFORE = "0003"

revision = "0004"
down_revision = BEFORE


def upgrade() -> None:
    op.create_table(
        "forecasts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("made_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("starts_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("horizon", sa.Double(), nullable=False),
        sa.Column("inputs", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("forecast", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_forecasts_campaign_id_campaigns")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_forecasts")),
    )
    op.create_index("ix_forecasts_campaign", "forecasts", ["campaign_id", "made_at"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_forecasts_campaign", table_name="forecasts")
    op.drop_table("forecasts")
