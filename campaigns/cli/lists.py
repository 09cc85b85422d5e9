"""`dialer list`: import contact lists, look at them, take them back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from campaigns.cli import list_caps, list_files, list_order, list_pulls, list_templates, output
from campaigns.cli.context import CliContext, who
from campaigns.cli.tree import Group
from dialer.abandonment import PACKS

if TYPE_CHECKING:
    from campaigns.models import Import


@click.group(cls=Group, name="list")
def lists() -> None:
    """Import contact lists, look at them, take them back."""


@lists.command(
    "import",
    example="""dialer list import spring customers.csv
dialer list import spring callbacks.csv --kind callbacks --dry-run
dialer list import spring crm.csv --mapping "Tel privato=phone,Memo=description"
dialer list import spring monday.csv --mapping crm --duplicates merge""",
)
@click.argument("campaign")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option(
    "--kind", type=click.Choice(["contacts", "callbacks"]), default="contacts", show_default=True,
    help="A plain list, or promised callbacks with dueDate and period.",
)  # fmt: skip
@click.option(
    "--mapping", default="", help="HEADER=FIELD, separated by commas, or a template's name; found by name otherwise."
)
@click.option(
    "--duplicates", type=click.Choice(["skip", "update", "merge", "link"]), 
    help="A row with a number that a contact has: "
    "skip it, update the contact, merge what it lacks, or take the row and link the two. Default: skip.",
)  # fmt: skip
@click.option(
    "--duplicates-in", type=click.Choice(["list", "campaign", "system"]),
    help="Look for them in this file alone, the campaign, or all campaigns. Default: campaign.",
)  # fmt: skip
@click.option(
    "--outside-hours", type=click.Choice(["skip", "move", "keep"]),
    help="A callback promised for a time at which nobody may be called: leave it out, move it to the next time that "
    "is allowed, or keep it. Default: skip.",
)  # fmt: skip
@click.option("--within-days", type=click.IntRange(0, 36_500), help="Only in lists imported in the last so many days.")
@click.option("--delimiter", help="One character; found from the file otherwise.")
@click.option("--encoding", help="For example utf-8 or latin-1; found from the file otherwise.")
@click.option("--name", "list_name", default="", help="Name of the list. Default: the file's.")
@click.option(
    "--rule-pack", type=click.Choice(sorted(PACKS)), help="Whose rules of calling hold for it besides the campaign's."
)
@click.option("--dry-run", is_flag=True, help="Judge every row, write the reject file, import nothing.")
@click.option("--force", is_flag=True, help="Even if the campaign has this file already.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until it is done, with its progress.")
@output.json_option
@click.pass_obj
def import_list(context: CliContext, /, campaign: str, file: Path, wait: bool, as_json: bool, **given: Any) -> None:
    """Import a CSV FILE into CAMPAIGN; `-` reads standard input.

    Every good row is imported, or none when the file itself is wrong. Rows not taken go to a reject file with
    line, column, value, reason and remedy; then the exit code is 3. Mend that file and import it as it is.
    """
    from campaigns.cli import importing

    with context.application() as app:
        job = importing.submit(app, campaign, file, who(), given)
        if wait:
            job = importing.finish(app, job.id, show=not as_json)
    _tell(job, campaign, as_json)


def _tell(job: Import, campaign: str, as_json: bool) -> None:
    from campaigns.importing import result

    failed = job.state not in ("done", "waiting", "running")
    if as_json:
        told = {
            **result(job),
            "updated": job.updated,
            "import": job.id,
            "state": job.state,
            "file": job.file_name,
            "error": job.error,
        }
        output.print_json({**told, "dry_run": bool(job.options.get("dry_run")), "note": job.options.get("note")})
    elif not failed:
        _print(job, campaign)
    if failed:
        from dialer.errors import DialerError

        raise DialerError(job.error or f"import {job.id} of {job.file_name} was taken back before it was done")
    if job.rejected:
        raise click.exceptions.Exit(3)


def _print(job: Import, campaign: str) -> None:
    import shlex

    if job.state != "done":
        click.echo(f"import {job.id} of {output.clean(job.file_name)} is {job.state}: `dialer list show` tells its end")
        return
    verb = "would be taken" if job.options.get("dry_run") else "taken"
    click.echo(
        f"{output.clean(job.file_name)}: {output.count(job.rows, 'row')}, {job.accepted:,} {verb}, "
        f"{job.rejected:,} rejected, {output.count(job.duplicates, 'duplicate')}"
        + (f" ({job.updated:,} changed a contact)" if job.updated else "")
    )
    if not job.rows:
        output.note(output.NO_ROWS)
    if note := job.options.get("note"):
        output.note(f"note: {note}")
    if job.reject_file:
        _print_reasons(Path(job.reject_file))
        click.echo(f"rows not taken, with what to do: {job.reject_file}")
    if told := job.options.get("remarks_file"):
        _print_reasons(Path(told))
        click.echo(f"rows taken, and told of: {told}")
    if job.accepted and not job.options.get("dry_run"):
        typed = shlex.quote(campaign)
        output.note(f"take it back with `dialer list undo {typed} --import {job.id}`")


def _print_reasons(reject_file: Path) -> None:
    from campaigns.lists_view import reasons

    rows = [
        [f"{one.rows:,}", one.column, one.reason, one.remedy, output.line_of(one.line, one.value)]
        for one in reasons(reject_file)
    ]
    output.print_table([("Rows", "right"), "Column", "Why", "What to do", "For example"], rows)


@lists.command("show", example="dialer list show spring")
@click.argument("campaign", required=False)
@output.json_option
@click.pass_obj
def show(context: CliContext, campaign: str | None, as_json: bool) -> None:
    """Show the imports of CAMPAIGN, or of all, newest first, and what is left of each to call."""
    from campaigns import lifecycle
    from campaigns.lists_view import list_rows

    with context.application() as app, app.transaction() as session:
        found = lifecycle.get(session, campaign) if campaign else None
        rows, zone = list_rows(session, found), output.zone_of(found)
    if as_json:
        output.print_json({"lists": [row.as_json() for row in rows]})
        return
    if not rows:
        output.note("no lists yet: `dialer list import CAMPAIGN FILE` brings one")
        return
    columns: list[output.Column] = [("Import", "right"), "Campaign", "List", "Kind", "State", ("When", "right")]
    columns += [(word, "right") for word in ("Rows", "Taken", "Rejected", "Twice", "Left")]
    shown = [
        [row.import_id, row.campaign, row.name, row.kind, f"{row.state}, dry" if row.dry_run else row.state,
         output.local(row.created_at, zone, "%d %b %H:%M %Z"), f"{row.rows:,}", f"{row.accepted:,}",
         f"{row.rejected:,}",
         f"{row.duplicates:,}", f"{row.left:,}"]
        for row in rows
    ]  # fmt: skip
    output.print_table(columns, shown)
    for row in rows:
        if row.error:
            output.note(f"import {row.import_id}: {row.error}")


@lists.command("undo", example="dialer list undo spring --import 12 --yes")
@click.argument("campaign")
@click.option("--import", "import_id", type=int, help="Its number in `dialer list show`. Default: the newest.")
@click.option("--why", default="", help="Kept in the ledger.")
@output.yes_option
@output.json_option
@click.pass_obj
def undo(context: CliContext, campaign: str, import_id: int | None, why: str, yes: bool, as_json: bool) -> None:
    """Take an import of CAMPAIGN back: its contacts are called no more.

    Contacts never tried are removed; those tried before are closed, since their attempts stay in the records.
    """
    from campaigns import lifecycle
    from campaigns.db import database_now
    from campaigns.importing import undo_import
    from campaigns.lists_view import import_to_undo

    with context.application() as app:
        with app.transaction() as session:
            found = lifecycle.get(session, campaign)
            job = import_to_undo(session, found, import_id)
        contacts = output.count(job.accepted, "contact")
        output.confirm(f"take back import {job.id} of {job.file_name} with its {contacts}?", yes)
        with app.transaction() as session:
            undone = undo_import(session, job.id, database_now(session), who(), why)
    if as_json:
        output.print_json(
            {"import": job.id, "removed": undone.removed, "closed": undone.closed, "put_back": undone.put_back}
        )
        return
    click.echo(
        f"import {job.id} of {output.clean(job.file_name)} is taken back: "
        f"{output.count(undone.removed, 'contact')} removed, "
        f"{undone.closed:,} that were tried before closed"
        + (f", {undone.put_back:,} of other lists as they were" if undone.put_back else "")
    )


lists.add_command(list_files.preview)
lists.add_command(list_files.diff)
lists.add_command(list_files.export)
lists.add_command(list_templates.template)
lists.add_command(list_order.order)
lists.add_command(list_order.contact_filter)
lists.add_command(list_caps.cap)
lists.add_command(list_pulls.pulls)
