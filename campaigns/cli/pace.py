"""`dialer pace`: how fast a campaign may dial, what the pacer decides, and why."""

from __future__ import annotations

from typing import Any

import click

from campaigns.cli import output
from campaigns.cli.context import CliContext, who
from campaigns.cli.params import Lines, Share
from campaigns.cli.tree import Group
from dialer.modes import MODES


@click.group(cls=Group)
def pace() -> None:
    """How fast a campaign may dial, and at what risk."""


@pace.command("show", example="dialer pace show spring")
@click.argument("name", required=False)
@click.option("--last", type=click.IntRange(1, 200), default=8, show_default=True, help="Decisions to show.")
@output.json_option
@click.pass_obj
def show(context: CliContext, name: str | None, last: int, as_json: bool) -> None:
    """Show the limits and the last decisions of campaign NAME, or the newest decision of each."""
    from campaigns import lifecycle, overview
    from campaigns.db import database_now
    from campaigns.pace_log import last_decisions

    with context.application() as app, app.transaction() as session:
        now = database_now(session)
        only = lifecycle.get(session, name).name if name else None
        rows = overview.campaign_rows(session, now, name=only, archived=False)
        told = [(row, last_decisions(session, row.name, last if only else 1)) for row in rows]
    if as_json:
        output.print_json(
            {
                "campaigns": [
                    {
                        "name": row.name, "state": row.state, "mode": row.mode, "max_lines": row.max_lines,
                        "max_abandonment": row.max_abandonment, "abandonment": round(row.abandonment, 6),
                        "decisions": [decision.as_json() for decision in decisions],
                    }
                    for row, decisions in told
                ]
            }
        )  # fmt: skip
        return
    if not told:
        output.note("no campaigns yet: `dialer campaign create NAME --caller-id NUMBER` makes one")
        return
    columns: list[output.Column] = ["Campaign", "State", "Mode", ("Limit", "right"), ("Rate 24 h", "right")]
    columns += [("Lines", "right")]
    limits = [
        [row.name, output.state(row.state), row.mode, output.percent(row.max_abandonment),
         output.percent(row.abandonment), "unlimited" if row.max_lines is None else row.max_lines]
        for row, _ in told
    ]  # fmt: skip
    output.print_table(columns, limits)
    decided = [
        [row.name, output.ago(one.until_at, now), one.calls, one.ordered, one.ticks, one.why]
        for row, decisions in told
        for one in decisions
    ]
    if decided:
        columns = ["Campaign", "When", ("Calls", "right"), ("Ordered", "right"), ("Ticks", "right"), "Why"]
        output.print_table(columns, decided, title="Decisions")
    else:
        output.note("the pacer has decided nothing yet: it does while a campaign runs and a scheduler is up")


@pace.command("set", example="dialer pace set spring --max-abandonment 2% --max-lines 40")
@click.argument("name")
@click.option("--max-abandonment", type=Share(), help="Share of answered calls that may meet no agent: 0.03 or 3%.")
@click.option("--max-lines", type=Lines(), help="Most lines in use at once, or unlimited.")
@click.option("--mode", type=click.Choice(MODES), help="How to dial from now on.")
@click.option("--why", default="", help="Kept in the ledger; needed for a limit above the rule pack's.")
@click.option("--dry-run", is_flag=True, help="Check it and say what would change.")
@output.json_option
@click.pass_obj
def set_pace(
    context: CliContext,
    name: str,
    max_abandonment: float | None,
    max_lines: int | None,
    mode: str | None,
    why: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Change the limits of campaign NAME; it holds from the next decision on."""
    from campaigns import lifecycle
    from campaigns.db import database_now

    if max_abandonment is None and max_lines is None and mode is None:
        raise click.UsageError("nothing to change: give --max-abandonment, --max-lines or --mode")
    with context.application() as app, app.transaction() as session:
        found = lifecycle.get(session, name)
        more: dict[str, Any] = {"features": app.pbx(found.pbx).features} if mode else {}
        changes = lifecycle.set_pace(
            session,
            found.name,
            max_abandonment=max_abandonment,
            max_lines=max_lines or None,
            unlimited_lines=max_lines == 0,
            mode=mode,
            now=database_now(session),
            who=who(),
            why=why,
            **more,
        )
        called = found.name
        if dry_run:
            session.rollback()
    if as_json:
        made = [{"setting": one.setting, "old": one.old, "new": one.new} for one in changes]
        output.print_json({"name": called, "changes": made, "dry_run": dry_run})
        return
    if not changes:
        click.echo(f"campaign {called}: nothing to change, it is so already")
    for one in changes:
        would = "would change" if dry_run else "changed"
        click.echo(f"campaign {called}: {one.setting} {would} from {_said(one, one.old)} to {_said(one, one.new)}")


def _said(change: Any, value: Any) -> str:
    if change.setting == "max_abandonment":
        return output.percent(value, 2)
    return "unlimited" if value is None else str(value)
