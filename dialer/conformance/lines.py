"""What a conformance run says: one line for each thing looked at, and settings that it could decide."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from dialer.errors import PbxError
from dialer.pbx.base import Feature


class Verdict(StrEnum):
    """How one thing turned out."""

    WORKS = "works"
    DOES_NOT = "does not"
    NOT_OFFERED = "not offered"  # the adapter, or the settings, say that this PBX cannot
    UNTOLD = "could not be told"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the result. `feature`: what it is evidence for."""

    check: str
    verdict: Verdict
    what: str  # what was seen, with times and the maker's words
    remedy: str = ""  # what follows from it
    feature: Feature | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the line for a program."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Decision:
    """A setting that the run could decide."""

    setting: str
    value: str
    now: str
    why: str

    @property
    def is_change(self) -> bool:
        return self.value != self.now


def works(check: str, what: str, feature: Feature | None = None) -> Line:
    """What was tried does what a campaign needs of it."""
    return Line(check, Verdict.WORKS, what, "", feature)


def does_not(check: str, what: str, remedy: str, feature: Feature | None = None) -> Line:
    """What was tried fails, with what mends it."""
    return Line(check, Verdict.DOES_NOT, what, remedy, feature)


def untold(check: str, what: str, remedy: str = "", feature: Feature | None = None) -> Line:
    """It cannot be told whether it works; what would tell it is the remedy."""
    return Line(check, Verdict.UNTOLD, what, remedy, feature)


def failed(check: str, doing: str, exc: PbxError, remedy: str, feature: Feature | None = None) -> Line:
    """The line of a command or read that ended in one of our errors."""
    return does_not(check, f"{doing}: {exc.why}", remedy, feature)
