"""What a pacer is told of a campaign with an order of its own, through a tick on real rows."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import best_times, ordering, pace_calls, pace_records
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.deciding import Pacing
from campaigns.expecting import Coming, Expecting
from campaigns.gate import Claim
from campaigns.models import Attempt, Campaign, Contact, PaceDecision
from dialer.best_times import BestTimes, Seen, Who, hour_of_week
from dialer.pacing import Happened, Snapshot
from tests import factories
from tests.campaigns.test_giving_up import Wishes
from tests.factories import NOW
from tests.fakes import FakePbx

FIXED, MOBILE = "+39061234", "+39340123"
ROME = "Europe/Rome"


@pytest.fixture
def running(application: Application, session: Session) -> Campaign:
    application.pbxes = {"main": FakePbx()}
    made = factories.campaign(session, number_gap=0.0, max_attempts=9, contact_order="best-time", mode="predictive")
    factories.lease(session, made)
    factories.lines(session)
    return made


def learnt(group: str, now: datetime) -> BestTimes:
    """Landlines answer half of the calls at this hour and a tenth of them two hours later; mobiles never much."""
    here = hour_of_week(now, ROME)
    cells = [(here, "fixed", 0.5), (here, "mobile", 0.1), ((here + 2) % 168, "fixed", 0.1)]
    return BestTimes.learn(
        Seen(Who(group, kind), hour, 4_000.0, 4_000.0 * chance) for hour, kind, chance in cells for _ in range(3)
    )


def people(session: Session, of: Campaign, on: int, due: datetime, each: int = 6) -> dict[str, set[int]]:
    return {
        head: {
            factories.contact(session, of, list_id=on, phone=f"{head}{2000 + n}", next_at=due - timedelta(minutes=n)).id
            for n in range(each)
        }
        for head in (FIXED, MOBILE)
    }


def tick(application: Application, pacing: Pacing) -> None:
    ordering.tick(application, pacing, Claim(f"campaign:{pacing.campaign_id}", "test", 1))


def test_the_pacer_is_told_who_comes_next_and_how_likely_they_answer_at_this_hour(
    application: Application, session: Session, running: Campaign
) -> None:
    now = database_now(session)
    on = factories.contact_list(session, running).id
    group, here = f"{on}/1", hour_of_week(now, ROME)
    made = people(session, running, on, now - timedelta(minutes=1))
    best_times.keep(session, running.id, learnt(group, now), now)
    session.commit()
    pacer = Wishes(calls=4)
    pacing = Pacing(running.id, mode="predictive", pacer=pacer)
    tick(application, pacing)  # sets the pacer anew: what is expected of its calls has become known
    pacing.pacer = pacer
    tick(application, pacing)
    seen: Snapshot = pacer.seen[-1]
    assert seen.in_order
    fixed, mobile = f"{group} fixed {here}", f"{group} mobile {here}"
    assert seen.prospects == ((fixed, 6), (mobile, 6))  # in the order of the campaign
    chances = {name: (chance, calls) for name, chance, calls in seen.expected}
    assert chances[fixed][0] == pytest.approx(0.5, abs=0.06)
    assert chances[mobile][0] == pytest.approx(0.1, abs=0.04)
    assert chances[fixed][1] > 1_000  # and how sure that is
    assert set(session.scalars(select(Attempt.contact_id))) <= made[FIXED]
    stored = session.scalars(select(PaceDecision).order_by(PaceDecision.id.desc())).first()
    assert stored is not None
    assert Snapshot.from_json(stored.snapshot) == seen  # a decision is replayed on what it was made on
    # What is told of a moment is told of the calls ordered in it, to the last digit: else each would void the other.
    expecting = pacing.coming.expecting
    assert expecting is not None
    told = {name: (one.value, one.calls) for name, one in (expecting.of(group, f"{FIXED}2000", now) for _ in "x")}
    assert told[fixed] == chances[fixed]


def test_each_call_is_told_with_what_was_expected_of_it_when_it_was_ordered(
    session: Session, running: Campaign
) -> None:
    on = factories.contact_list(session, running).id
    group = f"{on}/1"
    morning = NOW.replace(hour=8)
    for number, at in (
        (f"{FIXED}2001", morning),
        (f"{FIXED}2002", morning + timedelta(hours=2)),
        (f"{MOBILE}2001", morning),
    ):
        contact = factories.contact(session, running, list_id=on, phone=number, state="closed", next_at=None)
        factories.attempt(
            session, running, contact=contact, number=number, state="no_answer", answer_group=group, ordered_at=at,
            ended_at=at + timedelta(seconds=20),
        )  # fmt: skip
    told = Expecting(learnt(group, morning), ROME).told
    events = pace_calls.remembered(session, running.id, told)
    found = {event.at: event for event in events if event.kind is Happened.LAUNCHED and " fixed " in event.group}
    chances = [found[at].expected for at in (morning, morning + timedelta(hours=2))]
    assert [round(one.value, 1) for one in chances if one] == [0.5, 0.1]
    stored = pace_records.calls(session, running, NOW - timedelta(days=1), NOW + timedelta(days=1))
    again = [event for call in Expecting(learnt(group, morning), ROME).told(stored) for event in call.events()]
    assert [(one.group, one.expected) for one in again if one.expected] == [
        (one.group, one.expected) for one in sorted(events, key=lambda one: (one.at, one.call)) if one.expected
    ]
    plain = {event.group for event in pace_calls.remembered(session, running.id) if event.kind is Happened.LAUNCHED}
    assert plain == {group}


def test_when_it_is_learnt_anew_the_pacer_learns_its_calls_anew_beside_it(
    application: Application, session: Session, running: Campaign
) -> None:
    now = database_now(session)
    on = factories.contact_list(session, running).id
    people(session, running, on, now - timedelta(minutes=1))
    best_times.keep(session, running.id, learnt(f"{on}/1", now), now)
    session.commit()
    pacing = Pacing(running.id)
    tick(application, pacing)
    first = pacing.pacer
    tick(application, pacing)
    assert pacing.pacer is first  # not at every tick
    best_times.keep(
        session, running.id, BestTimes.learn([Seen(Who("1/1", "fixed"), 3, 9.0, 4.0)]), database_now(session)
    )
    session.commit()
    assert pacing.looked_at is not None
    pacing.looked_at -= timedelta(seconds=6)
    tick(application, pacing)
    assert pacing.pacer is not first


@pytest.mark.parametrize("order", ["priority", ""])
def test_by_another_order_it_is_told_who_comes_and_no_hours_and_without_one_it_chooses(
    application: Application, session: Session, running: Campaign, order: str
) -> None:
    running.contact_order = order
    now = database_now(session)
    lists = [factories.contact_list(session, running).id for _ in range(2)]
    for on in lists:
        people(session, running, on, now - timedelta(minutes=1), each=2)
    session.flush()
    for contact in session.scalars(select(Contact).where(Contact.list_id == lists[1])):
        contact.priority = -1
    session.commit()
    pacer = Wishes(calls=0)
    tick(application, Pacing(running.id, mode="predictive", pacer=pacer))
    seen = pacer.seen[-1]
    assert seen.expected == ()
    assert seen.in_order == bool(order)
    named = ((f"{lists[1]}/1", 4), (f"{lists[0]}/1", 4))
    assert seen.prospects == (named if order else tuple(reversed(named)))


def test_with_nothing_learnt_nothing_is_expected(session: Session, running: Campaign) -> None:
    on = factories.contact_list(session, running).id
    people(session, running, on, NOW, each=2)
    assert Coming.look(session, running, NOW).expected == ()
    assert Coming.look(session, running, NOW).prospects == ((f"{on}/1", 4),)
