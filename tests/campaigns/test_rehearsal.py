"""A call lived before there is one: it goes the whole way, and nothing is left of it."""

from unittest.mock import Mock

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from campaigns import pbx_commands, reactions, rehearsal
from campaigns.application import Application
from campaigns.models import Assignment, Attempt, Base, Command, Ledger


def test_it_goes_the_whole_way_of_an_answered_call(application: Application, session: Session) -> None:
    assert rehearsal.live_through(session, "one") == "completed"
    attempt = session.scalars(select(Attempt)).one()
    assert None not in (attempt.answered_at, attempt.joined_at, attempt.ended_at)
    assert session.scalars(select(Assignment)).one().ended_at
    assert session.scalars(select(Command.kind)).all() == ["join"]
    assert {"answered", "assigned", "joined", "call_ended"} <= set(session.scalars(select(Ledger.kind)))


def test_nothing_is_left_of_it_and_nothing_is_sent(application: Application, session: Session) -> None:
    pbx = Mock(name="pbx")
    application.pbxes = {"main": pbx}
    assert rehearsal.rehearse(application)
    assert pbx.mock_calls == []
    for table in Base.metadata.sorted_tables:
        if table.name != "alembic_version":
            found = session.scalar(
                select(func.count()).select_from(table).where(text(f"{table.name}::text ~ 'rehearsal'"))
            )
            assert found == 0, table.name


def test_two_processes_rehearse_at_once(application: Application, session: Session) -> None:
    """Neither waits for the other's rows, which are not committed."""
    with application.sessions() as other:
        rehearsal.live_through(other, "other")
        assert rehearsal.rehearse(application)
        other.rollback()


@pytest.mark.parametrize("where", [reactions, pbx_commands])
def test_what_is_in_the_way_does_no_harm(
    application: Application, session: Session, monkeypatch: pytest.MonkeyPatch, where: object
) -> None:
    name = "follow_up" if where is reactions else "perform"
    monkeypatch.setattr(where, name, Mock(side_effect=RuntimeError("no")))
    assert rehearsal.rehearse(application) is False
    assert session.scalar(select(func.count()).select_from(Attempt)) == 0
