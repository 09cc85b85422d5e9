from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.cli.context import who
from campaigns.models import Campaign, Ledger, PaceDecision
from dialer.settings import RightsSettings
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
        (("--min-ring", "14", "--why", "please"), 5, "below the 15 s of the rule pack"),
        (("--min-ring", "soon"), 2, "no duration"),
        (("--ratio", "0"), 2, "between 1 and 10"),
        (("--weight", "0"), 2, "between 0.01 and 1000"),
        (("--calls-per-second", "fast"), 2, "is not a valid float"),
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


def test_goals_are_set_shown_and_taken_back(dialer: Dialer, session: Session, campaign: Campaign) -> None:
    told = dialer.ok("pace", "set", "spring", "--min-ring", "18s", "--desired-wait", "10", "--calls-per-second", "2.5",
                     "--weight", "3", "--ratio", "1.5", "--inbound-first")  # fmt: skip
    for sentence in ("min_ring changed from ring-out to 18 s", "desired_wait changed from none to 10 s",
                     "calls_per_second changed from unlimited to 2.5", "weight changed from 1 to 3",
                     "ratio changed from none to 1.5", "inbound_first changed from no to yes"):  # fmt: skip
        assert sentence in told
    shown = dialer.ok("pace", "show", "spring")
    assert "default-2026" in shown
    assert "18 s" in shown
    (pace,) = dialer.json("pace", "show", "spring")["campaigns"]
    assert (pace["min_ring"], pace["desired_wait"], pace["weight"], pace["inbound_first"]) == (18.0, 10.0, 3.0, True)
    assert pace["budget"] == {
        "window": "24 h", "ceiling": 0.03, "abandoned": 0, "met": 0, "rate": 0.0, "calls_left": 0,
    }  # fmt: skip
    back = dialer.json("pace", "set", "spring", "--min-ring", "ring-out", "--calls-per-second", "unlimited",
                       "--outbound-first")  # fmt: skip
    assert {one["setting"]: one["new"] for one in back["changes"]} == {
        "min_ring": None, "calls_per_second": None, "inbound_first": False,
    }  # fmt: skip


def test_who_may_raises_the_ceiling_and_the_others_are_told_who_can(
    dialer: Dialer, session: Session, campaign: Campaign
) -> None:
    given = ("pace", "set", "spring", "--max-abandonment", "4%", "--why", "client's order")
    refused = dialer(*given)
    assert refused.exit_code == 5
    assert "may_raise_ceiling" in refused.stderr
    rights = RightsSettings(may_raise_ceiling=(who(),))
    dialer.context.app.settings = dialer.context.app.settings.model_copy(update={"rights": rights})
    assert dialer(*given[:-2]).exit_code == 5, "not without a reason"
    assert "from 3.00 % to 4.00 %" in dialer.ok(*given)
    assert dialer.json("pace", "show", "spring")["campaigns"][0]["budget"]["ceiling"] == 0.04
    row = session.scalars(select(Ledger).where(Ledger.kind == "pace")).one()
    assert (row.who, row.why, row.details["new"]) == (who(), "client's order", 0.04)
