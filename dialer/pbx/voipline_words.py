"""VoIPLine's own ways of writing numbers, times and nothing at all."""

from datetime import UTC, datetime

from dialer.pbx.foreign import is_number

_NULL = ("", "null", "none")


def said(value: object) -> str | None:
    """Return a scalar as text; None for null, which may also come as the word, in any case."""
    text = str(value).strip() if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
    return None if text.lower() in _NULL else text


def number(value: object) -> str | None:
    """Read digits without a plus, with one, or with 00, as E.164; None for anything else, a national number too."""
    text = said(value) or ""
    digits = text[1:] if text.startswith("+") else text.removeprefix("00")
    found = f"+{digits}"
    return found if is_number(found) and not digits.startswith("0") and len(digits) > 4 else None


def extension(value: object) -> str | None:
    """Read a user's number."""
    text = said(value)
    return text if text is not None and text.isascii() and text.isdecimal() and len(text) <= 32 else None


def moment(value: object) -> datetime | None:
    """Read an ISO time; one without a zone is UTC, as all of them are."""
    text = said(value)
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return found if found is None or found.tzinfo else found.replace(tzinfo=UTC)


def seconds(value: object) -> float | None:
    """Read a duration, which comes as a number or as text."""
    text = said(value)
    try:
        found = float(text) if text else None
    except ValueError:
        return None
    return found if found is not None and 0 <= found < 1e7 else None
