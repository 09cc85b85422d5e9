"""Replay and forecast of a campaign of several PBXs: what their decisions and rows tell together."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from campaigns import forecasting, pace_in_force, pools
from campaigns.models import Agent, Campaign, PaceDecision, PbxStatus
from campaigns.pace_in_force import InForce
from campaigns.pace_replay import Changes
from dialer.abandonment import Budget
from dialer.pacing import Goals, Snapshot
from tests import factories

SINCE = factories.NOW
UNTIL = SINCE + timedelta(hours=1)


@pytest.fixture
def campaign(session: Session) -> Campaign:
    made = factories.campaign(session, name="spring", mode="predictive", max_lines=10)
    for pbx in ("second", "third"):
        pools.add(session, made, pbx, standby=pbx == "third", who="test", now=SINCE)
    for pbx, lines in (("main", 30), ("second", 20), ("third", 8)):
        factories.lines(session, pbx, free=lines)
    for pbx in ("main", "main", "second", "second"):
        factories.agent(session, made, pbx=pbx, state="ready")
    factories.contact(session, made)
    return made


def decide(session: Session, of: Campaign, pbx: str, begins: float, lasts: float, **seen: Any) -> None:
    """A decision on one PBX, so many seconds after the beginning, that held for so long."""
    at = SINCE + timedelta(seconds=begins)
    bound_by = seen.pop("bound_by", [])
    session.add(
        PaceDecision(
            campaign_id=of.id, pbx=pbx, decided_at=at, until_at=at + timedelta(seconds=lasts), ticks=max(1, int(lasts)),
            fence=1, calls=1, ordered=1, why="1: so it was", limits={"mode": "predictive", "bound_by": bound_by},
            snapshot={"ceiling": 0.03, **seen},
        )
    )  # fmt: skip
    session.flush()


def test_what_the_decisions_of_each_pbx_tell_is_told_together(session: Session, campaign: Campaign) -> None:
    for n in range(4):  # what the other leaves of the limit differs from look to look, and only one can end a ring
        decide(session, campaign, "main", 20.0 * n, 9.0, free_lines=12, max_lines=7 - n, goals={"min_ring": 15.0})
        decide(session, campaign, "second", 20.0 * n + 10.0, 4.0, free_lines=6, max_lines=3 + n)
    decide(session, campaign, "third", 0.5, 90.0, free_lines=50, max_lines=10, bound_by=["pbx"])
    told = pace_in_force.decided(session, campaign, SINCE, UNTIL)
    assert [(rule.max_lines, rule.goals.min_ring, rule.ceiling) for rule in told.rules] == [(10, 15.0, 0.03)]
    assert told.lines == 18, "of both that were called on, and none of the standby's"
    assert told.dials is not None
    assert [told.dials(at) for at in (1.0, 12.0, 33.0, 70.0)] == [1.0] * 4, "a PBX that stands by shuts nothing"
    assert told.dials(80.0) == 0.0


def test_a_campaign_of_one_pbx_is_read_as_ever(session: Session) -> None:
    alone = factories.campaign(session, name="alone", mode="predictive", max_lines=10)
    decide(session, alone, "", 0.0, 9.0, free_lines=12, max_lines=8)
    decide(session, alone, "", 20.0, 9.0, free_lines=12, max_lines=5)
    told = pace_in_force.decided(session, alone, SINCE, UNTIL)
    assert [(rule.max_lines, rule.several) for rule in told.rules] == [(8, False), (5, False)]
    assert told.lines == 12


@pytest.mark.parametrize(("wanted", "left"), [(None, 3), (12, 5), (8, 1), (4, 0)])
def test_a_stored_look_keeps_what_the_other_pbxs_had_taken(
    session: Session, campaign: Campaign, wanted: int | None, left: int
) -> None:
    decide(session, campaign, "main", 0.0, 9.0, free_lines=12, max_lines=3, goals={"min_ring": 15.0})
    decide(session, campaign, "second", 1.0, 4.0, free_lines=6, max_lines=3)
    rules = [
        replace(Changes(max_lines=wanted).rules(rule), mode="progressive")
        for rule in pace_in_force.decided(session, campaign, SINCE, UNTIL).rules
    ]
    seen = Snapshot(
        parked=9, free_lines=12, max_lines=3, budget=Budget(0, 100, 0.03), goals=Goals(), presence_age=0.0, part=0.5
    )
    assert InForce(rules).decide(SINCE, seen).calls == left


def test_a_forecast_reckons_with_what_can_be_called_on_now_and_says_so(session: Session, campaign: Campaign) -> None:
    seen = forecasting.gather(session, campaign, SINCE)
    assert (seen.world.lines, seen.world.agents) == (50, 4)
    assert any("PBXs main, second are reckoned as one team" in note for note in seen.notes)
    row = session.get_one(PbxStatus, "second")
    row.out_since, row.out_why = SINCE, "it is away"
    session.flush()
    seen = forecasting.gather(session, campaign, SINCE)
    assert (seen.world.lines, seen.world.agents) == (38, 2), "the standby's lines, and nobody who waits there"
    assert any(note.startswith("PBX second out of use now: reckoned without its lines") for note in seen.notes)
    session.execute(update(Agent).where(Agent.pbx == "second").values(state="talking"))
    assert forecasting.gather(session, campaign, SINCE).world.agents == 4, "who talks there may go on"


def test_a_forecast_of_one_pbx_says_nothing_of_several(session: Session) -> None:
    alone = factories.campaign(session, mode="predictive")
    factories.lines(session, "main")
    factories.agent(session, alone)
    factories.contact(session, alone)
    assert not any("PBXs" in note for note in forecasting.gather(session, alone, SINCE).notes)
