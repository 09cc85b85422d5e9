"""Promises to call: whose they are, and that each is kept, or reported before it breaks (I13)."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from campaigns import callback_taking, callback_tickets, callback_watch, callbacks, do_not_call, importing, periods
from campaigns.application import Application
from campaigns.callback_dates import Calendar, When, wanted
from campaigns.db import database_now
from campaigns.models import Agent, Attempt, Callback, CallbackTicket, Contact, Ledger
from dialer.calls import CallState
from dialer.errors import BadInput, RefusedByRule
from dialer.settings import TimingSettings
from tests import factories
from tests.campaigns.modes_kit import Desk, desk, refused
from workers.scheduler import Scheduler

TIMING = TimingSettings()
HOUR = timedelta(hours=1)


@pytest.fixture
def office(application: Application, session: Session) -> Desk:
    return desk(application, session, mode="progressive")


def in_seconds(at: Desk, due: float, lasting: float = 3600.0) -> When:
    """A promise for so many seconds from now, that breaks so long after."""
    now = database_now(at.session)
    due_at = now + timedelta(seconds=due)
    return When(due_at.date(), None, "", "Europe/Rome", due_at, due_at + timedelta(seconds=lasting))


def promised(
    at: Desk, due: float = -1.0, lasting: float = 3600.0, *, owner: Agent | None = None, **contact: object
) -> Callback:
    to = factories.contact(at.session, at.campaign, **{"state": "closed", "closed_because": "reached", **contact})
    made = callbacks.promise(
        at.session, at.campaign, to, in_seconds(at, due, lasting), owner=owner, timing=TIMING,
        now=database_now(at.session), who="cli:ada",
    )  # fmt: skip
    at.session.commit()
    return made


def watch(at: Desk, now: datetime | None = None) -> callback_watch.Watched:
    at.session.commit()
    with at.application.transaction() as session:
        done = callback_watch.watch(session, now=now or database_now(session), timing=TIMING)
    at.session.expire_all()
    return done


def take(at: Desk, callback: Callback, agent: Agent) -> Callback:
    return callback_taking.take(
        at.session, callback.id, agent, now=database_now(at.session), who="cli:ada", timing=TIMING
    )


def calls(at: Desk) -> list[tuple[int, int | None]]:
    at.session.expire_all()
    rows = at.session.execute(select(Attempt.contact_id, Attempt.reserved_agent_id).order_by(Attempt.id))
    return [(row[0], row[1]) for row in rows]


def told(at: Desk, kind: str) -> list[str]:
    return list(at.session.scalars(select(Ledger.why).where(Ledger.kind == kind).order_by(Ledger.id)))


# --- its owner ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["progressive", "power", "predictive"])
def test_the_owner_is_given_the_callback_though_others_wait_longer(
    application: Application, session: Session, mode: str
) -> None:
    office = desk(application, session, mode=mode)
    first, second, owner = office.agent(), office.agent(), office.agent()
    callback = promised(office, owner=owner)
    office.tick()
    assert calls(office) == [(callback.contact_id, owner.id)]
    assert {first.reserved_for, second.reserved_for} == {""}


def test_nobody_else_is_given_it_while_the_owner_may_come(office: Desk) -> None:
    office.agent()
    owner = factories.agent(office.session, office.campaign, state="talking")
    callback = promised(office, owner=owner)
    for _ in range(3):
        office.tick()
    assert calls(office) == []
    session = office.session
    session.get_one(Contact, callback.contact_id).kept_until = database_now(session) - timedelta(seconds=1)
    office.tick()
    assert [contact for contact, _ in calls(office)] == [callback.contact_id], "its time with the owner is over"


def test_the_owner_is_kept_ahead_and_no_other_and_given_no_other_callback(office: Desk) -> None:
    owner, other = office.agent(), office.agent()
    own = promised(office, 15.0, owner=owner)
    office.tick()
    assert (owner.reserved_for, other.reserved_for) == ("callback", "")
    anyones = promised(office)
    office.tick()
    assert calls(office) == [], "half the team of two is kept already, and the owner is for their own"
    callback = office.session.get_one(Callback, own.id)
    contact = office.session.get_one(Contact, own.contact_id)
    contact.next_at = callback.due_at = database_now(office.session)
    office.tick()
    assert calls(office) == [(own.contact_id, owner.id)]
    office.not_answered(office.session.scalars(select(Attempt)).one())
    office.tick()
    assert (anyones.contact_id, other.id) in calls(office) or (anyones.contact_id, owner.id) in calls(office)


def test_an_owner_who_is_out_loses_it_after_the_fallback_and_it_is_said(office: Desk) -> None:
    office.agent()
    owner = factories.agent(office.session, office.campaign, state="out")
    callback = promised(office, owner=owner)
    until = callback.held_until
    assert until == callback.due_at + timedelta(seconds=TIMING.callback_fallback)
    assert watch(office, until - timedelta(seconds=1)).to_anyone == 0
    assert watch(office, until).to_anyone == 1
    contact = office.session.get_one(Contact, callback.contact_id)
    assert (contact.kept_for, contact.kept_as, contact.kept_until) == (None, "", None)
    assert any("is away" in why for why in told(office, "callback"))
    office.tick()
    assert [one for one, _ in calls(office)] == [callback.contact_id]


def test_an_owner_at_work_keeps_it_longer_but_never_past_the_alarm(office: Desk) -> None:
    owner = factories.agent(office.session, office.campaign, state="talking")
    callback = promised(office, owner=owner)
    now = callback.due_at
    while now < callback.alarm_at:
        now += timedelta(seconds=20)
        watch(office, now)
        callback = office.session.get_one(Callback, callback.id)
        if callback.held_until is None:
            break
        assert callback.held_until <= callback.alarm_at
    assert callback.held_until is None
    assert now >= callback.alarm_at - timedelta(seconds=5)
    assert any("did not come free" in why for why in told(office, "callback"))


def test_a_scheduler_that_is_gone_keeps_no_callback_for_an_owner_who_is(office: Desk) -> None:
    """The fallback needs nobody to run: the gate reads the row."""
    office.agent()
    owner = factories.agent(office.session, office.campaign, state="out")
    callback = promised(office, -TIMING.callback_fallback - 1, owner=owner)
    office.tick()
    assert [one for one, _ in calls(office)] == [callback.contact_id]


def test_in_preview_the_owner_is_offered_their_own(application: Application, session: Session) -> None:
    office = desk(application, session, mode="preview")
    office.agent()
    owner = office.agent()
    callback = promised(office, owner=owner)
    factories.contact(session, office.campaign)
    office.tick()
    rows = session.execute(text("SELECT contact_id, agent_id FROM offers WHERE state = 'open'")).all()
    assert (callback.contact_id, owner.id) in [tuple(row) for row in rows]
    assert len(rows) == 2


def test_an_owner_must_work_for_the_campaign(office: Desk) -> None:
    stranger = factories.agent(office.session, factories.campaign(office.session))
    with pytest.raises(BadInput, match="does not work for campaign"):
        promised(office, owner=stranger)


# --- taken -------------------------------------------------------------------------------------------------------


def test_a_taken_callback_is_called_for_nobody(office: Desk) -> None:
    taker = office.agent()
    office.agent()
    callback = promised(office)
    take(office, callback, taker)
    for _ in range(2):
        office.tick()
    assert calls(office) == []
    assert {agent.reserved_for for agent in office.session.scalars(select(Agent))} == {""}


def test_of_two_takers_the_second_is_told_the_first(office: Desk) -> None:
    first, second = office.agent(name="Anna"), office.agent()
    callback = promised(office)
    take(office, callback, first)
    with pytest.raises(RefusedByRule, match="taken by Anna until"):
        take(office, callback, second)
    assert take(office, callback, first).taken_by == first.id, "taking twice is harmless"


def test_two_takers_at_once_have_one_winner(office: Desk) -> None:
    first, second = office.agent(), office.agent()
    callback = promised(office)
    office.session.commit()
    sessions = office.application.sessions
    with sessions() as one, one.begin():
        callback_taking.take(one, callback.id, first, now=database_now(one), who="a", timing=TIMING)
        with sessions() as two, two.begin():
            two.execute(text("SET LOCAL lock_timeout = '100ms'"))
            now = database_now(two)
            with pytest.raises(OperationalError, match="lock timeout"):
                callback_taking.take(two, callback.id, second, now=now, who="b", timing=TIMING)
    office.session.expire_all()
    assert office.session.get_one(Callback, callback.id).taken_by == first.id


def test_one_taken_at_the_instant_of_the_tick_is_not_called(office: Desk) -> None:
    """The gate's statement began before the take was committed; it tests the locked row again."""
    taker = office.agent()
    callback = promised(office)
    office.session.commit()
    with office.application.sessions() as other, other.begin():
        callback_taking.take(other, callback.id, taker, now=database_now(other), who="a", timing=TIMING)
        office.tick()
        assert calls(office) == [], "its row is locked"
    office.tick()
    assert calls(office) == []


def test_a_take_ends_by_itself_and_the_callback_is_called(office: Desk) -> None:
    office.agent()
    callback = promised(office)
    taker = factories.agent(office.session, office.campaign, state="wrap_up")
    take(office, callback, taker)
    assert callback.held_until is not None
    assert watch(office, callback.held_until).given_back == 1
    assert "not done in time" in told(office, "callback")
    office.tick()
    assert [one for one, _ in calls(office)] == [callback.contact_id]


def test_a_taker_who_goes_home_gives_it_back(office: Desk) -> None:
    callback = promised(office)
    taker = factories.agent(office.session, office.campaign)
    take(office, callback, taker)
    taker.state, taker.since = "out", database_now(office.session)
    assert watch(office).given_back == 1
    assert "the agent went home" in told(office, "callback")


def test_a_take_does_not_end_while_its_call_runs(office: Desk) -> None:
    callback = promised(office)
    take(office, callback, factories.agent(office.session, office.campaign))
    contact = office.session.get_one(Contact, callback.contact_id)
    contact.state, contact.next_at = "live", None
    assert watch(office, database_now(office.session) + HOUR).given_back == 0


def test_given_back_it_is_its_owners_again_or_anybodys(office: Desk) -> None:
    owner = office.agent()
    callback = promised(office, 60.0, owner=owner)
    take(office, callback, owner)
    now = database_now(office.session)
    callback_taking.release(office.session, callback.id, now=now, who="a")
    contact = office.session.get_one(Contact, callback.contact_id)
    assert (contact.kept_for, contact.kept_as) == (owner.id, "owner")
    callback_taking.release(office.session, callback.id, to_anyone=True, now=now, who="a")
    assert (contact.kept_for, callback.owner_id) == (None, None)
    with pytest.raises(RefusedByRule, match="nothing to give back"):
        callback_taking.release(office.session, callback.id, now=now, who="a")


def test_an_owners_callback_is_not_taken_by_another(office: Desk) -> None:
    owner, other = office.agent(name="Anna"), office.agent()
    callback = promised(office, 60.0, owner=owner)
    with pytest.raises(RefusedByRule, match="is Anna's until"):
        take(office, callback, other)


# --- kept, late, lost, and reported before -------------------------------------------------------------------------


def test_a_promise_that_is_called_in_time_is_kept_whether_or_not_anybody_answers(office: Desk) -> None:
    office.agent()
    callback = promised(office)
    office.tick()
    attempt = office.session.scalars(select(Attempt)).one()
    office.not_answered(attempt)
    callback = office.session.get_one(Callback, callback.id)
    assert callback.closed_at is None, "it is called again, by the rule of retries"
    assert callback.called_at is not None
    assert watch(office, callback.deadline_at).broken == 0
    ticket = office.session.scalars(select(CallbackTicket)).one()
    assert (ticket.status, ticket.attempt_id, ticket.callback_id) == ("NoAnswer", attempt.id, callback.id)


def test_a_promise_ends_as_kept_when_the_person_was_met(office: Desk) -> None:
    agent = office.agent()
    callback = promised(office)
    office.tick()
    attempt = office.session.scalars(select(Attempt)).one()
    office.answer(attempt)
    attempt = office.session.get_one(Attempt, attempt.id)
    attempt.joined_at, attempt.agent_id, attempt.state = database_now(office.session), agent.id, "joined"
    office.ended(attempt)
    callback = office.session.get_one(Callback, callback.id)
    assert (callback.result, callback.why) == ("kept", "reached")
    ticket = office.session.scalars(select(CallbackTicket)).one()
    assert (ticket.status, ticket.agent_id) == ("Answered", agent.id)


def test_a_call_that_never_rang_keeps_no_promise(office: Desk) -> None:
    callback = promised(office)
    attempt = factories.attempt(
        office.session, office.campaign, contact=office.session.get_one(Contact, callback.contact_id),
        state="no_lines", ordered_at=database_now(office.session),
    )  # fmt: skip
    callback_tickets.after_call(office.session, attempt, now=database_now(office.session))
    assert callback.called_at is None
    assert office.session.scalars(select(CallbackTicket)).all() == []


def test_a_call_before_its_time_keeps_no_promise_unless_the_person_was_there(office: Desk) -> None:
    callback = promised(office, 600.0)
    now = database_now(office.session)
    to = office.session.get_one(Contact, callback.contact_id)
    early = factories.attempt(
        office.session, office.campaign, contact=to, state="no_answer", ordered_at=now, ringing_at=now
    )
    callback_tickets.after_call(office.session, early, now=now)
    assert callback.called_at is None
    met = factories.attempt(
        office.session, office.campaign, contact=to, state="completed", ordered_at=now, ringing_at=now, joined_at=now
    )
    callback_tickets.after_call(office.session, met, now=now)
    assert (callback.called_at, callback.reached_at) == (now, now)


def test_an_alarm_comes_before_the_promise_breaks_and_says_why(office: Desk) -> None:
    callback = promised(office)
    assert watch(office, callback.alarm_at - timedelta(seconds=1)).alarmed == 0
    done = watch(office, callback.alarm_at)
    assert (done.alarmed, done.broken) == (1, 0)
    callback = office.session.get_one(Callback, callback.id)
    assert callback.alarmed_at is not None
    assert callback.alarmed_at < callback.deadline_at
    (why,) = told(office, "callback_alarm")
    assert "no agent is free" in why
    assert callback.alarm == why
    assert watch(office, callback.alarm_at + timedelta(minutes=1)).alarmed == 0, "said once"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE campaigns SET state = 'paused'", "the campaign is paused"),
        ("UPDATE campaigns SET hours = '00:00-00:01'", "is outside 00:00-00:01"),
        ("INSERT INTO do_not_call (number, source) SELECT phone, 'caller' FROM contacts", "do-not-call list"),
        ("UPDATE campaigns SET mode = 'manual'", "an agent must take and start it"),
        ("UPDATE contacts SET next_at = now() + interval '3 days'", "not before"),
    ],
)
def test_the_alarm_names_what_keeps_it_from_being_called(office: Desk, change: str, reason: str) -> None:
    callback = promised(office)
    office.session.execute(text(change))
    watch(office, callback.alarm_at)
    (why,) = told(office, "callback_alarm")
    assert reason in why


def test_the_alarm_names_who_has_taken_it(office: Desk) -> None:
    callback = promised(office)
    take(office, callback, factories.agent(office.session, office.campaign, name="Anna"))
    callbacks.keep(callback, office.session.get_one(Contact, callback.contact_id), 1, "taken", callback.deadline_at)
    watch(office, callback.alarm_at)
    assert "Anna has taken it" in told(office, "callback_alarm")[0]


def test_a_broken_promise_is_reported_is_still_called_and_is_late(office: Desk) -> None:
    callback = promised(office, -7200.0, 3600.0)
    done = watch(office)
    assert (done.alarmed, done.broken) == (0, 1), "an alarm before would be no news"
    assert len(told(office, "callback_broken")) == 1
    agent = office.agent()
    office.tick()
    attempt = office.session.scalars(select(Attempt)).one()
    assert attempt.reserved_agent_id == agent.id
    office.not_answered(attempt)
    contact = office.session.get_one(Contact, callback.contact_id)
    contact.state, contact.closed_because, contact.next_at = "closed", "attempts used up", None
    with office.application.transaction() as session:
        session.merge(contact)
    mend(office)
    assert office.session.get_one(Callback, callback.id).result == "late"


def mend(at: Desk) -> int:
    at.session.commit()
    with at.application.transaction() as session:
        mended = callback_watch.mend(session, now=database_now(session), timing=TIMING)
    at.session.expire_all()
    return mended


@pytest.mark.parametrize(
    ("because", "became"), [("do not call", "withdrawn"), ("import undone", "withdrawn"), ("attempts used up", "lost")]
)
def test_a_promise_ends_with_its_contact(office: Desk, because: str, became: str) -> None:
    callback = promised(office)
    office.session.execute(
        text("UPDATE contacts SET state = 'closed', next_at = NULL, closed_because = :why"), {"why": because}
    )
    assert mend(office) == 1
    callback = office.session.get_one(Callback, callback.id)
    assert (callback.result, callback.why) == (became, because)
    assert mend(office) == 0


def test_a_call_that_rings_at_the_deadline_raises_no_alarm(office: Desk) -> None:
    callback = promised(office)
    contact = office.session.get_one(Contact, callback.contact_id)
    contact.state = "live"
    factories.attempt(office.session, office.campaign, contact=contact)
    done = watch(office, callback.deadline_at)
    assert (done.alarmed, done.broken) == (0, 0)


def test_another_scheduler_finds_the_same_rows_and_says_nothing_twice(office: Desk, application: Application) -> None:
    promised(office, -7200.0, 3600.0)
    office.session.commit()
    for name in ("first", "second", "third"):  # each begins anew, as after a restart
        Scheduler(application, name).chores.callbacks()
    assert len(told(office, "callback_broken")) == 1


# --- promised again ------------------------------------------------------------------------------------------------


def test_promised_while_an_agent_speaks_with_them_the_end_of_the_call_does_not_close_it(office: Desk) -> None:
    contact = factories.contact(office.session, office.campaign, state="live", next_at=None)
    attempt = factories.attempt(
        office.session, office.campaign, contact=contact, ordered_at=database_now(office.session) - timedelta(minutes=3)
    )
    attempt.joined_at = attempt.answered_at = database_now(office.session)
    made = callbacks.promise(
        office.session, office.campaign, contact, in_seconds(office, 86_400.0), timing=TIMING,
        now=database_now(office.session), who="cli:ada",
    )  # fmt: skip
    assert contact.state == "live"
    office.ended(attempt)
    contact = office.session.get_one(Contact, contact.id)
    assert (contact.state, contact.next_at, contact.closed_because) == ("open", made.due_at, "")
    assert office.session.get_one(Callback, made.id).closed_at is None


def test_a_promise_begins_the_count_of_attempts_anew(office: Desk) -> None:
    contact = factories.contact(office.session, office.campaign, state="closed", closed_because="attempts used up")
    for _ in range(office.campaign.max_attempts):
        old = database_now(office.session) - timedelta(days=2)
        factories.attempt(
            office.session, office.campaign, contact=contact, state="no_answer", ordered_at=old, sent_at=old
        )
    made = callbacks.promise(
        office.session, office.campaign, contact, in_seconds(office, -1.0), timing=TIMING,
        now=database_now(office.session), who="cli:ada",
    )  # fmt: skip
    assert contact.promised_at == made.made_at
    office.agent()
    office.tick()
    attempt = office.session.scalars(select(Attempt).order_by(Attempt.id.desc()).limit(1)).one()
    assert attempt.ended_at is None
    office.not_answered(attempt)
    assert office.session.get_one(Contact, contact.id).state == "open", "two of three are left"


def test_a_person_who_asked_not_to_be_called_is_promised_nothing(office: Desk) -> None:
    contact = factories.contact(office.session, office.campaign)
    do_not_call.add(
        office.session, contact.phone, country="IT", who="a", now=database_now(office.session), reason="asked"
    )
    with pytest.raises(RefusedByRule, match="do-not-call list"):
        callbacks.promise(
            office.session, office.campaign, contact, in_seconds(office, 60.0), timing=TIMING,
            now=database_now(office.session), who="a",
        )  # fmt: skip


def test_another_time_ends_the_first_promise_as_moved_or_as_lost_when_it_was_broken(office: Desk) -> None:
    owner = office.agent()
    callback = promised(office, 60.0, owner=owner)
    now = database_now(office.session)
    again = callback_tickets.reschedule(
        office.session, callback.id, in_seconds(office, 7200.0), timing=TIMING, now=now, who="a"
    )
    assert (callback.result, again.owner_id) == ("moved", owner.id)
    contact = office.session.get_one(Contact, callback.contact_id)
    assert (contact.next_at, contact.kept_for) == (again.due_at, owner.id)

    broken = promised(office, -7200.0, 3600.0)
    callback_tickets.reschedule(office.session, broken.id, in_seconds(office, 7200.0), timing=TIMING, now=now, who="a")
    assert broken.result == "lost", "a new time does not mend a broken promise"


# --- what stands on contacts alone -----------------------------------------------------------------------------------


def test_a_due_date_somebody_wrote_on_a_contact_becomes_a_promise(office: Desk) -> None:
    now = database_now(office.session)
    periods.define(office.session, office.campaign.id, "Evening", "18:00", "20:00", default=True, who="a", now=now)
    (evening,) = periods.all_of(office.session, office.campaign.id)
    day = now.date() + timedelta(days=3)
    contact = factories.contact(office.session, office.campaign, due_date=day, period_id=evening.id, next_at=None)
    contact.next_at = Calendar_of(office).starts(day, periods.wanted(office.session, office.campaign.id)[0]["evening"])
    assert mend(office) == 1
    made = office.session.scalars(select(Callback)).one()
    assert (made.contact_id, made.due_date, made.period, made.due_at) == (contact.id, day, "Evening", contact.next_at)
    assert made.deadline_at - made.due_at == timedelta(hours=2)
    assert mend(office) == 0
    contact.due_date = day + timedelta(days=1)
    assert mend(office) == 1
    assert office.session.scalars(select(Callback.result).order_by(Callback.id)).all() == ["moved", ""]


def Calendar_of(at: Desk) -> Calendar:
    return callbacks.calendar_of(at.session, at.campaign, database_now(at.session))


# --- when it is due ------------------------------------------------------------------------------------------------

MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
GRACE = timedelta(minutes=30)


@pytest.fixture
def calendar(office: Desk) -> Calendar:
    periods.define(office.session, office.campaign.id, "Night", "02:15", "02:45", who="a", now=MONDAY)
    periods.define(office.session, office.campaign.id, "Morning", "09:00", "12:00", default=True, who="a", now=MONDAY)
    return callbacks.calendar_of(office.session, office.campaign, MONDAY)


def test_a_period_that_a_clock_change_skips_still_has_a_due_time_before_its_deadline(calendar: Calendar) -> None:
    """02:15 to 02:45 does not exist in Rome on 29 March 2026."""
    with pytest.raises(BadInput, match="give a later --until"):
        wanted(calendar, day=date(2026, 3, 29), period="Night", grace=GRACE)
    found = wanted(calendar, day=date(2026, 3, 29), period="Night", until=time(4), grace=GRACE)
    assert found.due_at == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    assert found.deadline_at == datetime(2026, 3, 29, 2, 0, tzinfo=UTC)


def test_a_period_that_a_clock_change_repeats_is_its_first_half_hour(calendar: Calendar) -> None:
    found = wanted(calendar, day=date(2026, 10, 25), period="Night", grace=GRACE)
    assert (found.due_at, found.deadline_at) == (
        datetime(2026, 10, 25, 0, 15, tzinfo=UTC),
        datetime(2026, 10, 25, 0, 45, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("day", "at", "allowed"),
    [
        (date(2026, 3, 3), time(23, 30), "2026-03-04 09:00"),  # at night
        (date(2026, 3, 3), time(19, 59, 30), "2026-03-04 09:00"),  # it would ring beyond the end
        (date(2026, 3, 8), time(10), "2026-03-09 09:00"),  # on a Sunday
    ],
)
def test_what_the_hours_would_never_allow_is_not_promised(office: Desk, day: date, at: time, allowed: str) -> None:
    office.campaign.hours = "mon-fri 09:00-20:00"
    contact = factories.contact(office.session, office.campaign)
    grace = TIMING.model_copy(update={"callback_grace": 20.0})
    with pytest.raises(BadInput, match=rf"allow it from {allowed} \(Europe/Rome\) on"):
        callbacks.when(office.session, office.campaign, contact, due=day, at=at, timing=grace, now=MONDAY)
    early = callbacks.when(
        office.session, office.campaign, contact, due=date(2026, 3, 3), at=time(8, 45), timing=TIMING, now=MONDAY
    )
    assert early.due_at == datetime(2026, 3, 3, 7, 45, tzinfo=UTC), "it can be kept from nine on, within its half hour"


def test_a_rest_after_an_abandoned_call_does_not_stop_a_promise_since_an_agent_is_kept(office: Desk) -> None:
    contact = factories.contact(office.session, office.campaign)
    factories.attempt(
        office.session, office.campaign, contact=contact, number=contact.phone, state=CallState.ABANDONED,
        ordered_at=MONDAY - HOUR, ended_at=MONDAY - HOUR,
    )  # fmt: skip
    assert callbacks.when(office.session, office.campaign, contact, timing=TIMING, now=MONDAY).day == date(2026, 3, 3)


def test_the_due_time_is_by_the_clock_where_the_phone_is(office: Desk, calendar: Calendar) -> None:
    abroad = factories.contact(office.session, office.campaign, phone="+12125550123")
    found = callbacks.when(office.session, office.campaign, abroad, timing=TIMING, now=MONDAY)
    assert (found.zone, found.due_at) == ("America/New_York", datetime(2026, 3, 3, 14, 0, tzinfo=UTC))
    many = factories.contact(office.session, office.campaign, phone="+18005550123")
    assert callbacks.when(office.session, office.campaign, many, timing=TIMING, now=MONDAY).zone == "Europe/Rome"


def test_a_time_of_day_breaks_after_its_grace_or_when_it_is_said(calendar: Calendar) -> None:
    found = wanted(calendar, day=date(2026, 3, 3), at=time(15, 30), grace=GRACE)
    assert (found.due_at, found.deadline_at - found.due_at, found.period) == (
        datetime(2026, 3, 3, 14, 30, tzinfo=UTC),
        GRACE,
        "",
    )
    until = wanted(calendar, day=date(2026, 3, 3), at=time(15, 30), until=time(16, 15), grace=GRACE)
    assert until.deadline_at == datetime(2026, 3, 3, 15, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"period": "Noon"}, "there is no period 'Noon' in this campaign"),
        ({"day": date(2026, 3, 1)}, "that time is over"),
        ({"day": date(2026, 3, 2), "at": time(8)}, "that time is over"),
        ({"day": date(2036, 3, 2)}, "two years"),
        ({"period": "Morning", "at": time(8)}, "either a period or a time"),
        ({"at": time(9), "until": time(8)}, "before it is due"),
    ],
)
def test_a_promise_that_could_not_be_kept_is_not_made(
    calendar: Calendar, given: dict[str, object], reason: str
) -> None:
    with pytest.raises(BadInput, match=reason):
        wanted(calendar, grace=GRACE, **given)  # type: ignore[arg-type]


# --- closing and tickets -------------------------------------------------------------------------------------------


def close(at: Desk, callback: Callback, status: str, comment: str = "") -> Callback:
    return callback_tickets.close(
        at.session, callback.id, status=status, comment=comment, now=database_now(at.session), who="a"
    )


def test_closing_needs_a_call_unless_it_was_answered_otherwise(office: Desk) -> None:
    callback = promised(office)
    assert "was not called yet" in refused(close, office, callback, "Answered")
    assert "closes no callback" in refused(close, office, callback, "Callback")
    close(office, callback, "Email", "sent the offer")
    contact = office.session.get_one(Contact, callback.contact_id)
    assert (callback.result, contact.state, contact.closed_because) == ("withdrawn", "closed", "answered by email")
    ticket = office.session.scalars(select(CallbackTicket)).one()
    assert (ticket.status, ticket.comment) == ("Email", "sent the offer")


def test_an_import_taken_back_removes_its_promises_but_not_what_was_done(office: Desk) -> None:
    kept = factories.contact_list(office.session, office.campaign, kind="callbacks")
    untouched, emailed = promised(office, list_id=kept.id).id, promised(office, list_id=kept.id).id
    close(office, office.session.get_one(Callback, emailed), "Email")
    office.session.commit()
    done = importing._take_back(office.session, kept.id)
    office.session.expire_all()
    assert (done.removed, office.session.get(Callback, untouched)) == (1, None)
    assert office.session.get(Callback, emailed) is not None


# --- periods and clocks that change ----------------------------------------------------------------------------------


def test_a_period_defined_anew_moves_what_waits_for_it(office: Desk) -> None:
    now = database_now(office.session)
    periods.define(office.session, office.campaign.id, "Morning", "09:00", "12:00", default=True, who="a", now=now)
    owner = office.agent()
    contact = factories.contact(office.session, office.campaign)
    when = callbacks.when(office.session, office.campaign, contact, timing=TIMING, now=now)
    made = callbacks.promise(
        office.session, office.campaign, contact, when, owner=owner, timing=TIMING, now=now, who="a"
    )
    before = made.due_at
    changed = periods.define(office.session, office.campaign.id, "Morning", "10:00", "11:00", who="a", now=now)
    given = {"now": now, "timing": TIMING, "who": "a", "why": "period changed"}
    assert callback_watch.retime(office.session, period_id=changed.id, **given) == 1  # type: ignore[arg-type]
    assert (made.due_at - before, made.deadline_at - made.due_at) == (HOUR, HOUR)
    assert (contact.next_at, contact.kept_until) == (made.due_at, made.due_at + timedelta(minutes=5))
    assert made.due_at < made.alarm_at < made.deadline_at
    assert callback_watch.retime(office.session, **given) == 0, "nothing else has changed"  # type: ignore[arg-type]


def test_a_callback_follows_the_clocks_of_a_country_that_changes_them(office: Desk) -> None:
    """As when the table of time zones is newer than the promise: the stored instant is an hour off by then."""
    now = database_now(office.session)
    periods.define(office.session, office.campaign.id, "Morning", "09:00", "12:00", default=True, who="a", now=now)
    contact = factories.contact(office.session, office.campaign)
    when = callbacks.when(office.session, office.campaign, contact, timing=TIMING, now=now)
    made = callbacks.promise(office.session, office.campaign, contact, when, timing=TIMING, now=now, who="a")
    right = made.due_at
    made.due_at, made.deadline_at = made.due_at + HOUR, made.deadline_at + HOUR
    contact.next_at = made.due_at
    assert callback_watch.retime(office.session, now=now, timing=TIMING, who="dialer", why="clocks") == 1
    assert (made.due_at, contact.next_at) == (right, right)
