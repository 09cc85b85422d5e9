"""the goals of the pace"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("ratio", sa.Double(), nullable=True))
    op.drop_constraint(op.f("ck_campaigns_mode"), "campaigns", type_="check")
    op.create_check_constraint(
        op.f("ck_campaigns_mode"),
        "campaigns",
        "mode IN ('manual','preview','progressive','power','predictive','agentless')",
    )


def downgrade() -> None:
    op.execute("UPDATE campaigns SET mode = 'progressive' WHERE mode NOT IN ('progressive','predictive')")
    op.drop_constraint(op.f("ck_campaigns_mode"), "campaigns", type_="check")
    op.create_check_constraint(op.f("ck_campaigns_mode"), "campaigns", "mode IN ('progressive','predictive')")
    op.drop_column("campaigns", "ratio")
