"""calls that ended with a disposition, by disposition"""

import sqlalchemy as sa

from migrations.concurrently import beside_calls, build, drop

revision = "0020"
down_revision = "0019"

INDEX = "ix_attempts_disposition"


def upgrade() -> None:
    # Calls go on meanwhile; few of them have a disposition.
    with beside_calls():
        build(
            INDEX,
            "attempts",
            ["disposition_id", "ordered_at"],
            postgresql_where=sa.text("disposition_id IS NOT NULL"),
        )


def downgrade() -> None:
    with beside_calls():
        drop(INDEX, "attempts")
