"""The reject file: every row not taken, as it came, with its line, the column, the value, why, and what to do.

It is CSV with commas, in the original columns and five of ours, so a mended copy can be imported as it is. A cell that
a spreadsheet would run as a formula gets a leading apostrophe, which the importer takes off again; one too long to be
taken is cut at what is allowed. Rows are buffered until the caller flushes, then written in the order of their lines;
the file appears under its name when it is whole.
"""

import contextlib
import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from campaigns.import_columns import OURS
from campaigns.import_judging import CELL_LIMIT, Problem
from dialer.errors import DialerError

_DANGEROUS = frozenset("=+-@\t\r\n")
# Control characters as the pictures Unicode has for them: visible in any editor, and harmless in a terminal.
_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n\r"} | {0x7F: 0x2421}
SHOWN = 200  # characters of a value repeated in the column `value`


class RejectFile:
    """Collects refused rows; no file when there are none. A context manager: left by an error, it leaves none."""

    def __init__(self, path: Path, header: Sequence[str], *, marked: bool) -> None:
        self.path = path
        self._part = path.with_name(f"{path.name}.{os.getpid()}.part")
        self._header = list(header)
        self._marked = marked
        self._waiting: list[tuple[int, list[str], Sequence[Problem]]] = []
        self._file: io.TextIOWrapper | None = None
        self.kept = False

    def __enter__(self) -> "RejectFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # a full disk, told already
                self._file.close()
            self._part.unlink(missing_ok=True)

    def add(self, line: int, cells: list[str], problems: Sequence[Problem]) -> None:
        """Keep a refused row until the next flush."""
        self._waiting.append((line, cells, problems))

    def flush(self) -> None:
        """Write what was kept, in the order of the lines."""
        if not self._waiting:
            return
        try:
            out = self._open()
            width = len(self._header)
            for line, cells, problems in sorted(self._waiting, key=lambda row: row[0]):
                row = [safe(cell[:CELL_LIMIT]) for cell in cells[:width]] + [""] * (width - len(cells))
                out.writerow([*row, str(line), *map(safe, _told(problems))])
        except OSError as exc:
            raise self._full(exc) from None
        self._waiting.clear()

    def finish(self) -> Path | None:
        """Give the file its name; None when nothing was refused."""
        self.flush()
        if self._file is None:
            self.path.unlink(missing_ok=True)  # of an earlier run that was interrupted
            return None
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self.path)
        except OSError as exc:
            raise self._full(exc) from None
        self._file = None
        return self.path

    def _open(self) -> Any:
        if self._file is None:
            self._file = io.TextIOWrapper(
                io.FileIO(os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w"),
                encoding="utf-8-sig" if self._marked else "utf-8",
                errors="backslashreplace",
                newline="",
            )
            self._writer = csv.writer(self._file, lineterminator="\n")
            self._writer.writerow([*map(safe, self._header), *OURS])
        return self._writer

    def _full(self, exc: OSError) -> DialerError:
        return DialerError(
            f"the reject file {self.path} cannot be written: {exc.strerror or exc}; nothing was imported. "
            "Make room in the data folder and import again"
        )


def safe(cell: str) -> str:
    """Return a cell that no spreadsheet runs and no terminal obeys."""
    if not cell:
        return cell
    dangerous = cell[0] in _DANGEROUS
    if not cell.isprintable():
        cell = cell.replace("\r\n", "\n").replace("\r", "\n").translate(_PICTURES)
    return f"'{cell}" if dangerous else cell


def _told(problems: Sequence[Problem]) -> tuple[str, str, str, str]:
    """Return column, value, reason and remedy of the first problem; its reason tells the others too."""
    column, value, reason, remedy = problems[0]
    if len(problems) > 1:
        others = "; ".join(f"{problem.column}: {problem.reason}" for problem in problems[1:6])
        reason = f"{reason} (also {others})"
    return column, value[:SHOWN], reason, remedy
