"""`dialer pace replay` through the front door."""

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from campaigns.models import Campaign
from dialer.simulation import LogNormal, World
from tests import factories
from tests.cli.conftest import Dialer
from tests.lived_day import live

SPAN = ("--from", "2026-03-02T10:10", "--to", "2026-03-02T10:40")


@pytest.fixture
def campaign(session: Session) -> Campaign:
    made = factories.campaign(session, name="spring", mode="predictive")
    live(session, made, World(agents=6, hours=0.6, warm_up_hours=0.1, talk=LogNormal(90.0, 1.0)))
    session.commit()
    return made


def test_what_was_stands_beside_its_replay_and_the_change(dialer: Dialer, campaign: Campaign) -> None:
    told = dialer.ok("pace", "replay", "spring", *SPAN, "--mode", "progressive", "--seeds", "2")
    assert "spring, 2026-03-02 10:10 to 10:40 (Europe/Rome)" in told
    for word in ("Really", "Replayed", "Changed", "Utilisation", "Own error", "Worth", "progressive", "Decisions"):
        assert word in told
    assert "at most 3.0 % abandoned" in told


def test_programs_get_each_column_and_the_replays_own_error(dialer: Dialer, campaign: Campaign) -> None:
    told = dialer.json("pace", "replay", "spring", *SPAN, "--max-abandonment", "1%", "--agents", "5", "--seeds", "2")
    assert told["changes"] == {"max_abandonment": 0.01, "agents": 5}
    assert told["agents"] == 6
    assert told["changed"]["agents"] == pytest.approx(5, rel=0.01)
    assert told["error"]["utilisation"] == pytest.approx(
        told["in_order"]["utilisation"] - told["really"]["utilisation"], abs=1e-5
    )
    assert told["worth"]["calls"] == pytest.approx(told["changed"]["calls"] - told["as_it_was"]["calls"], abs=1e-5)
    assert told["open_loop"]["looked_at"] == told["open_loop"]["stored"] > 100


def test_without_a_change_only_what_was_is_replayed(dialer: Dialer, campaign: Campaign) -> None:
    told = dialer.json("pace", "replay", "spring", *SPAN, "--seeds", "1")
    assert (told["changed"], told["worth"], told["changes"]) == (None, None, {})


def test_it_is_replayed_with_no_call_given_up(dialer: Dialer, campaign: Campaign, session: Session) -> None:
    campaign.min_ring = 12.0
    session.commit()
    told = dialer.ok("pace", "replay", "spring", *SPAN, "--min-ring", "ring-out", "--seeds", "1")
    assert "ring-out" in told


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (("sprng", *SPAN), 4, "did you mean 'spring'"),
        (("spring",), 2, "Missing option '--from'"),
        (("spring", "--from", "2026-03-02T15:00", "--to", "2026-03-02T16:00"), 4, "called nobody between"),
        (("spring", "--from", "2026-03-02T11:00", "--to", "2026-03-02T10:00"), 2, "ends before it begins"),
        (("spring", "--from", "2026-03-02"), 2, "more than one day"),
        (("spring", "--from", "2999-01-01", "--to", "2999-01-01T01:00"), 2, "still to come"),
        (("spring", "--from", "soon"), 2, "is no time"),
        (("spring", *SPAN, "--max-abandonment", "3"), 2, "3 % is written 0.03"),
        (("spring", *SPAN, "--mode", "fast"), 2, "there is no mode 'fast'"),
        (("spring", *SPAN, "--agents", "0"), 2, "--agents must be between"),
        (("spring", *SPAN, "--seeds", "0"), 2, "--seeds must be between"),
        (("spring", *SPAN, "--max-lines", "none at all"), 2, "no number of lines"),
    ],
)
def test_what_cannot_be_replayed_is_refused_with_the_remedy(
    dialer: Dialer, session: Session, args: tuple[str, ...], code: int, told: str
) -> None:
    made = factories.campaign(session, name="spring")
    factories.attempt(session, made, ordered_at=made.started_at + timedelta(hours=1), state="no_answer")
    session.commit()
    result = dialer("pace", "replay", *args)
    assert (result.exit_code, told in result.stderr) == (code, True), result.output
