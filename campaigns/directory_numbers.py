"""A directory's numbers as candidates for what customers see: E.164, and why the others are not."""

from collections.abc import Sequence
from dataclasses import dataclass

from dialer.directory.base import Directory, OwnNumber
from dialer.numbers import Number, normalise

# A whole number needs no country to be read; any that is known does.
_ANY = "US"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A number of the platform's; `why_not` is empty when customers may be shown it."""

    number: OwnNumber
    why_not: str = ""


def candidates(numbers: Sequence[OwnNumber]) -> list[Candidate]:
    """Judge each number: a caller id must be a real number of ours that a person can call back."""
    return [Candidate(one, _why_not(one)) for one in numbers]


def caller_ids(directory: Directory) -> list[str]:
    """Return the numbers a pool of caller ids may be filled with: E.164 with the plus, sorted, each once."""
    return sorted({one.number.number for one in candidates(directory.numbers()) if not one.why_not})


def _why_not(one: OwnNumber) -> str:
    if one.shared:
        return "it is marked as shared (a:), so it may be somebody else's"
    if not one.number.startswith("+"):
        return "it is no number with a country code"
    judged = normalise(one.number, _ANY)
    return "" if isinstance(judged, Number) else judged.reason
