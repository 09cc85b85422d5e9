"""All code that the days of the short benchmark are made of, as one figure: the same code lives the same days."""

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
START = "benchmarks.pacing.short"
FIGURES = ROOT / "benchmarks" / "pacing" / "short.json"
# The digest of the code and figures that were last compared in full, and were good.
NOTED = Path(__file__).with_name("lived_code.txt")
_OURS = ("benchmarks", "dialer")


def sources(start: str = START) -> dict[str, str]:
    """The module and everything of ours that it imports, wherever in it: name -> source."""
    found: dict[str, str] = {}
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name in found or name.partition(".")[0] not in _OURS or (file := _file(name)) is None:
            continue
        found[name] = file.read_text("utf-8")
        waiting.extend(_imported(ast.parse(found[name])))
        waiting.append(name.rpartition(".")[0])  # the packages around it run, too
    return found


def digest(of: dict[str, str], figures: str) -> str:
    """One figure for all of it."""
    told = hashlib.sha256(figures.encode())
    for name in sorted(of):
        told.update(f"{name} {hashlib.sha256(of[name].encode()).hexdigest()}\n".encode())
    return told.hexdigest()


def now() -> str:
    """The digest of the code and the kept figures as they are."""
    return digest(sources(), FIGURES.read_text("utf-8"))


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "this project imports by whole names"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _file(name: str) -> Path | None:
    path = ROOT.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)
