"""`dialer pace explain`: one decision of the pacer, read in two seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from campaigns.cli import output
from campaigns.cli.context import CliContext
from campaigns.cli.params import Said, SaidTime
from campaigns.cli.tree import Command

if TYPE_CHECKING:
    from campaigns.pace_explain import Explained
    from dialer.pacing import Snapshot

_BARS = "▁▂▃▄▅▆▇█"
_STEPS = ((15, "15 s"), (30, "30 s"), (60, "1 min"), (120, "2 min"), (300, "5 min"))
_LISTED = 10  # so many ages are told one by one; more are counted by length


@click.command(
    "explain",
    cls=Command,
    example="""dialer pace explain spring
dialer pace explain spring --at 14:03:12
dialer pace explain spring --at -5m --json""",
)
@click.argument("campaign")
@click.option(
    "--at",
    type=SaidTime(),
    default="now",
    show_default=True,
    help="2026-03-31T14:03:12, 14:03[:12] for today (the campaign's zone), or -5m for five minutes ago.",
)
@output.json_option
@click.pass_obj
def explain(context: CliContext, campaign: str, at: Said, as_json: bool) -> None:
    """Explain the decision about CAMPAIGN that was in force at a moment.

    What the pacer saw, what bound it, what it reckoned, and what then became of the calls it ordered.
    """
    from campaigns import lifecycle, pace_explain
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        found = lifecycle.get(session, campaign)
        moment = at.at(database_now(session), pace_explain.zone_of(found))
        told = pace_explain.explain(session, found, moment)
    if as_json:
        output.print_json(told.as_json())
    else:
        _print(told)


def _print(told: Explained) -> None:
    from rich.table import Table
    from rich.text import Text

    from campaigns.pace_explain import bound_in_words

    out, decision = output.console(), told.decision
    head = Text(output.clean(told.campaign), style="bold").append(f"  {decision.mode}" if decision.mode else "")
    head.append(f"   {_span(told)}", style="dim")
    out.print(head)
    out.print(Text(output.clean(decision.why), style="bold green" if decision.calls else "bold yellow"))
    out.print()
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    if decision.snapshot is not None:
        for name, line in _seen(decision.snapshot):
            grid.add_row(name, output.plain(line))
    else:
        grid.add_row("Inputs", "not on record in a form this release can read; --json has them as they are")
    if decision.bound_by:
        grid.add_row("Bound by", output.plain("; ".join(bound_in_words(limit) for limit in decision.bound_by)))
    if decision.reckoned:
        grid.add_row("Reckoned", output.plain(_reckoned(decision.reckoned)))
    if decision.refused:
        grid.add_row("Gate", output.plain(f"put off {_refused(decision.refused)}"))
    grid.add_row("Ordered", Text("\n").join(output.plain(line) for line in _ordered(told)))
    for name, neighbour in (("Before", told.before), ("After", told.after)):
        if neighbour is not None:
            local = neighbour.decided_at.astimezone(told.zone)
            day = "" if local.date() == decision.decided_at.astimezone(told.zone).date() else f"{local:%Y-%m-%d} "
            grid.add_row(name, Text(f"{day}{local:%H:%M:%S}  {output.clean(neighbour.why)}", style="dim"))
    out.print(grid)


def _span(told: Explained) -> str:
    decision = told.decision
    begin = decision.decided_at.astimezone(told.zone)
    when = f"{begin:%Y-%m-%d %H:%M:%S}"
    if decision.ticks > 1:
        when += f" to {decision.until_at.astimezone(told.zone):%H:%M:%S}, {decision.ticks} ticks the same"
    return f"{when} ({told.zone.key})"


def _seen(now: Snapshot) -> list[tuple[str, str]]:
    """What the pacer was shown, as rows."""
    from campaigns import prospects

    agents = f"{now.free} free"
    if now.agent_first:
        agents += " (their phone rings first)"
    elif now.idle:
        agents += f" ({now.idle} on the way to the line)"
    agents += f"   {len(now.talking)} talking   {len(now.wrapping)} wrapping up"
    for number, word in ((now.reserved, "reserved"), (now.leaving, "leaving"), (len(now.elsewhere), "elsewhere")):
        agents += f"   {number} {word}" if number else ""
    rows = [("Agents", agents)]
    rows += [(name, ages(since)) for name, since in (("  talking", now.talking), ("  wrap-up", now.wrapping)) if since]
    calls = f"{len(now.ringing)} ringing   {now.waiting} waiting for an agent"
    if now.in_message:
        calls += f"   {now.in_message} hear the message"
    rows.append(("Calls", calls))
    if now.ringing:
        rows.append(("  ringing", ages(now.ringing)))
    lines = f"{now.free_lines} free"
    if now.max_lines is not None:
        lines += f", the campaign may use {now.max_lines}"
    rows.append(("Lines", lines))
    rows.append(("Budget", _budget(now)))
    if now.prospects and now.in_order:
        coming = sum(number for _, number in now.prospects)
        told = f"{output.count(coming, 'contact')} looked at, the first in the campaign's order"
        if now.expected:
            chances = [chance for _, chance, _ in now.expected]
            told += f"; by hour and number {output.percent(min(chances))} to {output.percent(max(chances))} answer"
        rows.append(("Contacts", told))
    elif now.prospects:
        due = sum(number for _, number in now.prospects)
        more = " or more" if due >= prospects.LOOKED_AT else ""
        rows.append(("Contacts", f"{due:,}{more} due now, in {output.count(len(now.prospects), 'group')} alike"))
    stale = []
    if now.presence_age is None or now.presence_age >= 10:
        stale.append(f"presence {'never read' if now.presence_age is None else output.seconds(now.presence_age)} old")
    if now.events_age >= 1:
        stale.append(f"oldest event not handled {output.seconds(now.events_age)} old")
    if stale:
        rows.append(("Doubts", ", ".join(stale)))
    return rows


def _budget(now: Snapshot) -> str:
    if now.agent_first:
        return "none needed: the agent's phone rings first, so whoever answers hears an agent and nobody is abandoned"
    budget = now.budget
    told = f"{budget.abandoned} of {budget.abandoned + budget.met:,} abandoned in {budget.window}: "
    told += f"{output.percent(budget.rate, 2)} of {output.percent(budget.ceiling)}"
    if budget.left is None:
        return f"{told}, no limit"
    if budget.left:
        return f"{told}, {budget.left} more may be lost"
    return f"{told}, none may be lost" + (f" before {budget.to_meet} more are met" if budget.to_meet else "")


def ages(since: Sequence[float]) -> str:
    """How long each has lasted: one by one when they are few, else counted by length, with a picture of it."""
    told = sorted(since)
    if len(told) <= _LISTED:
        return ", ".join(output.seconds(age) for age in told)
    counts = [0] * (len(_STEPS) + 1)
    for age in told:
        counts[sum(age >= limit for limit, _ in _STEPS)] += 1
    most = max(counts)
    bars = "".join(_BARS[min(7, 7 * count // most)] if count else " " for count in counts)
    parts = [f"{count} up to {word}" for count, (_, word) in zip(counts, _STEPS, strict=False) if count]
    if counts[-1]:
        parts.append(f"{counts[-1]} longer")
    return f"{bars}  {', '.join(parts)}; longest {output.seconds(told[-1])}"


def _reckoned(values: dict[str, Any]) -> str:
    return "   ".join(f"{name.replace('_', ' ')} {_number(value)}" for name, value in values.items())


def _number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _refused(refused: dict[str, int]) -> str:
    return ", ".join(f"{number} by {rule.replace('_', ' ')}" for rule, number in sorted(refused.items()))


def _ordered(told: Explained) -> list[str]:
    from campaigns.pace_explain import outcome

    decision = told.decision
    if not decision.ordered and not told.calls:
        return ["nothing" if not decision.calls else f"none of the {decision.calls} wanted"]
    head = output.count(max(decision.ordered, len(told.calls)), "call")
    if decision.ordered < decision.calls:
        head += f" of {decision.calls} wanted"
    ends = outcome(told.calls)
    return [head, *ends] if len(ends) > 1 else [f"{head}: {ends[0] if ends else 'no longer on record'}"]
