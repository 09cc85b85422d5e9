"""indexes that count who is held back"""

import sqlalchemy as sa

from migrations import concurrently

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    # Both hold few rows of their large tables; each is built by reading its table once, beside the calls.
    with concurrently.beside_calls():
        concurrently.build(
            "ix_contacts_next_number",
            "contacts",
            ["campaign_id", "next_number"],
            postgresql_where=sa.text("next_number IS NOT NULL"),
        )
        concurrently.build(
            "ix_attempts_abandoned",
            "attempts",
            ["ordered_at"],
            postgresql_include=["number", "ended_at"],
            postgresql_where=sa.text("state = 'abandoned'"),
        )


def downgrade() -> None:
    with concurrently.beside_calls():
        concurrently.drop("ix_attempts_abandoned", "attempts")
        concurrently.drop("ix_contacts_next_number", "contacts")
