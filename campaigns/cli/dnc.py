"""`dialer dnc`: numbers that nobody calls."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from campaigns.cli import output
from campaigns.cli.context import CliContext, who
from campaigns.cli.tree import Group

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@click.group(cls=Group)
def dnc() -> None:
    """Numbers that nobody calls: in one campaign, or in any.

    An entry holds from the moment it is added, for every process. Numbers without a country code are read as the
    campaign's country writes them, or --country.
    """


def _scope(command: Any) -> Any:
    for option in (
        click.option("--campaign", help="For this campaign alone. Default: for all."),
        click.option("--country", default="", help="How numbers without a country code are read, for example IT."),
    ):
        command = option(command)
    return command


def _where(session: Session, campaign: str | None, country: str, number: str = "+") -> tuple[int | None, str]:
    from campaigns import do_not_call_scope

    return do_not_call_scope.where(session, campaign, country, number)


def number_country(session: Session, country: str, number: str) -> str:
    """The country to read a number with when no campaign is named."""
    return _where(session, None, country, number)[1]


@dnc.command(
    "add",
    example="""dialer dnc add +390612345678 --reason 'asked us not to call'
dialer dnc add +390612345678 --person --reason 'letter of 3 March'""",
)
@click.argument("number")
@_scope
@click.option("--person", is_flag=True, help="All numbers of the contacts that have NUMBER, as when an agent says so.")
@click.option("--reason", default="", help="Kept with the entry; added again, beside the earlier one.")
@output.json_option
@click.pass_obj
def add(
    context: CliContext, number: str, campaign: str | None, country: str, person: bool, reason: str, as_json: bool
) -> None:
    """Put NUMBER on the do-not-call list. No call to it is ordered from now on.

    It binds that number. Whose other numbers are known is told; --person binds them too.
    """
    from campaigns import do_not_call, do_not_call_scope
    from campaigns import person as people
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        campaign_id, region = _where(session, campaign, country, number)
        given: Any = {
            "country": region, "campaign_id": campaign_id, "reason": reason, "who": who(),
            "now": database_now(session),
        }  # fmt: skip
        bound = people.forbid(session, number, **given) if person else [do_not_call.add(session, number, **given)]
        entry, new = bound[0]
        numbers = [one.number for one, _ in bound]
        free = do_not_call_scope.still_free(session, number, numbers, country=region, campaign_id=campaign_id)
        names = do_not_call_scope.names(session)
    if as_json:
        told = {"bound": numbers, "also_theirs": free}
        output.print_json({**do_not_call_scope.told(entry, names), "added": new, **told})
        return
    where = f"for campaign {campaign}" if campaign else "for every campaign"
    for one, is_new in bound:
        click.echo(f"{one.number} is {'' if is_new else 'already '}on the do-not-call list {where}")
    if free:
        them = ", ".join(free)
        output.note(
            f"the same person may still be called at {them}: `dialer dnc add {entry.number} --person` binds them"
        )


@dnc.command("import", example="dialer dnc import register.csv --country IT --reason 'public register, March'")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_scope
@click.option("--reason", default="", help="Kept with each entry.")
@output.json_option
@click.pass_obj
def import_file(
    context: CliContext, file: Path, campaign: str | None, country: str, reason: str, as_json: bool
) -> None:
    """Put every number of FILE on the do-not-call list: one per line, or a CSV with a phone column.

    Numbers that cannot be read are told with their line, and the exit code is 3.
    """
    from campaigns.db import database_now
    from campaigns.do_not_call_file import add_file

    with context.application() as app, app.transaction() as session:
        campaign_id, region = _where(session, campaign, country, "")
        added = add_file(
            session, file, country=region, campaign_id=campaign_id, reason=reason, who=who(),
            now=database_now(session), data_dir=app.data_dir,
        )  # fmt: skip
    if as_json:
        refused = [{"line": one.line, "value": one.value, "reason": one.reason} for one in added.refused]
        output.print_json(
            {
                "rows": added.rows, "accepted": added.accepted, "rejected": added.rejected,
                "duplicates": added.duplicates, "reject_file": added.reject_file, "refused": refused,
            }
        )  # fmt: skip
    else:
        click.echo(
            f"{output.clean(file.name)}: {output.count(added.rows, 'row')}, {added.accepted:,} added, "
            f"{added.rejected:,} rejected, {added.duplicates:,} there already"
        )
        if added.refused:
            rows = [[one.line, one.value, one.reason] for one in added.refused[:10]]
            output.print_table([("Line", "right"), "Value", "Why, and what to do"], rows)
        if added.reject_file:
            click.echo(f"rows not taken, with what to do: {added.reject_file}")
    if added.rejected:
        raise click.exceptions.Exit(3)


@dnc.command("check", example="dialer dnc check +390612345678")
@click.argument("number")
@_scope
@output.json_option
@click.pass_obj
def check(context: CliContext, number: str, campaign: str | None, country: str, as_json: bool) -> None:
    """Say whether NUMBER may be called, as far as the do-not-call list goes."""
    from campaigns import do_not_call_scope

    with context.application() as app, app.transaction() as session:
        campaign_id, region = _where(session, campaign, country, number)
        found = do_not_call_scope.checked(session, number, campaign_id=campaign_id, country=region)
    if as_json:
        output.print_json(found.as_json())
        return
    entries, names = found.entries, found.names
    if found.erased_at is not None:
        since = output.local(found.erased_at)
        click.echo(f"{output.clean(number)} is never called again: its owner was erased on request on {since}")
    if not found.blocked:
        click.echo(f"{output.clean(number)} is not on the do-not-call list")
    if not entries:
        return
    rows = [
        [entry.number, names.get(entry.campaign_id, "any") if entry.campaign_id else "any", entry.reason or "-",
         entry.source, entry.added_by, output.local(entry.added_at)]
        for entry in entries
    ]  # fmt: skip
    output.print_table(["Number", "Not called by", "Reason", "Source", "Added by", "Since"], rows)


@dnc.command("remove", example="dialer dnc remove +390612345678 --why 'asked to be called again' --yes")
@click.argument("number")
@_scope
@click.option("--why", required=True, help="Kept in the ledger for ever: somebody asked not to be called.")
@output.yes_option
@output.json_option
@click.pass_obj
def remove(
    context: CliContext, number: str, campaign: str | None, country: str, why: str, yes: bool, as_json: bool
) -> None:
    """Take NUMBER off the do-not-call list, so that it may be called again."""
    from campaigns import do_not_call
    from campaigns.db import database_now

    with context.application() as app:
        with app.transaction() as session:
            campaign_id, region = _where(session, campaign, country, number)
        where = f"campaign {campaign}" if campaign else "all campaigns"
        output.confirm(f"let {output.clean(number)} be called again by {where}?", yes)
        with app.transaction() as session:
            do_not_call.remove(
                session, number, country=region, campaign_id=campaign_id, reason=why, who=who(),
                now=database_now(session),
            )  # fmt: skip
    if as_json:
        output.print_json({"number": number, "campaign": campaign, "removed": True})
        return
    click.echo(f"{output.clean(number)} is off the do-not-call list of {where}")
