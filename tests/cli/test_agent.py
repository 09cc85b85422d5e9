import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.models import Agent, Ledger
from tests.cli.conftest import Dialer, ListedPbx, user


@pytest.fixture
def spring(dialer: Dialer) -> Dialer:
    dialer.ok("campaign", "create", "spring", "--caller-id", "+390551234567", "--agents", "all")
    return dialer


@pytest.mark.parametrize("named", ["101", "201", "Anna Rossi", "anna rossi"])
def test_an_agent_is_named_by_user_id_extension_or_name(spring: Dialer, session: Session, named: str) -> None:
    assert spring.ok("agent", "login", named) == "Anna Rossi is ready\n"
    agent = session.scalars(select(Agent).where(Agent.user_id == "101")).one()
    assert (agent.state, agent.said_by) == ("ready", "person")


def test_a_working_day(spring: Dialer, session: Session) -> None:
    said = [
        spring.ok("agent", *args).strip()
        for args in (("login", "101"), ("pause", "101", "--reason", "lunch"), ("ready", "101"), ("logout", "101"))
    ]
    assert said == [f"Anna Rossi is {state}" for state in ("ready", "paused", "ready", "out")]
    whys = session.scalars(select(Ledger.why).where(Ledger.kind == "agent").order_by(Ledger.id)).all()
    assert whys == ["", "lunch", "", ""]


def test_who_talks_leaves_after_the_customer_and_is_told_so(spring: Dialer, session: Session) -> None:
    session.scalars(select(Agent).where(Agent.user_id == "101")).one().state = "talking"
    session.commit()
    assert spring.ok("agent", "logout", "101") == "Anna Rossi is talking; out after the customer on the line\n"
    assert spring.json("agent", "pause", "101", "--reason", "lunch")["wanted"] == "paused"


def test_a_pause_without_a_reason_is_wrong_use(spring: Dialer) -> None:
    assert spring("agent", "pause", "101").exit_code == 2
    result = spring("agent", "pause", "101", "--reason", "  ")
    assert (result.exit_code, "needs a reason" in result.stderr) == (2, True)


def test_an_unknown_or_ambiguous_agent_is_told(spring: Dialer, session: Session) -> None:
    assert spring("agent", "login", "Zoe").exit_code == 4
    session.add(Agent(pbx="branch", user_id="101", name="Zoe"))
    session.commit()
    result = spring("agent", "login", "101")
    assert (result.exit_code, "--pbx" in result.stderr) == (2, True)
    assert spring.ok("agent", "login", "101", "--pbx", "branch") == "Zoe is ready\n"


def test_the_list_shows_states_with_sign_and_word(spring: Dialer) -> None:
    spring.ok("agent", "login", "102")
    told = spring.ok("agent", "list")
    assert "● ready" in told
    assert "○ out" in told
    people = spring.json("agent", "list", "--campaign", "spring")["agents"]
    assert [(one["user_id"], one["state"], one["campaigns"]) for one in people] == [
        ("102", "ready", ["spring"]),
        ("101", "out", ["spring"]),
        ("103", "out", ["spring"]),
    ]


def test_no_agents_yet_says_what_brings_them(dialer: Dialer) -> None:
    assert "dialer agent assign" in dialer("agent", "list").stderr


def test_assign_replaces_a_campaigns_agents(spring: Dialer, pbx: ListedPbx) -> None:
    pbx.listed.append(user(104, "Dario Blu", "Night"))
    told = spring.json("agent", "assign", "spring", "group:night")
    assert (told["agents"], told["added"], told["removed"]) == (2, 1, 2)
    assert spring("agent", "assign", "spring", "group:none").exit_code == 4
    assert spring.ok("agent", "assign", "spring", "104") == "campaign spring has 1 agent: 0 added, 1 removed\n"
