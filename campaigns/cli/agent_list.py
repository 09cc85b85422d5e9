"""`dialer agent list`: what each agent is doing, and whose PBX is out of use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from campaigns.agent_states import AWAY, FREE, ON_THE_LINE
from campaigns.cli import output
from campaigns.cli.context import CliContext
from campaigns.cli.params import one_campaign
from campaigns.cli.tree import Command

if TYPE_CHECKING:
    from campaigns.models import Agent


@click.command("list", cls=Command, example="dialer agent list spring")
@click.argument("named", metavar="[CAMPAIGN]", required=False)
@click.option("--campaign", help="The same as CAMPAIGN.")
@output.json_option
@click.pass_obj
def list_agents(context: CliContext, named: str | None, campaign: str | None, as_json: bool) -> None:
    """List the agents, or those of CAMPAIGN, and what each is doing, longest in their state first.

    Who waits for calls on a PBX that is out of use is shown as out until it is back; what they said themselves stands.
    """
    from campaigns import lifecycle, pbx_health, roster
    from campaigns.db import database_now

    chosen_name = one_campaign(named, campaign)
    with context.application() as app, app.transaction() as session:
        now = database_now(session)
        chosen = lifecycle.get(session, chosen_name) if chosen_name else None
        listed = roster.listing(session, chosen)
        lost = pbx_health.out_of_use(session)
    if as_json:
        rows = [
            {**agent_as_json(one), "pbx_out": lost[one.pbx].why if one.pbx in lost else None, "campaigns": names}
            for one, names in listed
        ]
        output.print_json({"agents": rows})
        return
    if not listed:
        output.note("no agents yet: `dialer campaign create ... --agents 101,102` or `dialer agent assign` brings them")
        return
    columns: list[output.Column] = ["Agent", "User", "Ext.", "PBX", "State", ("For", "right"), "Reason", "Campaigns"]
    rows_shown = []
    for one, names in listed:
        outage = lost.get(one.pbx)
        cut = outage is not None and one.state in FREE
        since = max(one.since, outage.since or one.since) if cut and outage is not None else one.since
        rows_shown.append(
            [one.name or "-", one.user_id, one.extension or "-", one.pbx, output.state("out" if cut else one.state),
             output.seconds(max(0.0, (now - since).total_seconds())), _reason(one, outage is not None),
             ", ".join(names) or "-"]
        )  # fmt: skip
    output.print_table(columns, rows_shown)
    for pbx in sorted({one.pbx for one, _ in listed} & lost.keys()):
        output.note(f"PBX {pbx} is out of use: {lost[pbx].why}; `dialer pbx check {pbx}` says more")


def _reason(one: Agent, pbx_is_out: bool) -> str:
    """Why they are so, or what they will be; of those whose PBX is out of use, that it is."""
    said = one.reason or _wish(one)
    if not pbx_is_out or one.state in AWAY:
        return said
    where = f"PBX {one.pbx} is out of use"
    if one.state in ("assigned", "talking"):
        return f"{where}; whose line is dead says `ready`"
    if one.state == "wrap_up":
        return f"{said}; {where}" if said else where
    return f"{where}; ready again when it is back"


def _wish(one: Agent) -> str:
    if one.wanted:
        return f"will be {one.wanted} {_when(one)}"
    return {"offer": "reads an offer", "callback": "kept for a callback", "call": "kept for a call"}.get(
        one.reserved_for, ""
    )


def _when(one: Agent) -> str:
    return "in a moment: a call rings for them" if one.state in ON_THE_LINE else "after this call"


def agent_as_json(one: Agent) -> dict[str, Any]:
    """Return an agent for a program: as they said themselves, whatever their PBX does."""
    return {
        "user_id": one.user_id, "name": one.name, "extension": one.extension, "pbx": one.pbx, "state": one.state,
        "since": one.since, "reason": one.reason, "presence": one.presence, "wanted": one.wanted,
        "reserved_for": one.reserved_for,
    }  # fmt: skip
