"""docs/cli.md tells every command as its own help does. After a change: UPDATE_DOCS=1 pytest tests/cli/test_docs.py."""

import os
from pathlib import Path

import click
from click.testing import CliRunner

from tests.cli.test_tree import COMMANDS, whole_tree

DOCUMENT = Path(__file__).parents[2] / "docs" / "cli.md"
MARK = "<!-- From here on the text is what each command's --help prints; tests/cli/test_docs.py writes it. -->"


def reference() -> str:
    parts = [MARK]
    for path, command in COMMANDS.items():
        if isinstance(command, click.Group):
            continue
        told = CliRunner().invoke(
            whole_tree(), [*path.split()[1:], "--help"], prog_name="dialer", terminal_width=100, env={"COLUMNS": "100"}
        )
        parts.append(f"### {path}\n\n```text\n{told.output.rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


def test_the_document_tells_every_command_as_its_help_does() -> None:
    written = DOCUMENT.read_text("utf-8")
    by_hand, mark, _ = written.partition(MARK)
    assert mark, f"{DOCUMENT.name} has lost the line before the reference"
    if os.environ.get("UPDATE_DOCS"):
        DOCUMENT.write_text(by_hand + reference(), "utf-8")
        return
    assert written == by_hand + reference(), "docs/cli.md is behind the help texts: UPDATE_DOCS=1 pytest " + __file__


def test_the_part_written_by_hand_speaks_of_every_noun_and_exit_code() -> None:
    by_hand = DOCUMENT.read_text("utf-8").partition(MARK)[0]
    for noun in {path.split()[1] for path in COMMANDS}:
        assert f"dialer {noun}" in by_hand, noun
    for code in (0, 1, 2, 3, 4, 5, 6, 75, 130):
        assert f"| {code} |" in by_hand, code
