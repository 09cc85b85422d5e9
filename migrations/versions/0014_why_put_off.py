"""which rule put a contact off"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    # Two nulls: PostgreSQL adds them without rewriting the table.
    op.add_column("contacts", sa.Column("put_off_by", sa.Text(), nullable=True))
    op.add_column("contacts", sa.Column("put_off_until", postgresql.TIMESTAMP(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("contacts", "put_off_until")
    op.drop_column("contacts", "put_off_by")
