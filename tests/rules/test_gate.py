"""The small rules asked before a phone may ring, and the proof that is kept of them."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from dialer.gate import (
    DoNotCallEntry,
    Proof,
    Verdict,
    attempt_cap,
    campaign_state,
    do_not_call,
    not_before,
    number_gap,
    seconds_in_words,
)

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


@pytest.mark.parametrize(("counted", "most", "allowed"), [(0, 1, True), (1, 1, False), (2, 3, True), (9, 3, False)])
def test_a_contact_is_tried_as_often_as_the_campaign_says(counted: int, most: int, allowed: bool):
    verdict = attempt_cap(counted, most)

    assert (verdict.allowed, verdict.until) == (allowed, None)


def test_the_cap_names_the_attempt_and_its_limit():
    assert attempt_cap(1, 3).why == "attempt 2 of 3"
    assert attempt_cap(3, 3).why == "all 3 attempts are used up"


def test_a_number_rests_between_two_calls_of_any_campaign():
    called = ago(3599)
    verdict = number_gap(NOW, called, 3600)

    assert not verdict.allowed
    assert verdict.until == NOW + timedelta(seconds=1)
    assert verdict.next_allowed_at == verdict.until
    assert verdict.why == "the number was called 60 min ago; 60 min must lie between two calls"
    assert number_gap(verdict.until, called, 3600).allowed


def test_a_number_never_called_may_be_called():
    assert number_gap(NOW, None, 3600).allowed


def test_a_call_dated_in_the_future_by_another_host_still_counts():
    assert number_gap(NOW, NOW + timedelta(seconds=5), 60).until == NOW + timedelta(seconds=65)
    assert "0 s ago" in number_gap(NOW, NOW + timedelta(seconds=5), 60).why


def test_whoever_said_no_is_not_called():
    refused = do_not_call(DoNotCallEntry("import of 2026-02-01", "asked by letter", added_at=ago(86_400 * 40)))

    assert not refused.allowed
    assert refused.until is None
    assert refused.why == (
        "the number is on the do-not-call list of any campaign since 2026-01-21, "
        "from import of 2026-02-01: asked by letter"
    )
    assert do_not_call(None).allowed
    assert "this campaign" in do_not_call(DoNotCallEntry("agent", everywhere=False)).why


@pytest.mark.parametrize("state", ["draft", "paused", "stopped", "archived", ""])
def test_only_a_running_campaign_dials(state: str):
    assert not campaign_state(state).allowed
    assert campaign_state("running").allowed


def test_a_contact_waits_for_its_time():
    due = NOW + timedelta(minutes=5)

    assert not_before(NOW, due).until == due
    assert not not_before(NOW, due).allowed
    assert not_before(due, due).allowed
    assert not_before(NOW, None).allowed


def test_a_proof_keeps_every_answer_and_shows_the_first_no():
    proof = Proof(NOW, [campaign_state("running"), number_gap(NOW, ago(10), 60), attempt_cap(3, 3)])

    assert not proof.allowed
    assert proof.refusal is not None
    assert proof.refusal.rule == "number_gap"
    assert proof.until is None  # waiting for the gap does not give back the attempts
    kept = json.loads(json.dumps(proof.as_json()))
    assert kept["at"] == "2026-03-02T09:00:00+00:00"
    assert [rule["rule"] for rule in kept["rules"]] == ["campaign", "number_gap", "attempts"]
    assert kept["rules"][1]["until"] == "2026-03-02T09:00:50+00:00"
    assert kept["rules"][1]["against"] == {"gap": 60, "last_called_at": "2026-03-02T08:59:50+00:00"}


def test_a_proof_waits_for_the_rule_that_takes_longest():
    proof = Proof(NOW, [number_gap(NOW, ago(10), 60), not_before(NOW, NOW + timedelta(hours=1))])

    assert proof.until == NOW + timedelta(hours=1)


def test_a_proof_in_which_all_say_yes_allows_and_one_that_asked_nothing_does_not():
    assert Proof(NOW, [campaign_state("running"), do_not_call(None)]).allowed
    assert Proof(NOW, [campaign_state("running")]).refusal is None
    assert Proof(NOW, [campaign_state("running")]).until is None
    assert not Proof(NOW, []).allowed


def test_times_are_kept_in_utc_whatever_they_came_in():
    rome = timezone(timedelta(hours=1))
    verdict = Verdict(False, "x", "y", until=datetime(2026, 3, 2, 10, 0, tzinfo=rome), against={"zones": ("a", "b")})

    assert verdict.as_json()["until"] == "2026-03-02T09:00:00+00:00"
    assert verdict.as_json()["against"] == {"zones": ["a", "b"]}


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (119, "119 s"), (600, "10 min"), (7_200, "2 h"), (259_200, "3 days")]
)
def test_durations_are_said_as_people_do(seconds: float, words: str):
    assert seconds_in_words(seconds) == words
