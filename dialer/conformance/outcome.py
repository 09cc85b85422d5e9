"""What a run comes to: features seen, features that failed, the modes that follow, and settings to change."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from dialer import modes
from dialer.conformance.lines import Decision, Line, Verdict
from dialer.pbx.base import Feature

_UNDER_ALL = ("set-up", "way of events")  # where one of these fails, no mode that was not seen can be promised


@dataclass(frozen=True, slots=True)
class Outcome:
    """`seen`: modes of which everything they need was seen to work; `open`: modes that may work, not all of it seen."""

    lines: tuple[Line, ...]
    features: dict[Feature, str]  # works | does not | could not be told | not offered
    seen: tuple[str, ...]
    open: tuple[str, ...]
    lost: tuple[str, ...]  # that the settings promise, and the run refuted
    changes: tuple[Decision, ...]
    kept: tuple[Decision, ...]

    @property
    def ok(self) -> bool:
        return all(line.verdict is not Verdict.DOES_NOT for line in self.lines)


def conclude(offered: Collection[Feature], lines: Sequence[Line], decisions: Sequence[Decision]) -> Outcome:
    """Draw the conclusions. A feature that failed once has failed; one that was never tried is open."""
    broken = {line.feature for line in lines if line.verdict is Verdict.DOES_NOT}
    proven = {line.feature for line in lines if line.verdict is Verdict.WORKS} - broken
    told = {
        one: (
            Verdict.NOT_OFFERED
            if one not in offered
            else Verdict.DOES_NOT
            if one in broken
            else Verdict.WORKS
            if one in proven
            else Verdict.UNTOLD
        ).value
        for one in Feature
    }
    # By the way in which the dialer would do it on this PBX: it does not fall back from a join to ringing agents first.
    first = frozenset({Feature.AGENT_FIRST}) if modes.agent_first(offered) else None
    needed = {mode: first or modes.NEEDED[mode] for mode in modes.possible(offered)}
    unfit = any(line.check in _UNDER_ALL and line.verdict is Verdict.DOES_NOT for line in lines)
    seen = [mode for mode, features in needed.items() if features <= proven]
    lost = [mode for mode, features in needed.items() if features & broken or (unfit and mode not in seen)]
    return Outcome(
        lines=tuple(lines),
        features=told,
        seen=tuple(seen),
        open=tuple(mode for mode in needed if mode not in seen and mode not in lost),
        lost=tuple(lost),
        changes=tuple(one for one in decisions if one.is_change),
        kept=tuple(one for one in decisions if not one.is_change),
    )
