"""The `dialer` script: the command tree, given its settings and its application."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from campaigns.cli.root import build_cli

if TYPE_CHECKING:
    from collections.abc import Iterator

    from campaigns.application import Application, Doorbell
    from dialer.settings import Settings

_RUNNING = "Running"
_MOUNTS = (
    ("up", "up:up", "Everything on this machine: web, worker, scheduler, and their services."),
    ("web", "processes:web", "The web process: webhooks, dashboard, health."),
    ("worker", "processes:worker", "A worker process: places calls and reacts to events."),
    ("scheduler", "processes:scheduler", "A scheduler process: pacing, timers, sweeps."),
    ("listener", "processes:listener", "A listener process: events of PBXs that talk by websocket."),
    ("demo", "demo_command:demo", "A sample campaign from start to end on a simulated PBX."),
    ("db", "processes:database", "The database's schema."),
)


class Context:
    """`ctx.obj`: reads the settings when they are first needed and opens the application when asked."""

    def __init__(self, config: str | None) -> None:
        self._config = Path(config) if config else None
        self._settings: Settings | None = None

    @property
    def config(self) -> Path | None:
        return self._config

    @property
    def settings(self) -> Settings:
        if self._settings is None:
            from dialer.settings_reading import load_settings

            self._settings = load_settings(self._config)
        return self._settings

    @contextmanager
    def application(self) -> Iterator[Application]:
        from workers.logs import configure_logging
        from workers.wiring import wire

        configure_logging(self.settings.log.model_copy(update={"level": "WARNING"}), "cli")
        with wire(self.settings, process="cli", queue=False) as wired:
            wired.application.doorbell = _LateDoorbell(wired.redis_url)
            yield wired.application


class _LateDoorbell:
    """Reaches for Redis when something is to be rung, which is seldom: an import, mostly."""

    def __init__(self, redis_url: str) -> None:
        self._redis_url = redis_url

    def look(self, pbx: str, ref: str | None, call_id: str | None) -> None:
        self._bell().look(pbx, ref, call_id)

    def place(self, ref: str) -> None:
        self._bell().place(ref)

    def run_import(self, import_id: int) -> None:
        self._bell().run_import(import_id)

    def _bell(self) -> Doorbell:
        from workers.broker import QueueDoorbell, build_broker

        return QueueDoorbell(build_broker(self._redis_url), complain=lambda _: None)


def main() -> None:
    """Run `dialer`."""
    cli = build_cli(Context)
    for (
        path,
        target,
        help,
    ) in _MOUNTS:
        cli.mount(path, f"workers.{target}", help, _RUNNING)
    cli.mount("pbx simulator", "workers.processes:simulator", "Run the simulated PBX.", "Commands")
    cli()


if __name__ == "__main__":
    main()
