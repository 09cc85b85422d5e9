"""`dialer agent`: who is at work, and who works for which campaign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from campaigns.cli import output
from campaigns.cli.context import CliContext, who
from campaigns.cli.tree import Group

if TYPE_CHECKING:
    from campaigns.models import Agent


@click.group(cls=Group)
def agent() -> None:
    """Who is at work: log in, pause, be ready.

    An AGENT is named by PBX user id, extension or name, as `dialer agent list` shows them.
    """


@agent.command("list", example="dialer agent list --campaign spring")
@click.option("--campaign", help="Only the agents of this campaign.")
@output.json_option
@click.pass_obj
def list_agents(context: CliContext, campaign: str | None, as_json: bool) -> None:
    """List the agents and what each is doing, longest in their state first."""
    from campaigns import lifecycle, roster
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        now = database_now(session)
        chosen = lifecycle.get(session, campaign) if campaign else None
        listed = roster.listing(session, chosen)
    if as_json:
        rows = [{**_as_json(one), "campaigns": names} for one, names in listed]
        output.print_json({"agents": rows})
        return
    if not listed:
        output.note("no agents yet: `dialer campaign create ... --agents 101,102` or `dialer agent assign` brings them")
        return
    columns: list[output.Column] = ["Agent", "User", "Ext.", "PBX", "State", ("For", "right"), "Reason", "Campaigns"]
    rows_shown = [
        [one.name or "-", one.user_id, one.extension or "-", one.pbx, output.state(one.state),
         output.seconds(max(0.0, (now - one.since).total_seconds())), one.reason or _wish(one), ", ".join(names) or "-"]
        for one, names in listed
    ]  # fmt: skip
    output.print_table(columns, rows_shown)


def _wish(one: Agent) -> str:
    return f"will be {one.wanted} after this call" if one.wanted else ""


def _as_json(one: Agent) -> dict[str, Any]:
    return {
        "user_id": one.user_id, "name": one.name, "extension": one.extension, "pbx": one.pbx, "state": one.state,
        "since": one.since, "reason": one.reason, "presence": one.presence, "wanted": one.wanted,
    }  # fmt: skip


@agent.command("assign", example="dialer agent assign spring group:Sales")
@click.argument("campaign")
@click.argument("agents", metavar="AGENTS")
@output.json_option
@click.pass_obj
def assign(context: CliContext, campaign: str, agents: str, as_json: bool) -> None:
    """Give CAMPAIGN exactly these AGENTS: PBX user ids (101,102), group:NAME, or all."""
    from campaigns import lifecycle, roster
    from campaigns.db import database_now

    spec = roster.parse(agents)
    with context.application() as app:
        with app.transaction() as session:
            pbx = lifecycle.get(session, campaign).pbx
        users = app.pbx(pbx).users()
        with app.transaction() as session:
            found = lifecycle.get(session, campaign, lock=True)
            change = roster.assign(session, found, spec, users, now=database_now(session), who=who())
    if as_json:
        counts = {"added": len(change.added), "removed": len(change.removed), "agents": change.total}
        output.print_json({"campaign": found.name, "spec": str(spec), **counts})
        return
    has = output.count(change.total, "agent")
    click.echo(f"campaign {found.name} has {has}: {len(change.added)} added, {len(change.removed)} removed")


# What people say of themselves ---------------------------------------------------------------------------


def _verb(verb: str, told: str, *options: Any) -> None:
    def command(context: CliContext, /, name: str, pbx: str | None, as_json: bool, **more: Any) -> None:
        _say(context, verb, name, pbx, as_json, **more)

    built: Any = click.pass_obj(command)
    for option in (
        click.argument("name", metavar="AGENT"),
        click.option("--pbx", help="Which PBX, when two have such an agent."),
        *options,
        output.json_option,
    )[::-1]:
        built = option(built)
    sample = f"dialer agent {verb} 101" + (" --reason lunch" if verb == "pause" else "")
    agent.command(verb, help=told, example=sample)(built)


_verb("login", "AGENT starts work and may get calls.")
_verb("logout", "AGENT goes home: at once, or after the customer now on the line.")
_verb(
    "pause",
    "AGENT takes no more calls until `ready`: at once, or after the customer now on the line.",
    click.option("--reason", required=True, help="Shown to supervisors, for example lunch."),
)
_verb("ready", "AGENT takes calls again: ends a pause or a wrap-up.")


def _say(context: CliContext, verb: str, name: str, pbx: str | None, as_json: bool, **more: Any) -> None:
    from campaigns import agents, roster
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        found = roster.find_agent(session, name, pbx)
        now = database_now(session)
        after = getattr(agents, verb)(session, found.id, now=now, who=who(), **more)
    if as_json:
        output.print_json(_as_json(after))
        return
    called = after.name or f"user {after.user_id}"
    later = f"; {after.wanted} after the customer on the line" if after.wanted else ""
    click.echo(f"{output.clean(called)} is {after.state.replace('_', '-')}{later}")
