"""`dialer agent`: who is at work, and who works for which campaign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from campaigns.agent_states import ON_THE_LINE
from campaigns.cli import output
from campaigns.cli.agent_list import agent_as_json
from campaigns.cli.context import CliContext, who
from campaigns.cli.params import Moment
from campaigns.cli.tree import Group

if TYPE_CHECKING:
    from campaigns.dialling import Dialled
    from campaigns.models import Contact


@click.group(cls=Group)
def agent() -> None:
    """Who is at work: log in, pause, be ready; offers, and calls of their own.

    An AGENT is named by PBX user id, extension or name, as `dialer agent list` shows them.
    """


@agent.command("assign", example="dialer agent assign spring group:Sales")
@click.argument("campaign")
@click.argument("agents", metavar="AGENTS")
@output.json_option
@click.pass_obj
def assign(context: CliContext, campaign: str, agents: str, as_json: bool) -> None:
    """Give CAMPAIGN exactly these AGENTS: PBX user ids (101,102), group:NAME, or all.

    Where it calls through several PBXs, second/101, second/group:NAME and second/all are that one's.
    """
    from campaigns import lifecycle, pools, roster
    from campaigns.db import database_now

    spec = roster.parse(agents)
    with context.application() as app:
        with app.transaction() as session:
            names = pools.names(session, lifecycle.get(session, campaign))
        users = {name: app.pbx(name).users() for name in names}
        with app.transaction() as session:
            found = lifecycle.get(session, campaign, lock=True)
            mine = users.pop(found.pbx, [])
            change = roster.assign(session, found, spec, mine, others=users, now=database_now(session), who=who())
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
_verb("logout", "AGENT goes home: at once, after the customer now on the line, or after a call that may not be lost.")
_verb(
    "pause",
    "AGENT takes no more calls until `ready`: from now, or after the customer (or a call that may not be lost).",
    click.option("--reason", required=True, help="Shown to supervisors, for example lunch."),
)
_verb(
    "ready",
    "AGENT takes calls again: ends a pause, a wrap-up, or a talk whose end the PBX never told, or cannot tell.",
)


def _say(context: CliContext, verb: str, name: str, pbx: str | None, as_json: bool, **more: Any) -> None:
    from campaigns import agent_words, roster

    with context.application() as app:
        with app.transaction() as session:
            found = roster.find_agent(session, name, pbx)
        said = agent_words.say(app, found.id, verb, who=who(), **more)
    after = said.agent
    if as_json:
        output.print_json({**agent_as_json(after), "pbx_objects": said.objection})
        return
    if said.objection:
        output.note(f"PBX {after.pbx} does not show it: {said.objection}")
    called = after.name or f"user {after.user_id}"
    later = ""
    if after.wanted:
        on_the_line = after.state in ON_THE_LINE
        later = f"; {after.wanted} " + (
            "within 30 s: a call rings for them, and the window may lose none"
            if on_the_line
            else "after the customer on the line"
        )
    click.echo(f"{output.clean(called)} is {after.state.replace('_', '-')} on PBX {after.pbx}{later}")


# Calls of their own --------------------------------------------------------------------------------------


_PBX_OPTION = click.option("--pbx", help="Which PBX, when two have such an agent.")


@agent.command("call", example="dialer agent call 101 spring --number +390612345678")
@click.argument("name", metavar="AGENT")
@click.argument("campaign")
@click.option("--contact", default="", metavar="ID", help="A contact of the campaign: its id, or a number of it.")
@click.option("--number", default="", help="Any number. It is kept on the campaign's list of numbers dialled by hand.")
@_PBX_OPTION
@output.json_option
@click.pass_obj
def call(
    context: CliContext, name: str, campaign: str, contact: str, number: str, pbx: str | None, as_json: bool
) -> None:
    """Call a contact or a number of CAMPAIGN for AGENT, who is put on the line first.

    Every rule of calling is asked, as for any other call; a refusal is exit code 5. Whoever answers gets AGENT, who is
    kept for this call; somebody else only if AGENT leaves while it rings.
    """
    from campaigns import dialling, lifecycle, roster

    if bool(contact) == bool(number):
        raise click.UsageError("give either --contact or --number")
    with context.application() as app:
        with app.transaction() as session:
            found, chosen = roster.find_agent(session, name, pbx), lifecycle.get(session, campaign)
        made = dialling.call(app, found.id, chosen.id, contact=contact, number=number, who=who())
    _say_dialled(made, as_json)


@agent.command("offers", example="dialer agent offers 101")
@click.argument("name", metavar="AGENT")
@click.option("--last", type=click.IntRange(1, 200), default=5, show_default=True, help="Offers to show.")
@_PBX_OPTION
@output.json_option
@click.pass_obj
def offers(context: CliContext, name: str, last: int, pbx: str | None, as_json: bool) -> None:
    """Show the contact offered to AGENT in preview mode, and the offers before it."""
    from campaigns import offers as shown
    from campaigns import roster
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        now = database_now(session)
        rows = shown.offers_of(session, roster.find_agent(session, name, pbx), last=last)
    if as_json:
        told = [
            {
                "id": one.id, "campaign": campaign, "contact": contact.id, "state": one.state, "reason": one.reason,
                "offered_at": one.offered_at, "until": one.until, "first_name": contact.first_name,
                "last_name": contact.last_name, "company": contact.company, "description": contact.description,
                "phone": contact.next_number or contact.phone, "attempt": one.attempt_id,
            }
            for one, contact, campaign in rows
        ]  # fmt: skip
        output.print_json({"offers": told})
        return
    if not rows:
        output.note("no contact was offered to this agent yet: a campaign in preview mode offers them")
        return
    columns: list[output.Column] = ["Offer", "Campaign", "Contact", "Number", ("Left", "right"), "Reason"]
    output.print_table(
        columns,
        [
            [output.state(one.state), campaign, _called(contact), contact.next_number or contact.phone,
             output.seconds(max(0.0, (one.until - now).total_seconds())) if one.state == "open" else "-",
             one.reason or contact.description or "-"]
            for one, contact, campaign in rows
        ],
    )  # fmt: skip


@agent.command("accept", example="dialer agent accept 101")
@click.argument("name", metavar="AGENT")
@_PBX_OPTION
@output.json_option
@click.pass_obj
def accept(context: CliContext, name: str, pbx: str | None, as_json: bool) -> None:
    """AGENT takes the contact that was offered: it is called at once, if every rule still allows it."""
    from campaigns import dialling, roster

    with context.application() as app:
        with app.transaction() as session:
            found = roster.find_agent(session, name, pbx)
        made = dialling.accept(app, found.id, who=who())
    _say_dialled(made, as_json)


@agent.command("skip", example="dialer agent skip 101 --reason 'away until Monday'")
@click.argument("name", metavar="AGENT")
@click.option("--reason", required=True, help="Kept in the ledger.")
@_PBX_OPTION
@output.json_option
@click.pass_obj
def skip(context: CliContext, name: str, reason: str, pbx: str | None, as_json: bool) -> None:
    """AGENT leaves the offered contact for later: it comes up again after the campaign's retry delay."""
    from campaigns import agents, roster
    from campaigns import offers as rows
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        found = roster.find_agent(session, name, pbx)
        locked = agents.locked(session, found.id)
        skipped = rows.skip(session, locked, reason=reason, now=database_now(session), who=who())
    if as_json:
        output.print_json({"offer": skipped.id, "contact": skipped.contact_id, "state": skipped.state})
        return
    click.echo(f"contact {skipped.contact_id} is left for later")


# What came of a call -------------------------------------------------------------------------------------


@agent.command(
    "dispose",
    example="""dialer agent dispose 101 sale --ready
dialer agent dispose 101 callback --due 2026-03-31 --period Morning --note 'asks for the price list'""",
)
@click.argument("name", metavar="AGENT")
@click.argument("code")
@click.option("--note", default="", help="Kept with the call.")
@click.option(
    "--due", type=Moment(), help="With a callback: a day, or a day and a time, by the clock where the phone is."
)
@click.option("--period", default="", help="With a callback and a day: which period of it. Default: the campaign's.")
@click.option("--mine", is_flag=True, help="With a callback: AGENT is to call; anyone only when AGENT is away then.")
@click.option(
    "--answer", "answered", multiple=True, metavar="NAME=VALUE", help="To a field of the campaign's form; repeatable."
)
@click.option("--call", default="", metavar="REFERENCE", help="An earlier call of AGENT. Default: the one in hand.")
@click.option("--ready", is_flag=True, help="End the wrap-up with it.")
@_PBX_OPTION
@output.json_option
@click.pass_obj
def dispose(
    context: CliContext,
    /,
    name: str,
    code: str,
    answered: tuple[str, ...],
    pbx: str | None,
    as_json: bool,
    **more: Any,
) -> None:
    """AGENT says what came of the call in hand, or of the last one while its wrap-up lasts.

    CODE is one of `dialer disposition list CAMPAIGN`. It may be said again, and differently: the last word counts.
    """
    from campaigns import agent_words, disposing, roster
    from campaigns.cli.disposition import tell_said
    from campaigns.db import database_now

    given = {**more, "answers": dict(_pair(text) for text in answered)}
    with context.application() as app:
        with app.transaction() as session:
            found = roster.find_agent(session, name, pbx)
            said = disposing.dispose(
                session, found, code, timing=app.settings.timing, now=database_now(session), who=who(), **given
            )
        objection = agent_words.tell(app, found.id, "ready") if more["ready"] else ""
    if objection:
        output.note(f"the PBX does not show them ready: {objection}")
    tell_said(said, as_json)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"--answer {text!r}: write NAME=VALUE, for example budget=120")
    return name.strip(), value


@agent.command("script", example="dialer agent script 101")
@click.argument("name", metavar="AGENT")
@_PBX_OPTION
@output.json_option
@click.pass_obj
def script(context: CliContext, name: str, pbx: str | None, as_json: bool) -> None:
    """Show what AGENT reads and asks in the call in hand, the one that rings for them, or the offer they have."""
    from campaigns import roster, scripts

    with context.application() as app, app.transaction() as session:
        shown = scripts.for_agent(session, roster.find_agent(session, name, pbx))
    if as_json:
        output.print_json(shown.as_json())
        return
    from rich.text import Text

    out = output.console()
    out.print(output.heading(f"{_called(shown.contact)}, {shown.number}, campaign {shown.campaign}"))
    if shown.text:
        for line in shown.text.split("\n"):
            out.print(output.plain(line))
    else:
        output.note(f"campaign {shown.campaign} has no script: `dialer campaign script` gives it one")
    for field in shown.form:
        known = shown.answers.get(field.name)
        out.print(Text(f"  --answer {field}", style="cyan").append(f"  now {known}" if known is not None else ""))
    out.print(Text("say: " + ", ".join(shown.words), style="dim"))


def _say_dialled(made: Dialled, as_json: bool) -> None:
    if as_json:
        output.print_json(
            {"ref": made.ref, "attempt": made.attempt, "contact": made.contact, "number": made.number,
             "campaign": made.campaign}
        )  # fmt: skip
        return
    click.echo(f"calling {made.number} for {output.clean(made.agent)}")


def _called(contact: Contact) -> str:
    return " ".join(part for part in (contact.first_name, contact.last_name, contact.company) if part) or "-"
