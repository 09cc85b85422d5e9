"""What a supervisor may set of the pace: each goal checked, with a sentence that names the remedy.

Not given is not the same as taken back: a goal of None is one that was taken back ("unlimited", "ring-out").
"""

from collections.abc import Collection, Mapping
from typing import Any

from dialer.abandonment import rule_pack
from dialer.errors import BadInput, RefusedByRule

# name of the column -> what people call it, its least and its greatest value
_RANGES: Mapping[str, tuple[str, float, float]] = {
    "max_lines": ("the limit of lines", 1, 10_000),
    "ratio": ("the ratio of calls to free agents", 1, 10),
    "desired_wait": ("the desired wait between two calls (in seconds)", 0, 3_600),
    "min_ring": ("the minimum ring (in seconds)", 0, 120),
    "calls_per_second": ("the calls per second on each gateway", 0.01, 1_000),
    "weight": ("the weight", 0.01, 1_000),
}
_CAN_BE_TAKEN_BACK = ("max_lines", "ratio", "desired_wait", "min_ring", "calls_per_second")
GOALS = (*_RANGES, "max_abandonment", "inbound_first")


def checked(
    goals: Mapping[str, Any], pack: str, *, who: str, why: str, may_raise: Collection[str] = ()
) -> dict[str, Any]:
    """Return the goals as they are stored. BadInput for what means nothing, RefusedByRule for what the law forbids.

    `may_raise`: who has the right to a limit above the rule pack's; they must give a reason as well.
    """
    for name, value in goals.items():
        if name not in GOALS:
            raise BadInput(f"there is no goal {name!r}: there are {', '.join(sorted(GOALS))}")
        if value is None and name not in _CAN_BE_TAKEN_BACK:
            raise BadInput(f"{name.replace('_', ' ')} must have a value")
        if name in _RANGES and value is not None:
            in_range(_RANGES[name][0], value, *_RANGES[name][1:])
    if goals.get("max_abandonment") is not None:
        _check_ceiling(goals["max_abandonment"], pack, who, why, may_raise)
    if goals.get("min_ring") is not None:
        _check_ring(goals["min_ring"], pack)
    return dict(goals)


def in_range(what: str, value: float, low: float, high: float) -> None:
    """Refuse a value outside [low, high], and one that is no number."""
    if not low <= value <= high:
        raise BadInput(f"{what} must be between {low:g} and {high:g}, not {value:g}")


def _check_ceiling(limit: float, pack: str, who: str, why: str, may_raise: Collection[str]) -> None:
    if limit > 1:
        raise BadInput(f"an abandonment limit of {limit:g} is more than everybody: 3 % is written 0.03 or 3%")
    in_range("the abandonment limit", limit, 0, 1)
    ceiling = rule_pack(pack).ceiling
    if limit <= ceiling:
        return
    above = f"an abandonment limit of {limit:.2%} is above the {ceiling:.2%} of the rule pack {pack}"
    if who not in may_raise:
        raise RefusedByRule(
            f"{above}, and {who} may not raise it: set {ceiling:.2%} or less, or let an operator add {who!r} to "
            "may_raise_ceiling under [rights] in the settings"
        )
    if not why.strip():
        raise RefusedByRule(f"{above}: give the reason with --why, it is kept in the ledger")


def _check_ring(seconds: float, pack: str) -> None:
    least = rule_pack(pack).ring_minimum.total_seconds()
    if seconds < least:
        raise RefusedByRule(
            f"a minimum ring of {seconds:g} s is below the {least:g} s of the rule pack {pack}, which nobody may "
            f"undercut: set {least:g} or more, or ring-out"
        )
