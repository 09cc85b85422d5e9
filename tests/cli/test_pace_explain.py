"""`dialer pace explain`: one stored decision, what it saw, and what became of its calls."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from campaigns.cli.pace_explain import ages
from campaigns.models import Agent, Campaign, PaceDecision
from dialer.abandonment import Budget
from dialer.calls import CallState
from dialer.pacing import Snapshot
from tests import factories
from tests.cli.conftest import Dialer
from tests.factories import NOW

SEEN = Snapshot(
    idle=1, parked=2, talking=(3.0, 62.0, 400.0), wrapping=(5.0,), ringing=(2.0, 9.0), waiting=1, free_lines=40,
    max_lines=50, budget=Budget(7, 405, 0.03, "30 days"),
)  # fmt: skip
WHY = "4: three agents free, 1.3 expected free in 12 s, 2 ringing worth 0.6"


def decided(session: Session, of: Campaign, at: datetime, **values: Any) -> PaceDecision:
    made = PaceDecision(
        **{
            "campaign_id": of.id, "decided_at": at, "until_at": at, "ticks": 1, "calls": 0, "ordered": 0,
            "why": "0: no", "snapshot": SEEN.as_json(), "limits": {"mode": "predictive", "bound_by": [], "refused": {}},
            "fence": 1, **values,
        }
    )  # fmt: skip
    session.add(made)
    session.flush()
    return made


@pytest.fixture
def campaign(session: Session) -> Campaign:
    made = factories.campaign(session, name="spring", mode="predictive")
    limits = {"mode": "predictive", "bound_by": ["abandonment"], "refused": {"hours": 1}}
    decided(session, made, NOW - timedelta(seconds=1), why="0: all agents talk")
    decided(
        session, made, NOW, calls=4, ordered=3, why=WHY, limits={**limits, "reckoned": {"answer_chance": 0.27134}}
    )  # fmt: skip
    decided(session, made, NOW + timedelta(seconds=1), why="0: wait", until_at=NOW + timedelta(seconds=9), ticks=9)
    anna = factories.agent(session, made, name="Anna Rossi")
    answered = NOW + timedelta(seconds=9)
    common = {"answered_at": answered, "joined_at": answered + timedelta(seconds=0.3), "agent_id": anna.id}
    over = {"over_at": NOW + timedelta(seconds=99), "ended_at": NOW + timedelta(seconds=100)}
    factories.attempt(session, made, state=CallState.COMPLETED, **common, **over)
    factories.attempt(session, made, state=CallState.NO_ANSWER, ended_at=NOW + timedelta(seconds=22))
    factories.attempt(
        session, made, state=CallState.ABANDONED, answered_at=answered, ended_at=answered + timedelta(seconds=2)
    )
    session.commit()
    return made


@pytest.mark.parametrize("at", ["2026-03-02T10:00:00", "2026-03-02T09:00:00.4Z"])
def test_a_decision_is_told_with_what_it_saw_and_what_became_of_its_calls(
    dialer: Dialer, campaign: Campaign, at: str
) -> None:
    told = dialer.ok("pace", "explain", "spring", "--at", at)
    for words in (
        "spring  predictive   2026-03-02 10:00:00 (Europe/Rome)",
        WHY,
        "3 free (1 on the way to the line)   3 talking   1 wrapping up",
        "3.0 s, 1:02, 6:40",
        "2 ringing   1 waiting for an agent",
        "40 free, the campaign may use 50",
        "7 of 412 abandoned in 30 days: 1.70 % of 3.0 %, 5 more may be lost",
        "one call more would have risked more",
        "answer chance 0.271",
        "put off 1 by hours",
        "3 calls of 4 wanted",
        "answered after 9.0 s, met Anna Rossi after 0.3 s, talked 1:30 min",
        "answered after 9.0 s, abandoned: no agent in time",
        "1 nobody answered",
        "Before",
        "0: all agents talk",
        "After",
        "0: wait",
    ):
        assert words in told, f"{words!r} is not in\n{told}"
    assert "+3902" not in told  # no phone numbers


def test_programs_get_the_inputs_as_they_are_stored(dialer: Dialer, campaign: Campaign) -> None:
    told = dialer.json("pace", "explain", "spring", "--at", "2026-03-02T10:00:00.9")
    assert told["decision"]["snapshot"] == SEEN.as_json()
    assert Snapshot.from_json(told["decision"]["snapshot"]) == SEEN
    assert told["decision"]["reckoned"] == {"answer_chance": 0.27134}
    assert [call["state"] for call in told["calls"]] == ["completed", "no_answer", "abandoned"]
    assert (told["before"]["why"], told["after"]["why"]) == ("0: all agents talk", "0: wait")


def test_equal_decisions_in_a_row_are_one_that_lasted(dialer: Dialer, campaign: Campaign) -> None:
    told = dialer.ok("pace", "explain", "spring", "--at", "2026-03-02T10:00:06")
    assert "10:00:01 to 10:00:09, 9 ticks the same" in told
    assert "nothing" in told


def test_a_row_without_inputs_is_told_as_far_as_it_goes(dialer: Dialer, session: Session, campaign: Campaign) -> None:
    decided(session, campaign, NOW + timedelta(hours=1), snapshot={}, limits={}, why="0: an old row")
    session.commit()
    told = dialer.ok("pace", "explain", "spring", "--at", "2026-03-02T11:00:00")
    assert "0: an old row" in told
    assert "not on record" in told


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (("spring", "--at", "2026-03-02T09:00"), 4, "the first decision on record is of 09:59:59"),
        (("spring", "--at", "2026-03-02T12:00"), 4, "the last decision is of 10:00:09"),
        (("spring", "--at", "-5m"), 4, "the last decision is of 2026-03-02 10:00:09"),
        (("sprng",), 4, "did you mean 'spring'"),
        (("spring", "--at", "25:00"), 2, "is no time"),
        (("spring", "--at", "yesterday"), 2, "-5m for five minutes ago"),
        (("spring", "--at", "-5 parsecs"), 2, "is no time"),
    ],
)
def test_a_moment_without_a_decision_is_answered_with_when_there_were_some(
    dialer: Dialer, campaign: Campaign, args: tuple[str, ...], code: int, told: str
) -> None:
    result = dialer("pace", "explain", *args)
    assert (result.exit_code, told in result.stderr) == (code, True), result.output


def test_a_gap_names_the_decisions_around_it_and_an_untouched_campaign_says_so(
    dialer: Dialer, session: Session, campaign: Campaign
) -> None:
    decided(session, campaign, NOW + timedelta(minutes=9))
    factories.campaign(session, name="quiet")
    session.commit()
    result = dialer("pace", "explain", "spring", "--at", "2026-03-02T10:05")
    assert "before is of 10:00:09, the next of 10:09:00" in result.stderr
    assert "has decided nothing yet" in dialer("pace", "explain", "quiet").stderr


def test_a_strangers_name_stays_text(dialer: Dialer, session: Session, campaign: Campaign) -> None:
    session.execute(update(Agent).values(name="[red]Anna\x1b[2J[/red]"))
    session.commit()
    told = dialer.ok("pace", "explain", "spring", "--at", "2026-03-02T10:00:00")
    assert "met [red]Anna�[2J[/red] after" in told
    assert "\x1b" not in told


def test_many_ages_are_counted_by_length_with_a_picture() -> None:
    told = ages([1.0] * 8 + [20.0] * 4 + [1000.0])
    assert told == "█▄   ▁  8 up to 15 s, 4 up to 30 s, 1 longer; longest 16:40"
