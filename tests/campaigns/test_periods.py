"""Periods of the day, and the instant at which a promised callback is due."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import periods
from campaigns.callback_dates import Calendar, WantedPeriod, campaign_zone, instant, zone_of_country
from campaigns.models import Campaign, Contact, ContactList, Ledger, Period
from dialer.errors import BadInput, NotFound
from dialer.windows import Hours

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)  # a Monday
ROME = ZoneInfo("Europe/Rome")
MORNING = WantedPeriod(1, "Morning", time(9), time(12))


@pytest.fixture
def campaign(session: Session) -> Campaign:
    campaign = Campaign(
        name="spring", pbx="main", mode="progressive", country="IT", hours="always", caller_id="+39061234567"
    )
    session.add(campaign)
    session.flush()
    return campaign


def _define(session: Session, campaign: Campaign, name: str, starts: str, ends: str, default: bool = False) -> Period:
    return periods.define(session, campaign.id, name, starts, ends, default=default, who="ada", now=NOW)


def test_periods_are_listed_in_the_order_of_the_day(session: Session, campaign: Campaign) -> None:
    _define(session, campaign, "Après-midi", "14:00", "17:00")
    _define(session, campaign, "Matin", "08:00", "12:10:30", default=True)
    found = [(one.name, one.starts, one.ends, one.is_default) for one in periods.all_of(session, campaign.id)]
    assert found == [
        ("Matin", time(8), time(12, 10, 30), True),
        ("Après-midi", time(14), time(17), False),
    ]


def test_the_same_name_in_other_letters_changes_the_period(session: Session, campaign: Campaign) -> None:
    first = _define(session, campaign, "Morning", "08:00", "12:00", default=True)
    again = _define(session, campaign, " MORNING ", "09:00", "12:30")
    assert (again.id, again.starts, again.is_default) == (first.id, time(9), True)
    assert len(periods.all_of(session, campaign.id)) == 1


def test_there_is_one_default_and_the_last_named_is_it(session: Session, campaign: Campaign) -> None:
    for name in ("Morning", "Afternoon", "Morning"):
        _define(session, campaign, name, "08:00", "12:00", default=True)
    by_name, default = periods.wanted(session, campaign.id)
    assert default == by_name["morning"]
    assert [one.name for one in periods.all_of(session, campaign.id) if one.is_default] == ["Morning"]


@pytest.mark.parametrize(
    ("name", "starts", "ends", "told"),
    [
        ("", "08:00", "12:00", "needs a name"),
        ("x" * 61, "08:00", "12:00", "at most 60"),
        ("a\x00b", "08:00", "12:00", "printable"),
        ("Night", "22:00", "06:00", "over midnight is two periods"),
        ("Never", "08:00", "08:00", "must end after it starts"),
        ("Odd", "25:00", "26:00", "'25:00' is not a time of day; write it as 09:00"),
        ("Odd", "8", "12:00", "'8' is not a time of day"),
        ("Odd", "08:00", "noon", "'noon' is not a time of day"),
    ],
)
def test_a_period_that_cannot_be_is_refused_with_the_remedy(
    session: Session, campaign: Campaign, name: str, starts: str, ends: str, told: str
) -> None:
    with pytest.raises(BadInput, match=told):
        _define(session, campaign, name, starts, ends)
    assert periods.all_of(session, campaign.id) == []


def test_an_unknown_period_names_those_there_are(session: Session, campaign: Campaign) -> None:
    with pytest.raises(NotFound, match="none yet"):
        periods.get(session, campaign.id, "Noon")
    _define(session, campaign, "Morning", "08:00", "12:00")
    with pytest.raises(NotFound, match=r"'Noon'.*'Morning'"):
        periods.remove(session, campaign.id, "Noon", who="ada", now=NOW)


def test_a_period_that_callbacks_wait_for_stays(session: Session, campaign: Campaign) -> None:
    period = _define(session, campaign, "Morning", "08:00", "12:00")
    listed = ContactList(campaign_id=campaign.id, name="l", kind="callbacks")
    session.add(listed)
    session.flush()
    contact = Contact(
        campaign_id=campaign.id, list_id=listed.id, line=2, phone="+390612345678", custom={}, period_id=period.id
    )
    session.add(contact)
    session.flush()
    with pytest.raises(BadInput, match="1 callback waits for it"):
        periods.remove(session, campaign.id, "morning", who="ada", now=NOW)
    contact.state = "closed"
    session.flush()
    periods.remove(session, campaign.id, "morning", who="ada", now=NOW)
    session.refresh(contact)
    assert contact.period_id is None
    assert session.scalars(select(Period)).all() == []
    kinds = session.scalars(select(Ledger.kind).order_by(Ledger.id)).all()
    assert kinds == ["period_defined", "period_removed"]


# --- when a callback is due -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "at", "zone", "expected"),
    [
        (date(2026, 3, 3), time(9), "Europe/Rome", datetime(2026, 3, 3, 8, tzinfo=UTC)),
        (date(2026, 7, 3), time(9), "Europe/Rome", datetime(2026, 7, 3, 7, tzinfo=UTC)),
        # The clock jumps from 2:00 to 3:00: every time it skips is the moment after the jump.
        (date(2026, 3, 29), time(1, 59), "Europe/Rome", datetime(2026, 3, 29, 0, 59, tzinfo=UTC)),
        (date(2026, 3, 29), time(2), "Europe/Rome", datetime(2026, 3, 29, 1, tzinfo=UTC)),
        (date(2026, 3, 29), time(2, 30), "Europe/Rome", datetime(2026, 3, 29, 1, tzinfo=UTC)),
        (date(2026, 3, 29), time(3), "Europe/Rome", datetime(2026, 3, 29, 1, tzinfo=UTC)),
        # 2:30 comes twice: the first.
        (date(2026, 10, 25), time(2, 30), "Europe/Rome", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        # A day that never was.
        (date(2011, 12, 30), time(9), "Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),
        (date(2026, 9, 6), time(0), "America/Santiago", datetime(2026, 9, 6, 4, tzinfo=UTC)),  # no midnight that day
    ],
)
def test_a_local_time_has_one_instant_also_when_clocks_change(
    day: date, at: time, zone: str, expected: datetime
) -> None:
    assert instant(day, at, ZoneInfo(zone)) == expected


@given(
    st.dates(date(2020, 1, 1), date(2035, 1, 1)),
    st.times().map(lambda at: at.replace(microsecond=0)),
    st.sampled_from(
        ["Europe/Rome", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Africa/Casablanca"]
    ),
)
def test_the_instant_is_the_first_at_which_the_clock_shows_the_time_or_later(day: date, at: time, zone: str) -> None:
    wanted = datetime.combine(day, at)

    def shown(moment: datetime) -> datetime:
        return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)

    found = instant(day, at, ZoneInfo(zone))
    assert found.tzinfo is UTC
    assert shown(found) >= wanted
    assert shown(found - timedelta(seconds=1)) < wanted
    assert shown(found) - wanted <= timedelta(hours=1)


def _calendar(hours: str = "always", now: datetime = NOW, default: WantedPeriod | None = None) -> Calendar:
    return Calendar(ROME, now, Hours.parse(hours), {"morning": MORNING}, default)


def test_today_is_the_campaigns_day_not_that_of_utc() -> None:
    calendar = _calendar(now=datetime(2026, 3, 2, 23, 30, tzinfo=UTC))
    assert (calendar.today, calendar.tomorrow) == (date(2026, 3, 3), date(2026, 3, 4))


def test_a_callback_without_a_period_has_the_default_one_or_the_calling_hours() -> None:
    assert _calendar(default=MORNING).period_of(date(2026, 3, 3)) == MORNING
    hours = _calendar("mon-fri 09:30-20:00, sat 10:00-13:00")
    assert hours.period_of(date(2026, 3, 3)).starts == time(9, 30)
    assert hours.period_of(date(2026, 3, 7)).starts == time(10)
    assert hours.period_of(date(2026, 3, 8)).starts == time(0)  # no hours on Sunday: the gate moves it on
    assert _calendar().period_of(date(2026, 3, 8)).starts == time(0)


def test_a_period_is_over_when_its_end_has_passed_by_the_local_clock() -> None:
    day = date(2026, 3, 2)
    assert not _calendar(now=datetime(2026, 3, 2, 10, 59, 59, tzinfo=UTC)).over(day, MORNING)
    assert _calendar(now=datetime(2026, 3, 2, 11, 0, tzinfo=UTC)).over(day, MORNING)
    assert _calendar().over(date(2026, 3, 1), MORNING)
    assert not _calendar().over(date(2026, 3, 3), MORNING)


def test_the_zone_is_the_campaigns_then_the_countrys_then_an_assumption_that_is_said() -> None:
    assert campaign_zone("Asia/Tokyo", "IT", NOW) == (ZoneInfo("Asia/Tokyo"), "")
    assert campaign_zone(None, "IT", NOW) == (ROME, "")
    zone, note = campaign_zone(None, "ES", NOW)
    assert (zone.key, "ES has several time zones" in note) == ("Europe/Madrid", True)
    with pytest.raises(BadInput, match="Europe/Nowhere"):
        campaign_zone("Europe/Nowhere", "IT", NOW)


def test_a_country_of_two_zones_that_keep_one_time_has_one() -> None:
    assert zone_of_country("DE", 2026) == "Europe/Berlin"  # Büsingen keeps the same
    assert zone_of_country("US", 2026) is None
    assert zone_of_country("XX", 2026) is None
