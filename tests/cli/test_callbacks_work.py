"""Promising, taking, moving and closing callbacks from the command line, and the tickets XiVO users would recognise."""

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns.application import Application
from campaigns.callback_tickets import XIVO_COLUMNS
from campaigns.db import database_now
from campaigns.models import Agent, Attempt, Callback, CallbackTicket, Campaign, Contact, Ledger
from tests import factories
from tests.cli.conftest import Dialer, OpenedContext
from tests.fakes import FakePbx

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def campaign(session: Session) -> Campaign:
    made = factories.campaign(session, name="spring")
    factories.lines(session)
    session.execute(text("UPDATE pbx_status SET read_at = clock_timestamp() + interval '20 s'"))
    session.commit()
    return made


@pytest.fixture
def anna(session: Session, campaign: Campaign) -> Agent:
    made, _ = factories.parked_agent(session, campaign, user_id="101", name="Anna Rossi", extension="201")
    session.commit()
    return made


@pytest.fixture
def dialer(app: Application) -> Dialer:
    """With a PBX that takes orders."""
    return Dialer(OpenedContext(replace(app, pbxes={"main": FakePbx()})))


def tomorrow() -> str:
    return (datetime.now(UTC) + timedelta(days=1)).date().isoformat()


def test_a_callback_of_a_whole_day_ends_with_that_day(dialer: Dialer, session: Session, campaign: Campaign) -> None:
    dialer.ok("callbacks", "add", "spring", "06 12345678", "--due", tomorrow())  # at any hour, as the campaign calls
    assert f"{tomorrow()} 00:00-24:00" in dialer.ok("callbacks", "list", "spring")


def test_a_number_on_no_list_is_promised_a_callback_with_an_owner(
    dialer: Dialer, session: Session, anna: Agent
) -> None:
    told = dialer.json(
        "callbacks", "add", "spring", "06 12345678", "--due", f"{tomorrow()}T15:30", "--owner", "101",
        "--why", "asks about the offer",
    )  # fmt: skip
    assert (told["number"], told["owner"], told["zone"]) == ("+390612345678", "Anna Rossi", "Europe/Rome")
    row = dialer.json("callbacks", "list", "spring")["callbacks"][0]
    assert (row["id"], row["due"], row["owner"], row["list"]) == (
        told["callback"],
        "later",
        "Anna Rossi",
        "promised by hand",
    )
    assert row["description"] == "asks about the offer"
    table = dialer.ok("callbacks", "list")
    assert "15:30-16:00" in table
    assert "Anna Rossi" in table
    assert [one["id"] for one in dialer.json("callbacks", "list", "--agent", "101")["callbacks"]] == [row["id"]]


@pytest.mark.parametrize(
    ("given", "code", "told"),
    [
        (("spring", "06 12345678", "--due", "2020-01-01"), 2, "that time is over"),
        (("spring", "06 12345678", "--period", "Noon"), 2, "there is no period 'Noon'"),
        (("spring", "06 12345678", "--owner", "999"), 4, "999"),
        (("spring", "nobody"), 2, "neither a contact of campaign spring nor a number"),
        (("spring", "06 12345678", "--due", "2027-01-01", "--on", "2027-01-02"), 2, "leave out --on"),
        (("spring", "06 12345678", "--on", "2027-01-01T10:00", "--at", "11:00"), 2, "given twice"),
        (("autumn", "06 12345678"), 4, "autumn"),
    ],
)
def test_a_promise_that_makes_no_sense_is_refused(
    dialer: Dialer, session: Session, anna: Agent, given: tuple[str, ...], code: int, told: str
) -> None:
    result = dialer("callbacks", "add", *given)
    assert (result.exit_code, told in result.stderr) == (code, True), result.stderr
    assert session.scalars(select(Callback)).all() == []
    assert session.scalars(select(Contact)).all() == []


def test_nobody_who_asked_not_to_be_called_is_promised_a_call(dialer: Dialer, anna: Agent) -> None:
    dialer.ok("dnc", "add", "06 12345678", "--reason", "asked")
    assert dialer("callbacks", "add", "spring", "06 12345678").exit_code == 5


def promised(dialer: Dialer, *more: str) -> int:
    return int(dialer.json("callbacks", "add", "spring", "06 12345678", *more)["callback"])


def test_taken_and_given_back(dialer: Dialer, session: Session, campaign: Campaign, anna: Agent) -> None:
    number = promised(dialer)
    told = dialer.json("callbacks", "take", str(number), "101")
    assert told["taken_by"] == "Anna Rossi"
    assert "taken by Anna Rossi" in dialer.ok("callbacks", "list")
    factories.agent(session, campaign, user_id="102", name="Bruno")
    session.commit()
    other = dialer("callbacks", "take", str(number), "102")
    assert (other.exit_code, "taken by Anna Rossi until" in other.stderr) == (5, True)
    assert "anyone's again" in dialer.ok("callbacks", "release", str(number))
    assert dialer("callbacks", "release", str(number)).exit_code == 5
    assert dialer("callbacks", "take", "4711", "101").exit_code == 4
    verbs = session.scalars(select(Ledger.details["verb"].astext).where(Ledger.kind == "callback")).all()
    assert verbs == ["promised", "taken", "released"]


@pytest.mark.parametrize(("word", "called"), [("", "+390612345678"), ("mobile", "+393401234567")])
def test_the_agent_starts_it_on_either_number_before_its_time_too(
    dialer: Dialer, session: Session, campaign: Campaign, anna: Agent, word: str, called: str
) -> None:
    contact = factories.contact(session, campaign, phone="+390612345678", phone2="+393401234567")
    session.commit()
    number = promised(dialer)
    nobody = dialer("callbacks", "start", str(number))
    assert (nobody.exit_code, "is not taken" in nobody.stderr) == (2, True)
    wrong = dialer("callbacks", "start", str(number), "101", "--number", "06 99999999")
    assert (wrong.exit_code, "it has +390612345678 and +393401234567" in wrong.stderr) == (2, True)
    more = ("--number", word) if word else ()
    told = dialer.json("callbacks", "start", str(number), "101", *more)
    assert told["number"] == called
    attempt = session.scalars(select(Attempt)).one()
    assert (attempt.contact_id, attempt.number, attempt.reserved_agent_id) == (contact.id, called, anna.id)
    ticket = session.scalars(select(CallbackTicket)).one()
    assert (ticket.agent_id, ticket.attempt_id, ticket.status) == (anna.id, attempt.id, "")
    again = dialer("callbacks", "start", str(number))
    assert again.exit_code in (5, 75)
    busy = dialer("callbacks", "close", str(number), "--status", "Answered")
    assert (busy.exit_code, "close it when the call is over" in busy.stderr) == (5, True)


def test_a_rule_that_says_no_starts_nothing(dialer: Dialer, session: Session, campaign: Campaign, anna: Agent) -> None:
    number = promised(dialer)
    campaign.hours = "00:00-00:01"
    session.commit()
    result = dialer("callbacks", "start", str(number), "101")
    assert (result.exit_code, "is outside" in result.stderr) == (5, True)
    assert session.scalars(select(Attempt)).all() == []
    assert session.scalars(select(CallbackTicket)).all() == []
    kept = session.get_one(Callback, number)
    assert (kept.taken_by, kept.held_until) == (None, None), "who could not call it keeps nobody from it"
    verbs = session.scalars(select(Ledger.details["verb"].astext).where(Ledger.kind == "callback")).all()
    assert verbs == ["promised", "taken", "released"]


def test_what_was_taken_before_stays_taken_when_its_start_is_refused(
    dialer: Dialer, session: Session, campaign: Campaign, anna: Agent
) -> None:
    number = promised(dialer)
    dialer.ok("callbacks", "take", str(number), "101")
    campaign.hours = "00:00-00:01"
    session.commit()
    assert dialer("callbacks", "start", str(number), "101").exit_code == 5
    assert session.get_one(Callback, number).taken_by == anna.id


def test_an_agent_who_cannot_be_put_on_the_line_keeps_nobody_from_it(
    dialer: Dialer, session: Session, campaign: Campaign
) -> None:
    factories.agent(session, campaign, user_id="102", state="talking")
    session.commit()
    number = promised(dialer)
    assert dialer("callbacks", "start", str(number), "102").exit_code == 75
    assert session.get_one(Callback, number).taken_by is None


def test_the_words_of_the_first_release_still_work_and_are_not_told(
    dialer: Dialer, session: Session, anna: Agent
) -> None:
    told = dialer.json("callbacks", "add", "spring", "06 12345678", "--on", tomorrow(), "--at", "15:30")
    assert told["when"].endswith("15:30 (Europe/Rome)")
    assert "--on" not in dialer.ok("callbacks", "add", "--help")


def test_another_time_is_a_new_promise_to_the_same_owner(dialer: Dialer, session: Session, anna: Agent) -> None:
    dialer.ok("callbacks", "periods", "define", "spring", "Morning", "09:00", "12:30", "--default")
    number = promised(dialer, "--owner", "101")
    told = dialer.json("callbacks", "reschedule", str(number), "--due", "2027-03-30", "--comment", "on holiday")
    assert (told["became"], told["owner"], told["period"]) == ("moved", "Anna Rossi", "Morning")
    assert [row["id"] for row in dialer.json("callbacks", "list")["callbacks"]] == [told["callback"]]
    result = dialer("callbacks", "close", str(number), "--status", "Email")
    assert (result.exit_code, "ended without a call" in result.stderr) == (5, True)


def test_one_answered_by_email_is_closed_without_a_call(dialer: Dialer, anna: Agent) -> None:
    number = promised(dialer)
    assert dialer("callbacks", "close", str(number), "--status", "Answered").exit_code == 5
    told = dialer.json("callbacks", "close", str(number), "--status", "email", "--comment", "sent")
    assert (told["status"], told["result"]) == ("Email", "withdrawn")
    assert dialer.json("callbacks", "list")["callbacks"] == []
    (row,) = dialer.json("callbacks", "list", "--closed")["callbacks"]
    assert (row["result"], row["due"], row["overdue"]) == ("withdrawn", "", False)


def test_tickets_are_downloaded_as_xivo_writes_its_requests(
    dialer: Dialer, session: Session, campaign: Campaign, anna: Agent
) -> None:
    contact = factories.contact(
        session, campaign, phone="+33230210092", phone2="+33689746321", first_name="John", last_name="Doe",
        company="=MyCompany|SA", description="Call back quickly",
    )  # fmt: skip
    session.commit()
    number = int(dialer.json("callbacks", "add", "spring", str(contact.id))["callback"])
    dialer.ok("callbacks", "take", str(number), "101")
    dialer.ok("callbacks", "close", str(number), "--status", "Fax", "--comment", "line one\nline | two")
    raw = dialer.ok("callbacks", "tickets", "spring", "--format", "csv")
    header = (DATA / "xivo_callbacks.csv").read_text("utf-8").splitlines()[0]
    assert raw.splitlines()[0].lower().startswith(header.lower())
    (row,) = csv.DictReader(io.StringIO(raw, newline=""), delimiter="|")
    assert tuple(row) == XIVO_COLUMNS
    assert (row["phoneNumber"], row["mobilePhoneNumber"]) == ("+33230210092", "+33689746321")
    assert (row["firstName"], row["company"]) == ("John", "'=MyCompany|SA")
    assert (row["status"], row["agent"], row["comment"]) == ("Fax", "201", "line one\nline | two")
    shown = dialer.ok("callbacks", "tickets")
    assert "Anna Rossi" in shown
    (plain,) = dialer.json("callbacks", "tickets", "spring")["tickets"]
    assert (plain["callback"], plain["result"]) == (number, "withdrawn")


def test_no_tickets_says_so(dialer: Dialer, campaign: Campaign) -> None:
    assert "no ticket was begun" in dialer("callbacks", "tickets", "spring").stderr


def breaking(dialer: Dialer, session: Session, minutes: int) -> int:
    """A callback that breaks in so many minutes, or broke so many ago."""
    number = promised(dialer)
    made = session.get_one(Callback, number)
    now = database_now(session)
    made.due_at, made.deadline_at = now - timedelta(hours=2), now + timedelta(minutes=minutes)
    made.alarm_at = made.deadline_at - timedelta(minutes=15)
    session.commit()
    return number


def test_one_that_breaks_soon_is_seen_before_in_every_place(dialer: Dialer, session: Session, anna: Agent) -> None:
    number = breaking(dialer, session, 10)
    (row,) = dialer.json("callbacks", "list", "--alarms")["callbacks"]
    assert (row["id"], row["due"], row["alarmed"], row["overdue"]) == (number, "now", True, False)
    assert "▲ breaks soon" in dialer.ok("callbacks", "list", "spring")
    assert "1 will break soon" in dialer.ok("status", "spring")
    assert dialer.json("status", "spring")["campaigns"][0]["callbacks"] == {"due": 1, "alarmed": 1, "over": 0}
    assert "promised callbacks" in dialer("doctor").stdout


def test_none_about_to_break_says_so(dialer: Dialer, session: Session, anna: Agent) -> None:
    promised(dialer)
    assert dialer("callbacks", "list", "--alarms").stderr == "no callback is about to break\n"


def test_the_report_tells_kept_late_lost_and_what_is_over(
    dialer: Dialer, session: Session, campaign: Campaign, anna: Agent
) -> None:
    now = database_now(session)
    due, deadline = now - timedelta(hours=3), now - timedelta(hours=1)
    for called, result in (
        (due, ""), (due, "kept"), (deadline + timedelta(minutes=5), "late"), (None, "lost"), (None, ""),
        (None, "moved"), (None, "withdrawn"),
    ):  # fmt: skip
        contact = factories.contact(session, campaign)
        session.add(
            Callback(
                campaign_id=campaign.id, contact_id=contact.id, due_date=due.date(), zone="Europe/Rome", due_at=due,
                deadline_at=deadline, alarm_at=deadline - timedelta(minutes=15), made_at=due, made_by="a",
                called_at=called, result=result, closed_at=now if result else None,
                alarmed_at=deadline - timedelta(minutes=10) if result == "lost" else None,
                reached_at=called if result == "kept" else None,
            )
        )  # fmt: skip
    session.commit()
    since = (now - timedelta(days=1)).isoformat()
    total = dialer.json("report", "callbacks", "--campaign", "spring", "--from", since)["total"]
    counted = {name: total[name] for name in ("promised", "kept", "late", "lost", "over", "moved", "withdrawn")}
    assert counted == {"promised": 7, "kept": 2, "late": 1, "lost": 1, "over": 1, "moved": 1, "withdrawn": 1}
    assert (total["reached"], total["warned"], total["latest"], total["rate"]) == (1, 1, 300.0, 0.4)
    result = dialer("report", "callbacks", "--campaign", "spring", "--from", since)
    assert "2 of the late, lost and over were not reported before they broke" in result.stderr


def test_the_makers_own_file_becomes_promises(dialer: Dialer, session: Session, campaign: Campaign) -> None:
    campaign.country, campaign.time_zone = "FR", "Europe/Paris"
    session.commit()
    dialer.ok("callbacks", "periods", "define", "spring", "Morning", "08:00", "12:10", "--default")
    dialer.ok("callbacks", "periods", "define", "spring", "Afternoon", "14:00", "17:00")
    day = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
    for heading in ("Period", "period"):
        original = (DATA / "xivo_callbacks.csv").read_text("utf-8").replace("2026-08-01", day)
        file = dialer.context.app.data_dir / f"{heading}.csv"
        file.write_text(original.replace("|Period", f"|{heading}"), "utf-8")
        told = dialer.json("list", "import", "spring", str(file), "--kind", "callbacks")
        assert (told["accepted"], told["rejected"]) == (2, 0), heading
        rows = dialer.json("callbacks", "list", "spring")["callbacks"]
        assert [(row["period"], row["phone"]) for row in rows] == [
            ("Morning", "+33230210092"),
            ("Afternoon", "+33587963214"),
        ]
        assert all(row["id"] for row in rows), "each has its promise, in the import's own transaction"
        assert rows[1]["due_at"][:10] == day
        session.execute(text("UPDATE contacts SET state = 'closed', next_at = NULL, closed_because = 'reached'"))
        session.execute(text("UPDATE callbacks SET closed_at = now(), result = 'kept'"))
        session.commit()
