"""`dialer callbacks lists | pull | send`: callback lists that a PBX keeps, as XiVO does."""

from __future__ import annotations

from typing import BinaryIO

import click

from campaigns.cli import output
from campaigns.cli.callbacks_work import callbacks
from campaigns.cli.context import CliContext

__all__ = ["callbacks"]
_MOST = 8 * 1024 * 1024


@callbacks.command("lists", example="dialer callbacks lists")
@output.json_option
@click.pass_obj
def lists(context: CliContext, as_json: bool) -> None:
    """Show the callback lists that a PBX keeps and we work through: when each was read, and what is in the way.

    Which they are is in the settings, `callback_lists` in [pbx.NAME.extra]. The scheduler reads them by itself.
    """
    from campaigns import listed_view
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        now = database_now(session)
        told = listed_view.overview(session, listed_view.bound(app.pbxes))
    if as_json:
        output.print_json({"lists": told})
        return
    if not told:
        output.note('no PBX keeps callback lists for us: see callback_lists = "LIST=CAMPAIGN" in docs/pbx/xivo.md')
        return
    columns: list[output.Column] = ["List", "PBX", "Campaign", ("Open", "right"), ("Taken there", "right")]
    columns += [("Not callable", "right"), ("Tickets owed", "right"), "Read", "Trouble"]
    output.print_table(
        columns,
        [
            [one["list"], one["pbx"], one["campaign"], one["open"], one["taken"], one["refused"], one["owed"],
             output.ago(one["read_at"], now), one["trouble"] or "-"]
            for one in told
        ],
    )  # fmt: skip
    for one in told:
        for request in one["troubles"]:
            output.note(f"{one['list']}, request {request['request']}: {request['why']}")


@callbacks.command("pull", example="dialer callbacks pull main")
@click.argument("pbx")
@output.json_option
@click.pass_obj
def pull(context: CliContext, pbx: str, as_json: bool) -> None:
    """Read the callback lists of PBX now, instead of at the scheduler's next turn. Harmless beside it."""
    from campaigns import listed_requests
    from dialer.errors import BadInput

    with context.application() as app:
        if listed_requests.keeper(app.pbx(pbx)) is None:
            raise BadInput(
                f"PBX {pbx} keeps no callback lists for us: bind them with callback_lists in [pbx.{pbx}.extra]; "
                "XiVO is the PBX that has some"
            )
        done = listed_requests.read(app, pbx)
    if as_json:
        output.print_json({"lists": [one.as_json() for one in done]})
    else:
        for one in done:
            counts = (
                f"{one.requests} requests, {one.new} new, {one.changed} changed, {one.gone} gone, {one.taken} taken"
            )
            click.echo(output.clean(f"{one.name} -> {one.campaign}: {one.trouble or counts}"))
    if any(one.trouble for one in done):
        raise click.exceptions.Exit(1)


@callbacks.command("send", example="dialer callbacks send requests.csv --pbx main --list Wisconsin")
@click.argument("file", type=click.File("rb"))
@click.option("--pbx", required=True, help="The PBX that keeps the list.")
@click.option("--list", "list_name", required=True, help="Name or id of the list there.")
@output.json_option
@click.pass_obj
def send(context: CliContext, file: BinaryIO, pbx: str, list_name: str, as_json: bool) -> None:
    """Have PBX import FILE, a CSV in XiVO's form, into a callback list of its own.

    What we read of the list afterwards are its requests. Without XiVO's configuration server in the settings
    (config_url), XiVO's manager page imports the same file.
    """
    from dialer.errors import BadInput
    from dialer.pbx.callback_lists import KeepsCallbacks

    data = file.read(_MOST + 1)
    if len(data) > _MOST:
        raise BadInput(f"{file.name}: more than {_MOST >> 20} MiB; send it in parts")
    rows = _checked(file.name, data)
    with context.application() as app:
        keeper = app.pbx(pbx)
        if not isinstance(keeper, KeepsCallbacks):
            raise BadInput(f"PBX {pbx} keeps no callback lists: `dialer list import --kind callbacks` makes them ours")
        said = keeper.send_csv(list_name, data)
    if as_json:
        output.print_json({"pbx": pbx, "list": list_name, "rows": rows, "answer": said})
        return
    click.echo(output.clean(f"{rows} rows were given to list {list_name}{f'; it answered: {said}' if said else ''}"))


def _checked(name: str, data: bytes) -> int:
    """The rows of a file in XiVO's form; BadInput when it is another, which XiVO would take for names of people."""
    from campaigns.callback_tickets import XIVO_COLUMNS
    from dialer.errors import BadInput

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise BadInput(f"{name}: byte {exc.start} is no UTF-8; save it as UTF-8") from None
    header, *rows = text.splitlines() or [""]
    wanted = XIVO_COLUMNS[:8]
    given = header.split("|")
    if not {"phoneNumber", "mobilePhoneNumber"} & set(given) or not {one.lower() for one in given} <= {
        one.lower() for one in wanted
    }:
        raise BadInput(f"{name}: the first line must name XiVO's columns, | between them: {'|'.join(wanted)}")
    return sum(bool(row.strip()) for row in rows)
