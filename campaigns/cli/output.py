"""How commands print: rich tables for people, one JSON object for programs, progress on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Column = str | tuple[str, str]  # a name, or a name and how it is aligned
F = TypeVar("F", bound=Callable[..., Any])
NO_ROWS = "the file has column names and no rows: there is nobody in it to call"

# A word, a sign and a colour: never the colour alone.
STATES = {
    "running": ("●", "green"),
    "paused": ("‖", "yellow"),
    "stopped": ("■", "red"),
    "draft": ("○", "cyan"),
    "archived": ("▫", "bright_black"),
    "ready": ("●", "green"),
    "parked": ("●", "green"),
    "parking": ("◌", "green"),
    "assigned": ("◆", "blue"),
    "talking": ("◆", "blue"),
    "wrap_up": ("✎", "magenta"),
    "out": ("○", "bright_black"),
}


def json_option(command: F) -> F:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")(command)


def yes_option(command: F) -> F:
    """Add --yes."""
    return click.option("--yes", is_flag=True, help="Do it without asking.")(command)


def confirm(question: str, yes: bool) -> None:
    """Ask before something is lost; without a terminal to ask on, insist on --yes."""
    if yes:
        return
    from dialer.errors import BadInput

    if not sys.stdin.isatty():
        raise BadInput(f"{question} There is no terminal to ask on: repeat with --yes")
    if not click.confirm(question, default=False, err=True):
        click.echo("nothing was changed", err=True)
        raise click.exceptions.Exit(1)


def on_a_terminal() -> bool:
    """Whether a person looks at what we print."""
    return sys.stdout.isatty()


def print_json(data: Mapping[str, Any], *, one_line: bool = False) -> None:
    """Print one object: on one line for programs, indented for a person at a terminal."""
    indent = 2 if on_a_terminal() and not one_line else None
    click.echo(json.dumps(data, indent=indent, ensure_ascii=False, default=_plain_json))


def _plain_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)


def console(*, stderr: bool = False) -> Console:
    """A rich console that honours NO_COLOR, and never cuts a cell short in a pipe."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS") else 400
    return Console(stderr=stderr, file=stream, width=width, highlight=False, soft_wrap=False)


def table(columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> Table:
    """Build a table; a column given as (name, "right") is aligned right."""
    from rich import box
    from rich.table import Table

    built = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    shown = [[cell if _is_rich(cell) else plain(cell) for cell in row] for row in rows]
    for index, column in enumerate(columns):
        name, justify = column if isinstance(column, tuple) else (column, "left")
        heads = (len(word) for word in name.split())
        least = max([*heads, *(_least(row[index], whole=justify == "right") for row in shown)], default=0)
        built.add_column(name, justify=justify, overflow="fold", min_width=least)  # type: ignore[arg-type]
    for row in shown:
        built.add_row(*row)
    return built


def _least(cell: Any, *, whole: bool) -> int:
    """How narrow a cell may become: figures stay whole, text is folded between words."""
    told = cell.plain if hasattr(cell, "plain") else str(cell)
    return len(told) if whole else min(16, max((len(word) for word in told.split()), default=0))


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[Any]], *, title: str = "") -> None:
    """Print a table on stdout, under its title."""
    out = console()
    if title:
        out.print()
        out.print(heading(title))
    out.print(table(columns, rows))


def plain(value: Any) -> Any:
    """A cell: no markup, no control character of a stranger's reaches the terminal."""
    from rich.text import Text

    if value is None:
        return Text("-", style="dim")
    return Text(clean(str(value)))


def clean(text: str) -> str:
    """Replace what a terminal would obey instead of show."""
    return "".join(char if char.isprintable() else "�" for char in text)


def _is_rich(cell: Any) -> bool:
    return hasattr(cell, "__rich_console__")


def state(word: str) -> Any:
    """A state as sign, word and colour."""
    from rich.text import Text

    sign, colour = STATES.get(word, ("·", ""))
    return Text(f"{sign} {word.replace('_', '-')}", style=colour)


def note(text: str) -> None:
    """Say something beside the data, on stderr."""
    click.echo(clean(text), err=True)


def percent(share: float | None, digits: int = 1) -> str:
    """0.0312 as `3.1 %`."""
    return "-" if share is None else f"{share * 100:.{digits}f} %"


def seconds(value: float | None) -> str:
    """Seconds as people read them: 8 s, 2:05, 1:02:05."""
    if value is None:
        return "-"
    if value < 60:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def line_of(line: str, value: str) -> str:
    """Where in a file an example stands, and what stands there, if anything does."""
    return f"line {line}: {value}" if value else f"line {line}"


def count(number: int, noun: str) -> str:
    """`1 row`, `2 rows`, `1,204 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def words(value: float) -> str:
    """A duration somebody chose, as they would say it: 30 s, 15 min, 1 h."""
    for unit, word in ((86_400, "d"), (3600, "h"), (60, "min")):
        if value >= unit and value % unit == 0:
            return f"{value / unit:g} {word}"
    return f"{value:g} s"


def ago(at: datetime | None, now: datetime) -> str:
    """How long ago, in one unit."""
    if at is None:
        return "-"
    gone = max(0.0, (now - at).total_seconds())
    for limit, unit, word in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if gone < limit:
            return f"{gone / unit:.0f} {word} ago"
    return f"{gone / 86_400:.0f} days ago"


def local(at: datetime | None, zone: tzinfo = UTC, pattern: str = "%Y-%m-%d %H:%M %Z") -> str:
    """A moment by the clock of a campaign, or in UTC; never by the machine's, which nobody asked about."""
    return "-" if at is None else at.astimezone(zone).strftime(pattern)


def zone_of(campaign: Any) -> tzinfo:
    """Return the zone whose clock a campaign's times are told by; UTC for no campaign, or for all."""
    from campaigns.campaign_values import usual_zone

    return usual_zone(campaign.country, campaign.time_zone) if campaign is not None else UTC


def heading(text: str) -> Any:
    """A bold word or line."""
    from rich.text import Text

    return Text(clean(text), style="bold")
