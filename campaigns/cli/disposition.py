"""`dialer disposition`: the words agents have for what came of a call, and what each brings about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from campaigns.cli import output
from campaigns.cli.calling_rules import given_of, rule_options
from campaigns.cli.context import CliContext, who
from campaigns.cli.params import Moment
from campaigns.cli.tree import Group
from dialer.dispositions import DOES, MEANINGS
from dialer.retries import closed_because

if TYPE_CHECKING:
    from campaigns.disposing import Said
    from campaigns.models import Disposition


@click.group(cls=Group)
def disposition() -> None:
    """The words agents have for what came of a call, and what each brings about.

    Every campaign begins with a set of them. A word closes the contact, has it tried again, promises a callback, or
    puts its numbers on the do-not-call list. Words are retired and never deleted: calls refer to them.
    """


@disposition.command("list", example="dialer disposition list spring")
@click.argument("campaign")
@click.option("--all", "retired", is_flag=True, help="Retired ones too.")
@output.json_option
@click.pass_obj
def list_words(context: CliContext, campaign: str, retired: bool, as_json: bool) -> None:
    """List the words of CAMPAIGN's agents."""
    from campaigns import dispositions, lifecycle

    with context.application() as app, app.transaction() as session:
        found = lifecycle.get(session, campaign)
        rows = dispositions.all_of(session, found.id, retired=retired)
    if as_json:
        output.print_json({"campaign": found.name, "dispositions": [_as_json(row) for row in rows]})
        return
    shown = [[row.code, row.label, row.meaning, _effect(row), "retired" if row.retired_at else ""] for row in rows]
    output.print_table(["Code", "Label", "Meaning", "Then", ""], shown)


def _as_json(row: Disposition) -> dict[str, Any]:
    return {
        "code": row.code, "label": row.label, "meaning": row.meaning, "does": row.does, "rule": row.retry_rule,
        "everywhere": row.everywhere, "retired_at": row.retired_at,
    }  # fmt: skip


def _effect(row: Disposition) -> str:
    if row.does == "dnc":
        return f"never called again by {'any campaign' if row.everywhere else 'this campaign'}"
    if row.does != "retry":
        return {"close": "closed", "callback": "called back at the promised time"}[row.does]
    rule, said = row.retry_rule, ["tried again"]
    if "delay" in rule:
        said.append(f"after {output.words(rule['delay'])}")
    if rule.get("next_number"):
        said.append("the other number first")
    if "most" in rule:
        said.append(f"at most {output.count(rule['most'], 'time')} per number")
    if "days" in rule:
        said.append(f"{output.count(rule['days'], 'day')} later at the soonest")
    return ", ".join(said)


@disposition.command(
    "add",
    example="""dialer disposition add spring no-money --label 'No money now' --meaning refusal --does retry --days 60
dialer disposition add spring moved --label 'Has moved away' --meaning human --does close""",
)
@click.argument("campaign")
@click.argument("code")
@click.option("--label", required=True, help="What agents and reports show.")
@click.option("--meaning", type=click.Choice(list(MEANINGS)), required=True, help="How reports count it.")
@click.option("--does", type=click.Choice(DOES), required=True, help="What becomes of the contact.")
@rule_options
@click.option("--everywhere", is_flag=True, help="With --does dnc: for all campaigns, not only this one.")
@output.json_option
@click.pass_obj
def add(
    context: CliContext,
    campaign: str,
    code: str,
    label: str,
    meaning: str,
    does: str,
    delay: Any,
    most: Any,
    next_number: bool | None,
    days: int | None,
    everywhere: bool,
    as_json: bool,
) -> None:
    """Give the agents of CAMPAIGN one more word, typed as CODE."""
    from campaigns import dispositions, lifecycle
    from campaigns.db import database_now
    from dialer.dispositions import Disposition as Word
    from dialer.retries import Rule

    word = Word(code, label, meaning, does, Rule(**given_of(delay, most, next_number, days)), everywhere)
    with context.application() as app, app.transaction() as session:
        found = lifecycle.get(session, campaign, lock=True)
        row = dispositions.add(session, found, word, now=database_now(session), who=who())
    _tell(found.name, row, "is added", as_json)


@disposition.command("set", example="dialer disposition set spring machine --delay 3h --most 2")
@click.argument("campaign")
@click.argument("code")
@click.option("--label", help="What agents and reports show.")
@click.option("--meaning", type=click.Choice(list(MEANINGS)), help="How reports count it.")
@click.option("--does", type=click.Choice(DOES), help="What becomes of the contact.")
@rule_options
@click.option("--everywhere/--here", default=None, help="With --does dnc: for all campaigns, or only for this one.")
@output.json_option
@click.pass_obj
def set_word(context: CliContext, /, campaign: str, code: str, as_json: bool, **given: Any) -> None:
    """Change the word CODE of CAMPAIGN; what is not given stays.

    Calls keep the word that was said. How often one number may end so counts what was said before too.
    """
    from campaigns import dispositions, lifecycle
    from campaigns.db import database_now

    rule = given_of(*(given.pop(name) for name in ("delay", "most", "next_number", "days")))
    wanted = {name: value for name, value in given.items() if value is not None} | rule
    if not wanted:
        raise click.UsageError("say what shall change, for example --delay 3h")
    with context.application() as app, app.transaction() as session:
        found = lifecycle.get(session, campaign)
        row, changes = dispositions.change(session, found, code, now=database_now(session), who=who(), **wanted)
    _tell(found.name, row, "is changed" if changes else "was like that already", as_json, changed=sorted(changes))


def _verb(verb: str, done: str, told: str) -> None:
    @disposition.command(verb, help=told, example=f"dialer disposition {verb} spring silent")
    @click.argument("campaign")
    @click.argument("code")
    @output.json_option
    @click.pass_obj
    def command(context: CliContext, campaign: str, code: str, as_json: bool) -> None:
        from campaigns import dispositions, lifecycle
        from campaigns.db import database_now

        with context.application() as app, app.transaction() as session:
            found = lifecycle.get(session, campaign, lock=True)
            row = getattr(dispositions, verb)(session, found, code, now=database_now(session), who=who())
        _tell(found.name, row, done, as_json)


_verb("retire", "is retired", "Take the word CODE away from the agents of CAMPAIGN; what was said with it stays.")
_verb("restore", "can be said again", "Give the retired word CODE back to the agents of CAMPAIGN.")


def _tell(campaign: str, row: Disposition, done: str, as_json: bool, **more: Any) -> None:
    if as_json:
        output.print_json({"campaign": campaign, **_as_json(row), **more})
        return
    click.echo(f"disposition {row.code} of campaign {campaign} {done}: {row.label} ({row.meaning}), {_effect(row)}")


@disposition.command(
    "change", example="dialer disposition change d4f1a2b3c-c4711 refusal --why 'heard on the recording'"
)
@click.argument("call", metavar="REFERENCE")
@click.argument("code")
@click.option("--why", required=True, help="Kept in the ledger.")
@click.option("--note", help="Replaces the agent's note.")
@click.option(
    "--due", type=Moment(), help="With a callback: a day, or a day and a time, by the clock where the phone is."
)
@click.option("--period", default="", help="With a callback and a day: which period of it.")
@output.json_option
@click.pass_obj
def change(
    context: CliContext, call: str, code: str, why: str, note: str | None, due: Any, period: str, as_json: bool
) -> None:
    """Change what was said of a call, named by its REFERENCE as `dialer report attempts --json` has it.

    The contact follows, unless it was called again since. Numbers stay on the do-not-call list until somebody takes
    them off it.
    """
    from campaigns import disposing
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        now = database_now(session)
        said = disposing.correct(
            session, call, code, note=note, due=due, period=period, why=why, timing=app.settings.timing, now=now,
            who=who(),
        )  # fmt: skip
    tell_said(said, as_json)


def tell_said(said: Said, as_json: bool) -> None:
    """Print what was said of a call and what became of the contact."""
    if as_json:
        from campaigns.disposing import told

        output.print_json(told(said))
        return
    was = f" (was {said.before})" if said.before not in (None, said.row.code) else ""
    click.echo(f"call {said.attempt.ref}: {said.row.label}{was}; {_became(said)}")
    if said.forbidden:
        output.note(f"{output.count(said.forbidden, 'number')} put on the do-not-call list")


def _became(said: Said) -> str:
    contact, zone = said.contact, output.zone_of(said.campaign)
    if said.unmoved:
        return f"the contact stays as it is: {said.unmoved}"
    if said.attempt.ended_at is None:
        then = (
            f"it is called back at {output.local(said.attempt.callback_at, zone)}" if said.attempt.callback_at else ""
        )
        return then or "the contact follows when the call is over"
    if contact.next_at is not None:
        return f"the contact is called again from {output.local(contact.next_at, zone)} on"
    return f"the contact is {contact.state}: {closed_because(contact.closed_because)}"
