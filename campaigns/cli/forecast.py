"""`dialer forecast`: when a campaign will be done, how busy its agents will be, how many lines it wants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from campaigns.cli import figures, output
from campaigns.cli.context import CliContext, who
from campaigns.cli.tree import Command

if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from campaigns.forecast_checks import Checked
    from campaigns.forecasting import Outlook
    from campaigns.forecasts import Finish, Foretold

_TABLE = ("utilisation", "occupancy", "mean_wait", "abandonment", "calls", "met", "lines_p95", "lines_max")
_SHOULD = 0.8  # of the figures lie between their 10 and 90 %


@click.command(
    "forecast",
    cls=Command,
    example="""dialer forecast spring
dialer forecast spring --agents 12 --hours 8
dialer forecast spring --check""",
)
@click.argument("campaign")
@click.option("--agents", type=int, help="Reckon with so many. Default: those at work now, or assigned.")
@click.option(
    "--hours", type=float, default=4.0, show_default=True, help="How far to look, from the next calling hour."
)
@click.option(
    "--seeds", type=int, default=20, show_default=True, help="Days to live through; more make a smoother range."
)
@click.option("--check", is_flag=True, help="Compare earlier forecasts with what happened, and make none.")
@click.option("--last", type=click.IntRange(1, 100), default=5, show_default=True, help="Forecasts to compare.")
@click.option("--dry-run", is_flag=True, help="Do not keep the forecast.")
@output.json_option
@click.pass_obj
def forecast(
    context: CliContext,
    campaign: str,
    agents: int | None,
    hours: float,
    seeds: int,
    check: bool,
    last: int,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Say when CAMPAIGN will be done, how busy its agents will be, and how many lines it wants.

    From its list, its team and its history, lived through in virtual time many times over. Each range holds eight of
    ten days: the luck of a day, and how little is known of it. A forecast is kept, and --check says what came of it.
    """
    from campaigns import forecast_checks, forecast_days, forecasting, forecasts, lifecycle, pace_explain
    from campaigns.cli.simulate import days_counted, within
    from campaigns.db import database_now

    within("--agents", agents, 1, 2000, "nobody can be talked to by nobody")
    within("--hours", hours, 0.1, 24, "a day has no more")
    within("--seeds", seeds, 3, 500, "a range needs a few")
    with context.application() as app, app.transaction() as session:
        now = database_now(session)
        found = lifecycle.get(session, campaign)
        zone = pace_explain.zone_of(found)
        checked = forecast_checks.check(session, found, now, last=last if check else 20)
        outlook = None if check else forecasting.gather(session, found, now, agents=agents, hours=hours)
    if outlook is None:
        _checked(found.name, checked, zone, as_json)
        return
    with days_counted(seeds, show=not as_json, what="days lived through") as one_more:
        told = forecast_days.reckon(outlook, seeds=seeds, one_more=one_more)
    kept = None
    if not dry_run:
        with context.application() as app, app.transaction() as session:
            kept = forecasts.store(session, outlook, told, who=who()).id
    hits, of = forecast_checks.share_of_hits(checked)
    if as_json:
        output.print_json(
            {
                "campaign": outlook.campaign, "id": kept, "made_at": outlook.made_at, "starts_at": outlook.starts_at,
                "hours": hours, "time_zone": zone.key, "inputs": outlook.inputs, **told.as_json(),
                "notes": list(outlook.notes), "earlier": {"hits": hits, "of": of},
            }
        )  # fmt: skip
    else:
        _print(outlook, told, hits, of)


def _print(outlook: Outlook, told: Foretold, hits: int, of: int) -> None:
    from rich.table import Table
    from rich.text import Text

    start = outlook.starts_at.astimezone(outlook.zone)
    hours = outlook.horizon / 3600
    title = f"{outlook.campaign}: {hours:g} h from {start:%Y-%m-%d %H:%M} ({outlook.zone.key})"
    rows: list[list[Any]] = [
        [figures.label(name), figures.written(name, one.expected), figures.between(name, one.low, one.high)]
        for name in _TABLE
        if (one := told.figures.get(name)) is not None
    ]
    output.print_table(["", ("Expected", "right"), ("10 - 90 %", "right")], rows, title=title)
    out = output.console()
    out.print()
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("Finish", Text(_finish(told.finish, outlook.zone, start), style="bold"))
    for name, line in _inputs(outlook):
        grid.add_row(name, output.plain(line))
    grid.add_row("Earlier", _earlier(hits, of))
    out.print(grid)
    for sentence in outlook.notes:
        output.note(f"note: {sentence}")


def _finish(finish: Finish, zone: ZoneInfo, start: datetime) -> str:
    def said(at: datetime | None) -> str:
        if at is None:
            return "too far to say"
        local = at.astimezone(zone)
        return f"{local:%H:%M}" if local.date() == start.date() else f"{local:%a %Y-%m-%d %H:%M}"

    told = said(finish.expected)
    if finish.low != finish.high:
        told += f" ({said(finish.low)} - {said(finish.high)})"
    if finish.within < 1:
        told += "; beyond these hours thought on at their pace"
    return told


def _inputs(outlook: Outlook) -> list[tuple[str, str]]:
    given = outlook.inputs
    listed = f"{output.count(given['contacts'], 'contact')} left to call, {given['due_now']:,} of them due"
    team = f"{output.count(given['agents'], 'agent')}, {given['agents_are']}"
    rules = f"{given['mode']}, at most {output.percent(given['max_abandonment'])} abandoned"
    lines = " and ".join(
        word
        for word in (
            f"{given['lines']} lines at the PBX" if given["lines"] else "",
            f"{given['max_lines']} for the campaign" if given["max_lines"] else "",
        )
        if word
    )
    rows = [("List", listed), ("Team", team), ("Rules", f"{rules}; {lines}" if lines else rules)]
    if given["calls"]:
        history = f"the last {output.count(given['calls'], 'call')}: {output.percent(given['answer_chance'])} answered"
        if given["talk"] is not None:
            history += f", talk {output.seconds(given['talk'])}, wrap-up {output.seconds(given['wrap_up'] or 0.0)}"
        rows.append(("History", history))
    return rows


def _earlier(hits: int, of: int) -> str:
    if not of:
        return "no forecast of this campaign is over yet; `--check` will tell"
    return f"{hits} of {of} figures came out within their range ({hits / of:.0%}; {_SHOULD:.0%} should)"


def _checked(name: str, checked: Sequence[Checked], zone: ZoneInfo, as_json: bool) -> None:
    from campaigns.forecast_checks import share_of_hits

    hits, of = share_of_hits(checked)
    if as_json:
        output.print_json(
            {
                "campaign": name, "time_zone": zone.key, "forecasts": [one.as_json() for one in checked],
                "hits": hits, "of": of, "share": hits / of if of else None,
            }
        )  # fmt: skip
        return
    if not checked:
        output.note(f"nothing was forecast for campaign {name} yet: `dialer forecast {name}` does, and keeps it")
        return
    for one in checked:
        _one(one, zone)
    out = output.console()
    out.print()
    out.print(output.heading(_earlier(hits, of)))


def _one(one: Checked, zone: ZoneInfo) -> None:
    from rich.text import Text

    begin, end = (at.astimezone(zone) for at in (one.starts_at, one.ends_at))
    title = f"{begin:%Y-%m-%d %H:%M} to {end:%H:%M}, forecast {one.made_at.astimezone(zone):%H:%M} by {one.made_by}"
    if not one.over:
        out = output.console()
        out.print()
        out.print(output.heading(title))
        out.print(output.plain(f"not over before {end:%H:%M}; finish {_finish(one.finish, zone, begin)}"))
        return

    def verdict(hit: bool | None) -> Text:
        if hit is None:
            return Text("open", style="dim")
        return Text("✓ hit", style="green") if hit else Text("✗ miss", style="red")

    rows: list[list[Any]] = [
        [
            figures.label(each.name),
            figures.written(each.name, each.foretold.expected),
            figures.between(each.name, each.foretold.low, each.foretold.high),
            figures.written(each.name, each.happened),
            verdict(each.hit),
        ]
        for each in one.compared
    ]
    done, finish = one.finished_at, one.finish
    low, high = _moment(finish.low, zone, begin), _moment(finish.high, zone, begin)
    if low.rpartition(" ")[0] == high.rpartition(" ")[0]:
        high = high.rpartition(" ")[2]  # the day is said once
    happened = _moment(done, zone, begin) if done else "not yet"
    rows.append(["Finish", _moment(finish.expected, zone, begin), f"{low} - {high}", happened, verdict(one.finish_hit)])
    columns: list[output.Column] = ["", ("Forecast", "right"), ("10 - 90 %", "right"), ("Happened", "right"), ""]
    output.print_table(columns, rows, title=title)
    assumed, there = one.agents
    if there is not None and abs(there - assumed) > 0.1 * assumed:
        output.note(f"note: {assumed:g} agents were assumed, {there:.1f} were at work")


def _moment(at: datetime | None, zone: ZoneInfo, start: datetime) -> str:
    if at is None:
        return "later"
    local = at.astimezone(zone)
    return f"{local:%H:%M}" if local.date() == start.date() else f"{local:%d %b %H:%M}"
