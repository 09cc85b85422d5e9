"""`dialer campaign rules` and `dialer list rules`: whose law holds, how sure we are of it, and another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from campaigns.cli import output
from campaigns.cli.context import CliContext, who
from campaigns.cli.params import Share
from campaigns.cli.tree import Command
from dialer.abandonment import PACKS

if TYPE_CHECKING:
    from campaigns.rule_changes import PackChange
    from campaigns.rules_view import PackShown

_WHY = "Kept in the ledger; needed, with the right to it, to keep a law less strictly."


def pack_in_words(shown: PackShown) -> str:
    """Return a pack in one line: its name, where it holds, and how sure we are of which of its rules."""
    from campaigns.rules_view import SURENESS

    where = f" for {', '.join(map(output.clean, shown.lists))}" if shown.lists else ""
    sure = "; ".join(f"{', '.join(said)} {SURENESS[how]}" for how, said in shown.by_sureness().items())
    return f"{shown.pack.name}{where} ({sure})"


@click.command(
    "rules",
    cls=Command,
    example="""dialer campaign rules spring
dialer campaign rules spring --pack it-2026 --why "the client joined the code of conduct"
dialer campaign rules spring --people-among-machines 1.5% --why "3 of 200 recordings, heard on 12 May\"""",
)
@click.argument("campaign")
@click.option("--pack", type=click.Choice(sorted(PACKS)), help="Whose law it keeps from the next call on.")
@click.option(
    "--people-among-machines",
    type=Share(),
    help="Of the calls the PBX's machine detector ends, how many are people's, as you heard in a sample.",
)
@click.option("--why", default="", help=_WHY)
@output.json_option
@click.pass_obj
def campaign_rules(
    context: CliContext, campaign: str, pack: str | None, people_among_machines: float | None, why: str, as_json: bool
) -> None:
    """Show the rule packs of CAMPAIGN and of its lists, with where each rule was read, or put it under another.

    What the new pack asks less strictly than the old one is named, and needs the right to it and a reason. The answer
    limit follows the pack; an abandonment limit above the new pack's comes down to it. People whom a machine detector
    hangs up on are abandoned: 3 in 100 of the calls it ends, until --people-among-machines says what you heard.
    """
    from campaigns import detected, lifecycle, rule_changes, rules_view
    from campaigns.db import database_now

    asked = people_among_machines
    with context.application() as app, app.transaction() as session:
        found = lifecycle.get(session, campaign, lock=pack is not None or asked is not None)
        change = None
        if asked is not None:
            detected.set_people_among_machines(session, found, asked, now=database_now(session), who=who(), why=why)
        if pack is not None:
            change = rule_changes.set_campaign_pack(
                session, found, pack, may_loosen=app.settings.rights.may_raise_ceiling, now=database_now(session),
                who=who(), why=why,
            )  # fmt: skip
        told = rules_view.of_campaign(session, found)
    if as_json:
        people = {"people_among_machines": found.people_among_machines}
        output.print_json({"campaign": found.name, **told.as_json(), **people, "change": _json(change)})
        return
    if asked is not None:
        click.echo(_of_detected(found.people_among_machines))
    if change is not None:
        _say(f"campaign {output.clean(found.name)}", change)
    if change is not None or asked is not None:
        return
    for shown in told.packs:
        where = f"lists {', '.join(shown.lists)}" if shown.lists else "every list"
        title = f"{shown.pack.name}, since {shown.pack.since}, for {output.clean(where)}"
        rows = [[one.rule, region or "everywhere", one.sure, one.source] for region, one in shown.readings()]
        rows.append(["abandoned calls", "everywhere", "", shown.pack.source])
        output.print_table(["Rule", "Where", "Sure", "Source"], rows, title=title)
    output.note(_of_detected(found.people_among_machines))
    output.note("none of this is legal advice; unsure: check it before you rely on it")


def _of_detected(share: float) -> str:
    return f"of the calls a machine detector ends, {output.percent(share)} count as people who were abandoned"


@click.command(
    "rules",
    cls=Command,
    example="""dialer list rules spring customers
dialer list rules spring customers --pack fr-2026
dialer list rules spring customers --pack none --why "they are all in Rome now\"""",
)
@click.argument("campaign")
@click.argument("list_name", metavar="LIST")
@click.option("--pack", type=click.Choice([*sorted(PACKS), "none"]), help="Whose law holds besides the campaign's.")
@click.option("--why", default="", help=_WHY)
@output.json_option
@click.pass_obj
def list_rules(context: CliContext, campaign: str, list_name: str, pack: str | None, why: str, as_json: bool) -> None:
    """Show or set whose rules of calling hold for a LIST (its name, or its import's number) besides its campaign's.

    Where two packs apply the strictest wins. The rate of abandoned calls is the campaign's, whatever its lists say.
    """
    from campaigns import lifecycle, rule_changes
    from campaigns.db import database_now
    from campaigns.lists_view import list_named

    with context.application() as app, app.transaction() as session:
        found = lifecycle.get(session, campaign, lock=pack is not None)
        meant = list_named(session, found, list_name)
        change = None
        if pack is not None:
            change = rule_changes.set_list_pack(
                session, found, meant, None if pack == "none" else pack,
                may_loosen=app.settings.rights.may_raise_ceiling, now=database_now(session), who=who(), why=why,
            )  # fmt: skip
    if as_json:
        shown = {"list": meant.name, "pack": meant.rule_pack, "campaign_pack": found.rule_pack}
        output.print_json({"campaign": found.name, **shown, "change": _json(change)})
    elif change is not None:
        _say(f"list {output.clean(meant.name)}", change)
    else:
        own = f"{meant.rule_pack}, besides" if meant.rule_pack else "no pack of its own, only"
        click.echo(f"list {output.clean(meant.name)}: {own} {found.rule_pack} of campaign {output.clean(found.name)}")


def _json(change: PackChange | None) -> dict[str, object] | None:
    if change is None:
        return None
    return {"old": change.old, "new": change.new, "changed": change.changed, "loosened": list(change.loosened)}


def _say(whose: str, change: PackChange) -> None:
    if not change.changed:
        click.echo(f"{whose} is under {change.new or 'no pack of its own'} already")
        return
    click.echo(f"{whose}: {change.old or 'no pack of its own'} -> {change.new or 'no pack of its own'}")
    if change.loosened:
        output.note(f"kept less strictly from now on: {', '.join(change.loosened)}")
