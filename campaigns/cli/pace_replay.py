"""`dialer pace replay`: a stored day under other settings, beside what really happened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from campaigns.cli import figures, output
from campaigns.cli.context import CliContext
from campaigns.cli.params import NOTHING, Duration, Lines, ModeOfDialling, OrNot, Said, SaidTime, Share
from campaigns.cli.tree import Command

if TYPE_CHECKING:
    from campaigns.pace_replay import Changes, OpenLoop, Replayed
    from campaigns.pace_stored import StoredDay

_TABLE = ("utilisation", "occupancy", "mean_wait", "calls", "met", "abandoned", "abandonment")
_ERRORS = ("utilisation", "occupancy", "abandonment", "mean_wait", "calls")


@click.command(
    "replay",
    cls=Command,
    example="""dialer pace replay spring --from 09:00 --to 13:00 --max-abandonment 2%
dialer pace replay spring --from 2026-03-31T09:00 --to 2026-03-31T18:00 --mode progressive
dialer pace replay spring --from -2h --agents 12 --json""",
)
@click.argument("campaign")
@click.option(
    "--from",
    "since",
    type=SaidTime(),
    required=True,
    help="Beginning: 2026-03-31T09:00, 09:00 for today (the campaign's zone), or -2h.",
)
@click.option("--to", "until", type=SaidTime(), default="now", show_default=True, help="End, said the same way.")
@click.option("--max-abandonment", type=Share(), help="Replay with this share of calls that may meet no agent.")
@click.option("--mode", type=ModeOfDialling(), metavar="MODE", help="Replay in this mode of dialling.")
@click.option("--agents", type=int, help="Replay with a team whose largest size is this.")
@click.option("--max-lines", type=Lines(), help="Replay with at most so many lines in use.")
@click.option(
    "--min-ring",
    type=OrNot(Duration(), "ring-out"),
    help="Replay with calls given up after ringing so long; ring-out: with none given up.",
)
@click.option("--ratio", type=float, help="Replay with so many calls for each free agent, in power mode.")
@click.option("--desired-wait", type=Duration(), help="Replay with this wait between two calls as the goal.")
@click.option("--seeds", type=int, default=5, show_default=True, help="Times each is lived through.")
@output.json_option
@click.pass_obj
def replay(
    context: CliContext,
    campaign: str,
    since: Said,
    until: Said,
    max_abandonment: float | None,
    mode: str | None,
    agents: int | None,
    max_lines: int | None,
    min_ring: Any,
    ratio: float | None,
    desired_wait: float | None,
    seeds: int,
    as_json: bool,
) -> None:
    """Run a stored stretch of CAMPAIGN again, as it was and with other settings.

    The calls really made and the agents really there, in virtual time, with a pacer that decides anew. Nobody is
    called and nothing is changed. The replay of what was stands beside what was: that difference is the replay's own
    error, and less than it should not be believed.
    """
    from campaigns import lifecycle, pace_explain, pace_replay, pace_stored
    from campaigns.cli.simulate import days_counted, within
    from campaigns.db import database_now
    from dialer.pacing import Staleness, pacer_for

    if mode is not None:
        pacer_for(mode)  # says which modes there are
    within("--max-abandonment", max_abandonment, 0, 1, "3 % is written 0.03 or 3%")
    within("--agents", agents, 1, 2000, "nobody can be talked to by nobody")
    min_ring = 0.0 if min_ring is NOTHING else min_ring
    within("--min-ring", min_ring, 0, 60, "write seconds, or ring-out")
    within("--desired-wait", desired_wait, 0, 600, "write seconds")
    within("--ratio", ratio, 1, 10, "two calls for each free agent are 2")
    within("--seeds", seeds, 1, 100, "the first meets the calls in their order")
    changes = pace_replay.Changes(mode, max_abandonment, max_lines or None, agents, min_ring, ratio, desired_wait)
    with context.application() as app, app.transaction() as session:
        now = database_now(session)
        found = lifecycle.get(session, campaign)
        zone = pace_explain.zone_of(found)
        timing = app.settings.timing
        staleness = Staleness(presence_stale=timing.presence_stale, presence_dead=timing.presence_dead)
        day = pace_stored.read(
            session,
            found,
            since.at(now, zone),
            until.at(now, zone),
            now=now,
            staleness=staleness,
            tick=timing.tick,
        )
    with days_counted(seeds * (2 if changes else 1), show=not as_json, what="days replayed") as one_more:
        lived = pace_replay.live_through(day, changes, seeds=seeds, one_more=one_more)
    told = pace_replay.Replayed(day, changes, *lived, pace_replay.decide_again(day, changes))
    if as_json:
        output.print_json(_as_json(told))
    else:
        _print(told)


def _as_json(told: Replayed) -> dict[str, Any]:
    from dialer.simulation.figures import together

    day = told.day

    def pooled(days: list[Any]) -> dict[str, Any] | None:
        if not days:
            return None
        ranges = {name: list(figures.spread(name, days)) for name in _TABLE}
        return {**together(days).as_json(), "range_10_90": ranges}

    return {
        "campaign": day.campaign, "from": day.since, "to": day.until, "time_zone": day.zone.key,
        "agents": day.world.agents, "calls": day.calls, "lines": day.world.lines, "tick": day.world.tick,
        "changes": told.changes.as_json(), "really": day.really.as_json(), "in_order": told.in_order.as_json(),
        "as_it_was": pooled(told.as_it_was), "changed": pooled(told.changed),
        "error": {name: round(value, 6) for name, value in told.error.items()},
        "worth": {name: round(value, 6) for name, value in _worth(told).items()} if told.changed else None,
        "open_loop": told.open_loop.as_json() if told.open_loop else None, "notes": list(day.notes),
    }  # fmt: skip


def _print(told: Replayed) -> None:
    from rich.table import Table

    from dialer.simulation.figures import together

    day = told.day
    columns: list[output.Column] = ["", ("Really", "right"), ("Replayed", "right"), ("10 - 90 %", "right")]
    if told.changed:
        columns += [("Changed", "right"), ("10 - 90 %", "right")]
    rows: list[list[Any]] = []
    was, other = together(told.as_it_was), together(told.changed) if told.changed else None
    for name in _TABLE:
        row: list[Any] = [figures.label(name), figures.written(name, getattr(day.really, name))]
        row += [figures.written(name, getattr(was, name)), figures.between(name, *figures.spread(name, told.as_it_was))]
        if other is not None:
            row.append(figures.written(name, getattr(other, name)))
            row.append(figures.between(name, *figures.spread(name, told.changed)))
        rows.append(row)
    begin, end = (at.astimezone(day.zone) for at in (day.since, day.until))
    until = f"{end:%H:%M}" if begin.date() == end.date() else f"{end:%Y-%m-%d %H:%M}"
    title = f"{day.campaign}, {begin:%Y-%m-%d %H:%M} to {until} ({day.zone.key}): {output.count(day.calls, 'call')}, "
    title += f"at most {output.count(day.world.agents, 'agent')} at work"
    output.print_table(columns, rows, title=title)
    out = output.console()
    out.print()
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("Replayed", output.plain(f"by the rules that held: {_rules(day)}"))
    if told.changed:
        grid.add_row("Changed", output.plain(said(told.changes)))
        grid.add_row("Worth", f"{_differences(_worth(told))}, on the same people")
    grid.add_row("Own error", f"{_differences(told.error)}: replayed in order, beside what really happened")
    if told.open_loop is not None:
        grid.add_row("Decisions", _open_loop(told.open_loop))
    out.print(grid)
    for sentence in day.notes:
        output.note(f"note: {sentence}")


def _rules(day: StoredDay) -> str:
    rule = day.rules[-1]
    told = f"{rule.mode}, at most {output.percent(rule.ceiling)} abandoned"
    if rule.max_lines is not None:
        told += f", {rule.max_lines} lines"
    if rule.goals.min_ring:
        told += f", given up after {rule.goals.min_ring:g} s"
    return told + ("; changed meanwhile" if len(day.rules) > 1 else "")


def said(changes: Changes) -> str:
    """The changes as a person would say them."""
    told = []
    for name, value in changes.as_json().items():
        if name == "max_abandonment":
            told.append(f"at most {output.percent(value)} abandoned")
        elif name == "min_ring" and not value:
            told.append("ring-out")
        elif name in ("min_ring", "desired_wait"):
            told.append(f"{name.replace('_', ' ')} {output.words(value)}")
        elif name == "mode":
            told.append(str(value))
        else:
            told.append(f"{name.replace('max_lines', 'lines').replace('_', ' ')} {value:g}")
    return ", ".join(told)


def _differences(values: Mapping[str, float]) -> str:
    return ", ".join(
        f"{figures.label(name).lower()} {figures.difference(name, values[name])}" for name in _ERRORS if name in values
    )


def _worth(told: Replayed) -> dict[str, float]:
    """The mean difference of the two replays, day by day."""
    worth = {}
    for name in _ERRORS:
        pairs = [
            new - old
            for before, after in zip(told.as_it_was, told.changed, strict=True)
            if (old := getattr(before, name)) is not None and (new := getattr(after, name)) is not None
        ]
        if pairs:
            worth[name] = sum(pairs) / len(pairs)
    return worth


def _open_loop(looked: OpenLoop) -> str:
    of = f"{looked.looked_at:,} of " if looked.looked_at < looked.stored else ""
    told = (
        f"on {of}the {looked.stored:,} stored snapshots the engine of today wants what was stored "
        f"{looked.repeated / looked.looked_at:.0%} of the time"
    )
    if looked.different is not None:
        told += (
            f"; with the change {looked.different:,} ({looked.different / looked.looked_at:.0%}) would have been "
            f"different, {looked.more:,} with more calls and {looked.fewer:,} with fewer"
        )
    return told
