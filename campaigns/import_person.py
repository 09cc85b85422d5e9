"""Where somebody lives and whether they agreed to be called, as a row of a file says it: judged, never guessed."""

from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from campaigns.import_columns import Columns
from dialer.errors import BadInput
from dialer.places import region_of, time_zone_of

_YES = frozenset(
    ["yes", "y", "true", "1", "x", "si", "sì", "s", "oui", "o", "ja", "j", "sim", "given", "granted", "opt-in", "optin"]
)
_NO = frozenset(["no", "n", "false", "0", "non", "nein", "nao", "não", "withdrawn", "denied", "opt-out", "optout"])


class Problem(NamedTuple):
    """One thing wrong with a row."""

    column: str
    value: str
    reason: str
    remedy: str


class OfPerson(NamedTuple):
    """Where somebody lives, and whether they agreed to be called, as far as the file says."""

    region: str
    postcode: str
    time_zone: str
    consent: bool
    consent_at: str | None  # ISO
    consent_source: str


def judge(columns: Columns, cells: Sequence[str], country: str, problems: list[Problem]) -> OfPerson:
    """Return what the row says of its person; what cannot be understood goes to `problems`."""

    def cell(index: int) -> str:
        return " ".join(cells[index].split())[:500] if index >= 0 else ""

    def told(index: int, exc: BadInput) -> None:
        reason, _, remedy = str(exc).partition(": ")
        name = columns.names[index]
        ignore = f"; if the column means something else, --mapping {name!r}=custom"
        problems.append(Problem(name, cells[index].strip(), reason, (remedy or "correct it") + ignore))

    region = zone = ""
    try:
        region = _region(cell(columns.region), country)
    except BadInput as exc:
        told(columns.region, exc)
    try:
        zone = time_zone_of(cell(columns.time_zone))
    except BadInput as exc:
        told(columns.time_zone, exc)
    agreed, day = False, None
    try:
        agreed, day = consent_of(cell(columns.consent), cell(columns.consent_date))
    except BadInput as exc:
        told(columns.consent if columns.consent >= 0 else columns.consent_date, exc)
    source = "".join(char for char in cell(columns.consent_source) if char.isprintable())
    postcode = "".join(char for char in cell(columns.postcode) if char.isprintable())[:20]
    return OfPerson(region, postcode, zone, agreed, f"{day}T00:00:00+00:00" if day else None, source if agreed else "")


@lru_cache(maxsize=4096)
def _region(text: str, country: str) -> str:
    return region_of(text, country)


@lru_cache(maxsize=4096)
def consent_of(text: str, day: str) -> tuple[bool, date | None]:
    """Read a consent cell, yes, no or the day it was given on, and the cell of its day. Empty is no."""
    word = text.casefold()
    if word in _NO:
        return False, None
    given = _day(text) if word not in _YES else None
    if word and word not in _YES and given is None:
        raise BadInput("it cannot be told whether they agreed: write yes or no, or the day as YYYY-MM-DD")
    when = _day(day) or given
    if day and when is None:
        raise BadInput("the day of the consent is no date: write it as YYYY-MM-DD")
    # A day without a word is a consent: nobody notes the day on which somebody did not agree.
    return bool(word or day), when


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10]) if len(text) >= 10 else None
    except ValueError:
        return None
