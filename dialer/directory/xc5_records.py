"""XC5's records in our words. Pure, and tolerant where the maker's document is silent: absent is not false."""

import re
from collections.abc import Mapping
from typing import Any

from dialer.directory.base import OwnNumber
from dialer.directory.hal import Record
from dialer.pbx.base import Presence
from dialer.pbx.foreign import inert

_REGISTERED = re.compile(r"\bregistered\b")
_NOT_REGISTERED = re.compile(r"\b(un|de|not|no|none|never)[\s_-]*registered\b")
ASKS_FIRST = "a:"  # before a number that may be another account's too


def text(record: Record, name: str, limit: int = 200) -> str:
    """Return a field as text that may be shown; a number given as such is text, too."""
    value = record.get(name)
    if value is None or isinstance(value, bool | dict | list):
        return ""
    return inert(str(value), limit)


def flag(record: Record, name: str) -> bool | None:
    """Return a boolean however it is written (true, 1, "yes"); None when it is absent or none of these."""
    value = record.get(name)
    if isinstance(value, bool):
        return value
    word = str(value).strip().casefold() if value is not None else ""
    if word in ("1", "true", "yes", "on"):
        return True
    return False if word in ("0", "false", "no", "off") else None


def whole(record: Record, name: str) -> int | None:
    """Return a whole number, given as number or text."""
    value = record.get(name)
    if isinstance(value, bool) or value is None:
        return None
    try:
        return int(str(value).strip())
    except ValueError:
        return None


def registered(status: str, words: tuple[str, ...]) -> bool | None:
    """Whether a word of `reg_status` says that a telephone is there; None when it does not say.

    Its values are not documented. "registered" says so, "unregistered" and "not registered" say no, and of
    "registration failed" or "expired" nothing is concluded: the list of registrations is looked at instead.
    """
    word = status.casefold()
    if word and word in (known.casefold() for known in words):
        return True
    if _NOT_REGISTERED.search(word):
        return False
    return True if _REGISTERED.search(word) else None


def presence(record: Record, there: bool | None) -> Presence:
    """Return whether somebody could be rung: `there` is whether a telephone is registered."""
    if flag(record, "enabled") is False:
        return Presence.UNAVAILABLE
    if flag(record, "dnd"):
        return Presence.DO_NOT_DISTURB
    if there is None:
        return Presence.UNKNOWN
    return Presence.AVAILABLE if there else Presence.UNAVAILABLE


def own_number(record: Record, account: str) -> OwnNumber:
    """Return a number of an account; E.164 gets its plus, anything else stays as it is written."""
    written = text(record, "number", 64)
    digits = written.removeprefix(ASKS_FIRST)
    return OwnNumber(
        id=text(record, "guid", 64),
        number=plus(digits),
        account=text(record, "assigned") or account,
        is_default=bool(flag(record, "is-pilot")),
        forwards_to=plus(text(record, "cfa", 64)),
        shared=written.startswith(ASKS_FIRST),
    )


def plus(digits: str) -> str:
    """XC5 writes E.164 without its plus."""
    return f"+{digits}" if digits.isascii() and digits.isdecimal() and not digits.startswith("0") else digits


def extensions(rules: list[Record]) -> Mapping[str, str]:
    """Return account name to extension: the call rules that turn a short number into an account."""
    found: dict[str, str] = {}
    for rule in rules:
        short, who, where = text(rule, "prefix_raw", 20), text(rule, "username"), text(rule, "destination", 64)
        if short and who and (not where or where == f":{short}"):
            found.setdefault(who.casefold(), short)
    return found


def hunt_members(routes: list[Record]) -> tuple[str, ...]:
    """Return the accounts that are rung one after the other, in that order."""
    hunted = [one for one in routes if flag(one, "hunt_user") and text(one, "username")]
    return tuple(text(one, "username") for one in sorted(hunted, key=lambda one: whole(one, "order") or 0))


def is_short(record: Record) -> bool:
    """Whether a list gave too little of a number, route or rule to know it by; the record itself gives the rest."""
    if "number" in record:
        return False
    if "order" not in record or not record.keys() & {"username", "destination", "digit_map", "record_email"}:
        return True
    return "username" in record and "prefix_raw" not in record and "hunt_user" not in record


def same(sent: Any, there: Any) -> bool:
    """Whether a field is there as it was sent, however XC5 writes numbers, booleans and empty texts."""
    return _norm(sent) == _norm(there)


def _norm(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    word = str(value).strip().casefold()
    return {"true": "1", "yes": "1", "false": "0", "no": "0"}.get(word, word)
