"""`dialer report`: results over a period, as a table, CSV or JSON."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import click

from campaigns.cli import output
from campaigns.cli.context import CliContext
from campaigns.cli.params import Moment, one_campaign
from campaigns.cli.tree import Command

if TYPE_CHECKING:
    from campaigns.report_shape import Report

_NAMES = (
    "outcomes",
    "dispositions",
    "abandonment",
    "agents",
    "queues",
    "attempts",
    "callbacks",
    "caller-ids",
    "best-times",
    "records",
)


@click.command(
    "report",
    cls=Command,
    example="""dialer report outcomes spring
dialer report attempts spring --from 2026-03-01 --to 2026-04-01 --format csv > march.csv""",
)
@click.argument("name", type=click.Choice(_NAMES))
@click.argument("named", metavar="[CAMPAIGN]", required=False)
@click.option("--campaign", help="The same as CAMPAIGN. Default: of all.")
@click.option("--from", "since", type=Moment(), help="Beginning: a day, or a day and a time. Default: today.")
@click.option("--to", "until", type=Moment(), help="End; not included, so the day after the last. Default: now.")
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True,
    help="How to print it; csv is safe to open in a spreadsheet.",
)  # fmt: skip
@output.json_option
@click.pass_obj
def report(
    context: CliContext,
    /,
    name: str,
    named: str | None,
    campaign: str | None,
    since: Any,
    until: Any,
    form: str,
    as_json: bool,
) -> None:
    """Print a report of CAMPAIGN, or of all, over [--from, --to).

    \b
    outcomes      attempts by how they ended
    dispositions  conversations by what the agents said came of them
    abandonment   answered calls by day: joined, abandoned, and the rates
    agents        each agent's time and conversations; beside it what the PBX counted, where it does
    queues        the PBX's own queues, as it counted them itself, by day
    attempts      every attempt, one row each
    callbacks     promised callbacks by the day they were due: kept, late, lost
    caller-ids    each number people were shown: calls, and the share answered with its range
    best-times    when people answer, by kind of number and hour of their day, with the range; of 90 days
    records       every call sent, with what a regulator asks of its record
    """
    from campaigns import reports
    from campaigns.db import database_now

    chosen = one_campaign(named, campaign)
    with context.application() as app, app.transaction() as session:
        made = reports.make(session, name, campaign=chosen, since=since, until=until, now=database_now(session))
    if as_json or form == "json":
        output.print_json(made.as_json())
    elif form == "csv":
        text = io.StringIO()
        made.write_csv(text)
        click.echo(text.getvalue(), nl=False)
    else:
        _print(made)


def _print(made: Report) -> None:
    from rich.text import Text

    span = made.period
    of = f"campaign {span.campaign}" if span.campaign else "all campaigns"
    begin, end = (f"{at.astimezone(span.zone):%Y-%m-%d %H:%M}" for at in (span.start, span.end))
    title = f"{made.name.capitalize()} of {of}, {begin} to {end} ({span.zone.key})"
    if not made.rows:
        output.note(f"{title}: nothing happened in this period")
        return
    columns: list[output.Column] = [
        (column.title, "right") if column.is_number else column.title for column in made.shown
    ]
    rows: list[list[Any]] = [[made.cell(column, row) for column in made.shown] for row in made.rows]
    if made.total is not None:
        total = made.total
        rows.append([Text(made.cell(column, total), style="bold") for column in made.shown])
    built = output.table(columns, rows)
    if made.total is not None:
        built.rows[-2].end_section = True
    out = output.console()
    out.print(output.heading(title))
    out.print(built)
    for sentence in made.notes:
        output.note(f"note: {sentence}")
