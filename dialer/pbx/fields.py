"""The fields of an event as it came: from the query string, a form or a JSON object, bounded, never failing."""

import json
from collections.abc import Iterable, Mapping
from urllib.parse import unquote_to_bytes

from dialer.pbx.base import Payload

MAX_TEXT = 64 * 1024
MAX_FIELDS = 200
MAX_VALUE = 512

Fields = Mapping[str, str]


def fields_of(payload: Payload) -> dict[str, str]:
    """Return every field, names in lower case. The query comes first, and the first value of a name counts."""
    found = _form(payload.query.lstrip("?"))
    if payload.body:
        kind = payload.content_type.partition(";")[0].strip().lower()
        body = payload.body[:MAX_TEXT]
        if kind.endswith("json") or (not kind and body.lstrip()[:1] == b"{"):
            more = _json(body)
        elif kind in ("", "application/x-www-form-urlencoded", "text/plain"):
            more = _form(body.decode("latin-1"))
        else:
            more = {}
        for name, value in more.items():
            if not found.get(name):
                found[name] = value
    return found


def first(fields: Fields, names: Iterable[str]) -> str | None:
    """Return the value of the first of `names` that is there and not empty."""
    for name in names:
        value = fields.get(name)
        if value:
            return value
    return None


def _form(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in text[:MAX_TEXT].split("&", MAX_FIELDS)[:MAX_FIELDS]:
        name, _, value = part.partition("=")
        name = _unquoted(name).lower()
        if name and not found.get(name):
            found[name] = _unquoted(value)
    return found


def _json(body: bytes) -> dict[str, str]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(told, dict):
        return {}
    found: dict[str, str] = {}
    for name, value in list(told.items())[:MAX_FIELDS]:
        if isinstance(value, bool):
            value = int(value)
        if isinstance(value, str | int | float):
            found[_clean(name).lower()] = _clean(str(value)[:MAX_VALUE])
    return found


def _unquoted(text: str) -> str:
    raw = unquote_to_bytes(text[: MAX_VALUE * 3].replace("+", " "))
    try:
        told = raw.decode("utf-8")
    except UnicodeDecodeError:
        told = raw.decode("latin-1")
    return _clean(told)


def _clean(text: str) -> str:
    # Most values are short and plain; only the others are looked at letter by letter.
    if not text.isprintable():
        text = "".join(char if char.isprintable() else " " for char in text)
    return text.strip()[:MAX_VALUE]
