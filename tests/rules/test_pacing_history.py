"""What a pacer learns from what it is told, and from stored attempts."""

import random
from datetime import datetime

import pytest

from dialer.calls import CallState
from dialer.pacing import Happened, PaceEvent, Predictive, Snapshot, events_of_call
from dialer.pacing.history import History, in_order
from tests.rules.moments import NOW, at, decide, past


def test_an_event_told_twice_counts_once():
    once, twice = History(), History()
    for event in past(60):
        once.observe(event)
        twice.observe(event)
        twice.observe(event)

    assert twice.answers.seen == once.answers.seen == 60
    assert twice.answers.chance() == once.answers.chance()
    assert (twice.talk.seen, twice.wrap_up.seen, twice.rings.seen) == (20, 20, 60)
    assert (twice.talk.mean, twice.wrap_up.mean) == (once.talk.mean, once.wrap_up.mean)
    twice.settle(NOW, Snapshot())
    once.settle(NOW, Snapshot())
    assert twice.rings.answers == once.rings.answers


def test_an_end_whose_beginning_was_never_told_teaches_nothing():
    history = History()
    for kind in Happened:
        if kind is not Happened.LAUNCHED:
            history.observe(PaceEvent(kind, NOW, "a", "b"))

    assert history.answers.seen == history.rings.seen == 0

    for kind in (Happened.TALK_END, Happened.READY):
        history.observe(PaceEvent(kind, NOW, "another call", "another agent"))
    assert history.talk.seen == 1  # the one whose beginning was told above


def test_answers_are_learnt_in_the_order_of_the_calls_and_not_of_their_ends():
    cohort, chance = [n % 4 == 0 for n in range(400)], History()
    for n in range(400):
        chance.observe(PaceEvent(Happened.LAUNCHED, NOW, str(n)))
    for n in (n for n in range(400) if cohort[n]):  # first the answered ones, then all that rang out
        chance.observe(PaceEvent(Happened.ANSWERED, at(12), str(n)))
    for n in (n for n in range(400) if not cohort[n]):
        chance.observe(PaceEvent(Happened.NO_ANSWER, at(22), str(n)))

    assert chance.answers.seen == 400
    assert chance.answers.chance() == pytest.approx(0.25, abs=0.02)


def test_a_call_that_never_ends_does_not_hold_up_the_lessons_of_the_others():
    history = History()
    history.observe(PaceEvent(Happened.LAUNCHED, NOW, "stuck"))
    for n in range(5):
        history.observe(PaceEvent(Happened.LAUNCHED, at(1), str(n)))
        history.observe(PaceEvent(Happened.ANSWERED, at(12), str(n)))
    assert history.answers.seen == 0

    history.observe(PaceEvent(Happened.LAUNCHED, at(100), "later"))
    history.observe(PaceEvent(Happened.ANSWERED, at(121), "later"))
    assert history.answers.seen == 6


def test_a_call_that_never_rang_says_nothing_about_people():
    history = History()
    history.observe(PaceEvent(Happened.LAUNCHED, NOW, "a"))
    history.observe(PaceEvent(Happened.FAILED, at(1), "a"))

    assert history.answers.seen == history.rings.seen == 0


def test_a_call_we_gave_up_counts_as_far_as_it_would_have_been_answered():
    def level_after(rang: float) -> float:
        history = History()
        for n in range(40):
            history.observe(PaceEvent(Happened.LAUNCHED, at(n), str(n)))
            history.observe(PaceEvent(Happened.GIVEN_UP, at(n + rang), str(n)))
        assert history.answers.seen == 40
        return history.answers.level

    assert level_after(1.0) == pytest.approx(0.3, abs=0.03)  # nothing is known of it yet: as it was
    assert level_after(22.0) < 0.2  # by then most who answer have


def test_a_wrap_up_ended_by_leaving_says_nothing_of_its_length():
    history = History()
    history.observe(PaceEvent(Happened.CONNECTED, NOW, "a", "Ada"))
    history.observe(PaceEvent(Happened.TALK_END, at(60), "a", "Ada"))
    history.observe(PaceEvent(Happened.PAUSE, at(61), "", "Ada"))
    history.observe(PaceEvent(Happened.READY, at(4000), "", "Ada"))

    assert history.wrap_up.seen == 0


def waits(history: History, *seconds: float) -> float:
    """The patience believed in after abandoned calls that waited so long."""
    for n, waited in enumerate(seconds):
        history.observe(PaceEvent(Happened.LAUNCHED, at(0), f"{n}"))
        history.observe(PaceEvent(Happened.ANSWERED, at(5), f"{n}"))
        history.observe(PaceEvent(Happened.ABANDONED, at(5 + waited), f"{n}"))
    return history.patience(1.65)


def test_customers_wait_as_long_as_the_law_says_until_it_is_seen_that_we_hear_of_them_later():
    assert waits(History()) == 1.65
    assert waits(History(), 1.3, 1.3) == 1.65
    assert waits(History(), 1.3, 1.3, 1.3) == pytest.approx(1.3)
    assert waits(History(), 2.0, 2.0, 2.0) == 1.65
    # Taken for a machine and hung up on at once: that is not patience.
    assert waits(History(), 0.0, 1.3, 0.0, 0.0) == pytest.approx(1.3)
    assert waits(History(), *[2.0] * 5, *[1.3] * 20) == pytest.approx(1.3)  # it changes, and is forgotten


def test_who_was_joined_does_not_tell_how_long_customers_wait():
    history = History()
    for kind, seconds in (
        (Happened.LAUNCHED, 0),
        (Happened.ANSWERED, 5),
        (Happened.CONNECTED, 5.2),
        (Happened.ABANDONED, 9),
    ):
        history.observe(PaceEvent(kind, at(seconds), "a"))
    assert waits(history, 1.3, 1.3) == 1.65


def test_a_new_leader_continues_where_the_old_one_stopped():
    events = past(400)
    old = Predictive()
    for event in in_order(events):
        old.observe(event)
    shuffled = list(events)
    random.Random(3).shuffle(shuffled)
    new = Predictive()
    new.observe(PaceEvent(Happened.LAUNCHED, NOW, "forgotten by the restore"))
    new.restore(shuffled)

    for parked in range(12):
        seen = {"parked": parked, "talking": (30.0,) * 20, "ringing": (3.0,) * parked}
        assert decide(new, **seen) == decide(old, **seen)


def test_the_group_of_a_stored_attempt_is_told_with_its_order():
    told = events_of_call("1", CallState.NO_ANSWER, ordered_at=NOW, ended_at=at(22), group="12/1")

    assert [event.group for event in told] == ["12/1", ""]
    history = History()
    for event in told:
        history.observe(event)
    assert list(history.answers.groups()) == ["12/1"]


def test_stored_attempts_tell_what_happened():
    times = {"ordered_at": NOW, "answered_at": at(9), "joined_at": at(9.4), "ended_at": at(70)}

    def kinds(state: CallState, **known: datetime) -> list[str]:
        return [event.kind for event in events_of_call("1", state, **known, agent="Ada")]

    assert kinds(CallState.COMPLETED, **times) == ["launched", "answered", "connected", "talk_end"]
    assert kinds(CallState.JOINED, **{k: v for k, v in times.items() if k != "ended_at"}) == [
        "launched",
        "answered",
        "connected",
    ]
    assert kinds(CallState.NO_ANSWER, ordered_at=NOW, ended_at=at(22)) == ["launched", "no_answer"]
    assert kinds(CallState.EXPIRED, ordered_at=NOW, ended_at=at(22)) == ["launched", "failed"]
    assert kinds(CallState.LOST, ordered_at=NOW, ended_at=at(22)) == ["launched", "failed"]
    assert kinds(CallState.RINGING, ordered_at=NOW) == ["launched"]
    assert kinds(CallState.ABANDONED, ordered_at=NOW, answered_at=at(9), ended_at=at(12)) == [
        "launched",
        "answered",
        "abandoned",
    ]
    given_up = {"ordered_at": NOW, "given_up_at": at(16), "ended_at": at(17)}
    for state in (CallState.NO_ANSWER, CallState.EXPIRED, CallState.FAILED):
        assert kinds(state, **given_up) == ["launched", "given_up"]
    # Answered while we were hanging up: the answer is what counts.
    assert kinds(CallState.ABANDONED, **given_up, answered_at=at(16.2)) == ["launched", "answered", "abandoned"]
    assert kinds(CallState.HUNG_UP, ordered_at=NOW, answered_at=at(9), ended_at=at(10)) == ["launched", "answered"]
