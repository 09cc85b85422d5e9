"""`dialer config`: the settings in force, and where each of them comes from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from campaigns.cli import output
from campaigns.cli.context import CliContext
from campaigns.cli.tree import Group

if TYPE_CHECKING:
    from campaigns.effective import Effective


@click.group(cls=Group)
def config() -> None:
    """The settings in force and where each comes from."""


@config.command("show", example="dialer config show --changed")
@click.option("--changed", is_flag=True, help="Only what is not the default.")
@output.json_option
@click.pass_context
def show(ctx: click.Context, changed: bool, as_json: bool) -> None:
    """Show every setting, its value, and whether it is the default, the file's or the environment's.

    Secrets are never shown: only where they are kept, and whether they are there.
    """
    from pathlib import Path

    from campaigns.effective import effective

    context: CliContext = ctx.obj
    given = ctx.find_root().params.get("config") or os.environ.get("DIALER_CONFIG")
    path = Path(given) if given else None
    values = [one for one in effective(context.settings, path, os.environ) if one.origin != "default" or not changed]
    if as_json:
        settings = {one.name: {"value": one.value, "from": one.origin} for one in values}
        output.print_json({"file": str(path) if path else None, "settings": settings})
        return
    output.note(f"settings file: {path or 'none (defaults and environment)'}")
    output.print_table(["Setting", "Value", "From"], [_cells(one) for one in values])


def _cells(one: Effective) -> list[object]:
    from rich.text import Text

    dim = "dim" if one.origin == "default" else ""
    shown = "(empty)" if one.value in ("", None, [], {}) else str(one.value)
    return [Text(one.name, style=dim), Text(output.clean(shown), style=dim), Text(one.origin, style=dim)]
