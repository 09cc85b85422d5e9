"""`dialer list template`: how files of one kind are read, under a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from campaigns.cli import output
from campaigns.cli.context import CliContext, who
from campaigns.cli.tree import Group

if TYPE_CHECKING:
    from campaigns.models import ImportTemplate


@click.group(cls=Group)
def template() -> None:
    """Save how files of one kind are read; use it with `--mapping NAME`."""


@template.command(
    "save", example='dialer list template save crm --mapping "Tel privato=phone,Cell=mobile" --duplicates merge'
)
@click.argument("name")
@click.option("--mapping", default="", help="HEADER=FIELD, separated by commas.")
@click.option("--delimiter", help="One character; found from each file otherwise.")
@click.option("--encoding", help="For example utf-8 or latin-1; found from each file otherwise.")
@click.option(
    "--duplicates",
    type=click.Choice(["skip", "update", "merge", "link"]),
    help="What is done with a row that repeats a contact.",
)
@click.option(
    "--duplicates-in", type=click.Choice(["list", "campaign", "system"]), help="Where repeats are looked for."
)
@click.option("--within-days", type=click.IntRange(0, 36_500), help="Only in lists imported in the last so many days.")
@click.option("--replace", is_flag=True, help="Even if there is a template of that name.")
@output.json_option
@click.pass_obj
def save(context: CliContext, /, name: str, mapping: str, replace: bool, as_json: bool, **given: Any) -> None:
    """Save a template NAME; what is given with an import still wins over it."""
    from campaigns import import_templates
    from campaigns.db import database_now
    from campaigns.import_columns import parse_mapping

    with context.application() as app, app.transaction() as session:
        options = {**given, "mapping": parse_mapping(mapping)}
        made = import_templates.save(session, name, options, who=who(), now=database_now(session), replace=replace)
        _tell(made, as_json, f"saved: use it with --mapping {made.name!r}")


@template.command("list", example="dialer list template list")
@output.json_option
@click.pass_obj
def listed(context: CliContext, as_json: bool) -> None:
    """Show every template and what it says."""
    from campaigns import import_templates

    with context.application() as app, app.transaction() as session:
        found = import_templates.listed(session)
    if as_json:
        output.print_json({"templates": [_as_json(one) for one in found]})
        return
    if not found:
        output.note("no templates yet: `dialer list template save NAME --mapping HEADER=FIELD,...` keeps one")
        return
    rows = [
        [one.name, _words(one.options), one.saved_by, output.local(one.saved_at, pattern="%d %b %H:%M %Z")]
        for one in found
    ]
    output.print_table(["Template", "Says", "Saved by", "When"], rows)


@template.command("show", example="dialer list template show crm")
@click.argument("name")
@output.json_option
@click.pass_obj
def show(context: CliContext, name: str, as_json: bool) -> None:
    """Show what template NAME says."""
    from campaigns import import_templates

    with context.application() as app, app.transaction() as session:
        _tell(import_templates.get(session, name), as_json, "")


@template.command("remove", example="dialer list template remove crm")
@click.argument("name")
@output.json_option
@click.pass_obj
def remove(context: CliContext, name: str, as_json: bool) -> None:
    """Forget template NAME; imports made with it stay as they are."""
    from campaigns import import_templates
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        gone = import_templates.remove(session, name, who=who(), now=database_now(session))
    if as_json:
        output.print_json({"removed": gone.name})
    else:
        click.echo(f"template {output.clean(gone.name)} is removed")


def _tell(one: ImportTemplate, as_json: bool, note: str) -> None:
    if as_json:
        output.print_json(_as_json(one))
        return
    click.echo(f"{output.clean(one.name)}: {output.clean(_words(one.options))}")
    if note:
        output.note(note)


def _as_json(one: ImportTemplate) -> dict[str, Any]:
    return {"name": one.name, **one.options, "saved_by": one.saved_by, "saved_at": one.saved_at}


def _words(options: dict[str, Any]) -> str:
    mapping = ",".join(f"{header}={field}" for header, field in options.get("mapping", {}).items())
    others = [f"--{key.replace('_', '-')} {value}" for key, value in options.items() if key != "mapping"]
    return " ".join([*([f"--mapping '{mapping}'"] if mapping else []), *others])
