"""`dialer pbx`: the PBXs of the settings, and whether they are fit for calling."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from campaigns.cli import output
from campaigns.cli.context import CliContext
from campaigns.cli.tree import Group

if TYPE_CHECKING:
    from dialer.pbx.base import Finding


@click.group(cls=Group)
def pbx() -> None:
    """The PBXs in the settings, and whether they are fit for calling."""


@pbx.command("list", example="dialer pbx list --json")
@output.json_option
@click.pass_obj
def list_pbxes(context: CliContext, as_json: bool) -> None:
    """List the PBXs of the settings and what was last heard of each."""
    from sqlalchemy import select

    from campaigns.db import database_now
    from campaigns.effective import without_password
    from campaigns.models import PbxStatus

    with context.application() as app, app.transaction() as session:
        now = database_now(session)
        status = {row.pbx: row for row in session.scalars(select(PbxStatus))}
        sections = app.settings.pbx
    told = []
    for name, section in sections.items():
        row = status.get(name)
        gateways = row.gateways if row else []
        told.append(
            {
                "name": name, "kind": section.kind, "url": without_password(section.url),
                "lines": sum(one["lines"] for one in gateways),
                "busy_lines": sum(one["busy_lines"] for one in gateways),
                "gateways": len(gateways), "read_at": row.read_at if row else None,
                "trouble": row.trouble if row else "",
            }
        )  # fmt: skip
    if as_json:
        output.print_json({"pbxes": told})
        return
    if not told:
        output.note("no PBX in the settings: add a [pbx.NAME] section, or run `dialer demo` to see one at work")
        return
    columns: list[output.Column] = ["PBX", "Kind", "Address", ("Lines busy", "right"), "Last read", "Trouble"]
    rows: list[list[Any]] = [
        [one["name"], one["kind"], one["url"], f"{one['busy_lines']}/{one['lines']}" if one["gateways"] else "-",
         output.ago(one["read_at"], now), one["trouble"] or "-"]
        for one in told
    ]  # fmt: skip
    output.print_table(columns, rows)


@pbx.command("check", example="dialer pbx check main")
@click.argument("name")
@output.json_option
@click.pass_obj
def check(context: CliContext, name: str, as_json: bool) -> None:
    """Look at the set-up of PBX NAME and say what would go wrong, with a remedy for each fault.

    Nothing is called, and no process needs to run. With the database at hand it also says when the PBX's last
    event came.
    """
    from campaigns.doctor import pbx_findings, with_last_event

    quiet_retries()
    settings = context.settings
    findings, trouble = pbx_findings(name, settings, os.environ)
    if trouble is None and (settings.database.url or settings.data_dir.is_dir()):
        findings = with_last_event(name, findings, context.application)
    good = trouble is None and all(one.ok or not one.fatal for one in findings)
    if as_json:
        listed = [{"ok": one.ok, "what": one.what, "remedy": one.remedy, "fatal": one.fatal} for one in findings]
        output.print_json({"pbx": name, "ok": good, "findings": listed, "error": str(trouble) if trouble else None})
    else:
        print_findings(findings)
        if trouble is None:
            faults = sum(not one.ok and one.fatal for one in findings)
            click.echo(
                f"PBX {name} is fit for calling"
                if good
                else f"PBX {name} is not fit for calling: {output.count(faults, 'fault')}"
            )
    if trouble is not None:
        raise trouble
    if not good:
        raise click.exceptions.Exit(1)


def print_findings(findings: list[Finding], indent: int = 0) -> None:
    """One line per finding: a sign, what was seen, and under it the remedy."""
    from rich.table import Table
    from rich.text import Text

    out = output.console()
    for one in findings:
        sign, style = ("✓", "green") if one.ok else ("✗", "bold red") if one.fatal else ("!", "yellow")
        lines = Table.grid(padding=(0, 1, 0, 0))  # so that what is too long hangs under its beginning
        lines.add_row(" " * indent + sign, Text(output.clean(one.what)), style=style if not one.ok else None)
        for remedy in one.remedy.splitlines() if not one.ok else ():
            lines.add_row("", Text(f"→ {output.clean(remedy.strip())}"))
        lines.columns[0].style = style
        out.print(lines)


def quiet_retries() -> None:
    """The finding says how the read ended; that it was tried three times is for a process's log."""
    from stamina.instrumentation import set_on_retry_hooks

    set_on_retry_hooks(())
