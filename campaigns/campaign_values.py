"""What a person may write for a campaign: each value checked, and made canonical, one function each."""

import re
import zoneinfo
from datetime import UTC, tzinfo
from functools import cache

from dialer.errors import BadInput

_NAME_LENGTH = 60
_UNKNOWN_TO_THE_PLAN = ("invalid", "too_short", "too_long", "short", "country", "lost_zero")


def checked_name(name: str) -> str:
    """Return a campaign name that is safe on a command line, in a file name and in an address."""
    name = " ".join(name.split())
    if not name:
        raise BadInput("a campaign needs a name")
    if len(name) > _NAME_LENGTH:
        raise BadInput(f"the name {name[:20]}... has {len(name)} characters: {_NAME_LENGTH} are allowed")
    strange = sorted({char for char in name if not (char.isalnum() or char in " -_.+&'()")})
    if strange:
        shown = " ".join(char if char.isprintable() else f"U+{ord(char):04X}" for char in strange)
        raise BadInput(f"the name {_printable(name)!r} holds {shown}: use letters, digits, spaces and - _ . + & ' ( )")
    if not name[0].isalnum():
        raise BadInput(f"the name {name!r} must begin with a letter or a digit")
    return name


def checked_country(country: str) -> str:
    """Return a country code phone numbers can be read with."""
    from phonenumbers import SUPPORTED_REGIONS

    code = country.strip().upper()
    if code in SUPPORTED_REGIONS:
        return code
    usual = {"UK": "GB", "EN": "GB", "USA": "US", "ITA": "IT", "ITALY": "IT", "ITALIA": "IT"}.get(code)
    hint = f"did you mean {usual}?" if usual else "use two letters, for example IT, FR, DE or US"
    raise BadInput(f"there is no country {_printable(country)!r}: {hint}")


def country_of(caller_id: str) -> str:
    """Guess the country from a caller id written with its country code; Italy otherwise."""
    import phonenumbers

    try:
        region = phonenumbers.region_code_for_number(phonenumbers.parse(caller_id, None))
    except phonenumbers.NumberParseException:
        return "IT"
    return region if region in phonenumbers.SUPPORTED_REGIONS else "IT"


def checked_caller_id(caller_id: str, country: str) -> str:
    """Return the caller id in E.164; a plausible one that no public plan knows is kept as its digits.

    A PBX may show an internal number, or map what it is given: that is its business. What must never be shown,
    an emergency or a premium number, is refused like on a list.
    """
    from dialer.caller_id_laws import CALLING_RANGES
    from dialer.numbers import Number, country_prefix, normalise

    number = normalise(caller_id, country)
    if isinstance(number, Number):
        return number.e164
    digits = re.sub(r"[\s().\-/]+", "", caller_id)
    abroad = f"{country_prefix(country)}{digits}" if not digits.startswith("+") else digits
    if re.fullmatch(r"\+[0-9]{9,15}", abroad) and abroad.startswith(CALLING_RANGES):
        return abroad
    if number.code in _UNKNOWN_TO_THE_PLAN and re.fullmatch(r"\+?[0-9]{3,15}", digits):
        return digits
    raise BadInput(f"the caller id {_printable(caller_id)!r} cannot be used: {number}")


def caller_id_doubt(caller_id: str, country: str) -> str:
    """Say why a caller id may be refused on its way; empty when it is a number of its country."""
    from dialer.caller_id_laws import CALLING_RANGES
    from dialer.numbers import Number, normalise

    number = normalise(caller_id, country)
    if caller_id.startswith(CALLING_RANGES):
        return ""
    return "" if isinstance(number, Number) else number.reason


def checked_hours(hours: str) -> str:
    """Return the calling hours as they are stored: `always` or `09:00-20:00`."""
    from dialer.windows import Hours

    return str(Hours.parse(hours))


def checked_time_zone(name: str | None) -> str | None:
    """Return the name of a time zone this machine knows; None stays None."""
    if not name:
        return None
    try:
        return zoneinfo.ZoneInfo(name).key
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise BadInput(f"there is no time zone {_printable(name)!r}: use a name such as Europe/Rome") from None


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)[:80]


def usual_time_zone(country: str, time_zone: str | None) -> str:
    """Return the zone whose days a campaign's reports use: its own, or that of most people of its country."""
    if time_zone:
        return time_zone
    import phonenumbers

    from dialer.numbers import zones

    example = phonenumbers.example_number(country)
    found = zones(phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)) if example else ()
    return found[0] if found else "UTC"


@cache
def usual_zone(country: str, time_zone: str | None) -> tzinfo:
    """Return the zone of `usual_time_zone` itself; UTC where this machine does not know it."""
    try:
        return zoneinfo.ZoneInfo(usual_time_zone(country, time_zone))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return UTC
