import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns import limits
from campaigns.application import Application
from campaigns.models import Agent, Attempt, Campaign, Contact, PbxStatus
from campaigns.pbx_commands import HANG_UP_AGAIN, order_hang_up
from campaigns.sweeping import sweep
from dialer.calls import CallState
from dialer.errors import PbxNonsense
from dialer.pbx.base import CallOutcome, LiveCall, PastCall, Role
from tests import factories
from tests.fakes import FakePbx


@pytest.fixture
def pbx(application: Application) -> FakePbx:
    fake = FakePbx()
    application.pbxes = {"main": fake}
    return fake


@pytest.fixture
def running(session: Session) -> Campaign:
    return factories.campaign(session)


def heard(session: Session, table: str, seconds_ago: float) -> None:
    session.execute(
        text(
            f"UPDATE {table} SET ordered_at = clock_timestamp() - make_interval(secs => :s), "
            "sent_at = clock_timestamp() - make_interval(secs => :s), "
            "heard_at = CASE WHEN state IN ('unknown','sending') THEN NULL "
            "ELSE clock_timestamp() - make_interval(secs => :s) END"
        ),
        {"s": seconds_ago},
    )
    session.commit()


def test_nothing_open_asks_nothing(application: Application, session: Session, pbx: FakePbx) -> None:
    assert sweep(application, "main").open == 0


def test_a_lost_reply_is_not_dialled_again_before_the_pbx_denies_it_and_the_cool_down_is_over(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    attempt = factories.attempt(session, running, state=CallState.UNKNOWN)
    heard(session, "attempts", 29)
    sweep(application, "main")
    session.refresh(attempt)
    assert (attempt.state, attempt.ended_at) == (CallState.UNKNOWN, None)

    heard(session, "attempts", 31)
    assert sweep(application, "main").closed == 1
    session.expire_all()
    assert attempt.state == CallState.LOST
    assert session.get_one(Contact, attempt.contact_id).state == "open"


def test_a_call_the_pbx_lists_lives_although_its_reply_was_lost(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    attempt = factories.attempt(session, running, state=CallState.UNKNOWN)
    heard(session, "attempts", 300)
    pbx.live = [LiveCall("9001", attempt.ref)]
    assert sweep(application, "main").alive == 1
    session.refresh(attempt)
    assert (attempt.state, attempt.pbx_call_id) == (CallState.PLACED, "9001")


def test_an_accepted_call_that_never_happens_is_lost_and_its_contact_tried_again(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    attempt = factories.attempt(session, running, state=CallState.PLACED)
    heard(session, "attempts", 29)
    assert sweep(application, "main").closed == 0, "a PBX may carry an order out late"
    heard(session, "attempts", 31)
    assert sweep(application, "main").closed == 1
    session.refresh(attempt)
    assert attempt.state == CallState.LOST


def test_the_report_tells_what_lost_events_would_have(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    busy = factories.attempt(session, running, state=CallState.RINGING)
    talked = factories.attempt(session, running, state=CallState.RINGING)
    message = factories.attempt(session, running, state=CallState.RINGING)
    brief = factories.attempt(session, running, state=CallState.RINGING)
    heard(session, "attempts", 60)
    pbx.past = [
        PastCall("1", busy.ref, CallOutcome.BUSY),
        PastCall(
            "2", talked.ref, CallOutcome.OK, ivr_time=1, talk_time=40, connected_role=Role.AGENT, connected_id="33"
        ),
        PastCall("3", message.ref, CallOutcome.OK, ivr_time=9, talk_time=0, connected_role=Role.RECEPTION),
        PastCall("4", brief.ref, CallOutcome.OK, ivr_time=1, talk_time=0, connected_role=Role.RECEPTION),
    ]
    assert sweep(application, "main").closed == 4
    session.expire_all()
    states = [busy.state, talked.state, message.state, brief.state]
    assert states == [CallState.BUSY, CallState.COMPLETED, CallState.ABANDONED, CallState.HUNG_UP]


def test_a_join_whose_event_was_lost_is_found_by_who_is_connected(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    agent, leg = factories.parked_agent(session, running, state="assigned")
    attempt = factories.attempt(session, running, state=CallState.HELD, answered_at=factories.NOW, agent_id=agent.id)
    session.execute(
        text("INSERT INTO assignments (attempt_id, agent_id, leg_id, assigned_at) VALUES (:t, :a, :l, now())"),
        {"t": attempt.id, "a": agent.id, "l": leg.id},
    )
    session.commit()
    pbx.live = [LiveCall("9001", attempt.ref, connected_role=Role.AGENT, connected_id=agent.user_id)]
    sweep(application, "main")
    session.expire_all()
    assert (attempt.state, session.get_one(Agent, agent.id).state) == (CallState.JOINED, "talking")


def test_a_restarted_pbx_frees_its_agents(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    agent, _ = factories.parked_agent(session, running)
    heard(session, "agent_legs", 30)
    sweep(application, "main")
    session.expire_all()
    assert agent.state == "ready", "parked anew in a moment: nobody hung up"


def test_a_list_that_cannot_be_believed_closes_nothing(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    attempt = factories.attempt(session, running, state=CallState.RINGING)
    heard(session, "attempts", 600)

    def nonsense() -> list[LiveCall]:
        raise PbxNonsense("main", "answered HTML")

    pbx.current_calls = nonsense  # type: ignore[method-assign]
    assert sweep(application, "main").closed == 0
    session.refresh(attempt)
    assert attempt.ended_at is None
    assert "answered HTML" in session.get_one(PbxStatus, "main").trouble


def test_a_call_that_spoke_a_moment_ago_is_not_missed(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    attempt = factories.attempt(session, running, state=CallState.RINGING)
    heard(session, "attempts", 1)
    assert sweep(application, "main").missing == 0
    session.refresh(attempt)
    assert attempt.ended_at is None


def test_every_open_state_ends_once_the_pbx_has_forgotten_the_call(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    for state in (
        CallState.SENDING,
        CallState.UNKNOWN,
        CallState.PLACED,
        CallState.RINGING,
        CallState.ANSWERED,
        CallState.HELD,
        CallState.JOINED,
        CallState.MESSAGE,
        CallState.ENDING,
    ):
        factories.attempt(session, running, state=state)
        factories.leg(session, running, factories.agent(session, running, state="parking"), state=state)
    heard(session, "attempts", 600)
    heard(session, "agent_legs", 600)
    for _ in range(2):
        sweep(application, "main")
    left = session.execute(
        text(
            "SELECT state FROM attempts WHERE ended_at IS NULL UNION ALL "
            "SELECT state FROM agent_legs WHERE ended_at IS NULL"
        )
    ).all()
    assert left == []
    assert session.execute(text("SELECT DISTINCT state FROM agents")).scalars().all() == ["ready"]
    assert session.query(Attempt).count() == 9


def test_a_call_missing_for_the_first_time_gets_another_moment(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    attempt = factories.attempt(session, running, state=CallState.JOINED, joined_at=factories.NOW)
    heard(session, "attempts", 600)
    suspects: set[str] = set()
    assert sweep(application, "main", suspects).closed == 0
    assert suspects == {attempt.ref}
    assert sweep(application, "main", suspects).closed == 1


def test_a_leg_nobody_wants_is_hung_up_again_until_it_ends(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    agent, leg = factories.parked_agent(session, running, state="ready")
    first = order_hang_up(session, leg, now=factories.NOW)
    assert order_hang_up(session, leg, now=factories.NOW) is None
    later = factories.NOW + HANG_UP_AGAIN * 2
    assert limits.overlong(session, later, application.settings.timing) == [leg.ref]
    assert order_hang_up(session, leg, now=later) not in (None, first)
    agent.state = "parked"
    session.flush()
    assert limits.overlong(session, later, application.settings.timing) == []


def test_a_report_that_never_works_does_not_keep_calls_open_for_ever(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    attempt = factories.attempt(session, running, state=CallState.RINGING)

    def too_long(since: object) -> list[PastCall]:
        raise PbxNonsense("main", "the answer is longer than 1 MiB")

    pbx.call_report = too_long  # type: ignore[method-assign]
    heard(session, "attempts", 30)
    assert sweep(application, "main").closed == 0
    heard(session, "attempts", 90)
    assert sweep(application, "main").closed == 1
    session.refresh(attempt)
    assert attempt.state == CallState.FAILED
