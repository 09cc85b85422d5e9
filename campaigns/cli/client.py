"""`dialer client`: the programs that may use the API."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from campaigns.cli import output
from campaigns.cli.context import CliContext
from campaigns.cli.params import Moment
from campaigns.cli.tree import Group

if TYPE_CHECKING:
    from datetime import date, datetime


@click.group(cls=Group)
def client() -> None:
    """The programs that may use the API, each with a token of its own (web.clients_file)."""


@client.command("new", example="dialer client new crm --until 2027-01-01")
@click.argument("name")
@click.option("--until", type=Moment(), help="The first day on which the token is no longer good. Default: never.")
@output.json_option
@click.pass_obj
def new(context: CliContext, name: str, until: date | datetime | None, as_json: bool) -> None:
    """Make a token for the program NAME and print it, once: only its digest is kept.

    The program sends it as the header `Authorization: Bearer TOKEN`. Web processes know it within two seconds.
    """
    from datetime import datetime

    from campaigns.web.clients import add_client

    if isinstance(until, datetime):
        raise click.UsageError("--until takes a day, for example 2027-01-01")
    file = _file(context)
    token = add_client(file, name, until)
    if as_json:
        output.print_json({"client": name, "token": token, "until": until})
        return
    click.echo(token)
    output.note(f"the token of {name}; it is shown this once, and its digest is in {file}")


@client.command("list", example="dialer client list")
@output.json_option
@click.pass_obj
def listed(context: CliContext, as_json: bool) -> None:
    """Show the programs that have a token."""
    from campaigns.web.clients import read_clients

    found = read_clients(_file(context))
    if as_json:
        output.print_json({"clients": [{"client": one.name, "until": one.until} for one in found]})
        return
    if not found:
        output.note("no program may use the API yet: `dialer client new NAME` makes a token")
        return
    output.print_table(["Client", "Until"], [[one.name, one.until or "-"] for one in found])


@client.command("remove", example="dialer client remove crm")
@click.argument("name")
@output.json_option
@click.pass_obj
def remove(context: CliContext, name: str, as_json: bool) -> None:
    """Take the token of the program NAME away; web processes know within two seconds."""
    from campaigns.web.clients import remove_client

    remove_client(_file(context), name)
    if as_json:
        output.print_json({"removed": name})
    else:
        click.echo(f"the token of {output.clean(name)} is no longer good")


def _file(context: CliContext) -> Path:
    if not context.settings.web.clients_file:
        from dialer.errors import BadInput

        raise BadInput(
            "no file is set for the programs that may use the API: name one with web.clients_file in the settings "
            "(or DIALER_WEB_CLIENTS_FILE), for example /etc/dialer/clients"
        )
    return Path(context.settings.web.clients_file)
