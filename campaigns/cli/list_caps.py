"""`dialer list cap`: how far each list is to be worked, and how far it was."""

from __future__ import annotations

import click

from campaigns.cli import output
from campaigns.cli.context import CliContext, who
from campaigns.cli.tree import Command


@click.command(
    "cap",
    cls=Command,
    example="""dialer list cap spring
dialer list cap spring customers --cap 60%
dialer list cap spring prospects --today 500 --why "the new team begins"
dialer list cap spring customers --cap none""",
)
@click.argument("campaign")
@click.argument("contact_list", metavar="LIST", required=False)
@click.option("--cap", help="The most of its contacts that get a first attempt at all: 60%, 500 or none.")
@click.option("--today", help="The most of them that get it on one day of the campaign: 10%, 200 or none.")
@click.option("--why", default="", help="Kept in the ledger.")
@output.json_option
@click.pass_obj
def cap(
    context: CliContext, campaign: str, contact_list: str | None, cap: str | None, today: str | None, why: str,
    as_json: bool,
) -> None:  # fmt: skip
    """Show how far the lists of CAMPAIGN were worked, or say how far LIST is to be.

    LIST is a name, or its import's number. A cap is about people nobody has called yet: at it none of them is chosen
    any more, until it is raised or, with --today, the day is over where the campaign is. Retries and promised callbacks
    go on. It holds from the next call on.
    """
    from campaigns import lifecycle, list_caps, list_caps_view
    from campaigns.db import database_now

    changes = cap is not None or today is not None
    if changes and contact_list is None:
        raise click.UsageError("name the list that shall have the cap: `dialer list cap CAMPAIGN LIST --cap 60%`")
    with context.application() as app:
        if changes and contact_list is not None:
            list_caps.change(app, campaign, contact_list, cap=cap, today=today, who=who(), why=why)
        with app.transaction() as session:
            found = lifecycle.get(session, campaign)
            rows = list_caps_view.worked(session, found, database_now(session))
            if contact_list is not None:
                only = list_caps.which(session, found, contact_list).id
                rows = [row for row in rows if row.list_id == only]
            zone = output.zone_of(found)
    if as_json:
        output.print_json({"campaign": found.name, "lists": [list_caps_view.told(row) for row in rows]})
        return
    if not rows:
        output.note("no lists yet: `dialer list import CAMPAIGN FILE` brings one")
        return
    columns: list[output.Column] = ["List"]
    columns += [(word, "right") for word in ("Contacts", "Tried", "Share", "Cap", "Today", "Cap a day", "Room")]
    shown = [
        [row.name, f"{row.contacts:,}", f"{row.tried:,}", output.percent(row.penetration), str(row.cap or "–"),
         f"{row.today:,}", str(row.cap_today or "–"), "all" if row.room is None else f"{row.room:,}"]
        for row in rows
    ]  # fmt: skip
    output.print_table(columns, shown)
    for row in rows:
        if row.full:
            again = (
                f"until {output.local(row.until, zone, '%d %b %H:%M %Z')}" if row.until else "until its cap is raised"
            )
            output.note(f"list {row.name} is at its cap: none of its contacts is called for the first time {again}")
