"""Agents whose PBX is out of use: ready as they said, and counted at work by nobody."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import live, overview, pools_view, why
from campaigns.application import Application
from campaigns.cli.screen import screen
from campaigns.models import Agent, PbxStatus
from tests import factories
from tests.campaigns.test_several_pbxes import House

NOW = factories.NOW


@pytest.fixture
def house(application: Application, session: Session) -> House:
    made = House(application, session, country="IT", time_zone="Europe/Rome")
    for pbx, state in (("main", "parked"), ("second", "parked"), ("second", "talking")):
        made.agent(pbx, state=state)
    factories.agent(session, made.campaign, pbx="second", state="ready")
    return made


def out(house: House, *, back: bool = False) -> None:
    row = house.session.get_one(PbxStatus, "second")
    row.out_since, row.out_why = NOW - timedelta(minutes=1), "it is away"
    row.back_since = NOW if back else None
    house.session.flush()


def counted(house: House) -> tuple[int, dict[str, int], int, dict[str, int]]:
    state = live.live_state(house.session, NOW, house.campaign.name)
    agents = state.campaigns[0].agents
    (row,) = overview.campaign_rows(house.session, NOW, name=house.campaign.name)
    part = pools_view.parts(house.session, [house.campaign.id], NOW)[house.campaign.id][1]
    return row.agents_at_work, agents.by_state, part.at_work, part.agents


def test_they_count_as_out_while_it_is_and_are_what_they_were_when_it_is_back(house: House) -> None:
    well = (4, {"parked": 2, "talking": 1, "ready": 1}, 3, {"parked": 1, "talking": 1, "ready": 1})
    assert counted(house) == well
    out(house)
    lost = (2, {"parked": 1, "talking": 1, "out": 2}, 1, {"talking": 1, "out": 2})
    assert counted(house) == lost, "who talks there may go on"
    told = live.live_state(house.session, NOW, house.campaign.name).campaigns[0]
    assert {one.reason for one in told.agents.people if one.state == "out"} == {"PBX second is out of use"}
    out(house, back=True)
    assert counted(house) == well


def test_agents_of_one_name_on_two_pbxes_are_told_apart_on_the_screen(house: House) -> None:
    for agent in house.session.scalars(select(Agent)):
        agent.name, agent.extension = "Ada Rossi", "201"
    house.session.flush()

    def shown(name: str) -> str:
        console = Console(width=160, no_color=True)
        with console.capture() as told:
            console.print(screen(live.live_state(house.session, NOW, name)))
        return told.get()

    lines = [line for line in shown(house.campaign.name).splitlines() if line.startswith("Ada Rossi")]
    assert sorted(line.split()[3] for line in lines) == ["main", "second", "second", "second"]
    alone = factories.campaign(house.session)
    factories.agent(house.session, alone, name="Yan", state="ready")
    assert "PBX  " not in shown(alone.name).split("Agent ")[1]


def test_a_campaign_of_one_pbx_says_of_the_pbx_itself_what_is_wrong(house: House) -> None:
    alone = factories.campaign(house.session, pbx="second")
    factories.agent(house.session, alone, pbx="second", state="ready")
    out(house)
    agents = live.live_state(house.session, NOW, alone.name).campaigns[0].agents
    assert (agents.by_state, agents.cut_off) == ({"ready": 1}, 0)


def test_where_all_are_cut_off_the_next_step_is_about_the_pbx_and_why_counts_them(house: House) -> None:
    for agent in house.session.scalars(select(Agent)):
        agent.state = "out" if agent.pbx == "main" else "ready"
    out(house)
    told = live.live_state(house.session, NOW, house.campaign.name).campaigns[0]
    assert told.agents.by_state["out"] == told.agents.total
    assert "they log in" not in told.next_step
    (said,) = (one for one in why.holding(house.session, house.campaign, now=NOW) if one.startswith("no agent"))
    assert "3 cut off with their PBX" in said


def test_the_time_of_an_outage_is_told_by_the_clock_that_is_named(house: House) -> None:
    out(house)
    part = pools_view.parts(house.session, [house.campaign.id], NOW)[house.campaign.id][1]
    assert part.in_words() == "out of use since 08:59:00 UTC: it is away"
    assert part.in_words(ZoneInfo("Europe/Rome")) == "out of use since 09:59:00 CET: it is away"
    assert part.shortly() == "out of use"
    assert part.in_full() == "out of use since 08:59:00 UTC: it is away; 0 calls, 0 of 30 lines busy"
