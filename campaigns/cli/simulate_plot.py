"""The picture of simulated days: the running rate against the ceiling, and what the agents did."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dialer.simulation import Day, World

_COLOURS = ("#2563a8", "#2e8b57", "#d98e04", "#7a3fa0", "#c0392b", "#7a8793")
_RED = "#c0392b"
_SMOOTH = 60  # samples: ten minutes


def draw(world: World, days: Mapping[str, Sequence[Day]], path: str) -> None:
    """Save the picture; one colour for each mode, one thin line for each day."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (rates, talks) = pyplot.subplots(2, 1, figsize=(10, 8), layout="constrained", sharex=True)
    warm = world.warm_up_hours
    for (mode, lived), colour in zip(days.items(), _COLOURS * 3, strict=False):
        for n, day in enumerate(lived):
            hours = [sample[0] / 3600 - warm for sample in day.samples]
            lost, met = [sample[1] for sample in day.samples], [sample[2] for sample in day.samples]
            running = [
                100 * d / (d + m) if d + m >= 30 else float("nan") for d, m in zip(lost, met, strict=True)
            ]  # fewer tell nothing
            alpha = 0.9 if len(lived) == 1 else 0.35
            rates.plot(hours, running, color=colour, alpha=alpha, linewidth=1.2, label=mode if n == 0 else None)
        hours = [sample[0] / 3600 - warm for sample in lived[0].samples]
        busy = [100 * sample[5] / max(1, sample[4] + sample[5] + sample[6]) for sample in lived[0].samples]
        utilisation = sum(day.utilisation for day in lived) / len(lived)
        talks.plot(hours, _smooth(busy), color=colour, label=f"{mode}: {utilisation:.1%} over all days")
    rates.axhline(world.ceiling * 100, color=_RED, linestyle="--", linewidth=1, label=f"ceiling {world.ceiling:.1%}")
    rates.set_ylabel("abandoned since the beginning, %")
    rates.set_title("Running rate of abandoned calls, each day a line")
    talks.set_ylabel("agents who talk, % of those at work")
    talks.set_title("Agents who talk on the first day, mean of ten minutes")
    talks.set_xlabel("hours" + (" (below 0: warm-up)" if warm else ""))
    for axes in (rates, talks):
        axes.grid(alpha=0.25)
        axes.legend(loc="best", fontsize=9)
        axes.set_ylim(bottom=0)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _smooth(values: Sequence[float]) -> list[float]:
    total, told = 0.0, []
    for n, value in enumerate(values):
        total += value - (values[n - _SMOOTH] if n >= _SMOOTH else 0.0)
        told.append(total / min(n + 1, _SMOOTH))
    return told
