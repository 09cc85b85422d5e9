"""`dialer person`: what is known about somebody, their consent, and how they are erased."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from campaigns.cli import output
from campaigns.cli.context import CliContext, who
from campaigns.cli.dnc import number_country
from campaigns.cli.tree import Group

if TYPE_CHECKING:
    from campaigns.person import Known


@click.group(cls=Group)
def person() -> None:
    """What is known about a person, by a number of theirs; their consent; and how they are erased."""


_country = click.option("--country", default="", help="How a number without a country code is read, for example IT.")


@person.command("show", example="dialer person show +390612345678 --json > answer.json")
@click.argument("number")
@_country
@output.json_option
@click.pass_obj
def show(context: CliContext, number: str, country: str, as_json: bool) -> None:
    """Show everything that is known about the person with NUMBER, as they may ask us to.

    That it was looked at is kept in the ledger. Exit code 4 when nothing is known.
    """
    from campaigns import person as people
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        region = number_country(session, country, number)
        found = people.known(session, number, country=region, who=who(), now=database_now(session))
    if as_json:
        output.print_json(found.as_json())
    else:
        _print(found)
    if found.nothing:
        raise click.exceptions.Exit(4)


def _print(found: Known) -> None:
    out = output.console()
    out.print(output.heading(found.number))
    if found.nothing:
        click.echo("nothing is known about this number")
        return
    if found.forgotten_since:
        click.echo(f"erased on request on {output.local(found.forgotten_since)}: never called again")
    for contact in found.contacts:
        told = [
            [name.replace("_", " "), _cell(value)] for name, value in contact.items() if value not in (None, "", {})
        ]
        output.print_table(["Field", "Value"], told, title=f"Contact {contact['contact']}")
    if found.calls:
        rows = [
            [output.local(one["ordered_at"]), one["campaign"], one["number"], one["outcome"], one["agent"] or "-",
             one["ref"]]
            for one in found.calls
        ]  # fmt: skip
        output.print_table(["Called", "Campaign", "Number", "Outcome", "Agent", "Reference"], rows, title="Calls")
    if notes := [[output.local(one["ordered_at"]), one["note"]] for one in found.calls if one["note"]]:
        output.print_table(["Called", "Note"], notes, title="What agents noted")
    if found.callbacks:
        rows = [
            [output.local(one["due_at"]), one["made_by"], one["result"] or "open", one["why"] or "-",
             "; ".join(one["comments"]) or "-"]
            for one in found.callbacks
        ]  # fmt: skip
        output.print_table(["Due", "Promised by", "Result", "Why", "Comments"], rows, title="Callbacks")
    if found.offers:
        rows = [[output.local(one["offered_at"]), one["agent"], one["state"], one["reason"]] for one in found.offers]
        output.print_table(["Offered", "Agent", "State", "Reason"], rows, title="Offers")
    if found.do_not_call:
        rows = [
            [one["number"], "any campaign" if one["everywhere"] else "one campaign", one["source"],
             one["reason"] or "-", output.local(one["added_at"])]
            for one in found.do_not_call
        ]  # fmt: skip
        output.print_table(["Number", "Not called by", "Source", "Reason", "Since"], rows, title="Do not call")
    if found.events:
        hold = "holds" if found.events == 1 else "hold"
        click.echo(f"{output.count(found.events, 'event')} of the PBX {hold} the number, until the retention is over")


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {told}" for name, told in value.items())
    return output.local(value) if isinstance(value, datetime) else value


@person.command("erase", example="dialer person erase +390612345678 --why 'letter of 3 March' --yes")
@click.argument("number")
@click.option("--why", required=True, help="Kept in the ledger; do not name the person in it.")
@_country
@output.yes_option
@output.json_option
@click.pass_obj
def erase(context: CliContext, number: str, why: str, country: str, yes: bool, as_json: bool) -> None:
    """Erase the person with NUMBER everywhere, and never call any number of theirs again.

    They are called no more from this moment on. While a call to them or an import goes on, the exit code is 75: say it
    again when that is over. What the PBX keeps of them, and files exported before, are not ours to reach.
    """
    from campaigns import erasure
    from campaigns.db import database_now

    with context.application() as app:
        with app.transaction() as session:
            region = number_country(session, country, number)
            found = erasure.Person.of(session, number, region)
        told = f"{output.count(len(found.contact_ids), 'contact')} with {output.count(len(found.numbers), 'number')}"
        output.confirm(f"erase the person of {output.clean(number)}, {told}, for good?", yes)
        with app.transaction() as session:
            someone = erasure.forget(session, number, country=region, who=who(), now=database_now(session))
        with app.transaction() as session:
            done = erasure.erase(session, someone, data_dir=app.data_dir, who=who(), why=why, now=database_now(session))
    if as_json:
        output.print_json({"erased": True, **done.as_json()})
        return
    click.echo(
        f"erased: {output.count(done.contacts, 'contact')}, {output.count(done.attempts, 'call')}, "
        f"{output.count(done.events, 'event')}, {output.count(done.file_rows, 'row')} of reject files; "
        f"{output.count(done.numbers, 'number')} never called again"
    )
    output.note("the PBX keeps its own records of these calls, and exported files are where they were put")


@person.command("consent", example="dialer person consent +390612345678 --given --source 'web form'")
@click.argument("number")
@click.option("--given/--withdrawn", "agreed", required=True, default=None, help="Whether they agree to be called.")
@click.option("--source", required=True, help="Where it was said, and how it can be proved.")
@click.option("--at", type=click.DateTime(["%Y-%m-%d"]), help="The day it was given on. Default: now.")
@_country
@output.json_option
@click.pass_obj
def consent(
    context: CliContext, number: str, agreed: bool, source: str, at: datetime | None, country: str, as_json: bool
) -> None:
    """Write down that the person with NUMBER agreed to be called, or does so no more."""
    from datetime import UTC

    from campaigns import person as people
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        changed = people.set_consent(
            session, number, country=number_country(session, country, number), agreed=agreed,
            at=at.replace(tzinfo=UTC) if at else None, source=source, who=who(), now=database_now(session),
        )  # fmt: skip
    if as_json:
        output.print_json({"number": number, "consent": agreed, "contacts": changed})
        return
    word = "given" if agreed else "withdrawn"
    click.echo(f"consent is {word} for {output.count(changed, 'contact')}")
