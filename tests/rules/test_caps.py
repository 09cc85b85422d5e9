from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.caps import MOST, Call, Cap, Earlier, judge, parse_all, reach
from dialer.errors import BadInput
from dialer.gate import Verdict

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
ROME = ("Europe/Rome",)
DAY = timedelta(days=1)


def ask(
    written: str, *times: datetime, now: datetime = NOW, zones: tuple[str, ...] = ROME, talked: bool = False
) -> Verdict:
    calls = [Call(at, talked) for at in times]
    (verdict,) = judge(parse_all(written), now, Earlier(number=calls), zones)
    return verdict


def ago(**length: float) -> datetime:
    return NOW - timedelta(**length)


@pytest.mark.parametrize(
    ("written", "cap"),
    [
        ("3/day", Cap(3, "day")),
        ("7/7d", Cap(7, 7 * DAY)),
        (" 2 / 36H ", Cap(2, timedelta(hours=36))),
        ("1 talk/7d", Cap(1, 7 * DAY, counts="talks")),
        ("4 talks/30d", Cap(4, 30 * DAY, counts="talks")),
    ],
)
def test_a_cap_is_read_as_it_is_written(written: str, cap: Cap) -> None:
    assert Cap.parse(written) == cap
    assert Cap.parse(str(cap)) == cap


@pytest.mark.parametrize(
    "wrong", ["", "3", "day", "3/", "3/week", "0/day", "-1/day", "3/0d", "3/367d", "2000/day", "3.5/day", "3/day/day"]
)
def test_what_is_no_cap_is_refused(wrong: str) -> None:
    with pytest.raises(BadInput, match="cap"):
        Cap.parse(wrong)


def test_several_caps_have_commas_between_them() -> None:
    assert parse_all("3/day, 7/7d,3/day") == (Cap(3, "day"), Cap(7, 7 * DAY))
    assert parse_all("") == parse_all("none") == ()
    assert reach(parse_all("3/day, 7/7d")) == 7 * DAY
    assert reach(()) == timedelta(0)
    with pytest.raises(BadInput):
        parse_all("3/day,")


def test_the_call_that_would_be_one_too_many_waits_for_the_oldest_to_leave() -> None:
    two = ask("3/7d", ago(days=6), ago(days=1))
    assert (two.allowed, two.until, two.against["counted"]) == (True, None, 2)
    three = ask("3/7d", ago(days=1), ago(days=6), ago(hours=2))
    assert (three.allowed, three.until) == (False, NOW + DAY)
    # With four, the second oldest has to leave as well.
    assert ask("3/7d", ago(days=1), ago(days=6), ago(days=5), ago(hours=2)).until == NOW + 2 * DAY


def test_a_stretch_lets_go_at_its_end_and_not_a_moment_sooner() -> None:
    at = NOW - 7 * DAY
    assert ask("1/7d", at).allowed
    late = ask("1/7d", at + timedelta(microseconds=1))
    assert (late.allowed, late.until) == (False, NOW + timedelta(microseconds=1))


def test_a_day_is_the_one_where_the_phone_is() -> None:
    # 23:30 UTC of the third is half past midnight of the fourth in Rome.
    before, after = datetime(2026, 3, 3, 22, 59, tzinfo=UTC), datetime(2026, 3, 3, 23, 0, tzinfo=UTC)
    assert ask("1/day", before).allowed
    refused = ask("1/day", after)
    assert (refused.allowed, refused.until) == (False, datetime(2026, 3, 4, 23, 0, tzinfo=UTC))


def test_a_day_holds_in_every_zone_the_phone_may_be_in() -> None:
    both = ("America/New_York", "America/Los_Angeles")
    called = datetime(2026, 3, 4, 5, 30, tzinfo=UTC)  # 00:30 of the fourth in New York, 21:30 of the third in the west
    now = datetime(2026, 3, 5, 5, 15, tzinfo=UTC)  # 00:15 of the fifth in New York, 21:15 of the fourth in the west
    assert ask("1/day", called, now=now, zones=both).allowed
    third = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)  # one of the fourth in both
    refused = ask("1/day", third, now=now, zones=both)
    assert (refused.allowed, refused.until) == (False, datetime(2026, 3, 5, 8, 0, tzinfo=UTC))


@pytest.mark.parametrize(("month", "day", "hours"), [(3, 29, 23), (10, 25, 25)])
def test_a_day_on_which_clocks_change_is_as_long_as_it_is(month: int, day: int, hours: int) -> None:
    begins = datetime(2026, month, day, tzinfo=ZoneInfo("Europe/Rome")).astimezone(UTC)
    last = begins + timedelta(hours=hours) - timedelta(minutes=1)
    refused = ask("1/day", begins, now=last)
    assert (refused.allowed, refused.until) == (False, begins + timedelta(hours=hours))
    assert ask("1/day", begins, now=begins + timedelta(hours=hours)).allowed


@pytest.mark.parametrize("zones", [(), ("Nowhere/Land",), ("Europe/Rome", "Nowhere/Land")])
def test_where_the_day_is_not_known_no_day_is_shorter(zones: tuple[str, ...]) -> None:
    refused = ask("1/day", ago(hours=24.9), zones=zones)
    assert (refused.allowed, refused.until) == (False, NOW + timedelta(hours=0.1))
    assert ask("1/day", ago(hours=25), zones=zones).allowed


def test_a_rest_after_a_conversation_counts_conversations_only() -> None:
    assert ask("1 talk/7d", ago(days=1)).allowed
    assert ask("1 talk/7d", ago(days=1), talked=True).until == NOW + 6 * DAY


def test_a_contact_is_judged_by_its_own_calls() -> None:
    caps = (Cap(1, DAY), Cap(2, DAY, per="contact"))
    other_number = Earlier(contact=[Call(ago(hours=3)), Call(ago(hours=2))])
    number, contact = judge(caps, NOW, other_number, ROME)
    assert (number.rule, number.allowed) == ("number_cap", True)
    assert (contact.rule, contact.allowed, contact.until) == ("contact_cap", False, ago(hours=3) + DAY)
    assert "at most 2 calls in 24 h" in contact.why


def test_a_call_that_the_clock_puts_ahead_of_now_was_made_all_the_same() -> None:
    assert not ask("1/7d", NOW + timedelta(seconds=2)).allowed
    assert not ask("1/day", NOW + timedelta(seconds=2)).allowed


def test_a_bare_time_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        ask("1/day", now=datetime(2026, 3, 4))


minutes = st.integers(-60 * 24 * 9, 0)
written = st.builds(
    lambda count, length: f"{count}/{length}", st.integers(1, 4), st.sampled_from(["day", "1d", "7d", "36h"])
)


@given(written, st.lists(minutes, max_size=12))
def test_the_promised_moment_is_the_first_one_that_is_allowed(cap: str, offsets: list[int]) -> None:
    times = [NOW + timedelta(minutes=offset) for offset in offsets]
    verdict = ask(cap, *times)
    if verdict.allowed:
        assert verdict.until is None
        return
    assert verdict.until is not None
    assert ask(cap, *times, now=verdict.until).allowed
    assert not ask(cap, *times, now=verdict.until - timedelta(seconds=1)).allowed


@given(st.integers(1, MOST), st.one_of(st.just("day"), st.integers(1, 366 * 24)))
def test_what_is_written_is_what_is_read_again(count: int, hours: int | str) -> None:
    cap = Cap(count, "day" if isinstance(hours, str) else timedelta(hours=hours))
    assert Cap.parse(str(cap)) == cap
