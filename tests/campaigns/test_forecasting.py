"""Forecasts: made from rows, kept, and compared with what happened."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from campaigns import forecast_checks, forecast_days, forecasting, forecasts
from campaigns.forecasts import Expected, Finish, Foretold
from campaigns.models import Agent, Campaign, Contact, Forecast
from dialer.calls import CallState
from dialer.errors import BadInput, NotFound
from dialer.simulation import Campaigning, LogNormal, World
from tests import factories
from tests.factories import NOW
from tests.lived_day import live

pytestmark = pytest.mark.timeout(600)  # whole days are lived through

# The campaigns of these tests let calls ring out, as campaigns do by default: so must the world they live in.
WORLD = World(agents=8, hours=0.8, warm_up_hours=0.0, talk=LogNormal(90.0, 1.0), begins=NOW, min_ring=None)
LATER = NOW + timedelta(hours=1)


def contacts(session: Session, of: Campaign, number: int, **values: Any) -> None:
    listed = factories.contact_list(session, of)
    row = {"campaign_id": of.id, "list_id": listed.id, "next_at": NOW, **values}
    session.execute(
        insert(Contact), [{**row, "line": n + 2, "phone": f"+39055{listed.id:03d}{n:05d}"} for n in range(number)]
    )


def campaign(session: Session, *, world: World | None = WORLD, number: int = 900, **values: Any) -> Campaign:
    made = factories.campaign(session, **{"name": "spring", "mode": "predictive", **values})
    if world is not None:
        live(session, made, world)
    if number:
        contacts(session, made, number)
    session.commit()
    return made


def foretell(session: Session, of: Campaign, *, seeds: int = 2, **values: Any) -> Foretold:
    outlook = forecasting.gather(session, of, LATER, **{"hours": 1.0, **values})
    session.commit()  # no transaction stands open while days go by
    return forecast_days.reckon(outlook, seeds=seeds)


def test_the_list_the_team_and_the_history_are_read_from_rows(session: Session) -> None:
    made = campaign(session, number=100)
    contacts(session, made, 20, next_at=LATER + timedelta(hours=2))
    contacts(session, made, 30, state="closed", next_at=None)
    factories.lines(session, free=33)
    given = forecasting.gather(session, made, LATER, hours=2.0).inputs
    assert (given["contacts"], given["due_now"], sum(given["groups"].values())) == (120, 100, 120)
    assert (given["agents"], given["agents_are"], given["lines"]) == (8, "assigned, none at work now", 33)
    assert given["answer_chance"] == pytest.approx(0.25, abs=0.06)
    assert given["talk"] == pytest.approx(90, rel=0.25)
    assert given["wrap_up"] == pytest.approx(20, rel=0.25)
    session.execute(update(Agent).where(Agent.user_id.in_(["5000", "5001"])).values(state="parked"))
    assert forecasting.gather(session, made, LATER).inputs["agents"] == 2
    assert forecasting.gather(session, made, LATER, agents=5).inputs["agents_are"] == "given"


def test_how_often_a_contact_was_tried_counts_for_its_chance_and_its_tries(session: Session) -> None:
    made = campaign(session, world=None, number=0, max_attempts=2)
    factories.agent(session, made)
    once = factories.contact(session, made)
    factories.attempt(session, made, contact=once, state=CallState.NO_ANSWER)
    fresh = factories.contact(session, made)
    never_rang = factories.contact(session, made)
    factories.attempt(session, made, contact=never_rang, state=CallState.NO_LINES)
    twice = factories.contact(session, made)
    for n in (1, 2):
        factories.attempt(session, made, contact=twice, state=CallState.BUSY, attempt_no=n)
    given = forecasting.gather(session, made, LATER).inputs
    assert given["groups"] == {f"{once.list_id}/2": 1, f"{fresh.list_id}/1": 1, f"{never_rang.list_id}/1": 1}


def test_a_short_list_is_done_in_time_and_a_long_one_is_thought_on(session: Session) -> None:
    made = campaign(session, number=60, max_attempts=2, retry_delay=300.0)
    short = foretell(session, made).finish
    assert short.within == 1
    assert short.low is not None
    assert short.high is not None
    assert LATER < short.low <= short.high < LATER + timedelta(hours=1)
    contacts(session, made, 5000)
    long = foretell(session, made).finish
    assert long.within == 0
    assert long.low is not None
    assert long.low > LATER + timedelta(hours=4)


def test_a_list_is_not_done_before_the_last_who_rests_may_be_called(session: Session) -> None:
    made = campaign(session, number=60, max_attempts=1)
    contacts(session, made, 1, next_at=LATER + timedelta(hours=72))
    finish = foretell(session, made).finish
    assert finish.low is not None
    assert finish.low >= LATER + timedelta(hours=72)


def test_each_range_holds_its_figure_and_more_agents_use_more_lines(session: Session) -> None:
    made = campaign(session, number=3000)
    few, many = (foretell(session, made, agents=agents, hours=0.5) for agents in (4, 16))
    for told in (few, many):
        for one in told.figures.values():
            assert one.low <= one.high
    assert many.figures["lines_p95"].low > few.figures["lines_p95"].high
    assert many.figures["utilisation"].expected > few.figures["utilisation"].expected
    assert Foretold.from_json(few.as_json()).as_json() == few.as_json()


def test_with_little_history_it_says_what_it_assumes_and_the_ranges_are_wide(session: Session) -> None:
    made = campaign(session, world=None)
    factories.agent(session, made)
    outlook = forecasting.gather(session, made, LATER, agents=8, hours=0.25)
    assert any("one in four is assumed" in note for note in outlook.notes)
    assert any("3 min of talk" in note for note in outlook.notes)
    session.commit()
    guessed = forecast_days.reckon(outlook, seeds=5).figures["calls"]
    known = foretell(session, campaign(session, name="autumn", pbx="other"), seeds=5, hours=0.25).figures["calls"]
    assert guessed.high / guessed.low > 1.5 * known.high / known.low


def test_closed_hours_are_waited_for(session: Session) -> None:
    made = campaign(session, hours="09:00-10:30", time_zone="Europe/Rome")  # it is 11:00 in Rome
    outlook = forecasting.gather(session, made, LATER, hours=2.0)
    assert outlook.starts_at == datetime(2026, 3, 3, 8, 0, tzinfo=UTC)
    assert any("reckoned from then" in note for note in outlook.notes)
    session.commit()
    told = forecast_days.reckon(outlook, seeds=1)
    assert told.figures["agents"].expected == pytest.approx(8 * 0.75, rel=0.02)


def test_what_leaves_nothing_to_foretell_is_said_with_the_remedy(session: Session) -> None:
    empty = factories.campaign(session, name="empty")
    with pytest.raises(BadInput, match="--agents N"):
        forecasting.gather(session, empty, LATER)
    with pytest.raises(NotFound, match="list import"):
        forecasting.gather(session, empty, LATER, agents=3)


# Looking back ----------------------------------------------------------------------------------------------


def test_a_forecast_is_kept_and_what_the_same_world_brings_lies_mostly_within_its_ranges(session: Session) -> None:
    made = campaign(session, world=replace(WORLD, hours=1.0))
    outlook = forecasting.gather(session, made, LATER, hours=0.75)
    session.commit()
    row = forecasts.store(session, outlook, forecast_days.reckon(outlook, seeds=5), who="cli:anna")
    session.commit()
    assert session.scalars(select(Forecast)).one().made_by == "cli:anna"
    (waiting,) = forecast_checks.check(session, made, LATER + timedelta(minutes=44))
    assert (waiting.over, waiting.hits, waiting.finish_hit) == (False, (0, 0), None)
    # The pacer that goes on knows what the first hour taught, and what it spent.
    world = replace(WORLD, hours=0.75, begins=LATER, campaigns=(Campaigning(spent=outlook.world.campaigns[0].spent),))
    live(session, made, world, seed=3, first_user=6000, memory=outlook.memory)
    session.commit()
    (told,) = forecast_checks.check(session, made, LATER + timedelta(hours=1))
    assert told.id == row.id
    assert told.agents == (8.0, pytest.approx(8.0, rel=0.02))
    assert {one.name for one in told.compared} == set(forecasts.CHECKED)
    hits, of = told.hits
    assert of == len(forecasts.CHECKED)
    # One day: its figures hang together, so half of them may miss. Over many days four of five lie within.
    assert hits >= 4, told.compared
    utilisation = next(one for one in told.compared if one.name == "utilisation")
    assert utilisation.foretold.expected == pytest.approx(utilisation.happened, rel=0.15)
    assert forecast_checks.share_of_hits([told, waiting]) == (hits, of)


def test_a_value_outside_the_range_is_a_miss() -> None:
    range_ = Expected(0.8, 0.7, 0.9)
    assert [range_.hit(value) for value in (0.69, 0.7, 0.8, 0.9, 0.91)] == [False, True, True, True, False]


@pytest.mark.parametrize(
    ("done", "now", "hit"),
    [(None, 1, None), (None, 5, False), (2, 5, True), (0, 5, False), (4.5, 5, False)],
)
def test_a_finish_is_hit_missed_or_not_known_yet(done: float | None, now: float, hit: bool | None) -> None:
    low, expected, high = (NOW + timedelta(hours=hour) for hour in (1, 2, 4))
    foretold = Finish(expected, low, high, 1.0)
    at = None if done is None else NOW + timedelta(hours=done)
    assert forecast_checks._finish_hit(foretold, at, NOW + timedelta(hours=now)) is hit
