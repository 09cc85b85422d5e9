"""The picture of a run: what agents and calls did, and how near the abandonment rate came to its ceiling."""

from pathlib import Path

from workers.demo_results import DemoResults

_BLUE, _GREEN, _ORANGE, _RED, _GREY = "#2563a8", "#2e8b57", "#d98e04", "#c0392b", "#7a8793"


def draw(results: DemoResults, path: Path, *, ceiling: float = 0.03) -> None:
    """Save the run as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    at = [sample["at"] for sample in results.samples] or [0.0]

    def line(name: str) -> list[float]:
        return [sample[name] for sample in results.samples] or [0.0]

    figure, (calls, agents, rate, waits) = pyplot.subplots(
        4, 1, figsize=(10, 11), height_ratios=[3, 3, 2, 2], layout="constrained"
    )
    figure.suptitle(
        f"{results.attempts} attempts, {results.answered} answered, {results.joined} joined, "
        f"{results.abandoned} abandoned; occupancy {results.occupancy:.0%}",
        fontsize=13,
    )
    calls.plot(at, line("ringing"), color=_BLUE, label="ordered or ringing")
    calls.plot(at, line("talking"), color=_GREEN, label="talking")
    calls.plot(at, line("waiting"), color=_ORANGE, label="waiting for an agent")
    calls.set_ylabel("calls")
    agents.stackplot(
        at,
        line("talking"),
        line("wrap_up"),
        line("parked"),
        colors=[_GREEN, _ORANGE, _GREY],
        labels=["talking", "wrap-up", "parked"],
        alpha=0.8,
    )
    agents.set_ylabel("agents")
    rate.plot(
        at, [value * 100 for value in line("rate")], color=_RED, label="abandoned, of all who were or were not met"
    )
    rate.axhline(ceiling * 100, color=_RED, linestyle="--", linewidth=1, label=f"ceiling {ceiling:.0%}")
    rate.set_ylabel("abandonment, %")
    rate.set_xlabel("seconds from the start")
    for axes in (calls, agents, rate):
        axes.legend(loc="upper left", fontsize=8, ncols=3)
        axes.grid(alpha=0.25)
        axes.set_xlim(0, max(at) or 1)
        axes.set_ylim(bottom=0)
    waits.hist([min(wait, 2000) for wait in results.join_waits] or [0], bins=60, color=_BLUE)
    waits.axvline(2000, color=_RED, linestyle="--", linewidth=1)
    waits.set_xlabel("milliseconds from a customer's answer to the order that joins an agent (the limit is 2000)")
    waits.set_ylabel("calls")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
