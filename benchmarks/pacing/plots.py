"""Three pictures: occupancy against team size, the running rate of two days, and utilisation by shape of day."""

import json
from collections.abc import Sequence
from dataclasses import replace

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from benchmarks.pacing.contest import DAYS, LISTS, ONE, OURS, RATIO, TABLE, TOLD, Case, live, pooled
from benchmarks.pacing.kept import HERE, RESULTS, Kept
from benchmarks.pacing.reference import OPTIMUM_WITHOUT_MEMORY, REFERENCE
from dialer.simulation import Day

PLOTS = HERE / "plots"
_DAY = RESULTS / "running.json"
# name: (label, colour, line, marker)
_STYLES = {
    OURS: ("ours", "#0b5fa5", "-", "o"),
    TOLD: ("ours, told the truth", "#5aa9e6", "--", "s"),
    ONE: ("one call per idle agent", "#555555", "-", "v"),
    RATIO: ("fixed ratio, best in hindsight", "#2e8b57", "-", "D"),
    "hard limit, total": ("VICIdial hard limit, total", "#c0392b", "-", "x"),
    "average, total": ("VICIdial average, total", "#e67e22", "--", "+"),
    "tapered, total": ("VICIdial tapered, total", "#8e44ad", "-.", "1"),
    "hard limit, available only": ("VICIdial hard limit, available only", "#d98880", ":", "x"),
    "average, available only": ("VICIdial average, available only", "#f0b27a", ":", "+"),
    "tapered, available only": ("VICIdial tapered, available only", "#bb8fce", ":", "1"),
}


def draw() -> list[str]:
    """Draw what there are figures for; return the files."""
    PLOTS.mkdir(exist_ok=True)
    plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True})
    plt.rcParams.update({"grid.alpha": 0.3, "figure.dpi": 110, "savefig.bbox": "tight"})
    return [name for name, made in (("occupancy", _occupancy), ("running", _running), ("shapes", _shapes)) if made()]


def _save(name: str) -> bool:
    plt.savefig(PLOTS / f"{name}.png", metadata={"Software": None})
    plt.close()
    return True


def _occupancy() -> bool:
    """Lawful points are filled; those above the ceiling, pooled, are faint and hollow."""
    cases = [case for case in TABLE if (case.answers, case.talk) == LISTS[0]]
    kept = [each for each in map(Kept.read, cases) if each.days]
    if not kept:
        return False
    _, axes = plt.subplots(figsize=(10, 6))
    for name, (label, colour, line, marker) in _STYLES.items():
        days = [(each.case.agents, pooled(each.days[name])) for each in kept if name in each.days]
        if not days:
            continue
        width = 2.4 if name == OURS else 1.3
        axes.plot([n for n, _ in days], [d.occupancy for _, d in days], line, color=colour, lw=width, label=label)
        for agents, each in days:
            lawful = each.abandoned <= 0.03
            face = colour if lawful or marker in "x+1" else "white"
            axes.plot(agents, each.occupancy, marker, color=colour, mfc=face, ms=6, alpha=1.0 if lawful else 0.45)
    axes.plot([*REFERENCE], [o for _, o in REFERENCE.values()], "k--", lw=1.2, marker="*", ms=9, label="reference")
    axes.plot(
        [*OPTIMUM_WITHOUT_MEMORY],
        [*OPTIMUM_WITHOUT_MEMORY.values()],
        "k",
        ls="",
        marker="_",
        ms=16,
        mew=2,
        label="exact optimum of a memoryless world",
    )
    _teams(axes, sorted({each.case.agents for each in kept} | REFERENCE.keys()))
    axes.set(ylabel="occupancy: talk and wrap-up over time at work", ylim=(0.7, 1.0))
    axes.set_title(
        "Occupancy against team size (25 % answer, talk of 180 s)\nfaint: more than 3 % abandoned, pooled", loc="left"
    )
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return _save("occupancy")


def _teams(axes: Axes, teams: Sequence[int]) -> None:
    axes.set_xscale("log")
    axes.set_xticks(teams, [str(team) for team in teams])
    axes.minorticks_off()
    axes.set_xlabel("agents")


def live_the_days() -> None:
    """Live through the days of the second picture, and keep their running rates."""
    shown = {}
    for shape in ("stationary", "answer_steps"):
        case = Case(20, shape=shape)
        kept = Kept.read(case)
        for name in _STYLES:
            if name in kept.days:
                shown[f"{shape}: {name}"] = _rates(live(case, kept.about.get(name, name), seed=0))
    RESULTS.mkdir(exist_ok=True)
    lines = [f" {json.dumps(name)}: {json.dumps(rates)}" for name, rates in shown.items()]
    _DAY.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def _rates(day: Day) -> list[tuple[int, float]]:
    """Return (minute, running rate since the first call) for each two minutes."""
    every = day.samples[::12]
    return [(round(at / 60), round(lost / max(1, lost + met), 5)) for at, lost, met, *_ in every]


def _running() -> bool:
    if not _DAY.exists():
        return False
    shown = json.loads(_DAY.read_text())
    figure, both = plt.subplots(1, 2, figsize=(13, 6), sharey=True)
    titles = {"stationary": "the same all day", "answer_steps": "the answer chance jumps (shaded: twice the usual)"}
    for axes, (shape, title) in zip(both, titles.items(), strict=True):
        for name, (label, colour, line, _) in _STYLES.items():
            rates = shown.get(f"{shape}: {name}")
            if rates:
                hours, values = [minute / 60 for minute, _ in rates], [100 * rate for _, rate in rates]
                axes.plot(hours, values, line, color=colour, lw=2.4 if name == OURS else 1.3, label=label)
        axes.axhline(3, color="black", lw=1, ls=(0, (6, 3)), label="ceiling")
        axes.set(xlabel="hours since the first call", xlim=(0, 5))
        axes.set_yscale("symlog", linthresh=5, linscale=2.5)  # straight up to 5 %, then by powers
        axes.set_ylim(0, 100)
        axes.set_yticks([0, 1, 2, 3, 4, 5, 10, 20, 50, 100], ["0", "1", "2", "3", "4", "5", "10", "20", "50", "100"])
        axes.minorticks_off()
        axes.set_title(title, loc="left")
        if shape == "answer_steps":
            for begins, ends in ((1.5, 2.5), (3.5, 4.25)):
                axes.axvspan(begins, ends, color="#f2e6c9", alpha=0.6, lw=0)
    both[0].set_ylabel("abandoned of answered since the first call, %")
    figure.suptitle("The running rate of one day, 20 agents (drawn closer above 5 %)", x=0.08, ha="left")
    handles, labels = both[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=4, frameon=False, bbox_to_anchor=(0.5, -0.1))
    return _save("running")


def _shapes() -> bool:
    kept = [each for each in (Kept.read(case) for case in (replace(DAYS[0], shape="stationary"), *DAYS)) if each.days]
    if not kept:
        return False
    names = [name for name in (ONE, RATIO, "hard limit, total", OURS, TOLD) if any(name in k.days for k in kept)]
    _, axes = plt.subplots(figsize=(9, 0.62 * len(kept) + 1.6))
    height = 0.8 / len(names)
    for n, name in enumerate(names):
        label, colour, _, _ = _STYLES[name]
        for row, each in enumerate(kept):
            if name not in each.days:
                continue
            days = pooled(each.days[name])
            lawful = not days.above
            axes.barh(
                row + (n - (len(names) - 1) / 2) * height,
                days.utilisation,
                height * 0.92,
                xerr=days.error,
                color=colour if lawful else "white",
                edgecolor=colour,
                hatch=None if lawful else "////",
                error_kw={"lw": 0.8},
                label=label if row == 0 else None,
            )
    axes.set_yticks(range(len(kept)), [each.case.shape.replace("_", " ") for each in kept])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set(xlim=(0.4, 1.0), xlabel="utilisation: talk over time at work")
    axes.set_title("Utilisation by shape of day, 20 agents\nhatched: some day closed above the ceiling", loc="left")
    marks = [plt.Rectangle((0, 0), 1, 1, color=_STYLES[name][1]) for name in names]
    axes.legend(marks, [_STYLES[name][0] for name in names], loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    axes.margins(y=0.01)
    return _save("shapes")
