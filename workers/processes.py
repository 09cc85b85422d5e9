"""The commands that are processes: web, worker, scheduler, the simulated PBX, and the schema's upgrade."""

from __future__ import annotations

import gc
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from campaigns.cli.tree import Command, Group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dialer.settings import Settings
    from workers.command import Context


def _begin(context: Context, process: str) -> Settings:
    """What every process does first: settings, logs, and an end when its supervisor ends."""
    from workers.logs import configure_logging
    from workers.supervisor import die_with_parent

    settings = context.settings
    configure_logging(settings.log, process)
    die_with_parent()
    return settings


@contextmanager
def _loading() -> Iterator[None]:
    """Modules stay: to look for garbage among them while they are loaded is a tenth to a fifth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@click.command(cls=Command, example="dialer --config production.toml web")
@click.pass_obj
def web(context: Context, /) -> None:
    """Receive webhooks and serve the dashboard until stopped.

    Any number may run. The PBX must be able to reach web.public_url.
    """
    settings = _begin(context, "web")
    with _loading():
        from workers.server import run_web

    sys.exit(run_web(settings))


@click.command(cls=Command, example="dialer --config production.toml worker")
@click.pass_obj
def worker(context: Context, /) -> None:
    """Place calls, react to events and import files until stopped. Any number may run."""
    settings = _begin(context, "worker")
    with _loading():
        from workers.worker import run_worker

    sys.exit(run_worker(settings))


@click.command(cls=Command, example="dialer --config production.toml scheduler")
@click.pass_obj
def scheduler(context: Context, /) -> None:
    """Pace the campaigns until stopped.

    Run two or more, on different hosts: one leads each campaign, the others take over within three seconds.
    """
    settings = _begin(context, "scheduler")
    with _loading():
        from workers.scheduler import run_scheduler

    sys.exit(run_scheduler(settings))


@click.command(cls=Command, example="dialer --config production.toml listener")
@click.pass_obj
def listener(context: Context, /) -> None:
    """Listen to the PBXs that tell their events by websocket, until stopped.

    Run two, on different hosts: one listens to each PBX, the other takes over within three seconds.
    """
    settings = _begin(context, "listener")
    with _loading():
        from workers.listener import run_listener

    sys.exit(run_listener(settings))


@click.group(cls=Group, name="db")
def database() -> None:
    """The database's schema."""


@database.command("upgrade", example="dialer --config production.toml db upgrade")
@click.pass_obj
def upgrade(context: Context, /) -> None:
    """Bring the database to the schema this program needs. Safe to run twice, and from several hosts."""
    from campaigns import schema
    from workers.wiring import wire

    with wire(context.settings, process="upgrade", queue=False, migrate=True) as wired:
        click.echo(f"the database is at schema {schema.current(wired.application.engine)}")


@click.command(
    cls=Command,
    example="dialer pbx simulator --agents 20 --lines 60 --webhook-url http://127.0.0.1:8080/webhooks/main/SECRET",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=9100, show_default=True, help="Port to listen on.")
@click.option("--webhook-url", default="", help="Where events are sent; /_control/ can set it later.")
@click.option("--token", default="simulator", show_default=True, help="The token requests must carry.")
@click.option("--agents", default=20, show_default=True, help="How many agents there are: user ids from 101 on.")
@click.option("--lines", default=60, show_default=True, help="Lines of the gateway.")
@click.option("--speed", default=1.0, show_default=True, help="Divides ring, talk and wrap-up times.")
@click.option("--seed", default=1, show_default=True, help="The same seed meets the same customers.")
@click.option("--answer-probability", default=0.25, show_default=True, help="Share of calls a person answers.")
@click.option(
    "--profile", default="life", show_default=True, help="The call centre: life, or pacing (docs/simulator.md)."
)
@click.option("--faults", default="", help="Fault profile, or names separated by commas; see docs/simulator.md.")
def simulator(**options: Any) -> None:
    """Run a simulated VOIspeed PBX with customers, agents and lines, to try the dialer against."""
    from dialer.pbx.simulator.server import run_server
    from workers.supervisor import die_with_parent

    def ready(url: str) -> None:
        click.echo(f"the simulated PBX answers at {url}; Ctrl-C ends it", err=True)

    die_with_parent()
    run_server(**options, on_ready=ready)
