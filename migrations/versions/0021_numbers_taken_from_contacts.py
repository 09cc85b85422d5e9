"""contacts that lost a number, and where those of a list lie"""

import sqlalchemy as sa
from alembic import op

from migrations.concurrently import beside_calls, build, drop

revision = "0021"
down_revision = "0020"

_OF_LISTS, _RENUMBERED = "ix_contacts_list", "ix_contacts_renumbered"
_FUNCTION = """
    CREATE OR REPLACE FUNCTION note_lost_number() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.renumbered := true;
        RETURN NEW;
    END $$
"""
# The next number to be called need be none of theirs: called, it is one they had.
_THEIRS = "array_remove({0}.more_numbers || ARRAY[{0}.phone, {0}.phone2], NULL)"
_TRIGGER = f"""
    CREATE OR REPLACE TRIGGER contact_lost_a_number
    BEFORE UPDATE OF phone, phone2, more_numbers, next_number ON contacts FOR EACH ROW
    WHEN (NOT NEW.renumbered AND NOT ({_THEIRS.format("OLD")} <@ {_THEIRS.format("NEW")}
          AND (OLD.next_number IS NULL OR OLD.next_number = ANY({_THEIRS.format("NEW")}))))
    EXECUTE FUNCTION note_lost_number()
"""
# Whoever lost one before is known by their calls. From the trigger on nobody else is to be found.
_EARLIER = f"""
    SELECT DISTINCT k.id FROM attempts a JOIN contacts k ON k.id = a.contact_id AND a.number <> k.phone
    WHERE NOT k.renumbered AND a.number <> ALL({_THEIRS.format("k")})
"""  # noqa: S608 (text of our own)
_MARK = sa.text("UPDATE contacts SET renumbered = true WHERE id = :id")


def upgrade() -> None:
    # A constant default: nothing is rewritten. All of it may have been done by a try that was broken off below.
    op.add_column(
        "contacts", sa.Column("renumbered", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        if_not_exists=True,
    )  # fmt: skip
    op.execute(_FUNCTION)
    op.execute(_TRIGGER)
    # Calls go on while the earlier calls are looked through and the indexes are built.
    with beside_calls():
        # One by one: no contact is locked while another is waited for.
        for contact_id in op.get_bind().scalars(sa.text(_EARLIER)).all():
            op.get_bind().execute(_MARK, {"id": contact_id})
        build(_RENUMBERED, "contacts", ["campaign_id"], postgresql_where=sa.text("renumbered"))
        build(
            _OF_LISTS, "contacts", ["list_id"], postgresql_using="brin",
            postgresql_with={"pages_per_range": 32, "autosummarize": True},
        )  # fmt: skip


def downgrade() -> None:
    with beside_calls():
        drop(_OF_LISTS, "contacts")
        drop(_RENUMBERED, "contacts")
    op.execute("DROP TRIGGER IF EXISTS contact_lost_a_number ON contacts")
    op.execute("DROP FUNCTION IF EXISTS note_lost_number()")
    op.drop_column("contacts", "renumbered")
