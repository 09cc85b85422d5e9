"""The page that says why a campaign, a list or one contact is not dialled."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.orm import Session

from campaigns.db import database_now
from campaigns.models import Campaign, DoNotCall
from tests import factories

from .conftest import Browser

ZONE = ZoneInfo("Europe/Rome")
BASE = "/campaigns/spring%20%26%20co/why"


@pytest.fixture
def spring(session: Session) -> Campaign:
    made = factories.campaign(session, name="spring & co", needs_consent=True)
    of = factories.contact_list(session, made, name="rome <1>")
    for n, agreed in enumerate((True, True, False)):
        factories.contact(session, made, list_id=of.id, phone=f"+39061234567{n}", consent=agreed, last_name="O'Neil")
    session.add(DoNotCall(number="+390612345670", source="person"))
    session.commit()
    return made


def read(browser: Browser, path: str = "", status: int = 200) -> str:
    answer = browser.get(BASE + path)
    assert answer.status_code == status, answer.text
    return " ".join(answer.text.split())


def test_the_waterfall_adds_up_and_what_holds_the_campaign_is_said_first(browser: Browser, spring: Campaign) -> None:
    html = read(browser)
    assert "no agent is free: none is assigned" in html
    assert '<strong>3</strong></td><th scope="row" data-label="">imported' in html
    for step in ("on the do-not-call list, or forgotten on request", "not known to have agreed to be called"):
        assert f'−1</td><th scope="row" data-label=""><span>{step}' in html
    assert '<strong>1</strong></td><th scope="row" data-label=""><strong>could be called, but' in html
    assert 'aria-current="page">Why not?</a>' in html


def test_a_list_is_asked_about_by_its_name(browser: Browser, spring: Campaign) -> None:
    html = read(browser, "?list=rome%20%3C1%3E&contact=")
    assert "Of list rome &lt;1&gt;" in html
    assert '<option value="rome &lt;1&gt;" selected>' in html


def test_a_contact_has_every_rule_with_its_verdict_and_when_it_turns(
    browser: Browser, spring: Campaign, session: Session
) -> None:
    later = database_now(session) + timedelta(hours=3)
    one = factories.contact(session, spring, phone="+390687654321", consent=True, next_at=later)
    factories.attempt(session, spring, contact=one, state="busy", ordered_at=later - timedelta(days=2))
    session.commit()
    html = read(browser, "?contact=%2B39%2006%2087654321")
    assert f"<strong>Not before {later.astimezone(ZONE):%a %d %b %Y %H:%M}.</strong>" in html
    assert "(Europe/Rome)" in html
    assert "its time has not come" in html
    assert "UTC" not in html  # the page says whose clock it tells
    assert html.count("✗ no") == 1
    assert html.count("✓ yes") > 6
    assert "Last attempts" in html
    consent = read(browser, "?contact=%2B390612345672")
    assert "It cannot be called</strong>, and time alone does not change that" in consent
    assert "O&#39;Neil" in consent


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("?contact=%2B393331234567", "has no contact with the number +393331234567"),
        ("?contact=nobody%0%000", "as a number it cannot be read"),
        ("?contact=nobody%00", "as a number it cannot be read"),
        ("?list=milan%00", "has no list &#39;milan&#39;"),
    ],
)
def test_what_there_is_not_is_a_sentence_and_a_way_back(
    browser: Browser, spring: Campaign, query: str, told: str
) -> None:
    html = read(browser, query, 404)
    assert told in html
    assert "Ask about the whole campaign" in html


def test_a_campaign_without_contacts_says_how_they_come(browser: Browser, session: Session) -> None:
    factories.campaign(session, name="spring & co")
    session.commit()
    assert "There are no contacts" in read(browser)
    assert browser.get("/campaigns/sprnig/why").status_code == 404
