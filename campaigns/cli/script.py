"""`dialer campaign script` and `dialer campaign form`: what agents read, and what they ask."""

from __future__ import annotations

from typing import TextIO

import click

from campaigns.cli import output
from campaigns.cli.context import CliContext, who
from campaigns.cli.tree import Command


@click.command(
    "script",
    cls=Command,
    example="""dialer campaign script spring greeting.txt
dialer campaign script spring""",
)
@click.argument("campaign")
@click.argument("file", type=click.File("r", encoding="utf-8"), required=False)
@click.option("--clear", is_flag=True, help="Leave the campaign without a script.")
@output.json_option
@click.pass_obj
def script(context: CliContext, campaign: str, file: TextIO | None, clear: bool, as_json: bool) -> None:
    """Show the script of CAMPAIGN, or take it from a text FILE (- for standard input).

    {first_name}, {last_name}, {company}, {description} and {number} are the contact's, {custom.NAME} a column of its
    list, {agent} and {campaign} are what they say. {first_name|there} reads "there" for who has none; {{ is a brace. A
    field nobody knows is refused. `dialer agent script` shows it filled in.
    """
    from campaigns import lifecycle, scripts
    from campaigns.db import database_now

    if file is not None and clear:
        raise click.UsageError("give a FILE or --clear, not both")
    text = "" if clear else _read(file) if file is not None else None
    with context.application() as app, app.transaction() as session:
        found = lifecycle.get(session, campaign, lock=text is not None)
        missing = []
        if text is not None:
            missing = scripts.set_script(session, found, text, now=database_now(session), who=who())
        kept = found.script
    if as_json:
        output.print_json({"campaign": found.name, "script": kept, "columns_nobody_has": missing})
        return
    for name in missing:
        output.note(f"warning: no contact seen has a column {output.clean(name)!r}")
    if text is not None:
        click.echo(f"campaign {found.name} has {f'a script of {len(kept):,} characters' if kept else 'no script now'}")
    elif kept:
        click.echo(kept)
    else:
        output.note(f"campaign {found.name} has no script: give a FILE")


def _read(file: TextIO) -> str:
    from dialer.errors import BadInput
    from dialer.scripts import LENGTH

    try:
        return file.read(LENGTH + 4_096)  # more than is allowed is refused anyhow
    except UnicodeDecodeError:
        raise BadInput(f"{file.name} is not UTF-8 text: save it as UTF-8") from None


@click.command(
    "form",
    cls=Command,
    example="""dialer campaign form spring 'budget*:number' 'interest:hot|warm|cold' remark
dialer campaign form spring""",
)
@click.argument("campaign")
@click.argument("fields", nargs=-1)
@click.option("--clear", is_flag=True, help="Leave the campaign without a form.")
@output.json_option
@click.pass_obj
def form(context: CliContext, campaign: str, fields: tuple[str, ...], clear: bool, as_json: bool) -> None:
    """Show what agents of CAMPAIGN ask, or give it exactly these FIELDS.

    A field is NAME, NAME:number, NAME:date, NAME:yes-no, or NAME:one|another; NAME* is one a sale cannot be without.
    Answers come with `dialer agent dispose --answer NAME=VALUE` and are kept with the call.
    """
    from campaigns import lifecycle, scripts
    from campaigns.db import database_now

    if fields and clear:
        raise click.UsageError("give FIELDS or --clear, not both")
    with context.application() as app, app.transaction() as session:
        found = lifecycle.get(session, campaign, lock=bool(fields or clear))
        if fields or clear:
            scripts.set_form(session, found, fields, now=database_now(session), who=who())
        kept = scripts.form_of(found)
    if as_json:
        output.print_json({"campaign": found.name, "form": [field.as_json() for field in kept]})
        return
    if not kept:
        output.note(f"campaign {found.name} has no form: give its fields, for example 'budget*:number'")
        return
    rows = [
        [field.name, "|".join(field.choices) or field.kind, "for a sale" if field.required else ""] for field in kept
    ]
    output.print_table(["Field", "Takes", "Needed"], rows)
