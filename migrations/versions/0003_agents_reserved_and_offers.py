"""agents reserved, and offers"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"

INSTANT = postgresql.TIMESTAMP(timezone=True)
PROMISED = sa.text("state = 'open' AND due_date IS NOT NULL")


def upgrade() -> None:
    op.add_column("attempts", sa.Column("mode", sa.Text(), server_default="", nullable=False))
    op.add_column("attempts", sa.Column("reserved_agent_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(
        op.f("fk_attempts_reserved_agent_id_agents"), "attempts", "agents", ["reserved_agent_id"], ["id"]
    )
    op.add_column("agents", sa.Column("reserved_for", sa.Text(), server_default="", nullable=False))
    op.add_column("agents", sa.Column("reserved_until", INSTANT, nullable=True))
    op.add_column("agents", sa.Column("reserved_attempt_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(
        op.f("fk_agents_reserved_attempt_id_attempts"), "agents", "attempts", ["reserved_attempt_id"], ["id"]
    )
    op.create_index("uq_agents_reserved", "agents", ["reserved_attempt_id"], unique=True)
    op.create_check_constraint(
        op.f("ck_agents_reserved_for"), "agents", "reserved_for IN ('','offer','callback','call')"
    )
    op.create_check_constraint(
        op.f("ck_agents_reserved_until"), "agents", "(reserved_for = '') = (reserved_until IS NULL)"
    )
    op.create_check_constraint(
        op.f("ck_agents_reserved_attempt"), "agents", "(reserved_for = 'call') = (reserved_attempt_id IS NOT NULL)"
    )
    op.drop_constraint(op.f("ck_lists_kind"), "lists", type_="check")
    op.create_check_constraint(op.f("ck_lists_kind"), "lists", "kind IN ('contacts','callbacks','manual')")
    op.create_index("ix_contacts_promised", "contacts", ["campaign_id", "next_at"], postgresql_where=PROMISED)
    op.create_table(
        "offers",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("contact_id", sa.BigInteger(), nullable=False),
        sa.Column("agent_id", sa.BigInteger(), nullable=False),
        sa.Column("offered_at", INSTANT, nullable=False),
        sa.Column("until", INSTANT, nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("ended_at", INSTANT, nullable=True),
        sa.Column("attempt_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "state IN ('open','accepted','skipped','expired','withdrawn')", name=op.f("ck_offers_state")
        ),
        sa.CheckConstraint("(state = 'open') = (ended_at IS NULL)", name=op.f("ck_offers_ended")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_offers_campaign_id_campaigns")),
        sa.ForeignKeyConstraint(["contact_id"], ["contacts.id"], name=op.f("fk_offers_contact_id_contacts")),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_offers_agent_id_agents")),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempts.id"], name=op.f("fk_offers_attempt_id_attempts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_offers")),
    )
    open_ = sa.text("state = 'open'")
    op.create_index("uq_offers_open_agent", "offers", ["agent_id"], unique=True, postgresql_where=open_)
    op.create_index("uq_offers_open_contact", "offers", ["contact_id"], unique=True, postgresql_where=open_)
    op.create_index("ix_offers_campaign", "offers", ["campaign_id", "offered_at"])
    op.create_index("ix_offers_contact", "offers", ["contact_id"])


def downgrade() -> None:
    # Nobody would reopen the contacts that are shown to an agent just now.
    op.execute(
        "UPDATE contacts SET state = 'open', next_at = now() WHERE state = 'live' "
        "AND id IN (SELECT contact_id FROM offers WHERE state = 'open')"
    )
    op.drop_table("offers")
    op.drop_index("ix_contacts_promised", table_name="contacts")
    op.execute("UPDATE lists SET kind = 'contacts' WHERE kind = 'manual'")
    op.drop_constraint(op.f("ck_lists_kind"), "lists", type_="check")
    op.create_check_constraint(op.f("ck_lists_kind"), "lists", "kind IN ('contacts','callbacks')")
    for name in ("reserved_for", "reserved_until", "reserved_attempt"):
        op.drop_constraint(op.f(f"ck_agents_{name}"), "agents", type_="check")
    op.drop_index("uq_agents_reserved", table_name="agents")
    op.drop_column("agents", "reserved_attempt_id")
    op.drop_column("agents", "reserved_until")
    op.drop_column("agents", "reserved_for")
    op.drop_column("attempts", "reserved_agent_id")
    op.drop_column("attempts", "mode")
