"""Text that others wrote stays inert: what may be shown, what may be sent to a PBX, what may be an id."""

import re

_NUMBER = re.compile(r"\+?[0-9]{3,15}")
_ENTITY_ID = re.compile(r"[0-9]{1,20}")
_REFERENCE = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_ANY_ID = re.compile(r"[A-Za-z0-9._:@+-]{1,64}")


def inert(text: str, limit: int = 200) -> str:
    """Return `text` on one line, without anything a terminal or a log could obey, and not longer than `limit`."""
    # Cutting first keeps this cheap for a megabyte; the second cut is the real one.
    shown = "".join(char if char.isprintable() else " " for char in text[: limit * 4])
    shown = " ".join(shown.split())
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def is_number(text: str) -> bool:
    """Whether a PBX may be told to dial or to show this: digits, at most one leading plus."""
    return _NUMBER.fullmatch(text) is not None


def is_entity_id(text: str) -> bool:
    """Whether this can be the id of a user, gateway, IVR, communication or leg."""
    return _ENTITY_ID.fullmatch(text) is not None


def is_reference(text: str) -> bool:
    """Whether this can be a reference of ours (`extid`)."""
    return _REFERENCE.fullmatch(text) is not None


def foreign_id(text: str | None) -> str | None:
    """Return an id that came from outside, or None when it is none: -1 and empty are how PBXs say "no id"."""
    if text is None or text == "-1" or _ANY_ID.fullmatch(text) is None:
        return None
    return text


def masked(number: str) -> str:
    """A phone number as logs and errors may show it: its beginning and its last two digits."""
    return number if len(number) <= 5 else f"{number[:3]}…{number[-2:]}"
