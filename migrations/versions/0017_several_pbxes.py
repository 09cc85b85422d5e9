"""several PBXs in one campaign, and agents with a phone on two"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.concurrently import beside_calls, build

revision = "0017"
down_revision = "0015"

INSTANT = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    # Calls go on meanwhile. First, since what stands before it must bear a second run.
    with beside_calls():
        build(
            "ix_agent_legs_left_behind",
            "agent_legs",
            ["pbx", "ended_at"],
            postgresql_where=sa.text("trouble = 'left behind on a PBX that is out of use'"),
        )
    # Nulls and constant defaults: no table is rewritten. A campaign of one PBX has no row here, so what the release
    # before writes meanwhile is as good as what this one does.
    op.create_table(
        "campaign_pbxes",
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("pbx", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.CheckConstraint("role IN ('pool','standby','removed')", name=op.f("ck_campaign_pbxes_role")),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name=op.f("fk_campaign_pbxes_campaign_id_campaigns")
        ),
        sa.PrimaryKeyConstraint("campaign_id", "pbx", name=op.f("pk_campaign_pbxes")),
    )
    op.create_index(op.f("ix_campaign_pbxes_pbx"), "campaign_pbxes", ["pbx"])
    op.add_column("pbx_status", sa.Column("out_since", INSTANT, nullable=True))
    op.add_column("pbx_status", sa.Column("back_since", INSTANT, nullable=True))
    op.add_column("pbx_status", sa.Column("out_why", sa.Text(), server_default="", nullable=False))
    op.add_column("agents", sa.Column("spare_of", sa.BigInteger(), nullable=True))
    op.add_column("agents", sa.Column("home_pbx", sa.Text(), nullable=True))
    op.create_foreign_key(op.f("fk_agents_spare_of_agents"), "agents", "agents", ["spare_of"], ["id"])
    op.create_index(op.f("ix_agents_spare_of"), "agents", ["spare_of"])
    op.add_column("pace_decisions", sa.Column("pbx", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    op.drop_index("ix_agent_legs_left_behind", table_name="agent_legs")
    op.drop_column("pace_decisions", "pbx")
    op.drop_index(op.f("ix_agents_spare_of"), table_name="agents")
    op.drop_constraint(op.f("fk_agents_spare_of_agents"), "agents", type_="foreignkey")
    op.drop_column("agents", "home_pbx")
    op.drop_column("agents", "spare_of")
    op.drop_column("pbx_status", "out_why")
    op.drop_column("pbx_status", "back_since")
    op.drop_column("pbx_status", "out_since")
    op.drop_index(op.f("ix_campaign_pbxes_pbx"), table_name="campaign_pbxes")
    op.drop_table("campaign_pbxes")
