"""HAL+JSON as it comes: an array, one object, or records embedded in one; a next page; nothing that is a secret.

Pure: bytes in, records out. `Unreadable` says what is wrong.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dialer.pbx.http import Unreadable

MAX_RECORDS = 20_000
# An account's record may carry the password of its telephone. It is dropped here, before anybody can keep it.
_SECRETS = ("password", "secret", "ums_pin", "token")

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """Records, the link to more of them, and the text of an error when the answer is one.

    Its repr shows none of it: an error may repeat what we sent.
    """

    records: tuple[Record, ...] = field(repr=False)
    next: str = field(default="", repr=False)
    error: str = field(default="", repr=False)


def page(body: bytes) -> Page:
    """Read one answer."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        raise Unreadable("it is not JSON" if body.strip() else "it is empty") from None
    found = tuple(_records(told))
    if len(found) > MAX_RECORDS:
        raise Unreadable(f"it holds more than {MAX_RECORDS} records")
    following = _href(told, "next") if isinstance(told, dict) else ""
    return Page(found, following, _error(found))


def link(record: Record, name: str = "self") -> str:
    """Return where a record's link of that name leads, or nothing."""
    return _href(record, name)


def _records(told: Any) -> Iterator[Record]:
    if isinstance(told, list):
        for one in told:
            yield _plain(one)
    elif isinstance(told, dict) and isinstance(told.get("_embedded"), dict):
        for embedded in told["_embedded"].values():
            yield from _records(embedded)
    else:
        yield _plain(told)


def _plain(one: Any) -> Record:
    if not isinstance(one, dict):
        raise Unreadable(f"it holds {type(one).__name__} where a record should be")
    return {
        str(name).lower(): value
        for name, value in one.items()
        if not any(word in str(name).lower() for word in _SECRETS)
    }


def _href(told: Mapping[str, Any], name: str) -> str:
    links = told.get("_links")
    one = links.get(name) if isinstance(links, dict) else None
    if isinstance(one, list):
        one = one[0] if one else None
    href = one.get("href") if isinstance(one, dict) else one
    return href if isinstance(href, str) else ""


def _error(found: tuple[Record, ...]) -> str:
    """An error is an array of one element; it has been seen beside good statuses, so the status is not asked."""
    if not found:
        return ""
    first = found[0]
    if "error" in first and not first.get("guid") and not first.get("username"):
        return str(first["error"]) or "no reason given"
    return ""
