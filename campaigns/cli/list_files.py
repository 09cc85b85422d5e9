"""`dialer list preview`, `diff` and `export`: look into a file before it is imported, and take contacts out again."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from campaigns.cli import output
from campaigns.cli.context import CliContext, who
from campaigns.cli.tree import Command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TextIO

    from campaigns.import_preview import Preview
    from campaigns.list_diff import Diff, Difference

READABLE = click.Path(exists=True, dir_okay=False, path_type=Path)


def reading_options(command: Any) -> Any:
    """Add what says how a file is read."""
    for option in reversed(
        (
            click.option(
                "--mapping", default="",
                help="HEADER=FIELD, separated by commas, or a template's name; found by name otherwise.",
            ),
            click.option("--delimiter", help="One character; found from the file otherwise."),
            click.option("--encoding", help="For example utf-8 or latin-1; found from the file otherwise."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


@click.command(
    "preview",
    cls=Command,
    example="""dialer list preview spring customers.csv
dialer list preview spring crm.csv --mapping "Tel privato=phone" --all""",
)
@click.argument("campaign")
@click.argument("file", type=READABLE)
@click.option(
    "--kind", type=click.Choice(["contacts", "callbacks"]), default="contacts", show_default=True,
    help="A plain list, or promised callbacks with dueDate and period.",
)  # fmt: skip
@reading_options
@click.option(
    "--duplicates-in", type=click.Choice(["list", "campaign", "system"]), help="Where repeats are looked for."
)
@click.option(
    "--outside-hours", type=click.Choice(["skip", "move", "keep"]),
    help="A callback promised for a time at which nobody may be called: leave it out, move it to the next time that "
    "is allowed, or keep it. Default: skip.",
)  # fmt: skip
@click.option("--within-days", type=click.IntRange(0, 36_500), help="Only in lists imported in the last so many days.")
@click.option("--rows", default=5, show_default=True, type=click.IntRange(0, 100), help="Contacts to show as read.")
@click.option("--all", "everything", is_flag=True, help="Judge every row. Default: the first 10,000.")
@output.json_option
@click.pass_obj
def preview(
    context: CliContext,
    /,
    campaign: str,
    file: Path,
    kind: str,
    rows: int,
    everything: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Show what an import of FILE into CAMPAIGN would do: columns, first contacts, refusals by reason, repeats.

    Writes nothing, keeps no copy and makes no reject file; `dialer list import --dry-run` does that. The exit code is 2
    when the file could not be imported at all, 3 when rows would be refused.
    """
    from campaigns import import_preview, lifecycle
    from campaigns.cli.importing import read_options
    from campaigns.db import database_now
    from campaigns.import_storing import clean_name

    with context.application() as app, app.transaction() as session:
        found = lifecycle.get(session, campaign)
        made = import_preview.preview(
            session, found, file, file_name=clean_name(file.name), kind=kind, options=read_options(session, given),
            now=database_now(session), most=None if everything else import_preview.LOOKED_AT, shown=rows,
        )  # fmt: skip
    if as_json:
        output.print_json(made.as_json())
    else:
        _print_preview(made)
    if made.trouble or made.rejected:
        raise click.exceptions.Exit(2 if made.trouble else 3)


def _custom(kept: str | None) -> str:
    """Columns kept under their own names, for people."""
    return ", ".join(f"{name}: {value}" for name, value in json.loads(kept or "{}").items())


def _print_preview(made: Preview) -> None:
    from campaigns.import_reading import DELIMITERS

    name = output.clean(made.file_name)
    delimiter = DELIMITERS.get(made.delimiter, repr(made.delimiter))
    click.echo(f"{name}: {made.encoding}, {delimiter} between columns, header on line {made.header_line}")
    shown = [
        [one.name, one.becomes, f"{one.confidence:.0%}", one.why, f"{one.filled:.0%}", " · ".join(one.samples)]
        for one in made.columns
    ]
    output.print_table(
        ["Column", "Becomes", ("Sure", "right"), "Why", ("Filled", "right"), "For example"], shown, title="Columns"
    )
    if made.trouble:
        output.note(f"error: {made.trouble}")
        return
    if made.first:
        read = [
            [one["line"], ", ".join(one["numbers"]),
             " ".join(filter(None, (one.get("first_name"), one.get("last_name"), one.get("company")))),
             " ".join(filter(None, (one.get("promised"), one.get("description"), _custom(one.get("custom")))))]
            for one in made.first
        ]  # fmt: skip
        output.print_table([("Line", "right"), "Numbers", "Who", "More"], read, title="First contacts, as read")
    told = (
        ("Rows that would not be taken", "What to do", made.reasons),
        ("Rows taken, and", "What is done", made.remarks),
    )
    for title, what, reasons in told:
        rows = [
            [f"{one.rows:,}", one.column, one.reason, one.remedy, output.line_of(one.line, one.value)]
            for one in reasons
        ]
        columns: list[output.Column] = [("Rows", "right"), "Column", "Why", what, "For example"]
        if rows:
            output.print_table(columns, rows, title=title)
    part = "" if made.whole else " of its beginning (--all judges the rest)"
    click.echo(
        f"\n{output.count(made.rows, 'row')}{part}: {made.accepted:,} would be taken, {made.rejected:,} rejected, "
        f"{output.count(made.duplicates, 'duplicate')}"
    )
    if not made.rows:
        output.note(output.NO_ROWS)


@click.command(
    "diff",
    cls=Command,
    example="""dialer list diff spring customers-new.csv
dialer list diff spring customers-new.csv --import 12 --out changes.csv""",
)
@click.argument("campaign")
@click.argument("file", type=READABLE)
@click.option(
    "--import", "import_id", type=int,
    help="Its number in `dialer list show`. Default: the newest of a file of this name, else the newest.",
)  # fmt: skip
@reading_options
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write every difference to this CSV file.")
@output.json_option
@click.pass_obj
def diff(
    context: CliContext,
    /,
    campaign: str,
    file: Path,
    import_id: int | None,
    out: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Compare FILE with a list that CAMPAIGN has: who is new, who is gone, what changed in which column.

    Changes nothing. Contacts are the same when the number tried first is.
    """
    from campaigns import lifecycle, list_diff
    from campaigns.cli.importing import read_options
    from campaigns.db import database_now
    from campaigns.import_storing import clean_name

    file_name = clean_name(file.name)
    with context.application() as app, app.transaction() as session, _told(out) as tell:
        found = lifecycle.get(session, campaign)
        made = list_diff.diff(
            session, found, file, file_name=file_name, options=read_options(session, given), now=database_now(session),
            loaded=list_diff.loaded_import(session, found, file_name, import_id), tell=tell,
        )  # fmt: skip
    if as_json:
        output.print_json({**made.as_json(), "out": str(out) if out else None})
        return
    _print_diff(made, file_name, out)


@contextlib.contextmanager
def _told(out: Path | None) -> Iterator[Callable[[Difference], None]]:
    """Give what writes each difference to the file that was asked for."""
    if out is None:
        yield lambda _: None
        return
    from campaigns.list_diff import writer

    with _written(out) as file:
        yield writer(file)


def _print_diff(made: Diff, file_name: str, out: Path | None) -> None:
    name, listed = output.clean(file_name), output.clean(made.list_name)
    click.echo(
        f"{name} against the list {listed} (import {made.import_id}): {made.added:,} added, {made.gone:,} gone, "
        f"{made.changed:,} changed, {made.same:,} the same"
    )
    if made.columns:
        rows = [[column, f"{count:,}"] for column, count in made.columns.most_common()]
        output.print_table(["Column", ("Contacts changed", "right")], rows)
    if made.rejected or made.repeated:
        output.note(f"left out: {made.rejected:,} rows that cannot be read, {made.repeated:,} repeats within the file")
    if out is not None:
        output.note(f"every difference: {out}")


@click.command(
    "export",
    cls=Command,
    example="""dialer list export spring > spring.csv
dialer list export spring --all --out everything.csv""",
)
@click.argument("campaign")
@click.option("--import", "import_id", type=int, help="Of this import alone; its number in `dialer list show`.")
@click.option("--all", "everything", is_flag=True, help="Also contacts of lists that were taken back.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Default: standard output.")
@output.json_option
@click.pass_obj
def export(
    context: CliContext, campaign: str, import_id: int | None, everything: bool, out: Path | None, as_json: bool
) -> None:
    """Write the contacts of CAMPAIGN as CSV, with their state and what came of every try.

    Safe to open in a spreadsheet, and `dialer list import` takes it back: columns that begin with dialer_ are ours and
    left out then. Who exported what is kept in the ledger.
    """
    from campaigns import lifecycle, list_export
    from campaigns.db import database_now

    if as_json and out is None:
        raise click.UsageError("--json tells what was written: name the file with --out")
    with context.application() as app:
        with app.transaction() as session:
            found = lifecycle.get(session, campaign)
            list_id = list_export.begin(
                session, found, import_id=import_id, everything=everything,
                file=str(out) if out else "standard output", who=who(), now=database_now(session),
            )  # fmt: skip
        with app.transaction() as session, _written(out) as file:
            rows = list_export.export(session, found, file, list_id=list_id, everything=everything or bool(list_id))
    if as_json:
        output.print_json({"campaign": found.name, "rows": rows, "file": str(out)})
    else:
        output.note(f"{output.count(rows, 'contact')} written to {out or 'standard output'}")


@contextlib.contextmanager
def _written(out: Path | None) -> Iterator[TextIO]:
    """Give a file that appears under its name when it is whole, and that only this account can read."""
    if out is None:
        yield sys.stdout
        return
    from dialer.errors import BadInput

    part = out.with_name(f"{out.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as exc:
        raise BadInput(f"{out} cannot be written: {exc.strerror}; name another with --out") from None
    try:
        # With a mark: spreadsheets show accents, and the importer knows it.
        with os.fdopen(descriptor, "w", encoding="utf-8-sig", newline="") as file:
            yield file
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
