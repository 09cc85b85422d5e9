"""The ledger, and the triggers by which the database itself keeps it."""

from datetime import datetime
from typing import Any

from sqlalchemy import DDL, BigInteger, Index, event, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from campaigns.db import Base
from campaigns.models.columns import Instant, row_id


class Ledger(Base):
    """What happened and who said so, in order, for ever: the database refuses update and delete (I23)."""

    __tablename__ = "ledger"
    __table_args__ = (
        Index("ix_ledger_campaign", "campaign_id", "at"),
        Index("ix_ledger_attempt", "attempt_id"),
    )
    id: Mapped[int] = row_id()
    at: Mapped[datetime] = mapped_column(Instant)
    kind: Mapped[str] = mapped_column(Text)
    who: Mapped[str] = mapped_column(Text)
    campaign_id: Mapped[int | None]
    attempt_id: Mapped[int | None] = mapped_column(BigInteger)
    agent_id: Mapped[int | None]
    why: Mapped[str] = mapped_column(Text, default="", server_default="")
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default=text("'{}'::jsonb"))


# The records are the only defence when a regulator asks; so the database itself says no.
LEDGER_GUARD = """
CREATE OR REPLACE FUNCTION refuse_ledger_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND current_setting('dialer.forgetting', true) = 'on' THEN
        RETURN NULL;  -- ledger_keeps_its_facts looks at each row
    END IF;
    RAISE EXCEPTION 'the ledger is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$
"""
LEDGER_TRIGGER = """
CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger
FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change()
"""
# Erasing a person takes their number out of the words of a row. What happened, when, to which call, who said so, and
# which details the row has, stays as it was.
LEDGER_FACTS = """
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
LEDGER_FACTS_TRIGGER = """
CREATE TRIGGER ledger_keeps_its_facts BEFORE UPDATE ON ledger FOR EACH ROW EXECUTE FUNCTION keep_ledger_facts()
"""
for _statement in (LEDGER_GUARD, LEDGER_TRIGGER, LEDGER_FACTS, LEDGER_FACTS_TRIGGER):
    _ddl = DDL(_statement.replace("%", "%%"))  # type: ignore[no-untyped-call]
    event.listen(Ledger.__table__, "after_create", _ddl)
