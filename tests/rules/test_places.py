import itertools
from zoneinfo import ZoneInfo

import pytest

from dialer import places
from dialer.errors import BadInput
from dialer.places import NO_ADDRESS, Address, place_of, region_of, time_zone_of


def test_the_number_alone_says_zone_and_a_state_with_a_law_of_its_own() -> None:
    found = place_of("+13055551234", NO_ADDRESS, "US")
    assert found.regions == ("US-FL",)
    assert found.zones == ("America/New_York",)
    assert place_of("+390612345678", NO_ADDRESS, "IT").regions == ()


@pytest.mark.parametrize(
    ("address", "country", "region", "zone"),
    [
        (Address(postcode="90210"), "US", "US-CA", "America/Los_Angeles"),
        (Address(postcode="32501-1234"), "US", "US-FL", "America/Chicago"),
        (Address(region="US-TN"), "US", "US-TN", "America/Chicago"),
        (Address(postcode="97400"), "FR", "FR-974", "Indian/Reunion"),
        (Address(postcode="35001"), "ES", "ES-CN", "Atlantic/Canary"),
        (Address(postcode="9500-100"), "PT", "PT-20", "Atlantic/Azores"),
        (Address(region="AU-WA"), "AU", "AU-WA", "Australia/Perth"),
        (Address(region="US-HI"), "IT", "US-HI", "Pacific/Honolulu"),
    ],
)
def test_an_address_adds_its_region_and_zones(address: Address, country: str, region: str, zone: str) -> None:
    found = place_of("+12125551234", address, country)
    assert region in found.regions
    assert zone in found.zones
    assert "America/New_York" in found.zones  # the number's stays


@pytest.mark.parametrize("address", [Address(postcode="00184"), Address(postcode="nonsense"), Address(postcode="7")])
def test_an_address_that_says_nothing_adds_nothing(address: Address) -> None:
    assert place_of("+390612345678", address, "IT") == place_of("+390612345678", NO_ADDRESS, "IT")


@pytest.mark.parametrize("text", ["FL", "fl", "Florida", " us-fl ", "FLORIDA"])
def test_a_region_as_people_write_it(text: str) -> None:
    assert region_of(text, "US") == "US-FL"


def test_a_region_nobody_knows_is_refused_where_it_matters_and_says_nothing_elsewhere() -> None:
    with pytest.raises(BadInput, match="no region 'Florda' in US"):
        region_of("Florda", "US")
    assert region_of("Lazio", "IT") == ""
    assert region_of("", "US") == ""


def test_a_zone_is_one_this_host_knows() -> None:
    assert time_zone_of(" Europe/Rome ") == "Europe/Rome"
    with pytest.raises(BadInput, match="Europe/Roma"):
        time_zone_of("Europe/Roma")


def test_every_zone_of_the_tables_exists_and_no_zip_is_in_two_states() -> None:
    for _, zones in places._REGIONS.values():
        assert [ZoneInfo(zone).key for zone in zones]
    ends = [(first, last) for first, last, _ in places._ZIP]
    assert all(before[1] < after[0] for before, after in itertools.pairwise(ends))
