"""`dialer caller-id`: the numbers people are shown, and what spares them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from campaigns.cli import output
from campaigns.cli.context import CliContext, who
from campaigns.cli.params import NOTHING, Duration, OrNot
from campaigns.cli.tree import Group

if TYPE_CHECKING:
    from datetime import datetime

    from campaigns.application import Application
    from campaigns.caller_id_pools import Shown


@click.group(cls=Group)
def caller_id() -> None:
    """The numbers people are shown when a campaign calls them.

    A campaign has a pool of them. A person sees the one that is at home where they are: the same country, then the
    same area code; without one, the least used. A daily cap counts the calls of every campaign that shows the number,
    in any 24 hours. A number that reaches it rests, and so does one that is answered clearly less than its peers.
    """


def _limits(command: Any) -> Any:
    for option in (
        click.option("--daily-cap", type=OrNot(click.IntRange(1, 100_000), "none"), help="Most calls in any 24 hours."),
        click.option(
            "--rest", type=Duration(), help="How long it rests when it has to; 0: never by itself. At first 1d."
        ),
    )[::-1]:
        command = option(command)
    return command


def _cap(given: Any) -> int | None:
    return 0 if given is NOTHING else given


@caller_id.command(
    "add",
    example="""dialer caller-id add spring +390612345678 +390287654321 --daily-cap 80
dialer caller-id add spring --from-directory office""",
)
@click.argument("campaign")
@click.argument("numbers", nargs=-1)
@click.option(
    "--from-directory", "directory", metavar="NAME", help="All numbers of this directory that people can call back."
)
@_limits
@click.option("--why", default="", help="Kept in the ledger.")
@output.json_option
@click.pass_obj
def add(
    context: CliContext, campaign: str, numbers: tuple[str, ...], directory: str | None, daily_cap: Any,
    rest: float | None, why: str, as_json: bool,
) -> None:  # fmt: skip
    """Put NUMBERS in the pool of CAMPAIGN. Show only numbers that are yours and that people can call back.

    A number that the campaign's rule pack bars is refused (exit code 5), and none of them is taken then; what a pack
    is not sure of is a warning.
    """
    from campaigns import directory_numbers
    from dialer.errors import BadInput, NotFound

    if bool(numbers) == bool(directory):
        raise BadInput("name the numbers, or a directory with --from-directory: one of the two")
    with context.application() as app:
        if directory:
            numbers = tuple(directory_numbers.caller_ids(app.directory(directory)))
            if not numbers:
                raise NotFound(
                    f"directory {directory} has no number to show: `dialer directory numbers {directory}` says why"
                )
        added, doubts, pool, name = _pooled(app, campaign, numbers, daily_cap, rest, why)
    if as_json:
        output.print_json({"campaign": name, "added": added, "caller_ids": pool, "warnings": doubts})
        return
    for doubt in doubts:
        output.note(f"warning: {doubt}")
    click.echo(f"campaign {output.clean(name)} shows {output.count(len(pool), 'caller id')}: {', '.join(pool)}")


def _pooled(
    app: Application, campaign: str, numbers: tuple[str, ...], daily_cap: Any, rest: float | None, why: str
) -> tuple[list[str], list[str], list[str], str]:
    """Add the numbers; return them, what is doubtful, the whole pool, and the campaign's name."""
    from campaigns import caller_id_pools, lifecycle
    from campaigns.db import database_now

    added, doubts = [], []
    with app.transaction() as session:
        now = database_now(session)
        found = lifecycle.get(session, campaign, lock=True)
        for number in numbers:
            one, told = caller_id_pools.add(
                session, found, number, daily_cap=_cap(daily_cap), rest=rest, who=who(), now=now, why=why
            )
            added.append(one.number)
            doubts += told
        return added, doubts, caller_id_pools.numbers_of(session, found), found.name


@caller_id.command("list", example="dialer caller-id list spring")
@click.argument("campaign", required=False)
@output.json_option
@click.pass_obj
def list_caller_ids(context: CliContext, campaign: str | None, as_json: bool) -> None:
    """List the caller ids of CAMPAIGN, or of all, with their calls of the last 24 hours."""
    from campaigns import caller_id_pools, lifecycle
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        now = database_now(session)
        found = lifecycle.get(session, campaign) if campaign else None
        rows = caller_id_pools.shown(session, campaign=found, now=now)
    if as_json:
        output.print_json({"campaign": found.name if found else None, "caller_ids": [row.as_json() for row in rows]})
        return
    if not rows:
        output.note("no caller ids yet: `dialer caller-id add CAMPAIGN NUMBER` brings some")
        return
    columns: list[output.Column] = ["Caller id", "State", ("24 h: calls", "right"), ("of", "right")]
    columns += [("Answered", "right"), ("Last shown", "right"), "Campaigns"]
    output.print_table(columns, [_cells(row, now) for row in rows])


def _cells(row: Shown, now: datetime) -> list[Any]:
    answered = output.percent(row.answered / row.calls if row.calls else None)
    return [
        row.number, _state(row), f"{row.calls:,}", row.daily_cap if row.daily_cap is not None else "any", answered,
        output.ago(row.last_at, now), ", ".join(row.campaigns) or "-",
    ]  # fmt: skip


def _state(row: Shown) -> str:
    if row.resting_until is not None:
        return f"resting to {output.local(row.resting_until, pattern='%d %b %H:%M %Z')}"
    return "at its cap" if row.daily_cap is not None and row.calls >= row.daily_cap else "shown"


@caller_id.command("show", example="dialer caller-id show +390612345678")
@click.argument("number")
@output.json_option
@click.pass_obj
def show(context: CliContext, number: str, as_json: bool) -> None:
    """Show one caller id: who shows it, its limits, and why it rests."""
    from campaigns import caller_id_pools
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        now = database_now(session)
        known = caller_id_pools.known(session, number)
        (row,) = caller_id_pools.shown(session, number=known.number, now=now)
    if as_json:
        output.print_json(row.as_json())
        return
    cap = f"at most {output.count(row.daily_cap, 'call')} in 24 hours" if row.daily_cap is not None else "no daily cap"
    rest = f"rests {output.words(row.rest)}" if row.rest else "never rests by itself"
    click.echo(
        f"{row.number}: {_state(row)}"
        + (f", because: {output.clean(row.resting_because)}" if row.resting_until else "")
    )
    click.echo(f"shown by {output.clean(', '.join(row.campaigns)) or 'no campaign'}; {cap}; {rest}")
    answered, last = output.percent(row.answered / row.calls if row.calls else None), output.ago(row.last_at, now)
    click.echo(f"last 24 hours: {output.count(row.calls, 'call')}, {answered} answered, the last {last}")


@caller_id.command("set", example="dialer caller-id set +390612345678 --daily-cap 60 --rest 2d")
@click.argument("number")
@_limits
@click.option("--why", default="", help="Kept in the ledger; needed to loosen a cap.")
@output.json_option
@click.pass_obj
def change(context: CliContext, number: str, daily_cap: Any, rest: float | None, why: str, as_json: bool) -> None:
    """Change the daily cap of NUMBER, or how long it rests, for every campaign that shows it."""
    from campaigns import caller_id_pools
    from campaigns.db import database_now

    if daily_cap is None and rest is None:
        raise click.UsageError("say what to change: --daily-cap or --rest")
    with context.application() as app, app.transaction() as session:
        one = caller_id_pools.change(
            session, number, daily_cap=_cap(daily_cap), rest=rest, who=who(), now=database_now(session), why=why
        )
    if as_json:
        output.print_json({"number": one.number, "daily_cap": one.daily_cap, "rest": one.rest})
        return
    cap = f"at most {output.count(one.daily_cap, 'call')} in 24 hours" if one.daily_cap else "no daily cap"
    click.echo(f"{one.number}: {cap}, {f'rests {output.words(one.rest)}' if one.rest else 'never rests by itself'}")


@caller_id.command(
    "rest", example="dialer caller-id rest +390612345678 --for 2d --why 'people say it is marked as spam'"
)
@click.argument("number")
@click.option("--for", "length", type=Duration(), default="1d", show_default=True, help="How long: 90m, 8h, 2d.")
@click.option("--why", default="", help="Kept in the ledger.")
@output.json_option
@click.pass_obj
def rest(context: CliContext, number: str, length: float, why: str, as_json: bool) -> None:
    """Show NUMBER to nobody for a while, from the next call on; calls in progress go on."""
    from campaigns import caller_id_pools
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        now = database_now(session)
        until = now + timedelta(seconds=length)
        one = caller_id_pools.rest(session, number, until=until, because=why, who=who(), now=now)
    if as_json:
        output.print_json({"number": one.number, "resting_until": one.resting_until})
        return
    click.echo(f"{one.number} rests to {output.local(one.resting_until)}")


@caller_id.command("wake", example="dialer caller-id wake +390612345678")
@click.argument("number")
@click.option("--why", default="", help="Kept in the ledger.")
@output.json_option
@click.pass_obj
def wake(context: CliContext, number: str, why: str, as_json: bool) -> None:
    """End the rest of NUMBER. Answers before it are not held against it again; a daily cap holds all the same."""
    from campaigns import caller_id_pools
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        woken = caller_id_pools.wake(session, number, who=who(), now=database_now(session), why=why)
        known = caller_id_pools.known(session, number).number
    if as_json:
        output.print_json({"number": known, "woken": woken})
        return
    click.echo(f"{known} {'rests no more' if woken else 'was not resting'}; a daily cap holds all the same")


@caller_id.command("remove", example="dialer caller-id remove spring +390612345678 --why 'given back to the carrier'")
@click.argument("campaign")
@click.argument("number")
@click.option("--why", default="", help="Kept in the ledger.")
@output.json_option
@click.pass_obj
def remove(context: CliContext, campaign: str, number: str, why: str, as_json: bool) -> None:
    """Take NUMBER out of the pool of CAMPAIGN; another one must be left. What was shown stays in the records."""
    from campaigns import caller_id_pools, lifecycle
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        found = lifecycle.get(session, campaign, lock=True)
        one = caller_id_pools.remove(session, found, number, who=who(), now=database_now(session), why=why)
        pool = caller_id_pools.numbers_of(session, found)
    if as_json:
        output.print_json({"campaign": found.name, "removed": one.number, "caller_ids": pool})
        return
    click.echo(f"campaign {output.clean(found.name)} shows {one.number} no more; it shows {', '.join(pool)}")
