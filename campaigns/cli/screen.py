"""The live state as a terminal shows it: read in two seconds from three metres away.

Everything here takes a `LiveState` and returns something rich can print; nothing is read or written.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from rich.console import Group
from rich.table import Table
from rich.text import Text

from campaigns.agent_states import FREE
from campaigns.cli import output

if TYPE_CHECKING:
    from campaigns.live import AgentLine, CampaignLive, LiveState
    from campaigns.pools_view import PbxPart

STALE = 3.0  # seconds after which a read of the PBX is shown as old
_AGENT_ORDER = ("talking", "assigned", "parked", "parking", "ready", "wrap_up", "paused", "out")
_FULL = 3  # so many campaigns get a block each; more become rows of a table
_GAUGE = 20
# A state held for longer than this (seconds) is worth a look: the row grows warmer.
_LONG = {"wrap_up": (20.0, 60.0), "paused": (600.0, 1800.0), "ready": (60.0, 300.0), "parked": (60.0, 300.0)}


def screen(state: LiveState, *, rows: int = 30) -> Any:
    """Everything: the campaigns, then who works for them, then what is wrong."""
    parts: list[Any] = []
    if not state.campaigns:
        parts.append(Text("no campaigns yet: `dialer campaign create NAME --caller-id NUMBER` makes one", style="dim"))
    elif len(state.campaigns) <= _FULL:
        for one in state.campaigns:
            parts += [_block(one, state), Text("")]
    else:
        parts += [_rows(state.campaigns), Text("")]
    people = [line for one in state.campaigns for line in one.agents.people]
    if people:
        parts += [_agents(people, rows), Text("")]
    parts.append(_footer(state))
    parts += [Text(f"! {output.clean(trouble)}", style="yellow") for trouble in state.troubles]
    return Group(*parts)


def _block(one: CampaignLive, state: LiveState) -> Any:
    head = Text(output.clean(one.name), style="bold").append("  ").append_text(output.state(one.state))
    head.append(f" for {output.ago(one.state_since, state.at).removesuffix(' ago')}", style="dim")
    through = ", ".join(part.pbx for part in one.pbxes) or one.pbx
    head.append(f"   {one.mode}, PBX {through}", style="dim")
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("Agents", _agent_counts(one))
    grid.add_row("Calls", _calls(one))
    grid.add_row("Lines", _lines(one))
    for part in one.pbxes:
        grid.add_row(f"  {output.clean(part.pbx)}", _part(part, one.zone))
    grid.add_row("Abandoned", _abandonment(one))
    grid.add_row("Today", _today(one))
    grid.add_row("Contacts", _contacts(one))
    if one.callbacks.due or one.callbacks.over:
        grid.add_row("Callbacks", _callbacks(one))
    grid.add_row("Pace", _pace(one))
    return Group(head, grid)


def _agent_counts(one: CampaignLive) -> Text:
    told = Text()
    for word in _AGENT_ORDER:
        count = one.agents.by_state.get(word, 0)
        if count:
            sign, colour = output.STATES[word]
            told.append(f"{sign} {count} {word.replace('_', '-')}   ", style=colour)
    return told if told.plain else Text("none assigned: `dialer agent assign` brings some", style="yellow")


def _calls(one: CampaignLive) -> Text:
    calls = one.calls
    told = Text(f"{calls.ordered} dialling   {calls.ringing} ringing   ")
    wait = f" ({calls.longest_wait:.1f} s)" if calls.longest_wait is not None else ""
    told.append(f"{calls.waiting} waiting{wait}", style="bold red" if calls.waiting else "")
    told.append(f"   {calls.talking} talking")
    if calls.message:
        told.append(f"   {calls.message} hear the message", style="yellow")
    if calls.ending:
        told.append(f"   {calls.ending} ending", style="dim")
    return told


def _lines(one: CampaignLive) -> Text:
    lines = one.lines
    if lines.age is None:
        return Text("not read from the PBX yet", style="yellow")
    told = Text(f"{lines.busy} of {lines.total} busy")
    if lines.limit is not None:
        told.append(f", this campaign at most {lines.limit}")
        unseen = sum(part.counted for part in one.pbxes if part.state == "out of use")
        if unseen:
            told.append(f", {unseen} of them kept for calls out of sight", style="yellow")
    if lines.age > STALE:
        told.append(f"   read {lines.age:.0f} s ago", style="yellow" if lines.age < 30 else "bold red")
    return told


def _part(part: PbxPart, zone: str) -> Text:
    told = Text(output.clean(part.in_words(ZoneInfo(zone))), style="" if part.state == "ok" else "bold red")
    told.append(f"   {output.count(part.at_work, 'agent')} at work   {part.calls_in_words}   ")
    return told.append(f"{part.busy} of {part.lines} lines busy", style="dim")


def _abandonment(one: CampaignLive) -> Text:
    spent = one.abandonment
    share = min(1.0, spent.rate / spent.ceiling) if spent.ceiling > 0 else float(spent.rate > 0)
    style = "bold red" if spent.over else "yellow" if share > 0.8 else "green"
    filled = round(share * _GAUGE)
    told = Text(f"{output.percent(spent.rate, 2)} of {output.percent(spent.ceiling)} ", style=style)
    told.append("█" * filled + "░" * (_GAUGE - filled), style=style)
    if spent.over:
        told.append("  ▲ above the limit", style=style)
    elif spent.calls_left is None:
        told.append("  no limit")
    elif spent.calls_left:
        told.append(f"  {spent.calls_left} more may be lost")
    elif spent.to_meet:
        told.append(f"  none may be lost before {spent.to_meet} more are met")
    told.append(f"   {spent.abandoned} of {spent.abandoned + spent.met}, {spent.window.name}", style="dim")
    if spent.mistaken:
        told.append(f", {spent.mistaken} lost to the machine detector", style="dim")
    return told


def _today(one: CampaignLive) -> Text:
    today = one.today
    share = f" ({today.answered / today.attempts:.0%})" if today.attempts else ""
    told = Text(f"{today.attempts:,} calls   {today.answered:,} answered{share}   {today.met:,} met")
    if today.occupancy is not None:
        told.append(f"   occupancy {today.occupancy:.0%}")
    wait = today.join_ms
    if wait.p50 is not None and wait.p95 is not None and wait.p99 is not None:
        told.append(f"   to an agent {wait.p50:.0f}/{wait.p95:.0f}/{wait.p99:.0f} ms", style="dim")
        told.append(" p50/p95/p99", style="dim")
    return told


def _contacts(one: CampaignLive) -> Text:
    left = one.contacts
    told = Text(f"{left.open + left.live:,} left   {left.due:,} due now   {left.closed:,} done")
    if not left.due and left.next_at is not None:
        next_at, now = (at.astimezone(ZoneInfo(one.zone)) for at in (left.next_at, one.counted_at))
        pattern = "%H:%M:%S %Z" if next_at.date() == now.date() else "%Y-%m-%d %H:%M %Z"
        told.append(f"   next at {next_at:{pattern}}", style="dim")
    return told


def _callbacks(one: CampaignLive) -> Text:
    waits = one.callbacks
    told = Text(f"{waits.due:,} to be called now")
    if waits.alarmed:
        told.append(f"   ▲ {waits.alarmed:,} will break soon", style="yellow")
    if waits.over:
        told.append(f"   ▲ {waits.over:,} broken", style="bold red")
    if waits.alarmed or waits.over:
        told.append("   `dialer callbacks list --alarms`", style="dim")
    return told


def _pace(one: CampaignLive) -> Text:
    if one.pace is None:
        return Text("no decision yet", style="dim")
    told = Text(output.clean(one.pace.why))
    if one.pace.age > STALE:
        told.append(
            f"   decided {output.seconds(one.pace.age)} ago", style="yellow" if one.state == "running" else "dim"
        )
    return told


def _rows(campaigns: Sequence[CampaignLive]) -> Table:
    right = "right"
    columns: list[output.Column] = ["Campaign", "State", ("Ready", right), ("Talking", right), ("Ringing", right)]
    columns += [("Waiting", right), ("Abandoned", right), ("Left", right), "Pace"]
    rows = []
    for one in campaigns:
        free = sum(one.agents.by_state.get(word, 0) for word in FREE)
        rate = f"{one.abandonment.rate * 100:.1f} / {output.percent(one.abandonment.ceiling)}"
        rows.append(
            [one.name, output.state(one.state), free, one.agents.by_state.get("talking", 0),
             one.calls.ordered + one.calls.ringing, one.calls.waiting,
             Text(f"▲ {rate}", style="bold red") if one.abandonment.over else rate,
             f"{one.contacts.open + one.contacts.live:,}", one.pace.why if one.pace else "-"]
        )  # fmt: skip
    return output.table(columns, rows)


def _agents(people: Sequence[AgentLine], most: int) -> Any:
    at_work = sorted((one for one in people if one.state != "out"), key=lambda one: -one.seconds)
    several = len({one.pbx for one in people}) > 1  # two of them may have a 201, and an agent of one name
    rows: list[list[Any]] = []
    for one in at_work[:most]:
        warm = _LONG.get(one.state)
        style = "" if warm is None or one.seconds < warm[0] else "yellow" if one.seconds < warm[1] else "red"
        rows.append(
            [
                one.name,
                one.extension,
                *([one.pbx] if several else []),
                output.state(one.state),
                Text(output.seconds(one.seconds), style=style),
                one.reason,
            ]
        )
    columns: list[output.Column] = ["Agent", "Ext.", *(["PBX"] if several else []), "State", ("For", "right"), "Reason"]
    table = output.table(columns, rows)
    if len(at_work) > most:
        return Group(table, Text(f"and {len(at_work) - most} more", style="dim"))
    return table if rows else Text("no agent is at work", style="dim")


def _footer(state: LiveState) -> Text:
    alive: dict[str, int] = {}
    for process in state.processes:
        alive[process.kind] = alive.get(process.kind, 0) + process.alive
    told = Text(f"{state.at.astimezone(UTC):%H:%M:%S} UTC  ", style="dim")
    for kind in ("web", "worker", "scheduler"):
        count = alive.get(kind, 0)
        told.append(f" {count} {kind}" if count else f" no {kind}", style="dim" if count else "yellow")
    events = state.events
    if events.last_age is not None:
        told.append(f"   last event {output.seconds(events.last_age)} ago", style="dim")
    if events.oldest_unhandled_age is not None and events.oldest_unhandled_age > 1:
        waits = f"   {events.unhandled} events wait, the oldest for {output.seconds(events.oldest_unhandled_age)}"
        told.append(waits, style="bold red")
    return told
