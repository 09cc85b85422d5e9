"""`dialer forecast` through the front door."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from campaigns.models import Campaign, Forecast
from tests import factories
from tests.cli.conftest import Dialer

QUICK = ("--agents", "3", "--hours", "0.3", "--seeds", "3")


@pytest.fixture
def campaign(session: Session) -> Campaign:
    made = factories.campaign(session, name="spring", mode="predictive")
    for _ in range(40):
        factories.contact(session, made)
    session.commit()
    return made


def test_a_forecast_is_printed_with_what_it_is_made_from_and_kept(
    dialer: Dialer, session: Session, campaign: Campaign
) -> None:
    result = dialer("forecast", "spring", *QUICK)
    assert result.exit_code == 0, result.output
    for word in ("Utilisation", "Lines, 95 %", "Finish", "40 contacts left", "3 agents, given", "10 - 90 %"):
        assert word in result.stdout
    assert "only 0 calls to learn from" in result.stderr
    assert session.scalar(select(func.count()).select_from(Forecast)) == 1
    dialer.ok("forecast", "spring", *QUICK, "--dry-run")
    assert session.scalar(select(func.count()).select_from(Forecast)) == 1


def test_programs_get_the_figures_their_ranges_and_the_inputs(dialer: Dialer, campaign: Campaign) -> None:
    told = dialer.json("forecast", "spring", *QUICK)
    assert set(told["figures"]["utilisation"]) == {"expected", "low", "high"}
    assert told["inputs"]["contacts"] == 40
    assert told["finish"]["expected"] is not None
    assert told["earlier"] == {"hits": 0, "of": 0}
    assert told["id"] is not None


def test_earlier_forecasts_are_compared_with_what_happened(
    dialer: Dialer, session: Session, campaign: Campaign
) -> None:
    assert "nothing was forecast" in dialer("forecast", "spring", "--check").stderr
    dialer.ok("forecast", "spring", *QUICK)
    assert "not over before" in dialer.ok("forecast", "spring", "--check")
    early = Forecast.starts_at - timedelta(hours=5)
    session.execute(update(Forecast).values(made_at=early, starts_at=early))
    session.commit()
    told = dialer.json("forecast", "spring", "--check")
    (one,) = told["forecasts"]
    calls = next(figure for figure in one["figures"] if figure["name"] == "calls")
    assert (calls["happened"], calls["hit"]) == (0, False)  # nobody was called since
    assert told["of"] > 0
    shown = dialer.ok("forecast", "spring", "--check")
    assert "✗ miss" in shown
    assert "80% should" in shown
    assert "of" in dialer.ok("forecast", "spring", *QUICK, "--dry-run")


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (("sprng",), 4, "did you mean 'spring'"),
        (("spring",), 2, "--agents N"),
        (("spring", "--agents", "0"), 2, "--agents must be between"),
        (("spring", *QUICK, "--hours", "0"), 2, "--hours must be between"),
        (("spring", *QUICK, "--hours", "nan"), 2, "--hours must be between"),
        (("spring", *QUICK, "--seeds", "1"), 2, "a range needs a few"),
        (("empty", *QUICK), 4, "nobody left to call"),
    ],
)
def test_what_cannot_be_forecast_is_refused_with_the_remedy(
    dialer: Dialer, session: Session, campaign: Campaign, args: tuple[str, ...], code: int, told: str
) -> None:
    factories.campaign(session, name="empty")
    session.commit()
    result = dialer("forecast", *args)
    assert (result.exit_code, told in result.stderr) == (code, True), result.output
