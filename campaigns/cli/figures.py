"""Figures of days as people read them: one figure a row, one column for each way of dialling, time or chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from campaigns.cli import output

if TYPE_CHECKING:
    from dialer.simulation.figures import Figures

# What each figure is called, and how it is written.
LABELS = {
    "utilisation": ("Utilisation", "share"),
    "occupancy": ("Occupancy", "share"),
    "mean_wait": ("Agents' mean wait", "seconds"),
    "calls": ("Calls", "count"),
    "calls_per_agent_hour": ("Calls per agent-hour", "number"),
    "answered": ("Answered", "count"),
    "met": ("Met an agent", "count"),
    "abandoned": ("Abandoned calls", "count"),
    "abandonment": ("Abandoned", "fine share"),
    "worst_rate": ("Worst running rate", "fine share"),
    "agents": ("Agents at work", "number"),
    "lines_p95": ("Lines, 95 % of the time", "count"),
    "lines_max": ("Lines at most", "count"),
}


def label(name: str) -> str:
    """What a figure is called."""
    return LABELS[name][0]


def written(name: str, value: float | None) -> str:
    """One figure, with its unit."""
    if value is None:
        return "-"
    kind = LABELS[name][1]
    if kind == "share":
        return output.percent(value)
    if kind == "fine share":
        return output.percent(value, 2)
    if kind == "seconds":
        return output.seconds(value)
    return f"{value:,.1f}" if kind == "number" else f"{value:,.0f}"


def between(name: str, low: float | None, high: float | None) -> str:
    """A range of a figure, its unit said once."""
    if low is None or high is None:
        return "-"
    first, second = written(name, low), written(name, high)
    if first == second:
        return second
    unit = next((unit for unit in (" %", " s") if first.endswith(unit) and second.endswith(unit)), "")
    return f"{first.removesuffix(unit)} - {second}"


def difference(name: str, value: float) -> str:
    """How much more or less a figure is: shares in points."""
    kind, sign = LABELS[name][1], "+" if value >= 0 else "-"
    size = abs(value)
    if kind in ("share", "fine share"):
        return f"{sign}{size * 100:.{2 if kind == 'fine share' else 1}f} points"
    if kind == "seconds":
        return f"{sign}{output.seconds(size)}"
    return f"{sign}{size:,.1f}" if kind == "number" else f"{sign}{size:,.0f}"


def spread(name: str, days: Sequence[Figures]) -> tuple[float | None, float | None]:
    """The 10 % and 90 % of a figure over several days."""
    from dialer.simulation.figures import quantile

    known = [value for day in days if (value := getattr(day, name)) is not None]
    return (quantile(known, 0.1), quantile(known, 0.9)) if known else (None, None)


def against(rate: float | None, ceiling: float) -> Any:
    """An abandonment rate in green or, with a sign that is not the colour alone, in red."""
    from rich.text import Text

    if rate is None:
        return output.plain(None)
    told = written("abandonment", rate)
    if rate > ceiling + 1e-9:
        return Text(f"{told} ▲", style="bold red")
    return Text(told, style="green")
