from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from campaigns.calling_hours import open_spans, opens
from dialer.windows import Hours

ROME = ZoneInfo("Europe/Rome")
WEEKDAYS = Hours.parse("mon-fri 09:00-13:00 14:00-20:00")
FRIDAY = datetime(2026, 3, 27, 18, 0, tzinfo=UTC)  # 19:00 in Rome, and on Sunday the clocks change


def test_always_is_one_stretch() -> None:
    until = FRIDAY + timedelta(days=3)
    assert list(open_spans(Hours.parse("always"), ROME, FRIDAY, until)) == [(FRIDAY, until)]
    assert opens(Hours.parse("always"), ROME, FRIDAY) == FRIDAY


def test_nights_weekends_and_the_break_at_noon_are_left_out_and_the_wall_clock_counts() -> None:
    told = list(open_spans(WEEKDAYS, ROME, FRIDAY, FRIDAY + timedelta(days=3)))
    assert [(begin.isoformat(), (end - begin).total_seconds() / 3600) for begin, end in told] == [
        ("2026-03-27T18:00:00+00:00", 1.0),
        ("2026-03-30T07:00:00+00:00", 4.0),  # nine in Rome, in summer time
        ("2026-03-30T12:00:00+00:00", 6.0),
    ]


def test_calls_begin_again_when_the_hours_do() -> None:
    assert opens(WEEKDAYS, ROME, FRIDAY + timedelta(hours=2)) == datetime(2026, 3, 30, 7, 0, tzinfo=UTC)
