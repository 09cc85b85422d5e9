"""`dialer pbx conformance`: try a live PBX on the operator's own phones, after saying what will ring and asking."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from campaigns.cli import output
from campaigns.cli.context import CliContext, who
from campaigns.cli.params import Duration
from campaigns.cli.tree import Command

if TYPE_CHECKING:
    from campaigns.conformance import Run
    from campaigns.conformance_report import Mask
    from dialer.conformance.lines import Line
    from dialer.conformance.outcome import Outcome

CONSENT = "these are mine"
F = TypeVar("F", bound=Callable[..., Any])
_SIGNS = {
    "works": ("✓", None),
    "does not": ("✗", "bold red"),
    "could not be told": ("?", "yellow"),
    "not offered": ("-", "bright_black"),
}


def _own(*names: str, **more: Any) -> Callable[[F], F]:
    """An option about somebody's phone: typed on the command line, and never taken from the environment."""
    return click.option(*names, allow_from_autoenv=False, **more)


@click.command(
    cls=Command,
    example=(
        "dialer pbx conformance main --reads-only\n"
        "dialer pbx conformance main --own-number +39... --own-number +39... --own-agent 101 --caller-id +39..."
    ),
)
@click.argument("name")
@click.option("--reads-only", is_flag=True, help="Only what rings nobody: log in, lines, agents, lists, way of events.")
@_own(
    "--own-number",
    "numbers",
    multiple=True,
    metavar="+39...",
    help="A phone of yours that may ring. Give two: the second is the one you leave alone.",
)
@_own(
    "--own-agent",
    "agents",
    multiple=True,
    metavar="EXTENSION",
    help="An agent's phone of yours that may ring. Give two: the second is the one you leave alone.",
)
@_own("--wrong-number", "wrong", default="", metavar="+39...", help="A number that nobody has, to be called once.")
@click.option("--caller-id", default="", metavar="+39...", help="What your phones show; else as the newest campaign's.")
@click.option("--gateway", default="", help="The line to call through; else the one with most room.")
@click.option("--patience", type=Duration(), default="40", show_default=True, help="How long a person may take.")
@_own("--yes-these-are-mine", "consent", is_flag=True, help="All these phones are mine and may ring: do not ask.")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Where to write the report.")
@output.json_option
@click.pass_obj
def conformance(
    context: CliContext,
    name: str,
    reads_only: bool,
    numbers: tuple[str, ...],
    agents: tuple[str, ...],
    wrong: str,
    caller_id: str,
    gateway: str,
    patience: float,
    consent: bool,
    report: Path | None,
    as_json: bool,
) -> None:
    """Try a live PBX NAME: what works, what does not, and which modes of dialling follow.

    It says beforehand whose phones will ring, and asks. Only numbers and agents given here are called, none of the
    do-not-call list among them, and whatever it starts it ends, also when interrupted. A report that can be sent to
    support is written, with numbers and secrets masked.
    """
    from campaigns import conformance as kit
    from campaigns.cli.pbx import quiet_retries
    from campaigns.conformance_report import as_text, mask_of, write

    given = kit.Given(numbers, agents, wrong, caller_id, gateway, reads_only, patience)
    with context.application() as app:
        app.pbx(name)
        quiet_retries()
        run = kit.prepare(app, name, given, who())
        hide = mask_of(name, app.settings.pbx[name], run.phones)
        _say_plan(run)
        if run.plan.calls and not consent:
            _ask()
        path = report or app.data_dir / "conformance" / f"{name}-{app.clock.now():%Y%m%d-%H%M%S}.txt"
        interrupted = _make(run, hide, show=not as_json)
        outcome = run.outcome()
        write(path, as_text(run, outcome, hide, app.clock.now()))
    if as_json:
        output.print_json(_json(run, outcome, hide, path, interrupted))
    else:
        _print_end(run, outcome, hide)
    click.echo(f"report: {path} (secrets and numbers are masked; it can be sent to support)", err=True)
    if interrupted:
        raise click.exceptions.Exit(130)
    if not outcome.ok:
        raise click.exceptions.Exit(1)


def _make(run: Run, hide: Mask, *, show: bool) -> bool:
    """Make the run, showing each line as it is found; whether somebody interrupted it. Every call is ended by then."""

    def say(text: str) -> None:
        click.echo(f"  ☎ {text}", err=True)

    try:
        with _stopped_politely(), contextlib.closing(run.go(say)) as lines:
            for line in lines:
                if show:
                    print_line(line, hide)
    except KeyboardInterrupt:
        click.echo("interrupted: every call that was begun has been ended, or is named below", err=True)
        return True
    return False


@contextlib.contextmanager
def _stopped_politely() -> Iterator[None]:
    """A closed terminal and SIGTERM end the run as Ctrl-C does: with its calls, and nothing interrupts their ending."""

    def stop(_number: int, _frame: object) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)  # what is being ended is ended
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    try:
        before = {number: signal.signal(number, stop) for number in numbers}
    except ValueError:  # not the main thread: whoever runs us there stops us otherwise
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say_plan(run: Run) -> None:
    """Say exactly what will be done; on stderr, so that it is seen with --json, too."""
    phones, plan = run.phones, run.plan
    if not plan.calls:
        if not run.given.reads_only:
            click.echo(f"PBX {run.name}: with what was given nothing can be rung; only the reads are made", err=True)
        return
    click.echo(f"PBX {run.name}: after the reads, {output.count(plan.calls, 'call')}, about", nl=False, err=True)
    click.echo(f" {max(1, round(plan.seconds / 60))} minutes. Nobody else is called.", err=True)
    if phones.numbers:
        click.echo(f"  your numbers that will ring: {', '.join(phones.numbers)}", err=True)
    if phones.agents:
        told = ", ".join(f"{user.extension} ({output.clean(user.name)})" for user in phones.agents)
        click.echo(f"  your agents' phones that will ring: {told}", err=True)
    if phones.wrong:
        click.echo(f"  the number that nobody has: {phones.wrong}", err=True)
    click.echo(f"  they show {phones.caller_id or 'what the PBX shows'}", err=True)
    for number, check in enumerate((one for one in plan.checks if one.calls), 1):
        asks = f"; you: {check.asks}" if check.asks else ""
        several = f" ({check.calls} calls)" if check.calls > 1 else ""
        click.echo(f"  {number}. {check.name}{several}: {check.does}{asks}", err=True)
    for line in plan.left_out:
        if line.remedy:
            click.echo(f"  -  {line.check}: {line.what} ({line.remedy})", err=True)


def _ask() -> None:
    from dialer.errors import BadInput

    if not sys.stdin.isatty():
        raise BadInput(
            "phones would ring, and there is no terminal to ask on: repeat with --yes-these-are-mine if all of them are"
        )
    told = click.prompt(f"Type `{CONSENT}` to let these phones ring", default="", show_default=False, err=True)
    if told.strip().lower() != CONSENT:
        click.echo("nothing was called", err=True)
        raise click.exceptions.Exit(1)


def print_line(line: Line, hide: Mask) -> None:
    """One line: a sign, the check and its verdict in words, what was seen, and under it what follows."""
    from rich.table import Table
    from rich.text import Text

    sign, style = _SIGNS[line.verdict]
    shown = Table.grid(padding=(0, 1, 0, 0))
    word = "" if line.verdict == "works" else f" [{line.verdict}]"
    shown.add_row(sign, Text(f"{line.check}{word}: {output.clean(hide(line.what))}"), style=style)
    if line.remedy:
        shown.add_row("", Text(f"→ {output.clean(hide(line.remedy))}"))
    output.console().print(shown)


def _print_end(run: Run, outcome: Outcome, hide: Mask) -> None:
    from campaigns.conformance_report import summary

    for line in run.plan.left_out:
        print_line(line, hide)
    click.echo("")
    for told in summary(outcome):
        click.echo(hide(told))


def _json(run: Run, outcome: Outcome, hide: Mask, report: Path, interrupted: bool) -> dict[str, Any]:
    def clean(line: Line) -> dict[str, Any]:
        return {name: hide(value) if isinstance(value, str) else value for name, value in line.as_json().items()}

    changes = [{"setting": one.setting, "now": one.now, "value": one.value, "why": one.why} for one in outcome.changes]
    return {
        "pbx": run.name,
        "kind": run.application.settings.pbx[run.name].kind,
        "ok": outcome.ok,
        "interrupted": interrupted,
        "calls": len(run.bench.probes) if run.bench else 0,
        "lines": [clean(line) for line in outcome.lines],
        "features": outcome.features,
        "modes": {"seen": outcome.seen, "open": outcome.open, "lost": outcome.lost},
        "settings": changes,
        "report": str(report),
    }
