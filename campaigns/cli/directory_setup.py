"""`dialer directory provision`, `changes` and `undo`: set up what a campaign needs, and take it back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from campaigns.cli import output
from campaigns.cli.context import CliContext, who
from campaigns.cli.pbx import quiet_retries
from campaigns.cli.tree import Command

if TYPE_CHECKING:
    from campaigns.application import Application
    from campaigns.provisioning import Outcome
    from dialer.directory.base import Request, Wish


@click.command(
    "provision",
    cls=Command,
    example="""dialer directory provision office spring --dry-run
dialer directory provision office spring --number +6499290087 --last email:sales@example.net""",
)
@click.argument("name")
@click.argument("campaign")
@click.option("--group", default="", help="Its name on the platform. Default: the campaign's.")
@click.option("--number", "numbers", multiple=True, metavar="NUMBER", help="That reaches it; repeatable.")
@click.option("--member", "members", multiple=True, metavar="ACCOUNT", help="Default: the campaign's agents.")
@click.option("--ring", type=click.IntRange(1, 300), default=20, show_default=True, help="Seconds for each member.")
@click.option("--last", default="", help="Where a call goes that nobody took: email:NAME@DOMAIN, or a number.")
@click.option("--existing", is_flag=True, help="Add to a group that was not made from here.")
@click.option("--dry-run", is_flag=True, help="Show each request that would be made, and make none.")
@output.yes_option
@output.json_option
@click.pass_obj
def provision(
    context: CliContext,
    /,
    name: str,
    campaign: str,
    existing: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **wanted: Any,
) -> None:
    """Set up on directory NAME what CAMPAIGN needs for people who call back: a hunt group, its members, its numbers.

    What is there already stays as it is, and what is made is kept in a record for `undo`. Stopped half-way, run it
    again: it looks first, and goes on from there.
    """
    from campaigns import lifecycle, provisioning

    quiet_retries()
    with context.application() as app:
        with app.transaction() as session:
            found = lifecycle.get(session, campaign)
        wish = _wish(app, name, found.name, **wanted)
        steps = app.directory(name).plan(wish)
        planned = provisioning.preview(app, name, steps, existing=existing)
        to_make = sum(one.end == "make" for one in planned)
        if dry_run or not to_make:
            _print(planned, as_json, name, dry_run=dry_run)
            if not as_json:
                click.echo(f"{output.count(to_make, 'request')} would be made" if to_make else "everything is there")
            return
        if not yes:
            _lines(planned, err=True)
        output.confirm(f"Make {output.count(to_make, 'request')} on directory {name}?", yes)
        done: list[Outcome] = []

        def tell(one: Outcome) -> None:
            done.append(one)
            if not as_json:
                _lines([one])

        try:
            provisioning.provision(
                app, name, steps, label=wish.group, who=who(), tell=tell, campaign_id=found.id, existing=existing
            )
        finally:
            if as_json:
                _print(done, as_json, name, dry_run=False)
    if not as_json:
        click.echo(f"{output.count(sum(one.end == 'made' for one in done), 'thing')} made; "
                   f"`dialer directory undo {name} {wish.group}` takes back what was made from here")  # fmt: skip


@click.command("changes", cls=Command, example="dialer directory changes office")
@click.argument("name")
@click.option("--group", default="", help="Only what was set up for this group.")
@output.json_option
@click.pass_obj
def changes(context: CliContext, name: str, group: str, as_json: bool) -> None:
    """Show what was set up on directory NAME from here, by whom, and what became of it."""
    from campaigns import provisioning

    with context.application() as app:
        app.directory(name)
        with app.transaction() as session:
            rows = provisioning.changes(session, name, group)
    if as_json:
        told = [
            {"group": one.label, "what": one.what, "state": one.state, "method": one.method, "path": one.path,
             "body": one.body, "id": one.made_id, "who": one.who, "at": one.written_at, "ended_at": one.ended_at,
             "trouble": one.trouble}
            for one in rows
        ]  # fmt: skip
        output.print_json({"directory": name, "changes": told})
        return
    if not rows:
        output.note(f"nothing was set up on directory {name} from here")
        return
    columns: list[output.Column] = ["When", "Who", "Group", "What", "State", "Trouble"]
    output.print_table(
        columns,
        [[output.local(one.written_at), one.who, one.label, one.what, _STATES[one.state], one.trouble or "-"]
         for one in rows],
    )  # fmt: skip


@click.command("undo", cls=Command, example="dialer directory undo office spring --dry-run")
@click.argument("name")
@click.argument("group")
@click.option("--dry-run", is_flag=True, help="Show each request that would be made, and make none.")
@output.yes_option
@output.json_option
@click.pass_obj
def undo(context: CliContext, name: str, group: str, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Take back, last first, what was set up for GROUP on directory NAME from here.

    What somebody has changed since, and a group with other people's things in it, is left and told (exit code 1).
    """
    from campaigns import provisioning

    quiet_retries()
    done: list[Outcome] = []

    def tell(one: Outcome) -> None:
        done.append(one)
        if not as_json:
            _lines([one])

    with context.application() as app:
        if not dry_run:
            output.confirm(f"Take back what was set up for {group} on directory {name}?", yes)
        try:
            provisioning.undo(app, name, group, who=who(), tell=tell, dry_run=dry_run)
        finally:
            if as_json and done:
                _print(done, as_json, name, dry_run=dry_run)
    kept = sum(one.end == "kept" for one in done)
    if not as_json and not dry_run:
        left = f", {output.count(kept, 'thing')} left" if kept else ""
        click.echo(f"{output.count(len(done) - kept, 'thing')} of {group} taken back{left}")
    if kept:
        raise click.exceptions.Exit(1)


# helpers -------------------------------------------------------------------------------------------------


_STATES = {
    "sent": "not known yet",
    "made": "made",
    "refused": "refused",
    "not_ours": "was there already",
    "undoing": "is being taken back",
    "undone": "taken back",
    "gone": "removed elsewhere",
}
_SIGNS = {"make": "+", "made": "+", "take back": "-", "taken back": "-", "kept": "✗", "by hand": "✗"}


def _wish(
    app: Application,
    name: str,
    campaign: str,
    *,
    group: str,
    numbers: tuple[str, ...],
    members: tuple[str, ...],
    ring: int,
    last: str,
) -> Wish:
    from campaigns import directory_people, lifecycle, pools
    from dialer.directory.base import Wish

    chosen = list(members)
    if not members:
        with app.transaction() as session:
            pbx = directory_people.pbx_in_common(session, app.settings, name, lifecycle.get(session, campaign))
        accounts = app.directory(name).accounts()
        with app.transaction() as session:
            found = lifecycle.get(session, campaign)
            chosen, without = directory_people.accounts_of(session, found, accounts, pbx)
            others = [one for one in pools.names(session, found) if one != pbx]
        for agent in without:
            output.note(f"agent {agent.name or agent.user_id} has no account on directory {name}: not in the group")
        if others:
            output.note(f"agents on PBX {' and '.join(others)} are not in the group: the directory is PBX {pbx}'s")
    return Wish(group or campaign, tuple(chosen), tuple(numbers), ring, last)


def _lines(outcomes: list[Outcome], *, err: bool = False) -> None:
    for one in outcomes:
        sign = _SIGNS.get(one.end, " ")
        remark = f" ({one.remark})" if one.remark else ""
        click.echo(output.clean(f"{sign} {one.end:10} {one.what}{remark}"), err=err)
        if one.request is not None:
            click.echo(output.clean(f"  {'':10} {_shown(one.request)}"), err=err)


def _shown(request: Request) -> str:
    body = f" {json.dumps(dict(request.body), ensure_ascii=False)}" if request.body else ""
    return f"{request.method} {request.path}{body}"


def _print(outcomes: list[Outcome], as_json: bool, name: str, *, dry_run: bool) -> None:
    if not as_json:
        _lines(outcomes)
        return
    told = [
        {
            "what": one.what,
            "end": one.end,
            "request": {"method": one.request.method, "path": one.request.path, "body": dict(one.request.body)}
            if one.request
            else None,
            "remark": one.remark or None,
        }
        for one in outcomes
    ]
    output.print_json({"directory": name, "dry_run": dry_run, "things": told})
