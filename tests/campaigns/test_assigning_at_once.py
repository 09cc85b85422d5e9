"""An agent given in the commit that keeps the answer: only where nothing else is to be known, and as it always was."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from campaigns import assigning_at_once, looking, pbx_commands, reactions
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.event_connection import opened
from campaigns.event_log import EventLog, Question, RawEvent, connection_string
from campaigns.models import Agent, AgentLeg, Assignment, Attempt, Campaign, Command, Ledger, LoggedEvent
from dialer.calls import CallState
from dialer.pbx.asterisk_events import AsteriskEvents
from dialer.pbx.base import EventKeys, Payload, WaitingLeg
from tests import factories
from tests.fakes import FakePbx


def answer(call: Attempt, kind: str = "StasisStart") -> RawEvent:
    body = {"type": kind, "channel": {"id": call.ref, "state": "Up"}, "timestamp": "2026-03-02T09:00:00.000+0000"}
    payload = Payload("WS", "", json.dumps(body).encode(), "application/json")
    return RawEvent("main", payload, AsteriskEvents().keys(payload))


class Reads(FakePbx):
    """Reads what Asterisk tells."""

    def read(self, payload: Payload) -> Any:
        return AsteriskEvents().read(payload)

    def keys(self, payload: Payload) -> EventKeys:
        return AsteriskEvents().keys(payload)


class Hears:
    """Asks with every event, and keeps the rows."""

    def __init__(self, ask: Callable[[RawEvent, float], Question | None] = assigning_at_once.question) -> None:
        self._ask = ask
        self.rows: list[Sequence[Any] | None] = []
        self.left: list[RawEvent] = []

    def rehearsal(self) -> Question:
        return assigning_at_once.rehearsal()

    def ask(self, event: RawEvent, waited: float) -> Question | None:
        return self._ask(event, waited)

    def answer(self, event: RawEvent, row: Sequence[Any] | None) -> bool:
        self.rows.append(row)
        return row is not None

    def forget(self, event: RawEvent) -> None:
        self.rows.append(None)

    def hear(self, events: Sequence[RawEvent]) -> None:
        self.left += events

    def batch(self, events: int, seconds: float) -> None:
        """Not of interest."""

    def failure(self) -> None:
        """Not of interest."""


def keep(application: Application, *events: RawEvent, hears: Hears | None = None, **options: Any) -> list[Command]:
    """Log events as the listener does; returns the joins that were claimed with them."""
    hears = hears or Hears()

    async def main() -> None:
        log = EventLog(
            connection_string(application.engine),
            on_kept=hears.hear,
            observer=hears,
            at_once=hears,
            **{"patience": 30.0, **options},
        )
        await log.start()
        await asyncio.gather(*(log.keep(event) for event in events))
        await log.stop()

    asyncio.run(main())
    return [assigning_at_once.command_of(row) for row in hears.rows if row is not None]


@pytest.fixture
def pbx(application: Application) -> Reads:
    fake = Reads()
    application.pbxes = {"main": fake}
    return fake


@pytest.fixture
def campaign(session: Session) -> Campaign:
    return factories.campaign(session)


TABLES = (Attempt, Agent, AgentLeg, Assignment, Command, Ledger, LoggedEvent)


def told(application: Application, after: Mapping[Any, int]) -> dict[str, list[dict[str, Any]]]:
    """Every row the join left behind, without ids and times of the moment."""
    moment = ("id", "at", "assigned_at", "due_at", "sent_at", "received_at", "done_at", "handled_at", "since", "ref")
    moment += ("answered_at", "heard_at", "held_at", "join_sent_at", "number", "contact_id", "campaign_id", "leg_id")
    moment += ("attempt_id", "agent_id", "about", "name", "extension", "user_id", "first_leg_id", "pbx_call_id", "body")
    moment += ("call_id", "request_id", "reserved_until", "agent_free_at", "second_leg_id", "idle_since")
    found = {}
    with application.transaction() as session:
        for table in TABLES:
            query = select(table.__table__).where(table.id > after[table]).order_by(table.id)
            rows = session.execute(query).mappings().all()
            found[table.__tablename__] = [{k: v for k, v in row.items() if k not in moment} for row in rows]
            for row in found[table.__tablename__]:
                row.get("details", {}).pop("seconds", None)
                row.get("details", {}).pop("heard_after", None)
                row.pop("arguments", None)
    found["ledger"].sort(key=lambda row: (row["kind"], row["why"]))
    return found


def test_rows_are_the_same_whichever_way_the_agent_was_given(
    application: Application, session: Session, pbx: Reads
) -> None:
    """Each way in a world of its own: what a join leaves in seven tables, column by column."""
    worlds = []
    for at_once in (False, True):
        before = {table: session.scalar(select(func.max(table.id))) or 0 for table in TABLES}
        running = factories.campaign(session)
        agents = [factories.parked_agent(session, running, wanted=wanted) for wanted in ("out", "", "")]
        call = factories.attempt(session, running, state=CallState.RINGING)
        session.commit()
        claimed = keep(application, answer(call), hears=None if at_once else Hears(lambda *_: None))
        assert len(claimed) == at_once
        for command in claimed:
            pbx_commands.send(application, command)
        looking.look(application, "main", call.ref, None)
        chosen = session.scalars(select(Assignment).where(Assignment.attempt_id == call.id)).one()
        assert (chosen.agent_id, chosen.leg_id) == (agents[1][0].id, agents[1][1].id)
        (command,) = session.scalars(select(Command).where(Command.ref == call.ref)).all()
        session.refresh(command)
        leg = agents[1][1]
        assert command.arguments == {
            "customer": {"call_id": call.ref, "leg_id": call.ref},
            "agent": {"call_id": leg.pbx_call_id, "leg_id": leg.first_leg_id},
            "user_id": agents[1][0].user_id,
        }
        assert command.about == chosen.id
        assert chosen.agent_free_at == agents[1][0].since
        change = session.scalars(select(Ledger).where(Ledger.kind == "agent", Ledger.agent_id == chosen.agent_id)).one()
        session.refresh(agents[1][0])
        assert change.details["seconds"] == pytest.approx((change.at - factories.NOW).total_seconds(), abs=0.002)
        assert agents[1][0].since == change.at == chosen.assigned_at
        session.rollback()
        worlds.append(told(application, before))
    ordinary, quick = worlds
    assert len(pbx.commands("join")) == 2
    assert quick == ordinary


def test_one_commit_holds_the_event_the_agent_and_the_claim(
    application: Application, session: Session, campaign: Campaign, pbx: Reads
) -> None:
    who, _ = factories.parked_agent(session, campaign)
    call = factories.attempt(session, campaign)
    session.commit()
    (command,) = keep(application, answer(call))
    assert command.state == "sending"
    session.refresh(who)
    assert who.state == "assigned"
    session.refresh(call)
    assert call.join_sent_at == command.sent_at
    same = "SELECT count(DISTINCT xmin::text) FROM (SELECT xmin FROM {}) AS rows"
    tables = "logged_events", "assignments", "commands", "ledger", "agents", "attempts"
    union = " UNION ALL SELECT xmin FROM ".join(tables)
    assert session.scalar(text(same.format(union))) == 1


def changed(**values: object) -> Callable[[Session, Campaign, Attempt, Agent], None]:
    def change(session: Session, campaign: Campaign, call: Attempt, who: Agent) -> None:
        for name, value in values.items():
            setattr(call, name, value)

    return change


def _no_agent_of_ours(session: Session, campaign: Campaign, call: Attempt, who: Agent) -> None:
    session.execute(text("DELETE FROM campaign_agents"))


def _agent_elsewhere(session: Session, campaign: Campaign, call: Attempt, who: Agent) -> None:
    who.pbx = "other"


def _agent_talks(session: Session, campaign: Campaign, call: Attempt, who: Agent) -> None:
    who.state = "talking"


def _agent_is_kept(session: Session, campaign: Campaign, call: Attempt, who: Agent) -> None:
    who.reserved_for, who.reserved_until = "callback", factories.NOW + timedelta(days=9999)


def _leg_unknown(session: Session, campaign: Campaign, call: Attempt, who: Agent) -> None:
    session.execute(update(AgentLeg).values(first_leg_id=None))


def _had_an_agent(session: Session, campaign: Campaign, call: Attempt, who: Agent) -> None:
    values = {"agent_id": who.id, "assigned_at": factories.NOW, "ended_at": factories.NOW, "result": "join refused"}
    session.add(Assignment(attempt_id=call.id, **values))


def _somebody_waits_longer(session: Session, campaign: Campaign, call: Attempt, who: Agent) -> None:
    factories.attempt(session, campaign, state=CallState.HELD, answered_at=factories.NOW, pbx_call_id="1")


def _kept_for_this_agent(session: Session, campaign: Campaign, call: Attempt, who: Agent) -> None:
    call.reserved_agent_id = who.id


def _more_is_heard(session: Session, campaign: Campaign, call: Attempt, who: Agent) -> None:
    session.add(LoggedEvent(pbx="main", ref=call.ref, method="WS", query="", body=b"{}"))


@pytest.mark.parametrize(
    "change",
    [
        changed(message_at=factories.NOW),
        changed(left_at=factories.NOW),
        changed(given_up_at=factories.NOW),
        changed(over_at=factories.NOW),
        changed(leg_outcome="machine"),
        changed(final_outcome="ok"),
        changed(agent_first=True),
        changed(mode="agentless"),
        changed(answered_at=factories.NOW),  # long ago: their time is over
        changed(pbx_call_id="another"),
        changed(pbx="other"),
        *(
            changed(state=state)
            for state in (CallState.ORDERED, CallState.HELD, CallState.JOINED, CallState.MESSAGE, CallState.ENDING)
        ),
        changed(state=CallState.ABANDONED, ended_at=factories.NOW),
        _no_agent_of_ours,
        _agent_elsewhere,
        _agent_talks,
        _agent_is_kept,
        _leg_unknown,
        _had_an_agent,
        _somebody_waits_longer,
        _kept_for_this_agent,
        _more_is_heard,
    ],
)
def test_what_is_not_plain_is_left_to_the_ordinary_look(
    application: Application,
    session: Session,
    campaign: Campaign,
    change: Callable[[Session, Campaign, Attempt, Agent], None],
) -> None:
    who, _ = factories.parked_agent(session, campaign)
    call = factories.attempt(session, campaign)
    event = answer(call)
    change(session, campaign, call, who)
    session.commit()
    assignments = len(session.scalars(select(Assignment)).all())
    hears = Hears()
    assert keep(application, event, hears=hears) == []
    assert hears.rows == [None]
    assert hears.left == [event]  # and looked at
    session.refresh(who)
    assert who.state in ("parked", "talking")
    assert len(session.scalars(select(Assignment)).all()) == assignments
    assert session.scalars(select(Command)).all() == []


def test_a_change_that_matters_not_leaves_the_plain_case_plain(
    application: Application, session: Session, campaign: Campaign
) -> None:
    """Else the test before would prove nothing."""
    factories.parked_agent(session, campaign)
    call = factories.attempt(session, campaign, pbx_call_id=None, state=CallState.SENDING)
    call.answered_at = database_now(session)
    session.add(LoggedEvent(pbx="main", ref=call.ref, can_wait=True, method="WS", query="", body=b"{}"))
    session.add(LoggedEvent(pbx="other", ref=call.ref, method="WS", query="", body=b"{}"))
    factories.attempt(session, factories.campaign(session), state=CallState.HELD, answered_at=factories.NOW)
    session.commit()
    assert len(keep(application, answer(call))) == 1


def test_only_an_answer_of_a_customer_asks(session: Session, campaign: Campaign) -> None:
    call = factories.attempt(session, campaign)
    asked = {kind: answer(call, kind).keys.joinable for kind in ("StasisStart", "DialerFound", "ChannelDestroyed")}
    leg = WaitingLeg(call.ref, call.ref)
    assert asked == {"StasisStart": leg, "DialerFound": leg, "ChannelDestroyed": None}
    of_agent = answer(replace_ref(call, "dtest-a1"))
    assert of_agent.keys.joinable is None
    assert assigning_at_once.question(of_agent, 0.0) is None
    odd = replace(answer(call), keys=EventKeys(ref="a\x00b", joinable=leg))
    assert assigning_at_once.question(odd, 0.0) is None


def replace_ref(call: Attempt, ref: str) -> Attempt:
    return Attempt(ref=ref)


def test_answers_of_one_commit_get_an_agent_each_and_the_last_gets_none(
    application: Application, session: Session, campaign: Campaign
) -> None:
    for _ in range(3):
        factories.parked_agent(session, campaign)
    calls = [factories.attempt(session, campaign) for _ in range(4)]
    session.commit()
    commands = keep(application, *(answer(call) for call in calls))
    given = session.scalars(select(Assignment)).all()
    assert len(commands) == len(given) == len({one.agent_id for one in given}) == 3
    assert [command.ref for command in commands] == [call.ref for call in calls[:3]]


@pytest.mark.parametrize("locked", ["attempts", "agents"])
def test_the_log_waits_for_no_lock(application: Application, session: Session, campaign: Campaign, locked: str) -> None:
    factories.parked_agent(session, campaign)
    call = factories.attempt(session, campaign)
    session.commit()
    session.execute(text(f"SELECT id FROM {locked} FOR UPDATE"))
    hears = Hears()
    assert keep(application, answer(call), hears=hears, patience=5.0) == []
    assert hears.rows == [None]
    assert len(hears.left) == 1


def test_the_first_answer_waits_for_no_plan(application: Application, session: Session, campaign: Campaign) -> None:
    """The statement is prepared, and its plan kept for good, before anybody has answered; and nobody is given away."""
    who, _ = factories.parked_agent(session, campaign)
    session.commit()
    told: list[tuple[int, int]] = []
    connections: list[psycopg.AsyncConnection[Any]] = []

    async def seen(address: str, limit: float) -> psycopg.AsyncConnection[Any]:
        connections.append(await opened(address, limit))
        return connections[-1]

    async def main() -> None:
        hears = Hears()
        log = EventLog(
            connection_string(application.engine), on_kept=hears.hear, observer=hears, at_once=hears,
            open_connection=seen,
        )  # fmt: skip
        await log.start()
        plans = "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE '%assignments%'"
        while not told:  # only the connection itself shows what was prepared on it
            await asyncio.sleep(0.01)
            for connection in connections:
                told.extend(await (await connection.execute(plans)).fetchall())
        await log.stop()

    asyncio.run(asyncio.wait_for(main(), 30))
    assert told == [(1, 0)]
    session.refresh(who)
    assert who.state == "parked"


@pytest.mark.parametrize(
    "rehearsal", [("SELECT nothing FROM nowhere", {}), ("SELECT pg_sleep(60)", {})], ids=["fails", "hangs"]
)
def test_a_rehearsal_that_fails_costs_no_event(
    application: Application, session: Session, campaign: Campaign, rehearsal: Question
) -> None:
    factories.parked_agent(session, campaign)
    call = factories.attempt(session, campaign)
    session.commit()
    hears = Hears()
    hears.rehearsal = lambda: rehearsal  # type: ignore[method-assign]
    keep(application, answer(call), hears=hears, patience=8.0)
    assert len(session.scalars(select(LoggedEvent)).all()) == 1


def test_a_statement_that_fails_costs_no_event(application: Application, session: Session, campaign: Campaign) -> None:
    calls = [factories.attempt(session, campaign) for _ in range(2)]
    session.commit()
    hears = Hears(lambda event, _: ("SELECT 1 / %(n)s", {"n": int(event.keys.ref != calls[0].ref)}))
    keep(application, *(answer(call) for call in calls), hears=hears)
    assert [event.ref for event in session.scalars(select(LoggedEvent).order_by(LoggedEvent.id))] == [
        call.ref for call in calls
    ]
    assert hears.rows == [None, None]
    assert len(hears.left) == 2


def test_two_listeners_and_a_worker_give_one_agent_once(
    application: Application, session: Session, campaign: Campaign, pbx: Reads
) -> None:
    """The same answer told to two logs while a worker looks: one agent, one join (I9, I16)."""
    for _ in range(3):
        factories.parked_agent(session, campaign)
    call = factories.attempt(session, campaign)
    session.commit()
    hears = [Hears(), Hears()]

    async def main() -> None:
        address = connection_string(application.engine)
        logs = [EventLog(address, on_kept=one.hear, observer=one, at_once=one) for one in hears]
        for log in logs:
            await log.start()
        looks = [asyncio.to_thread(looking.look, application, "main", call.ref, None) for _ in range(3)]
        await asyncio.gather(*(log.keep(answer(call)) for log in logs), *looks)
        for log in logs:
            await log.stop()

    asyncio.run(main())
    claimed = [assigning_at_once.command_of(row) for one in hears for row in one.rows if row is not None]
    for command in claimed:
        pbx_commands.send(application, command)
    looking.look(application, "main", call.ref, None)
    assert len(session.scalars(select(Assignment)).all()) == 1
    assert len(pbx.commands("join")) == 1


def test_a_join_that_is_refused_brings_the_next_agent(
    application: Application, session: Session, campaign: Campaign, pbx: Reads
) -> None:
    from dialer.errors import PbxRefused

    first, _ = factories.parked_agent(session, campaign)
    second, _ = factories.parked_agent(session, campaign)
    call = factories.attempt(session, campaign)
    session.commit()
    (command,) = keep(application, answer(call))
    pbx.answers["join"] = PbxRefused("main", "gone")
    pbx_commands.send(application, command)
    pbx.answers.clear()
    looking.look(application, "main", call.ref, None)
    given = session.scalars(select(Assignment).order_by(Assignment.id)).all()
    assert [(one.agent_id, one.result) for one in given] == [(first.id, "join refused"), (second.id, "")]
    session.refresh(first)
    assert first.state != "assigned"


def test_who_dies_after_the_commit_leaves_a_claim_that_nobody_sends_again(
    application: Application, session: Session, campaign: Campaign, pbx: Reads
) -> None:
    factories.parked_agent(session, campaign)
    call = factories.attempt(session, campaign)
    session.commit()
    (command,) = keep(application, answer(call))
    looking.look(application, "main", call.ref, None)
    session.refresh(call)
    assert call.state == CallState.HELD  # its clock runs, and ends with the message
    assert call.answered_at is not None
    with application.transaction() as later:
        assert pbx_commands.due(later, database_now(later) + timedelta(seconds=9)) == []
        assert reactions.react(later, pbx, call.ref, None, now=database_now(later)) == []
    assert pbx.commands("join") == []
    kept = session.get_one(Command, command.id)
    assert kept.state == "sending"
