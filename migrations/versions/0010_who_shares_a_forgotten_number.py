"""contacts that share a forgotten number"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "shares_forgotten",
        sa.Column("contact_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("contact_id", name=op.f("pk_shares_forgotten")),
    )
    connection = op.get_bind()
    key = connection.scalar(sa.text("SELECT forgotten_key FROM installation WHERE EXISTS (SELECT FROM forgotten)"))
    if key is None:
        return  # nobody ever asked to be forgotten
    # The digests of all numbers there are, by HMAC (RFC 2104): read once, no row of a contact is locked.
    padded = bytes.fromhex(key).ljust(64, b"\0")
    pads = {"inner": bytes(one ^ 0x36 for one in padded), "outer": bytes(one ^ 0x5C for one in padded)}
    connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
    connection.execute(
        sa.text("""
            INSERT INTO shares_forgotten (contact_id)
            SELECT DISTINCT id FROM (
                SELECT id, phone AS number FROM contacts
                UNION ALL SELECT id, phone2 FROM contacts WHERE phone2 IS NOT NULL
                UNION ALL SELECT id, next_number FROM contacts WHERE next_number IS NOT NULL
                UNION ALL SELECT id, unnest(more_numbers) FROM contacts WHERE more_numbers IS NOT NULL) n
            WHERE encode(sha256(CAST(:outer AS bytea) || sha256(CAST(:inner AS bytea) || convert_to(number, 'UTF8'))),
                         'hex') IN (SELECT digest FROM forgotten)
        """),
        pads,
    )


def downgrade() -> None:
    op.drop_table("shares_forgotten")
