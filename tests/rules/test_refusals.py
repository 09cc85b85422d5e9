"""Days of peace after a no: whole calendar days where the phone is."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.abandonment import PACKS
from dialer.calling_rules import in_force
from dialer.modes import MODES
from dialer.places import Place
from dialer.refusals import refusal, rest_ends

SIXTY = timedelta(days=60)
PARIS, REUNION, TAHITI = "Europe/Paris", "Indian/Reunion", "Pacific/Tahiti"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zones", "said", "ends"),
    [
        ([PARIS], "2026-03-02T09:00", "2026-05-01T22:00"),  # the sixtieth day is 1 May; clocks went forward between
        ([PARIS], "2026-03-02T22:59", "2026-05-01T22:00"),  # a minute before midnight there
        ([PARIS], "2026-03-02T23:01", "2026-05-02T22:00"),  # a minute after
        ([PARIS, REUNION], "2026-03-02T21:00", "2026-05-02T20:00"),  # over there it was the next day already
        ([PARIS, TAHITI], "2026-03-02T09:00", "2026-05-01T22:00"),  # and there the day before, which ends later
        ([], "2026-03-02T09:00", "2026-05-02T10:00"),
        (["Mars/Olympus"], "2026-03-02T09:00", "2026-05-02T10:00"),
    ],
)
def test_sixty_days_end_with_the_last_of_them_in_every_zone(zones: list[str], said: str, ends: str) -> None:
    until = rest_ends(at(said), SIXTY, zones)
    assert until == at(ends)
    before, then = (refusal(now, at(said), SIXTY, zones, "fr") for now in (until - timedelta(seconds=1), until))
    assert (before.allowed, before.until, then.allowed) == (False, until, True)


@given(
    st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    st.sampled_from([PARIS, REUNION, TAHITI, "America/St_Johns", "Pacific/Kiritimati", "Pacific/Pago_Pago"]),
    st.integers(1, 90),
)
def test_no_zone_lets_a_call_through_before_its_calendar_says_so(said: datetime, zone: str, days: int) -> None:
    until = rest_ends(said, timedelta(days=days), [zone])
    there = ZoneInfo(zone)
    assert (until.astimezone(there).date() - said.astimezone(there).date()).days == days + 1
    assert ((until - timedelta(seconds=1)).astimezone(there).date() - said.astimezone(there).date()).days == days
    assert rest_ends(said, timedelta(days=days), []) >= until, "an unknown zone is never kinder to us"


def test_who_never_refused_is_told_apart() -> None:
    verdict = refusal(at("2026-03-02T09:00"), None, SIXTY, [PARIS], "fr")
    assert (verdict.allowed, verdict.rule, verdict.against) == (True, "refusal", {"days": 60, "law": "fr"})


@pytest.mark.parametrize("mode", MODES)
def test_only_france_asks_for_it_and_in_every_mode(mode: str) -> None:
    asked = {
        name: in_force([(name, pack.calling)], Place((), (PARIS,)), mode).rest_after_refusal.days
        for name, pack in PACKS.items()
    }
    assert asked == {name: 60 if name == "fr-2026" else 0 for name in PACKS}
