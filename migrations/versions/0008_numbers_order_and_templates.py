"""numbers, order and templates"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.concurrently import beside_calls, build, drop

revision = "0008"
down_revision = "0007"

INSTANT = postgresql.TIMESTAMP(timezone=True)
OPEN = sa.text("state = 'open'")


def _columns() -> tuple[tuple[str, sa.Column[Any]], ...]:
    return (
        ("contacts", sa.Column("more_numbers", postgresql.ARRAY(sa.Text()), nullable=True)),
        ("contacts", sa.Column("number_types", postgresql.ARRAY(sa.Text()), nullable=True)),
        ("contacts", sa.Column("same_as", sa.BigInteger(), nullable=True)),
        ("contacts", sa.Column("priority", sa.SmallInteger(), server_default=sa.text("0"), nullable=False)),
        ("contacts", sa.Column("tried", sa.SmallInteger(), server_default=sa.text("0"), nullable=False)),
        ("lists", sa.Column("share", sa.Double(), nullable=True)),
        ("imports", sa.Column("updated", sa.Integer(), server_default=sa.text("0"), nullable=False)),
        ("campaigns", sa.Column("contact_order", sa.Text(), server_default="", nullable=False)),
        (
            "campaigns",
            sa.Column("contact_filter", postgresql.JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        ),
    )


def upgrade() -> None:
    # The indexes come last, outside the transaction: what comes before them may be there from a try they broke.
    for table, column in _columns():
        op.add_column(table, column, if_not_exists=True)
    _create_tables()
    with beside_calls():
        build("ix_contacts_phone2", "contacts", ["phone2"], postgresql_where=sa.text("phone2 IS NOT NULL"))
        build(
            "ix_contacts_more_numbers",
            "contacts",
            ["more_numbers"],
            postgresql_using="gin",
            postgresql_where=sa.text("more_numbers IS NOT NULL"),
        )
        build(
            "ix_contacts_lanes",
            "contacts",
            ["campaign_id", "list_id", "priority", "tried", "next_at", "id"],
            postgresql_where=sa.text("state = 'open' AND due_date IS NULL"),
        )
        # Its two columns are the first of ix_contacts_due_in_order, which every release since serves as well.
        drop("ix_contacts_due", "contacts")


def _create_tables() -> None:
    op.create_table(
        "import_templates",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("options", postgresql.JSONB(), nullable=False),
        sa.Column("saved_by", sa.Text(), server_default="", nullable=False),
        sa.Column("saved_at", INSTANT, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_templates")),
        if_not_exists=True,
    )
    op.create_index(
        "uq_import_templates_name", "import_templates", [sa.text("lower(name)")], unique=True, if_not_exists=True
    )
    op.create_table(
        "import_changes",
        sa.Column("import_id", sa.BigInteger(), nullable=False),
        sa.Column("contact_id", sa.BigInteger(), nullable=False),
        sa.Column("before", postgresql.JSONB(), nullable=False),
        sa.Column("after", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(["import_id"], ["imports.id"], name=op.f("fk_import_changes_import_id_imports")),
        sa.PrimaryKeyConstraint("import_id", "contact_id", name=op.f("pk_import_changes")),
        if_not_exists=True,
    )
    op.create_index(op.f("ix_import_changes_contact_id"), "import_changes", ["contact_id"], if_not_exists=True)
    op.create_table(
        "import_pulls",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("looked_at", INSTANT, nullable=False),
        sa.Column("import_id", sa.BigInteger(), nullable=True),
        sa.Column("file_name", sa.Text(), server_default="", nullable=False),
        sa.Column("trouble", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["import_id"], ["imports.id"], name=op.f("fk_import_pulls_import_id_imports")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_import_pulls")),
        if_not_exists=True,
    )


def downgrade() -> None:
    with beside_calls():
        build("ix_contacts_due", "contacts", ["campaign_id", "next_at"], postgresql_where=OPEN)
        for index in ("ix_contacts_lanes", "ix_contacts_more_numbers", "ix_contacts_phone2"):
            drop(index, "contacts")
    for table in ("import_pulls", "import_changes", "import_templates"):
        op.drop_table(table, if_exists=True)
    for table, column in reversed(_columns()):
        op.drop_column(table, column.name, if_exists=True)
