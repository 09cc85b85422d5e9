"""`dialer callbacks`: what was promised to whom, and the periods of the day; what is done about it: callbacks_work."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from campaigns.cli import output
from campaigns.cli.context import CliContext, who
from campaigns.cli.tree import Group

if TYPE_CHECKING:
    from campaigns.callbacks_view import CallbackRow


@click.group(cls=Group)
def callbacks() -> None:
    """Callbacks that were promised: take, start, move and close them; and their periods of the day.

    They come with `dialer list import --kind callbacks`, or one by one with `dialer callbacks add`. The scheduler calls
    each in its time, for its owner or for anybody; what was not called is reported before it breaks.
    """


@callbacks.command("list", example="dialer callbacks list spring --alarms")
@click.argument("campaign", required=False)
@click.option("--alarms", is_flag=True, help="Only those that break soon, or are broken, and were not called.")
@click.option("--agent", help="Only those this agent owns or has taken.")
@click.option("--closed", is_flag=True, help="Also those that are done.")
@click.option("--most", type=click.IntRange(1, 100_000), default=100, show_default=True, help="Rows to show.")
@output.json_option
@click.pass_obj
def list_callbacks(
    context: CliContext, campaign: str | None, alarms: bool, agent: str | None, closed: bool, most: int, as_json: bool
) -> None:
    """List promised callbacks of CAMPAIGN, or of all, the next one due first.

    Yellow is for later, green is inside its time, red is over; ▲ marks those not called that break soon.
    """
    from campaigns import lifecycle, roster
    from campaigns.callbacks_view import callback_rows
    from campaigns.campaign_values import usual_time_zone
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        found = lifecycle.get(session, campaign) if campaign else None
        agent_id = roster.find_agent(session, agent, None).id if agent else None
        zone = usual_time_zone(found.country, found.time_zone) if found else "UTC"
        rows = callback_rows(
            session, found, zone=zone, now=database_now(session), closed=closed, most=most, alarms=alarms,
            agent_id=agent_id,
        )  # fmt: skip
    if as_json:
        output.print_json({"callbacks": [row.as_json() for row in rows]})
        return
    if not rows:
        brings = "`dialer list import CAMPAIGN FILE --kind callbacks` or `dialer callbacks add` brings some"
        output.note("no callback is about to break" if alarms else f"no callbacks wait: {brings}")
        return
    columns: list[output.Column] = [("No.", "right"), "Due", "Campaign", "Number", "Who", "About", "Whose"]
    columns += [("Tries", "right"), "State"]
    shown = [
        [row.id or "-", _due(row), row.campaign, row.phone, row.who or "-", row.description or "-", _whose(row),
         row.attempts, _state(row)]
        for row in rows
    ]  # fmt: skip
    output.print_table(columns, shown)
    for row in rows if alarms else ():
        output.note(f"{row.id}: {row.alarm or 'it was not called yet'}")
    if overdue := sum(row.overdue for row in rows):
        output.note(f"{overdue} overdue: `dialer why CAMPAIGN NUMBER` says what keeps one from being called")


_COLOURS = {"later": "yellow", "now": "green", "over": "bold red"}


def _due(row: CallbackRow) -> Any:
    from rich.text import Text

    told = str(row.due_date or "-")
    if row.period and row.starts and row.ends:
        told += f" {row.period} {row.starts:%H:%M}-{row.ends:%H:%M}"
    elif row.due_at is not None and row.deadline_at is not None and row.zone is not None:
        from zoneinfo import ZoneInfo

        begin, end = (at.astimezone(ZoneInfo(row.zone)) for at in (row.due_at, row.deadline_at))
        told = f"{begin:%Y-%m-%d %H:%M}-{end:%H:%M}"
        if end.date() != begin.date():  # a day's end is written as that day's, as its hours are
            whole = end.date() == begin.date() + timedelta(days=1) and f"{end:%H%M}" == "0000"
            told = f"{begin:%Y-%m-%d %H:%M}-24:00" if whole else f"{begin:%Y-%m-%d %H:%M} - {end:%Y-%m-%d %H:%M}"
    return Text(output.clean(told), style="bold red" if row.overdue else _COLOURS.get(row.due, ""))


def _whose(row: CallbackRow) -> str:
    if row.taken_by:
        return f"taken by {row.taken_by}"
    if row.owner:
        return row.owner if row.kept_until is not None else f"anyone ({row.owner} away)"
    return "anyone"


def _state(row: CallbackRow) -> Any:
    from rich.text import Text

    if row.overdue:
        return Text("▲ overdue", style="bold red")
    if row.alarmed:
        return Text("▲ breaks soon", style="yellow")
    if row.result or row.state == "closed":
        return ": ".join(part for part in (row.result, row.closed_because) if part) or row.state
    if row.called_at is not None:
        return "called, tried again" if row.state == "open" else "being called"
    return {"later": "○ later", "now": "● now"}.get(row.due, row.state) if row.state == "open" else row.state


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
    """Add the period NAME of CAMPAIGN, FROM and TO as 09:00, or change the one of that name.

    Callbacks that wait for it and are not due yet move with it.
    """
    from campaigns import callback_watch, lifecycle
    from campaigns import periods as store
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        found = lifecycle.get(session, campaign)
        now = database_now(session)
        made = store.define(session, found.id, name, starts, ends, default=is_default, who=who(), now=now)
        told = {"campaign": found.name, "name": made.name, "starts": f"{made.starts:%H:%M}"}
        told |= {"ends": f"{made.ends:%H:%M}"}
        default, warning = made.is_default, store.hours_of(session, made).sentence()
        moved = callback_watch.retime(
            session,
            period_id=made.id,
            now=now,
            timing=app.settings.timing,
            who=who(),
            why=f"period {made.name} changed",
        )
        if dry_run:
            session.rollback()
    if as_json:
        output.print_json(
            {**told, "default": default, "callbacks_moved": moved, "warning": warning, "dry_run": dry_run}
        )
        return
    verb = "would be" if dry_run else "is"
    suffix = ", the default" if default else ""
    click.echo(
        f"period {told['name']} of campaign {told['campaign']} {verb} {told['starts']} to {told['ends']}{suffix}"
    )
    if warning:
        output.note(f"note: {warning}; callbacks promised for it then are refused, or not called")
    if moved:
        output.note(f"waiting for it, and moved with it: {output.count(moved, 'callback')}")


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
