"""The order `best-time` through the gate, on real rows."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import TextClause, select, text
from sqlalchemy.orm import Session

from campaigns import best_time_order, best_times, callback_watch, contact_orders, gate, lanes, reports
from campaigns.gate import Claim
from campaigns.lines import Lines
from campaigns.models import Attempt, Campaign, Contact, ContactList, LearntTimes
from campaigns.waterfall import waterfall
from dialer.best_times import Who
from dialer.errors import BadInput
from dialer.settings import TimingSettings
from tests import factories
from tests.factories import NOW

MORNING = NOW.replace(hour=9, minute=30)  # Monday, 10:30 in Rome
EVENING = NOW.replace(hour=17, minute=30)
FIXED, MOBILE = "+39061234", "+39340123"


@pytest.fixture
def running(session: Session) -> Campaign:
    made = factories.campaign(session, number_gap=0.0, max_attempts=9, hours="09:00-20:00")
    factories.lease(session, made)
    return made


def past(session: Session, of: Campaign, on: ContactList) -> None:
    """Ten days of calls: landlines answer in the morning, mobiles in the evening."""
    old = factories.contact(session, of, list_id=on.id, state="closed", next_at=None)
    session.execute(
        text(
            "INSERT INTO attempts (campaign_id, contact_id, pbx, ref, number, gateway, caller_id, attempt_no, fence, "
            "proof, answer_limit, rule_pack, state, ordered_at, not_after, answered_at, ended_at, answer_group) "
            "SELECT :c, :k, 'main', 'past' || head || day || hour || n, head || (1000 + n), '4', 'x', 1, 1, '{}', 2, "
            "'default-2026', CASE WHEN yes THEN 'completed' ELSE 'no_answer' END, at, at, CASE WHEN yes THEN at END, "
            "at, :group FROM (SELECT *, n % 10 < CASE WHEN (hour < 12) = (head = :fixed) THEN 4 ELSE 1 END AS yes, "
            "CAST(:now AS timestamptz) - interval '3 days' * day + interval '1 hour' * (hour - 9) AS at "
            "FROM unnest(ARRAY[:fixed, :mobile]) head, generate_series(1, 9) day, unnest(ARRAY[8, 9, 10, 16, 17, 18]) "
            "hour, generate_series(1, 10) n) AS calls"
        ),
        {"c": of.id, "k": old.id, "group": f"{on.id}/1", "now": NOW, "fixed": FIXED, "mobile": MOBILE},
    )


def people(session: Session, of: Campaign, on: ContactList, each: int) -> dict[str, list[int]]:
    made: dict[str, list[int]] = {FIXED: [], MOBILE: []}
    for n in range(each):
        for head in made:
            due = NOW - timedelta(hours=3, minutes=n)
            made[head].append(factories.contact(session, of, list_id=on.id, phone=f"{head}{2000 + n}", next_at=due).id)
    return made


def order(session: Session, of: Campaign, wanted: int, now: datetime) -> set[int]:
    claim = Claim(f"campaign:{of.id}", "test", 1)
    before = set(session.scalars(select(Attempt.id)))
    gate.order(session, of.id, wanted, Lines({"4": 500}), claim, now=now, timing=TimingSettings())
    rows = session.execute(select(Attempt.id, Attempt.contact_id))
    return {row.contact_id for row in rows if row.id not in before}


def test_whoevers_hour_it_is_is_called_and_the_others_wait_while_enough_are_due(
    session: Session, running: Campaign
) -> None:
    on = factories.contact_list(session, running)
    past(session, running, on)
    made = people(session, running, on, 40)
    contact_orders.set_order(session, running, order="best-time", who="test", now=NOW)
    times = best_times.kept(session, running.id)
    assert times.chance(Who(f"{on.id}/1", "fixed"), 10) > 2 * times.chance(Who(f"{on.id}/1", "fixed"), 18)

    assert order(session, running, 5, MORNING) <= set(made[FIXED])
    # No call of the last hour says how fast people are used up, so nobody was put off.
    assert session.scalars(select(Contact.next_at).where(Contact.next_at > MORNING)).all() == []
    soon = MORNING + timedelta(seconds=11)
    assert order(session, running, 5, soon) <= set(made[FIXED])
    waiting = session.scalars(select(Contact).where(Contact.next_at > soon)).all()
    assert {contact.id for contact in waiting} <= set(made[MOBILE])
    # 70 are due, five were called in a moment: reckoned over ten minutes, 30 an hour; the evening is 6 hours away.
    assert waiting == []

    for contact_id in made[FIXED][:3]:
        session.get_one(Contact, contact_id).next_at = EVENING - timedelta(hours=6)
    assert order(session, running, 5, EVENING) <= set(made[MOBILE])


def test_those_put_off_come_back_at_their_hour(session: Session, running: Campaign) -> None:
    on = factories.contact_list(session, running)
    past(session, running, on)
    made = people(session, running, on, 120)
    running.contact_order = "best-time"
    best_times.keep(session, running.id, best_times.learn(session, running, NOW), NOW)
    factories.attempt(session, running, ordered_at=MORNING - timedelta(minutes=59), ended_at=NOW, state="no_answer")
    taken = lanes.first_due(session, running, MORNING, 5)
    assert set(taken) <= set(made[FIXED])
    session.expire_all()
    waiting = session.scalars(select(Contact).where(Contact.next_at > MORNING)).all()
    assert len(waiting) > 100
    assert {contact.id for contact in waiting} <= set(made[MOBILE])
    assert all(MORNING < contact.next_at < EVENING + timedelta(hours=2) for contact in waiting if contact.next_at)
    # Ten seconds have to pass before others are put off, and nobody is chosen who waits.
    again = waiting[0]
    again.next_at = NOW - timedelta(days=1)
    session.flush()
    soon = MORNING + timedelta(seconds=5)
    assert not set(lanes.first_due(session, running, soon, 5)) & {contact.id for contact in waiting}
    session.refresh(again)
    assert again.next_at < soon  # type: ignore[operator]
    lanes.first_due(session, running, MORNING + timedelta(seconds=10), 5)
    session.refresh(again)
    assert again.next_at > soon  # type: ignore[operator]
    later = max(contact.next_at for contact in waiting if contact.next_at)
    assert set(lanes.first_due(session, running, later, 20)) <= set(made[MOBILE])


def test_who_was_called_days_ago_is_not_put_off_again(session: Session, running: Campaign) -> None:
    on = factories.contact_list(session, running)
    past(session, running, on)
    made = people(session, running, on, 60)
    running.contact_order = "best-time"
    best_times.keep(session, running.id, best_times.learn(session, running, NOW), NOW)
    factories.attempt(session, running, ordered_at=MORNING - timedelta(minutes=59), ended_at=NOW, state="no_answer")
    for contact_id, days in ((made[MOBILE][0], 1), (made[MOBILE][1], 5)):
        called = session.get_one(Contact, contact_id)
        called.tried = 1
        at = MORNING - timedelta(days=days)
        factories.attempt(session, running, contact=called, state="no_answer", ordered_at=at, ended_at=at)
    lanes.first_due(session, running, MORNING, 5)
    session.expire_all()
    assert session.get_one(Contact, made[MOBILE][0]).next_at > MORNING  # type: ignore[operator]
    assert session.get_one(Contact, made[MOBILE][1]).next_at < MORNING  # type: ignore[operator]


def test_priority_stands_above_the_hour_and_nothing_else_may_follow_it(session: Session, running: Campaign) -> None:
    on = factories.contact_list(session, running)
    past(session, running, on)
    made = people(session, running, on, 4)
    first = session.get_one(Contact, made[MOBILE][2])
    first.priority = -5
    contact_orders.set_order(session, running, order="priority,best-time", who="test", now=NOW)
    assert lanes.first_due(session, running, MORNING, 3)[0] == first.id
    assert set(lanes.first_due(session, running, MORNING, 5)[1:]) <= set(made[FIXED])
    with pytest.raises(BadInput, match="comes last"):
        contact_orders.set_order(session, running, order="best-time,priority", who="test", now=NOW)


def test_without_any_calls_everybody_is_called_as_they_are_due(session: Session, running: Campaign) -> None:
    on = factories.contact_list(session, running)
    made = people(session, running, on, 3)
    running.contact_order = "best-time"
    oldest_first = [one for n in (2, 1, 0) for one in (made[FIXED][n], made[MOBILE][n])]
    assert lanes.first_due(session, running, MORNING, 9) == oldest_first


def test_what_is_learnt_is_learnt_anew_every_ten_minutes_by_whoever_leads(session: Session, running: Campaign) -> None:
    assert best_times.overdue(session, NOW) == []
    contact_orders.set_order(session, running, order="best-time", who="test", now=NOW)
    assert best_times.overdue(session, NOW + timedelta(minutes=9)) == []
    assert best_times.overdue(session, NOW + timedelta(minutes=10)) == [running.id]
    on = factories.contact_list(session, running)
    past(session, running, on)
    later = NOW + timedelta(minutes=10)
    best_times.keep(session, running.id, best_times.learn(session, running, later), later)
    assert session.scalars(select(LearntTimes.learnt_at)).one() == later
    assert best_times.kept(session, running.id).seen > 400


def test_the_report_tells_the_best_hours_of_each_kind_first(session: Session, running: Campaign) -> None:
    on = factories.contact_list(session, running)
    past(session, running, on)
    made = reports.make(session, "best-times", campaign=running.name, since=None, until=None, now=NOW)
    first = {kind: next(row for row in made.rows if row["kind"] == kind) for kind in ("fixed", "mobile")}
    assert int(first["fixed"]["hour"][:2]) < 13 < int(first["mobile"]["hour"][:2])
    assert sum(row["calls"] for row in made.rows) == 2 * 9 * 6 * 10
    assert all(row["least"] < row["chance"] < row["most"] for row in made.rows)
    with pytest.raises(BadInput, match="--campaign"):
        reports.make(session, "best-times", campaign=None, since=None, until=None, now=NOW)


def test_a_promise_made_meanwhile_is_not_put_off(session: Session, running: Campaign) -> None:
    """Between the look and the putting off an agent may promise a call: the locked row is asked again."""
    promised = factories.contact(session, running, next_at=NOW, due_date=NOW.date())
    open_one = factories.contact(session, running, next_at=NOW)
    ids = [promised.id, open_one.id]
    session.execute(best_time_order._PUT_OFF, {"ids": ids, "untils": [EVENING, EVENING], "now": MORNING})
    session.expire_all()
    assert [session.get_one(Contact, one).next_at for one in ids] == [NOW, EVENING]


def test_who_waits_for_a_better_hour_is_let_back_when_the_campaign_takes_another_order(
    session: Session, running: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    on = factories.contact_list(session, running)
    past(session, running, on)
    made = people(session, running, on, 120)
    contact_orders.set_order(session, running, order="best-time", who="test", now=NOW)
    factories.attempt(session, running, ordered_at=MORNING - timedelta(minutes=59), ended_at=NOW, state="no_answer")
    lanes.first_due(session, running, MORNING, 5)
    session.expire_all()
    waiting = session.scalars(select(Contact).where(Contact.next_at > MORNING).order_by(Contact.id)).all()
    assert len(waiting) > 100
    assert {(one.put_off_by, one.put_off_until == one.next_at) for one in waiting} == {("best_time", True)}
    steps = waterfall(session, running, now=MORNING, ring_seconds=60.0).steps
    assert [step.contacts for step in steps if "much better hour" in step.reason] == [len(waiting)]
    # Whom somebody moved since, or promised a call, is not moved again.
    moved, promised = waiting[0], waiting[1]
    moved.next_at = promised.next_at = MORNING + timedelta(hours=3)
    promised.due_date = MORNING.date()
    session.flush()
    monkeypatch.setattr(best_time_order, "_TAKE_BACK", text(best_time_order._TAKE_BACK.text.replace("5000", "70")))
    contact_orders.set_order(session, running, order="fewest", who="test", now=MORNING)
    session.expire_all()
    assert len(session.scalars(select(Contact).where(Contact.next_at > MORNING)).all()) == len(waiting) - 70
    assert best_time_order.left_waiting(session) == [running.id]  # for the scheduler
    while best_time_order.take_back(session, running.id, MORNING):
        assert best_time_order.left_waiting(session) == [running.id]
    assert best_time_order.left_waiting(session) == []
    session.expire_all()
    still = session.scalars(select(Contact.id).where(Contact.next_at > MORNING)).all()
    assert set(still) == {moved.id, promised.id}
    assert set(made[MOBILE]) & set(lanes.first_due(session, running, MORNING, 300))


@pytest.mark.parametrize(
    ("statement", "given"),
    [
        (best_time_order._TAKE_BACK, {"campaign": 1, "now": NOW, "farthest": NOW}),
        (callback_watch._UNMARKED, {"most": 500}),
    ],
)
def test_a_slice_is_locked_once_whatever_the_plan(
    session: Session, statement: TextClause, given: dict[str, Any]
) -> None:
    """As the inner side of a loop it would be asked for again, skip what it has locked, and bring the next slice."""
    plan = [line for (line,) in session.execute(text(f"EXPLAIN {statement.text}"), given)]
    above = plan[: next(at for at, line in enumerate(plan) if "LockRows" in line)]
    assert [line for line in above if line.strip().startswith("CTE ")]
