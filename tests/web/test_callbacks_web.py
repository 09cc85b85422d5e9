"""Callbacks and dispositions by API and page: the parts of the command line, through another door."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import callback_tickets, callbacks, periods
from campaigns.application import Application
from campaigns.callback_dates import When
from campaigns.db import database_now
from campaigns.models import Agent, Attempt, Callback, CallbackTicket, Campaign, Contact, Ledger
from dialer.settings import TimingSettings
from tests import factories

from .conftest import Browser, browse

BASE = "/api/v1/campaigns/spring"


@pytest.fixture
def spring(session: Session) -> Campaign:
    made = factories.campaign(session, name="spring", mode="progressive")
    periods.define(session, made.id, "Morning", "09:00", "12:30", default=True, who="test", now=database_now(session))
    session.commit()
    return made


@pytest.fixture
def anna(session: Session, spring: Campaign) -> Agent:
    made = factories.agent(session, spring, name="Anna Rossi", extension="201", user_id="101")
    session.commit()
    return made


@pytest.fixture
def api(web: Application, spring: Campaign) -> Iterator["Api"]:
    with browse(web) as browser:
        yield Api(browser)


class Api:
    def __init__(self, browser: Browser) -> None:
        self.browser = browser

    def get(self, path: str, status: int = 200) -> Any:
        answer = self.browser.get(path)
        assert answer.status_code == status, answer.text
        return answer.json()

    def post(self, path: str, expected: int = 200, /, **body: Any) -> Any:
        answer = self.browser.post(path, json=body)
        assert answer.status_code == expected, answer.text
        return answer.json()


def promise(session: Session, of: Campaign, begins: timedelta, lasts: timedelta, **contact: Any) -> Callback:
    """A promise that is due so long after now."""
    now = database_now(session)
    to = factories.contact(session, of, state="closed", **contact)
    due = now + begins
    when = When(due.date(), None, "", "Europe/Rome", due, due + lasts)
    made = callbacks.promise(
        session, of, to, when, timing=TimingSettings(), now=min(now, due) - timedelta(hours=2), who="test"
    )
    session.commit()
    return made


def test_a_callback_is_promised_taken_given_back_moved_and_closed(api: Api, session: Session, anna: Agent) -> None:
    made = api.post(f"{BASE}/callbacks", 201, contact="+390612345678", at="15:30", owner="201", why="the price list")
    one = f"/api/v1/callbacks/{made['callback']}"
    assert (made["owner"], "15:30" in made["when"]) == ("Anna Rossi", True)
    assert api.get(f"{BASE}/callbacks?agent=101")["callbacks"][0]["description"] == "the price list"
    assert api.post(f"{one}/take", agent="Anna Rossi")["taken_by"] == "Anna Rossi"
    assert api.post(f"{one}/release", to_anyone=True, why="ill")["owner"] is None
    assert api.post(f"{one}/release", 409)["kind"] == "refused_by_rule"
    assert api.post(f"{one}/close", 409, status="Answered")["kind"] == "refused_by_rule"  # nobody called
    moved = api.post(f"{one}/reschedule", period="Morning", comment="rather in the morning")
    assert (moved["instead_of"], moved["period"], moved["became"]) == (made["callback"], "Morning", "moved")
    assert api.get(one)["result"] == "moved"
    closed = api.post(f"/api/v1/callbacks/{moved['callback']}/close", status="Fax", comment="sent")
    assert closed["status"] == "Fax"
    assert api.get(f"{BASE}/callbacks")["callbacks"] == []
    assert len(api.get(f"{BASE}/callbacks?closed=true")["callbacks"]) == 1
    said = {row.who for row in session.scalars(select(Ledger).where(Ledger.kind == "callback"))}
    assert said == {"web:this-machine"}


def test_a_callback_is_started_through_the_gate_on_the_number_that_was_chosen(
    api: Api, session: Session, spring: Campaign
) -> None:
    factories.lines(session, read_at=database_now(session))
    factories.parked_agent(session, spring, name="Bruno", user_id="102", extension="202")
    made = promise(session, spring, timedelta(minutes=-5), timedelta(hours=1), phone2="+393471234567")
    one = f"/api/v1/callbacks/{made.id}"
    assert "no number of this contact" in api.post(f"{one}/start", 400, agent="Bruno", number="0699999999")["error"]
    assert api.post(f"{one}/start", 400)["kind"] == "bad_input"  # nobody has taken it

    answer = api.browser.post(f"{one}/start", json={"agent": "Bruno", "number": "mobile"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["number"] == "+393471234567"
    assert session.scalars(select(Attempt.number)).all() == ["+393471234567"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (f"{BASE}/callbacks", {"contact": "ciao"}, 400),
        (f"{BASE}/callbacks", {"contact": "0612345678", "period": "Noon"}, 400),
        (f"{BASE}/callbacks", {"contact": "0612345678", "day": "2020-01-01"}, 400),
        (f"{BASE}/callbacks", {"contact": "0612345678", "at": "15:30+05:00"}, 400),
        (f"{BASE}/callbacks", {"contact": "0612345678", "owner": "nobody"}, 404),
        ("/api/v1/callbacks/999/take", {"agent": "101"}, 404),
        ("/api/v1/callbacks/0/take", {"agent": "101"}, 400),
        ("/api/v1/callbacks/99999999999999999999/take", {"agent": "101"}, 400),
        ("/api/v1/agents/nobody/disposition", {"code": "sale"}, 404),
        ("/api/v1/agents/101/disposition", {"code": "sale"}, 404),
        ("/api/v1/agents/101/disposition", {"code": "sale", "answers": {"a": "\x00"}}, 400),
    ],
)
def test_what_cannot_be_is_said_with_its_status(api: Api, anna: Agent, path: str, body: Any, status: int) -> None:
    told = api.post(path, status, **body)
    assert set(told) == {"error", "kind", "where", "remedy"}


def test_tickets_are_xivos_download(api: Api, session: Session, spring: Campaign, anna: Agent) -> None:
    made = promise(session, spring, timedelta(minutes=-5), timedelta(hours=1), first_name="=1+1")
    now = database_now(session)
    session.add(
        CallbackTicket(
            callback_id=made.id, agent_id=anna.id, number="+390612345678", started_at=now, updated_at=now,
            status="Answered", comment="sends the form",
        )
    )  # fmt: skip
    session.commit()
    (told,) = api.get(f"{BASE}/callback-tickets")["tickets"]
    assert (told["status"], told["agent"]) == ("Answered", "201")
    day = now.date() - timedelta(days=1)
    for path in (f"{BASE}/callback-tickets.csv", f"/campaigns/spring/callbacks/tickets.csv?since={day}&until="):
        answer = api.browser.get(path)
        head, row = answer.text.splitlines()
        assert head == "|".join(callback_tickets.XIVO_COLUMNS)
        assert "|'=1+1|" in row
        assert "attachment" in answer.headers["content-disposition"]
    assert api.browser.get("/campaigns/spring/callbacks/tickets.csv?since=yesterday").status_code == 400


def test_the_page_tells_later_now_and_over_in_the_words_of_the_command_and_signs(
    api: Api, session: Session, spring: Campaign
) -> None:
    hour = timedelta(hours=1)
    promise(session, spring, 3 * hour, hour, first_name="Later")
    promise(session, spring, -hour / 4, hour, first_name="Now")
    promise(session, spring, -hour, hour + timedelta(minutes=5), first_name="Soon")
    promise(session, spring, -3 * hour, hour, first_name="Over")
    html = api.browser.get("/campaigns/spring/callbacks").text
    rows = {
        name: html.partition(f">{name}<")[0].rpartition('class="due"')[2] for name in ("Later", "Now", "Soon", "Over")
    }
    assert 'data-due="later">○ later' in rows["Later"]
    assert 'data-due="now">● now' in rows["Now"]
    assert 'data-due="soon">▲ breaks soon' in rows["Soon"]
    assert 'data-due="over">▲ over, not called' in rows["Over"]
    alarms = api.browser.get("/campaigns/spring/callbacks?show=alarms").text
    assert (">Soon<" in alarms, ">Over<" in alarms, ">Later<" in alarms) == (True, True, False)
    assert "there is no agent" in api.browser.get("/campaigns/spring/callbacks?agent=%00nobody").text


# Dispositions ---------------------------------------------------------------------------------------------


def test_an_agents_word_for_a_call_with_note_and_answers(
    api: Api, session: Session, spring: Campaign, anna: Agent
) -> None:
    spring.form = [{"name": "budget", "kind": "number", "required": True, "choices": []}]
    now: datetime = database_now(session)
    call = factories.attempt(session, spring, state="completed", agent_id=anna.id, answered_at=now, joined_at=now)
    session.commit()
    told = api.get(f"{BASE}/dispositions")
    assert {"sale", "callback"} < {one["code"] for one in told["dispositions"]}
    assert told["form"][0]["name"] == "budget"

    say = "/api/v1/agents/101/disposition"
    assert "budget" in api.post(say, 400, code="sale", call=call.ref)["error"]
    said = api.post(say, code="sale", call=call.ref, note="pays monthly", answers={"budget": "120"})
    assert (said["disposition"], said["before"]) == ("sale", None)
    session.refresh(call)
    assert (call.note, call.answers, call.disposed_by) == ("pays monthly", {"budget": 120}, "web:this-machine")

    runner = api.browser
    change = f"/api/v1/calls/{call.ref}/disposition"
    answer = runner._runner.run(runner._client.put(change, json={"code": "refusal", "why": "heard it again"}))
    assert (answer.status_code, answer.json()["before"]) == (200, "sale")
    assert session.scalars(select(Contact.state)).all() == ["closed"]
    without = runner._runner.run(runner._client.put(change, json={"code": "sale"}))
    assert without.json()["where"] == ["why"]
