"""Where a phone may be: the regions and time zones that its number and its owner's address suggest.

A number says its country and often its zone; an address may say another, when somebody kept their number and moved.
Nothing is decided here: whoever asks takes all that is suggested, and lets the strictest hold. Regions are ISO 3166-2
codes ("US-FL"). Only places whose clocks or laws differ within their country are known; any other address adds nothing.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dialer.errors import BadInput
from dialer.numbers import zones

_EAST, _CENTRAL, _MOUNTAIN, _WEST = "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles"

# Code -> (name, zones). A state that lies in two zones names both. From the tz database's own table and its comments.
_US = {
    "AL": ("Alabama", (_CENTRAL,)), "AK": ("Alaska", ("America/Anchorage", "America/Adak")),
    "AZ": ("Arizona", ("America/Phoenix", _MOUNTAIN)), "AR": ("Arkansas", (_CENTRAL,)),
    "CA": ("California", (_WEST,)), "CO": ("Colorado", (_MOUNTAIN,)), "CT": ("Connecticut", (_EAST,)),
    "DE": ("Delaware", (_EAST,)), "DC": ("District of Columbia", (_EAST,)), "FL": ("Florida", (_EAST, _CENTRAL)),
    "GA": ("Georgia", (_EAST,)), "HI": ("Hawaii", ("Pacific/Honolulu",)), "ID": ("Idaho", ("America/Boise", _WEST)),
    "IL": ("Illinois", (_CENTRAL,)), "IN": ("Indiana", ("America/Indiana/Indianapolis", _CENTRAL)),
    "IA": ("Iowa", (_CENTRAL,)), "KS": ("Kansas", (_CENTRAL, _MOUNTAIN)), "KY": ("Kentucky", (_EAST, _CENTRAL)),
    "LA": ("Louisiana", (_CENTRAL,)), "ME": ("Maine", (_EAST,)), "MD": ("Maryland", (_EAST,)),
    "MA": ("Massachusetts", (_EAST,)), "MI": ("Michigan", ("America/Detroit", _CENTRAL)),
    "MN": ("Minnesota", (_CENTRAL,)), "MS": ("Mississippi", (_CENTRAL,)), "MO": ("Missouri", (_CENTRAL,)),
    "MT": ("Montana", (_MOUNTAIN,)), "NE": ("Nebraska", (_CENTRAL, _MOUNTAIN)), "NV": ("Nevada", (_WEST, _MOUNTAIN)),
    "NH": ("New Hampshire", (_EAST,)), "NJ": ("New Jersey", (_EAST,)), "NM": ("New Mexico", (_MOUNTAIN,)),
    "NY": ("New York", (_EAST,)), "NC": ("North Carolina", (_EAST,)), "ND": ("North Dakota", (_CENTRAL, _MOUNTAIN)),
    "OH": ("Ohio", (_EAST,)), "OK": ("Oklahoma", (_CENTRAL,)), "OR": ("Oregon", (_WEST, "America/Boise")),
    "PA": ("Pennsylvania", (_EAST,)), "RI": ("Rhode Island", (_EAST,)), "SC": ("South Carolina", (_EAST,)),
    "SD": ("South Dakota", (_CENTRAL, _MOUNTAIN)), "TN": ("Tennessee", (_EAST, _CENTRAL)),
    "TX": ("Texas", (_CENTRAL, _MOUNTAIN)), "UT": ("Utah", (_MOUNTAIN,)), "VT": ("Vermont", (_EAST,)),
    "VA": ("Virginia", (_EAST,)), "WA": ("Washington", (_WEST,)), "WV": ("West Virginia", (_EAST,)),
    "WI": ("Wisconsin", (_CENTRAL,)), "WY": ("Wyoming", (_MOUNTAIN,)), "PR": ("Puerto Rico", ("America/Puerto_Rico",)),
    "VI": ("Virgin Islands", ("America/St_Thomas",)), "GU": ("Guam", ("Pacific/Guam",)),
}  # fmt: skip
_CA = {
    "AB": ("Alberta", ("America/Edmonton",)), "BC": ("British Columbia", ("America/Vancouver", "America/Edmonton")),
    "MB": ("Manitoba", ("America/Winnipeg",)), "NB": ("New Brunswick", ("America/Moncton",)),
    "NL": ("Newfoundland and Labrador", ("America/St_Johns", "America/Goose_Bay")),
    "NS": ("Nova Scotia", ("America/Halifax",)), "NT": ("Northwest Territories", ("America/Edmonton",)),
    "NU": ("Nunavut", ("America/Iqaluit", "America/Rankin_Inlet", "America/Cambridge_Bay")),
    "ON": ("Ontario", ("America/Toronto", "America/Winnipeg")), "PE": ("Prince Edward Island", ("America/Halifax",)),
    "QC": ("Quebec", ("America/Toronto", "America/Halifax")), "SK": ("Saskatchewan", ("America/Regina",)),
    "YT": ("Yukon", ("America/Whitehorse",)),
}  # fmt: skip
_AU = {
    "ACT": ("Australian Capital Territory", ("Australia/Sydney",)),
    "NSW": ("New South Wales", ("Australia/Sydney", "Australia/Adelaide")),
    "NT": ("Northern Territory", ("Australia/Darwin",)), "QLD": ("Queensland", ("Australia/Brisbane",)),
    "SA": ("South Australia", ("Australia/Adelaide",)), "TAS": ("Tasmania", ("Australia/Hobart",)),
    "VIC": ("Victoria", ("Australia/Melbourne",)), "WA": ("Western Australia", ("Australia/Perth",)),
}  # fmt: skip
_REGIONS = {
    f"{country}-{code}": told
    for country, table in (("US", _US), ("CA", _CA), ("AU", _AU))
    for code, told in table.items()
}
_BY_NAME = {(code[:2], name.casefold()): code for code, (name, _) in _REGIONS.items()}

# Postcodes by which an address is in another zone than its country's mainland, or under other holidays.
_BY_POSTCODE: dict[str, tuple[tuple[str, str, tuple[str, ...]], ...]] = {
    "FR": (
        ("971", "FR-971", ("America/Guadeloupe",)), ("972", "FR-972", ("America/Martinique",)),
        ("973", "FR-973", ("America/Cayenne",)), ("974", "FR-974", ("Indian/Reunion",)),
        ("975", "FR-PM", ("America/Miquelon",)), ("976", "FR-976", ("Indian/Mayotte",)),
        ("986", "FR-WF", ("Pacific/Wallis",)), ("987", "FR-PF", ("Pacific/Tahiti",)),
        ("988", "FR-NC", ("Pacific/Noumea",)), ("57", "FR-57", ()), ("67", "FR-6AE", ()), ("68", "FR-6AE", ()),
    ),
    "ES": (("35", "ES-CN", ("Atlantic/Canary",)), ("38", "ES-CN", ("Atlantic/Canary",))),
    "PT": (
        *((str(n), "PT-30", ("Atlantic/Madeira",)) for n in range(90, 95)),
        *((str(n), "PT-20", ("Atlantic/Azores",)) for n in range(95, 100)),
    ),
    "GB": (("BT", "GB-NIR", ()),),
}  # fmt: skip
# First three digits of a ZIP code, inclusive ranges. The few codes across a state line are the state's of their number.
_ZIP = (
    (5, 5, "NY"), (6, 7, "PR"), (8, 8, "VI"), (9, 9, "PR"), (10, 27, "MA"), (28, 29, "RI"), (30, 38, "NH"),
    (39, 49, "ME"), (50, 59, "VT"), (60, 69, "CT"), (70, 89, "NJ"), (100, 149, "NY"), (150, 196, "PA"),
    (197, 199, "DE"), (200, 200, "DC"), (201, 201, "VA"), (202, 205, "DC"), (206, 219, "MD"), (220, 246, "VA"),
    (247, 268, "WV"), (270, 289, "NC"), (290, 299, "SC"), (300, 319, "GA"), (320, 349, "FL"), (350, 369, "AL"),
    (370, 385, "TN"), (386, 397, "MS"), (398, 399, "GA"), (400, 427, "KY"), (430, 459, "OH"), (460, 479, "IN"),
    (480, 499, "MI"), (500, 528, "IA"), (530, 549, "WI"), (550, 567, "MN"), (570, 577, "SD"), (580, 588, "ND"),
    (590, 599, "MT"), (600, 629, "IL"), (630, 658, "MO"), (660, 679, "KS"), (680, 693, "NE"), (700, 714, "LA"),
    (716, 729, "AR"), (730, 732, "OK"), (733, 733, "TX"), (734, 749, "OK"), (750, 799, "TX"), (800, 816, "CO"),
    (820, 831, "WY"), (832, 838, "ID"), (840, 847, "UT"), (850, 865, "AZ"), (870, 884, "NM"), (885, 885, "TX"),
    (889, 898, "NV"), (900, 961, "CA"), (967, 968, "HI"), (969, 969, "GU"), (970, 979, "OR"), (980, 994, "WA"),
    (995, 999, "AK"),
)  # fmt: skip
# Area codes of the states whose laws differ from the federal one: a law takes the area code for the person's home.
_AREA_CODES = {
    "US-FL": "239 305 321 324 352 386 407 448 561 645 656 689 727 728 754 772 786 813 850 863 904 941 954",
    "US-OK": "405 539 572 580 918",
    "US-MD": "227 240 301 410 443 667",
    "US-WA": "206 253 360 425 509 564",
    "US-CT": "203 475 860 959",
    "US-TX": "210 214 254 281 325 346 361 409 430 432 469 512 682 713 726 737 806 817 830 832 903 915 936 940 945 956 "
    "972 979",
}
_BY_AREA_CODE = {area: region for region, codes in _AREA_CODES.items() for area in codes.split()}


@dataclass(frozen=True, slots=True)
class Place:
    """What number and address suggest: every region, and every zone, that the phone may be in."""

    regions: tuple[str, ...]
    zones: tuple[str, ...]


class Address(NamedTuple):
    """As much of a person's address as says where their phone is. Empty: not known."""

    region: str = ""
    postcode: str = ""
    time_zone: str = ""


NO_ADDRESS = Address()


def place_of(number: str, address: Address, country: str) -> Place:
    """Return where the phone with an E.164 `number` may be. `country`: whose regions and postcodes are meant."""
    by_number = _BY_AREA_CODE.get(number[2:5]) if number.startswith("+1") else None
    return _place(by_number, zones(number), address.region, address.postcode, address.time_zone, country)


@lru_cache(maxsize=16_384)  # of a list's contacts most are in one of few places
def _place(
    by_number: str | None, of_number: tuple[str, ...], region: str, postcode: str, time_zone: str, country: str
) -> Place:
    """Put together what the number says and what the address does; what one does not say adds nothing."""
    regions: dict[str, None] = {by_number: None} if by_number else {}
    found = dict.fromkeys(of_number)
    if time_zone:
        found[time_zone] = None
    if region:
        regions[region] = None
        found |= dict.fromkeys(_REGIONS[region][1] if region in _REGIONS else ())
    for code, where in _by_postcode(postcode, region[:2] or country):
        regions[code] = None
        found |= dict.fromkeys(where)
    return Place(tuple(regions), tuple(found))


def _by_postcode(postcode: str, country: str) -> list[tuple[str, tuple[str, ...]]]:
    plain = "".join(postcode.upper().split())
    if country == "US" and plain[:3].isdecimal() and len(plain) >= 5:
        state = next((state for first, last, state in _ZIP if first <= int(plain[:3]) <= last), None)
        return [(f"US-{state}", _US[state][1])] if state else []
    return [(code, where) for head, code, where in _BY_POSTCODE.get(country, ()) if plain.startswith(head)]


def region_of(text: str, country: str) -> str:
    """Return the ISO code of a region as people write it: "FL", "Florida", "US-FL"; BadInput where it matters.

    Where clocks and laws are the same all over a country, whatever its regions are called says nothing: empty.
    """
    plain = " ".join(text.split())
    code = plain.upper()
    if code in _REGIONS:
        return code
    if f"{country}-{code}" in _REGIONS:
        return f"{country}-{code}"
    by_name = _BY_NAME.get((country, plain.casefold()))
    if by_name is not None:
        return by_name
    if plain and any(known.startswith(f"{country}-") for known in _REGIONS):
        raise BadInput(
            f"there is no region {plain[:40]!r} in {country}: write its code, for example {_example(country)}"
        )
    return ""


def time_zone_of(text: str) -> str:
    """Return the name of a time zone as it was written; BadInput when this host knows none of that name."""
    plain = text.strip()
    if not plain:
        return ""
    try:
        return ZoneInfo(plain).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadInput(f"there is no time zone {plain[:40]!r}: write a name such as Europe/Rome") from None


def _example(country: str) -> str:
    return next(code for code in _REGIONS if code.startswith(f"{country}-")).partition("-")[2]
