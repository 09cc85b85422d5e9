"""Ringing calls given up: never sooner than the law, never one that was answered, and what comes of it."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns import giving_up, limits, looking, ordering, pbx_commands, reactions
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.deciding import Pacing
from campaigns.gate import Claim, LeaseLost
from campaigns.models import Attempt, Campaign, Command, Contact, Ledger, PaceDecision
from dialer.calls import CallState
from dialer.pacing import Pace, PaceEvent, Snapshot
from dialer.pbx.base import CallEvent, CallOutcome, Heard, Role
from tests import factories
from tests.fakes import FakePbx
from tests.waiting import once_within, until_somebody_waits_for_a_lock

RANG = timedelta(seconds=20)


@pytest.fixture
def pbx(application: Application) -> FakePbx:
    fake = FakePbx()
    application.pbxes = {"main": fake}
    return fake


@pytest.fixture
def running(session: Session) -> Campaign:
    made = factories.campaign(session, min_ring=16.0, retry_delay=600.0)
    factories.lease(session, made)
    factories.lines(session)
    session.execute(text("UPDATE pbx_status SET read_at = clock_timestamp()"))
    session.commit()
    return made


def ringing(session: Session, of: Campaign, rang: timedelta = RANG, **values: object) -> Attempt:
    now = database_now(session)
    at = now - rang
    usual = {"state": CallState.RINGING, "pbx_call_id": "9001", "second_leg_id": "502", "ringing_at": at}
    made = factories.attempt(session, of, **{**usual, "ordered_at": at, "sent_at": at, **values})
    session.commit()
    return made


def claim(of: Campaign, fence: int = 1) -> Claim:
    return Claim(f"campaign:{of.id}", "test", fence)


def give_up(application: Application, of: Campaign, calls: Iterable[Attempt], *, fence: int = 1) -> list[str]:
    with application.transaction() as session:
        campaign = session.get_one(Campaign, of.id, populate_existing=True)
        names = [str(call.id) for call in calls]
        return giving_up.give_up(
            session, campaign, names, claim(of, fence), why="nobody will be free", now=database_now(session)
        )


def heard(call: Attempt, what: Heard, role: Role = Role.CUSTOMER, **more: object) -> CallEvent:
    leg = {Role.CUSTOMER: "501", Role.RECEPTION: "502"}.get(role)
    return CallEvent(
        **{"heard": what, "name": what, "ref": call.ref, "call_id": "9001", "role": role, "leg_id": leg, **more}
    )


def told(application: Application, pbx: FakePbx, *events: CallEvent) -> None:
    for event in events:
        with application.transaction() as session:
            pbx.say(session, event)
        looking.look(application, pbx.name, event.ref, None)


def over(application: Application, pbx: FakePbx, call: Attempt) -> None:
    """The PBX says the call ended, with no word why, and nothing more comes."""
    told(application, pbx, heard(call, Heard.ENDED, Role.OTHER, outcome=CallOutcome.UNKNOWN))
    with application.transaction() as session:
        locked = reactions.locked_call(session, call.ref)
        assert locked is not None
        limits.settle(session, locked, now=database_now(session))


def kinds(session: Session) -> list[str]:
    session.expire_all()
    return list(session.scalars(select(Ledger.kind).order_by(Ledger.id)))


def test_a_call_that_rang_long_enough_is_ended_by_a_command_and_the_ledger_says_why(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    call = ringing(session, running)
    assert give_up(application, running, [call]) == [call.ref]
    session.refresh(call)
    assert call.given_up_at is not None
    command = session.scalars(select(Command)).one()
    assert (command.kind, command.ref, command.state) == ("hang_up", call.ref, "due")
    row = session.scalars(select(Ledger)).one()
    assert (row.kind, row.who, row.why, row.attempt_id) == (
        "given_up", "scheduler:test", "nobody will be free", call.id,
    )  # fmt: skip
    assert row.details["rang"] >= 20
    assert give_up(application, running, [call]) == [], "once"
    looking.look(application, "main", call.ref, None)
    assert pbx.commands("hang_up") == ["9001"], "the ring of the doorbell sends it"


def test_what_must_go_on_ringing_does(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    running.min_ring = 45.0
    soon = timedelta(seconds=15.5)  # the law's 15 are over, the campaign's 45 are not
    now = database_now(session)
    other = factories.campaign(session, min_ring=15.0)
    stays = [
        ringing(session, running, soon),
        ringing(session, running, soon, ordered_at=now - timedelta(minutes=1)),  # measured from the ring
        ringing(session, running, ringing_at=None, state=CallState.PLACED),  # nobody said that it rings
        ringing(session, running, pbx_call_id=None),
        ringing(session, running, state=CallState.ANSWERED, answered_at=now),
        ringing(session, running, state=CallState.RINGING, answered_at=now),
        ringing(session, running, state=CallState.ENDING, over_at=now),
        ringing(session, running, state=CallState.NO_ANSWER),
        ringing(session, running, given_up_at=now),
        ringing(session, other),
    ]
    assert give_up(application, running, stays) == []
    assert session.scalars(select(Command)).all() == []
    running.min_ring = None
    session.commit()
    assert give_up(application, running, [ringing(session, running)]) == [], "without the goal calls ring out"


def test_no_goal_undercuts_the_rule_pack(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    running.min_ring = 3.0  # as no command would store it
    session.commit()
    assert giving_up.least_ring(running) == 15.0
    assert give_up(application, running, [ringing(session, running, timedelta(seconds=14.5))]) == []
    assert len(give_up(application, running, [ringing(session, running, timedelta(seconds=15.1))])) == 1


def test_an_old_claim_ends_no_call(application: Application, session: Session, pbx: FakePbx, running: Campaign) -> None:
    with pytest.raises(LeaseLost):
        give_up(application, running, [ringing(session, running)], fence=7)
    assert session.scalars(select(Command)).all() == []


def test_given_up_is_no_answer_with_the_usual_retry_whatever_the_pbx_calls_it(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    call = ringing(session, running)
    give_up(application, running, [call])
    looking.look(application, "main", call.ref, None)
    over(application, pbx, call)
    session.refresh(call)
    assert call.state == CallState.NO_ANSWER
    assert call.ended_at is not None
    contact = session.get_one(Contact, call.contact_id, populate_existing=True)
    assert (contact.state, contact.next_at) == ("open", call.ended_at + timedelta(seconds=600))
    failed = ringing(session, running)
    over(application, pbx, failed)
    session.refresh(failed)
    assert failed.state == CallState.FAILED, "which is what those are that we did not end"


def test_who_answers_before_the_end_is_sent_is_served(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    agent, _ = factories.parked_agent(session, running)
    call = ringing(session, running)
    give_up(application, running, [call])
    told(
        application,
        pbx,
        heard(call, Heard.ANSWERED),
        heard(call, Heard.CALLING, Role.RECEPTION),
        heard(call, Heard.ANSWERED, Role.RECEPTION),
    )
    assert pbx.commands("hang_up") == []
    assert len(pbx.commands("join")) == 1
    session.refresh(call)
    session.refresh(agent)
    assert (call.given_up_at, agent.state) == (None, "assigned")
    assert "not_given_up" in kinds(session)
    hang_up = session.scalars(select(Command).where(Command.kind == "hang_up")).one()
    assert (hang_up.state, hang_up.answer) == ("not_sent", "withdrawn")
    assert pbx_commands.perform(application, hang_up.id) is None, "and nobody sends it later"


def test_who_answers_while_the_end_is_on_its_way_was_abandoned_by_us(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    call = ringing(session, running)
    give_up(application, running, [call])
    looking.look(application, "main", call.ref, None)
    assert pbx.commands("hang_up") == ["9001"]
    told(application, pbx, heard(call, Heard.ANSWERED))
    over(application, pbx, call)
    session.refresh(call)
    assert call.state == CallState.ABANDONED, "they did not hang up: we did"
    assert "abandoned" in kinds(session)


def test_an_answer_that_waits_to_be_understood_is_not_overlooked(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    call = ringing(session, running)
    with application.transaction() as writing:
        pbx.say(writing, heard(call, Heard.ANSWERED))
    assert give_up(application, running, [call]) == []


def test_a_call_somebody_is_handling_is_passed_over_without_waiting(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    call = ringing(session, running)
    with application.transaction() as handler:
        assert reactions.locked_call(handler, call.ref) is not None
        given_up: list[list[str]] = []
        once_within(1.0, lambda: given_up.append(give_up(application, running, [call])))
        assert set(map(tuple, given_up)) == {()}
    assert give_up(application, running, [call]) == [call.ref]


def test_an_answer_that_meets_the_decision_half_way_is_served_or_counted_and_never_lost(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    """The handler of the answer waits for the row the tick holds, and finds the order when it gets it."""
    call = ringing(session, running)
    decided, go_on = Event(), Event()

    def tick() -> None:
        with application.transaction() as ticking:
            campaign = ticking.get_one(Campaign, running.id)
            now = database_now(ticking)
            assert giving_up.give_up(ticking, campaign, [str(call.id)], claim(running), why="", now=now)
            decided.set()
            assert go_on.wait(60)

    with ThreadPoolExecutor(2) as pool:
        ticking = pool.submit(tick)
        assert decided.wait(60)
        answering = pool.submit(told, application, pbx, heard(call, Heard.ANSWERED))
        until_somebody_waits_for_a_lock(session)
        assert not answering.done()
        go_on.set()
        ticking.result(60)
        answering.result(60)
    session.refresh(call)
    assert (call.state, call.given_up_at) == (CallState.ANSWERED, None)
    assert session.scalars(select(Command.state)).all() == ["not_sent"]


def test_answers_and_decisions_at_once_again_and_again(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    """Whoever wins, each call is one of two things: rung off by us and never served, or answered and not rung off
    unless the order had left."""
    calls = [ringing(session, running, pbx_call_id=str(9100 + n)) for n in range(20)]

    def answer(call: Attempt) -> None:
        told(application, pbx, heard(call, Heard.ANSWERED, call_id=call.pbx_call_id))

    def decide(call: Attempt) -> None:
        for ref in give_up(application, running, [call]):
            looking.look(application, "main", ref, None)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(what, call) for call in calls for what in (decide, answer)]:
            done.result(30)
    session.expire_all()
    sent = set(pbx.commands("hang_up"))
    for call in calls:
        assert call.answered_at is not None
        commands = session.scalars(select(Command.state).where(Command.ref == call.ref)).all()
        if call.given_up_at is None:
            assert call.pbx_call_id not in sent
            assert commands in ([], ["not_sent"])
        else:
            assert (call.pbx_call_id in sent, commands) == (True, ["accepted"])


class Wishes:
    """A pacer that wants what it is told to, and keeps what it was shown."""

    def __init__(self, calls: int = 0, give_up: bool = False, choose: tuple[str, ...] = ()) -> None:
        self.calls, self.give_up, self.choose = calls, give_up, choose
        self.seen: list[Snapshot] = []

    def observe(self, event: PaceEvent) -> None: ...

    def restore(self, events: Iterable[PaceEvent]) -> None: ...

    def decide(self, now: object, snapshot: Snapshot) -> Pace:
        self.seen.append(snapshot)
        named = tuple(call for call in snapshot.ringing_calls if call) if self.give_up else ()
        return Pace(self.calls, "as wished", ("wish",), named, self.choose, {"expected": 1.25})


def test_the_tick_orders_the_end_rings_the_bell_and_sends_nothing_itself(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    call = ringing(session, running)
    ringing(session, running, timedelta(seconds=3), pbx_call_id="9002")
    factories.contact(session, running)
    session.commit()
    rung: list[tuple[str, str | None, str | None]] = []

    class Bell:
        def look(self, name: str, ref: str | None, call_id: str | None) -> None:
            rung.append((name, ref, call_id))

        def place(self, ref: str) -> None: ...

        def run_import(self, import_id: int) -> None: ...

    application.doorbell = Bell()
    pacer = Wishes(give_up=True)
    ordering.tick(application, Pacing(running.id, mode="progressive", pacer=pacer), claim(running))
    (seen,) = pacer.seen
    assert sorted(seen.ringing_calls) == ["", str(call.id)], "only who rang for long enough is offered"
    assert seen.goals.min_ring == 16.0
    assert rung == [("main", call.ref, None)]
    assert pbx.sent == []
    decision = session.scalars(select(PaceDecision)).one()
    assert decision.limits["given_up"] == 1
    assert "1 ringing given up" in decision.why
    assert decision.reckoned == {"expected": 1.25}


def test_a_pbx_that_cannot_hang_up_is_asked_to_give_up_nothing(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    from dialer.pbx.base import Feature

    pbx.features = frozenset(Feature) - {Feature.HANG_UP}
    ringing(session, running)
    factories.contact(session, running)
    session.commit()
    pacer = Wishes(give_up=True)
    ordering.tick(application, Pacing(running.id, mode="progressive", pacer=pacer), claim(running))
    assert pacer.seen[0].ringing_calls == ()
    assert session.scalars(select(Command)).all() == []
