import io
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from campaigns import ledger, lifecycle, reports
from campaigns.models import Agent, Attempt, Campaign, CampaignAgent, Contact, ContactList
from campaigns.report_shape import Report, inert
from dialer.abandonment import Ended, figures, rate, us_rate
from dialer.calls import FINAL, CallState
from dialer.errors import BadInput, NotFound
from dialer.pbx.base import Feature

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
NOW = datetime(2026, 3, 2, 18, 0, tzinfo=UTC)


class World:
    """A campaign with attempts that went as the test says."""

    def __init__(self, session: Session, name: str = "spring", **given: Any) -> None:
        self.session = session
        self.campaign: Campaign = lifecycle.create(
            session, name=name, pbx="main", features=frozenset(Feature), caller_id="+390551234567",
            now=NOON, who="test", **given,
        )  # fmt: skip
        imported = ContactList(campaign_id=self.campaign.id, name="list", kind="contacts")
        session.add(imported)
        session.flush()
        self.list_id = imported.id
        self.count = 0

    def attempt(
        self, state: str, at: datetime = NOON, *, rang: float | None = 10, waited: float | None = None,
        talked: float | None = None, answered: bool | None = None, **given: Any,
    ) -> Attempt:  # fmt: skip
        """One attempt ordered `at`; it rang, was answered, waited for an agent, and talked, in that order."""
        self.count += 1
        phone = f"+3906{self.campaign.id:03d}{self.count:05d}"
        contact = Contact(campaign_id=self.campaign.id, list_id=self.list_id, line=self.count + 1, phone=phone)
        self.session.add(contact)
        self.session.flush()
        ringing = at + timedelta(seconds=1) if rang is not None else None
        was = answered if answered is not None else state in ("completed", "abandoned", "hung_up", "joined", "held")
        answered_at = at + timedelta(seconds=1 + (rang or 0)) if was else None
        joined_at = answered_at + timedelta(seconds=waited) if answered_at and waited is not None else None
        over = joined_at or answered_at or at + timedelta(seconds=1 + (rang or 0))
        over += timedelta(seconds=talked or 0)
        is_open = CallState(state) not in FINAL
        values: dict[str, Any] = {
            "number": phone, "gateway": "4", "caller_id": "+390551234567", "attempt_no": 1, "fence": 1, "proof": {},
            "answer_limit": 2.0, "rule_pack": "default-2026", "pbx": "main",
            "ref": f"r{self.campaign.id}-c{self.count}",
            "state": state, "ordered_at": at, "sent_at": at, "not_after": at + timedelta(seconds=10),
            "ringing_at": ringing, "answered_at": answered_at, "joined_at": joined_at,
            "over_at": None if is_open else over, "ended_at": None if is_open else over,
        }  # fmt: skip
        row = Attempt(campaign_id=self.campaign.id, contact_id=contact.id, **{**values, **given})
        self.session.add(row)
        self.session.flush()
        return row

    def agent(self, user_id: str, state: str = "out", since: datetime = NOW) -> Agent:
        row = Agent(pbx="main", user_id=user_id, name=f"Agent {user_id}", state=state, since=since)
        self.session.add(row)
        self.session.flush()
        self.session.add(CampaignAgent(campaign_id=self.campaign.id, agent_id=row.id))
        self.session.flush()
        return row

    def was(self, agent: Agent, state: str, start: datetime, end: datetime, *, own: bool = True) -> None:
        """The ledger's row for a stretch of an agent's time."""
        told: dict[str, Any] = {"from": state, "to": "ready", "seconds": (end - start).total_seconds()}
        campaign = self.campaign.id if own else None
        ledger.record(self.session, at=end, kind="agent", who="dialer", campaign_id=campaign, agent_id=agent.id, **told)
        self.session.flush()

    def report(self, name: str, **given: Any) -> Report:
        values = {"campaign": self.campaign.name, "since": date(2026, 3, 2), "until": date(2026, 3, 3), "now": NOW}
        return reports.make(self.session, name, **{**values, **given})


@pytest.fixture
def world(session: Session) -> World:
    return World(session)


# Periods -------------------------------------------------------------------------------------------------


def test_a_period_includes_its_beginning_and_not_its_end(world: World) -> None:
    day = datetime(2026, 3, 1, 23, 0, tzinfo=UTC)  # midnight in Rome
    for at in (day - timedelta(microseconds=1), day, day + timedelta(days=1) - timedelta(microseconds=1)):
        world.attempt("busy", at)
    world.attempt("busy", day + timedelta(days=1))
    assert world.report("outcomes").rows[0]["attempts"] == 2


def test_two_periods_that_touch_count_every_attempt_once(world: World) -> None:
    for minute in range(0, 60, 7):
        world.attempt("busy", NOON + timedelta(minutes=minute))
    middle = NOON + timedelta(minutes=21)
    before = world.report("outcomes", since=NOON, until=middle).rows[0]["attempts"]
    after = world.report("outcomes", since=middle, until=NOON + timedelta(hours=1)).rows[0]["attempts"]
    assert (before, after) == (3, 6)


def test_days_are_the_campaigns_own(session: Session) -> None:
    tokyo = World(session, "tokyo", time_zone="Asia/Tokyo")
    tokyo.attempt("busy", datetime(2026, 3, 1, 15, 0, tzinfo=UTC))  # the 2nd in Tokyo
    tokyo.attempt("busy", datetime(2026, 3, 2, 15, 0, tzinfo=UTC))  # the 3rd
    assert tokyo.report("outcomes").rows[0]["attempts"] == 1
    assert tokyo.report("outcomes").period.zone.key == "Asia/Tokyo"


def test_a_report_begins_today_and_ends_now_unless_it_is_told(world: World) -> None:
    made = world.report("outcomes", since=None, until=None)
    assert made.period.start == datetime(2026, 3, 1, 23, 0, tzinfo=UTC)
    assert made.period.end == NOW


def test_a_period_that_ends_before_it_begins_is_refused_with_what_the_end_means(world: World) -> None:
    with pytest.raises(BadInput, match=r"--to is the first moment that no longer belongs"):
        world.report("outcomes", since=date(2026, 3, 3), until=date(2026, 3, 3))
    with pytest.raises(BadInput, match="ends before it begins"):
        world.report("outcomes", since=date(2026, 3, 3), until=None)  # tomorrow


def test_there_are_only_the_reports_there_are(world: World) -> None:
    with pytest.raises(NotFound, match="there are outcomes, dispositions, abandonment, agents, queues, attempts"):
        world.report("profits")


# Outcomes ------------------------------------------------------------------------------------------------


def test_outcomes_add_up_to_all_attempts_with_their_shares(world: World) -> None:
    for _ in range(3):
        world.attempt("no_answer", rang=25)
    world.attempt("completed", waited=1, talked=120)
    world.attempt("ringing")
    made = world.report("outcomes")
    assert {row["outcome"]: row["attempts"] for row in made.rows} == {"no_answer": 3, "completed": 1, "in progress": 1}
    assert sum(row["share"] for row in made.rows) == pytest.approx(1)
    assert made.rows[0]["ringing"] == pytest.approx(25)
    assert made.total is not None
    assert (made.total["attempts"], made.total["talk"]) == (5, pytest.approx(120))


def test_a_report_of_one_campaign_shows_nothing_of_another(session: Session, world: World) -> None:
    other = World(session, "autumn")
    other.attempt("busy")
    other.attempt("completed", waited=0.5, talked=5, agent_id=other.agent("301", "talking").id)
    for name in reports.REPORTS:
        assert world.report(name).rows == []
    assert world.report("outcomes", campaign=None).rows != []


# Abandonment ---------------------------------------------------------------------------------------------


def test_abandonment_counts_each_answered_call_where_the_law_does(world: World) -> None:
    world.attempt("completed", waited=0.4, talked=60)
    world.attempt("completed", waited=2.0, talked=60)  # exactly at the limit: in time
    world.attempt("completed", waited=2.6, talked=60)  # too late: abandoned, though somebody talked
    world.attempt("abandoned")
    world.attempt("hung_up")
    world.attempt("no_answer")  # nobody answered
    (row,) = world.report("abandonment").rows
    assert (row["answered"], row["joined"], row["abandoned"], row["hung_up"]) == (5, 2, 2, 1)
    assert (row["rate"], row["rate_of_answered"]) == (0.5, 0.4)
    assert (row["waited_max"], row["ceiling"]) == (pytest.approx(2.6), 0.03)


def test_the_rates_are_those_of_the_rules_reckoned_from_the_same_calls(world: World) -> None:
    calls = [("completed", 0.3)] * 31 + [("completed", 2.5)] + [("abandoned", None)] * 2 + [("hung_up", None)] * 5
    for state, waited in calls:
        world.attempt(state, waited=waited, talked=30 if waited else 0)
    counted = figures([Ended(CallState(state), waited) for state, waited in calls], 2.0)
    (row,) = world.report("abandonment").rows
    assert row["rate"] == rate(counted.abandoned, counted.met)
    assert row["rate_of_answered"] == us_rate(counted)


def test_an_abandoned_call_whose_answer_was_never_heard_counts(world: World) -> None:
    world.attempt("abandoned", answered=False)
    (row,) = world.report("abandonment").rows
    assert (row["answered"], row["abandoned"]) == (1, 1)


def test_a_call_that_goes_on_counts_as_soon_as_it_is_certain_where(world: World) -> None:
    world.attempt("joined", waited=1)
    world.attempt("held")
    world.attempt("message", answered=True, message_at=NOON + timedelta(seconds=13))
    (row,) = world.report("abandonment").rows
    assert (row["answered"], row["joined"], row["abandoned"]) == (3, 1, 1)


def test_each_day_has_its_row_and_the_total_is_of_all_calls(world: World) -> None:
    world.attempt("completed", NOON - timedelta(days=1), waited=1.0)
    world.attempt("completed", waited=1.5)
    world.attempt("abandoned")
    made = world.report("abandonment", since=date(2026, 3, 1))
    assert [(str(row["day"]), row["abandoned"]) for row in made.rows] == [("2026-03-01", 0), ("2026-03-02", 1)]
    assert made.total is not None
    assert (made.total["answered"], made.total["waited_p50"]) == (3, pytest.approx(1.25))
    assert made.notes == ["2026-03-02: campaign spring was above its limit"]


# Agents --------------------------------------------------------------------------------------------------


def test_an_agents_time_is_cut_at_the_edges_of_the_period(world: World) -> None:
    anna = world.agent("101", "paused", since=NOW - timedelta(minutes=10))
    start, end = NOON, NOW
    world.was(anna, "parked", start - timedelta(minutes=5), start + timedelta(minutes=5))
    world.was(anna, "talking", start + timedelta(minutes=5), start + timedelta(minutes=35))
    world.was(anna, "wrap_up", start + timedelta(minutes=35), start + timedelta(minutes=40))
    world.was(anna, "out", start + timedelta(minutes=40), NOW - timedelta(minutes=10), own=False)
    (row,) = world.report("agents", since=start, until=end).rows
    minutes = {key: row[key] / 60 for key in ("waiting", "talking", "wrap_up", "paused", "at_work")}
    assert minutes == pytest.approx({"waiting": 5, "talking": 30, "wrap_up": 5, "paused": 10, "at_work": 50})
    assert row["occupancy"] == pytest.approx(35 / 50)


def test_a_state_that_began_in_the_period_and_ended_after_it_is_cut_too(world: World) -> None:
    anna = world.agent("101")
    world.was(anna, "talking", NOON - timedelta(minutes=10), NOON + timedelta(hours=1))
    (row,) = world.report("agents", since=NOON - timedelta(hours=1), until=NOON).rows
    assert row["talking"] == pytest.approx(600)


def test_conversations_and_their_mean_are_of_the_agents_own_calls(world: World) -> None:
    anna, bruno = world.agent("101"), world.agent("102")
    world.attempt("completed", waited=1, talked=60, agent_id=anna.id)
    world.attempt("completed", waited=1, talked=120, agent_id=anna.id)
    world.attempt("completed", waited=1, talked=30, agent_id=bruno.id)
    made = world.report("agents")
    assert [(row["name"], row["conversations"], row["mean_talk"]) for row in made.rows] == [
        ("Agent 101", 2, pytest.approx(90)), ("Agent 102", 1, pytest.approx(30)),
    ]  # fmt: skip
    assert made.total is not None
    assert (made.total["conversations"], made.total["mean_talk"]) == (3, pytest.approx(70))


def test_time_spent_for_another_campaign_is_not_counted_here(session: Session, world: World) -> None:
    other = World(session, "autumn")
    anna = world.agent("101")
    session.add(CampaignAgent(campaign_id=other.campaign.id, agent_id=anna.id))
    session.flush()
    world.was(anna, "talking", NOON, NOON + timedelta(minutes=1))
    other.was(anna, "talking", NOON + timedelta(minutes=1), NOON + timedelta(minutes=5))
    assert world.report("agents").rows[0]["talking"] == pytest.approx(60)
    assert other.report("agents").rows[0]["talking"] == pytest.approx(240)
    assert world.report("agents", campaign=None).rows[0]["talking"] == pytest.approx(300)


# Shapes --------------------------------------------------------------------------------------------------


def test_attempts_are_listed_one_by_one_in_order_with_person_and_agent(world: World) -> None:
    anna = world.agent("101")
    world.attempt("no_answer", NOON + timedelta(minutes=1), trouble="no events")
    first = world.attempt("completed", waited=1.5, talked=60, agent_id=anna.id)
    made = world.report("attempts")
    assert [row["outcome"] for row in made.rows] == ["completed", "no_answer"]
    assert (made.rows[0]["agent"], made.rows[0]["number"], made.rows[0]["waited"]) == (
        "Agent 101", first.number, pytest.approx(1.5),
    )  # fmt: skip
    assert made.rows[1]["trouble"] == "no events"


def test_json_is_one_object_with_plain_values(world: World) -> None:
    world.attempt("completed", waited=1, talked=60)
    for name in reports.REPORTS:
        told = json.loads(json.dumps(world.report(name).as_json()))
        assert told["report"] == name
        assert told["from"] == "2026-03-02T00:00:00+01:00"
        for key in {"attempts": ["ordered_at"], "records": ["called_at"]}.get(name, []):
            assert told["rows"][0][key] == "2026-03-02T13:00:00+01:00"


def test_csv_holds_the_rows_and_no_formula(session: Session, world: World) -> None:
    evil = world.attempt("busy", trouble='=HYPERLINK("http://evil")')
    contact = session.get_one(Contact, evil.contact_id)
    contact.first_name, contact.company = "@SUM(A1)", 'a "quoted"; company\nof two lines'
    session.flush()
    text = io.StringIO()
    world.report("attempts").write_csv(text)
    lines = text.getvalue().split("\r\n")
    assert lines[0].startswith("ordered_at,campaign,contact,number,who")
    assert evil.number in text.getvalue()
    assert "'=HYPERLINK" in text.getvalue()
    assert "'@SUM(A1)" in text.getvalue()
    assert '""quoted""' in text.getvalue()


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"), ("+cmd|x", "'+cmd|x"), ("-2+3", "'-2+3"), ("@x", "'@x"), ("\tx", "'\tx"), ("\rx", "'\rx"),
        ("+390612345678", "+390612345678"), ("-12.5", "-12.5"), ("plain", "plain"), ("", ""), (7, 7),
    ],
)  # fmt: skip
def test_a_cell_that_a_spreadsheet_would_run_is_quoted_and_a_number_is_not(cell: object, written: object) -> None:
    assert inert(cell) == written


def test_people_among_a_detector_s_machines_are_lost_in_the_report_too(session: Session) -> None:
    from campaigns.overview import campaign_rows

    world = World(session)
    for _ in range(97):
        world.attempt("completed", waited=0.5, talked=30)
    for _ in range(60):
        world.attempt("no_answer", leg_outcome="machine")
    session.flush()
    made = world.report("abandonment")
    (row,), total = made.rows, made.total
    assert total is not None
    assert (row["detected"], row["mistaken"], row["abandoned"], row["joined"]) == (60, 2, 2, 97)
    assert row["answered"] == 97
    assert row["rate"] == pytest.approx(2 / 99)
    assert row["rate_of_answered"] == pytest.approx(2 / 99)
    assert (total["mistaken"], total["abandoned"]) == (2, 2)
    (shown,) = campaign_rows(session, NOW)
    assert (shown.abandoned, shown.joined) == (2, 97)
