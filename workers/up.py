"""`dialer up`: every process on this machine, on embedded services unless addresses are given."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from campaigns.cli.tree import Command

if TYPE_CHECKING:
    from dialer.settings import Settings
    from workers.command import Context


@click.command(cls=Command, example="dialer --config configs/development.toml up --workers 2")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 32), help="Worker processes.")
@click.option("--schedulers", default=1, show_default=True, type=click.IntRange(1, 8), help="Scheduler processes.")
@click.pass_obj
def up(context: Context, /, workers: int, schedulers: int) -> None:
    """Run web, worker and scheduler, and a listener if a PBX needs one, until Ctrl-C, each restarted when it dies."""
    from workers.logs import configure_logging
    from workers.supervisor import Child, supervise
    from workers.wiring import wire

    settings = context.settings
    configure_logging(settings.log, "up")
    with wire(settings, process="up", queue=False) as wired:
        env = {
            **os.environ,
            "DIALER_DATABASE_URL": wired.database_url,
            "DIALER_REDIS_URL": wired.redis_url,
            "DIALER_DATA_DIR": str(settings.data_dir),
        }
        click.echo(f"dashboard, in a few seconds: {settings.web.address}", err=True)
        if not settings.pbx:
            click.echo("no PBX in the settings yet: add a [pbx.NAME] section (see README)", err=True)
        names = processes(settings, workers, schedulers)
        children = [Child(name, _argv(context, name.split("-")[0]), env) for name in names]
        code = supervise(children)
    sys.exit(code)


def processes(settings: Settings, workers: int, schedulers: int) -> list[str]:
    """Name the processes to run: a listener only where a PBX tells its events by websocket."""
    from dialer.pbx_kinds import streams

    streaming = any(streams(pbx.kind) for pbx in settings.pbx.values())
    listener = ["listener"] if streaming else []
    return ["web", *_numbered("worker", workers), *_numbered("scheduler", schedulers), *listener]


def _numbered(kind: str, count: int) -> list[str]:
    return [kind] if count == 1 else [f"{kind}-{number}" for number in range(1, count + 1)]


def _argv(context: Context, process: str) -> list[str]:
    config = ["--config", str(context.config)] if context.config else []
    return [sys.executable, "-m", "workers.command", *config, process]
