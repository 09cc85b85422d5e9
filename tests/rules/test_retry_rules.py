"""Rules a manager sets for a kind of end, and the next moment that every rule of calling allows."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dialer.calls import CallState
from dialer.errors import BadInput
from dialer.gate import Verdict
from dialer.retries import Next, Past, RetryRules, Rule, after, after_word, forward, used_up
from dialer.windows import Hours, judge

NOW = datetime(2026, 3, 2, 21, 0, tzinfo=UTC)  # ten in the evening in Rome
ROME = ("Europe/Rome",)
FIRST, SECOND = "+390212345678", "+393331234567"


def plan(rule: Rule, outcome: CallState = CallState.NO_ANSWER, **known: Any) -> Next:
    rules = RetryRules.of(3600, by_end={outcome: rule})
    return after(outcome, **({"attempt_no": 1, "max_attempts": 9, "now": NOW, "rules": rules} | known))


def seconds(next_: Next) -> float:
    assert next_.at is not None
    return (next_.at - NOW).total_seconds()


def test_a_rule_that_says_nothing_changes_nothing() -> None:
    assert plan(Rule()) == after(CallState.NO_ANSWER, attempt_no=1, max_attempts=9, now=NOW, rules=RetryRules.of(3600))


def test_a_delay_of_its_own() -> None:
    assert seconds(plan(Rule(delay=90))) == 90
    assert seconds(plan(Rule(delay=0))) == 0


def test_the_rest_after_an_abandoned_call_may_be_made_longer_and_not_shorter() -> None:
    assert seconds(plan(Rule(delay=60), CallState.ABANDONED)) == 72 * 3600
    assert seconds(plan(Rule(delay=96 * 3600), CallState.ABANDONED)) == 96 * 3600
    other = plan(Rule(next_number=True), CallState.ABANDONED, has_other_number=True)
    assert (other.other_number, seconds(other)) == (True, 72 * 3600), "the person rests, not the number"


def test_a_number_that_ended_so_often_enough_is_left() -> None:
    assert plan(Rule(most=2), times=1).at is not None
    last = plan(Rule(most=2), times=2)
    assert (last.at, last.closed_because) == (None, "numbers used up")
    other = plan(Rule(most=2), times=2, has_other_number=True)
    assert (other.other_number, seconds(other)) == (True, 60)


def test_the_other_number_comes_first_and_then_the_delay_holds() -> None:
    there = plan(Rule(delay=1800, next_number=True), has_other_number=True)
    assert (there.other_number, seconds(there)) == (True, 60)
    back = plan(Rule(delay=1800, next_number=True), has_other_number=True, on_other_number=True)
    assert (back.other_number, seconds(back)) == (True, 1800)
    alone = plan(Rule(delay=1800, next_number=True))
    assert (alone.other_number, seconds(alone)) == (False, 1800)


def test_days_between_are_days_of_the_calendar_where_the_phone_is() -> None:
    tomorrow = datetime(2026, 3, 2, 23, 0, tzinfo=UTC)  # midnight in Rome, two hours from now
    assert plan(Rule(delay=60, days=1), zones=ROME).at == tomorrow
    assert plan(Rule(delay=60, days=3), zones=ROME).at == tomorrow + timedelta(days=2)
    assert plan(Rule(delay=86_400, days=1), zones=ROME).at == NOW + timedelta(days=1), "the later of the two"
    assert plan(Rule(delay=60, days=1), zones=("Europe/Rome", "America/New_York")).at == datetime(
        2026, 3, 3, 5, 0, tzinfo=UTC
    ), "in every zone"
    assert plan(Rule(delay=60, days=2)).at == NOW + timedelta(days=2), "no zone is known"


def test_days_over_a_change_of_clocks() -> None:
    saturday = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
    assert plan(Rule(days=2), zones=ROME, now=saturday).at == datetime(2026, 3, 29, 22, 0, tzinfo=UTC)


def test_the_budget_of_the_contact_stands_above_every_rule() -> None:
    for rule in (Rule(delay=60), Rule(next_number=True), Rule(most=5), Rule(days=2)):
        last = plan(rule, attempt_no=9, has_other_number=True)
        assert (last.at, last.closed_because) == (None, "attempts used up")


def test_which_numbers_are_used_up_is_read_from_what_came_of_them() -> None:
    rules = RetryRules.of(60, by_end={CallState.BUSY: Rule(most=2), "said:wrong": Rule(most=1)})
    assert not used_up(FIRST, [Past(FIRST, "busy"), Past(SECOND, "busy")], rules)
    assert used_up(FIRST, [Past(FIRST, "busy"), Past(FIRST, "no_answer"), Past(FIRST, "busy")], rules)
    assert used_up(FIRST, [Past(FIRST, "said:wrong")], rules)
    assert not used_up(SECOND, [Past(FIRST, "said:wrong")], rules)
    assert used_up(FIRST, [Past(FIRST, "unavailable")] * 2, rules), "by itself, after two times"
    assert not used_up(FIRST, [Past(FIRST, "no_answer")] * 50, rules)


@pytest.mark.parametrize(
    "wrong", [{"delay": -1}, {"delay": 1e9}, {"most": 0}, {"most": 101}, {"days": -1}, {"days": 367}]
)
def test_a_rule_that_means_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="must be between"):
        Rule(**wrong)


def test_a_rule_is_kept_as_what_was_set() -> None:
    for rule in (Rule(), Rule(delay=0), Rule(delay=90, most=2), Rule(next_number=True, days=1)):
        assert Rule.of(rule.as_json()) == rule
    assert Rule().as_json() == {}
    with pytest.raises(BadInput, match="pause"):
        Rule.of({"pause": 1})


# An agent's word -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    code: str = "later"
    does: str = "retry"
    rule: Rule = field(default_factory=Rule)


def word(said: Said, **known: Any) -> Next:
    given = {"attempt_no": 1, "max_attempts": 9, "now": NOW, "rules": RetryRules.of(3600)} | known
    return after_word(said, **given)


def test_a_word_closes_or_has_it_tried_again() -> None:
    assert word(Said("sale", "close")).closed_because == "said:sale"
    assert word(Said("dnc", "dnc")).closed_because == "do not call"
    assert seconds(word(Said())) == 3600
    assert seconds(word(Said(rule=Rule(delay=90)))) == 90
    assert word(Said(), attempt_no=9).closed_because == "attempts used up"
    with pytest.raises(ValueError, match="time of its own"):
        word(Said("callback", "callback"))


def test_a_wrong_number_goes_to_the_other_one_or_ends() -> None:
    wrong = Said("wrong", "retry", Rule(most=1, next_number=True))
    other = word(wrong, has_other_number=True)
    assert (other.other_number, seconds(other)) == (True, 60)
    assert word(wrong).closed_because == "numbers used up"


# The next moment that is allowed ---------------------------------------------------------------------------


def test_the_next_time_is_inside_the_hours() -> None:
    hours = Hours.parse("mon-fri 09:00-20:00")

    def ask(at: datetime) -> list[Verdict]:
        return [judge(at, hours, ROME, ring_seconds=30)]

    assert forward(NOW, ask) == datetime(2026, 3, 3, 8, 0, tzinfo=UTC)
    inside = datetime(2026, 3, 3, 10, 0, tzinfo=UTC)
    assert forward(inside, ask) == inside
    friday = datetime(2026, 3, 6, 18, 59, 50, tzinfo=UTC)
    assert forward(friday, ask) == datetime(2026, 3, 9, 8, 0, tzinfo=UTC), "it would still ring after eight"


def test_rules_that_push_each_other_on_are_asked_until_all_agree() -> None:
    hours = Hours.parse("09:00-20:00")
    gap_ends = datetime(2026, 3, 3, 19, 30, tzinfo=UTC)  # half past eight in the evening in Rome: outside the hours

    def ask(at: datetime) -> list[Verdict]:
        return [
            judge(at, hours, ROME, ring_seconds=30),
            Verdict(at >= gap_ends, "number_gap", "", until=None if at >= gap_ends else gap_ends),
        ]

    assert forward(NOW, ask) == datetime(2026, 3, 4, 8, 0, tzinfo=UTC)


def test_where_no_rule_can_say_when_it_stays() -> None:
    assert forward(NOW, lambda at: [Verdict(False, "hours", "the zone is not known")]) == NOW
    endless = forward(NOW, lambda at: [Verdict(False, "x", "", until=at + timedelta(minutes=1))])
    assert NOW < endless <= NOW + timedelta(hours=1), "it ends, whatever the rules say"
