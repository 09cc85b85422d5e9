"""`dialer callbacks`: what was promised to whom, and the periods of the day."""

from __future__ import annotations

from typing import Any

import click

from campaigns.cli import output
from campaigns.cli.context import CliContext, who
from campaigns.cli.tree import Group


@click.group(cls=Group)
def callbacks() -> None:
    """Callbacks that were promised, and their periods of the day.

    Callbacks come with `dialer list import --kind callbacks`.
    """


@callbacks.command("list", example="dialer callbacks list spring")
@click.argument("campaign", required=False)
@click.option("--closed", is_flag=True, help="Also those that are done.")
@click.option("--most", type=click.IntRange(1, 100_000), default=100, show_default=True, help="Rows to show.")
@output.json_option
@click.pass_obj
def list_callbacks(context: CliContext, campaign: str | None, closed: bool, most: int, as_json: bool) -> None:
    """List promised callbacks of CAMPAIGN, or of all, the next one due first."""
    from campaigns import lifecycle
    from campaigns.callbacks_view import callback_rows
    from campaigns.campaign_values import usual_time_zone
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        found = lifecycle.get(session, campaign) if campaign else None
        zone = usual_time_zone(found.country, found.time_zone) if found else "UTC"
        rows = callback_rows(session, found, zone=zone, now=database_now(session), closed=closed, most=most)
    if as_json:
        output.print_json({"callbacks": [row.as_json() for row in rows]})
        return
    if not rows:
        output.note("no callbacks wait: `dialer list import CAMPAIGN FILE --kind callbacks` brings some")
        return
    from rich.text import Text

    columns: list[output.Column] = ["Due", "Period", "Campaign", "Number", "Who", "About", ("Tries", "right"), "State"]
    shown = [
        [
            Text(str(row.due_date or "-"), style="bold red" if row.overdue else ""),
            f"{row.period} {row.starts:%H:%M}-{row.ends:%H:%M}" if row.period else "-",
            row.campaign, row.phone, row.who or "-", row.description or "-", row.attempts,
            Text("▲ overdue", style="bold red") if row.overdue else row.closed_because or row.state,
        ]
        for row in rows
    ]  # fmt: skip
    output.print_table(columns, shown)
    if overdue := sum(row.overdue for row in rows):
        output.note(f"{overdue} overdue: `dialer why CAMPAIGN NUMBER` says what keeps one from being called")


# Periods -------------------------------------------------------------------------------------------------


@callbacks.group(cls=Group)
def periods() -> None:
    """The named parts of the day in which callbacks are wanted, by the campaign's clock."""


@periods.command("list", example="dialer callbacks periods list spring")
@click.argument("campaign")
@output.json_option
@click.pass_obj
def list_periods(context: CliContext, campaign: str, as_json: bool) -> None:
    """List the periods of CAMPAIGN."""
    from campaigns import lifecycle
    from campaigns import periods as store

    with context.application() as app, app.transaction() as session:
        found = store.all_of(session, lifecycle.get(session, campaign).id)
    told: list[dict[str, Any]] = [
        {"name": one.name, "starts": f"{one.starts:%H:%M}", "ends": f"{one.ends:%H:%M}", "default": one.is_default}
        for one in found
    ]
    if as_json:
        output.print_json({"periods": told})
        return
    if not told:
        output.note(
            "no periods yet: `dialer callbacks periods define CAMPAIGN Morning 09:00 12:30 --default` makes one"
        )
        return
    rows = [[one["name"], one["starts"], one["ends"], "default" if one["default"] else ""] for one in told]
    output.print_table(["Period", "From", "To", ""], rows)


@periods.command("define", example="dialer callbacks periods define spring Morning 09:00 12:30 --default")
@click.argument("campaign")
@click.argument("name")
@click.argument("starts", metavar="FROM")
@click.argument("ends", metavar="TO")
@click.option("--default", "is_default", is_flag=True, help="For callbacks that name no period.")
@click.option("--dry-run", is_flag=True, help="Check it and change nothing.")
@output.json_option
@click.pass_obj
def define(
    context: CliContext,
    campaign: str,
    name: str,
    starts: str,
    ends: str,
    is_default: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Add the period NAME of CAMPAIGN, FROM and TO as 09:00, or change the one of that name."""
    from campaigns import lifecycle
    from campaigns import periods as store
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        found = lifecycle.get(session, campaign)
        now = database_now(session)
        made = store.define(session, found.id, name, starts, ends, default=is_default, who=who(), now=now)
        told = {"campaign": found.name, "name": made.name, "starts": f"{made.starts:%H:%M}"}
        told |= {"ends": f"{made.ends:%H:%M}"}
        default = made.is_default
        if dry_run:
            session.rollback()
    if as_json:
        output.print_json({**told, "default": default, "dry_run": dry_run})
        return
    verb = "would be" if dry_run else "is"
    suffix = ", the default" if default else ""
    click.echo(
        f"period {told['name']} of campaign {told['campaign']} {verb} {told['starts']} to {told['ends']}{suffix}"
    )


@periods.command("remove", example="dialer callbacks periods remove spring Morning --yes")
@click.argument("campaign")
@click.argument("name")
@output.yes_option
@output.json_option
@click.pass_obj
def remove(context: CliContext, campaign: str, name: str, yes: bool, as_json: bool) -> None:
    """Remove the period NAME of CAMPAIGN. Refused while callbacks wait for it."""
    from campaigns import lifecycle
    from campaigns import periods as store
    from campaigns.db import database_now

    with context.application() as app:
        with app.transaction() as session:
            found = lifecycle.get(session, campaign)
            period = store.get(session, found.id, name)
        output.confirm(f"remove the period {period.name} of campaign {found.name}?", yes)
        with app.transaction() as session:
            store.remove(session, found.id, name, who=who(), now=database_now(session))
    if as_json:
        output.print_json({"campaign": found.name, "removed": period.name})
        return
    click.echo(f"period {period.name} of campaign {found.name} is removed")
