"""`dialer list order`, `filter` and `pulls`."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.application import Application
from campaigns.models import Campaign, Contact, Ledger
from dialer.settings import PullSettings
from tests import factories
from tests.cli.conftest import Dialer, OpenedContext


@pytest.fixture
def campaign(session: Session) -> Campaign:
    made = factories.campaign(session, name="spring")
    for name, city in (("customers", "Roma"), ("prospects", "Milano")):
        on = factories.contact_list(session, made, name=name)
        factories.contact(session, made, list_id=on.id, custom={"city": city})
    session.commit()
    return made


def test_the_order_is_shown_set_and_taken_back(dialer: Dialer, session: Session, campaign: Campaign) -> None:
    assert "as the pacer wishes" in dialer.ok("list", "order", "spring")
    shares = ("--share", "customers=70%", "--share", "prospects=0.3")
    told = dialer.json("list", "order", "spring", "priority,freshest", *shares)
    assert told == {
        "campaign": "spring", "order": "priority,freshest", "shares": {"customers": 0.7, "prospects": 0.3},
    }  # fmt: skip
    assert dialer.json("list", "order", "spring", "--no-shares")["shares"] == {}
    assert dialer.json("list", "order", "spring", "none")["order"] == ""
    entries = session.scalars(select(Ledger).where(Ledger.kind == "contact_order").order_by(Ledger.id)).all()
    assert [entry.details["after"]["order"] for entry in entries] == ["priority,freshest"] * 2 + [""]
    assert entries[0].who.startswith("cli:")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("newest",), 2, "there is no order"),
        (("--share", "customers"), 2, "customers=70%"),
        (("--share", "nobody=10%"), 4, "no list 'nobody'"),
        (("--share", "customers=70%", "--no-shares"), 2, "contradict"),
    ],
)
def test_an_order_that_cannot_be_is_refused(
    dialer: Dialer, campaign: Campaign, arguments: tuple[str, ...], code: int, told: str
) -> None:
    result = dialer("list", "order", "spring", *arguments)
    assert (result.exit_code, told in result.stderr) == (code, True)


def test_how_far_a_list_is_worked_is_shown_and_set(dialer: Dialer, session: Session, campaign: Campaign) -> None:
    told = dialer.json("list", "cap", "spring", "customers", "--cap", "60%", "--today", "0", "--why", "a trial")
    assert told["campaign"] == "spring"
    assert [{**one, "until": None} for one in told["lists"]] == [{
        "id": told["lists"][0]["id"], "list": "customers", "contacts": 1, "tried": 0, "penetration": 0.0,
        "tried_today": 0, "cap": "60%", "cap_today": "0", "room": 0, "until": None,
    }]  # fmt: skip
    assert told["lists"][0]["until"] is not None
    shown = dialer("list", "cap", "spring")
    assert [line.split() for line in shown.stdout.splitlines()[-2:]] == [
        ["customers", "1", "0", "0.0", "%", "60%", "0", "0", "0"],
        ["prospects", "1", "0", "0.0", "%", "–", "0", "–", "all"],
    ]  # fmt: skip
    assert "list customers is at its cap: none of its contacts is called for the first time until" in shown.stderr
    assert dialer.json("list", "cap", "spring", "customers", "--today", "none")["lists"][0]["room"] == 1
    entries = session.scalars(select(Ledger).where(Ledger.kind == "list_caps").order_by(Ledger.id)).all()
    assert [(entry.why, entry.details["after"]["cap_today"]) for entry in entries] == [("a trial", "0"), ("", "")]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--cap", "60%"), 2, "name the list"),
        (("customers", "--cap", "half"), 2, "write it as 60%, 500 or none"),
        (("nobody", "--today", "5"), 4, "no list 'nobody'"),
    ],
)
def test_a_cap_that_cannot_be_is_refused(
    dialer: Dialer, campaign: Campaign, arguments: tuple[str, ...], code: int, told: str
) -> None:
    result = dialer("list", "cap", "spring", *arguments)
    assert (result.exit_code, told in result.stderr) == (code, True)


def test_a_filter_is_shown_set_and_cleared(dialer: Dialer, session: Session, campaign: Campaign) -> None:
    assert dialer.ok("list", "filter", "spring") == "spring: every contact\n"
    told = dialer.json("list", "filter", "spring", "--where", "city=Roma", "--where", "attempts<2")
    assert (told["closed"], told["opened"]) == (1, 0)
    assert dialer.ok("list", "filter", "spring") == "spring: city=Roma and attempts<2\n"
    assert session.scalars(select(Contact.state).order_by(Contact.id)).all() == ["open", "closed"]
    session.rollback()
    assert dialer.json("list", "filter", "spring", "--clear")["opened"] == 1
    mistyped = dialer("list", "filter", "spring", "--where", "ctiy=Roma")
    assert (mistyped.exit_code, "no contact of the campaign has a column 'ctiy'" in mistyped.stderr) == (2, True)
    assert dialer("list", "filter", "spring", "--where", "city").exit_code == 2


def test_pulls_are_shown_and_looked_for_at_once(
    app: Application, dialer: Dialer, campaign: Campaign, tmp_path: Path
) -> None:
    assert dialer.json("list", "pulls") == {"pulls": []}
    pull = PullSettings(campaign="spring", path=str(tmp_path / "none"))
    dialer = Dialer(OpenedContext(replace(app, settings=app.settings.model_copy(update={"pulls": {"crm": pull}}))))
    (row,) = dialer.json("list", "pulls")["pulls"]
    assert (row["name"], row["looked_at"], row["trouble"]) == ("crm", None, "")
    (row,) = dialer.json("list", "pulls", "--now", "crm")["pulls"]
    assert "there is no folder" in row["trouble"]
    shown = dialer("list", "pulls")
    assert ("5 min" in shown.stdout, "there is no folder" in shown.stderr) == (True, True)
    assert dialer("list", "pulls", "--now", "crn").exit_code == 4
