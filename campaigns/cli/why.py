"""`dialer why`: from the contacts imported to those that can be called now, or every rule about one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from campaigns.cli import output
from campaigns.cli.context import CliContext
from campaigns.cli.tree import Command

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from campaigns.models import Campaign
    from campaigns.why import Explained
    from campaigns.why_campaign import CampaignWhy


@click.command(
    "why",
    cls=Command,
    example="""dialer why spring
dialer why spring --list customers
dialer why spring +390612345678""",
)
@click.argument("campaign")
@click.argument("contact", required=False)
@click.option(
    "--list", "of_list", metavar="LIST", help="Only the contacts of this list: its name, or its import's number."
)
@output.json_option
@click.pass_obj
def why(context: CliContext, campaign: str, contact: str | None, of_list: str | None, as_json: bool) -> None:
    """Say why a CAMPAIGN, or one CONTACT of it, is not being called.

    Without a contact: what holds the campaign, and how many contacts each rule takes away from those imported, in the
    order in which the gate asks. A contact is named by its id or its number; each rule of the gate is asked about it.
    """
    from campaigns import lifecycle, why_campaign
    from campaigns import why as reasons
    from campaigns.db import database_now

    if contact is not None and of_list is not None:
        raise click.UsageError("a contact is on one list: name either the contact or the list")
    with context.application() as app, app.transaction() as session:
        now = database_now(session)
        found = lifecycle.get(session, campaign)
        ring = app.settings.timing.ring_limit
        if contact is not None:
            _contact(reasons.explain(session, found, contact, now=now, ring_seconds=ring), found, as_json)
            return
        told = why_campaign.ask(session, found, now=now, ring_seconds=ring, of_list=of_list)
    if as_json:
        output.print_json(told.as_json())
        return
    _campaign(told, now, output.zone_of(found))


def _campaign(told: CampaignWhy, now: datetime, zone: tzinfo) -> None:
    from rich.text import Text

    out = output.console()
    counted, decided = told.fall, told.decided
    name = output.clean(told.campaign) + (f", list {output.clean(told.list_name)}" if told.list_name else "")
    head = Text(name, style="bold").append("  ").append_text(output.state(told.state))
    out.print(head)
    for sentence in told.holding:
        out.print(Text(f"✗ {output.clean(sentence)}", style="red"))
    if decided is not None and told.state == "running":
        calls, reason = output.count(decided.calls, "call"), decided.why.removeprefix(f"{decided.calls}: ")
        out.print(output.plain(f"  last decision, {output.ago(decided.until_at, now)}: {calls}, {reason}"))
    if not counted.imported:
        out.print(Text("✗ it has no contacts: `dialer list import` brings some", style="red"))
        return
    rows: list[list[Any]] = [[f"{counted.imported:,}", "contacts imported", ""]]
    for step in counted.steps:
        until = f"first at {output.local(step.until, zone)}" if step.until else ""
        rows.append([f"-{step.contacts:,}", step.reason, until])
    style = "bold green" if counted.dialable and not told.holding else "bold"
    left = "could be called, but for what is said above" if counted.dialable and told.holding else "can be called now"
    rows.append([Text(f"{counted.dialable:,}", style=style), Text(left, style=style), ""])
    built = output.table([("Contacts", "right"), "", ""], rows)
    built.show_header = False
    built.rows[-2].end_section = True
    out.print(built)


def _contact(told: Explained, found: Campaign, as_json: bool) -> None:
    from campaigns.why import in_words, soonest

    one, when, zone = told.contact, soonest(told.verdicts), output.zone_of(found)
    if as_json:
        output.print_json({"campaign": found.name, **told.as_json()})
        return
    from rich.text import Text

    out = output.console()
    name = " ".join(part for part in (one.first_name, one.last_name, one.company) if part) or "no name"
    out.print(Text(f"contact {one.id}, {output.clean(name)}, {told.number}", style="bold"))
    for verdict in told.verdicts:
        sign, style = ("✓", "green") if verdict.allowed else ("✗", "red")
        line = Text(f"{sign} {verdict.rule.replace('_', ' '):<13}", style=style)
        line.append(output.clean(in_words(verdict)), style="")
        if verdict.until is not None and not verdict.allowed:
            line.append(f"; allowed from {output.local(verdict.until, zone)}", style="dim")
        out.print(line)
    if told.allowed:
        click.echo("it can be called now")
    else:
        click.echo(f"it cannot be called before {output.local(when, zone)}" if when else "it cannot be called")
    if told.twins:
        output.note(f"{told.twins} other contacts of the campaign have this number")
    if told.attempts:
        rows = [
            [
                output.local(tried.ordered_at, zone, "%Y-%m-%d %H:%M:%S %Z"),
                tried.number,
                tried.state,
                tried.trouble or "-",
            ]
            for tried in told.attempts
        ]
        output.print_table(["Tried", "Number", "Outcome", "Trouble"], rows, title="Last attempts")
