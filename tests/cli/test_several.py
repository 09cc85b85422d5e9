"""`dialer campaign pbx` and `dialer agent phone`: several PBXs from the command line."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.application import Application
from campaigns.models import Agent, Ledger
from dialer.pbx.base import Feature
from tests.cli.conftest import Dialer, ListedPbx, user

CREATE = ("campaign", "create", "spring", "--caller-id", "+390551234567")


@pytest.fixture(autouse=True)
def second(dialer: Dialer, application: Application) -> ListedPbx:
    made = ListedPbx("second", [user(301, "Zoe", "Sales"), user(302, "Yan")])
    rings_first = ListedPbx("agents-first", features=frozenset({Feature.AGENT_FIRST}))
    dialer.context.app.pbxes = {**dialer.context.app.pbxes, "second": made, "agents-first": rings_first}
    return made


def test_a_campaign_is_created_with_several_and_shows_each(dialer: Dialer, session: Session) -> None:
    told = dialer.json(*CREATE, "--pbx", "main", "--standby", "second", "--agents", "101,second/302")
    assert (told["pbx"], told["agents"]) == ("main", 2)
    shown = dialer.json("campaign", "show", "spring")
    assert shown["pbxes"] == [{"pbx": "main", "role": "pool"}, {"pbx": "second", "role": "standby"}]
    assert "main, second (standby)" in dialer.ok("campaign", "show", "spring")
    listed = dialer.json("campaign", "pbx", "list", "spring")
    assert [(one["pbx"], one["role"], one["state"]) for one in listed["pbxes"]] == [
        ("main", "pool", "not read yet"),
        ("second", "standby", "not read yet"),
    ]
    assert "second" in dialer.ok("campaign", "pbx", "list", "spring")
    status = dialer.json("status", "spring")
    assert [one["pbx"] for one in status["campaigns"][0]["pbxes"]] == ["main", "second"]
    assert "standby, not read yet" in dialer.ok("status", "spring")


def test_pbxes_are_added_ordered_and_removed_and_each_change_is_in_the_ledger(dialer: Dialer, session: Session) -> None:
    dialer.ok(*CREATE, "--pbx", "main", "--agents", "101")
    assert "calls through PBX main" in dialer.ok("campaign", "pbx", "list", "spring")
    added = dialer("campaign", "pbx", "add", "spring", "second", "--why", "more lines")
    assert (added.exit_code, "main, second" in added.stdout) == (0, True)
    assert "dialer agent assign spring 101,second/all" in added.stderr
    assert "second, main" in dialer.ok("campaign", "pbx", "order", "spring", "second", "main")
    assert "calls through second" in dialer.ok("campaign", "pbx", "remove", "spring", "main")
    told = session.scalars(select(Ledger).where(Ledger.kind == "pbxes").order_by(Ledger.id)).all()
    assert [(row.details["verb"], row.why) for row in told] == [("add", "more lines"), ("order", ""), ("remove", "")]
    dialer.ok("agent", "assign", "spring", "second/all")
    again = dialer("campaign", "pbx", "add", "spring", "second")
    assert (again.exit_code, "agent assign" in again.stderr) == (0, False), "its agents are there already"
    alone = dialer("campaign", "pbx", "remove", "spring", "second")
    assert alone.exit_code != 0
    assert "needs one PBX that is not a standby" in alone.stderr


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("campaign", "pbx", "add", "spring", "branch"), "there is no PBX named 'branch'"),
        (("campaign", "pbx", "add", "spring", "agents-first"), "predictive"),
        (("campaign", "pbx", "order", "spring", "main", "main"), "name each PBX"),
        (("campaign", "pbx", "remove", "spring", "second"), "does not call through PBX second"),
        (("campaign", "create", "x", *CREATE[3:], "--pbx", "main", "--standby", "main"), "given twice"),
        (("agent", "assign", "spring", "second/301"), "does not call through a PBX second"),
    ],
)
def test_what_cannot_be_is_one_sentence(dialer: Dialer, args: tuple[str, ...], told: str) -> None:
    dialer.ok(*CREATE, "--pbx", "main")
    result = dialer(*args)
    assert result.exit_code != 0
    assert told in result.stderr
    assert "Traceback" not in result.output


def test_an_agent_is_given_a_second_phone_moved_by_hand_and_loses_it(dialer: Dialer, session: Session) -> None:
    dialer.ok(*CREATE, "--pbx", "main", "--pbx", "second", "--agents", "101,102")
    dialer.ok("agent", "phone", "add", "101", "--pbx", "second", "--user-id", "301")
    told = dialer.json("agent", "phone", "list", "101")["agents"][0]["phones"]
    assert [(one["pbx"], one["user_id"], one["works_here"], one["first"]) for one in told] == [
        ("main", "101", True, True),
        ("second", "301", False, False),
    ]
    assert "works here" in dialer.ok("agent", "phone", "list")
    dialer.ok("agent", "phone", "move", "301", "--pbx", "second", "--why", "headset broken")
    session.expire_all()
    agent = session.scalars(select(Agent).where(Agent.pbx == "second", Agent.user_id == "301")).one()
    assert (agent.spare_of, agent.home_pbx) == (None, None)
    assert "works on it now" in dialer("agent", "phone", "remove", "101", "--pbx", "second").stderr
    dialer.ok("agent", "phone", "remove", "101", "--pbx", "main")
    missing = dialer("agent", "phone", "add", "102", "--pbx", "second", "--user-id", "999")
    assert missing.exit_code == 4
    dialer.ok("agent", "login", "102")
    busy = dialer("agent", "phone", "move", "102", "--pbx", "second")
    assert busy.exit_code == 75
    assert "`dialer agent pause 102 --reason phone` first" in busy.stderr
