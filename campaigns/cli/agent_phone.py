"""`dialer agent phone`: agents with a phone on more than one PBX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from campaigns.agent_states import AWAY
from campaigns.cli import output
from campaigns.cli.context import CliContext, who
from campaigns.cli.tree import Group
from dialer.errors import BadInput, NotFound, TryAgainLater

if TYPE_CHECKING:
    from campaigns.models import Agent


@click.group("phone", cls=Group)
def phone() -> None:
    """The phones of agents who have one on more than one PBX.

    When the PBX an agent works on cannot be called on, and a running campaign of theirs calls through the other, they
    work on the phone there, and go back when their own PBX has been well for a while. Nobody is moved out of a call.
    """


@phone.command("list", example="dialer agent phone list")
@click.argument("name", metavar="[AGENT]", required=False)
@output.json_option
@click.pass_obj
def list_phones(context: CliContext, name: str | None, as_json: bool) -> None:
    """Show who has which phones, and which of them they work on."""
    from sqlalchemy import select

    from campaigns import phones, roster
    from campaigns.models import Agent

    with context.application() as app, app.transaction() as session:
        if name:
            people = [roster.find_agent(session, name)]
        else:
            owners = select(Agent.spare_of).where(Agent.spare_of.is_not(None))
            people = list(session.scalars(select(Agent).where(Agent.id.in_(owners)).order_by(Agent.name, Agent.id)))
        rows = [(one, phones.phones_of(session, one)) for one in people]
    if as_json:
        output.print_json({"agents": [_as_json(one, theirs) for one, theirs in rows]})
        return
    if not rows:
        output.note("nobody has a second phone: `dialer agent phone add AGENT --pbx NAME --user-id ID` gives one")
        return
    table: list[list[Any]] = [
        [one.name or "-", each.pbx, each.user_id, each.extension or "-",
         "works here" if each is one else "", "first" if each.pbx == (one.home_pbx or one.pbx) else ""]
        for one, theirs in rows
        for each in theirs
    ]  # fmt: skip
    output.print_table(["Agent", "PBX", "User id", "Ext.", "Now", "Phone"], table)


def _as_json(one: Agent, theirs: list[Agent]) -> dict[str, Any]:
    home = one.home_pbx or one.pbx
    shown = [
        {"pbx": each.pbx, "user_id": each.user_id, "extension": each.extension, "works_here": each is one,
         "first": each.pbx == home}
        for each in theirs
    ]  # fmt: skip
    return {"name": one.name, "state": one.state, "phones": shown}


@phone.command("add", example="dialer agent phone add 101 --pbx second --user-id 201")
@click.argument("name", metavar="AGENT")
@click.option("--pbx", required=True, help="Where the other phone is.")
@click.option("--user-id", required=True, help="Its user id there.")
@output.json_option
@click.pass_obj
def add(context: CliContext, name: str, pbx: str, user_id: str, as_json: bool) -> None:
    """Give AGENT one more phone: a user of another PBX, who is no agent of their own from then on."""
    from campaigns import phones, roster
    from campaigns.db import database_now

    with context.application() as app:
        users = app.pbx(pbx).users()
        (user,) = roster.resolve(roster.AgentsSpec((user_id,)), users, pbx)
        with app.transaction() as session:
            found = roster.find_agent(session, name)
            if found.pbx == pbx and found.user_id == user_id:
                raise BadInput(f"{name} is that very phone: name the agent by their first one")
            phones.add(session, found, pbx, user, who=who(), now=database_now(session))
            theirs = phones.phones_of(session, found)
    _say(found, theirs, as_json)


@phone.command("remove", example="dialer agent phone remove 101 --pbx second")
@click.argument("name", metavar="AGENT")
@click.option("--pbx", required=True, help="Where the phone is.")
@output.json_option
@click.pass_obj
def remove(context: CliContext, name: str, pbx: str, as_json: bool) -> None:
    """Take a phone away from AGENT, who works on another."""
    from campaigns import phones, roster
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        found = roster.find_agent(session, name)
        phones.remove(session, found, pbx, who=who(), now=database_now(session))
        theirs = phones.phones_of(session, found)
    _say(found, theirs, as_json)


@phone.command("move", example="dialer agent phone move 101 --pbx second --why 'headset broken'")
@click.argument("name", metavar="AGENT")
@click.option("--pbx", required=True, help="Where they shall work.")
@click.option("--why", default="", help="Kept in the ledger.")
@output.json_option
@click.pass_obj
def move(context: CliContext, name: str, pbx: str, why: str, as_json: bool) -> None:
    """Let AGENT, who is out or on a pause, work on their phone at PBX from now on: it is their first one."""
    from campaigns import agents, phones, roster
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        found = agents.locked(session, roster.find_agent(session, name).id)
        if found.state not in AWAY:
            state = found.state.replace("_", "-")
            raise TryAgainLater(f"agent {name} is {state}: `dialer agent pause {name} --reason phone` first")
        if not phones.stay_on(session, found, pbx, who=who(), now=database_now(session), why=why):
            raise NotFound(f"agent {name} has no phone on PBX {pbx}: `dialer agent phone add` gives one")
        theirs = phones.phones_of(session, found)
    _say(found, theirs, as_json)


def _say(found: Agent, theirs: list[Agent], as_json: bool) -> None:
    if as_json:
        output.print_json(_as_json(found, theirs))
        return
    told = ", ".join(f"{each.user_id} on {each.pbx}" + (" (works here)" if each is found else "") for each in theirs)
    click.echo(f"{output.clean(found.name or found.user_id)} has {told}")
