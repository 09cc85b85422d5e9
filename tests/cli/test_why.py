from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.orm import Session

from campaigns.db import database_now
from campaigns.models import Campaign, DoNotCall, PaceDecision
from dialer.calls import CallState
from tests import factories
from tests.cli.conftest import Dialer


@pytest.fixture
def campaign(session: Session) -> Campaign:
    made = factories.campaign(session, name="spring")
    for number in ("+390612345678", "+390612345679"):
        factories.contact(session, made, phone=number, first_name="Anna")
    session.add(DoNotCall(number="+390612345678", source="person", reason="asked us"))
    session.commit()
    return made


def test_a_campaign_is_counted_down_to_whom_it_can_call_now(dialer: Dialer, campaign: Campaign) -> None:
    told = dialer.json("why", "spring")
    assert (told["imported"], told["dialable"]) == (2, 1)
    assert told["steps"] == [
        {
            "rule": "do_not_call",
            "reason": "on the do-not-call list, or forgotten on request",
            "contacts": 1,
            "until": None,
        }
    ]
    assert any("no agent is free" in sentence for sentence in told["holding"])
    shown = dialer.ok("why", "spring")
    assert "✗ no agent is free: none is assigned" in shown
    assert "could be called, but for what is said above" in shown
    assert "can be called now" not in shown


def test_a_campaign_without_contacts_says_so(dialer: Dialer, session: Session) -> None:
    factories.campaign(session, name="empty")
    session.commit()
    assert "it has no contacts" in dialer.ok("why", "empty")


def test_a_contact_is_told_every_rule_with_its_verdict(dialer: Dialer, session: Session, campaign: Campaign) -> None:
    told = dialer.ok("why", "spring", "06 1234 5678")
    assert "✗ do not call  the number is on the do-not-call list of any campaign" in told
    assert "✓ hours" in told
    assert "it cannot be called\n" in told
    assert "it can be called now" in dialer.ok("why", "spring", "+390612345679")
    answer = dialer.json("why", "spring", "+390612345678")
    assert answer["allowed"] is False
    assert {rule["rule"] for rule in answer["rules"]} >= {"campaign", "do_not_call", "hours", "number_gap"}


def test_the_last_tries_are_shown_with_what_came_of_them(dialer: Dialer, session: Session, campaign: Campaign) -> None:
    one = factories.contact(session, campaign, phone="+390612345670")
    factories.attempt(session, campaign, contact=one, state=CallState.LOST, trouble="no reply from the PBX")
    session.commit()
    told = dialer.ok("why", "spring", str(one.id))
    assert "lost" in told
    assert "no reply from the PBX" in told


def test_a_time_to_come_is_told_once_and_by_the_campaigns_clock(
    dialer: Dialer, session: Session, campaign: Campaign
) -> None:
    later = (database_now(session) + timedelta(hours=3)).astimezone(ZoneInfo("Europe/Rome"))
    factories.contact(session, campaign, phone="+390612345670", next_at=later)
    session.commit()
    told = dialer.ok("why", "spring", "+390612345670")
    assert f"its time has not come; allowed from {later:%Y-%m-%d %H:%M %Z}" in told
    assert "UTC" not in told


def test_the_last_decision_names_its_number_once(dialer: Dialer, session: Session, campaign: Campaign) -> None:
    now = database_now(session)
    session.add(
        PaceDecision(
            campaign_id=campaign.id, decided_at=now, until_at=now, ticks=1, calls=1, ordered=1,
            why="1: two agents free", snapshot={}, limits={}, fence=1,
        )
    )  # fmt: skip
    session.commit()
    assert ": 1 call, two agents free" in dialer.ok("why", "spring")


def test_whom_the_campaign_does_not_have_is_not_found(dialer: Dialer, campaign: Campaign) -> None:
    assert dialer("why", "sprng").exit_code == 4
    result = dialer("why", "spring", "+393331234567")
    assert (result.exit_code, "no contact with the number" in result.stderr) == (4, True)
