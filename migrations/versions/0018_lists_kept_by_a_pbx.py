"""callback lists that a PBX keeps, their tickets, and what it counts itself"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0018"
down_revision = "0017"

_INSTANT = postgresql.TIMESTAMP(timezone=True)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default="", nullable=False)


def upgrade() -> None:
    # New tables alone. Their foreign keys lock the tables they point to for a moment, and read nothing.
    op.create_table(
        "pbx_lists",
        sa.Column("pbx", sa.Text(), primary_key=True),
        sa.Column("bound_as", sa.Text(), primary_key=True),
        _text("pbx_list"),
        _text("name"),
        sa.Column("campaign_id", sa.BigInteger(), sa.ForeignKey("campaigns.id")),
        sa.Column("list_id", sa.BigInteger(), sa.ForeignKey("lists.id")),
        sa.Column("read_at", _INSTANT),
        _text("trouble"),
    )
    op.create_table(
        "listed_requests",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), primary_key=True),
        sa.Column("pbx", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("pbx_list", sa.Text(), nullable=False),
        sa.Column("contact_id", sa.BigInteger(), sa.ForeignKey("contacts.id")),
        _text("told"),
        sa.Column("due_date", sa.Date()),
        _text("period_id"),
        _text("period"),
        sa.Column("seen_at", _INSTANT, nullable=False),
        sa.Column("missing_since", _INSTANT),
        sa.Column("gone_at", _INSTANT),
        _text("taken_by"),
        _text("held_by"),
        sa.Column("held_attempt_id", sa.BigInteger(), sa.ForeignKey("attempts.id")),
        sa.Column("written_at", _INSTANT),
        _text("trouble"),
        sa.UniqueConstraint("pbx", "request_id"),
    )
    op.create_index(
        "uq_listed_requests_open_contact", "listed_requests", ["contact_id"], unique=True,
        postgresql_where=sa.text("gone_at IS NULL AND contact_id IS NOT NULL"),
    )  # fmt: skip
    op.create_index("ix_listed_requests_contact", "listed_requests", ["contact_id"])
    op.create_index(
        "ix_listed_requests_held", "listed_requests", ["pbx"], postgresql_where=sa.text("held_attempt_id IS NOT NULL")
    )
    op.create_table(
        "listed_tickets",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), primary_key=True),
        sa.Column("pbx", sa.Text(), nullable=False),
        sa.Column("request_id", sa.BigInteger(), sa.ForeignKey("listed_requests.id"), nullable=False),
        sa.Column("attempt_id", sa.BigInteger(), sa.ForeignKey("attempts.id"), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        _text("ticket_id"),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        _text("status"),
        sa.Column("made_at", _INSTANT, nullable=False),
        sa.Column("due_at", _INSTANT, nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        _text("trouble"),
        sa.Column("done_at", _INSTANT),
        sa.UniqueConstraint("attempt_id"),
        sa.CheckConstraint("state IN ('open','written','given_up')", name="state"),
    )
    op.create_index(
        "ix_listed_tickets_open", "listed_tickets", ["pbx", "due_at"], postgresql_where=sa.text("state = 'open'")
    )
    op.create_index("ix_listed_tickets_request", "listed_tickets", ["request_id"])
    op.create_table(
        "pbx_figures",
        sa.Column("pbx", sa.Text(), primary_key=True),
        sa.Column("kind", sa.Text(), primary_key=True),
        sa.Column("key", sa.Text(), primary_key=True),
        sa.Column("day", sa.Date(), primary_key=True),
        _text("name"),
        sa.Column("figures", postgresql.JSONB(), nullable=False),
        sa.Column("read_at", _INSTANT, nullable=False),
        sa.CheckConstraint("kind IN ('agent','queue')", name="kind"),
    )


def downgrade() -> None:
    for name in ("pbx_figures", "listed_tickets", "listed_requests", "pbx_lists"):
        op.drop_table(name)
