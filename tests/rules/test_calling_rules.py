"""Each pack's own vectors: moments and histories with the verdict its source asks for."""

from datetime import UTC, datetime, timedelta

import pytest

from dialer import caps
from dialer.abandonment import PACKS
from dialer.calling_rules import InForce, in_force
from dialer.caps import Call, Earlier
from dialer.gate import Verdict
from dialer.holiday_calendars import HolidayCalendar
from dialer.modes import AGENTLESS, PREDICTIVE
from dialer.places import NO_ADDRESS, Address, place_of
from dialer.windows import Hours, judge

ALWAYS = Hours.parse("always")
ROME, PARIS, LONDON, NEW_YORK, MIAMI = "+390612345678", "+33142345678", "+442071234567", "+12125551234", "+13055551234"
FORT_DE_FRANCE = "+596596123456"


def law(pack: str, number: str, mode: str = PREDICTIVE, address: Address = NO_ADDRESS, country: str = "US") -> InForce:
    return in_force([(pack, PACKS[pack].calling)], place_of(number, address, country), mode)


def asked(
    pack: str, number: str, at: str, *, hours: str = "always", address: Address = NO_ADDRESS, country: str = "US"
) -> Verdict:
    """The hours of a campaign and of a pack, at a moment in UTC."""
    where = place_of(number, address, country)
    found = in_force([(pack, PACKS[pack].calling)], where, PREDICTIVE)
    now = datetime.fromisoformat(at).replace(tzinfo=UTC)
    return judge(now, Hours.parse(hours), where.zones, ring_seconds=30, also=found.timetables)


HOURS = [
    # pack, number, UTC, allowed, why
    ("default-2026", ROME, "2026-12-25T02:00", True, "the default pack keeps to the campaign's hours alone"),
    ("us-2026", NEW_YORK, "2026-03-02T12:59", False, "7:59 in New York"),
    ("us-2026", NEW_YORK, "2026-03-02T13:00", True, "8:00"),
    ("us-2026", NEW_YORK, "2026-03-03T01:59:45", False, "20:59:45, and the phone could ring past 21"),
    ("us-2026", NEW_YORK, "2026-03-03T01:58", True, "20:58"),
    ("us-2026", MIAMI, "2026-03-03T00:58", True, "19:58 in Miami"),
    ("us-2026", MIAMI, "2026-03-03T01:30", False, "20:30: after Florida's eight"),
    ("us-debt-2026", NEW_YORK, "2026-03-02T12:59", False, "7:59"),
    ("us-debt-2026", MIAMI, "2026-03-03T01:30", True, "20:30 in Miami: a collector is under no state's sales hours"),
    ("uk-2026", LONDON, "2026-03-02T08:00", True, "Monday at 8"),
    ("uk-2026", LONDON, "2026-03-07T08:30", False, "Saturday at 8:30"),
    ("it-2026", ROME, "2026-03-02T08:00", True, "Monday, 9:00 in Rome"),
    ("it-2026", ROME, "2026-03-07T08:30", False, "Saturday, 9:30: not before 10"),
    ("it-2026", ROME, "2026-03-07T18:00", False, "Saturday at 19"),
    ("it-2026", ROME, "2026-03-08T11:00", False, "Sunday"),
    ("it-2026", ROME, "2026-04-06T10:00", False, "Easter Monday"),
    ("it-2026", ROME, "2026-12-07T08:30", False, "the day before the Immaculate Conception: Saturday's hours"),
    ("it-2026", ROME, "2026-12-07T09:00", True, "10:00 of that day"),
    ("fr-2026", PARIS, "2026-09-07T08:00", True, "Monday at 10"),
    ("fr-2026", PARIS, "2026-09-07T11:30", False, "13:30: lunch"),
    ("fr-2026", PARIS, "2026-09-12T09:00", False, "Saturday"),
    ("fr-2026", PARIS, "2026-11-11T10:00", False, "Armistice Day, a Wednesday"),
]


@pytest.mark.parametrize(("pack", "number", "at", "allowed", "why"), HOURS)
def test_the_hours_of_a_pack(pack: str, number: str, at: str, allowed: bool, why: str) -> None:
    verdict = asked(pack, number, at)
    assert verdict.allowed is allowed, f"{why}: {verdict.why}"


def test_the_campaigns_hours_and_the_packs_hold_both_and_the_next_moment_is_in_both() -> None:
    evening = asked("it-2026", ROME, "2026-03-06T18:30", hours="08:00-18:00")  # Friday, 19:30 in Rome
    assert "08:00-18:00" in evening.why
    assert evening.until == datetime(2026, 3, 7, 9, 0, tzinfo=UTC)  # Saturday at 10, by the pack
    early = asked("it-2026", ROME, "2026-03-07T08:30", hours="08:00-18:00")
    assert "it-2026" in early.why
    assert early.until == datetime(2026, 3, 7, 9, 0, tzinfo=UTC)
    assert asked("it-2026", ROME, "2026-03-08T12:00").until == datetime(2026, 3, 9, 8, 0, tzinfo=UTC)


def test_a_holiday_is_named_as_the_reason_and_the_next_day_is_the_answer() -> None:
    christmas = asked("fr-2026", PARIS, "2026-12-25T10:00")
    assert "public holiday" in christmas.why
    assert christmas.until == datetime(2026, 12, 28, 9, 0, tzinfo=UTC)  # a Monday


def test_a_holiday_is_the_phones_own_date() -> None:
    """1 January begins in Paris while it is still 31 December in New York, and the other way round."""
    where = Address(time_zone="America/New_York")
    assert not asked("fr-2026", PARIS, "2026-12-31T23:30", address=where, country="FR").allowed
    # 15:00 UTC is 10:00 in New York and 16:00 in Paris: good in both, were it not for the holiday in both.
    assert asked("fr-2026", PARIS, "2026-12-31T15:00", address=where, country="FR").allowed
    assert not asked("fr-2026", PARIS, "2027-01-01T15:00", address=where, country="FR").allowed


def test_overseas_the_law_is_kept_by_the_clock_and_the_holidays_there() -> None:
    home = Address(postcode="97200")
    assert not asked("fr-2026", FORT_DE_FRANCE, "2026-09-07T08:00", address=home, country="FR").allowed  # 4:00 there
    assert asked("fr-2026", FORT_DE_FRANCE, "2026-09-07T14:00", address=home, country="FR").allowed  # 10:00
    assert not asked("fr-2026", FORT_DE_FRANCE, "2026-05-22T14:30", address=home, country="FR").allowed  # abolition
    assert asked("fr-2026", PARIS, "2026-05-22T14:30").allowed


def test_alsace_keeps_good_friday() -> None:
    assert "good friday" in HolidayCalendar("FR", ("FR-6AE",)).name(datetime(2026, 4, 3).date()).lower()
    assert not asked("fr-2026", PARIS, "2026-04-03T09:00", address=Address(postcode="67000"), country="FR").allowed
    assert asked("fr-2026", PARIS, "2026-04-03T09:00").allowed


def test_number_and_address_must_both_be_open() -> None:
    moved = Address(region="US-CA")  # a New York number, kept in California
    assert asked("us-2026", NEW_YORK, "2026-03-02T15:30").allowed  # 10:30 by the number
    assert not asked("us-2026", NEW_YORK, "2026-03-02T15:30", address=moved).allowed  # 7:30 at home
    assert asked("us-2026", NEW_YORK, "2026-03-02T16:30", address=moved).allowed
    late = asked("us-2026", NEW_YORK, "2026-03-03T02:30", address=moved)  # 18:30 at home, 21:30 by the number
    assert not late.allowed
    assert late.until == datetime(2026, 3, 3, 16, 0, tzinfo=UTC)  # 8:00 in California


def test_an_address_in_a_state_of_two_zones_is_in_both() -> None:
    assert asked("us-2026", MIAMI, "2026-03-02T13:30").allowed
    assert not asked("us-2026", MIAMI, "2026-03-02T13:30", address=Address(region="US-FL")).allowed  # 7:30 in Pensacola


def tries(pack: str, number: str, earlier: Earlier, now: datetime) -> list[str]:
    found = law(pack, number)
    return [verdict.rule for verdict in caps.judge(found.caps, now, earlier, (NOW_ZONE,)) if not verdict.allowed]


NOW, NOW_ZONE = datetime(2026, 9, 30, 15, tzinfo=UTC), "America/New_York"


def calls(*days_ago: float, talked: bool = False) -> list[Call]:
    return [Call(NOW - timedelta(days=ago), talked) for ago in days_ago]


def test_regulation_f_seven_in_seven() -> None:
    seven = calls(0.1, 0.5, 1, 2, 3, 4, 6.9)
    assert tries("us-debt-2026", NEW_YORK, Earlier(seven[:6], seven[:6]), NOW) == []
    assert tries("us-debt-2026", NEW_YORK, Earlier(seven, seven), NOW) == ["number_cap", "contact_cap"]
    # The seventh at another number of the same person.
    assert tries("us-debt-2026", NEW_YORK, Earlier(seven[:6], seven), NOW) == ["contact_cap"]
    assert tries("us-debt-2026", NEW_YORK, Earlier(calls(7.1), calls(7.1)), NOW) == []


def test_regulation_f_seven_days_after_a_conversation() -> None:
    spoke = calls(6.9, talked=True)
    assert tries("us-debt-2026", NEW_YORK, Earlier(spoke, spoke), NOW) == ["number_cap", "contact_cap"]
    assert tries("us-debt-2026", NEW_YORK, Earlier(calls(7, talked=True), calls(7, talked=True)), NOW) == []


def test_three_a_day_where_a_state_says_so_by_number_or_by_address() -> None:
    three = Earlier(calls(0.1, 0.2, 0.9))
    assert tries("us-2026", MIAMI, three, NOW) == ["number_cap"]
    assert tries("us-2026", NEW_YORK, three, NOW) == []
    found = law("us-2026", NEW_YORK, address=Address(region="US-OK"))
    assert not all(verdict.allowed for verdict in caps.judge(found.caps, NOW, three, (NOW_ZONE,)))


def test_france_four_in_thirty_days() -> None:
    four = calls(1, 9, 20, 29.9)
    assert tries("fr-2026", PARIS, Earlier(four[:3], four[:3]), NOW) == []
    assert tries("fr-2026", PARIS, Earlier(four, four), NOW) == ["number_cap", "contact_cap"]


@pytest.mark.parametrize("pack", sorted(set(PACKS) - {"default-2026"}))
def test_a_recorded_message_needs_consent_under_every_law(pack: str) -> None:
    assert law(pack, ROME, AGENTLESS).consent == pack


def test_only_france_needs_it_for_every_call() -> None:
    assert [pack for pack in sorted(PACKS) if law(pack, ROME, PREDICTIVE).consent] == ["fr-2026"]


def test_two_packs_hold_both() -> None:
    packs = [(name, PACKS[name].calling) for name in ("it-2026", "fr-2026")]
    found = in_force(packs, place_of(ROME, NO_ADDRESS, "IT"), PREDICTIVE)
    monday = datetime(2026, 9, 7, 7, 30, tzinfo=UTC)  # 9:30: good in Italy, half an hour early in France
    verdict = judge(monday, ALWAYS, ("Europe/Rome",), ring_seconds=30, also=found.timetables)
    assert (verdict.allowed, verdict.until) == (False, datetime(2026, 9, 7, 8, 0, tzinfo=UTC))
    assert found.consent == "fr-2026"


@pytest.mark.parametrize("pack", PACKS.values(), ids=lambda pack: pack.name)
def test_every_rule_of_a_pack_says_where_it_was_read(pack: object) -> None:
    from dialer.abandonment import RulePack

    assert isinstance(pack, RulePack)
    for rules in (pack.calling, *pack.calling.regions.values()):
        read = {reading.rule for reading in rules.readings}
        assert all(reading.source for reading in rules.readings)
        assert ("hours" in read) or rules.hours.always
        assert bool(rules.caps) <= ("caps" in read)
        assert bool(rules.consent) <= ("consent" in read)
        assert bool(rules.holidays) <= ("holidays" in read)
