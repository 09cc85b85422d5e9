"""`dialer campaign retry` and `dialer campaign caps`: when somebody is tried again, and how often at most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from campaigns.cli import output
from campaigns.cli.context import CliContext, who
from campaigns.cli.params import NOTHING, Duration, OrNot
from campaigns.cli.tree import Command

if TYPE_CHECKING:
    from campaigns.retry_rules import Shown


def rule_options(command: Any) -> Any:
    """Add the options of a retry rule."""
    for option in (
        click.option("--delay", type=OrNot(Duration(), "usual"), help="Until the next attempt: 90s, 15m, 2h, 1d."),
        click.option(
            "--most", type=OrNot(click.IntRange(1, 100), "any"),
            help="Attempts of one number that may end so; then it is used up.",
        ),
        click.option(
            "--next-number/--same-number", "next_number", default=None,
            help="Whether the contact's other number is tried first, at once.",
        ),
        click.option(
            "--days", type=click.IntRange(0, 366),
            help="The next attempt is at least so many calendar days later, where the phone is.",
        ),
    )[::-1]:  # fmt: skip
        command = option(command)
    return command


def given_of(delay: Any, most: Any, next_number: bool | None, days: int | None) -> dict[str, Any]:
    """Return what was given of a rule; `usual` and `any` give None."""
    given = {"delay": delay, "most": most, "next_number": next_number, "days": days}
    return {name: None if value is NOTHING else value for name, value in given.items() if value is not None}


@click.command(
    "retry",
    cls=Command,
    example="""dialer campaign retry spring
dialer campaign retry spring busy --delay 5m --most 3
dialer campaign retry spring no_answer --next-number --days 1""",
)
@click.argument("campaign")
@click.argument("outcome", required=False)
@rule_options
@click.option("--reset", is_flag=True, help="Forget what was set for this outcome.")
@output.json_option
@click.pass_obj
def retry(
    context: CliContext,
    campaign: str,
    outcome: str | None,
    delay: Any,
    most: Any,
    next_number: bool | None,
    days: int | None,
    reset: bool,
    as_json: bool,
) -> None:
    """Show when contacts of CAMPAIGN are tried again after each OUTCOME, or change the rule of one.

    Above all rules stands the campaign's number of attempts per contact. A next attempt is never planned outside the
    hours where the phone is. Words of agents have rules of their own: see `dialer disposition`.
    """
    from campaigns import lifecycle, retry_rules
    from campaigns.db import database_now

    given = given_of(delay, most, next_number, days)
    if outcome is None and (given or reset):
        raise click.UsageError("name the outcome whose rule shall change, for example busy")
    if given and reset:
        raise click.UsageError("--reset forgets the whole rule: give it alone")
    with context.application() as app, app.transaction() as session:
        found = lifecycle.get(session, campaign, lock=bool(given or reset))
        if outcome is not None and (given or reset):
            retry_rules.set_rule(session, found, outcome, forget=reset, now=database_now(session), who=who(), **given)
        rows = retry_rules.shown(session, found)
        budget = found.max_attempts
    if outcome is not None:
        wanted = outcome.strip().lower().replace("-", "_")
        rows = [row for row in rows if row.end == wanted]
    if as_json:
        told = [{"outcome": row.end, "delay": row.delay, "most": row.most, "set": row.rule.as_json()} for row in rows]
        output.print_json({"campaign": found.name, "max_attempts": budget, "rules": told})
        return
    columns: list[output.Column] = ["After", ("Next attempt", "right"), ("Most per number", "right"), "Then", ""]
    output.print_table(columns, [_row(row) for row in rows])
    output.note(f"at most {output.count(budget, 'attempt')} per contact, whatever the rules say")


def _row(row: Shown) -> list[Any]:
    then = []
    if row.rule.next_number:
        then.append("the other number first")
    if row.rule.days:
        then.append(f"{output.count(row.rule.days, 'day')} later at the soonest")
    return [
        row.end.replace("_", " "), output.words(row.delay), row.most if row.most is not None else "any",
        ", ".join(then) or "-", "set" if row.rule.as_json() else "",
    ]  # fmt: skip


@click.command(
    "caps",
    cls=Command,
    example="""dialer campaign caps spring
dialer campaign caps spring --number '3/day, 7/7d' --contact 4/30d""",
)
@click.argument("campaign")
@click.option("--number", help="For one phone number: 3/day, 7/7d, 1 talk/7d, with commas between them; none.")
@click.option("--contact", help="For one contact, over all its numbers; written as for a number.")
@click.option("--why", default="", help="Kept in the ledger; needed to take a cap away.")
@output.json_option
@click.pass_obj
def caps(context: CliContext, campaign: str, number: str | None, contact: str | None, why: str, as_json: bool) -> None:
    """Show or set how often anybody may be called for CAMPAIGN, counting the calls of all campaigns.

    A day is the calendar day where the phone is; 7d are any seven days in a row. Caps of the settings ([caps]) hold
    for every campaign besides its own.
    """
    from campaigns import capping, lifecycle
    from campaigns.db import database_now
    from campaigns.models import Installation

    with context.application() as app, app.transaction() as session:
        setting = number is not None or contact is not None
        found = lifecycle.get(session, campaign, lock=setting)
        changes = capping.set_caps(
            session, found, number=number, contact=contact, now=database_now(session), who=who(), why=why
        )
        everywhere = session.get(Installation, 1)
        told = {
            "campaign": found.name, "number": found.number_caps, "contact": found.contact_caps,
            "everywhere": {
                "number": everywhere.number_caps if everywhere else "",
                "contact": everywhere.contact_caps if everywhere else "",
            },
        }  # fmt: skip
        in_force = capping.in_force(session, found)
    if as_json:
        output.print_json({**told, "changed": [change.setting for change in changes]})
        return
    if not in_force:
        output.note("no caps: nobody is called more often than the attempts of each campaign allow")
        return
    for cap in in_force:
        whom = "each number" if cap.per == "number" else "each contact, over all its numbers,"
        click.echo(f"{whom} has at most {cap.in_words}")
