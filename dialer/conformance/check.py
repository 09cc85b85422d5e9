"""One thing a conformance run looks at, as a value: what it needs, whom it rings, and what it does."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from dialer.conformance.bench import Bench
from dialer.conformance.lines import Line
from dialer.pbx.base import Feature

NUMBER, AGENT, WRONG = "number", "agent", "wrong number"
HOW_TO_GIVE = {
    NUMBER: "--own-number +39...",
    AGENT: "--own-agent EXTENSION",
    WRONG: "--wrong-number +39... (one that nobody has)",
}


@dataclass(frozen=True, slots=True)
class Check:
    """`rings` says which of the operator's phones; empty: none. `seconds` is roughly how long it takes."""

    name: str
    does: str  # "calls your number, waits at the reception, hangs up"
    run: Callable[[Bench], Iterable[Line]]
    needs: frozenset[Feature] = frozenset()
    rings: tuple[str, ...] = ()
    asks: str = ""  # what the person in front of the phones does
    calls: int = 0
    seconds: int = 2
