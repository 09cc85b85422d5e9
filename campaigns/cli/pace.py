"""`dialer pace`: how fast a campaign may dial, what the pacer decides, and why."""

from __future__ import annotations

from typing import Any

import click

from campaigns.cli import output
from campaigns.cli.context import CliContext, who
from campaigns.cli.params import NOTHING, Duration, Lines, OrNot, Share
from campaigns.cli.tree import Group
from dialer.modes import MODES


@click.group(cls=Group)
def pace() -> None:
    """How fast a campaign may dial, and at what risk."""


pace.mount("explain", "campaigns.cli.pace_explain:explain", "Why the pacer decided as it did at a moment.")
pace.mount("replay", "campaigns.cli.pace_replay:replay", "A stored stretch of calling under other settings.")


@pace.command("show", example="dialer pace show spring")
@click.argument("name", required=False)
@click.option("--last", type=click.IntRange(1, 200), default=8, show_default=True, help="Decisions to show.")
@output.json_option
@click.pass_obj
def show(context: CliContext, name: str | None, last: int, as_json: bool) -> None:
    """Show the limits and the last decisions of campaign NAME, or the newest decision of each."""
    from campaigns import lifecycle, pace_log
    from campaigns.db import database_now

    with context.application() as app, app.transaction() as session:
        now = database_now(session)
        only = lifecycle.get(session, name).name if name else None
        told = pace_log.paces(session, now, name=only, last=last if only else 1)
    if as_json:
        output.print_json({"campaigns": [one.as_json() for one in told]})
        return
    if not told:
        output.note("no campaigns yet: `dialer campaign create NAME --caller-id NUMBER` makes one")
        return
    columns: list[output.Column] = ["Campaign", "State", "Mode", ("Rate / limit", "right"), "in", ("May lose", "right")]
    columns += [("Lines", "right")]
    limits = [
        [one.name, output.state(one.state), one.mode,
         f"{one.budget.rate * 100:.1f} / {output.percent(one.budget.ceiling)}", one.budget.window,
         "any number" if one.budget.left is None else one.budget.left,
         "unlimited" if one.goals["max_lines"] is None else one.goals["max_lines"]]
        for one in told
    ]  # fmt: skip
    output.print_table(columns, limits)
    output.print_table(["Campaign", "Rule pack", *_GOALS.values()], [_goals(one) for one in told], title="Goals")
    decided = [
        [f"{pace.name} on {one.pbx}" if one.pbx else pace.name, output.ago(one.until_at, now), one.calls, one.ordered,
         one.ticks, one.why]
        for pace in told
        for one in pace.decisions
    ]  # fmt: skip
    if decided:
        columns = ["Campaign", "When", ("Calls", "right"), ("Ordered", "right"), ("Ticks", "right"), "Why"]
        output.print_table(columns, decided, title="Decisions")
        if only:
            output.note("`dialer pace explain` tells what a decision saw, and what became of its calls")
    else:
        output.note("the pacer has decided nothing yet: it does while a campaign runs and a scheduler is up")


_GOALS = {
    "max_abandonment": "Limit",
    "ratio": "Ratio",
    "desired_wait": "Wait",
    "min_ring": "Ring",
    "calls_per_second": "Calls/s",
    "weight": "Weight",
    "inbound_first": "Inbound first",
}


def _goals(one: Any) -> list[Any]:
    return [one.name, one.rule_pack, *(_in_words(goal, one.goals[goal]) for goal in _GOALS)]


@pace.command(
    "set",
    example="""dialer pace set spring --max-abandonment 2% --max-lines 40
dialer pace set spring --min-ring 18 --desired-wait 10s --why "fewer calls that ring out\"""",
)
@click.argument("name")
@click.option("--max-abandonment", type=Share(), help="Share of answered calls that may meet no agent: 0.03 or 3%.")
@click.option("--max-lines", type=Lines(), help="Most lines in use at once, or unlimited.")
@click.option("--mode", type=click.Choice(MODES), help="How to dial from now on.")
@click.option("--ratio", type=OrNot(click.FLOAT, "none"), help="Calls for each free agent, in power mode.")
@click.option(
    "--desired-wait", type=OrNot(Duration(), "none"), help="What an agent shall have between two calls: 10, 10s."
)
@click.option(
    "--min-ring", type=OrNot(Duration(), "ring-out"),
    help="After so long a call that nobody will be free for may be given up; ring-out: never.",
)  # fmt: skip
@click.option("--calls-per-second", type=OrNot(click.FLOAT, "unlimited"), help="Most orders a second on each gateway.")
@click.option("--weight", type=float, help="Its share of agents that work for several campaigns: 3 gets thrice 1.")
@click.option(
    "--inbound-first/--outbound-first", default=None, help="Whether people who call in get the next free agent."
)
@click.option(
    "--why", default="", help="Kept in the ledger; needed, with the right to it, for a limit above the rule pack's."
)
@click.option("--dry-run", is_flag=True, help="Check it and say what would change.")
@output.json_option
@click.pass_obj
def set_pace(
    context: CliContext, /, name: str, mode: str | None, why: str, dry_run: bool, as_json: bool, **given: Any
) -> None:
    """Change the limits and the goals of campaign NAME; it holds from the next decision on."""
    from campaigns import lifecycle, pools
    from campaigns.db import database_now

    goals: dict[str, Any] = {
        goal: None if value is NOTHING else value for goal, value in given.items() if value is not None
    }
    if goals.get("max_lines") == 0:
        goals["max_lines"] = None
    if not goals and mode is None:
        raise click.UsageError("nothing to change: give --max-abandonment, --max-lines, --mode or another goal")
    with context.application() as app, app.transaction() as session:
        found = lifecycle.get(session, name)
        every = [app.pbx(name).features for name in pools.names(session, found)] if mode else []
        more: dict[str, Any] = {"features": frozenset.intersection(*every)} if mode else {}
        changes = lifecycle.set_pace(
            session,
            found.name,
            mode=mode,
            may_raise=app.settings.rights.may_raise_ceiling,
            now=database_now(session),
            who=who(),
            why=why,
            **goals,
            **more,
        )
        called = found.name
        if dry_run:
            session.rollback()
    if as_json:
        made = [{"setting": one.setting, "old": one.old, "new": one.new} for one in changes]
        output.print_json({"name": called, "changes": made, "dry_run": dry_run})
        return
    if not changes:
        click.echo(f"campaign {called}: nothing to change, it is so already")
    for one in changes:
        would = "would change" if dry_run else "changed"
        old, new = _in_words(one.setting, one.old), _in_words(one.setting, one.new)
        click.echo(f"campaign {called}: {one.setting} {would} from {old} to {new}")


# What a goal is called when it is not set.
_WITHOUT = {"min_ring": "ring-out", "desired_wait": "none", "ratio": "none"}


def _in_words(goal: str, value: Any) -> str:
    if goal == "max_abandonment":
        return output.percent(value, 2)
    if goal in ("min_ring", "desired_wait") and value is not None:
        return f"{value:g} s"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return _WITHOUT.get(goal, "unlimited") if value is None else str(value)
