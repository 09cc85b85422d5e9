"""What a law says of the number people are shown. What it bars is not shown; what it only frowns on is told.

No law here lets a number be withheld, and nothing in this program withholds one. That a number is ours, and that
somebody answers there, no digits tell: whoever adds it says so.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from dialer.modes import MODES
from dialer.numbers import Number, normalise

# Numbers given out for calling people, which the plan we read does not list: Italy's statistics and selling.
CALLING_RANGES = ("+390843", "+390844")


@dataclass(frozen=True, slots=True)
class CallerIdRule:
    """One rule of a pack about caller ids; heads are the beginnings of E.164 numbers."""

    genuine: bool = False  # it must be a number of a public plan
    barred: tuple[str, ...] = ()  # not to be shown
    asked_for: tuple[str, ...] = ()  # of the numbers that begin with `of`, these and no others
    of: str = ""
    modes: frozenset[str] = frozenset(MODES)
    instead: str = ""  # what to show in place of a barred one


@dataclass(frozen=True, slots=True)
class Objection:
    """What a pack has against a caller id; `barred`: it may not be shown, else it is a doubt."""

    pack: str
    why: str
    barred: bool

    def __str__(self) -> str:
        return f"{self.why} ({self.pack})"


def objections(number: str, rules: Iterable[tuple[str, CallerIdRule]], mode: str) -> tuple[Objection, ...]:
    """Return what the rules, each with its pack's name, have against showing `number` in a mode of dialling."""
    found = []
    for pack, rule in rules:
        if mode not in rule.modes:
            continue
        if rule.genuine and not _is_genuine(number):
            # A PBX may show another number in its place, so this is no more than a doubt.
            why = f"{number} is no number of a public plan, and people must see one they can call back"
            found.append(Objection(pack, why, False))
        if number.startswith(rule.barred or ("?",)):
            why = f"{number} is of a range that may not be shown by {mode} dialling"
            found.append(Objection(pack, f"{why}: show {rule.instead}" if rule.instead else why, True))
        elif any(one.barred and one.pack == pack for one in found):
            continue  # whatever else it is not
        elif rule.asked_for and number.startswith(rule.of) and not number.startswith(rule.asked_for):
            why = f"{number} is not of the ranges asked for: {', '.join(rule.asked_for)}"
            found.append(Objection(pack, why, False))
    return tuple(found)


def _is_genuine(number: str) -> bool:
    if number.startswith(CALLING_RANGES):
        return True
    return number.startswith("+") and isinstance(normalise(number, "US"), Number)
