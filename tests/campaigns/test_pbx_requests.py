"""The requests of an account are counted once over all processes, and placing slows before they are used up."""

import subprocess
import sys
import threading

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from campaigns import dialling
from campaigns.application import Application
from campaigns.db import engine_for
from campaigns.models import Attempt, PaceDecision, PbxRequest
from campaigns.pbx_requests import SharedBook
from dialer.errors import ServiceUnreachable
from dialer.pbx.base import Room
from tests import factories
from tests.campaigns.modes_kit import refused
from tests.campaigns.test_agent_first import FirstDesk, contacts, first  # noqa: F401 (the fixture)
from tests.fakes import FakePbx

_TAKES = """
import sys
from campaigns.db import engine_for
from campaigns.pbx_requests import SharedBook
book = SharedBook(engine_for(sys.argv[1]))
print(sum(book.take("main", "call", 20, 900.0) is None for _ in range(15)))
"""


def test_processes_that_ask_at_once_never_get_more_than_there_are(engine: Engine, database_url: str) -> None:
    asking = [
        subprocess.Popen([sys.executable, "-c", _TAKES, database_url], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    book, mine = SharedBook(engine), []
    threads = [
        threading.Thread(target=lambda: mine.append(book.take("main", "call", 20, 900.0) is None)) for _ in range(15)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    theirs = [int(one.communicate(timeout=60)[0]) for one in asking]
    assert sum(mine) + sum(theirs) == 20
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM pbx_requests")) == 20


def test_what_is_older_than_the_window_counts_no_more_and_is_deleted(engine: Engine, session: Session) -> None:
    book = SharedBook(engine)
    assert book.take("main", "call", 1, 900.0) is None
    against = book.take("main", "call", 1, 900.0)
    assert against is not None
    assert len(against.ages) == 1
    assert book.take("other", "call", 1, 900.0) is None, "each account has its own"
    session.execute(text("UPDATE pbx_requests SET sent_at = sent_at - interval '901 s' WHERE pbx = 'main'"))
    session.commit()
    assert book.take("main", "call", 1, 900.0) is None
    assert len(session.scalars(select(PbxRequest.id).where(PbxRequest.pbx == "main")).all()) == 1


def test_a_closed_account_is_closed_to_every_process_until_its_time_or_an_answer(
    engine: Engine, session: Session
) -> None:
    one, other = SharedBook(engine), SharedBook(engine)
    one.close("main", 300, "HTTP 401")
    against = other.take("main", "call", 9, 900.0)
    assert against is not None
    assert (against.why, against.times, round(against.closed_for)) == ("HTTP 401", 1, 300)
    one.close("main", 60, "HTTP 429")
    assert other.look("main", 900.0).times == 2
    session.execute(text("UPDATE pbx_accounts SET closed_until = now() - interval '1 s'"))
    session.commit()
    assert other.take("main", "call", 9, 900.0) is None
    other.reopen("main")
    assert one.look("main", 900.0).times == 0


def test_without_a_database_nothing_is_sent() -> None:
    book = SharedBook(engine_for("postgresql+psycopg://nobody@127.0.0.1:1/none"))
    with pytest.raises(ServiceUnreachable):
        book.take("main", "call", 9, 900.0)


class Meter(FakePbx):
    """A PBX whose account is nearly used up."""

    left = Room(1, "99 of the 100 requests are used")

    def room(self) -> Room:
        return self.left


def metered(at: FirstDesk) -> Meter:
    meter = Meter()
    meter.features = at.pbx.features
    at.application.pbxes = {"main": meter}
    at.pbx = meter
    return meter


def test_placing_slows_when_the_budget_nears_its_end_and_the_pace_says_why(first: FirstDesk) -> None:  # noqa: F811
    meter = metered(first)
    for _ in range(3):
        first.agent()
    contacts(first, 5)
    first.tick()
    first.tick()
    assert len(first.session.scalars(select(Attempt.id)).all()) == 1, "what is ordered and not sent counts as used"
    made = first.session.scalars(select(PaceDecision).order_by(PaceDecision.id)).first()
    assert made is not None
    assert made.why.startswith("1: one call per agent")
    assert "99 of the 100 requests are used" in made.why
    assert made.limits["bound_by"] == ["requests"]
    meter.left = Room(0, "100 of the 100 requests are used")
    agent = first.agent()
    said = refused(dialling.call, first.application, agent.id, first.campaign.id, number="+390612345678", who="test")
    assert said == "75: no call now: 100 of the 100 requests are used"


def test_a_pbx_that_meters_nothing_is_held_to_nothing(application: Application, session: Session) -> None:
    from campaigns import pace_view, request_room

    made = factories.campaign(session)
    session.commit()
    application.pbxes = {"main": FakePbx()}
    view = pace_view.read(session, made.id, factories.NOW)
    assert view is not None
    assert request_room.of(application, view) is None
