"""`dialer directory`: the platforms that know accounts, numbers and groups. They place no calls."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from campaigns.cli import output
from campaigns.cli.context import CliContext, who
from campaigns.cli.pbx import print_findings, quiet_retries
from campaigns.cli.tree import Group

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from campaigns.application import Application
    from campaigns.directory_people import Comparison, Person
    from dialer.directory.base import Directory, Told


@click.group(cls=Group)
def directory() -> None:
    """Accounts, numbers and groups of a platform such as XC5: read, checked, set up. It places no calls."""


@directory.command("list", example="dialer directory list")
@output.json_option
@click.pass_obj
def list_directories(context: CliContext, as_json: bool) -> None:
    """List the directories of the settings."""
    from campaigns.effective import without_password

    told = [
        {"name": name, "kind": one.kind, "url": without_password(one.url), "account": one.account, "pbx": one.pbx}
        for name, one in context.settings.directory.items()
    ]
    if as_json:
        output.print_json({"directories": told})
        return
    if not told:
        output.note("no directory in the settings: add a [directory.NAME] section (docs/pbx/xc5.md)")
        return
    columns: list[output.Column] = ["Directory", "Kind", "Address", "Tenant", "PBX"]
    output.print_table(columns, [[*list(one.values())[:4], one["pbx"] or "the only one"] for one in told])


@directory.command("show", example="dialer directory show office")
@click.argument("name")
@output.json_option
@click.pass_obj
def show(context: CliContext, name: str, as_json: bool) -> None:
    """Show the groups, the numbers and the free numbers of directory NAME."""
    quiet_retries()
    with _opened(context, name) as found:
        groups = found.groups(_progress("account"))
        numbers, free = found.numbers(_progress("account")), found.free_numbers()
    if as_json:
        told = {
            "groups": [asdict(one) for one in groups],
            "numbers": [asdict(one) for one in numbers],
            "free_numbers": [asdict(one) for one in free],
        }
        output.print_json({"directory": name, **told})
        return
    if groups:
        rows = [[one.name, ", ".join(one.members)] for one in groups]
        output.print_table(["Group", "Rung one after the other"], rows, title="Groups")
    else:
        output.note("no groups")
    rows = [[one.number, one.account, "default" if one.is_default else one.forwards_to or "-"] for one in numbers]
    output.print_table(["Number", "Account", "Remark"], rows, title="Numbers")
    click.echo(f"{output.count(len(free), 'free number')} in the pool")


@directory.command("check", example="dialer directory check office")
@click.argument("name")
@output.json_option
@click.pass_obj
def check(context: CliContext, name: str, as_json: bool) -> None:
    """Look at the set-up of directory NAME: rights, fields, agents' accounts, numbers, blocks. Nothing is changed."""
    quiet_retries()
    with _opened(context, name) as found:
        _reached(found)
        findings = list(found.check())
    faults = sum(not one.ok and one.fatal for one in findings)
    if as_json:
        output.print_json({"directory": name, "ok": not faults, "findings": [asdict(one) for one in findings]})
    else:
        print_findings(findings)
        click.echo(f"directory {name} can be used" if not faults else f"directory {name} cannot be used as it is")
    if faults:
        raise click.exceptions.Exit(1)


@directory.command("agents", example="dialer directory agents office")
@click.argument("name")
@output.json_option
@click.pass_obj
def agents(context: CliContext, name: str, as_json: bool) -> None:
    """List the accounts of directory NAME: whose phone is there, which PBX user each is, what the agent is doing.

    An account is the user with its extension, else the user whose id is the account's name.
    """
    from sqlalchemy import select

    from campaigns.directory_people import pbx_of
    from campaigns.models import Agent

    quiet_retries()
    with context.application() as app:
        people, pbx = _people(app, name), pbx_of(app.settings, name)
        with app.transaction() as session:
            listed = session.execute(select(Agent.user_id, Agent.state).where(Agent.pbx == pbx))
            states = {user_id: state for user_id, state in listed}  # noqa: C416 - rows are not pairs to the type checker
    if as_json:
        told = [
            {**asdict(one.account), "presence": one.account.presence, "user_id": one.user.id if one.user else None,
             "matched_by": one.by or None, "why_not": one.why or None,
             "state": states.get(one.user.id) if one.user else None}
            for one in people
        ]  # fmt: skip
        output.print_json({"directory": name, "pbx": pbx, "accounts": told})
        return
    columns: list[output.Column] = ["Account", "Ext.", "Phone", "Enabled", f"User of {pbx}", "Agent", "Remark"]
    output.print_table(columns, [_row(one, states) for one in people])


@directory.command("sync", example="dialer directory sync office spring --dry-run")
@click.argument("name")
@click.argument("campaign")
@click.option("--group", default="", help="Only members of this group of the directory.")
@click.option("--dry-run", is_flag=True, help="Say who would come, be renamed and go, and change nothing.")
@output.json_option
@click.pass_obj
def sync(context: CliContext, name: str, campaign: str, group: str, dry_run: bool, as_json: bool) -> None:
    """Give CAMPAIGN the agents that directory NAME shows: enabled accounts that are users of its PBX.

    Who is at work stays in the campaign until they are out; run it again then. The campaign's agents on other PBXs stay
    as they are.
    """
    from campaigns import directory_people, lifecycle, pools
    from campaigns.db import database_now

    quiet_retries()
    with context.application() as app:
        app.directory(name)
        with app.transaction() as session:
            pbx = directory_people.pbx_in_common(session, app.settings, name, lifecycle.get(session, campaign))
        people = _people(app, name, group)
        with app.transaction() as session:
            found = lifecycle.get(session, campaign, lock=True)
            several = len(pools.names(session, found)) > 1
            if dry_run:
                compared = directory_people.compare(session, found, people, pbx)
            else:
                compared = directory_people.bring(session, found, people, pbx, now=database_now(session), who=who())
    strangers = [one for one in people if one.user is None]
    if as_json:
        output.print_json({"campaign": found.name, "pbx": pbx, "dry_run": dry_run, **_told(compared, strangers)})
        return
    _print(compared, strangers, dry_run)
    would = "would have" if dry_run else "has"
    there = f" on PBX {pbx}" if several else ""
    click.echo(f"campaign {found.name} {would} {output.count(len(compared.chosen), 'agent')}{there}")


@directory.command("numbers", example="dialer directory numbers office")
@click.argument("name")
@output.json_option
@click.pass_obj
def numbers(context: CliContext, name: str, as_json: bool) -> None:
    """List the numbers of directory NAME and which of them customers may be shown."""
    from campaigns.directory_numbers import candidates

    quiet_retries()
    with _opened(context, name) as found:
        judged = candidates(found.numbers(_progress("account")))
    if as_json:
        told = [{**asdict(one.number), "caller_id": not one.why_not, "why_not": one.why_not or None} for one in judged]
        output.print_json({"directory": name, "numbers": told})
        return
    if not judged:
        output.note("no account has a number: `dialer directory provision` allocates one")
        return
    rows = [
        [one.number.number, one.number.account, "default" if one.number.is_default else "-", one.why_not or "yes"]
        for one in judged
    ]
    output.print_table(["Number", "Account", "Remark", "Fit to be shown"], rows)


# helpers -------------------------------------------------------------------------------------------------


@contextmanager
def _opened(context: CliContext, name: str) -> Iterator[Directory]:
    """Open a directory without a database: what only reads it needs none."""
    from campaigns.application import no_directory
    from dialer.directory.registry import open_directory

    sections = context.settings.directory
    if name not in sections:
        raise no_directory(name, sections)
    found = open_directory(name, sections[name])
    try:
        yield found
    finally:
        found.close()


def _reached(found: Directory) -> None:
    """Raise DirectoryUnavailable when it is away (exit code 6); of everything else the check speaks better."""
    from dialer.directory.base import DirectoryUnavailable
    from dialer.errors import PbxError

    try:
        found.free_numbers()
    except DirectoryUnavailable:
        raise
    except PbxError:
        pass


def _people(app: Application, name: str, group: str = "") -> list[Person]:
    from campaigns import directory_people
    from dialer.errors import NotFound

    found = app.directory(name)
    users = app.pbx(directory_people.pbx_of(app.settings, name)).users()
    accounts = found.accounts(_progress("account"))
    if group:
        groups = {one.name.casefold(): one for one in found.groups()}
        wanted = next((one for key, one in groups.items() if group.casefold() in (key, key.partition("@")[0])), None)
        if wanted is None:
            known = ", ".join(one.name for one in groups.values()) or "no groups"
            raise NotFound(f"directory {name} has no group {group!r}; it has {known}")
        members = {one.casefold() for one in wanted.members}
        accounts = [one for one in accounts if one.name.casefold() in members]
    return directory_people.match(accounts, users)


def _row(one: Person, states: dict[str, str]) -> list[Any]:
    account, user = one.account, one.user
    state = states.get(user.id) if user else None
    return [
        account.name, account.extension or "-", account.presence.replace("_", " "),
        {True: "yes", False: "no"}.get(account.enabled, "-") if account.enabled is not None else "-",
        f"{user.name} ({user.id})" if user else "-", output.state(state) if state else "-",
        one.why or ("hides its number" if account.hides_number else "-"),
    ]  # fmt: skip


def _told(compared: Comparison, strangers: Sequence[Person]) -> dict[str, Any]:
    return {
        "agents": len(compared.chosen),
        "added": [{"user_id": one.id, "name": one.name, "extension": one.extension} for one in compared.added],
        "changed": [{"user_id": now.id, "was": was, "name": now.name, "extension": now.extension}
                    for was, now in compared.changed],
        "removed": [{"user_id": one.user_id, "name": one.name} for one in compared.removed],
        "kept_at_work": [{"user_id": one.user_id, "name": one.name, "state": one.state} for one in compared.at_work],
        "not_matched": [{"account": one.account.name, "why": one.why} for one in strangers],
    }  # fmt: skip


def _print(compared: Comparison, strangers: Sequence[Person], dry_run: bool) -> None:
    would = "would be " if dry_run else ""
    rows: list[list[Any]] = [
        [f"{would}added", one.name, one.id, f"extension {one.extension}"] for one in compared.added
    ]
    rows += [[f"{would}changed", now.name, now.id, f"was {was}"] for was, now in compared.changed]
    rows += [[f"{would}removed", one.name, one.user_id, "not in the directory"] for one in compared.removed]
    rows += [["stays", one.name, one.user_id, f"at work ({one.state})"] for one in compared.at_work]
    rows += [["no agent", one.account.name, "-", one.why] for one in strangers]
    if rows:
        output.print_table(["", "Who", "User", "Why"], rows)


def _progress(what: str) -> Told | None:
    """Say how far it is, to a person who waits: two requests a second are slow."""
    if not sys.stderr.isatty():
        return None

    def tell(at: int, of: int) -> None:
        click.echo(f"\rreading {what} {at + 1} of {of} ", nl=at + 1 == of, err=True)

    return tell
