"""caller ids and best times"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.concurrently import beside_calls, build

revision = "0011"
down_revision = "0010"

INSTANT = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    # Attempts are many, and calls go on meanwhile. First, since what stands before it must bear a second run.
    with beside_calls():
        build("ix_attempts_caller_id", "attempts", ["caller_id", "ordered_at"])
    op.create_table(
        "caller_ids",
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("daily_cap", sa.Integer(), nullable=True),
        sa.Column("rest", sa.Double(), server_default=sa.text("86400"), nullable=False),
        sa.Column("resting_until", INSTANT, nullable=True),
        sa.Column("resting_because", sa.Text(), server_default="", nullable=False),
        sa.Column("added_by", sa.Text(), server_default="", nullable=False),
        sa.Column("added_at", INSTANT, server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("daily_cap > 0", name=op.f("ck_caller_ids_daily_cap")),
        sa.CheckConstraint("rest >= 0", name=op.f("ck_caller_ids_rest")),
        sa.CheckConstraint("(resting_until IS NULL) = (resting_because = '')", name=op.f("ck_caller_ids_resting")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_caller_ids")),
    )
    op.create_table(
        "campaign_caller_ids",
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name=op.f("fk_campaign_caller_ids_campaign_id_campaigns")
        ),
        sa.ForeignKeyConstraint(
            ["number"], ["caller_ids.number"], name=op.f("fk_campaign_caller_ids_number_caller_ids")
        ),
        sa.PrimaryKeyConstraint("campaign_id", "number", name=op.f("pk_campaign_caller_ids")),
    )
    op.create_index(op.f("ix_campaign_caller_ids_number"), "campaign_caller_ids", ["number"])
    op.create_table(
        "learnt_times",
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("learnt_at", INSTANT, nullable=False),
        sa.Column("learnt", postgresql.JSONB(), nullable=False),
        sa.Column("put_off_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_learnt_times_campaign_id_campaigns")),
        sa.PrimaryKeyConstraint("campaign_id", name=op.f("pk_learnt_times")),
    )
    # Each campaign begins with a pool of its one number. One that a process of the release before writes meanwhile
    # has none, and shows its `caller_id` as it always did.
    op.execute("INSERT INTO caller_ids (number, added_by) SELECT DISTINCT caller_id, 'migration' FROM campaigns")
    op.execute("INSERT INTO campaign_caller_ids (campaign_id, number) SELECT id, caller_id FROM campaigns")


def downgrade() -> None:
    op.drop_index("ix_attempts_caller_id", table_name="attempts")
    op.drop_table("learnt_times")
    op.drop_table("campaign_caller_ids")
    op.drop_table("caller_ids")
