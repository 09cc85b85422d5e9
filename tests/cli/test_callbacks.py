from datetime import UTC, date, datetime, time, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.models import Campaign, Ledger, Period
from tests import factories
from tests.cli.conftest import Dialer


@pytest.fixture
def campaign(session: Session) -> Campaign:
    made = factories.campaign(session, name="spring")
    session.commit()
    return made


def test_periods_are_defined_listed_changed_and_removed(dialer: Dialer, session: Session, campaign: Campaign) -> None:
    assert "periods define" in dialer("callbacks", "periods", "list", "spring").stderr
    dialer.ok("callbacks", "periods", "define", "spring", "Morning", "09:00", "12:30", "--default")
    dialer.ok("callbacks", "periods", "define", "spring", "Evening", "17:00", "20:00")
    dialer.ok("callbacks", "periods", "define", "spring", "morning", "08:30", "12:00")
    assert dialer.json("callbacks", "periods", "list", "spring")["periods"] == [
        {"name": "morning", "starts": "08:30", "ends": "12:00", "default": True},
        {"name": "Evening", "starts": "17:00", "ends": "20:00", "default": False},
    ]
    assert "Evening" in dialer.ok("callbacks", "periods", "list", "spring")
    assert dialer("callbacks", "periods", "remove", "spring", "Evening").exit_code == 2  # nobody was asked
    dialer.ok("callbacks", "periods", "remove", "spring", "Evening", "--yes")
    assert dialer("callbacks", "periods", "remove", "spring", "Evening", "--yes").exit_code == 4
    assert len(session.scalars(select(Ledger)).all()) == 4


@pytest.mark.parametrize(
    ("times", "told"), [(("12:00", "09:00"), "end after it starts"), (("9", "10"), "write it as 09:00")]
)
def test_a_period_that_cannot_be_is_refused(
    dialer: Dialer, campaign: Campaign, times: tuple[str, str], told: str
) -> None:
    result = dialer("callbacks", "periods", "define", "spring", "Odd", *times)
    assert (result.exit_code, told in result.stderr) == (2, True)


def test_a_dry_run_defines_nothing(dialer: Dialer, session: Session, campaign: Campaign) -> None:
    told = dialer.ok("callbacks", "periods", "define", "spring", "Morning", "09:00", "12:30", "--dry-run")
    assert "would be 09:00 to 12:30" in told
    assert session.scalars(select(Period)).all() == []


def promised(session: Session, campaign: Campaign, day: date, **given: object) -> None:
    kept = factories.contact_list(session, campaign, kind="callbacks", name="promised")
    factories.contact(session, campaign, list_id=kept.id, due_date=day, first_name="Anna", **given)
    session.commit()


def test_callbacks_are_listed_by_due_date_and_those_too_late_are_marked(
    dialer: Dialer, session: Session, campaign: Campaign
) -> None:
    today = datetime.now(UTC).date()
    morning = Period(campaign_id=campaign.id, name="Morning", starts=time(9), ends=time(12))
    session.add(morning)
    session.flush()
    promised(session, campaign, today + timedelta(days=3), period_id=morning.id)
    promised(session, campaign, today - timedelta(days=2), period_id=morning.id)
    promised(session, campaign, today - timedelta(days=9), state="closed", closed_because="reached")
    factories.contact(session, campaign)  # of a plain list
    session.commit()
    rows = dialer.json("callbacks", "list", "spring")["callbacks"]
    assert [(row["overdue"], row["period"]) for row in rows] == [(True, "Morning"), (False, "Morning")]
    assert len(dialer.json("callbacks", "list", "--closed")["callbacks"]) == 3
    result = dialer("callbacks", "list")
    assert "▲ overdue" in result.stdout
    assert "Morning 09:00-12:00" in result.stdout
    assert "1 overdue" in result.stderr


def test_no_callbacks_says_how_they_come(dialer: Dialer, campaign: Campaign) -> None:
    assert "--kind callbacks" in dialer("callbacks", "list").stderr
