import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.endings import close_attempt
from campaigns.models import Agent, Assignment, Attempt, Campaign, Contact
from dialer.calls import CallState
from tests import factories
from tests.cli.conftest import Dialer


@pytest.fixture
def spring(dialer: Dialer) -> Dialer:
    dialer.ok("campaign", "create", "spring", "--caller-id", "+390551234567", "--agents", "101", "--hours", "always",
              "--time-zone", "Europe/Rome")  # fmt: skip
    return dialer


@pytest.fixture
def talking(spring: Dialer, session: Session) -> Dialer:
    """Anna talks with Bruno."""
    campaign = session.scalars(select(Campaign)).one()
    anna = session.scalars(select(Agent).where(Agent.user_id == "101")).one()
    anna.state, anna.campaign_id = "talking", campaign.id
    leg = factories.leg(session, campaign, anna, state="held")
    bruno = factories.contact(session, campaign, phone="+390612345678", first_name="Bruno", state="live", next_at=None)
    made = factories.attempt(session, campaign, contact=bruno, state=CallState.JOINED, joined_at=factories.NOW,
                             answered_at=factories.NOW, agent_id=anna.id)  # fmt: skip
    session.add(Assignment(attempt_id=made.id, agent_id=anna.id, leg_id=leg.id, assigned_at=factories.NOW))
    session.commit()
    return spring


def hang_up(session: Session) -> Attempt:
    session.expire_all()
    made = session.scalars(select(Attempt)).one()
    close_attempt(session, made, CallState.COMPLETED, now=factories.NOW)
    session.commit()
    return made


def test_the_words_of_a_campaign_are_listed_with_what_they_do(spring: Dialer) -> None:
    told = spring.ok("disposition", "list", "spring")
    assert "never called again by any campaign" in told
    assert "at most 3 times per number" in told
    words = spring.json("disposition", "list", "spring")["dispositions"]
    assert [one["code"] for one in words][:2] == ["sale", "done"]


def test_a_word_is_added_changed_retired_and_restored(spring: Dialer) -> None:
    added = spring.ok("disposition", "add", "spring", "no-money", "--label", "No money", "--meaning", "refusal",
                      "--does", "retry", "--days", "60")  # fmt: skip
    assert "tried again, 60 days later at the soonest" in added
    changed = spring.json("disposition", "set", "spring", "no-money", "--delay", "2h", "--most", "2")
    assert (changed["rule"], changed["changed"]) == ({"delay": 7200.0, "most": 2, "days": 60}, ["retry_rule"])
    assert "was like that already" in spring.ok("disposition", "set", "spring", "no-money", "--delay", "2h")
    assert "is retired" in spring.ok("disposition", "retire", "spring", "no-money")
    assert "no-money" not in spring.ok("disposition", "list", "spring")
    assert "retired" in spring.ok("disposition", "list", "spring", "--all")
    assert "can be said again" in spring.ok("disposition", "restore", "spring", "no-money")


def test_what_makes_no_sense_is_wrong_use_with_the_reason(spring: Dialer) -> None:
    assert spring("disposition", "set", "spring", "sale").exit_code == 2
    refused = spring("disposition", "set", "spring", "sale", "--delay", "2h")
    assert (refused.exit_code, "only a retry" in refused.stderr) == (2, True)
    assert spring("disposition", "set", "spring", "nothing", "--label", "x").exit_code == 4
    assert spring("disposition", "retire", "spring", "nothing").exit_code == 4


def test_an_agent_says_what_came_of_the_call_and_is_ready(talking: Dialer, session: Session) -> None:
    in_hand = talking.ok("agent", "dispose", "101", "sale", "--note", "two of them")
    assert "Sale; the contact follows when the call is over" in in_hand
    ref = hang_up(session).ref
    after = talking.ok("agent", "dispose", "101", "refusal", "--ready")
    assert after == f"call {ref}: Not interested (was sale); the contact is closed: an agent said refusal\n"
    assert talking.json("agent", "list")["agents"][0]["state"] == "ready"
    late = talking("agent", "dispose", "101", "sale")
    assert (late.exit_code, "--call" in late.stderr) == (4, True)
    assert talking.json("agent", "dispose", "101", "sale", "--call", ref)["before"] == "refusal"


def test_a_callback_is_promised_and_listed(talking: Dialer, session: Session) -> None:
    hang_up(session)
    missing = talking("agent", "dispose", "101", "callback")
    assert (missing.exit_code, "--due" in missing.stderr) == (2, True)
    day = _tomorrow(session)
    said = talking.json("agent", "dispose", "101", "callback", "--due", f"{day}T15:30")
    assert said["callback_at"] == said["next_at"]
    assert [one["due_date"] for one in talking.json("callbacks", "list", "spring")["callbacks"]] == [day]


def _tomorrow(session: Session) -> str:
    from sqlalchemy import text

    return str(session.scalar(text("SELECT (now() AT TIME ZONE 'Europe/Rome')::date + 1")))


def test_do_not_call_says_how_many_numbers(talking: Dialer, session: Session) -> None:
    result = talking("agent", "dispose", "101", "dnc")
    assert (result.exit_code, "1 number put on the do-not-call list" in result.stderr) == (0, True)
    assert talking.json("dnc", "check", "+390612345678")["blocked"] is True


def test_a_word_is_changed_afterwards_with_a_reason(talking: Dialer, session: Session) -> None:
    ref = hang_up(session).ref
    talking.ok("agent", "dispose", "101", "sale")
    assert talking("disposition", "change", ref, "refusal").exit_code == 2
    changed = talking.json("disposition", "change", ref, "refusal", "--why", "heard the recording")
    assert (changed["before"], changed["closed_because"]) == ("sale", "said:refusal")
    assert talking("disposition", "change", "d0-c0", "sale", "--why", "x").exit_code == 4
    session.expire_all()
    assert session.scalars(select(Contact.closed_because)).all() == ["said:refusal"]


def test_the_report_tells_what_was_said(talking: Dialer, session: Session) -> None:
    talking.ok("agent", "dispose", "101", "sale")
    told = talking.ok("report", "dispositions", "--campaign", "spring", "--from", "2026-03-01")
    assert "Sale" in told
    assert "100.0 %" in told


def test_script_and_form_are_given_shown_and_answered(talking: Dialer, session: Session) -> None:
    assert "has no script" in talking("campaign", "script", "spring").stderr
    given = talking("campaign", "script", "spring", "-", input="Hello {first_name}!\nYour {custom.Colour}?\n")
    assert given.exit_code == 0
    assert "no contact seen has a column 'Colour'" in given.stderr
    assert talking.ok("campaign", "script", "spring") == "Hello {first_name}!\nYour {custom.Colour}?\n"
    wrong = talking("campaign", "script", "spring", "-", input="one\n{nome}")
    assert (wrong.exit_code, "line 2: there is no field 'nome'" in wrong.stderr) == (2, True)
    assert talking.json("campaign", "form", "spring", "budget*:number", "remark")["form"][0]["required"] is True
    assert "for a sale" in talking.ok("campaign", "form", "spring")
    read = talking.ok("agent", "script", "101")
    assert "Hello Bruno!\nYour [no Colour]?" in read
    assert "--answer budget*:number" in read
    missing = talking("agent", "dispose", "101", "sale")
    assert (missing.exit_code, "wants budget" in missing.stderr) == (2, True)
    assert talking("agent", "dispose", "101", "sale", "--answer", "budget").exit_code == 2
    talking.ok("agent", "dispose", "101", "sale", "--answer", "budget=120")
    assert talking.json("agent", "script", "101")["answers"] == {"budget": 120}
    (row,) = talking.json("report", "attempts", "--campaign", "spring", "--from", "2026-03-01")["rows"]
    assert (row["disposition"], row["answers"]) == ("sale", '{"budget": 120}')
    assert "no script now" in talking.ok("campaign", "script", "spring", "--clear")
    assert talking.json("campaign", "form", "spring", "--clear")["form"] == []
