"""The tree of commands: nouns loaded when named, an example under every help, and one place for errors.

Only click is imported here and in what every command imports at its top, so `dialer --help` answers at once.
"""

from __future__ import annotations

import errno
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click


class Command(click.Command):
    """A command whose help ends with an example."""

    def __init__(self, *args: Any, example: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.example:
            with formatter.section("Example"):
                for line in self.example.splitlines():
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
        super().format_epilog(ctx, formatter)


@dataclass(frozen=True, slots=True)
class _Mount:
    target: str  # "package.module:attribute"
    help: str
    section: str


# The order in which a help page shows them; others follow.
_SECTIONS = ("Running", "Campaigns", "Watching", "Setting up")


class Group(click.Group):
    """A group that can hold commands it has not imported yet."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._mounts: dict[str, _Mount] = {}
        self._below: dict[str, list[tuple[str, _Mount]]] = {}

    def mount(self, path: str, target: str, help: str, section: str = "Commands") -> None:
        """Offer a command from `target` ("module:attribute") as `path`, for example `pbx simulator`."""
        name, _, rest = path.partition(" ")
        if rest:
            self._below.setdefault(name, []).append((rest, _Mount(target, help, section)))
        else:
            self._mounts[name] = _Mount(target, help, section)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted({*self.commands, *self._mounts})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in self.commands and cmd_name in self._mounts:
            self.commands[cmd_name] = self._load(cmd_name)
        return self.commands.get(cmd_name)

    def _load(self, name: str) -> click.Command:
        module, _, attribute = self._mounts[name].target.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        if isinstance(command, Group):
            for path, mount in self._below.get(name, []):
                command.mount(path, mount.target, mount.help, mount.section)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        # click suggests near names among the loaded commands only.
        if args[0].isidentifier() and not ctx.resilient_parsing and self.get_command(ctx, args[0]) is None:
            raise click.exceptions.NoSuchCommand(args[0], possibilities=self.list_commands(ctx), ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        sections: dict[str, list[tuple[str, str]]] = {}
        for name in self._in_order():
            mount = self._mounts.get(name)
            told = mount.help if mount else self.commands[name].get_short_help_str(limit=100)
            sections.setdefault(mount.section if mount else "Commands", []).append((name, told))
        for title, rows in sorted(
            sections.items(), key=lambda one: _SECTIONS.index(one[0]) if one[0] in _SECTIONS else 99
        ):
            with formatter.section(title):
                formatter.write_dl(rows)

    def _in_order(self) -> list[str]:
        """As they were declared: the order of a working day, not of the alphabet."""
        return [*self._mounts, *(name for name in self.commands if name not in self._mounts)]


class Root(Group):
    """The `dialer` command: turns every error into one sentence and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        from dialer.errors import DialerError

        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (KeyboardInterrupt, click.Abort):
            click.echo("interrupted", err=True)
            ctx.exit(130)
        except BrokenPipeError:
            raise  # click knows: the reader of our output went away
        except DialerError as exc:
            if ctx.params.get("debug"):
                raise
            click.echo(f"error: {exc}", err=True)
            ctx.exit(exc.exit_code)
        except Exception as exc:
            if ctx.params.get("debug"):
                raise
            told, code = in_a_sentence(exc)
            click.echo(f"error: {told}", err=True)
            ctx.exit(code)


# What PostgreSQL says when the schema is not the one this code was written for, and when somebody is in the way.
_NO_SUCH_TABLE = ("42P01", "42703", "3F000")
_IN_THE_WAY = ("55P03", "40P01", "40001", "57014")


def in_a_sentence(exc: Exception) -> tuple[str, int]:
    """Say an error nobody foresaw, with its exit code; the traceback is for --debug."""
    state = getattr(getattr(exc, "orig", None), "sqlstate", None)
    if state in _NO_SUCH_TABLE:
        return "the database lacks tables or columns of this version: run `dialer db upgrade`", 1
    if state in _IN_THE_WAY:
        return "another process is changing the same rows just now: try again in a moment", 75
    if isinstance(exc, PermissionError) and exc.filename:
        return f"no permission for {exc.filename}: check its owner and mode", 1
    if isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EDQUOT):
        where = exc.filename or "the output"
        return f"no room is left on the disk for {where}: make some and try again; what was written is not whole", 1
    first = next(iter(str(exc).strip().splitlines()), "") or type(exc).__name__
    return f"{type(exc).__name__}: {first[:300]}; run `dialer --debug ...` for the traceback", 1


Opener = Callable[[str | None], Any]
