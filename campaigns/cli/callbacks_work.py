"""`dialer callbacks`: promise one, take it, start it, move it, say what came of it, download the tickets."""

from __future__ import annotations

import io
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from campaigns.cli import output
from campaigns.cli.callbacks import callbacks as callbacks
from campaigns.cli.context import CliContext, who
from campaigns.cli.params import ClockTime, Duration, Moment

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from campaigns.models import Agent, Callback

_CALLBACK = click.argument("callback", type=click.IntRange(1, 2**62))
_PBX = click.option("--pbx", help="Which PBX, when two have such an agent.")


def _time_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add when a callback is promised for, and to whom it belongs."""
    for option in (
        click.option(
            "--due",
            type=Moment(),
            help="A day, or a day and a time, by the clock where the phone is. Default: tomorrow.",
        ),
        click.option("--on", "day", type=Moment(), hidden=True),  # what --due was called at first, with --at
        click.option("--at", type=ClockTime(), hidden=True),
        click.option("--period", default="", help="A period of the campaign. Default: its default one."),
        click.option(
            "--until", type=ClockTime(), help="When it breaks. Default: with the period, or 30 min after the time."
        ),
        click.option("--owner", help="The agent who is to call. Default: anyone."),
        click.option(
            "--fallback", type=Duration(), help="An owner who is away loses it to anyone so long after it is due."
        ),
        _PBX,
    )[::-1]:
        command = option(command)
    return command


def _due(due: Any, day: Any, at: Any) -> Any:
    """The day, or the day and the time, however they were given."""
    if due is not None and (day is not None or at is not None):
        raise click.UsageError("--due says it all: leave out --on and --at")
    if isinstance(day, datetime) and at is not None:
        raise click.UsageError("the time is given twice: with the day, and with --at")
    return due if due is not None else day


@callbacks.command("add", example="dialer callbacks add spring +390612345678 --due 2026-03-31T15:30 --owner 101")
@click.argument("campaign")
@click.argument("contact")
@_time_options
@click.option("--why", default="", help="Shown to whoever calls, and kept in the ledger.")
@output.json_option
@click.pass_obj
def add(
    context: CliContext, campaign: str, contact: str, due: Any, day: Any, period: str, at: Any, until: Any,
    owner: str | None, fallback: float | None, pbx: str | None, why: str, as_json: bool,
) -> None:  # fmt: skip
    """Promise a callback to CONTACT of CAMPAIGN: its id, or a number, which need not be on any list.

    A promise that is open already ends, as moved. Nobody who asked not to be called is promised one.
    """
    from campaigns import callback_contact, lifecycle
    from campaigns import callbacks as rows
    from campaigns.db import database_now

    due = _due(due, day, at)
    with context.application() as app, app.transaction() as session:
        now, timing = database_now(session), app.settings.timing
        found = lifecycle.get(session, campaign)
        who_calls = _agent(session, owner, pbx) if owner else None
        to = callback_contact.contact_for(session, found, contact, now)
        when = rows.when(session, found, to, due=due, at=at, period=period, until=until, timing=timing, now=now)
        made = rows.promise(
            session, found, to, when, owner=who_calls, fallback=fallback, timing=timing, now=now, who=who(), why=why
        )
        if why.strip() and not to.description:
            to.description = " ".join(why.split())[:1000]
        told = _told(session, made)
    _say(told, as_json, f"callback {told['callback']} to {told['number']} is promised for {told['when']}{_to(told)}")


@callbacks.command("take", example="dialer callbacks take 12 101")
@_CALLBACK
@click.argument("agent")
@_PBX
@output.json_option
@click.pass_obj
def take(context: CliContext, callback: int, agent: str, pbx: str | None, as_json: bool) -> None:
    """AGENT takes CALLBACK, and nobody else is given it. Not started, it is given back after 15 minutes."""
    from campaigns import callback_taking
    from campaigns import callbacks as rows
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        taker = _agent(session, agent, pbx)
        now = database_now(session)
        taken = callback_taking.take(session, callback, taker, now=now, who=who(), timing=app.settings.timing)
        told = _told(session, taken)
    until = f" until {rows.clock(told['kept_until'], told['zone'])}" if told["kept_until"] else ""
    _say(told, as_json, f"callback {callback} is {told['taken_by']}'s{until}: `dialer callbacks start {callback}`")


@callbacks.command("release", example="dialer callbacks release 12")
@_CALLBACK
@click.option("--to-anyone", is_flag=True, help="Its owner loses it too.")
@click.option("--why", default="", help="Kept in the ledger.")
@output.json_option
@click.pass_obj
def release(context: CliContext, callback: int, to_anyone: bool, why: str, as_json: bool) -> None:
    """Give CALLBACK back: it is its owner's again, or anyone's."""
    from campaigns import callback_taking
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        now = database_now(session)
        free = callback_taking.release(session, callback, to_anyone=to_anyone, now=now, who=who(), why=why)
        told = _told(session, free)
    _say(told, as_json, f"callback {callback} is {told['owner'] or 'anyone'}'s again")


@callbacks.command("start", example="dialer callbacks start 12 101 --number mobile")
@_CALLBACK
@click.argument("agent", required=False)
@click.option("--number", default="", help="`phone` or `mobile`, or one of the two. Default: the one whose turn it is.")
@_PBX
@output.json_option
@click.pass_obj
def start(context: CliContext, callback: int, agent: str | None, number: str, pbx: str | None, as_json: bool) -> None:
    """Call CALLBACK for the agent who has taken it; a named AGENT takes it first.

    The agent is put on the line, then the person is called. Every rule of calling is asked, as for any other call; a
    refusal is exit code 5.
    """
    from campaigns import callback_start

    with context.application() as app:
        with app.transaction() as session:
            agent_id = _agent(session, agent, pbx).id if agent else None
        made = callback_start.start(app, callback, agent_id=agent_id, number=number, who=who())
    if as_json:
        output.print_json(
            {"callback": callback, "ref": made.ref, "attempt": made.attempt, "contact": made.contact,
             "number": made.number, "campaign": made.campaign}
        )  # fmt: skip
        return
    click.echo(f"calling {made.number} for {output.clean(made.agent)}")


@callbacks.command("reschedule", example="dialer callbacks reschedule 12 --due 2026-04-02 --period Morning")
@_CALLBACK
@_time_options
@click.option("--comment", default="", help="Kept with the ticket.")
@output.json_option
@click.pass_obj
def reschedule(
    context: CliContext, callback: int, due: Any, day: Any, period: str, at: Any, until: Any,
    owner: str | None, fallback: float | None, pbx: str | None, comment: str, as_json: bool,
) -> None:  # fmt: skip
    """Agree on another time for CALLBACK: a new promise with the same owner; the old one ends.

    It ends as moved while it could still be kept, and as lost when it was broken already.
    """
    from campaigns import callback_tickets
    from campaigns import callbacks as rows
    from campaigns.db import database_now
    from campaigns.models import Campaign

    due = _due(due, day, at)
    with context.application() as app, app.transaction() as session:
        now, timing = database_now(session), app.settings.timing
        new_owner = _agent(session, owner, pbx) if owner else None
        old, to = callback_tickets.find(session, callback)
        campaign = session.get_one(Campaign, old.campaign_id)
        when = rows.when(session, campaign, to, due=due, at=at, period=period, until=until, timing=timing, now=now)
        made = callback_tickets.reschedule(
            session, callback, when, owner=new_owner, fallback=fallback, comment=comment, timing=timing, now=now,
            who=who(),
        )  # fmt: skip
        told = {**_told(session, made), "instead_of": callback, "became": old.result}
    _say(told, as_json, f"callback {callback} is {told['callback']} now, for {told['when']}{_to(told)}")


@callbacks.command("close", example="dialer callbacks close 12 --status Answered --comment 'sends the form'")
@_CALLBACK
@click.option(
    "--status", required=True, type=click.Choice(["Answered", "NoAnswer", "Fax", "Email"], case_sensitive=False),
    help="What came of it, in XiVO's words; for its status Callback see `reschedule`.",
)  # fmt: skip
@click.option("--comment", default="", help="Kept with the ticket.")
@output.json_option
@click.pass_obj
def close(context: CliContext, callback: int, status: str, comment: str, as_json: bool) -> None:
    """Say what came of CALLBACK: it is done, and the person is not called again.

    Answered and NoAnswer need a call. One that ended with its call keeps its end, and gets status and comment.
    """
    from campaigns import callback_tickets
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        now = database_now(session)
        done = callback_tickets.close(session, callback, status=status, comment=comment, now=now, who=who())
        told = {**_told(session, done), "status": status, "result": done.result}
    _say(told, as_json, f"callback {callback} is closed as {status}; the promise was {told['result']}")


@callbacks.command("tickets", example="dialer callbacks tickets spring --from 2026-03-01 --format csv > tickets.csv")
@click.argument("campaign", required=False)
@click.option("--from", "since", type=Moment(), help="Beginning: a day, or a day and a time. Default: today.")
@click.option("--to", "until", type=Moment(), help="End; not included, so the day after the last. Default: now.")
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True,
    help="csv is XiVO's download: | between the cells.",
)  # fmt: skip
@output.json_option
@click.pass_obj
def tickets(context: CliContext, campaign: str | None, since: Any, until: Any, form: str, as_json: bool) -> None:
    """Print the tickets of callbacks of CAMPAIGN, or of all: one for each call, and what was said of it."""
    from campaigns import callback_tickets, reports
    from campaigns.db import database_now
    from campaigns.models import Campaign

    with context.application() as app, app.transaction() as session:
        span = reports.period(session, campaign, since, until, database_now(session))
        of = session.get(Campaign, span.campaign_id) if span.campaign_id is not None else None
        found = callback_tickets.tickets(session, of, start=span.start, end=span.end)
        if form == "csv" and not as_json:
            file = io.StringIO(newline="")
            callback_tickets.write_csv(found, file)
            click.echo(file.getvalue(), nl=False)
            return
        rows = [one.told for one in found]
    if as_json or form == "json":
        output.print_json({"tickets": rows})
        return
    if not rows:
        output.note(f"no ticket was begun from {span.start:%Y-%m-%d %H:%M} to {span.end:%Y-%m-%d %H:%M}")
        return
    columns: list[output.Column] = [("No.", "right"), "Start", "Number", "Who", "Status", "Agent", "Comment", "Promise"]
    output.print_table(
        columns,
        [
            [row["callback"], f"{row['startDate']:%Y-%m-%d %H:%M:%S}", row["number"] or "-",
             " ".join(part for part in (row["firstName"], row["lastName"], row["company"]) if part) or "-",
             row["status"] or "-", row["agentName"] or row["agent"] or "-", row["comment"] or "-",
             row["result"] or "open"]
            for row in rows
        ],
    )  # fmt: skip


def _agent(session: Session, name: str, pbx: str | None) -> Agent:
    from campaigns import roster

    return roster.find_agent(session, name, pbx)


def _told(session: Session, callback: Callback) -> dict[str, Any]:
    from campaigns.callbacks_view import told

    return told(session, callback)


def _to(told: dict[str, Any]) -> str:
    return f", to be called by {told['owner']}" if told["owner"] else ""


def _say(told: dict[str, Any], as_json: bool, sentence: str) -> None:
    if as_json:
        output.print_json(told)
    else:
        click.echo(output.clean(sentence))
