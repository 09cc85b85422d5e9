"""`dialer status`: what happens now, once or as a live screen."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from campaigns.cli import output
from campaigns.cli.context import CliContext
from campaigns.cli.tree import Command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from campaigns.application import Application
    from campaigns.live import LiveState

EVERY = 0.5  # seconds between two looks of --watch


@click.command("status", cls=Command, example="dialer status spring --watch")
@click.argument("campaign", required=False)
@click.option("--watch", is_flag=True, help="Look again twice a second until Ctrl-C; one snapshot without a terminal.")
@output.json_option
@click.pass_obj
def status(context: CliContext, campaign: str | None, watch: bool, as_json: bool) -> None:
    """Show agents, calls, lines, abandonment and pace, of one CAMPAIGN or of all.

    With --json one object; with --json --watch one object per line.
    """
    from campaigns.live import live_state
    from campaigns.tallies import TallyCache

    with context.application() as app:
        cache = TallyCache()

        def look() -> LiveState:
            from campaigns.db import database_now

            with app.transaction() as session:
                return live_state(session, database_now(session), campaign, tallies=cache)

        if as_json:
            for state in _looks(app, look, watch):
                output.print_json(_as_json(state), one_line=watch)
            return
        from campaigns.cli.screen import screen

        if not (watch and output.on_a_terminal()):
            output.console().print(screen(look(), rows=1000))
            return
        _live(app, look)


def _looks(app: Application, look: Any, watch: bool) -> Iterator[LiveState]:
    yield look()
    while watch:
        app.clock.sleep(EVERY)
        yield look()


def _live(app: Application, look: Any) -> None:
    """Draw until Ctrl-C. A database that goes away leaves the last picture, and says so."""
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    from campaigns.cli.screen import screen
    from dialer.errors import ServiceUnreachable

    out = output.console()
    last = shown = screen(look(), rows=_room(out.height))
    with Live(shown, console=out, screen=True, auto_refresh=False) as live:
        try:
            while True:
                live.update(shown, refresh=True)
                app.clock.sleep(EVERY)
                try:
                    last = shown = screen(look(), rows=_room(out.height))
                except ServiceUnreachable as exc:
                    told = Text(f"! what you see is old: {output.clean(str(exc))}", style="bold red")
                    shown = Group(told, last)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(130) from None


def _room(height: int) -> int:
    """Rows left for the agents below one campaign's block."""
    return max(3, height - 16)


def _as_json(state: LiveState) -> dict[str, Any]:
    told = asdict(state)
    for one, live in zip(told["campaigns"], state.campaigns, strict=True):
        one["calls"]["open"] = live.calls.open
    return told
