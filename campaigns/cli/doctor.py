"""`dialer doctor`: everything checked, with a remedy for each fault."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from campaigns.cli import output
from campaigns.cli.context import CliContext
from campaigns.cli.tree import Command

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from campaigns.application import Application
    from campaigns.checks import Check
    from dialer.settings import Settings


@click.command("doctor", cls=Command, example="dialer doctor --json")
@output.json_option
@click.pass_obj
def doctor(context: CliContext, as_json: bool) -> None:
    """Check the whole installation and say how to mend each fault.

    Settings, machine, database, Redis, processes, campaigns, events, imports and every PBX. Ends with 0 when all
    is well, 1 when something is wrong, 6 when a service cannot be reached.
    """
    from campaigns.checks import verdict
    from campaigns.cli.pbx import quiet_retries
    from campaigns.doctor import examine

    def settings() -> Settings:
        return context.settings

    def application() -> AbstractContextManager[Application]:
        return context.application()

    quiet_retries()
    checks: list[Check] = []
    area = ""
    for check in examine(settings, application):
        checks.append(check)
        if not as_json:
            if check.area != area:
                output.console().print(output.heading(check.area[:1].upper() + check.area[1:]))
                area = check.area
            _print(check)
    code = verdict(checks)
    faults = sum(not check.ok and check.fatal for check in checks)
    warnings = sum(not check.ok and not check.fatal for check in checks)
    if as_json:
        listed = [check.as_json() for check in checks]
        output.print_json({"ok": code == 0, "faults": faults, "warnings": warnings, "checks": listed})
    elif faults or warnings:
        click.echo(f"\n{output.count(faults, 'fault')}, {output.count(warnings, 'warning')}")
    else:
        click.echo("\nall is well")
    if code:
        raise click.exceptions.Exit(code)


def _print(check: Check) -> None:
    from campaigns.cli.pbx import print_findings
    from dialer.pbx.base import Finding

    print_findings([Finding(check.ok, check.what, check.remedy, check.fatal)], indent=2)
