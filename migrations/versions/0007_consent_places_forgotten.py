"""consent, places, rule packs of lists, forgotten numbers"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

BEFORE = "0006"

revision = "0007"
down_revision = BEFORE

EMPTY = sa.text("''")
INSTANT = postgresql.TIMESTAMP(timezone=True)

GUARD = """
CREATE OR REPLACE FUNCTION refuse_ledger_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND current_setting('dialer.forgetting', true) = 'on' THEN
        RETURN NULL;  -- ledger_keeps_its_facts looks at each row
    END IF;
    RAISE EXCEPTION 'the ledger is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$
"""
GUARD_BEFORE = """
CREATE OR REPLACE FUNCTION refuse_ledger_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$
"""
FACTS = """
CREATE OR REPLACE FUNCTION keep_ledger_facts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('dialer.forgetting', true) IS DISTINCT FROM 'on'
       OR (NEW.id, NEW.at, NEW.kind, NEW.who, NEW.campaign_id, NEW.attempt_id, NEW.agent_id)
          IS DISTINCT FROM (OLD.id, OLD.at, OLD.kind, OLD.who, OLD.campaign_id, OLD.attempt_id, OLD.agent_id)
       OR ARRAY(SELECT jsonb_object_keys(NEW.details) ORDER BY 1)
          IS DISTINCT FROM ARRAY(SELECT jsonb_object_keys(OLD.details) ORDER BY 1) THEN
        RAISE EXCEPTION 'the ledger is append-only: UPDATE refused' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$
"""
FACTS_TRIGGER = """
CREATE TRIGGER ledger_keeps_its_facts BEFORE UPDATE ON ledger FOR EACH ROW EXECUTE FUNCTION keep_ledger_facts()
"""


def upgrade() -> None:
    op.add_column("installation", sa.Column("forgotten_key", sa.Text(), nullable=True))
    op.add_column(
        "campaigns", sa.Column("needs_consent", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column("lists", sa.Column("rule_pack", sa.Text(), nullable=True))
    # Constant defaults: PostgreSQL adds these without rewriting the table.
    for name in ("region", "postcode", "time_zone"):
        op.add_column("contacts", sa.Column(name, sa.Text(), server_default=EMPTY, nullable=False))
    op.add_column("contacts", sa.Column("consent", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("contacts", sa.Column("consent_at", INSTANT, nullable=True))
    op.add_column("contacts", sa.Column("consent_source", sa.Text(), server_default=EMPTY, nullable=False))
    op.create_table(
        "forgotten",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("added_by", sa.Text(), server_default=EMPTY, nullable=False),
        sa.Column("added_at", INSTANT, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_forgotten")),
    )
    op.execute(GUARD)
    op.execute(FACTS)
    op.execute(FACTS_TRIGGER)


def downgrade() -> None:
    op.execute("DROP TRIGGER ledger_keeps_its_facts ON ledger")
    op.execute("DROP FUNCTION keep_ledger_facts()")
    op.execute(GUARD_BEFORE)
    op.drop_table("forgotten")
    for name in ("consent_source", "consent_at", "consent", "time_zone", "postcode", "region"):
        op.drop_column("contacts", name)
    op.drop_column("lists", "rule_pack")
    op.drop_column("campaigns", "needs_consent")
    op.drop_column("installation", "forgotten_key")
