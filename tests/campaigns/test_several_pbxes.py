"""Campaigns that call through several PBXs: each its own lines and agents, one list, one limit, one budget."""

from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns import assigning, pace_view, parking, pools, roster
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import Agent, Attempt, Campaign, Ledger, ListedRequest, PaceDecision
from dialer.abandonment import Budget
from dialer.calls import CallState
from dialer.errors import BadInput, NotFound
from dialer.pbx.base import PbxUser, Presence
from tests import factories
from tests.fakes import FakePbx
from workers.scheduler import Scheduler


class House:
    """A campaign of PBXs `main` and `second`, and the leader that ticks it."""

    def __init__(self, application: Application, session: Session, **values: object) -> None:
        self.application, self.session = application, session
        self.pbx = {name: FakePbx(name) for name in ("main", "second")}
        application.pbxes = dict(self.pbx)
        self.campaign = factories.campaign(session, **values)
        for name in self.pbx:
            factories.lines(session, name)
        self.read_now()
        pools.add(session, self.campaign, "second", who="cli:anna", now=database_now(session))
        session.commit()
        self.scheduler = Scheduler(application, "one")
        self.scheduler.renew()

    def read_now(self) -> None:
        self.session.execute(text("UPDATE pbx_status SET read_at = clock_timestamp() + interval '20 s'"))
        self.session.commit()

    def contacts(self, count: int) -> None:
        for _ in range(count):
            factories.contact(self.session, self.campaign)
        self.session.commit()

    def agent(self, pbx: str, **values: object) -> Agent:
        made, leg = factories.parked_agent(self.session, self.campaign, pbx=pbx, **values)
        leg.pbx = pbx
        self.session.commit()
        return made

    def tick(self) -> None:
        self.session.commit()
        self.scheduler.renew()
        self.scheduler.round()
        self.session.expire_all()

    def ordered(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for pbx in self.session.scalars(select(Attempt.pbx)):
            found[pbx] = found.get(pbx, 0) + 1
        return found

    def why(self, pbx: str) -> str:
        query = select(PaceDecision.why).where(PaceDecision.pbx == pbx).order_by(PaceDecision.id.desc()).limit(1)
        return str(self.session.scalars(query).one())


@pytest.fixture
def house(application: Application, session: Session) -> House:
    return House(application, session)


def test_each_pbx_is_called_on_for_its_own_agents_and_each_contact_once(house: House) -> None:
    house.contacts(9)
    for _ in range(2):
        house.agent("main")
    house.agent("second")
    house.tick()
    house.tick()
    assert house.ordered() == {"main": 2, "second": 1}
    called = house.session.scalars(select(Attempt.contact_id)).all()
    assert len(set(called)) == 3
    assert "2 agents free" in house.session.scalars(select(PaceDecision.why).where(PaceDecision.pbx == "main")).first()


def test_the_limit_of_lines_is_the_campaigns_over_all_its_pbxes(house: House) -> None:
    house.campaign.max_lines = 3
    house.contacts(9)
    for name in ("main", "main", "second", "second"):
        house.agent(name)
    for _ in range(3):
        house.tick()
    assert sum(house.ordered().values()) == 3


def test_lines_that_are_too_few_for_all_are_taken_by_each_pbx_in_turn(house: House) -> None:
    house.campaign.max_lines = 2
    house.contacts(20)
    for name in ("main", "main", "second", "second"):
        house.agent(name)
    for _ in range(6):
        house.tick()
        house.session.execute(text("UPDATE attempts SET state = 'no_answer', ended_at = clock_timestamp()"))
    assert house.ordered() == {"main": 6, "second": 6}, "agents of the second are not parked for nothing"


def test_nobody_is_parked_on_one_pbx_for_requests_that_another_keeps(house: House) -> None:
    session, due = house.session, database_now(house.session) - timedelta(minutes=1)
    request = factories.contact(session, house.campaign, due_date=due.date(), next_at=due)
    session.add(ListedRequest(pbx="second", request_id="r1", pbx_list="l", contact_id=request.id, seen_at=due))
    for name in house.pbx:
        factories.agent(session, house.campaign, pbx=name, state="ready")

    def states() -> dict[str, str]:
        return {one.pbx: one.state for one in session.scalars(select(Agent))}

    house.tick()
    assert states() == {"main": "ready", "second": "parking"}
    assert house.why("main") == "0: no contact is due but requests that another PBX keeps, and calls itself"
    house.contacts(3)
    house.tick()
    assert states()["main"] == "parking", "for those that anybody may call"


def test_who_was_parked_is_let_go_when_only_requests_of_another_pbx_are_left(house: House) -> None:
    session, due = house.session, database_now(house.session) - timedelta(minutes=1)
    request = factories.contact(session, house.campaign, due_date=due.date(), next_at=due)
    session.add(ListedRequest(pbx="second", request_id="r1", pbx_list="l", contact_id=request.id, seen_at=due))
    parked = house.agent("main")
    house.tick()
    kept = house.scheduler._pacing[house.campaign.id].pbxes["main"]
    assert kept.idle_since is not None
    kept.idle_since -= parking.IDLE_LINE + timedelta(seconds=1)
    house.tick()
    assert parked.state == "ready"


def test_a_customer_is_given_an_agent_of_the_pbx_they_wait_on_and_of_no_other(house: House) -> None:
    now = database_now(house.session)
    longest_idle = house.agent("main", idle_since=factories.NOW - timedelta(hours=1))
    there = house.agent("second")
    for agent, pbx in ((there, "second"), (None, "second"), (longest_idle, "main")):
        attempt = factories.attempt(
            house.session, house.campaign, pbx=pbx, state=CallState.HELD, answered_at=now, held_at=now,
            pbx_call_id=f"c{pbx}{agent}", second_leg_id="5",
        )  # fmt: skip
        assigning.serve(house.session, attempt, now=now)
        given = house.session.scalar(
            text("SELECT agent_id FROM assignments WHERE attempt_id = :id AND ended_at IS NULL"), {"id": attempt.id}
        )
        assert given == (agent.id if agent is not None else None)


def test_what_is_lost_on_any_pbx_is_lost_from_one_budget_and_each_may_lose_its_part(house: House) -> None:
    for _ in range(3):
        house.agent("main")
    house.agent("second")
    now = database_now(house.session)
    factories.attempt(house.session, house.campaign, pbx="second", state=CallState.RINGING, ordered_at=now)
    factories.attempt(house.session, house.campaign, pbx="second", state=CallState.HELD, answered_at=now)
    house.session.flush()
    budget = Budget(1, 99, 0.03)
    shown = {}
    for name in house.pbx:
        view = pace_view.read(house.session, house.campaign.id, now, name)
        assert view is not None
        shown[name] = view.snapshot(now, view.lines([]), budget)
    main, second = shown["main"], shown["second"]
    assert (main.part, second.part) == (0.75, 0.25)
    assert (main.pools_ringing, main.pools_waiting, len(main.ringing)) == (1, 1, 0)
    assert (second.pools_ringing, second.pools_waiting, len(second.ringing), second.waiting) == (0, 0, 1, 1)
    assert type(main).from_json(main.as_json()) == main


def test_a_campaign_of_one_pbx_is_shown_as_ever(application: Application, session: Session) -> None:
    alone = factories.campaign(session)
    factories.lines(session)
    factories.parked_agent(session, alone)
    view = pace_view.read(session, alone.id, factories.NOW)
    assert view is not None
    kept = view.snapshot(factories.NOW, view.lines([]), Budget(0, 0, 0.03)).as_json()
    assert not {"part", "pools_ringing", "pools_waiting"} & kept.keys()
    assert view.other_pbxes == []
    assert pools.of(session, alone) == [pools.Place("main", "pool")]


# Who is in it ---------------------------------------------------------------------------------------------


def test_each_change_of_the_pbxes_is_in_the_ledger_and_the_first_is_the_campaigns_own(house: House) -> None:
    session, campaign, now = house.session, house.campaign, factories.NOW
    pools.add(session, campaign, "third", standby=True, who="cli:anna", now=now, why="spare")
    assert [(one.pbx, one.role) for one in pools.of(session, campaign)] == [
        ("main", "pool"),
        ("second", "pool"),
        ("third", "standby"),
    ]
    pools.order(session, campaign, ["second", "main", "third"], who="cli:anna", now=now)
    assert campaign.pbx == "second"
    pools.remove(session, campaign, "second", who="cli:anna", now=now)
    assert (campaign.pbx, pools.names(session, campaign)) == ("main", ["main", "third"])
    told = session.scalars(select(Ledger).where(Ledger.kind == "pbxes").order_by(Ledger.id)).all()
    assert [row.details["verb"] for row in told] == ["add", "add", "order", "remove"]
    assert told[-1].details["new"] == ["main:pool", "third:standby", "second:removed"] or told[-1].details["new"] == [
        "second:removed",
        "main:pool",
        "third:standby",
    ]


def test_a_campaign_keeps_one_pbx_that_is_no_standby(house: House) -> None:
    session, campaign = house.session, house.campaign
    pools.remove(session, campaign, "second", who="cli:anna", now=factories.NOW)
    with pytest.raises(BadInput, match="needs one PBX"):
        pools.remove(session, campaign, "main", who="cli:anna", now=factories.NOW)
    with pytest.raises(NotFound, match="it does through main"):
        pools.remove(session, campaign, "second", who="cli:anna", now=factories.NOW)
    with pytest.raises(BadInput, match="each PBX"):
        pools.order(session, campaign, ["second", "main"], who="cli:anna", now=factories.NOW)


def test_a_pbx_that_was_taken_out_gets_no_new_call_and_those_there_go_on(house: House) -> None:
    house.contacts(5)
    house.agent("main")
    kept = house.agent("second")
    ringing = factories.attempt(house.session, house.campaign, pbx="second", state=CallState.RINGING)
    pools.remove(house.session, house.campaign, "second", who="cli:anna", now=factories.NOW)
    house.tick()
    assert house.ordered() == {"second": 1, "main": 1}
    assert (kept.state, ringing.state) == ("parked", CallState.RINGING)
    assert "was taken out" in house.why("second")


# Its agents -----------------------------------------------------------------------------------------------


def people(*ids: str, group: str = "Sales") -> list[PbxUser]:
    return [
        PbxUser(id=one, name=f"User {one}", extension=f"2{one}", presence=Presence.AVAILABLE, groups=(group,))
        for one in ids
    ]


def members(house: House) -> set[str]:
    return {f"{one.pbx}/{one.user_id}" for one in roster.members(house.session, house.campaign)}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("all", {"main/1", "main/2", "second/2", "second/3"}),
        ("1,3", {"main/1", "second/3"}),
        ("main/2,second/all", {"main/2", "second/2", "second/3"}),
        ("second/group:Sales,1", {"main/1", "second/2", "second/3"}),
        ("group:Sales", {"main/1", "main/2", "second/2", "second/3"}),
    ],
)
def test_agents_are_chosen_on_every_pbx_or_on_the_one_named(house: House, asked: str, found: set[str]) -> None:
    spec = roster.parse(asked)
    assert roster.parse(str(spec)) == spec
    others = {"second": people("2", "3")}
    roster.assign(
        house.session, house.campaign, spec, people("1", "2"), others=others, now=factories.NOW, who="cli:anna"
    )
    assert members(house) == found
    for name, users in (("main", people("1", "2")), ("second", others["second"])):
        assert roster.refresh_groups(house.session, name, users) == [], "as it stands"


def test_an_id_that_two_pbxes_have_is_asked_about(house: House) -> None:
    with pytest.raises(BadInput, match="write which, main/2, second/2"):
        roster.resolve_all(roster.parse("2"), {"main": people("2"), "second": people("2")})
    with pytest.raises(NotFound, match="no PBX of the campaign has a user 9"):
        roster.resolve_all(roster.parse("9"), {"main": people("2"), "second": people("2")})
    with pytest.raises(NotFound, match="does not call through a PBX third"):
        roster.resolve_all(roster.parse("third/1"), {"main": people("2"), "second": people("2")})


def test_groups_are_followed_on_each_pbx_by_itself(house: House) -> None:
    users = {"main": people("1", "2"), "second": people("2")}
    roster.assign(
        house.session, house.campaign, roster.parse("group:Sales"), users["main"], others={"second": users["second"]},
        now=factories.NOW, who="cli:anna",
    )  # fmt: skip
    assert len(roster.refresh_groups(house.session, "second", people("2", "7"))) == 1
    assert members(house) == {"main/1", "main/2", "second/2", "second/7"}
    assert len(roster.refresh_groups(house.session, "main", people("1"))) == 1
    assert members(house) == {"main/1", "second/2", "second/7"}


def test_the_campaigns_own_pbx_is_on_an_old_row_alone(session: Session) -> None:
    """A process of the release before writes no row of PBXs: such a campaign calls through its one."""
    old = factories.campaign(session, pbx="second")
    assert session.execute(text("SELECT count(*) FROM campaign_pbxes")).scalar_one() == 0
    assert pools.names(session, session.get_one(Campaign, old.id)) == ["second"]
