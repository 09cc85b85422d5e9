"""Which contacts a campaign wants at all: conditions on what is known of a contact and on its history.

Conditions are values, read from `city=Roma,Milano` or `attempts<2`, and all of them must hold. People never write code
or SQL: a condition names a field, one of eight comparisons, and words to compare with.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from dialer.errors import BadInput
from dialer.gate import Verdict

FIELDS = ("first_name", "last_name", "company", "description", "phone", "priority")
HISTORY = ("attempts", "last_outcome", "days_since_call")
_OPERATORS = ("!=", "<=", ">=", "^=", "~", "=", "<", ">")
_CONDITION = re.compile(r"\s*(.+?)\s*(!=|<=|>=|\^=|~|=|<|>)(.*)", re.DOTALL)
MOST = 20  # conditions of a campaign, and words of a condition
_ASK_AGAIN = timedelta(hours=1)  # a history that time alone does not change


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison. `field`: one of ours, or the name of a column of the contact's own."""

    field: str
    operator: str
    values: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the condition as the campaign's row keeps it."""
        return {"field": self.field, "operator": self.operator, "values": list(self.values)}

    def __str__(self) -> str:
        return f"{self.field}{self.operator}{','.join(self.values)}"


@dataclass(frozen=True, slots=True)
class Past:
    """What has been tried with a contact so far."""

    attempts: int = 0
    last_outcome: str = ""
    last_at: datetime | None = None


def parse(text: str) -> Condition:
    """Read one condition; BadInput says what is wrong with it."""
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise BadInput(
            f"{text!r} is no condition: write FIELD=WORD, for example city=Roma,Milano or attempts<2 "
            f"(comparisons: {' '.join(_OPERATORS)})"
        )
    field, operator, rest = match[1], match[2], match[3]
    return _checked(Condition(field, operator, tuple(word.strip() for word in rest.split(","))))


def from_json(kept: Sequence[Mapping[str, Any]]) -> tuple[Condition, ...]:
    """Read the conditions back from the campaign's row."""
    return tuple(Condition(one["field"], one["operator"], tuple(one["values"])) for one in kept)


def _checked(one: Condition) -> Condition:
    if len(one.values) > MOST or any(len(word) > 200 for word in (one.field, *one.values)):
        raise BadInput(f"the condition on {one.field[:60]!r} is too long: at most {MOST} words of 200 characters")
    if one.operator in ("<", "<=", ">", ">=") and (len(one.values) != 1 or _size(one.values[0]) is None):
        raise BadInput(f"{one}: {one.operator} compares with one number or date (YYYY-MM-DD)")
    if one.field in ("attempts", "days_since_call") and any(
        not isinstance(_size(word), Decimal) for word in one.values
    ):
        raise BadInput(f"{one}: {one.field} is a number, for example {one.field}<3")
    return one


def wanted(conditions: Sequence[Condition], fields: Mapping[str, str]) -> bool:
    """Whether what is known of a contact meets the conditions; those on its history are left aside."""
    return all(_holds(one, fields.get(one.field, "")) for one in conditions if one.field not in HISTORY)


def verdict(conditions: Sequence[Condition], fields: Mapping[str, str], past: Past, now: datetime) -> Verdict:
    """Ask all conditions about one contact. Its fields stay as they are: no `until` when they say no."""
    for one in conditions:
        if one.field not in HISTORY:
            if not _holds(one, fields.get(one.field, "")):
                return Verdict(False, "filter", f"the campaign's filter {one} does not want this contact")
        elif not _holds_of_past(one, past, now):
            until = _until(one, past, now)
            return Verdict(False, "filter", f"the campaign's filter {one} does not want this contact now", until)
    return Verdict(True, "filter", "the contact meets the campaign's filter")


def _holds_of_past(one: Condition, past: Past, now: datetime) -> bool:
    if one.field == "attempts":
        return _holds(one, str(past.attempts))
    if one.field == "last_outcome":
        return _holds(one, past.last_outcome)
    if past.last_at is None:
        return one.operator in (">", ">=", "!=")  # never called: as long ago as can be
    return _holds(one, str(Decimal((now - past.last_at).total_seconds()) / 86_400))


def _until(one: Condition, past: Past, now: datetime) -> datetime:
    if one.field == "days_since_call" and past.last_at is not None and one.operator in (">", ">="):
        size = _size(one.values[0])
        if isinstance(size, Decimal):
            return max(now, past.last_at + timedelta(days=float(size)))
    return now + _ASK_AGAIN


def _holds(one: Condition, value: str) -> bool:
    value = value.strip()
    if one.operator in ("=", "!="):
        alike = any(_same(value, word) for word in one.values)
        return alike == (one.operator == "=")
    if one.operator == "~":
        return any(word.casefold() in value.casefold() for word in one.values)
    if one.operator == "^=":
        return any(value.casefold().startswith(word.casefold()) for word in one.values)
    have, bound = _size(value), _size(one.values[0])
    if isinstance(have, Decimal) and isinstance(bound, Decimal):
        return _compare(one.operator, (have > bound) - (have < bound))
    if isinstance(have, date) and isinstance(bound, date):
        return _compare(one.operator, (have > bound) - (have < bound))
    return False  # what is no number is neither more nor less than one


def _compare(operator: str, sign: int) -> bool:
    return {"<": sign < 0, "<=": sign <= 0, ">": sign > 0, ">=": sign >= 0}[operator]


def _same(value: str, word: str) -> bool:
    if value.casefold() == word.casefold():
        return True
    have, other = _size(value), _size(word)
    return isinstance(have, Decimal) and have == other


def _size(text: str) -> Decimal | date | None:
    """Return a number, with a comma or a point, or a day; None for any other text."""
    text = text.strip()
    if len(text) > 40:
        return None
    try:
        return date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else _number(text)
    except ValueError:
        return None


def _number(text: str) -> Decimal | None:
    if not re.fullmatch(r"[-+]?\d+([.,]\d+)?", text, re.ASCII):
        return None
    try:
        return Decimal(text.replace(",", "."))
    except InvalidOperation:
        return None
