"""`dialer campaign`: create, look at, start, pause, resume, stop, archive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from campaigns.cli import output
from campaigns.cli.context import CliContext, who
from campaigns.cli.params import Duration, Lines, Share
from campaigns.cli.rules import pack_in_words
from campaigns.cli.tree import Group
from dialer.abandonment import PACKS
from dialer.modes import MODES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from campaigns.application import Application
    from campaigns.overview import CampaignRow
    from campaigns.roster import AgentsSpec
    from campaigns.rules_view import RulesShown
    from dialer.pbx.base import PbxUser


@click.group(cls=Group)
def campaign() -> None:
    """Create campaigns; start, pause and stop them.

    A campaign is a draft until it is started, and calls nobody. It may be paused and resumed, stopped and
    started again, and archived when it is over.
    """


@campaign.command(
    "create",
    example="""dialer campaign create spring --pbx main --mode predictive \\
        --agents group:Sales --caller-id +390551234567 --hours 09:00-20:00""",
)
@click.argument("name")
@click.option(
    "--pbx",
    "pbx_names",
    multiple=True,
    help="PBX of the settings that makes the calls; several share them. Default: the only one.",
)
@click.option("--standby", "standbys", multiple=True, help="PBX that steps in when one of those cannot be called on.")
@click.option(
    "--mode", type=click.Choice(MODES), default="predictive", show_default=True,
    help="predictive dials ahead of the agents, progressive one call and power a fixed number for each free one; "
         "in preview agents accept each contact, in manual they dial; agentless plays the message to who answers.",
)  # fmt: skip
@click.option("--agents", default="", help="PBX user ids (101,102), group:NAME of a ring group, or all.")
@click.option("--caller-id", required=True, metavar="NUMBER", help="The number that customers see.")
@click.option("--country", default="", help="How numbers without a country code are read. Default: the caller id's.")
@click.option(
    "--hours", default="09:00-20:00", show_default=True,
    help="When phones may ring, by the clock where each phone is: always, 09:00-20:00, mon-fri 09:00-13:00.",
)  # fmt: skip
@click.option("--time-zone", help="For numbers that name no zone, for example Europe/Rome.")
@click.option("--max-attempts", type=click.IntRange(1, 100), default=3, show_default=True, help="Per contact.")
@click.option(
    "--retry-delay", type=Duration(), default="1h", show_default=True, help="After a try that reached nobody."
)
@click.option(
    "--number-gap", type=Duration(), default="10m", show_default=True, help="Between two calls to one number."
)
@click.option("--wrap-up", type=Duration(), default="30s", show_default=True, help="Longest rest after a conversation.")
@click.option(
    "--rule-pack", "pack", type=click.Choice(sorted(PACKS)), default="default-2026", show_default=True,
    help="Whose law it keeps: abandoned calls, hours and holidays, how often, consent.",
)  # fmt: skip
@click.option(
    "--needs-consent", is_flag=True, help="Call only who agreed to it, also where the rule pack does not ask."
)
@click.option(
    "--max-abandonment", type=Share(), help="Share of answered calls that may meet no agent. Default: the rule pack's."
)
@click.option("--max-lines", type=Lines(), help="Most lines in use at once, or unlimited. Default: unlimited.")
@click.option(
    "--why", default="", help="Kept in the ledger; needed, with the right to it, for a limit above the rule pack's."
)
@output.json_option
@click.pass_obj
def create(context: CliContext, /, as_json: bool, **given: Any) -> None:
    """Write a new campaign NAME as a draft."""
    from campaigns import caller_id_pools, lifecycle, overview, roster
    from campaigns.db import database_now
    from dialer import modes

    with context.application() as app:
        first, *more = given.pop("pbx_names") or (_only_pbx(app),)
        agents = given.pop("agents")
        every = [app.pbx(name) for name in (first, *more, *given["standbys"])]
        for one in every:  # so that whoever is refused is named
            modes.check(given["mode"], one.name, one.features)
        features = frozenset.intersection(*(one.features for one in every))
        # The PBX is asked before anything is written: a network read inside a transaction would hold its locks.
        spec = roster.parse(agents) if agents else None
        users, unseen = users_of(app, [one.name for one in every], spec) if spec else ({first: []}, "")
        given["max_lines"] = given["max_lines"] or None
        given["wrap_up_limit"] = given.pop("wrap_up")
        with app.transaction() as session:
            now = database_now(session)
            given |= {"may_raise": app.settings.rights.may_raise_ceiling, "now": now, "who": who()}
            made = lifecycle.create(session, pbx=first, more_pbxes=more, features=features, **given)
            mine = users.pop(first)
            change = roster.assign(session, made, spec, mine, others=users, now=now, who=who()) if spec else None
            row = overview.campaign_rows(session, now, name=made.name)[0]
            doubts = caller_id_pools.doubts(made, made.caller_id, ())
    if as_json:
        output.print_json({**row.as_json(), "warnings": [told for told in (unseen, *doubts) if told]})
        return
    for warning in (told for told in (unseen, *doubts) if told):
        output.note(f"warning: {warning}")
    if law := _law_not_kept(row.name, row.rule_pack, row.country):
        output.note(law)
    click.echo(
        f"campaign {row.name} is written as a draft, with {output.count(change.total if change else 0, 'agent')}"
    )
    output.note(f"next: dialer list import {_typed(row.name)} FILE, then dialer campaign start {_typed(row.name)}")


def _law_not_kept(name: str, pack: str, country: str) -> str:
    """Say which packs know the law of a country whose campaign is under none of them; empty when there is none."""
    place = {"GB": "uk"}.get(country, country.lower())
    fitting = [one for one in sorted(PACKS) if one.startswith(f"{place}-")]
    if not fitting or not pack.startswith("default-"):
        return ""
    return (
        f"{pack} keeps the hours you gave and no law of {country}; {' or '.join(fitting)} does: before it is started, "
        f"`dialer campaign rules {_typed(name)} --pack {fitting[0]}`"
    )


def _only_pbx(app: Application) -> str:
    names = list(app.pbxes)
    if len(names) == 1:
        return names[0]
    told = f"there are {', '.join(names)}" if names else "there is none: add a [pbx.NAME] section"
    raise click.UsageError(f"say which PBX with --pbx; in the settings {told}")


def users_of(app: Application, pbxes: Sequence[str], spec: AgentsSpec) -> tuple[dict[str, list[PbxUser]], str]:
    """The users of each PBX, as `_users` of its part of the spec; what could not be seen is said."""
    from campaigns.roster import AgentsSpec
    from dialer.errors import ServiceUnreachable

    if len(pbxes) == 1:
        users, unseen = _users(app, pbxes[0], spec)
        return {pbxes[0]: users}, unseen
    found: dict[str, list[PbxUser]] = {}
    troubles: list[str] = []
    for pbx in pbxes:
        part = spec.of(pbx)
        groups = (*spec.groups, *part.groups)
        asked = AgentsSpec((*spec.user_ids, *part.user_ids), groups, spec.everybody or part.everybody)
        found[pbx], unseen = _users(app, pbx, asked)
        if unseen and spec.user_ids:
            raise ServiceUnreachable(f"{unseen}; with several PBXs write whose they are: {pbx}/101")
        troubles += [unseen] if unseen else []
    return found, "; ".join(troubles)


def _users(app: Application, pbx: str, spec: AgentsSpec) -> tuple[list[PbxUser], str]:
    """The PBX's users; when it is down and the spec gives plain ids, those ids as they are, with a warning."""
    from dialer.errors import PbxError, ServiceUnreachable
    from dialer.pbx.base import PbxUser, Presence

    try:
        return list(app.pbx(pbx).users()), ""
    except PbxError as exc:
        if spec.follows_the_pbx:
            raise ServiceUnreachable(
                f"the agents {spec} cannot be looked up: {exc}; "
                f"mend that (`dialer pbx check {pbx}` says how), or give PBX user ids such as 101,102"
            ) from exc
        unseen = [PbxUser(id=user, name="", extension="", presence=Presence.UNKNOWN) for user in spec.user_ids]
        return unseen, f"the agents could not be checked: {exc}; their names are read when it answers"


@campaign.command("list", example="dialer campaign list --json")
@click.option("--all", "archived", is_flag=True, help="Archived ones too.")
@output.json_option
@click.pass_obj
def list_campaigns(context: CliContext, archived: bool, as_json: bool) -> None:
    """List the campaigns, running ones first."""
    from campaigns import overview
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        rows = overview.campaign_rows(session, database_now(session), archived=archived)
    if as_json:
        output.print_json({"campaigns": [row.as_json() for row in rows]})
        return
    if not rows:
        output.note("no campaigns yet: `dialer campaign create NAME --caller-id NUMBER` makes one")
        return
    right = "right"
    columns: list[output.Column] = ["Campaign", "State", "Mode", "PBX", ("At work", right), ("Left", right)]
    columns += [("24 h: calls", right), ("Joined", right), ("Lost", right), ("Rate / limit", right)]
    output.print_table(columns, [_cells(row) for row in rows])


def _cells(row: CampaignRow) -> list[Any]:
    return [
        row.name,
        output.state(row.state),
        row.mode,
        row.pbx,
        f"{row.agents_at_work}/{row.agents}",
        f"{row.contacts_left:,} of {row.contacts:,}",
        f"{row.calls:,}",
        f"{row.joined:,}",
        f"{row.abandoned:,}",
        _rate(row),
    ]


def _rate(row: CampaignRow) -> Any:
    from rich.text import Text

    over = row.abandonment > row.max_abandonment
    told = f"{row.abandonment * 100:.1f} / {output.percent(row.max_abandonment)}"
    return Text(f"▲ {told}" if over else told, style="bold red" if over else "")


@campaign.command("show", example="dialer campaign show spring")
@click.argument("name")
@output.json_option
@click.pass_obj
def show(context: CliContext, name: str, as_json: bool) -> None:
    """Show one campaign: its rules, its agents, and what it still needs."""
    from campaigns import caller_id_pools, lifecycle, overview, pools, roster, rules_view
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        found = lifecycle.get(session, name)
        rules = rules_view.of_campaign(session, found)
        pool = caller_id_pools.numbers_of(session, found)
        row = overview.campaign_rows(session, database_now(session), name=found.name)[0]
        agents = roster.members(session, found)
        places = pools.of(session, found)
        missing = lifecycle.shortcomings(session, found) if found.state != "archived" else []
    if as_json:
        people = [
            {"user_id": one.user_id, "name": one.name, "extension": one.extension, "state": one.state} for one in agents
        ]
        pbxes = [{"pbx": one.pbx, "role": one.role} for one in places]
        shown = {"pbxes": pbxes, "rules": rules.as_json(), "caller_ids": pool, "agent_list": people, "missing": missing}
        output.print_json({**row.as_json(), **shown})
        return
    through = ", ".join(one.pbx if one.role == "pool" else f"{one.pbx} ({one.role})" for one in places)
    _print_campaign(row, through, pool, rules, [one.name or f"user {one.user_id}" for one in agents])
    for sentence in missing:
        output.note(f"  missing: {sentence}")


def _print_campaign(row: CampaignRow, through: str, pool: list[str], rules: RulesShown, agents: list[str]) -> None:
    from rich.table import Table

    people = ", ".join(agents[:8]) + (f" and {len(agents) - 8} more" if len(agents) > 8 else "")
    grid = Table.grid(padding=(0, 2))
    since = f" since {output.local(row.state_at, output.zone_of(row))}"
    lines = "unlimited" if row.max_lines is None else str(row.max_lines)
    shown = ", ".join(pool[:4]) + (f" and {len(pool) - 4} more: dialer caller-id list" if len(pool) > 4 else "")
    facts: list[tuple[str, Any]] = [
        ("State", output.state(row.state).append(since, style="dim")),
        ("Calls", f"{row.mode} through PBX {through}, as {shown}"),
        ("Hours", f"{row.hours}, where each phone is" + (f" (else {row.time_zone})" if row.time_zone else "")),
        ("Numbers", f"read as {row.country}; {output.words(row.number_gap)} between two calls to one number"),
        ("Attempts", f"at most {row.max_attempts} per contact, {output.words(row.retry_delay)} after a failed one"),
        ("Caps", ", ".join(f"{cap} per {cap.per}" for cap in rules.caps) or "none but those of the rules"),
        ("Rules", " · ".join(pack_in_words(one) for one in rules.packs)),
        ("Consent", f"needed, by {rules.consent}" if rules.consent else "not asked for"),
        ("Words", " · ".join(rules.dispositions)),
        ("Limits", f"{output.percent(row.max_abandonment)} abandoned, {lines} lines, {row.answer_limit:g} s "
                   f"to an agent, {output.words(row.wrap_up_limit)} wrap-up"),
        ("Agents", f"{row.agents_at_work} of {row.agents} at work" + (f": {people}" if people else "")),
        ("Contacts", f"{row.contacts_left:,} of {row.contacts:,} left to call"),
        ("Last 24 h", f"{row.calls:,} calls, {row.joined:,} joined, {row.abandoned:,} abandoned "
                      f"({output.percent(row.abandonment)}), {row.in_progress} in progress"),
    ]  # fmt: skip
    for name, value in facts:
        grid.add_row(output.heading(name), value if not isinstance(value, str) else output.plain(value))
    out = output.console()
    out.print(output.heading(row.name))
    out.print(grid)


def _typed(name: str) -> str:
    import shlex

    return shlex.quote(name)


# Verbs ---------------------------------------------------------------------------------------------------


def _verb(verb: str, done: str, told: str, *, warn: bool = False) -> click.Command:
    """Build one of the verbs that move a campaign from state to state."""

    @campaign.command(verb, help=told, example=f"dialer campaign {verb} spring")
    @click.argument("name")
    @click.option("--why", default="", help="Kept in the ledger.")
    @output.json_option
    @click.pass_obj
    def command(context: CliContext, name: str, why: str, as_json: bool) -> None:
        _move(context, verb, done, name, why, as_json, warn=warn)

    return command


start = _verb("start", "running", "Let a draft, or a stopped campaign, call.", warn=True)
pause = _verb("pause", "paused", "Order no more calls; those in progress go on.")
resume = _verb("resume", "running again", "Let a paused campaign go on.", warn=True)
stop = _verb("stop", "stopped", "Order no more calls and send the agents home.")


def _move(context: CliContext, verb: str, done: str, name: str, why: str, as_json: bool, *, warn: bool) -> None:
    from campaigns import lifecycle
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        moved = getattr(lifecycle, verb)(session, name, now=database_now(session), who=who(), why=why)
        warnings = lifecycle.shortcomings(session, moved.campaign) if warn else []
        busy = lifecycle.calls_in_progress(session, moved.campaign)
    found = moved.campaign
    if as_json:
        answer = {"name": found.name, "state": found.state, "before": moved.before, "changed": moved.changed}
        output.print_json({**answer, "calls_in_progress": busy, "warnings": warnings})
        return
    if not moved.changed:
        click.echo(f"campaign {found.name} is already {found.state}")
    else:
        going = f"; {output.count(busy, 'call')} in progress until the end" if busy and found.state != "running" else ""
        click.echo(f"campaign {found.name} is {done}{going}")
    for sentence in warnings:
        output.note(f"warning: {sentence}")


@campaign.command("archive", example="dialer campaign archive spring --yes")
@click.argument("name")
@click.option("--why", default="", help="Kept in the ledger.")
@output.yes_option
@output.json_option
@click.pass_obj
def archive(context: CliContext, name: str, why: str, yes: bool, as_json: bool) -> None:
    """Put a campaign away for good. Its records stay; contacts that were not reached are called no more."""
    from campaigns import lifecycle

    with context.application() as app, app.transaction() as session:
        found = lifecycle.get(session, name)
        left = lifecycle.open_contacts(session, found) if found.state in ("draft", "stopped") else 0
    if left:
        output.confirm(f"campaign {found.name} has {left:,} contacts left to call; archive it for good?", yes)
    _move(context, "archive", "archived", name, why, as_json, warn=False)
