import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from campaigns.models import Campaign
from dialer.calls import CallState
from tests import factories
from tests.cli.conftest import Dialer

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PERIOD = ("--campaign", "spring", "--from", "2026-03-02", "--to", "2026-03-03")


@pytest.fixture
def campaign(session: Session) -> Campaign:
    made = factories.campaign(session, name="spring")
    factories.attempt(
        session, made, state=CallState.COMPLETED, ordered_at=AT, ringing_at=AT, answered_at=AT,
        joined_at=AT + timedelta(seconds=1), over_at=AT + timedelta(seconds=61), ended_at=AT + timedelta(seconds=61),
        agent_id=factories.agent(session, made, name="Anna Rossi", state="out").id,
    )  # fmt: skip
    factories.attempt(session, made, state=CallState.BUSY, ordered_at=AT, ended_at=AT)
    session.commit()
    return made


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("outcomes", ("completed", "busy", "50.0 %", "total")),
        ("abandonment", ("2026-03-02", "0.0 %", "1.0 s")),
        ("agents", ("Anna Rossi", "1:00")),
        ("attempts", ("+3902", "Anna Rossi", "02 Mar 10:00:00")),
    ],
)
def test_each_report_as_a_table(dialer: Dialer, campaign: Campaign, name: str, expected: tuple[str, ...]) -> None:
    told = dialer.ok("report", name, *PERIOD)
    assert told.startswith(f"{name.capitalize()} of campaign spring, 2026-03-02 00:00 to 2026-03-03 00:00")
    for word in expected:
        assert word in told


def test_the_campaign_is_named_in_its_place_as_well(dialer: Dialer, campaign: Campaign) -> None:
    span = PERIOD[2:]
    assert dialer.ok("report", "outcomes", "spring", *span) == dialer.ok("report", "outcomes", *PERIOD)
    other = dialer("report", "outcomes", "autumn", "--campaign", "spring")
    assert (other.exit_code, "two campaigns: give one" in other.stderr) == (2, True)


@pytest.mark.parametrize("name", ["outcomes", "abandonment", "agents", "attempts"])
def test_each_report_as_csv_and_json_holds_the_same_rows(dialer: Dialer, campaign: Campaign, name: str) -> None:
    rows = list(csv.DictReader(io.StringIO(dialer.ok("report", name, *PERIOD, "--format", "csv"))))
    told = dialer.json("report", name, *PERIOD)
    assert told["report"] == name
    assert len(rows) == len(told["rows"]) > 0
    assert list(rows[0]) == list(told["rows"][0])
    assert (
        dialer.ok("report", name, *PERIOD, "--format", "json").strip()
        == dialer.ok("report", name, *PERIOD, "--json").strip()
    )


def test_a_moment_may_have_a_time_and_an_offset(dialer: Dialer, campaign: Campaign) -> None:
    def count(since: str, until: str) -> int:
        told = dialer.json("report", "outcomes", "--campaign", "spring", "--from", since, "--to", until)
        return int(told["total"]["attempts"])

    assert count("2026-03-02T10:00", "2026-03-02T10:01") == 2  # Rome
    assert count("2026-03-02T09:00Z", "2026-03-02T09:01Z") == 2
    assert count("2026-03-02T09:00", "2026-03-02T09:01") == 0


def test_a_quiet_period_says_so_on_stderr(dialer: Dialer, campaign: Campaign) -> None:
    result = dialer("report", "outcomes", "--from", "2020-01-01", "--to", "2020-02-01")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing happened" in result.stderr


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("profits",), 2),
        (("outcomes", "--campaign", "sprng"), 4),
        (("outcomes", "--from", "yesterday"), 2),
        (("outcomes", "--from", "2026-03-03", "--to", "2026-03-02"), 2),
        (("outcomes", "--format", "pdf"), 2),
    ],
)
def test_what_cannot_be_reported_is_refused(
    dialer: Dialer, campaign: Campaign, args: tuple[str, ...], code: int
) -> None:
    assert dialer("report", *args).exit_code == code
