from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from campaigns import ledger
from campaigns.live import LiveState, live_state
from campaigns.models import Attempt, Campaign, LoggedEvent, PaceDecision, PbxStatus, ProcessBeat
from campaigns.tallies import TallyCache, local_midnight, recent_moments
from dialer.calls import CallState
from dialer.errors import NotFound
from tests import factories
from tests.factories import NOW


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def answered(session: Session, of: Campaign, state: CallState, *, wait: float | None = None, at: float = 60) -> Attempt:
    """An attempt answered `at` seconds ago, joined after `wait` seconds if that is given."""
    joined = ago(at - wait) if wait is not None else None
    return factories.attempt(
        session,
        of,
        state=state,
        ordered_at=ago(at + 10),
        ringing_at=ago(at + 8),
        answered_at=ago(at),
        join_sent_at=joined,
        joined_at=joined,
        left_at=ago(0) if state is CallState.COMPLETED else None,
        message_at=ago(at - 2) if state in (CallState.MESSAGE, CallState.ABANDONED) else None,
    )


def healthy(session: Session, of: Campaign) -> None:
    """Everything a running campaign needs."""
    factories.lines(session)
    factories.contact(session, of)
    factories.agent(session, of, state="parked")
    for kind in ("web", "worker", "scheduler"):
        session.add(ProcessBeat(name=f"{kind}:here:1", kind=kind, started_at=ago(100), beat_at=ago(1)))
    session.flush()


def only(state: LiveState):  # type: ignore[no-untyped-def]
    (campaign,) = state.campaigns
    return campaign


def test_agents_are_counted_by_state_and_listed_with_the_longest_in_it_first(session: Session) -> None:
    spring = factories.campaign(session)
    for name, state, since in (("Ada", "talking", 30), ("Bruno", "parked", 90), ("Carla", "talking", 5)):
        factories.agent(session, spring, name=name, state=state, since=ago(since))
    factories.agent(session, spring, name="Dario", state="paused", reason="lunch", since=ago(600))

    agents = only(live_state(session, NOW, spring.name)).agents

    assert (agents.total, agents.by_state) == (4, {"talking": 2, "parked": 1, "paused": 1})
    assert [(line.name, line.seconds) for line in agents.people] == [
        ("Dario", 600.0),
        ("Bruno", 90.0),
        ("Ada", 30.0),
        ("Carla", 5.0),
    ]
    assert agents.people[0].reason == "lunch"


def test_the_list_of_all_campaigns_names_no_people_and_shows_running_ones_first(session: Session) -> None:
    factories.campaign(session, name="old", state="archived")
    draft = factories.campaign(session, name="a draft", state="draft")
    running = factories.campaign(session, name="b running")
    factories.agent(session, running)
    factories.agent(session, draft)

    state = live_state(session, NOW)

    assert [campaign.name for campaign in state.campaigns] == ["b running", "a draft"]
    assert [campaign.agents.total for campaign in state.campaigns] == [1, 1]
    assert all(campaign.agents.people == [] for campaign in state.campaigns)


def test_every_open_call_is_counted_once_where_a_supervisor_would_look(session: Session) -> None:
    spring = factories.campaign(session)
    for state in CallState:
        answered_at = ago(1.4) if state is CallState.HELD else ago(0.5) if state is CallState.ANSWERED else None
        factories.attempt(session, spring, state=state, answered_at=answered_at)

    calls = only(live_state(session, NOW, spring.name)).calls

    assert (calls.ordered, calls.ringing, calls.waiting, calls.talking) == (4, 1, 2, 1)
    assert (calls.message, calls.ending, calls.open) == (1, 1, 10)
    assert calls.longest_wait == 1.4


def test_lines_count_only_on_gateways_that_are_enabled_and_registered(session: Session) -> None:
    spring = factories.campaign(session, max_lines=12)
    status = factories.lines(session, free=30, read_at=ago(3))
    status.gateways = [
        {"id": "4", "enabled": True, "registered": True, "lines": 30, "busy_lines": 11},
        {"id": "5", "enabled": True, "registered": False, "lines": 60, "busy_lines": 0},
        {"id": "6", "enabled": False, "registered": True, "lines": 60, "busy_lines": 0},
    ]
    session.flush()

    lines = only(live_state(session, NOW, spring.name)).lines

    assert (lines.total, lines.busy, lines.free, lines.limit, lines.age) == (30, 11, 19, 12, 3.0)


def test_abandonment_is_what_the_pacer_spends_over_the_rule_packs_window(session: Session) -> None:
    spring = factories.campaign(session, max_abandonment=0.02)
    for _ in range(98):
        answered(session, spring, CallState.COMPLETED, wait=0.1)
    answered(session, spring, CallState.ABANDONED)
    answered(session, spring, CallState.COMPLETED, wait=3.0)  # met too late: abandoned for the law
    answered(session, spring, CallState.HUNG_UP)
    answered(session, spring, CallState.ABANDONED, at=25 * 3600)  # outside the 24 hours

    spent = only(live_state(session, NOW, spring.name)).abandonment

    assert (spent.abandoned, spent.met, spent.rate, spent.ceiling) == (2, 98, 0.02, 0.02)
    assert (spent.calls_left, spent.over) == (0, False)
    assert spent.to_meet > 0
    assert (spent.window.name, spent.window.since) == ("last 24 h", NOW - timedelta(hours=24))


def test_a_message_that_plays_now_is_spent_already(session: Session) -> None:
    spring = factories.campaign(session)
    answered(session, spring, CallState.MESSAGE, at=4)

    spent = only(live_state(session, NOW, spring.name)).abandonment

    assert (spent.abandoned, spent.over) == (1, True)


def test_results_are_of_the_day_where_the_campaign_calls(session: Session) -> None:
    spring = factories.campaign(session, time_zone="Europe/Rome")
    for state in (CallState.BUSY, CallState.NO_ANSWER, CallState.NO_ANSWER):
        factories.attempt(session, spring, state=state)
    midnight_in_rome = datetime(2026, 3, 1, 23, 0, tzinfo=UTC)
    factories.attempt(session, spring, state=CallState.BUSY, ordered_at=midnight_in_rome - timedelta(seconds=1))
    factories.attempt(session, spring, state=CallState.RINGING)

    today = only(live_state(session, NOW, spring.name)).today

    assert today.outcomes == {"no_answer": 2, "busy": 1}
    assert today.attempts == 4
    assert (today.window.name, today.window.since) == ("today", midnight_in_rome)


@pytest.mark.parametrize(
    ("zone", "now", "midnight"),
    [
        (None, "2026-03-02T09:00", "2026-03-02T00:00"),
        ("Nowhere/None", "2026-03-02T09:00", "2026-03-02T00:00"),
        ("Asia/Tokyo", "2026-03-02T16:00", "2026-03-02T15:00"),
        ("Europe/Rome", "2026-03-29T12:00", "2026-03-28T23:00"),  # the day the clocks go forward
    ],
)
def test_a_day_begins_at_local_midnight(zone: str | None, now: str, midnight: str) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)

    assert local_midnight(zone, at) == datetime.fromisoformat(midnight).replace(tzinfo=UTC)


def test_the_wait_for_an_agent_is_shown_as_percentiles_of_the_day(session: Session) -> None:
    spring = factories.campaign(session)
    for hundredth in range(1, 101):
        answered(session, spring, CallState.COMPLETED, wait=hundredth / 1000)
    answered(session, spring, CallState.ABANDONED)

    waits = only(live_state(session, NOW, spring.name)).today.join_ms

    assert (waits.p50, waits.p95, waits.p99, waits.calls) == (50.0, 95.0, 99.0, 100)


def test_talk_lasts_until_now_while_it_goes_on_and_occupancy_leaves_pauses_out(session: Session) -> None:
    spring = factories.campaign(session)
    answered(session, spring, CallState.JOINED, wait=10, at=100)
    talking = factories.agent(session, spring, state="talking", since=ago(90))
    factories.agent(session, spring, state="paused", since=ago(1000))
    ledger.record(
        session, at=ago(90), kind="agent", who="dialer", agent_id=talking.id, **{"from": "parked", "seconds": 30}
    )
    session.flush()

    today = only(live_state(session, NOW, spring.name)).today

    assert (today.met, today.talk_seconds) == (1, 90.0)
    assert today.occupancy == 0.75


def test_contacts_left_are_those_that_may_still_be_called(session: Session) -> None:
    spring = factories.campaign(session)
    undone = factories.contact_list(session, spring, undone_at=NOW)
    factories.contact(session, spring)
    factories.contact(session, spring, next_at=NOW + timedelta(minutes=5))
    factories.contact(session, spring, state="live", next_at=None)
    factories.contact(session, spring, state="closed", next_at=None)
    factories.contact(session, spring, list_id=undone.id)

    contacts = only(live_state(session, NOW, spring.name)).contacts

    assert (contacts.open, contacts.due, contacts.live, contacts.closed) == (2, 1, 1, 1)
    assert contacts.next_at == NOW + timedelta(minutes=5)


def test_the_last_pace_is_shown_with_its_reason_and_its_age(session: Session) -> None:
    spring = factories.campaign(session)
    other = factories.campaign(session)
    for of, at, why in ((spring, 30, "9: old"), (spring, 4, "3: three wait"), (other, 1, "0: no agent")):
        session.add(
            PaceDecision(
                campaign_id=of.id,
                decided_at=ago(at),
                until_at=ago(at - 1),
                calls=3,
                ordered=2,
                why=why,
                snapshot={},
                limits={},
                fence=1,
            )
        )
    session.flush()

    pace = only(live_state(session, NOW, spring.name)).pace

    assert pace is not None
    assert (pace.calls, pace.ordered, pace.why, pace.age) == (3, 2, "3: three wait", 3.0)


def test_events_processes_and_trouble_are_told_with_their_ages(session: Session) -> None:
    factories.campaign(session)
    status = factories.lines(session, read_at=ago(40))
    status.trouble, status.trouble_at = "does not answer", ago(20)
    session.add(ProcessBeat(name="worker:a:1", kind="worker", started_at=ago(900), beat_at=ago(1)))
    session.add(ProcessBeat(name="worker:b:2", kind="worker", started_at=ago(900), beat_at=ago(60)))
    session.add(ProcessBeat(name="worker:c:3", kind="worker", started_at=ago(9000), beat_at=ago(3600)))
    for at, handled, trouble in (
        (700, True, "too old to tell"),
        (30, True, "no such event"),
        (20, True, "no such event"),
        (8, False, ""),
        (2, False, ""),
    ):
        values = {"handled_at": NOW if handled else None, "trouble": trouble, "received_at": ago(at)}
        session.add(LoggedEvent(pbx="main", method="GET", query="", **values))
    session.flush()

    state = live_state(session, NOW)

    assert (state.events.last_age, state.events.unhandled, state.events.oldest_unhandled_age) == (2.0, 2, 8.0)
    assert [(process.name, process.alive) for process in state.processes] == [
        ("worker:a:1", True),
        ("worker:b:2", False),
    ]
    assert state.pbxes[0].age == 40.0
    assert state.troubles == ["PBX main: does not answer", "event of PBX main: no such event (2 times)"]


def test_nothing_at_all_is_a_state_too(session: Session) -> None:
    state = live_state(session, NOW)

    assert (state.campaigns, state.pbxes, state.processes, state.troubles) == ([], [], [], [])
    assert state.events.last_age is None


@pytest.mark.parametrize("name", ["sprnig", "", "spring'; DROP TABLE attempts", "x" * 500])
def test_a_name_nobody_has_is_said_so(session: Session, name: str) -> None:
    factories.campaign(session, name="spring")

    with pytest.raises(NotFound, match="there is no campaign named"):
        live_state(session, NOW, name)


def test_a_campaign_that_lacks_nothing_needs_no_next_step(session: Session) -> None:
    spring = factories.campaign(session)
    healthy(session, spring)

    assert only(live_state(session, NOW, spring.name)).next_step == ""


@pytest.mark.parametrize(
    ("breaks", "told"),
    [
        ("UPDATE campaigns SET state = 'paused'", "dialer campaign resume"),
        ("UPDATE campaigns SET state = 'stopped'", "dialer campaign start"),
        ("UPDATE campaigns SET state = 'draft'", "dialer campaign start"),
        ("UPDATE campaigns SET state = 'archived'", "calls nobody any more"),
        ("DELETE FROM contacts", "dialer list import"),
        ("UPDATE contacts SET state = 'closed'", "Every contact is closed"),
        ("DELETE FROM process_beats WHERE kind = 'scheduler'", "No scheduler is running"),
        ("UPDATE process_beats SET beat_at = beat_at - interval '1 minute'", "No scheduler and no worker is running"),
        ("DELETE FROM pbx_status", "PBX main has not been read yet"),
        ("UPDATE pbx_status SET read_at = read_at - interval '2 minutes'", "was last read 120 s ago"),
        ("UPDATE pbx_status SET gateways = '[]'", "no gateway that is enabled and registered"),
        ("DELETE FROM campaign_agents", "dialer agent assign"),
        ("UPDATE agents SET state = 'out'", "No agent is at work"),
    ],
)
def test_what_keeps_a_campaign_from_calling_is_said_with_its_remedy(session: Session, breaks: str, told: str) -> None:
    from sqlalchemy import text

    spring = factories.campaign(session)
    healthy(session, spring)
    session.execute(text(breaks))

    assert told in only(live_state(session, NOW, spring.name)).next_step


@pytest.mark.parametrize(("age", "told"), [(5, False), (12, True)])
def test_a_pbx_that_does_not_answer_is_said_before_its_figures_are_too_old_to_call_on(
    session: Session, age: int, told: bool
) -> None:
    """Lines that were free when the PBX was last read are shown still; one poll that fails is no news."""
    spring = factories.campaign(session)
    healthy(session, spring)
    status = session.get_one(PbxStatus, spring.pbx)
    status.read_at, status.trouble, status.trouble_at = ago(age), "does not answer: connection refused", ago(1)
    session.flush()

    says = only(live_state(session, NOW, spring.name)).next_step
    assert ("PBX main was last read 12 s ago" in says and "connection refused" in says) is told


def test_a_name_with_spaces_stands_quoted_in_the_command_to_type(session: Session) -> None:
    factories.campaign(session, name="spring & co", state="paused")

    assert "`dialer campaign resume 'spring & co'`" in only(live_state(session, NOW)).next_step


def test_dear_figures_are_counted_again_only_after_nine_times_what_they_took(session: Session) -> None:
    spring = factories.campaign(session)
    moments = iter([100.0, 100.5, 101.0, 104.9, 105.1, 105.2, 106.0])
    cache = TallyCache(least=0.9, monotonic=lambda: next(moments))

    def attempts() -> int:
        return cache.get(session, spring, NOW).today.attempts

    assert attempts() == 0  # took from 100.0 to 100.5: good until 105.0
    factories.attempt(session, spring)
    assert attempts() == 0  # at 101.0
    assert attempts() == 0  # at 104.9
    assert attempts() == 1  # at 105.1, took 0.1: good until 106.1
    factories.attempt(session, spring)
    assert attempts() == 1  # at 106.0


def test_the_chart_begins_with_what_was_before_anybody_looked(session: Session) -> None:
    spring = factories.campaign(session)
    factories.attempt(
        session,
        spring,
        state=CallState.COMPLETED,
        ordered_at=ago(52),
        ringing_at=ago(50),
        answered_at=ago(35),
        joined_at=ago(25),
        left_at=ago(5),
        ended_at=ago(4),
    )
    factories.attempt(session, spring, state=CallState.RINGING, ordered_at=ago(12), ringing_at=ago(10))
    factories.attempt(session, factories.campaign(session), state=CallState.RINGING, ringing_at=ago(50))

    moments = recent_moments(session, spring.id, NOW, length=timedelta(seconds=60), step=timedelta(seconds=10))

    shown = [(moment.ringing, moment.waiting, moment.talking) for moment in moments]
    assert shown == [(0, 0, 0), (1, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 0, 0)]
    assert (moments[0].at, moments[-1].at) == (ago(60), NOW)


def test_no_phone_number_is_in_the_live_state(session: Session) -> None:
    spring = factories.campaign(session)
    answered(session, spring, CallState.HELD)
    healthy(session, spring)

    numbers = session.scalars(select(func.distinct(Attempt.number))).all()

    assert numbers
    assert not any(number in repr(live_state(session, NOW, spring.name)) for number in numbers)
