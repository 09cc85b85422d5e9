import json
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner
from sqlalchemy.orm import Session

from campaigns.application import Application
from campaigns.cli import output
from campaigns.cli import status as status_command
from campaigns.cli.root import build_cli
from campaigns.db import database_now
from campaigns.models import Campaign, PbxStatus
from dialer.calls import CallState
from dialer.clock import ManualClock
from dialer.errors import ServiceUnreachable
from tests import factories
from tests.cli.conftest import Dialer, OpenedContext


@pytest.fixture
def campaign(session: Session) -> Campaign:
    made = factories.campaign(session, name="spring", mode="predictive")
    factories.agent(session, made, name="Anna Rossi", state="paused", reason="lunch")
    factories.agent(session, made, name="Bruno Conti", state="talking")
    factories.attempt(session, made, state=CallState.RINGING)
    factories.attempt(session, made, state=CallState.HELD, answered_at=factories.NOW)
    gateway = {"id": "4", "name": "a", "enabled": True, "registered": True, "lines": 10, "busy_lines": 3}
    session.add(PbxStatus(pbx="main", read_at=factories.NOW, gateways=[gateway], trouble=""))
    session.commit()
    return made


class Impatient(ManualClock):
    """Presses Ctrl-C after some looks."""

    looks = 3

    def sleep(self, seconds: float) -> None:
        self.looks -= 1
        if self.looks <= 0:
            raise KeyboardInterrupt
        super().sleep(seconds)


def test_a_supervisor_sees_agents_calls_lines_and_limit(dialer: Dialer, campaign: Campaign) -> None:
    told = dialer.ok("status", "spring")
    for expected in (
        "spring  ● running for ", "◆ 1 talking", "‖ 1 paused", "1 ringing", "1 waiting (", "3 of 10 busy",
        "0.00 % of 3.0 %", "2 left", "Anna Rossi", "lunch", "no worker",
    ):  # fmt: skip
        assert expected in told, expected


def test_a_next_call_of_another_day_is_told_with_its_day(dialer: Dialer, session: Session, campaign: Campaign) -> None:
    in_days = database_now(session) + timedelta(days=3)
    factories.contact(session, campaign, next_at=in_days)
    session.commit()
    in_rome = in_days.astimezone(ZoneInfo("Europe/Rome"))  # the campaign's zone, and not this machine's
    assert f"next at {in_rome:%Y-%m-%d %H:%M %Z}" in " ".join(dialer.ok("status", "spring").split())


def test_json_is_one_object_with_the_same_numbers(dialer: Dialer, campaign: Campaign) -> None:
    told = dialer.json("status")
    (one,) = told["campaigns"]
    assert (one["name"], one["calls"]["ringing"], one["calls"]["waiting"], one["calls"]["open"]) == ("spring", 1, 1, 2)
    assert one["agents"]["by_state"] == {"paused": 1, "talking": 1}


def test_many_campaigns_are_rows_and_none_says_what_to_do(dialer: Dialer, session: Session) -> None:
    assert "dialer campaign create" in dialer.ok("status")
    for number in range(4):
        factories.campaign(session, name=f"campaign {number}")
    session.commit()
    told = dialer.ok("status")
    assert [line for line in told.splitlines() if line.startswith("campaign 2")]
    assert "Abandoned" in told


def test_an_unknown_campaign_is_not_found(dialer: Dialer, campaign: Campaign) -> None:
    assert dialer("status", "sprng").exit_code == 4


def test_watch_without_a_terminal_is_one_snapshot(dialer: Dialer, app: Application, campaign: Campaign) -> None:
    app.clock = Impatient(factories.NOW)
    result = dialer("status", "spring", "--watch")
    assert (result.exit_code, result.stdout.count("spring  ● running")) == (0, 1)


def test_watch_with_json_is_one_object_per_line(dialer: Dialer, app: Application, campaign: Campaign) -> None:
    app.clock = Impatient(factories.NOW)
    result = dialer("status", "--watch", "--json")
    assert result.exit_code == 130
    lines = result.stdout.splitlines()
    assert len(lines) == 3
    assert all(json.loads(line)["campaigns"] for line in lines)


def watched(app: Application) -> str:
    result = CliRunner().invoke(
        build_cli(), ["status", "spring", "--watch"], obj=OpenedContext(app), env={"COLUMNS": "140", "LINES": "50"}
    )
    assert result.exit_code == 130, result.output
    return str(result.stdout)


def test_the_live_screen_is_drawn_again_at_every_look(
    app: Application, session: Session, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "on_a_terminal", lambda: True)
    app.clock = Impatient(factories.NOW)
    seen = []
    real = status_command._room
    monkeypatch.setattr(status_command, "_room", lambda height: seen.append(height) or real(height))
    watched(app)
    assert len(seen) == 3


def test_a_database_that_goes_away_leaves_the_last_picture_and_says_so(
    app: Application, session: Session, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    import rich.live

    monkeypatch.setattr(output, "on_a_terminal", lambda: True)
    app.clock = Impatient(factories.NOW)
    pictures: list[object] = []
    monkeypatch.setattr(rich.live.Live, "update", lambda _, picture, **__: pictures.append(picture))
    real, calls = app.transaction, iter([True, False, True])

    def sometimes() -> object:
        if not next(calls):
            raise ServiceUnreachable("PostgreSQL cannot be reached: gone")
        return real()

    monkeypatch.setattr(app, "transaction", sometimes)
    watched(app)
    from rich.console import Console

    console = Console(width=140, force_terminal=False)
    with console.capture() as capture:
        console.print(pictures[1])
    assert "what you see is old: PostgreSQL cannot be reached: gone" in capture.get()
    assert "1 talking" in capture.get()
    assert len(pictures) == 3
