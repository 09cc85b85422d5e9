"""What holds for every command: help, an example, --json where it reads, errors as sentences, a quick start."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from campaigns.cli import root
from campaigns.cli.root import build_cli
from campaigns.cli.tree import Command, Group, in_a_sentence
from dialer.errors import (
    BadInput,
    DialerError,
    NotFound,
    OutcomeUnknown,
    PbxRefused,
    RefusedByRule,
    ServiceUnreachable,
    SettingsError,
    TryAgainLater,
)
from workers import command as script

WITHOUT_JSON = ("dialer completion",)  # its output is for a shell


def whole_tree() -> Group:
    """The tree as `dialer` has it, processes and demo included."""
    cli = build_cli()
    for path, target, told in script._MOUNTS:
        cli.mount(path, f"workers.{target}", told, "Running")
    cli.mount("pbx simulator", "workers.processes:simulator", "Run the simulated PBX.")
    return cli


def walk(group: click.Group, path: str = "dialer") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group, info_name=path)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from walk(command, f"{path} {name}")


COMMANDS = dict(walk(whole_tree()))
LEAVES = {path: command for path, command in COMMANDS.items() if not isinstance(command, click.Group)}
OURS = {
    path: command for path, command in LEAVES.items() if (command.callback.__module__ or "").startswith("campaigns")
}


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_says_what_it_does(path: str) -> None:
    command = COMMANDS[path]
    assert command.help
    assert command.help.strip()[0].isupper()
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, f"{path} {parameter.opts}"


@pytest.mark.parametrize("path", LEAVES)
def test_every_command_ends_its_help_with_an_example_of_itself(path: str) -> None:
    command = LEAVES[path]
    assert isinstance(command, Command), f"{path} has no example: give it cls=Command, example=..."
    verb = path.removeprefix("dialer ")
    assert verb in re.sub(r"--config \S+ ", "", command.example)
    result = CliRunner().invoke(whole_tree(), [*verb.split(), "-h"])
    assert result.exit_code == 0
    assert "Example" in result.output
    for line in command.example.splitlines():
        assert line in result.output


@pytest.mark.parametrize("path", OURS)
def test_every_command_answers_programs_too(path: str) -> None:
    flags = {flag for parameter in OURS[path].params for flag in parameter.opts}
    assert "--json" in flags or path in WITHOUT_JSON


@pytest.mark.parametrize("path", ["dialer list undo", "dialer dnc remove", "dialer campaign archive"])
def test_what_cannot_be_taken_back_has_a_yes(path: str) -> None:
    assert "--yes" in {flag for parameter in OURS[path].params for flag in parameter.opts}


def test_the_short_help_of_a_mounted_command_is_that_of_the_command() -> None:
    cli = build_cli()
    assert len(cli._mounts) > 10
    for name, mount in cli._mounts.items():
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        assert mount.help
        assert command.name == name


# Errors --------------------------------------------------------------------------------------------------


def failing(error: BaseException) -> Group:
    cli = build_cli(lambda _: None)

    @cli.command("fail", example="dialer fail")
    def fail() -> None:
        """Fail."""
        raise error

    return cli


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DialerError("x"), 1),
        (SettingsError("x"), 2),
        (BadInput("x"), 2),
        (NotFound("x"), 4),
        (RefusedByRule("x"), 5),
        (ServiceUnreachable("x"), 6),
        (PbxRefused("main", "x"), 6),
        (OutcomeUnknown("main", "x"), 6),
        (TryAgainLater("x"), 75),
        (KeyboardInterrupt(), 130),
        (RuntimeError("the engine is on fire"), 1),
        (PermissionError(13, "Permission denied", "/etc/shadow"), 1),
    ],
)
def test_every_error_is_a_sentence_on_stderr_and_an_exit_code(error: BaseException, code: int) -> None:
    result = CliRunner().invoke(failing(error), ["fail"])
    assert result.exit_code == code
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    if code != 130:
        assert result.stderr.startswith("error: ")


def test_an_error_nobody_foresaw_says_how_to_see_more_and_debug_shows_it() -> None:
    error = RuntimeError("the engine is on fire\nand the wing")
    told = CliRunner().invoke(failing(error), ["fail"]).stderr
    assert told == "error: RuntimeError: the engine is on fire; run `dialer --debug ...` for the traceback\n"
    assert CliRunner().invoke(failing(error), ["--debug", "fail"]).exception is error


@pytest.mark.parametrize(
    ("sqlstate", "told", "code"),
    [("42P01", "dialer db upgrade", 1), ("55P03", "try again", 75), ("23505", "--debug", 1)],
)
def test_what_the_database_says_is_put_in_our_words(sqlstate: str, told: str, code: int) -> None:
    class FromTheDriver(Exception):
        pass

    wrapped = RuntimeError("(psycopg.errors) x")
    wrapped.orig = FromTheDriver()  # type: ignore[attr-defined]
    wrapped.orig.sqlstate = sqlstate  # type: ignore[attr-defined]
    sentence, exit_code = in_a_sentence(wrapped)
    assert (told in sentence, exit_code) == (True, code)


def test_a_full_disk_is_a_sentence_that_says_what_was_written_is_not_whole() -> None:
    with pytest.raises(OSError, match="No space") as raised, Path("/dev/full").open("w") as full:
        full.write("x")
    told, code = in_a_sentence(raised.value)
    assert (told.startswith("no room is left on the disk for the output"), code) == (True, 1)


@pytest.mark.parametrize(("typed", "meant"), [("campain", "campaign"), ("stats", "status")])
def test_a_mistyped_command_is_answered_with_the_near_one(typed: str, meant: str) -> None:
    result = CliRunner().invoke(whole_tree(), [typed])
    assert (result.exit_code, meant in result.stderr) == (2, True)


# Starting ------------------------------------------------------------------------------------------------


def test_help_imports_click_and_nothing_heavy() -> None:
    code = (
        "import sys; from campaigns.cli.root import build_cli\n"
        "try: build_cli()(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(re.findall(r"'(\w+)'", done.stderr))
    assert "click" in loaded
    assert not loaded & {"sqlalchemy", "pydantic", "psycopg", "httpx", "rich", "pandas", "dramatiq", "fastapi", "redis"}


@pytest.mark.parametrize("module", sorted({target.partition(":")[0] for _, target, _, _ in root._TREE}))
def test_naming_a_command_imports_nothing_heavy_either(module: str) -> None:
    code = f"import sys, campaigns.cli.{module}; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(re.findall(r"'(\w+)'", done.stdout)) & {"sqlalchemy", "pydantic", "rich", "httpx"}


def test_the_version_is_told() -> None:
    assert re.fullmatch(r"dialer \d+\.\d+\.\d+\n", CliRunner().invoke(build_cli(), ["--version"]).output)


def test_every_option_is_also_an_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, object] = {}
    cli = build_cli(lambda config: seen.setdefault("config", config))

    @cli.command("look", example="dialer look")
    @click.option("--depth", type=int)
    def look(depth: int) -> None:
        """Look."""
        seen["depth"] = depth

    environ = {"DIALER_LOOK_DEPTH": "7", "DIALER_CONFIG": "/x.toml"}
    assert CliRunner().invoke(cli, ["look"], env=environ).exit_code == 0
    assert seen == {"config": "/x.toml", "depth": 7}


# Completion ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shell", "word"), [("bash", "complete -o"), ("zsh", "compdef"), ("fish", "complete --no-files")]
)
def test_each_shell_is_told_how_to_complete(shell: str, word: str) -> None:
    result = CliRunner().invoke(build_cli(), ["completion", shell], prog_name="dialer")
    assert result.exit_code == 0
    assert word in result.stdout
    assert "_DIALER_COMPLETE" in result.stdout


def test_completion_knows_the_commands_the_verbs_and_the_options() -> None:
    def completed(words: str) -> set[str]:
        environ = {
            "_DIALER_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        }
        output = CliRunner().invoke(whole_tree(), [], prog_name="dialer", env=environ).output
        return {line.partition(",")[2] for line in output.splitlines()}

    assert {"campaign", "callbacks", "config"} <= completed("dialer c")
    assert completed("dialer campaign st") == {"start", "stop"}
    assert "--caller-id" in completed("dialer campaign create --c")
    assert completed("dialer campaign create --mode p") == {"power", "predictive", "preview", "progressive"}


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_takes_the_script(tmp_path: Path) -> None:
    told = CliRunner().invoke(build_cli(), ["completion", "bash"], prog_name="dialer").stdout
    (tmp_path / "complete.bash").write_text(told)
    done = subprocess.run(["bash", "-n", str(tmp_path / "complete.bash")], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


# Output --------------------------------------------------------------------------------------------------


@dataclass
class Odd:
    """Something json does not know."""

    def __str__(self) -> str:
        return "odd"


def test_json_takes_what_we_print(capsys: pytest.CaptureFixture[str]) -> None:
    from datetime import UTC, date, datetime, time
    from decimal import Decimal

    from campaigns.cli.output import print_json

    values = {
        "at": datetime(2026, 3, 2, 9, tzinfo=UTC), "day": date(2026, 3, 2), "hour": time(9), "many": {1}, "odd": Odd(),
        "exact": Decimal("1.5"), "ü": "ü",
    }  # fmt: skip
    print_json(values)
    assert json.loads(capsys.readouterr().out) == {
        "at": "2026-03-02T09:00:00+00:00", "day": "2026-03-02", "hour": "09:00:00", "many": [1], "odd": "odd",
        "exact": "1.5", "ü": "ü",
    }  # fmt: skip
