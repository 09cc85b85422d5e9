from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.models import Campaign, Ledger, PaceDecision
from tests import factories
from tests.cli.conftest import Dialer
from tests.factories import NOW


@pytest.fixture
def campaign(session: Session) -> Campaign:
    made = factories.campaign(session, name="spring", mode="predictive")
    session.commit()
    return made


def test_a_change_is_told_with_old_and_new_and_who_did_it(dialer: Dialer, session: Session, campaign: Campaign) -> None:
    told = dialer.ok("pace", "set", "spring", "--max-abandonment", "2%", "--max-lines", "40", "--why", "calm start")
    assert "max_abandonment changed from 3.00 % to 2.00 %" in told
    assert "max_lines changed from unlimited to 40" in told
    rows = session.scalars(select(Ledger).where(Ledger.kind == "pace")).all()
    assert {(row.details["setting"], row.why) for row in rows} == {
        ("max_abandonment", "calm start"),
        ("max_lines", "calm start"),
    }
    assert dialer.json("pace", "set", "spring", "--max-lines", "unlimited")["changes"] == [
        {"setting": "max_lines", "old": 40, "new": None}
    ]


@pytest.mark.parametrize("given", ["0.02", "2%", "2 %", "2,0%"])
def test_a_share_may_be_written_as_people_do(dialer: Dialer, campaign: Campaign, given: str) -> None:
    assert dialer.json("pace", "set", "spring", "--max-abandonment", given)["changes"][0]["new"] == 0.02


def test_a_dry_run_checks_and_changes_nothing(dialer: Dialer, session: Session, campaign: Campaign) -> None:
    told = dialer.ok("pace", "set", "spring", "--mode", "progressive", "--dry-run")
    assert "mode would change from predictive to progressive" in told
    session.expire_all()
    assert session.get_one(Campaign, campaign.id).mode == "predictive"
    assert session.scalars(select(Ledger)).all() == []
    assert dialer("pace", "set", "spring", "--max-abandonment", "9%", "--dry-run").exit_code == 5


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        ((), 2, "nothing to change"),
        (("--max-abandonment", "0.05"), 5, "above the 3.00%"),
        (("--max-abandonment", "3"), 2, "3 % is written 0.03"),
        (("--max-lines", "-1"), 2, "no number of lines"),
    ],
)
def test_a_pace_that_cannot_be_is_refused(
    dialer: Dialer, campaign: Campaign, args: tuple[str, ...], code: int, told: str
) -> None:
    result = dialer("pace", "set", "spring", *args)
    assert (result.exit_code, told in result.stderr) == (code, True)


def test_show_tells_the_limits_and_why_the_pacer_decided_so(
    dialer: Dialer, session: Session, campaign: Campaign
) -> None:
    assert "decided nothing yet" in dialer("pace", "show").stderr
    for calls, why in ((3, "3: two agents free"), (0, "0: the budget is spent")):
        session.add(
            PaceDecision(
                campaign_id=campaign.id, decided_at=NOW + timedelta(seconds=-calls), until_at=NOW, ticks=2, calls=calls,
                ordered=calls, why=why, snapshot={}, limits={}, fence=1,
            )
        )  # fmt: skip
    session.commit()
    assert "0: the budget is spent" in dialer.ok("pace", "show", "spring")
    (told,) = dialer.json("pace", "show", "spring")["campaigns"]
    assert [one["why"] for one in told["decisions"]] == ["0: the budget is spent", "3: two agents free"]
    assert len(dialer.json("pace", "show")["campaigns"][0]["decisions"]) == 1
