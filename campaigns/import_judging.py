"""Is this row a contact? A pure judgement: a record in, a contact or all its problems out, and nothing guessed.

Rows are judged by the hundred thousand, so the good row takes the short way; only a bad one is looked at twice.
"""

import json
import re
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

from campaigns import import_person
from campaigns.import_callbacks import CallbackRows, Due
from campaigns.import_columns import PRIORITIES, Columns
from campaigns.import_person import OfPerson as OfPerson  # a part of every good row
from campaigns.import_person import Problem as Problem  # given on: what is wrong with a row
from campaigns.import_reading import Record
from dialer.number_reader import NumberReader

CELL_LIMIT = 10_000  # characters
# Marks that turn the direction of what follows, and other signs nobody sees.
_DROPPED = dict.fromkeys([0xAD, 0x200B, 0x200E, 0x200F, 0xFEFF, *range(0x202A, 0x202F), *range(0x2060, 0x206A)])
_quoted = json.JSONEncoder(ensure_ascii=False).encode
_QUOTED = re.compile(r"'[=+\-@\t\r\n]")  # how our reject files, and careful exports, disarm a formula


class GoodRow(NamedTuple):
    """A contact as it will be stored; `due` is its day, period and instant, for callbacks."""

    phone: str
    phone2: str | None
    first_name: str
    last_name: str
    company: str
    description: str
    custom: str  # JSON
    due_date: str | None
    period_id: int | None
    next_at: str | None  # ISO; None: at once
    more: tuple[str, ...] = ()  # numbers after the second, as they are tried
    types: tuple[str, ...] = ()  # of all numbers; empty when the file has one column of them
    priority: int = 0
    same_as: int | None = None  # an earlier contact that this one repeats, and is taken all the same
    person: OfPerson | None = None  # None: the file has no column of these
    owner: int | None = None  # the agent whose callback it is
    remark: Problem | None = None  # what is to be told of a row that is taken

    @property
    def numbers(self) -> tuple[str, ...]:
        """Every number, in the order they are tried."""
        return (self.phone, self.phone2, *self.more) if self.phone2 else (self.phone,)


class Judge:
    """Judges the rows of one file. `callbacks` only for callback lists. For one thread."""

    def __init__(self, columns: Columns, country: str, *, clean: bool, callbacks: CallbackRows | None = None) -> None:
        self._columns = columns
        self._read = NumberReader(country).read
        self._country = country
        self._clean = clean  # no cell can hold bytes that failed to decode
        self._callbacks = callbacks
        self._custom = tuple((index, f"{_quoted(name)}: ") for index, name in columns.custom)
        self._number_columns = tuple((index, columns.names[index]) for index, _ in columns.numbers)
        self._types = dict(columns.numbers)
        self._typed = len(columns.numbers) > 1
        self._alike: dict[tuple[str, ...], tuple[str, ...]] = {}  # one tuple of types for all rows that have it

    def judge(self, record: Record) -> GoodRow | list[Problem]:
        """Return the contact, or every problem of the row, the most telling first."""
        columns, cells = self._columns, record.cells
        whole = "".join(cells)
        problems = self._shape(record, whole)
        if problems:
            return problems
        if len(cells) < columns.width:
            cells = cells + [""] * (columns.width - len(cells))
        numbers, types = self._numbers(cells, problems)
        priority = self._priority(cells, problems) if columns.priority >= 0 else 0
        person = import_person.judge(columns, cells, self._country, problems) if columns.of_person else None
        owner, due = self._callback(cells, numbers, person, problems) if self._callbacks is not None else (None, None)
        if problems:
            return problems
        # Most rows hold nothing that must be looked for cell by cell.
        plain = whole.isprintable() and "'" not in whole
        text, lines = (str.strip, str.strip) if plain else (_text, _lines)
        return GoodRow(
            phone=numbers[0],
            phone2=numbers[1] if len(numbers) > 1 else None,
            first_name=text(cells[columns.first_name]) if columns.first_name >= 0 else "",
            last_name=text(cells[columns.last_name]) if columns.last_name >= 0 else "",
            company=text(cells[columns.company]) if columns.company >= 0 else "",
            description=lines(cells[columns.description]) if columns.description >= 0 else "",
            custom=self._kept(cells, lines, plain) if self._custom else "{}",
            due_date=due.day if due is not None else None,
            period_id=due.period_id if due is not None else None,
            next_at=due.next_at if due is not None else None,
            more=tuple(numbers[2:]) if len(numbers) > 2 else (),
            types=types,
            priority=priority,
            person=person,
            owner=owner,
            remark=due.remark if due is not None else None,
        )

    def _callback(
        self, cells: list[str], numbers: list[str], person: OfPerson | None, problems: list[Problem]
    ) -> tuple[int | None, Due | None]:
        """Return whose callback the row is and when it is due; what is wrong with either goes to `problems`."""
        assert self._callbacks is not None
        owner = self._callbacks.owner(self._columns, cells)
        due = self._callbacks.due(self._columns, cells, numbers[0] if numbers else None, person)
        problems += [one for one in (due, owner) if isinstance(one, Problem)]
        return (None if isinstance(owner, Problem) else owner), (None if isinstance(due, Problem) else due)

    def _kept(self, cells: list[str], clean: Callable[[str], str], plain: bool) -> str:
        """Return the columns we have no field for, as a JSON object of those that hold something."""
        kept = []
        for index, name in self._custom:
            text = clean(cells[index])
            if text:
                simple = plain and '"' not in text and "\\" not in text
                kept.append(f'{name}"{text}"' if simple else f"{name}{_quoted(text)}")
        return f"{{{', '.join(kept)}}}"

    def _shape(self, record: Record, whole: str) -> list[Problem]:
        """Return what is wrong with the row as a row, before anything in it is understood."""
        cells, columns = record.cells, self._columns
        if record.broken:
            return [Problem("", "", record.broken, "mend the quotes of this line; the next lines were read as rows")]
        if len(cells) > columns.width and any(map(str.strip, cells[columns.width :])):
            return [
                Problem(
                    "",
                    " ".join(cells[columns.width :]),
                    f"the row has {len(cells)} cells and the header {columns.width}",
                    "put quotes around a cell that holds the delimiter",
                )
            ]
        problems = []
        if "\x00" in whole:
            problems += self._each("\x00", cells, "the cell holds a NUL byte", "remove it: it is no text")
        if not self._clean and not _encodable(whole):
            problems += [
                Problem(name, cell, "the cell holds bytes that are no text in the file's encoding", "save it as UTF-8")
                for name, cell in self._named(cells)
                if not _encodable(cell)
            ]
        if len(whole) > CELL_LIMIT:
            problems += [
                Problem(name, cell[:100], f"the cell has {len(cell):,} characters", f"{CELL_LIMIT:,} are allowed")
                for name, cell in self._named(cells)
                if len(cell) > CELL_LIMIT
            ]
        return problems

    def _each(self, what: str, cells: list[str], reason: str, remedy: str) -> list[Problem]:
        return [Problem(name, cell[:100], reason, remedy) for name, cell in self._named(cells) if what in cell]

    def _named(self, cells: list[str]) -> list[tuple[str, str]]:
        names = self._columns.names
        return [(names[at] if at < len(names) else f"column {at + 1}", cell) for at, cell in enumerate(cells)]

    def _priority(self, cells: list[str], problems: list[Problem]) -> int:
        text = cells[self._columns.priority].strip().removeprefix("'")  # as our exports disarm a minus
        try:
            priority = int(text or 0)
        except ValueError:
            priority = PRIORITIES.stop
        if priority not in PRIORITIES:
            least, most = PRIORITIES[0], PRIORITIES[-1]
            name = self._columns.names[self._columns.priority]
            remedy = f"write a whole number from {least} (first) to {most} (last), or leave the cell empty for 0"
            problems.append(Problem(name, text, "the priority is no number we know", remedy))
        return priority

    def _numbers(self, cells: list[str], problems: list[Problem]) -> tuple[list[str], tuple[str, ...]]:
        """Return the numbers of the row in the order they are tried, and their types where there may be several.

        What is wrong goes to `problems`.
        """
        found: list[str] = []
        types: list[str] = []
        for index, name in self._number_columns:
            text = cells[index].strip()
            if text:
                number = self._read(text)
                if isinstance(number, str):
                    if number not in found:
                        found.append(number)
                        types.append(self._types[index])
                else:
                    problems.append(Problem(name, text, number.reason, number.remedy))
        if not found and not problems:
            *most, last = (name for _, name in self._number_columns)
            names = f"{', '.join(most)} or {last}" if most else last
            needed = "give one of them" if len(self._number_columns) > 1 else "give the number"
            problems.append(Problem(self._number_columns[0][1], "", f"there is no number in {names}", needed))
        elif found and problems:
            good = problems[0]
            problems[0] = good._replace(remedy=f"{good.remedy}, or empty the cell: the row's other number is good")
        if not self._typed:
            return found, ()
        kinds = tuple(types)
        return found, self._alike.setdefault(kinds, kinds)


def _lines(cell: str) -> str:
    """As `_text`, where line ends mean something."""
    return _text(cell, lines=True)


def _text(cell: str, *, lines: bool = False) -> str:
    """Return the cell as text that is safe to show: no control characters, no disarmed formula's apostrophe."""
    cell = cell.strip()
    if cell[:1] == "'" and _QUOTED.match(cell):
        cell = cell[1:]
    if cell.isprintable():
        return cell
    if lines:
        cell = cell.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(
        char if char.isprintable() or unicodedata.category(char) == "Zs" or (lines and char == "\n") else " "
        for char in cell.translate(_DROPPED)
    ).strip()


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
