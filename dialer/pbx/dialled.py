"""Numbers as a PBX wants them dialled, and back: the settings say the prefix and the form."""

from dialer.pbx.foreign import is_number
from dialer.settings import PbxSettings

_FORMS = {"digits": "", "plus": "+", "international": "00"}


def dialled(settings: PbxSettings, number: str) -> str:
    """Return an E.164 number as it is dialled on this PBX."""
    return f"{settings.dial_prefix}{_FORMS[settings.number_format]}{number.removeprefix('+')}"


def as_e164(settings: PbxSettings, text: str | None) -> str | None:
    """Read a number of an event back: what `dialled` wrote, or the same with a plus or 00. None for anything else.

    One reading and no other: a number that could be two people's is nobody's.
    """
    if not text or not text.startswith(settings.dial_prefix):
        return None
    digits = text.removeprefix(settings.dial_prefix)
    if digits.startswith("+"):
        digits = digits[1:]
    elif digits.startswith("00"):
        digits = digits[2:]
    elif settings.number_format != "digits":
        return None  # an extension, or a number in some national form
    number = f"+{digits}"
    return number if is_number(number) and not digits.startswith("0") else None
