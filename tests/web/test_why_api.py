import pytest
from sqlalchemy.orm import Session

from campaigns import forgotten
from campaigns.application import Application
from campaigns.models import Campaign, DoNotCall
from tests import factories
from tests.cli.conftest import Dialer, OpenedContext
from tests.factories import NOW

from .conftest import Browser


@pytest.fixture
def spring(session: Session) -> Campaign:
    made = factories.campaign(session, name="spring & co", needs_consent=True)
    of = factories.contact_list(session, made, name="rome")
    for n, agreed in enumerate((True, True, False)):
        factories.contact(session, made, list_id=of.id, phone=f"+39061234567{n}", consent=agreed)
    factories.contact(session, made, phone="+390612345679", consent=True)
    session.add(DoNotCall(number="+390612345670", source="person"))
    forgotten.remember(session, ["+390612345679"], who="test", now=NOW)
    session.commit()
    return made


def test_a_campaign_a_list_and_a_contact_are_explained_as_on_the_command_line(
    browser: Browser, application: Application, spring: Campaign
) -> None:
    dialer = Dialer(OpenedContext(application))
    for path, command in (
        ("why", ()),
        ("why?list=rome", ("--list", "rome")),
        ("why/+390612345672", ("+390612345672",)),
    ):
        answer = browser.get(f"/api/v1/campaigns/spring%20%26%20co/{path}")
        assert answer.status_code == 200, answer.text
        assert answer.json().keys() == dialer.json("why", "spring & co", *command).keys()
    told = browser.get("/api/v1/campaigns/spring%20%26%20co/why").json()
    assert (told["imported"], told["dialable"]) == (4, 1)
    assert [(step["rule"], step["contacts"]) for step in told["steps"]] == [("do_not_call", 2), ("consent", 1)]
    of_list = browser.get("/api/v1/campaigns/spring%20%26%20co/why?list=rome").json()
    assert (of_list["list"], of_list["imported"], of_list["dialable"]) == ("rome", 3, 1)
    contact = browser.get("/api/v1/campaigns/spring%20%26%20co/why/+390612345672").json()
    refused = [rule["rule"] for rule in contact["rules"] if not rule["allowed"]]
    assert (contact["allowed"], refused) == (False, ["consent"])


def test_what_there_is_not_is_a_sentence(browser: Browser, spring: Campaign) -> None:
    for path, said in (
        ("sprnig/why", "there is no campaign named"),
        ("spring%20%26%20co/why?list=milan%00", "has no list 'milan' (there are: "),
        ("spring%20%26%20co/why/+393331234567", "has no contact with the number"),
        ("spring%20%26%20co/why/nobody%00", "cannot be read"),
    ):
        answer = browser.get(f"/api/v1/campaigns/{path}")
        assert (answer.status_code, said in answer.json()["error"]) == (404, True), answer.text
