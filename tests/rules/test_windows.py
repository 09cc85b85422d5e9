"""May a phone ring at this local hour: every zone, both clock changes, minute by minute (I6)."""

import zoneinfo
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.errors import BadInput
from dialer.windows import SEARCH, Hours, judge, zones_to_judge

MINUTE = timedelta(minutes=1)
ROME = "Europe/Rome"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def local(text: str, zone: str = ROME) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


# reading ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "monday", "saturday", "sunday"),
    [
        ("09:00-20:00", ((540, 1200),), ((540, 1200),), ((540, 1200),)),
        ("9:00-20:00", ((540, 1200),), ((540, 1200),), ((540, 1200),)),
        ("mon-fri 09:00-20:00, sat 10:00-13:00", ((540, 1200),), ((600, 780),), ()),
        ("Monday - Friday 10:00 - 13:00 14:00–20:00", ((600, 780), (840, 1200)), (), ()),
        ("mon-fri 14:00-20:00, mon 10:00-13:00", ((600, 780), (840, 1200)), (), ()),
        ("sat-mon 00:00-24:00", ((0, 1440),), ((0, 1440),), ((0, 1440),)),
        ("sat sun 10:00-12:00", (), ((600, 720),), ((600, 720),)),
    ],
)
def test_hours_are_read_as_people_write_them(text: str, monday: object, saturday: object, sunday: object):
    week = Hours.parse(text).week

    assert week is not None
    assert (week[0], week[5], week[6]) == (monday, saturday, sunday)


def test_always_is_always():
    assert Hours.parse(" Always ").always
    assert not Hours.parse("00:00-24:00").always


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "nothing is written"),
        ("9-20", "'9-20' is not a time span; write it as 09:00-20:00"),
        ("09:00-20:00, ", "'' gives no time"),
        ("mon-fri", "'mon-fri' gives no time; write for example"),
        ("mo-fri 09:00-20:00", "'mo' is not a day; write mon, tue"),
        ("mon-wed-fri 09:00-20:00", "'mon-wed-fri' is not a range of days"),
        ("20:00-09:00", "'20:00-09:00' ends before it begins"),
        ("09:00-09:00", "'09:00-09:00' ends before it begins"),
        ("09:60-20:00", "there is no such time as in '09:60-20:00'"),
        ("09:00-24:01", "the day ends at 24:00"),
        ("09:00-25:00", "the day ends at 24:00"),
        ("09:00-20:00, sun 10:00-12:00", "overlap on sunday"),
        ("mon-fri 09:00-20:00, 21:00-22:00", "one part names its days and another does not"),
        ("mon-fri 09:00-12:00, fri 11:00-15:00", "two parts overlap on friday"),
        ("weekdays 09:00-20:00", "'weekdays' is not a day"),
        ("09:00-20:00 CET", "'cet' is not a time span"),
    ],
)
def test_a_wrong_part_is_named_with_its_remedy(text: str, says: str):
    with pytest.raises(BadInput) as caught:
        Hours.parse(text)

    assert says in str(caught.value)
    assert str(caught.value).startswith("hours")


@given(st.text(alphabet="monfris 0129:-,t\u0660²", max_size=30))
def test_no_text_breaks_the_reader(text: str):
    with suppress(BadInput):
        assert Hours.parse(text).text


# judging ---------------------------------------------------------------------------------------------

WORKDAY = Hours.parse("mon-fri 09:00-20:00, sat 10:00-13:00")


@pytest.mark.parametrize(
    ("when", "allowed", "opens"),
    [
        ("2026-03-02T09:00", True, None),
        ("2026-03-02T08:59:59", False, "2026-03-02T09:00"),
        ("2026-03-02T19:59:29", True, None),
        ("2026-03-02T19:59:30", False, "2026-03-03T09:00"),  # thirty seconds of ringing end at 20:00 sharp
        ("2026-03-02T20:00", False, "2026-03-03T09:00"),
        ("2026-03-06T20:00", False, "2026-03-07T10:00"),
        ("2026-03-07T13:00", False, "2026-03-09T09:00"),
    ],
)
def test_a_phone_rings_only_inside_the_hours_and_to_the_end_of_its_ringing(when: str, allowed: bool, opens: str | None):
    verdict = judge(local(when), WORKDAY, [ROME], ring_seconds=30)

    assert verdict.allowed is allowed
    assert verdict.next_allowed_at == (local(opens) if opens else None)
    assert verdict.rule == "hours"


def test_a_refusal_says_the_local_hour_and_which_zone_objects():
    verdict = judge(local("2026-03-02T19:59:45"), WORKDAY, [ROME], ring_seconds=30)
    assert verdict.why.startswith("Mon 19:59 in Europe/Rome: the phone could still ring outside mon-fri 09:00-20:00")

    verdict = judge(at("2026-03-02T14:00"), Hours.parse("09:00-20:00"), [ROME, "America/Los_Angeles"], ring_seconds=30)
    assert verdict.why == "Mon 06:00 in America/Los_Angeles is outside 09:00-20:00"
    assert verdict.as_json()["against"]["zones"] == [ROME, "America/Los_Angeles"]


def test_every_zone_a_number_may_be_in_must_be_inside():
    hours = Hours.parse("09:00-20:00")
    zones = ["America/New_York", "America/Los_Angeles"]  # 14:00-01:00 and 17:00-04:00 UTC in winter

    verdict = judge(at("2026-02-02T15:00"), hours, zones, ring_seconds=30)

    assert not verdict.allowed
    assert verdict.next_allowed_at == at("2026-02-02T17:00")
    assert judge(at("2026-02-02T17:00"), hours, zones, ring_seconds=30).allowed
    assert not judge(at("2026-02-03T01:00"), hours, zones, ring_seconds=30).allowed


def test_zones_that_never_share_an_hour_are_refused_with_no_time():
    verdict = judge(
        at("2026-02-02T15:00"), Hours.parse("09:00-12:00"), ["Asia/Tokyo", "America/New_York"], ring_seconds=30
    )

    assert not verdict.allowed
    assert verdict.next_allowed_at is None
    assert "8 days" in verdict.why


@pytest.mark.parametrize("zones", [[], [""], ["Etc/Unknown"]])
def test_a_number_of_no_zone_is_not_called_unless_any_hour_will_do(zones: list[str]):
    refused = judge(at("2026-03-02T12:00"), WORKDAY, zones, ring_seconds=30)

    assert not refused.allowed
    assert "give the campaign a time zone" in refused.why
    assert judge(at("2026-03-02T03:00"), Hours.parse("always"), zones, ring_seconds=30).allowed


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "../etc/passwd", "Europe", "+02:00"])
def test_a_zone_nobody_knows_is_refused_and_not_skipped(zone: str):
    verdict = judge(local("2026-03-02T12:00"), WORKDAY, [ROME, zone], ring_seconds=30)

    assert not verdict.allowed
    assert repr(zone) in verdict.why


def test_a_time_without_a_zone_is_no_time():
    with pytest.raises(ValueError, match="must say its zone"):
        judge(datetime(2026, 3, 2, 12), WORKDAY, [ROME], ring_seconds=30)


def test_a_number_that_names_no_zone_is_judged_by_the_campaigns():
    assert zones_to_judge(("Etc/Unknown",), ROME) == (ROME,)
    assert zones_to_judge((), ROME) == (ROME,)
    assert zones_to_judge(("Europe/Paris", "Etc/Unknown"), ROME) == ("Europe/Paris",)
    assert zones_to_judge((), None) == ()


def test_nobody_is_called_on_a_holiday_of_the_place():
    tuesday = date(2026, 6, 2)

    verdict = judge(local("2026-06-02T12:00"), WORKDAY, [ROME], ring_seconds=30, holidays={tuesday})
    assert not verdict.allowed
    assert verdict.next_allowed_at == local("2026-06-03T09:00")

    # Already the third in Auckland, still the second in Rome.
    hours = Hours.parse("00:00-24:00")
    verdict = judge(local("2026-06-03T01:00"), hours, ["Pacific/Auckland"], ring_seconds=30, holidays={tuesday})
    assert verdict.allowed


def test_hours_round_the_clock_have_no_gap_at_midnight():
    hours = Hours.parse("00:00-24:00")

    assert judge(local("2026-03-02T23:59:50"), hours, [ROME], ring_seconds=30).allowed


def test_ringing_over_a_break_in_the_hours_is_refused():
    hours = Hours.parse("09:00-13:00 13:01-20:00")
    verdict = judge(local("2026-03-02T12:59:30"), hours, [ROME], ring_seconds=120)

    assert not verdict.allowed
    assert verdict.next_allowed_at == local("2026-03-02T13:01")


def test_hours_shorter_than_a_ring_never_open():
    verdict = judge(local("2026-03-02T08:00"), Hours.parse("09:00-09:01"), [ROME], ring_seconds=60)

    assert not verdict.allowed
    assert verdict.next_allowed_at is None


# clock changes ---------------------------------------------------------------------------------------


def test_hours_that_fall_into_the_skipped_hour_do_not_exist_that_day():
    hours = Hours.parse("02:10-02:50")
    verdict = judge(local("2026-03-28T12:00"), hours, [ROME], ring_seconds=30)  # clocks go forward on the 29th

    assert verdict.next_allowed_at == local("2026-03-30T02:10")


def test_an_hour_that_comes_twice_is_open_twice():
    hours = Hours.parse("02:00-02:30")  # Rome, 2026-10-25: 00:00-00:30 UTC, and again 01:00-01:30 UTC

    assert judge(at("2026-10-25T00:10"), hours, [ROME], ring_seconds=30).allowed
    between = judge(at("2026-10-25T00:40"), hours, [ROME], ring_seconds=30)
    assert not between.allowed
    assert between.next_allowed_at == at("2026-10-25T01:00")
    assert judge(at("2026-10-25T01:10"), hours, [ROME], ring_seconds=30).allowed


def test_next_nine_oclock_is_nine_oclock_after_a_clock_change():
    assert judge(local("2026-03-28T21:00"), Hours.parse("09:00-20:00"), [ROME], ring_seconds=30).until == at(
        "2026-03-29T07:00"
    )
    assert judge(local("2026-10-24T21:00"), Hours.parse("09:00-20:00"), [ROME], ring_seconds=30).until == at(
        "2026-10-25T08:00"
    )


def plainly_inside(now: datetime, spans: list[tuple[time, time]], zone: str) -> bool:
    """The oracle: look at the clock on the wall."""
    wall = now.astimezone(ZoneInfo(zone)).time()
    return any(start <= wall < end for start, end in spans)


def by_the_minute(
    start: datetime, end: datetime, rings: int, inside: Callable[[datetime], bool]
) -> dict[datetime, bool]:
    """Allowed or not for every minute, by looking at every minute the phone may ring in."""
    table, now = {}, start
    while now < end:
        table[now] = all(inside(now + n * MINUTE) for n in range(rings + 1))
        now += MINUTE
    return table


CHANGING = [
    "Europe/Rome",
    "Europe/London",
    "Atlantic/Azores",
    "America/New_York",
    "America/St_Johns",
    "America/Havana",  # changes at midnight
    "America/Santiago",
    "Africa/Cairo",
    "Asia/Beirut",
    "Australia/Lord_Howe",  # by half an hour
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Antarctica/Troll",  # by two hours
    "Asia/Kolkata",  # never
]


def changes_of_2026(zone: str) -> list[datetime]:
    """The hours of 2026 in which the zone changes its offset; two quiet days when it never does."""
    place, found, now = ZoneInfo(zone), [], at("2026-01-01T00:00")
    while now < at("2027-01-01T00:00"):
        if now.astimezone(place).utcoffset() != (now + 60 * MINUTE).astimezone(place).utcoffset():
            found.append(now + 60 * MINUTE)
        now += 60 * MINUTE
    return found or [at("2026-03-29T01:00"), at("2026-10-25T01:00")]


@pytest.mark.parametrize("zone", CHANGING)
@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("00:30-02:40", [(time(0, 30), time(2, 40))]),
        ("01:00-02:15 02:20-03:05", [(time(1), time(2, 15)), (time(2, 20), time(3, 5))]),
        ("00:00-00:50 23:10-24:00", [(time(0), time(0, 50)), (time(23, 10), time.max)]),
    ],
)
def test_around_both_clock_changes_every_minute_is_as_the_clock_on_the_wall_says(
    zone: str, text: str, spans: list[tuple[time, time]]
):
    hours = Hours.parse(text)
    for change in changes_of_2026(zone):
        start, end = change - 180 * MINUTE, change + 180 * MINUTE
        expected = by_the_minute(start, end, 1, lambda now: plainly_inside(now, spans, zone))
        opening = None
        for now in reversed(expected):
            verdict = judge(now, hours, [zone], ring_seconds=60)
            assert verdict.allowed is expected[now], (zone, text, now, verdict)
            if expected[now]:
                opening = now
            elif opening is not None:
                assert verdict.next_allowed_at == opening, (zone, text, now, verdict)


@pytest.mark.parametrize("day", ["2026-03-29T00:00", "2026-10-25T00:00"])
def test_every_zone_there_is_agrees_with_its_clock_on_the_wall(day: str):
    hours, spans = Hours.parse("08:30-20:00"), [(time(8, 30), time(20))]
    for zone in sorted(zoneinfo.available_timezones() - {"localtime"}):
        for quarter in range(0, 24 * 4, 3):
            now = at(day) + 15 * quarter * MINUTE
            verdict = judge(now, hours, [zone], ring_seconds=0)
            assert verdict.allowed is plainly_inside(now, spans, zone), (zone, now, verdict)


instants = st.integers(0, 365 * 24 * 60 * 60).map(lambda seconds: at("2026-01-01T00:00") + timedelta(seconds=seconds))


@settings(deadline=None)
@given(
    now=instants,
    zones=st.lists(st.sampled_from([*CHANGING, "Asia/Tokyo", "Pacific/Apia"]), min_size=1, max_size=3),
    text=st.sampled_from(["09:00-20:00", "mon-fri 09:00-13:00 14:00-20:00, sat 10:00-13:00", "sun 01:30-03:30"]),
    rings=st.integers(0, 90),
)
def test_the_next_moment_is_allowed_and_no_earlier_one_is(now: datetime, zones: list[str], text: str, rings: int):
    hours = Hours.parse(text)
    verdict = judge(now, hours, zones, ring_seconds=rings)
    if verdict.allowed:
        assert verdict.next_allowed_at is None
        return
    opens = verdict.next_allowed_at
    end = opens if opens is not None else now + SEARCH
    for n in range(16):  # each says the same moment, so none between them is allowed
        between = now + n * (end - now) / 16
        assert opens is None or judge(between, hours, zones, ring_seconds=rings).next_allowed_at == opens
        assert not judge(between, hours, zones, ring_seconds=rings).allowed
    if opens is not None:
        assert judge(opens, hours, zones, ring_seconds=rings).allowed
        assert not judge(opens - timedelta(seconds=1), hours, zones, ring_seconds=rings).allowed
