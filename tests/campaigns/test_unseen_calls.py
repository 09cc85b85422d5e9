"""Calls on a PBX that is lost: they count against the limit of lines for as long as they may really go on."""

from datetime import timedelta

import pytest
from rich.console import Console
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import live, pace_view, pools_view, unseen_calls, why
from campaigns.application import Application
from campaigns.cli.screen import screen
from campaigns.db import database_now
from campaigns.models import Assignment, Attempt, PbxStatus
from dialer.calls import CallState
from tests import factories
from tests.campaigns.test_several_pbxes import House


@pytest.fixture
def house(application: Application, session: Session) -> House:
    made = House(application, session, max_lines=3)
    made.contacts(9)
    for _ in range(3):
        made.agent("main")
    return made


def on_second(house: House, state: CallState, *, minutes: float, talks: bool = False) -> Attempt:
    """A call there, so old; its agent may talk."""
    now = database_now(house.session)
    at = now - timedelta(minutes=minutes)
    met = {"answered_at": at, "joined_at": at} if state is CallState.JOINED else {}
    made = factories.attempt(
        house.session, house.campaign, pbx="second", state=state, ordered_at=at, sent_at=at, heard_at=at, **met
    )
    if talks:
        who, leg = factories.parked_agent(house.session, house.campaign, pbx="second", state="talking")
        leg.pbx = "second"
        house.session.add(Assignment(attempt_id=made.id, agent_id=who.id, leg_id=leg.id, assigned_at=at))
    house.session.commit()
    return made


def lost(house: House, *, back: bool = False) -> None:
    row = house.session.get_one(PbxStatus, "second", populate_existing=True)
    now = database_now(house.session)
    row.out_since, row.out_why = now - timedelta(hours=3), "it is away"
    row.back_since = now if back else None
    house.session.commit()


def most_lines(house: House) -> int | None:
    view = pace_view.read(house.session, house.campaign.id, database_now(house.session), "main")
    assert view is not None
    return view.most_lines


def test_what_may_still_ring_or_talk_there_counts_and_what_cannot_does_not(house: House) -> None:
    on_second(house, CallState.RINGING, minutes=5)
    assert most_lines(house) == 2
    lost(house)
    assert most_lines(house) == 2
    on_second(house, CallState.JOINED, minutes=59, talks=True)
    assert most_lines(house) == 1
    for state, minutes in ((CallState.RINGING, 7), (CallState.UNKNOWN, 7), (CallState.JOINED, 61)):
        on_second(house, state, minutes=minutes, talks=state is CallState.JOINED)
    assert most_lines(house) == 1
    assert unseen_calls.lines_taken(house.session, house.campaign.id, database_now(house.session)) == 2


def test_an_answered_customer_nobody_came_to_counts_from_the_answer(house: House) -> None:
    made = on_second(house, CallState.HELD, minutes=7)
    made.answered_at = database_now(house.session) - timedelta(minutes=5)
    lost(house)
    assert most_lines(house) == 2


def test_whose_agent_says_that_the_line_is_dead_counts_no_more(house: House) -> None:
    made = on_second(house, CallState.JOINED, minutes=10, talks=True)
    lost(house)
    assert most_lines(house) == 2
    row = house.session.scalars(select(Assignment).where(Assignment.attempt_id == made.id)).one()
    row.ended_at = database_now(house.session)
    house.session.commit()
    assert most_lines(house) == 3
    assert made.ended_at is None, "what became of it is asked when the PBX is back"


@pytest.mark.parametrize("back", [False, True])
def test_a_call_that_can_be_seen_counts_however_old_it_is(house: House, back: bool) -> None:
    on_second(house, CallState.JOINED, minutes=100, talks=True)
    if back:
        lost(house, back=True)
    assert most_lines(house) == 2


def test_the_campaign_calls_on_with_the_lines_that_are_left_and_gets_the_rest_with_time(house: House) -> None:
    calls = [on_second(house, CallState.RINGING, minutes=1) for _ in range(2)]
    lost(house)
    house.tick()
    house.tick()
    assert house.ordered() == {"second": 2, "main": 1}
    for call in calls:
        call.ordered_at = call.sent_at = database_now(house.session) - timedelta(minutes=7)
    house.session.commit()
    house.tick()
    house.tick()
    assert house.ordered() == {"second": 2, "main": 3}
    numbers = house.session.scalars(select(Attempt.number)).all()
    assert len(set(numbers)) == 5, "nobody who may be on the line there is rung from here"


def test_a_supervisor_is_told_what_is_kept_for_them_and_why(house: House) -> None:
    for minutes in (1, 2, 3, 9):
        on_second(house, CallState.RINGING, minutes=minutes)
    lost(house)
    now = database_now(house.session)
    part = pools_view.parts(house.session, [house.campaign.id], now)[house.campaign.id][1]
    assert (part.calls, part.counted) == (4, 3)
    assert "4 calls out of sight, 3 counted as lines in use" in part.in_full()
    console = Console(width=200, no_color=True)
    with console.capture() as shown:
        console.print(screen(live.live_state(house.session, now, house.campaign.name)))
    assert "this campaign at most 3, 3 of them kept for calls out of sight" in shown.get()
    assert "4 calls out of sight, 3 counted as lines in use" in shown.get()
    (told,) = (one for one in why.holding(house.session, house.campaign, now=now) if "limit of 3 lines" in one)
    assert "used up, with calls out of sight that may go on: 3 on PBX second" in told
    lost(house, back=True)
    part = pools_view.parts(house.session, [house.campaign.id], now)[house.campaign.id][1]
    assert part.calls_in_words == "4 calls", "the sweep asks for them now"
