"""The do-not-call list by API: the parts of the command line, through another door."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import erasure
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import DoNotCall, Ledger
from tests import factories

from .conftest import Browser, browse

LIST = "/api/v1/do-not-call"


@pytest.fixture
def browser(web: Application, session: Session) -> Iterator[Browser]:
    factories.campaign(session, name="spring", country="IT")
    factories.campaign(session, name="herbst", country="DE")
    session.commit()
    with browse(web) as made:
        yield made


def ask(browser: Browser, method: str, path: str, status: int = 200, **more: Any) -> Any:
    answer = browser._runner.run(browser._client.request(method, f"{LIST}{path}", **more))
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_number_is_forbidden_asked_about_and_lifted_with_a_reason(browser: Browser, session: Session) -> None:
    assert ask(browser, "GET", "/+390612345678")["blocked"] is False
    body = {"number": "06 1234 5678", "country": "IT", "reason": "asked us not to call"}
    told = ask(browser, "POST", "", 201, json=body)
    assert (told["number"], told["campaign"], told["added"], told["bound"]) == (
        "+390612345678", None, True, ["+390612345678"],
    )  # fmt: skip
    assert ask(browser, "POST", "", 200, json=body)["added"] is False
    (entry,) = ask(browser, "GET", "/+390612345678?campaign=herbst")["entries"]
    assert (entry["reason"], entry["added_by"]) == ("asked us not to call", "web:this-machine")
    ask(browser, "DELETE", "/+390612345678", 400)
    ask(browser, "DELETE", "/+390612345678?why=%20", 400)
    assert ask(browser, "GET", "/+390612345678")["blocked"] is True, "nothing is lifted without a word why"
    assert ask(browser, "DELETE", "/+390612345678?why=asked+to+be+called+again")["removed"] is True
    ask(browser, "DELETE", "/+390612345678?why=again", 404)
    rows = session.execute(select(Ledger.kind, Ledger.why).where(Ledger.kind.startswith("dnc")).order_by(Ledger.id))
    assert [tuple(row) for row in rows] == [
        ("dnc_added", "asked us not to call"), ("dnc_removed", "asked to be called again"),
    ]  # fmt: skip


def test_an_entry_of_one_campaign_binds_that_campaign_alone(browser: Browser) -> None:
    ask(browser, "POST", "", 201, json={"number": "0612345678", "campaign": "spring"})
    assert ask(browser, "GET", "/0612345678?campaign=spring")["blocked"] is True
    assert ask(browser, "GET", "/+390612345678?campaign=herbst")["blocked"] is False
    assert "name the campaign" in ask(browser, "DELETE", "/+390612345678?why=x", 404)["error"]
    ask(browser, "POST", "", 404, json={"number": "0612345678", "campaign": "winter"})


def test_a_person_is_forbidden_with_all_their_numbers_and_told_of_them(browser: Browser, session: Session) -> None:
    of = factories.campaign(session, country="IT")
    factories.contact(session, of, phone="+390612345678", phone2="+393471234567")
    session.commit()
    told = ask(browser, "POST", "", 201, json={"number": "+390612345678"})
    assert (told["bound"], told["also_theirs"]) == (["+390612345678"], ["+393471234567"])
    told = ask(browser, "POST", "", 201, json={"number": "+390612345678", "person": True})
    assert (sorted(told["bound"]), told["also_theirs"]) == (["+390612345678", "+393471234567"], [])
    assert sorted(session.scalars(select(DoNotCall.number))) == ["+390612345678", "+393471234567"]


def test_who_was_erased_is_blocked_though_no_entry_names_them(browser: Browser, session: Session) -> None:
    assert ask(browser, "GET", "/+390612345678")["erased_at"] is None
    erasure.forget(session, "+390612345678", country="IT", who="cli:anna", now=database_now(session))
    session.commit()
    told = ask(browser, "GET", "/06 1234 5678?country=IT")
    assert (told["blocked"], told["entries"]) == (True, [])
    assert told["erased_at"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"number": "0612345678"}, "`country`"),
        ({"number": "hello", "country": "IT"}, "do-not-call"),
        ({"number": "0612345678", "country": "XX"}, "XX"),
        ({"number": "0612345678", "reasons": "x"}, "reasons"),
        ({"number": "06\x0012345678"}, "zero byte"),
    ],
)
def test_what_cannot_be_read_is_said(browser: Browser, session: Session, body: dict[str, str], words: str) -> None:
    assert words in ask(browser, "POST", "", 400, json=body)["error"]
    assert session.scalars(select(DoNotCall)).all() == []
