"""A file of any origin, row by row: any delimiter, any line ending, and bounded whatever it holds.

Each record comes with the line where it starts. A record whose quotes are wrong is handed out as broken and reading
goes on with the next line; a quote that never ends cannot be mended by us, so it stops everything, and says where.
"""

import csv
import io
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from campaigns.import_encoding import Encoding
from dialer.errors import BadInput

ROW_LIMIT = 1 << 20  # characters of one row, quoted line ends included
ROWS_LIMIT = 3_000_000
COLUMNS_LIMIT = 256
READ_AGAIN_LIMIT = 1 << 26  # characters; only a file made to keep us busy needs more
_SAMPLE = 1 << 16  # characters looked at to find the delimiter
_ROW_TOO_LONG = "row longer than the limit"
DELIMITERS = {",": "comma", ";": "semicolon", "|": "bar", "\t": "tab"}


class Record(NamedTuple):
    """One data row. `broken`: why it could not be taken apart; `cells` is then our best reading of its first line."""

    line: int
    cells: list[str]
    broken: str = ""


class Table:
    """An open file: its delimiter, its header, and then its records. A context manager."""

    def __init__(
        self,
        path: Path,
        file_name: str,
        encoding: Encoding,
        delimiter: str | None = None,
        known: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """Open `path`; `known` says whether a cell is a header name we have a use for, which finds the delimiter."""
        self.file_name = file_name
        self.encoding = encoding
        self._binary = path.open("rb")
        self._text = io.TextIOWrapper(
            self._binary, encoding=encoding.name, errors=encoding.errors, newline="", write_through=False
        )
        self._lines = _Lines(self._text, file_name)
        try:
            self.delimiter, self.header_line, self.header = self._open(path, delimiter, known)
        except BaseException:
            self._text.close()
            raise

    def __enter__(self) -> "Table":
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._text.close()

    @property
    def bytes_done(self) -> int:
        """How much of the file has been read; a little ahead of the record in hand."""
        return self._binary.tell()

    @property
    def characters(self) -> int:
        return self._lines.characters

    def records(self) -> Iterator[Record]:
        """Yield the data rows. Blank lines are no rows. BadInput when the file cannot be read to its end."""
        lines, rows = self._lines, 0
        reader = self._reader(lines)
        while True:
            lines.begin()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as exc:
                record = self._broken(str(exc))
            else:
                if not any(cells):
                    continue
                record = Record(lines.first, cells)
            rows += 1
            if rows > ROWS_LIMIT:
                raise BadInput(
                    f"{self.file_name} has more than {ROWS_LIMIT:,} rows: split it into several files "
                    "(nothing was imported)"
                )
            yield record

    def _reader(self, lines: Iterator[str]) -> "Iterator[list[str]]":
        return csv.reader(lines, delimiter=self.delimiter, strict=True, skipinitialspace=True)

    def _broken(self, why: str) -> Record:
        first, lines = self._lines.first, self._lines.record
        endless = "unexpected end of data" in why or ("limit" in why and len(lines) > 1)
        if endless or self._lines.read_again > READ_AGAIN_LIMIT:
            opened = first + _line_of_the_open_quote(lines, self.delimiter)
            if why == _ROW_TOO_LONG:
                raise BadInput(
                    f"{self.file_name}, line {first}: the row that starts there is longer than {ROW_LIMIT:,} "
                    f"characters; is the quote opened on line {opened} ever closed? (nothing was imported)"
                )
            raise BadInput(
                f"{self.file_name}, line {opened}: a quote opened there is never closed. "
                'Close it, or write a quote that belongs to the text twice ("") (nothing was imported)'
            )
        if "limit" in why:
            return Record(
                first, lines[0].rstrip("\r\n").split(self.delimiter), "a cell is longer than 131,072 characters"
            )
        cells = next(csv.reader([lines[0]], delimiter=self.delimiter, skipinitialspace=True), [])
        self._lines.push_back(lines[1:])
        return Record(first, cells, 'a quote inside a quoted cell is not written twice ("")')

    def _open(self, path: Path, delimiter: str | None, known: Callable[[str], bool]) -> tuple[str, int, list[str]]:
        with io.TextIOWrapper(
            path.open("rb"), encoding=self.encoding.name, errors=self.encoding.errors, newline=""
        ) as text:
            try:
                sample = text.read(_SAMPLE)
            except UnicodeDecodeError as exc:
                raise self._not_decoded(exc) from None
        if not sample.strip("\ufeff \t\r\n\x00"):
            raise BadInput(f"{self.file_name} is empty: nothing to import")
        declared = _declared_delimiter(sample)
        self.delimiter = delimiter or declared or sniff(sample, known)
        if len(self.delimiter) != 1 or self.delimiter in '"\r\n':
            raise BadInput(f"{self.delimiter!r} cannot be a delimiter: give one character, for example ; or |")
        reader = self._reader(self._lines)
        if declared:
            self._lines.begin()
            next(reader, None)
        while True:
            self._lines.begin()
            try:
                header = next(reader)
            except csv.Error as exc:
                self._broken(str(exc))  # raises when the quote never ends
                raise BadInput(
                    f"{self.file_name}, line {self._lines.first}: the quotes of the header are wrong; mend them "
                    "(nothing was imported)"
                ) from None
            except StopIteration:
                raise BadInput(f"{self.file_name} is empty: nothing to import") from None
            if any(cell.strip() for cell in header):
                break
        if len(header) > COLUMNS_LIMIT:
            raise BadInput(
                f"{self.file_name} has {len(header):,} columns, and {COLUMNS_LIMIT} are allowed: "
                "remove those not needed"
            )
        return self.delimiter, self._lines.first, [cell.lstrip("\ufeff").strip() for cell in header]

    def _not_decoded(self, exc: UnicodeDecodeError) -> BadInput:
        return BadInput(
            f'{self.file_name} is not whole {self.encoding.name.upper()} text ({exc.reason}): save it as "CSV UTF-8"'
        )


class _Lines:
    """The lines of the file for `csv.reader`: none longer than allowed, and those of a broken record given back."""

    def __init__(self, text: io.TextIOWrapper, file_name: str) -> None:
        self._text = text
        self._file_name = file_name
        self._returned: deque[str] = deque()
        self._next = 1  # number of the line to be read next
        self.first = 1  # line on which the record in hand starts
        self.record: list[str] = []
        self._size = 0  # of the record in hand, in characters
        self.characters = 0
        self.read_again = 0

    def begin(self) -> None:
        """The next line starts a record."""
        self.first = self._next
        self.record = []
        self._size = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        if self._returned:
            line = self._returned.popleft()
        else:
            try:
                line = self._text.readline(ROW_LIMIT + 1)
            except UnicodeDecodeError as exc:
                raise BadInput(
                    f"{self._file_name}, line {self._next}: not {exc.encoding.upper()} text ({exc.reason}); "
                    'save it as "CSV UTF-8" (nothing was imported)'
                ) from None
            if not line:
                raise StopIteration
            self.characters += len(line)
        if len(line) > ROW_LIMIT:
            raise BadInput(
                f"{self._file_name}, line {self._next}: the line is longer than {ROW_LIMIT:,} characters; "
                "is this a CSV file with line ends? (nothing was imported)"
            )
        self._next += 1
        self.record.append(line)
        self._size += len(line)
        if self._size > ROW_LIMIT:
            raise csv.Error(_ROW_TOO_LONG)
        return line

    def push_back(self, lines: list[str]) -> None:
        """Read these lines again: they were swallowed by a broken record."""
        self._returned.extendleft(reversed(lines))
        self.read_again += sum(map(len, lines))
        self._next -= len(lines)


def sniff(sample: str, known: Callable[[str], bool]) -> str:
    """Find the delimiter: the one that makes most sense of the header, then of the first rows; a comma in doubt."""
    best, score = ",", (0, 0, 0.0)
    for candidate in DELIMITERS:
        try:
            rows = [row for row in _first_rows(sample, candidate) if any(row)]
        except csv.Error:
            continue
        if not rows:
            continue
        width = len(rows[0])
        alike = sum(len(row) == width for row in rows) / len(rows)
        found = (sum(map(known, rows[0])), int(width > 1), width * alike if width > 1 else 0.0)
        if found > score:
            best, score = candidate, found
    return best


def _first_rows(sample: str, delimiter: str) -> list[list[str]]:
    lines = io.StringIO(sample, newline="").readlines()
    if len(lines) > 1 and len(sample) >= _SAMPLE:
        lines.pop()  # cut in the middle
    reader = csv.reader(lines[:50], delimiter=delimiter, skipinitialspace=True)
    return list(reader)[:20]


def _declared_delimiter(sample: str) -> str | None:
    """Return the delimiter of a first line `sep=;`, which spreadsheets write and read."""
    line = sample.lstrip("\ufeff").splitlines()[0].strip().strip('"') if sample.strip("\ufeff") else ""
    return line[4] if line[:4].lower() == "sep=" and len(line) == 5 else None


def _line_of_the_open_quote(lines: list[str], delimiter: str) -> int:
    """Return the index of the line in which the quote opened that these lines do not close."""
    opened, inside, start = 0, False, True
    for index, line in enumerate(lines):
        at = 0
        while at < len(line):
            char = line[at]
            if inside:
                if char == '"' and line[at + 1 : at + 2] == '"':
                    at += 1
                elif char == '"':
                    inside = False
            elif char == '"' and start:
                inside, opened = True, index
            start = not inside and (char == delimiter or (start and char == " "))
            at += 1
    return opened
