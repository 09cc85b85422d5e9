from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns.installation import ensure_installation
from campaigns.models import Agent, Campaign, Contact, Ledger, Offer
from tests import factories
from tests.cli.conftest import Dialer, ListedPbx, user


@pytest.fixture
def spring(dialer: Dialer) -> Dialer:
    dialer.ok("campaign", "create", "spring", "--caller-id", "+390551234567", "--agents", "all")
    return dialer


@pytest.mark.parametrize("named", ["101", "201", "Anna Rossi", "anna rossi"])
def test_an_agent_is_named_by_user_id_extension_or_name(spring: Dialer, session: Session, named: str) -> None:
    assert spring.ok("agent", "login", named) == "Anna Rossi is ready on PBX main\n"
    agent = session.scalars(select(Agent).where(Agent.user_id == "101")).one()
    assert (agent.state, agent.said_by) == ("ready", "person")


def test_a_working_day(spring: Dialer, session: Session) -> None:
    said = [
        spring.ok("agent", *args).strip()
        for args in (("login", "101"), ("pause", "101", "--reason", "lunch"), ("ready", "101"), ("logout", "101"))
    ]
    assert said == [f"Anna Rossi is {state} on PBX main" for state in ("ready", "paused", "ready", "out")]
    whys = session.scalars(select(Ledger.why).where(Ledger.kind == "agent").order_by(Ledger.id)).all()
    assert whys == ["", "lunch", "", ""]


def test_who_talks_leaves_after_the_customer_and_is_told_so(spring: Dialer, session: Session) -> None:
    session.scalars(select(Agent).where(Agent.user_id == "101")).one().state = "talking"
    session.commit()
    assert (
        spring.ok("agent", "logout", "101") == "Anna Rossi is talking on PBX main; out after the customer on the line\n"
    )
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
    assert spring.ok("agent", "login", "101", "--pbx", "branch") == "Zoe is ready on PBX branch\n"


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


def test_the_campaign_is_named_in_its_place_or_by_the_option(spring: Dialer) -> None:
    spring.ok("campaign", "create", "autumn", "--caller-id", "+390551234567", "--agents", "102")
    for named in (("autumn",), ("--campaign", "autumn"), ("autumn", "--campaign", "autumn")):
        assert [one["user_id"] for one in spring.json("agent", "list", *named)["agents"]] == ["102"]
    two = spring("agent", "list", "autumn", "--campaign", "spring")
    assert (two.exit_code, "two campaigns: give one" in two.stderr) == (2, True)
    assert spring("agent", "list", "winter").exit_code == 4


def test_the_list_says_whose_pbx_is_out_of_use(spring: Dialer, session: Session) -> None:
    for number, state in (("101", "ready"), ("102", "talking"), ("103", "paused")):
        session.scalars(select(Agent).where(Agent.user_id == number)).one().state = state
    row = factories.lines(session, "main")
    row.out_since, row.out_why = factories.NOW, "the connection was refused"
    session.commit()
    shown = spring("agent", "list", "spring")
    lines = {line.split()[0]: line for line in shown.stdout.splitlines()[1:]}
    assert "out" in lines["Anna"]
    assert "PBX main is out of use; ready again when it is back" in lines["Anna"]
    assert "talking" in lines["Bruno"]
    assert "whose line is dead says `ready`" in lines["Bruno"]
    assert "is out of use" not in next(line for line in shown.stdout.splitlines() if "paused" in line)
    assert "PBX main is out of use: the connection was refused" in shown.stderr
    told = spring.json("agent", "list", "spring")["agents"]
    assert {one["pbx_out"] for one in told} == {"the connection was refused"}
    assert sorted(one["state"] for one in told) == ["paused", "ready", "talking"], "as they said themselves"

    row.back_since = factories.NOW
    session.commit()
    again = spring("agent", "list", "spring")
    assert "out of use" not in again.output
    assert "ready" in again.stdout


def test_no_agents_yet_says_what_brings_them(dialer: Dialer) -> None:
    assert "dialer agent assign" in dialer("agent", "list").stderr


def test_assign_replaces_a_campaigns_agents(spring: Dialer, pbx: ListedPbx) -> None:
    pbx.listed.append(user(104, "Dario Blu", "Night"))
    told = spring.json("agent", "assign", "spring", "group:night")
    assert (told["agents"], told["added"], told["removed"]) == (2, 1, 2)
    assert spring("agent", "assign", "spring", "group:none").exit_code == 4
    assert spring.ok("agent", "assign", "spring", "104") == "campaign spring has 1 agent: 0 added, 1 removed\n"


# Calls of their own ----------------------------------------------------------------------------------------


@pytest.fixture
def by_hand(dialer: Dialer, session: Session) -> Dialer:
    """A running campaign with Anna on the line and a contact."""
    dialer.ok("campaign", "create", "spring", "--caller-id", "+390551234567", "--agents", "101", "--mode", "manual",
              "--hours", "always", "--time-zone", "Europe/Rome")  # fmt: skip
    dialer.ok("campaign", "start", "spring")
    campaign = session.scalars(select(Campaign)).one()
    anna = session.scalars(select(Agent).where(Agent.user_id == "101")).one()
    anna.state, anna.campaign_id = "parked", campaign.id
    factories.leg(session, campaign, anna, state="held", pbx_call_id="9", first_leg_id="5")
    factories.contact(session, campaign, phone="+390612345678", first_name="Bruno")
    factories.lines(session, campaign.pbx)
    session.execute(text("UPDATE pbx_status SET read_at = clock_timestamp()"))
    session.commit()
    ensure_installation(session.get_bind())  # type: ignore[arg-type]
    return dialer


def test_an_agent_calls_a_contact_or_a_number(by_hand: Dialer) -> None:
    assert by_hand.ok("agent", "call", "101", "spring", "--contact", "+390612345678") == (
        "calling +390612345678 for Anna Rossi\n"
    )
    listed = by_hand.json("agent", "list")["agents"][0]
    assert listed["reserved_for"] == "call"
    assert "kept for a call" in by_hand.ok("agent", "list")
    later = by_hand("agent", "call", "101", "spring", "--number", "+390612345679")
    assert later.exit_code == 75


def test_a_call_a_rule_forbids_is_exit_code_5_with_the_sentence(by_hand: Dialer) -> None:
    by_hand.ok("dnc", "add", "+390612345678")
    refused = by_hand("agent", "call", "101", "spring", "--number", "+390612345678")
    assert refused.exit_code == 5
    assert "do-not-call list" in refused.stderr or "closed: do not call" in refused.stderr


def test_a_call_needs_a_contact_or_a_number_and_not_both(by_hand: Dialer) -> None:
    assert by_hand("agent", "call", "101", "spring").exit_code == 2
    assert by_hand("agent", "call", "101", "spring", "--number", "1", "--contact", "2").exit_code == 2


def test_an_offer_is_shown_accepted_and_skipped(by_hand: Dialer, session: Session) -> None:
    assert by_hand("agent", "accept", "101").exit_code == 4
    assert by_hand.json("agent", "offers", "101") == {"offers": []}
    by_hand.ok("pace", "set", "spring", "--mode", "preview")
    campaign, contact = session.scalars(select(Campaign)).one(), session.scalars(select(Contact)).one()

    def offer() -> None:
        session.expire_all()
        anna = session.scalars(select(Agent).where(Agent.user_id == "101")).one()
        now = session.scalar(text("SELECT clock_timestamp()"))
        assert now is not None
        until = now + timedelta(seconds=60)
        session.add(
            Offer(campaign_id=campaign.id, contact_id=contact.id, agent_id=anna.id, offered_at=now, until=until)
        )
        contact.state, contact.next_at = "live", None
        anna.reserved_for, anna.reserved_until = "offer", until
        session.commit()

    offer()
    assert by_hand("agent", "skip", "101").exit_code == 2
    assert by_hand.ok("agent", "skip", "101", "--reason", "away") == f"contact {contact.id} is left for later\n"
    offer()
    assert "Bruno" in by_hand.ok("agent", "offers", "101")
    assert [one["state"] for one in by_hand.json("agent", "offers", "101")["offers"]] == ["open", "skipped"]
    assert by_hand.json("agent", "accept", "101")["number"] == "+390612345678"
    assert [one["state"] for one in by_hand.json("agent", "offers", "101")["offers"]] == ["accepted", "skipped"]
