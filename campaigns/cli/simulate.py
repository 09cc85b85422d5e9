"""`dialer simulate`: days of a call centre in virtual time, with no database and no PBX."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from campaigns.cli import figures, output
from campaigns.cli.params import NOTHING, Duration, ModeOfDialling, OrNot, Share
from campaigns.cli.tree import Command

if TYPE_CHECKING:
    from collections.abc import Callable

    from dialer.pacing import Goals
    from dialer.simulation import Day, World

_TABLE = ("utilisation", "occupancy", "mean_wait", "calls_per_agent_hour", "calls", "met")
_BY_ITSELF = ("progressive", "power", "predictive")  # modes that dial unasked and give each customer an agent


class ShapeName(click.ParamType[str]):
    """The name of a shape of day; dashes will do for underscores."""

    name = "shape"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        return str(value).strip().lower().replace("-", "_")

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:  # noqa: ARG002
        from click.shell_completion import CompletionItem

        from dialer.simulation.shapes import SHAPES

        return [CompletionItem(name) for name in SHAPES if name.startswith(incomplete)]


@click.command(
    "simulate",
    cls=Command,
    example="""dialer simulate --agents 20 --answers 25% --talk 3m
dialer simulate --agents 5 --compare --seeds 20
dialer simulate --shape lunch --mode predictive --plot lunch.png""",
)
@click.option("--agents", type=int, default=20, show_default=True, help="Agents at work.")
@click.option("--answers", type=Share(), default=0.25, show_default=True, help="Share of the calls that are answered.")
@click.option("--talk", type=Duration(), default=180.0, show_default="3m", help="Mean length of a conversation.")
@click.option("--wrap-up", type=Duration(), help="Mean length of the wrap-up after it. Default: the shape's, 20s.")
@click.option("--lines", type=int, help="Outside lines. Default: the shape's, five for each agent.")
@click.option(
    "--shape",
    "shape_name",
    type=ShapeName(),
    default="stationary",
    show_default=True,
    metavar="NAME",
    help="Shape of the day, such as lunch; a wrong name is answered with all there are.",
)
@click.option("--hours", type=float, help="Hours that are measured. Default: the shape's, 4.")
@click.option("--warm-up", type=float, help="Hours before them, which are not. Default: the shape's, 1.")
@click.option("--seeds", type=int, default=5, show_default=True, help="Days to live through.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the first day; it repeats exactly.")
@click.option(
    "--mode",
    "modes",
    type=ModeOfDialling(),
    multiple=True,
    metavar="MODE",
    help="How to dial, as `dialer pace set --mode` has it; may be given again. Default: predictive.",
)
@click.option("--ratio", type=float, help="Calls for each free agent, in power mode.")
@click.option(
    "--min-ring",
    type=OrNot(Duration(), "ring-out"),
    help="A ringing call may be given up after this; ring-out, as campaigns begin: never. Default: ring-out.",
)
@click.option("--max-abandonment", type=Share(), default=0.03, show_default=True, help="The ceiling.")
@click.option("--compare", is_flag=True, help="Several modes side by side, on the same people.")
@click.option("--plot", type=click.Path(dir_okay=False, writable=True), metavar="FILE.png", help="Save a picture.")
@output.json_option
def simulate(
    agents: int,
    answers: float,
    talk: float,
    wrap_up: float | None,
    lines: int | None,
    shape_name: str,
    hours: float | None,
    warm_up: float | None,
    seeds: int,
    seed: int,
    modes: tuple[str, ...],
    ratio: float | None,
    min_ring: Any,
    max_abandonment: float,
    compare: bool,
    plot: str | None,
    as_json: bool,
) -> None:
    """Live through days of a call centre in virtual time.

    The same engine as in production, in a world that is only reckoned: no database, no PBX, nobody's phone. A seed
    repeats a day exactly, and every mode meets the same people.
    """
    from dialer.errors import BadInput
    from dialer.modes import BY_HAND
    from dialer.pacing import MODES, pacer_for

    modes = modes or (tuple(mode for mode in _BY_ITSELF if mode in MODES) if compare else ("predictive",))
    for mode in modes:
        pacer_for(mode)  # says which modes there are
        if mode in BY_HAND:
            raise BadInput(f"in mode {mode} people or the list set the pace: there is none to simulate")
    within("--agents", agents, 1, 2000, "a call centre needs at least one")
    within("--answers", answers, 0, 1, "one in four is written 0.25 or 25%")
    within("--talk", talk, 1, 4 * 3600, "write seconds, or 90s, 3m")
    within("--wrap-up", wrap_up, 0, 3600, "write seconds, or 20s, 1m")
    within("--lines", lines, 1, 20_000, "leave it out for five for each agent")
    within("--hours", hours, 0.05, 24, "a day has no more")
    within("--warm-up", warm_up, 0, 24, "0 measures from the first call")
    within("--seeds", seeds, 1, 1000, "each is one day")
    if min_ring is not NOTHING:
        within("--min-ring", min_ring, 0, 60, "write seconds, or ring-out")
    within("--max-abandonment", max_abandonment, 0, 1, "3 % is written 0.03 or 3%")
    within("--ratio", ratio, 1, 10, "two calls for each free agent are 2")
    if ratio is not None and "power" not in modes:
        raise BadInput("--ratio is the power mode's: add --mode power")
    if plot is not None:
        _may_be_saved(plot)
    world = _world(shape_name, agents, answers, talk)
    changes = {"wrap_up": wrap_up, "lines": lines, "hours": hours, "warm_up_hours": warm_up, "min_ring": min_ring}
    changes = {name: value for name, value in changes.items() if value is not None}
    if min_ring is NOTHING:
        changes["min_ring"] = None
    world = _changed(world, changes, max_abandonment)
    days = lived(world, modes, range(seed, seed + seeds), goals=_goals(world, ratio), show=not as_json)
    if plot is not None:
        from campaigns.cli.simulate_plot import draw

        draw(world, days, plot)
        output.note(f"picture: {plot}")
    if as_json:
        output.print_json(_as_json(shape_name, world, days, seed))
    else:
        _print(shape_name, world, days)


def within(option: str, value: float | None, low: float, high: float, remedy: str) -> None:
    """Refuse a value out of its range, with what to write instead."""
    from dialer.errors import BadInput

    if value is not None and not low <= value <= high:
        raise BadInput(f"{option} must be between {low:g} and {high:g}, not {value:g}: {remedy}")


def _may_be_saved(plot: str) -> None:
    """Say what is wrong with the file before the days are lived through, not after."""
    from pathlib import Path

    from dialer.errors import BadInput

    if not plot.lower().endswith((".png", ".svg", ".pdf")):
        raise BadInput(f"--plot {output.clean(plot)}: the name must end with .png, .svg or .pdf")
    if not Path(plot).parent.is_dir():
        raise BadInput(f"--plot {output.clean(plot)}: there is no folder {Path(plot).parent}")


def _world(name: str, agents: int, answers: float, talk: float) -> World:
    from dialer.errors import BadInput
    from dialer.simulation.shapes import SHAPES, shape

    if name not in SHAPES:
        raise BadInput(f"there is no shape {name!r} of a day; choose one of {', '.join(SHAPES)}")
    return shape(name, agents=agents, answers=answers, talk=talk)


def _changed(world: World, changes: dict[str, Any], ceiling: float) -> World:
    from dataclasses import replace

    if "wrap_up" in changes:
        changes["wrap_up"] = replace(world.wrap_up, mean=max(0.01, changes["wrap_up"]))
    return replace(world, ceiling=ceiling, **changes)


def _goals(world: World, ratio: float | None) -> Goals:
    from dialer.pacing import Goals

    return Goals(
        ratio=ratio,
        min_ring=world.min_ring,
        inbound_first=bool(world.inbound is not None and world.inbound.first),
    )


def lived(
    world: World, modes: Sequence[str], seeds: Sequence[int], *, goals: Goals | None = None, show: bool = True
) -> dict[str, list[Day]]:
    """Live through the days of these seeds with each mode; the progress is on stderr."""
    from dialer.pacing import pacer_for
    from dialer.simulation import run_day

    days: dict[str, list[Day]] = {mode: [] for mode in modes}
    with days_counted(len(days) * len(seeds), show=show) as one_more:
        for seed in seeds:
            for mode, list_of_days in days.items():
                pacers = [pacer_for(mode) for _ in world.campaigns]
                list_of_days.append(run_day(world, pacers, seed, goals=goals))
                one_more()
    return days


@contextmanager
def days_counted(total: int, *, show: bool = True, what: str = "days") -> Iterator[Callable[[], None]]:
    """Show on stderr, to people only, how many of the days are lived through."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    out = output.console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out, transient=True, disable=not (show and out.is_terminal)) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)


def _as_json(name: str, world: World, days: dict[str, list[Day]], seed: int) -> dict[str, Any]:
    from dialer.simulation.figures import Figures, days_above, together

    def told(mode: str) -> dict[str, Any]:
        each = [Figures.of_day(day, world.hours * 3600) for day in days[mode]]
        spreads = {row: list(figures.spread(row, each)) for row in (*_TABLE, "abandonment")}
        return {
            "mode": mode,
            **together(each).as_json(),
            "days_above": days_above(days[mode], world.ceiling),
            "worst_close": round(max(day.closing_rate for day in days[mode]), 6),
            "range_10_90": spreads,
            "days": [{"seed": day.seed, **one.as_json()} for day, one in zip(days[mode], each, strict=True)],
        }

    return {
        "shape": name,
        "agents": world.agents,
        "hours": world.hours,
        "warm_up_hours": world.warm_up_hours,
        "ceiling": world.ceiling,
        "lines": world.all_lines,
        "seeds": len(next(iter(days.values()))),
        "seed": seed,
        "modes": [told(mode) for mode in days],
    }


def _print(name: str, world: World, days: dict[str, list[Day]]) -> None:
    from dialer.simulation.figures import Figures, days_above, together

    many = len(next(iter(days.values())))
    each = {mode: [Figures.of_day(day, world.hours * 3600) for day in days[mode]] for mode in days}
    pooled = {mode: together(told) for mode, told in each.items()}
    ranges = many > 1 and output.console().width >= 26 * (len(days) + 1)
    columns: list[output.Column] = [""]
    for mode in days:
        columns += [(mode, "right"), ("10 - 90 %", "right")] if ranges else [(mode, "right")]

    def row(word: str, cells: Sequence[tuple[Any, str]]) -> list[Any]:
        flat: list[Any] = [word]
        for cell, aside in cells:
            flat += [cell, aside] if ranges else [cell]
        return flat

    rows = [
        row(
            figures.label(line),
            [
                (figures.written(line, getattr(pooled[mode], line)), figures.between(line, *figures.spread(line, told)))
                for mode, told in each.items()
            ],
        )
        for line in _TABLE
    ]
    rates = [
        (figures.written("abandonment", pooled[mode].abandonment), _range("abandonment", told))
        for mode, told in each.items()
    ]
    rows.append(row(figures.label("abandonment"), rates))
    worst = [(figures.written("worst_rate", pooled[mode].worst_rate), "") for mode in days]
    rows.append(row(figures.label("worst_rate"), worst))
    closed = [(figures.against(max(day.closing_rate for day in days[mode]), world.ceiling), "") for mode in days]
    rows.append(row("Worst close of a day", closed))
    above = [(f"{days_above(days[mode], world.ceiling)} of {many}", "") for mode in days]
    rows.append(row("Days above the ceiling", above))
    talk = f"{output.count(many, 'day')} of {world.hours:g} h"
    if world.warm_up_hours:
        talk += f" after {world.warm_up_hours:g} h of warm-up"
    title = f"{name.replace('_', ' ')}: {output.count(world.agents, 'agent')}, {talk}, ceiling "
    title += output.percent(world.ceiling)
    output.print_table(columns, rows, title=title)
    output.note("utilisation: talk of the time at work; occupancy: talk and wrap-up; abandoned: of those whom an")
    output.note("agent met or should have met. `dialer simulate` knows no phones: nobody was called.")


def _range(name: str, told: Sequence[Any]) -> str:
    return figures.between(name, *figures.spread(name, told))
