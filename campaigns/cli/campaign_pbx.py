"""`dialer campaign pbx`: the PBXs a campaign calls through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from campaigns.cli import output
from campaigns.cli.context import CliContext, who
from campaigns.cli.tree import Group

if TYPE_CHECKING:
    from campaigns.pools import Place


@click.group("pbx", cls=Group)
def campaign_pbx() -> None:
    """The PBXs a campaign calls through: its lines and agents on each, and who steps in for whom.

    A customer is joined on the PBX that called them, so each PBX is paced for the agents who wait there; list, limits
    and abandoned calls are the campaign's. A standby gets calls while a PBX before it cannot be called on.
    """


_WHY = click.option("--why", default="", help="Kept in the ledger.")


@campaign_pbx.command("list", example="dialer campaign pbx list spring")
@click.argument("name", metavar="CAMPAIGN")
@output.json_option
@click.pass_obj
def list_pbxes(context: CliContext, name: str, as_json: bool) -> None:
    """Show each PBX of CAMPAIGN with its part, its health, agents, calls and lines."""
    from campaigns import lifecycle, pools, pools_view
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        found = lifecycle.get(session, name)
        now = database_now(session)
        parts = pools_view.parts(session, [found.id], now).get(found.id, [])
        alone = pools.of(session, found) if not parts else []
    if as_json:
        shown = [one.as_json() for one in parts] or [{"pbx": one.pbx, "role": one.role} for one in alone]
        output.print_json({"campaign": found.name, "pbxes": shown})
        return
    if alone:
        click.echo(f"campaign {found.name} calls through PBX {alone[0].pbx}")
        output.note("`dialer campaign pbx add` lets another share its calls")
        return
    columns: list[output.Column] = ["PBX", "Part", "State", ("At work", "right"), ("Calls", "right")]
    rows: list[list[Any]] = [
        [one.pbx, one.role, one.state, one.at_work, one.calls,
         f"{one.busy} of {one.lines} busy", one.pace]
        for one in parts
    ]  # fmt: skip
    output.print_table([*columns, "Lines", "Pace"], rows)
    for one in parts:
        if one.why:
            since = f" since {output.local(one.since, output.zone_of(found), '%H:%M:%S %Z')}" if one.since else ""
            output.note(f"PBX {one.pbx} is {one.state}{since}: {one.why}; `dialer pbx check {one.pbx}` says more")
        if one.state == "out of use" and one.calls:
            output.note(
                f"its {one.calls_in_words}: each until PBX {one.pbx} is back and says what became of it, until its "
                "agent says `dialer agent ready`, or for an hour of talk at most (6 minutes if nobody was met yet)"
            )


@campaign_pbx.command(
    "add", example="dialer campaign pbx add spring second\ndialer campaign pbx add spring third --standby"
)
@click.argument("name", metavar="CAMPAIGN")
@click.argument("pbx")
@click.option("--standby", is_flag=True, help="It steps in when one of the others cannot be called on.")
@_WHY
@output.json_option
@click.pass_obj
def add(context: CliContext, name: str, pbx: str, standby: bool, why: str, as_json: bool) -> None:
    """Let CAMPAIGN call through PBX too, from the next decision on; or change the part it has."""
    from campaigns import lifecycle, pools
    from campaigns.db import database_now
    from dialer import modes

    with context.application() as app:
        features = app.pbx(pbx).features
        with app.transaction() as session:
            found = lifecycle.get(session, name, lock=True)
            modes.check(found.mode, pbx, features)
            now = database_now(session)
            after = pools.add(session, found, pbx, standby=standby, who=who(), now=now, why=why)
            there = [one.strip() for one in found.agents_spec.split(",") if one.strip()]
    _say(found.name, after, as_json)
    if as_json:
        return
    if standby:
        output.note(
            f"agents who shall work there meanwhile need a phone on it: dialer agent phone add AGENT --pbx {pbx}"
        )
    elif not any(one.startswith(f"{pbx}/") for one in there):
        spec = ",".join([*there, f"{pbx}/all"])
        output.note(f"next: its agents there, for example dialer agent assign {found.name} {spec}")


@campaign_pbx.command("remove", example="dialer campaign pbx remove spring second --why 'moved to main'")
@click.argument("name", metavar="CAMPAIGN")
@click.argument("pbx")
@_WHY
@output.json_option
@click.pass_obj
def remove(context: CliContext, name: str, pbx: str, why: str, as_json: bool) -> None:
    """Order no more calls of CAMPAIGN from PBX; what rings or talks there goes on to its end."""
    from campaigns import lifecycle, pools
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        found = lifecycle.get(session, name, lock=True)
        after = pools.remove(session, found, pbx, who=who(), now=database_now(session), why=why)
    _say(found.name, after, as_json)


@campaign_pbx.command("order", example="dialer campaign pbx order spring second main")
@click.argument("name", metavar="CAMPAIGN")
@click.argument("pbxes", nargs=-1, required=True)
@_WHY
@output.json_option
@click.pass_obj
def order(context: CliContext, name: str, pbxes: tuple[str, ...], why: str, as_json: bool) -> None:
    """Put the PBXs of CAMPAIGN in this order: standbys step in by it."""
    from campaigns import lifecycle, pools
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        found = lifecycle.get(session, name, lock=True)
        after = pools.order(session, found, pbxes, who=who(), now=database_now(session), why=why)
    _say(found.name, after, as_json)


def _say(name: str, places: list[Place], as_json: bool) -> None:
    if as_json:
        shown = [{"pbx": one.pbx, "role": one.role} for one in places]
        output.print_json({"campaign": name, "pbxes": shown})
        return
    told = ", ".join(one.pbx if one.role == "pool" else f"{one.pbx} ({one.role})" for one in places)
    click.echo(f"campaign {name} calls through {told}")
