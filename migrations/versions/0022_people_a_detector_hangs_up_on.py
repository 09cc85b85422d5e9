"""how many people a campaign's machine detector is taken to hang up on, and where the calls it ended lie"""

import sqlalchemy as sa
from alembic import op

from migrations.concurrently import beside_calls, build, drop

revision = "0022"
down_revision = "0021"

_DETECTED, _SHARE = "ix_attempts_detected", "ck_campaigns_people_among_machines"


def upgrade() -> None:
    # A constant default: nothing is rewritten. It may have been done by a try that was broken off below.
    op.add_column(
        "campaigns",
        sa.Column("people_among_machines", sa.Double(), server_default=sa.text("0.03"), nullable=False),
        if_not_exists=True,
    )
    op.execute(f"ALTER TABLE campaigns DROP CONSTRAINT IF EXISTS {_SHARE}")
    op.execute(f"ALTER TABLE campaigns ADD CONSTRAINT {_SHARE} CHECK (people_among_machines BETWEEN 0 AND 1)")
    with beside_calls():
        build(
            _DETECTED, "attempts", ["campaign_id", "ended_at"],
            postgresql_where=sa.text("leg_outcome = 'machine' AND answered_at IS NULL"),
        )  # fmt: skip


def downgrade() -> None:
    with beside_calls():
        drop(_DETECTED, "attempts")
    op.drop_column("campaigns", "people_among_machines", if_exists=True)
