from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import lifecycle, roster
from campaigns.models import Agent, Campaign, Ledger
from campaigns.roster import AgentsSpec
from dialer.errors import BadInput, NotFound
from dialer.pbx.base import Feature, PbxUser, Presence

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def user(number: int, name: str, *groups: str) -> PbxUser:
    return PbxUser(str(number), name, str(number + 100), Presence.AVAILABLE, groups)


ANNA, BRUNO, CARLA = user(101, "Anna", "Sales"), user(102, "Bruno", "Sales", "Night"), user(103, "Carla")
USERS = [ANNA, BRUNO, CARLA]


@pytest.fixture
def campaign(session: Session) -> Campaign:
    return lifecycle.create(
        session, name="spring", pbx="main", features=frozenset(Feature), caller_id="+390551234567", now=NOW, who="test"
    )


def assign(session: Session, campaign: Campaign, text: str, users: Sequence[PbxUser] = USERS) -> set[str]:
    roster.assign(session, campaign, roster.parse(text), users, now=NOW, who="cli:anna")
    return {agent.user_id for agent in roster.members(session, campaign)}


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("101,102", AgentsSpec(("101", "102"))),
        (" 101 , 102,101 ", AgentsSpec(("101", "102"))),
        ("group:Sales", AgentsSpec((), ("Sales",))),
        ("Group: Night shift ,103", AgentsSpec(("103",), ("Night shift",))),
        ("ALL", AgentsSpec(everybody=True)),
    ],
)
def test_what_people_write_is_understood_and_written_back_the_same(text: str, spec: AgentsSpec) -> None:
    assert roster.parse(text) == spec
    assert roster.parse(str(spec)) == spec


@pytest.mark.parametrize("text", ["", " , ", "group:", "team:Sales", "101;102", "101 102"])
def test_what_names_no_agents_is_refused_with_the_three_ways(text: str) -> None:
    with pytest.raises(BadInput, match=r"group:NAME, or all"):
        roster.parse(text)


def test_user_ids_become_agents_who_are_out_with_name_and_extension(session: Session, campaign: Campaign) -> None:
    assert assign(session, campaign, "101,103") == {"101", "103"}
    anna = session.scalars(select(Agent).where(Agent.user_id == "101")).one()
    assert (anna.name, anna.extension, anna.state, anna.pbx) == ("Anna", "201", "out", "main")
    assert campaign.agents_spec == "101,103"


@pytest.mark.parametrize(
    ("text", "members"),
    [("group:sales", {"101", "102"}), ("group:Night,103", {"102", "103"}), ("all", {"101", "102", "103"})],
)
def test_groups_and_all_are_resolved_through_the_pbx(
    session: Session, campaign: Campaign, text: str, members: set[str]
) -> None:
    assert assign(session, campaign, text) == members


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("999", r"no user 999; it has 101 \(Anna\)"),
        ("201", "201 is the extension of Anna, whose user id is 101"),
        ("group:Purchasing", "no ring group 'Purchasing' with members; it has Night, Sales"),
    ],
)
def test_agents_the_pbx_does_not_have_are_named_with_those_it_has(
    session: Session, campaign: Campaign, text: str, told: str
) -> None:
    with pytest.raises(NotFound, match=told):
        assign(session, campaign, text)


def test_a_second_assignment_replaces_the_first_and_leaves_agents_at_their_work(
    session: Session, campaign: Campaign
) -> None:
    assign(session, campaign, "101,102")
    anna = roster.find_agent(session, "101")
    anna.state = "talking"
    change = roster.assign(session, campaign, roster.parse("101,103"), USERS, now=NOW, who="cli:anna")
    assert (len(change.added), len(change.removed), change.total) == (1, 1, 2)
    assert {agent.user_id for agent in roster.members(session, campaign)} == {"101", "103"}
    assert anna.state == "talking"
    session.flush()
    rows = session.scalars(select(Ledger).where(Ledger.kind == "roster").order_by(Ledger.id)).all()
    assert [row.details["spec"] for row in rows] == ["101,102", "101,103"]


def test_a_campaign_follows_its_group_as_people_come_and_go(session: Session, campaign: Campaign) -> None:
    assign(session, campaign, "group:Sales")
    now_in_sales = [user(102, "Bruno", "Sales"), user(103, "Carla", "Sales"), user(101, "Anna")]
    (change,) = roster.refresh_groups(session, "main", now_in_sales)
    assert (len(change.added), len(change.removed)) == (1, 1)
    assert {agent.user_id for agent in roster.members(session, campaign)} == {"102", "103"}
    assert roster.refresh_groups(session, "main", now_in_sales) == []


@pytest.mark.parametrize("users", [[], [user(101, "Anna"), user(102, "Bruno")]])
def test_a_group_that_vanished_removes_nobody(session: Session, campaign: Campaign, users: list[PbxUser]) -> None:
    assign(session, campaign, "group:Sales")
    assert roster.refresh_groups(session, "main", users) == []
    assert len(roster.members(session, campaign)) == 2


def test_plain_user_ids_do_not_follow_anything(session: Session, campaign: Campaign) -> None:
    assign(session, campaign, "101")
    assert roster.refresh_groups(session, "main", USERS) == []
    assert roster.refresh_groups(session, "other", USERS) == []


def test_an_agent_is_found_by_user_id_extension_or_name(session: Session, campaign: Campaign) -> None:
    assign(session, campaign, "all")
    anna = roster.find_agent(session, "101")
    assert roster.find_agent(session, "201") is anna
    assert roster.find_agent(session, "anna") is anna
    with pytest.raises(NotFound, match="no agent 'ann%'"):
        roster.find_agent(session, "ann%")


def test_an_agent_of_two_pbxs_must_be_named_with_its_pbx(session: Session, campaign: Campaign) -> None:
    assign(session, campaign, "101")
    session.add(Agent(pbx="branch", user_id="101", name="Zoe", extension="301"))
    session.flush()
    with pytest.raises(BadInput, match=r"more than one agent: Anna, user 101 of PBX main; Zoe, user 101 of PBX branch"):
        roster.find_agent(session, "101")
    assert roster.find_agent(session, "101", "branch").name == "Zoe"


def test_the_listing_shows_the_longest_in_their_state_first_and_those_out_last(
    session: Session, campaign: Campaign
) -> None:
    assign(session, campaign, "all")
    for number, (state, hour) in enumerate([("talking", 8), ("ready", 7), ("out", 6)], start=101):
        agent = roster.find_agent(session, str(number))
        agent.state, agent.since = state, datetime(2026, 3, 2, hour, tzinfo=UTC)
    session.flush()
    assert [(agent.user_id, names) for agent, names in roster.listing(session, campaign)] == [
        ("102", ["spring"]), ("101", ["spring"]), ("103", ["spring"]),
    ]  # fmt: skip
