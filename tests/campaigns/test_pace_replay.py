"""Replays: a day of the virtual world, written down as rows and read back, must come out as it was."""

from dataclasses import replace
from datetime import datetime, timedelta
from statistics import mean, stdev
from typing import Any

import pytest
from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from campaigns import dispositions, pace_records, pace_replay, pace_stored
from campaigns.models import Attempt, Campaign, Ledger, PaceDecision
from campaigns.pace_records import Span
from campaigns.pace_replay import Changes, Replayed
from campaigns.pace_stored import StoredDay
from dialer.calls import CallState
from dialer.errors import BadInput, NotFound
from dialer.simulation import Campaigning, Curve, Day, LogNormal, World
from dialer.simulation.recorded import OnRecord, tried
from dialer.simulation.world import steps
from tests import factories
from tests.lived_day import live

# Whole days are lived through; by one process, that lives those of several tests once.
pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("pace replay")]

# The campaigns of these tests let calls ring out, as campaigns do by default: so must the day they are made of.
WORLD = World(agents=12, hours=1.0, warm_up_hours=0.5, talk=LogNormal(120.0, 1.0), min_ring=None)
SINCE = WORLD.begins + timedelta(hours=0.5)
UNTIL = WORLD.begins + timedelta(hours=1.5)
HALF = WORLD.begins + timedelta(hours=1)  # enough where the difference is large
LATER = UNTIL + timedelta(days=1)


def lived(session: Session, world: World = WORLD, **values: Any) -> tuple[Campaign, Day]:
    campaign = factories.campaign(session, **{"name": "spring", "mode": "predictive", **values})
    day, _ = live(session, campaign, world)
    session.commit()
    return campaign, day


def read(session: Session, campaign: Campaign, since: datetime = SINCE, until: datetime = UNTIL) -> StoredDay:
    stored = pace_stored.read(session, campaign, since, until, now=LATER)
    session.commit()  # no transaction stands open while days go by
    return stored


def replayed(day: StoredDay, changes: Changes, seeds: int = 2, *, open_loop: bool = False) -> Replayed:
    both = pace_replay.live_through(day, changes, seeds=seeds)
    return Replayed(day, changes, *both, pace_replay.decide_again(day, changes) if open_loop else None)


def test_a_day_replayed_under_its_own_rules_comes_out_as_it_was(session: Session) -> None:
    campaign, day = lived(session)
    stored = read(session, campaign)
    assert stored.world.agents == 12
    assert stored.really.utilisation == pytest.approx(day.utilisation, rel=0.005)
    assert stored.really.occupancy == pytest.approx(day.occupancy, rel=0.005)
    assert stored.really.abandoned == pytest.approx(day.campaigns[0].abandoned, abs=1)
    told = replayed(stored, Changes(), seeds=7, open_loop=True)
    assert told.in_order.utilisation == pytest.approx(day.utilisation, rel=0.02)
    assert told.in_order.calls == pytest.approx(day.launched, rel=0.05)
    assert told.error["utilisation"] == pytest.approx(0.0, abs=0.015)
    # Drawn anew from the same calls: the day as it was is one of such days.
    drawn = [one.utilisation for one in told.as_it_was[1:]]
    assert abs(mean(drawn) - day.utilisation) < 3 * stdev(drawn)
    assert stdev(drawn) < 0.05 * day.utilisation
    assert told.changed == []
    assert told.open_loop is not None
    assert told.open_loop.repeated >= 0.98 * told.open_loop.looked_at
    assert told.open_loop.different is None


def test_a_lower_ceiling_costs_talk_and_saves_customers(session: Session) -> None:
    campaign, _ = lived(session)
    told = replayed(read(session, campaign), Changes(max_abandonment=0.003), seeds=1, open_loop=True)
    was, other = (sum(day.abandoned for day in days) for days in (told.as_it_was, told.changed))
    assert other < was / 2
    assert told.changed[0].utilisation < told.in_order.utilisation
    assert told.open_loop is not None
    assert told.open_loop.different
    assert told.open_loop.fewer == told.open_loop.different


def test_one_call_per_agent_abandons_nobody_and_open_loop_says_how_often_it_differs(session: Session) -> None:
    campaign, _ = lived(session)
    told = replayed(read(session, campaign, until=HALF), Changes(mode="progressive"), seeds=1, open_loop=True)
    assert told.changed[0].abandoned == 0
    assert told.changed[0].utilisation < told.in_order.utilisation - 0.03
    assert told.open_loop is not None
    assert told.open_loop.different


def test_a_larger_team_meets_more_and_fewer_lines_slow_it_down(session: Session) -> None:
    campaign, _ = lived(session)
    stored = read(session, campaign, until=HALF)
    more = replayed(stored, Changes(agents=24), seeds=1).changed[0]
    assert more.agents == pytest.approx(24, rel=0.01)
    assert more.met > 1.5 * stored.really.met
    few = replayed(stored, Changes(max_lines=10), seeds=1).changed[0]
    assert few.met < 0.9 * stored.really.met


def test_staff_who_left_and_came_back_are_not_there_meanwhile(session: Session) -> None:
    world = replace(WORLD, at_work=steps((0, 12), (0.8, 4), (1.2, 12)))
    campaign, day = lived(session, world)
    stored = read(session, campaign)
    assert stored.world.at_work is not None
    assert {round(stored.world.at_work(hour * 3600)) for hour in (0.1, 0.6, 1.4)} == {12}
    assert stored.world.at_work(3600) == 4
    told = replayed(stored, Changes(), seeds=1)
    assert told.in_order.agents == pytest.approx(stored.really.agents, rel=0.02)
    assert told.in_order.utilisation == pytest.approx(day.utilisation, rel=0.03)


def test_a_pause_of_the_campaign_is_a_pause_in_the_replay(session: Session) -> None:
    world = replace(WORLD, campaigns=(Campaigning(dials=Curve(((0.0, 1.0), (3000.0, 0.0), (4200.0, 1.0)))),))
    campaign, day = lived(session, world)
    stored = read(session, campaign)
    dials = stored.world.campaigns[0].dials
    assert dials is not None
    assert [dials(at) > 0 for at in (2900.0, 3500.0, 4300.0)] == [True, False, True]
    told = replayed(stored, Changes(), seeds=1)
    assert told.in_order.utilisation == pytest.approx(day.utilisation, rel=0.03)


def test_rules_that_changed_meanwhile_hold_each_for_its_time(session: Session) -> None:
    campaign, _ = lived(session)
    half = SINCE + timedelta(minutes=30)
    later = PaceDecision.decided_at >= half
    changed = {"mode": "progressive", "bound_by": [], "refused": {}}
    session.execute(update(PaceDecision).where(later).values(limits=changed))
    stored = read(session, campaign)
    assert [(rule.mode, rule.since >= half) for rule in stored.rules] == [("predictive", False), ("progressive", True)]
    assert any(note.endswith("for its time: 1") for note in stored.notes)
    assert replayed(stored, Changes(), seeds=1).in_order.utilisation < stored.really.utilisation


def test_what_the_window_had_spent_before_is_spent_in_the_replay_too(session: Session) -> None:
    campaign, _ = lived(session)
    since = SINCE + timedelta(minutes=45)
    stored = read(session, campaign, since)
    lost, met, machines = stored.world.campaigns[0].spent
    assert machines == 0
    assert met > 50
    assert stored.world.warm_up_hours == pytest.approx(0.5, abs=0.01)  # from the first call before it
    assert len(stored.memory) > 200
    before = pace_records.calls(session, campaign, WORLD.begins, stored.world.begins)
    assert lost == pytest.approx(sum(call.abandoned for call in before), abs=2)  # some of them were still in the air
    assert met == pytest.approx(sum(call.met for call in before), abs=4)


def test_without_decisions_on_record_the_rules_of_today_are_taken_and_it_is_said(session: Session) -> None:
    campaign, _ = lived(session)
    session.execute(delete(PaceDecision))
    stored = read(session, campaign)
    assert [rule.mode for rule in stored.rules] == ["predictive"]
    assert any("of today" in note for note in stored.notes)
    assert pace_replay.decide_again(stored, Changes()) is None


def test_a_span_without_calls_or_agents_or_sense_is_refused_with_what_there_is(session: Session) -> None:
    campaign, _ = lived(session)
    with pytest.raises(NotFound, match=r"its calls are of 2026-03-02 10:00 to 2026-03-02 11:"):
        read(session, campaign, SINCE + timedelta(hours=4), UNTIL + timedelta(hours=4))
    with pytest.raises(BadInput, match="ends before it begins"):
        read(session, campaign, UNTIL, SINCE)
    with pytest.raises(BadInput, match="more than one day"):
        read(session, campaign, SINCE, SINCE + timedelta(hours=25))
    with pytest.raises(BadInput, match="still to come"):
        read(session, campaign, LATER + timedelta(hours=1), LATER + timedelta(hours=2))
    quiet = factories.campaign(session)
    with pytest.raises(NotFound, match="nor ever before"):
        read(session, quiet)
    factories.attempt(session, quiet, state=CallState.NO_ANSWER, ordered_at=SINCE)
    with pytest.raises(NotFound, match="nobody to replay with"):
        read(session, quiet)


def test_calls_people_start_by_hand_have_no_pace_to_replay(session: Session) -> None:
    campaign, _ = lived(session)
    by_hand = {"mode": "preview", "bound_by": [], "refused": {}}
    session.execute(update(PaceDecision).values(limits=by_hand))
    with pytest.raises(BadInput, match=r"from .* on the mode was preview: people .* leaves that time out"):
        read(session, campaign)


def test_a_span_is_replayed_although_people_set_the_pace_shortly_before(session: Session) -> None:
    campaign, _ = lived(session)
    before = SINCE - timedelta(minutes=10)
    of_then = PaceDecision.decided_at < before
    session.execute(
        update(PaceDecision).where(of_then).values(limits={"mode": "manual", "bound_by": [], "refused": {}})
    )
    assert read(session, campaign).world.warm_up_hours == pytest.approx(1 / 6, abs=0.02)
    with pytest.raises(BadInput, match="the mode was manual"):
        read(session, campaign, since=before - timedelta(minutes=5))


def test_who_waits_for_a_campaign_that_wants_nobody_says_nothing_of_the_way_to_the_line() -> None:
    def parks(ready: float) -> float | None:
        over = SINCE
        moments = [over + timedelta(seconds=seconds) for seconds in (0, 20, 20 + ready, 21 + ready, 60)]
        states = ("wrap_up", "ready", "parking", "parked")
        told = [Span(1, state, *moments[n : n + 2]) for n, state in enumerate(states)]
        return pace_records._AfterTalk(told).of(1, over)[1]

    assert parks(0.4) == pytest.approx(1.4)
    assert parks(28.0) is None


# What the rows know ----------------------------------------------------------------------------------------


def test_an_agent_going_from_state_to_state_is_one_agent_however_the_moments_are_rounded() -> None:
    moment = SINCE + timedelta(seconds=10.05)
    told = [
        Span(1, "parked", SINCE, moment),
        Span(1, "talking", moment - timedelta(milliseconds=1), UNTIL),
        Span(2, "paused", SINCE, UNTIL),
    ]
    assert pace_records.staffing(told, SINCE, UNTIL).points == ((0.0, 1.0), (3600.0, 0.0))


def test_lines_in_use_are_counted_from_order_to_end(session: Session) -> None:
    campaign = factories.campaign(session)
    for n in range(10):
        begin = SINCE + timedelta(minutes=6 * n)
        factories.attempt(session, campaign, state=CallState.NO_ANSWER, ordered_at=begin, ended_at=UNTIL)
    made = pace_records.calls(session, campaign, SINCE, UNTIL)
    assert pace_records.most_lines(made, SINCE, UNTIL) == (10, 10)
    assert pace_records.most_lines([], SINCE, UNTIL) is None


def test_what_nobody_knows_of_a_call_is_taken_from_others() -> None:
    known = [
        OnRecord(float(n), n % 2 == 0, 5.0 if n % 2 == 0 else 20.0, 100.0 if n % 2 == 0 else None, 9.0)
        for n in range(10)
    ]
    given_up = OnRecord(20.0, None, 15.0)
    abandoned = OnRecord(21.0, True, 6.0)
    *_, first, second = tried([*known, given_up, abandoned])
    assert (first.fate.answers, first.fate.rings) == (False, 20.0)  # of those that rang longer, nobody answered
    assert (second.fate.answers, second.fate.talk, second.fate.wrap_up) == (True, 100.0, 9.0)


def test_a_late_agent_is_an_abandoned_call_and_a_hang_up_is_none(session: Session) -> None:
    campaign = factories.campaign(session)
    common = {"ordered_at": SINCE, "answered_at": SINCE, "ended_at": SINCE + timedelta(seconds=50)}
    late = {"joined_at": SINCE + timedelta(seconds=3)}
    factories.attempt(session, campaign, state=CallState.COMPLETED, **common, **late)
    factories.attempt(session, campaign, state=CallState.HUNG_UP, **common)
    factories.attempt(session, campaign, state=CallState.ABANDONED, **common)
    factories.attempt(session, campaign, state=CallState.NO_LINES, ordered_at=SINCE)
    made = pace_records.calls(session, campaign, SINCE, UNTIL)
    assert [(call.abandoned, call.met, call.rang) for call in made] == [
        (True, False, True), (False, False, True), (True, False, True), (False, False, False),
    ]  # fmt: skip
    told = pace_records.what_happened(made, [], SINCE, UNTIL, LATER)
    assert (told.calls, told.answered, told.met, told.abandoned) == (4, 3, 0, 2)
    assert session.query(Attempt).count() == 4


def test_the_seconds_of_being_parked_again_are_read_from_the_states(session: Session) -> None:
    campaign = factories.campaign(session)
    anna = factories.agent(session, campaign, state="parked", since=SINCE + timedelta(seconds=84))
    over = SINCE + timedelta(seconds=60)
    for at, was, seconds in ((60, "talking", 60), (80, "wrap_up", 20), (81, "ready", 1), (84, "parking", 3)):
        session.add(
            Ledger(
                at=SINCE + timedelta(seconds=at), kind="agent", who="dialer", agent_id=anna.id,
                campaign_id=campaign.id, details={"from": was, "to": "", "seconds": seconds},
            )
        )  # fmt: skip
    factories.attempt(
        session, campaign, state=CallState.COMPLETED, ordered_at=SINCE - timedelta(seconds=9), answered_at=SINCE,
        joined_at=SINCE, over_at=over, ended_at=over, agent_id=anna.id,
    )  # fmt: skip
    session.flush()
    made = pace_records.calls(session, campaign, SINCE - timedelta(minutes=1), UNTIL)
    (call,) = pace_records.on_record(made, pace_records.spans(session, campaign, SINCE, UNTIL, LATER), SINCE)
    assert (call.talk, call.wrap_up, call.parks, call.rings) == (60.0, 20.0, 4.0, 9.0)


def test_a_machine_that_an_agent_met_is_one_again_when_the_day_is_replayed(session: Session) -> None:
    campaign = factories.campaign(session)
    machine = dispositions.get(session, campaign, "machine").id
    sale = dispositions.get(session, campaign, "sale").id
    for said, waited in ((machine, 1), (machine, 3), (sale, 1), (sale, 3), (None, 1)):
        factories.attempt(
            session, campaign, state=CallState.COMPLETED, ordered_at=SINCE, answered_at=SINCE, disposition_id=said,
            joined_at=SINCE + timedelta(seconds=waited), ended_at=SINCE + timedelta(seconds=waited + 10),
        )  # fmt: skip
    made = pace_records.calls(session, campaign, SINCE, UNTIL)
    assert [(call.abandoned, call.met) for call in made] == [
        (False, False), (False, False), (False, True), (True, False), (False, True),
    ]  # fmt: skip
    told = pace_records.what_happened(made, [], SINCE, UNTIL, LATER)
    assert (told.answered, told.met, told.abandoned) == (5, 2, 1)
    record = pace_records.on_record(made, [], SINCE)
    assert [call.machine for call in record] == [True, True, False, False, False]
    assert [call.fate.machine for call in tried(record)] == [True, True, False, False, False]


def test_who_met_nobody_is_a_machine_as_often_as_those_who_were_met() -> None:
    known = [OnRecord(float(n), True, 5.0, 8.0 if n % 2 else 100.0, 9.0, machine=bool(n % 2)) for n in range(10)]
    unknown = tried([*known, *(OnRecord(20.0 + n, True, 6.0) for n in range(400))])[10:]
    assert {(one.fate.machine, one.fate.talk) for one in unknown} == {(True, 8.0), (False, 100.0)}
    assert 150 < sum(one.fate.machine for one in unknown) < 250
