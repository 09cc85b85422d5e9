"""When the windows of the laws open and close: every zone, every moment, clock changes among them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.rate_windows import WindowRule

ROME = ZoneInfo("Europe/Rome")
DAY, ROLLING = WindowRule("day", 0.03), WindowRule("rolling", 0.03)
BLOCKS = WindowRule("blocks", 0.03, "answered", length=timedelta(days=30))
CAMPAIGN = WindowRule("campaign", 0.03)

# Half an hour, quarters, both hemispheres, clocks that change at midnight, a day that never was (Apia, 2011-12-30).
ZONES = [
    ZoneInfo(name)
    for name in ("UTC", "Europe/Rome", "Europe/London", "America/New_York", "America/Havana", "Asia/Beirut",
                 "Africa/Cairo", "America/Asuncion", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia")
]  # fmt: skip
moments = st.datetimes(datetime(2010, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))


def utc(*args: int) -> datetime:
    return datetime(*args, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "opens", "hours"),
    [
        (utc(2026, 3, 2, 9), utc(2026, 3, 1, 23), 24),
        (utc(2026, 3, 29, 9), utc(2026, 3, 28, 23), 23),  # clocks go forward at two
        (utc(2026, 10, 25, 1, 30), utc(2026, 10, 24, 22), 25),  # and back at three: this is the second half past two
    ],
)
def test_a_day_is_the_calendar_day_where_the_campaign_calls(now: datetime, opens: datetime, hours: int) -> None:
    assert DAY.opens(now, None, ROME) == opens
    assert DAY.closes(now, None, ROME) == opens + timedelta(hours=hours)


@pytest.mark.parametrize(
    ("zone", "now", "opens"),
    [
        ("America/Havana", utc(2026, 3, 8, 5, 30), utc(2026, 3, 8, 5)),  # there is no 00:00: it becomes 01:00
        ("America/Havana", utc(2026, 11, 1, 5, 30), utc(2026, 11, 1, 4)),  # 00:00 comes twice: the day begins once
        ("Asia/Beirut", utc(2025, 10, 25, 21, 30), utc(2025, 10, 24, 21)),  # 23:30 for the second time: the old day
    ],
)
def test_a_midnight_that_clocks_skip_or_repeat(zone: str, now: datetime, opens: datetime) -> None:
    assert DAY.opens(now, None, ZoneInfo(zone)) == opens


@given(moments, st.sampled_from(ZONES))
def test_days_follow_each_other_without_gap_or_overlap(now: datetime, zone: ZoneInfo) -> None:
    opens, closes = DAY.opens(now, None, zone), DAY.closes(now, None, zone)
    assert closes is not None
    assert opens <= now < closes
    assert DAY.opens(opens, None, zone) == opens
    assert DAY.opens(closes, None, zone) == closes, "the next day begins where this one ends"
    last = closes - timedelta(microseconds=1)
    assert (DAY.opens(last, None, zone), DAY.closes(last, None, zone)) == (opens, closes)
    assert opens.astimezone(zone).date() == now.astimezone(zone).date()


@given(moments, st.timedeltas(timedelta(0), timedelta(days=400)), st.sampled_from(ZONES))
def test_blocks_are_counted_from_the_campaigns_first_call(first: datetime, after: timedelta, zone: ZoneInfo) -> None:
    now = first + after
    opens, closes = BLOCKS.opens(now, first, zone), BLOCKS.closes(now, first, zone)
    assert closes is not None
    assert first <= opens <= now < closes
    assert closes - opens == timedelta(days=30)
    assert (opens - first) % timedelta(days=30) == timedelta(0)
    assert BLOCKS.opens(closes, first, zone) == closes


@given(moments, st.timedeltas(timedelta(0), timedelta(days=400)))
def test_a_window_that_rolls_and_one_of_the_whole_campaign_never_close(first: datetime, after: timedelta) -> None:
    now = first + after
    assert ROLLING.opens(now, first, ROME) == now - timedelta(hours=24)
    assert CAMPAIGN.opens(now, first, ROME) == first
    assert ROLLING.closes(now, first, ROME) is CAMPAIGN.closes(now, first, ROME) is None


@pytest.mark.parametrize("rule", [BLOCKS, CAMPAIGN])
def test_before_the_first_call_nothing_counts(rule: WindowRule) -> None:
    now = utc(2026, 3, 2, 9)
    assert rule.opens(now, None, ROME) == now
    assert rule.opens(now, now + timedelta(seconds=1), ROME) == now


def test_windows_have_names_for_people() -> None:
    assert [rule.name for rule in (DAY, ROLLING, BLOCKS, CAMPAIGN)] == ["the day", "24 h", "30 days", "the campaign"]
