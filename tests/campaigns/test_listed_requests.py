"""Callback lists that XiVO keeps, as callbacks of ours: on a real database, over real websockets."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from campaigns import (
    callback_taking,
    callback_watch,
    callbacks,
    do_not_call,
    erasure,
    listed_calls,
    listed_requests,
    periods,
    placing,
)
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.listed_requests import Read
from campaigns.models import Agent, Attempt, Callback, Campaign, Contact, ListedRequest, PbxList
from dialer.calls import CallState
from dialer.clock import SystemClock
from dialer.pbx.xivo import XivoPbx
from dialer.settings import PbxSettings
from tests import factories
from tests.campaigns.modes_kit import refused
from tests.pbx.xuc_lists import ALICE, PERIODS, period
from tests.pbx.xuc_peer import BOSS, PASSWORD, XucPeer

PARIS = ZoneInfo("Europe/Paris")
EXTRA = {"agents": "1015=agent15, 1016=agent16", "callback_lists": "Liste de test=spring", "take_within": "0.5"}


@pytest.fixture
def peer() -> Iterator[XucPeer]:
    peer = XucPeer()
    yield peer
    peer.close()


@pytest.fixture
def office(application: Application, session: Session, peer: XucPeer) -> Iterator[Application]:
    """A running French campaign of two agents, and a XiVO whose list is bound to it."""
    settings = PbxSettings(kind="xivo", url=peer.url, user=BOSS, token_env="KEY", timeout=3, extra=EXTRA)
    pbx = XivoPbx("main", settings, environ={"KEY": PASSWORD})
    application.pbxes, application.clock = {"main": pbx}, SystemClock()
    made = factories.campaign(
        session, name="spring", country="FR", time_zone="Europe/Paris", mode="progressive", caller_id="+33123456789"
    )
    factories.lines(session)
    for number in ("1015", "1016"):
        factories.agent(session, made, user_id=number, extension=number.replace("1", "2", 1), name=f"agent {number}")
    session.commit()
    yield application
    pbx.close()


@pytest.fixture
def tomorrow(office: Application) -> date:
    with office.transaction() as session:
        return (database_now(session).astimezone(PARIS) + timedelta(days=1)).date()


def read(office: Application) -> Read:
    (done,) = listed_requests.read(office, "main")
    return done


def contact(session: Session) -> Contact:
    session.expire_all()
    return session.scalars(select(Contact).order_by(Contact.id.desc())).first()  # type: ignore[return-value]


def promise(session: Session) -> Callback:
    session.expire_all()
    return session.scalars(select(Callback).order_by(Callback.id.desc())).first()  # type: ignore[return-value]


def row(session: Session, request_id: str = ALICE) -> ListedRequest:
    session.expire_all()
    return session.scalars(select(ListedRequest).where(ListedRequest.request_id == request_id)).one()


def test_a_request_becomes_a_promise_with_its_period_and_keeps_its_id(
    office: Application, session: Session, peer: XucPeer, tomorrow: date
) -> None:
    peer.lists.add(dueDate=str(tomorrow), description="asked for a quote")
    done = read(office)
    assert (done.new, done.requests, done.refused, done.trouble) == (1, 1, 0, "")
    made, who = promise(session), contact(session)
    assert (who.phone, who.phone2, who.first_name, who.last_name) == (
        "+33230210082",
        "+33789654123",
        "Alice",
        "O'Neill",
    )
    assert (who.company, who.description, who.state) == ("YourSociety", "asked for a quote", "open")
    begins = datetime(tomorrow.year, tomorrow.month, tomorrow.day, 14, tzinfo=PARIS)
    assert (made.due_at, made.deadline_at) == (begins, begins + timedelta(hours=3))
    assert (made.period, made.made_by, who.next_at) == ("Afternoon", "pbx:main", begins)
    assert (row(session).contact_id, row(session).period_id) == (who.id, PERIODS["Afternoon"][0])
    (defined,) = periods.all_of(session, made.campaign_id)
    assert (defined.name, f"{defined.starts:%H:%M}-{defined.ends:%H:%M}") == ("Afternoon", "14:00-17:00")
    again = read(office)
    assert (again.new, again.changed) == (0, 0)
    assert session.scalars(select(Callback)).all() == [promise(session)], "the same request never twice"


def test_what_is_missing_there_is_the_next_day_and_the_default_period(
    office: Application, session: Session, peer: XucPeer, tomorrow: date
) -> None:
    peer.lists.add(dueDate=None, preferredPeriod=period("All day"), mobilePhoneNumber=None, firstName=None)
    read(office)
    made = promise(session)
    assert (made.due_date, made.period) == (tomorrow, "All day")
    assert periods.all_of(session, made.campaign_id)[0].is_default
    peer.lists.add("other", phone="0230210083", dueDate=None, preferredPeriod=None)
    assert read(office).new == 1


def test_a_request_whose_time_is_over_is_called_at_once_and_said_to_be_late(
    office: Application, session: Session, peer: XucPeer
) -> None:
    peer.lists.add(dueDate="2026-01-05")
    assert read(office).new == 1
    now = database_now(session)
    made = promise(session)
    assert contact(session).next_at < now
    assert made.deadline_at < now
    done = callback_watch.watch(session, now=now, timing=office.settings.timing)
    assert done.broken == 1


def test_changes_are_followed(office: Application, session: Session, peer: XucPeer, tomorrow: date) -> None:
    told = peer.lists.add(dueDate=str(tomorrow))
    read(office)
    first = promise(session).id
    told |= {"dueDate": str(tomorrow + timedelta(days=1)), "preferredPeriod": period("Morning"), "lastName": "Doe"}
    assert read(office).changed == 1
    moved = promise(session)
    assert (moved.due_date, moved.period, contact(session).last_name) == (
        tomorrow + timedelta(days=1),
        "Morning",
        "Doe",
    )
    assert session.get_one(Callback, first).result == "moved"
    told["phoneNumber"] = "0230210099"
    assert read(office).changed == 1
    assert contact(session).phone == "+33230210099"
    still = session.scalars(select(Callback).where(Callback.closed_at.is_(None))).all()
    assert [one.contact_id for one in still] == [contact(session).id], "the old number is not called"


def test_a_period_that_xivo_moves_takes_its_callbacks_along(
    office: Application, session: Session, peer: XucPeer, tomorrow: date
) -> None:
    told = peer.lists.add(dueDate=str(tomorrow))
    read(office)
    told["preferredPeriod"] |= {"periodStart": "15:00:00"}
    read(office)
    assert promise(session).due_at.astimezone(PARIS).hour == 15


def test_one_read_without_it_is_not_believed_and_two_are(office: Application, session: Session, peer: XucPeer) -> None:
    peer.lists.add()
    read(office)
    peer.lists.forgets = {ALICE}
    assert read(office).gone == 0
    peer.lists.forgets = set()
    read(office)
    peer.lists.forgets = {ALICE}
    assert read(office).gone == 0
    assert promise(session).closed_at is None
    assert read(office).gone == 1
    ended = promise(session)
    assert (ended.result, ended.why) == ("withdrawn", listed_requests.SETTLED_THERE)
    assert contact(session).state == "closed"
    peer.lists.forgets = set()
    assert read(office).new == 1, "and it is back when it is back"
    assert contact(session).state == "open"


def test_a_list_that_is_hidden_closes_nothing(office: Application, session: Session, peer: XucPeer) -> None:
    peer.lists.add()
    read(office)
    peer.lists.hides = True
    for _ in range(3):
        assert "shows no callback list" in read(office).trouble
    assert promise(session).closed_at is None
    assert "shows no callback list" in session.get_one(PbxList, ("main", "Liste de test")).trouble


def test_a_xivo_that_is_away_closes_nothing_and_says_why(office: Application, session: Session, peer: XucPeer) -> None:
    peer.lists.add()
    read(office)
    peer.lists.cuts["getCallbackLists"] = 3
    for _ in range(3):
        assert "connection broke" in read(office).trouble
    assert promise(session).closed_at is None
    assert read(office).trouble == ""


def test_what_is_taken_there_is_not_ours_until_it_is_given_back(
    office: Application, session: Session, peer: XucPeer
) -> None:
    told = peer.lists.add()
    read(office)
    told["agentId"] = 43
    assert read(office).taken == 1
    now = database_now(session)
    who, agent = contact(session), session.scalars(select(Agent)).first()
    assert agent is not None
    assert callbacks.whose(who, now) == callbacks.ELSEWHERE
    said = refused(
        callback_taking.take, session, promise(session).id, agent, now=now, who="test", timing=office.settings.timing
    )
    assert said.endswith("is taken by an agent in the PBX's own page")
    session.rollback()
    told["agentId"] = None
    read(office)
    assert callbacks.whose(contact(session), now) is None
    told["agentId"] = 43
    read(office)
    assert contact(session).kept_until < now + timedelta(minutes=5), "a reader that stops keeps it from nobody for ever"


def test_two_requests_of_one_number_come_one_after_the_other(
    office: Application, session: Session, peer: XucPeer
) -> None:
    peer.lists.add(phone="0230210082", mobilePhoneNumber=None)
    peer.lists.add("second", phone="+33 2 30 21 00 82", mobilePhoneNumber=None, lastName="Second")
    done = read(office)
    assert (done.new, done.refused) == (1, 1)
    assert "another open request" in row(session, "second").trouble
    del peer.lists.open[ALICE]
    read(office), read(office), read(office)
    assert row(session, "second").trouble == ""
    assert (contact(session).last_name, contact(session).state) == ("Second", "open")
    assert len(session.scalars(select(Contact)).all()) == 1


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"phoneNumber": None, "mobilePhoneNumber": ""}, "the request has no number"),
        ({"phoneNumber": "12", "mobilePhoneNumber": None}, "cannot be called"),
    ],
)
def test_a_request_that_cannot_be_called_says_why_and_may_be_mended(
    office: Application, session: Session, peer: XucPeer, changes: dict[str, str | None], why: str
) -> None:
    told = peer.lists.add(**changes)
    assert read(office).refused == 1
    assert why in row(session).trouble
    told |= {"phoneNumber": "0230210082"}
    assert read(office).new == 1
    assert row(session).trouble == ""


def test_who_asked_for_no_calls_is_promised_none(office: Application, session: Session, peer: XucPeer) -> None:
    do_not_call.add(session, "+33230210082", country="FR", reason="said so", who="test", now=datetime.now(UTC))
    session.commit()
    peer.lists.add()
    assert read(office).refused == 1
    assert "do-not-call list" in row(session).trouble
    assert promise(session) is None


def test_a_forgotten_person_is_not_brought_back(office: Application, session: Session, peer: XucPeer) -> None:
    peer.lists.add()
    read(office)
    now = database_now(session)
    person = erasure.forget(session, "+33230210082", country="FR", who="test", now=now)
    session.commit()
    erasure.erase(session, person, data_dir=office.data_dir, who="test", why="letter", now=now)
    session.commit()
    done = read(office)
    assert (done.new, row(session).trouble, row(session).told) == (0, listed_requests.FORGOTTEN, "")
    assert not session.scalars(select(Contact).where(Contact.phone.startswith("+33"))).all()


def test_a_list_bound_to_a_campaign_of_another_pbx_is_refused(
    office: Application, session: Session, peer: XucPeer
) -> None:
    session.scalars(select(Campaign)).one().pbx = "other"
    session.commit()
    peer.lists.add()
    assert "bind the list to a campaign of main" in read(office).trouble
    session.scalars(select(Campaign)).one().name = "autumn"
    session.commit()
    assert "spring" in read(office).trouble
    assert promise(session) is None


def test_a_read_without_news_asks_little_however_long_the_list(
    office: Application, session: Session, peer: XucPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listed_requests, "NEW_AT_ONCE", 30)
    for n in range(50):
        peer.lists.add(f"r{n}", phone=f"02302101{n:02}", mobilePhoneNumber=None)
    assert [read(office).new, read(office).new, read(office).new] == [30, 20, 0]
    asked: list[str] = []

    def count(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    event.listen(office.engine, "before_cursor_execute", count)
    read(office)
    event.remove(office.engine, "before_cursor_execute", count)
    assert len(asked) < 20, asked
    assert not [one for one in asked if one.startswith(("UPDATE listed", "UPDATE contacts", "UPDATE callbacks"))]


def ordered(office: Application, session: Session) -> Attempt:
    """A call of the only request, ordered for the first agent."""
    to, now = contact(session), database_now(session)
    to.state, to.next_at = "live", None
    made = factories.attempt(
        session, session.scalars(select(Campaign)).one(), contact=to, state=CallState.ORDERED, agent_first=True,
        reserved_agent_id=session.scalars(select(Agent.id).where(Agent.user_id == "1015")).one(), sent_at=None,
        ordered_at=now, not_after=now + timedelta(seconds=60),
    )  # fmt: skip
    session.commit()
    return made


def test_what_somebody_takes_there_at_the_last_moment_rings_nobody(
    office: Application, session: Session, peer: XucPeer
) -> None:
    peer.lists.add()
    read(office)
    call, peer.lists.snatches = ordered(office, session), 43
    assert placing.place(office, call.ref) is CallState.EXPIRED
    session.expire_all()
    assert "taken in XiVO's own page" in call.trouble
    assert peer.book == []
    assert callbacks.whose(contact(session), database_now(session)) == callbacks.ELSEWHERE
    assert listed_calls.release(office, "main") == 0
    assert peer.lists.open[ALICE]["agentId"] == 43, "it stays theirs"


def test_what_was_taken_for_a_call_that_is_not_made_is_given_back(
    office: Application, session: Session, peer: XucPeer
) -> None:
    peer.lists.add()
    read(office)
    call = ordered(office, session)  # its agent has left meanwhile: nobody is assigned to it
    placing.place(office, call.ref)
    assert (peer.lists.open[ALICE]["agentId"], row(session).held_by) == (42, "1015")
    assert read(office).taken == 0, "what we have taken ourselves is nobody else's"
    peer.lists.cuts["releaseCallback"] = 1
    assert listed_calls.release(office, "main") == 0, "a connection that breaks loses nothing of it"
    assert listed_calls.release(office, "main") == 1
    assert (peer.lists.open[ALICE]["agentId"], row(session).held_by, peer.book) == (None, "", [])
