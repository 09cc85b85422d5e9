"""`dialer demo`: its options, its live progress, and the table at the end."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from campaigns.cli.tree import Command

if TYPE_CHECKING:
    from workers.command import Context
    from workers.demo import Progress
    from workers.demo_results import DemoResults


@click.command(cls=Command, example="dialer demo --agents 20 --speed 30 --faults webhooks")
@click.option(
    "--contacts",
    help="A CSV file, or how many contacts of the sample file to call.  [default: all of the sample file]",
)
@click.option("--agents", default=20, show_default=True, type=click.IntRange(1, 300), help="How many agents.")
@click.option(
    "--speed", default=30.0, show_default=True, type=click.FloatRange(1, 100), help="Divides ring, talk and wrap-up."
)
@click.option("--seed", default=1, show_default=True, help="The same seed meets the same customers.")
@click.option("--faults", default="", help="Faults of the PBX: a profile or names (docs/simulator.md), e.g. all.")
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object on one line.")
@click.option("--keep-running", is_flag=True, help="Leave everything running at the end, to look around.")
@click.pass_obj
def demo(context: Context, /, contacts: str | None, as_json: bool, keep_running: bool, **options: Any) -> None:
    """A sample campaign from start to end against a simulated PBX, in two or three minutes.

    Real PostgreSQL, real Redis protocol, real HTTP; only the people are simulated. Leaves a picture of the run.
    """
    from workers import demo as running

    data_dir = context.settings.data_dir
    data_dir.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="demo-", dir=data_dir)).resolve()
    file, most = _which(contacts)
    plan = running.DemoPlan(contacts=file, folder=folder, most=most, **options)
    with _watching(sys.stderr.isatty()) as watch, running.demo(plan, watch) as (results, dashboard):
        picture = _leave(results, folder, data_dir)
        _show(results, picture, as_json)
        if keep_running:
            click.echo(f"still running: {dashboard} (Ctrl-C ends it)", err=True)
            _wait()
    running.forget_data(folder)
    sys.exit(0 if results.clean else 1)


def _which(contacts: str | None) -> tuple[Path, int | None]:
    import configs

    sample = Path(configs.__file__).parent / "demo" / "contacts.csv"
    if contacts is None:
        return sample, None
    if contacts.isdigit():
        return sample, int(contacts)
    file = Path(contacts)
    if not file.is_file():
        raise click.BadParameter(f"{contacts} is neither a file nor a number", param_hint="--contacts")
    return file, None


def _leave(results: DemoResults, folder: Path, data_dir: Path) -> Path:
    """Save the picture and the figures, and copy them where the next run is looked for too."""
    from workers.demo_plot import draw
    from workers.demo_results import as_record

    picture = folder / "run.png"
    draw(results, picture)
    (folder / "results.json").write_text(json.dumps(as_record(results), default=str, indent=1), encoding="utf-8")
    latest = data_dir / "demo-latest.png"
    shutil.copyfile(picture, latest)
    return latest


def _show(results: DemoResults, picture: Path, as_json: bool) -> None:
    from rich.console import Console

    console = Console(stderr=as_json)
    console.print(_table(results))
    rejects = results.imported["reject_file"]
    if rejects:
        console.print(f"rows not taken, each with its remedy: {rejects}", soft_wrap=True)
    console.print(f"picture of the run: {picture}", soft_wrap=True)
    if as_json:
        click.echo(json.dumps({**results.as_json(), "picture": str(picture)}))


def _table(results: DemoResults) -> Any:
    from rich.table import Table

    table = Table(title="Results", show_header=False, title_justify="left")
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    rows = results.imported
    table.add_row(
        "Rows of the file", str(rows["rows"]), f"{rows['rejected']} rejected, {rows['duplicates']} duplicates"
    )
    table.add_row("Attempts", str(results.attempts), "")
    for outcome, count in results.outcomes.items():
        table.add_row(f"  {outcome.replace('_', ' ')}", str(count), "")
    table.add_section()
    table.add_row("Answered", str(results.answered), "")
    table.add_row("Joined to an agent", str(results.joined), f"{results.contacts_reached} contacts reached")
    table.add_row(
        "Abandoned", str(results.abandoned), f"{results.abandonment:.1%} of those met and not met; ceiling 3 %"
    )
    table.add_row("Talk time", f"{results.talk_seconds:.0f} s", f"occupancy {results.occupancy:.0%}")
    ms = results.join_ms
    table.add_row("Answer to join order", f"{ms['p50']:.0f} ms", f"p95 {ms['p95']:.0f} ms, p99 {ms['p99']:.0f} ms")
    table.add_section()
    for name, count in (
        ("Numbers rung twice", results.double_dials),
        ("Silent calls", results.silent_calls),
        ("Two customers on one agent", results.two_on_one),
        ("Stuck calls or agents", results.stuck),
    ):
        table.add_row(name, str(count), "by the PBX's own books" if name != "Stuck calls or agents" else "")
    return table


class _watching:
    """Live progress on a terminal; a line every few seconds elsewhere."""

    def __init__(self, live: bool) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._status = self._console.status("starting") if live else None
        self._last = (0.0, "")

    def __enter__(self) -> _watching:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def __call__(self, progress: Progress) -> None:
        import time

        said = _sentence(progress)
        if self._status is not None:
            self._status.update(said)
        elif progress.phase != self._last[1] or time.monotonic() - self._last[0] > 5:
            self._console.print(said, soft_wrap=True, highlight=False)
            self._last = (time.monotonic(), progress.phase)


def _sentence(progress: Progress) -> str:
    if progress.state is None:
        return progress.phase
    one = progress.state.campaigns[0]
    return (
        f"calling: {progress.left} contacts left, {one.calls.ringing + one.calls.ordered} ringing, "
        f"{one.calls.talking} talking, {one.agents.by_state.get('parked', 0)} agents parked, "
        f"{one.today.met} met, {one.today.abandoned} abandoned ({one.abandonment.rate:.1%})"
    )


def _wait() -> None:
    import signal
    from threading import Event

    done = Event()
    signal.signal(signal.SIGTERM, lambda *_: done.set())
    try:
        done.wait()
    except KeyboardInterrupt:
        click.echo("stopping", err=True)
