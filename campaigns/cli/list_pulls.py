"""`dialer list pulls`: files that come by themselves."""

from __future__ import annotations

import click

from campaigns.cli import output
from campaigns.cli.context import CliContext
from campaigns.cli.tree import Command


@click.command(
    "pulls",
    cls=Command,
    example="""dialer list pulls
dialer list pulls --now crm""",
)
@click.option("--now", "at_once", metavar="NAME", help="Look for a file of this one now, whether it is due or not.")
@output.json_option
@click.pass_obj
def pulls(context: CliContext, at_once: str | None, as_json: bool) -> None:
    """Show the scheduled pulls, [import.NAME] in the settings: where each looks, when it last did, what came of it.

    The scheduler looks by itself. Files of a folder are moved to its `done`, or to `failed` with the reason beside.
    """
    from campaigns import pulling

    with context.application() as app:
        known = app.settings.pulls
        if at_once is not None:
            if at_once not in known:
                from dialer.errors import NotFound

                there = ", ".join(known) or "none: add a section [import.NAME] to the settings"
                raise NotFound(f"there is no pull {at_once!r} (there are: {there})")
            pulling.look(app, at_once, at_once=True)
        with app.transaction() as session:
            rows = pulling.overview(session, known)
    if as_json:
        output.print_json({"pulls": rows})
        return
    if not rows:
        output.note("no pulls: a section [import.NAME] in the settings makes one, with campaign, and path or url")
        return
    shown = [
        [row["name"], row["campaign"], row["from"], output.words(row["every"]),
         output.local(row["looked_at"], pattern="%d %b %H:%M:%S %Z"),
         f"{row['file']}: import {row['import']} {row['state']}" if row["import"] else "-"]
        for row in rows
    ]  # fmt: skip
    output.print_table(["Pull", "Campaign", "From", "Every", "Looked", "Brought"], shown)
    for row in rows:
        if row["trouble"]:
            output.note(f"{row['name']}: {row['trouble']}")
