"""one mark of a promise"""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    # A promise begins the count of attempts anew: by contacts.promised_at alone. callbacks.attempts_before said the same
    # of some; the release before writes it still, and it goes with the next.
    op.execute(
        """
        UPDATE contacts k SET promised_at = b.made_at FROM callbacks b
        WHERE b.contact_id = k.id AND b.closed_at IS NULL AND b.attempts_before > 0 AND k.promised_at IS NULL
        """
    )


def downgrade() -> None:
    pass  # the release before counts from promised_at wherever it is set
