"""Is this row a contact? A pure judgement: a record in, a contact or all its problems out, and nothing guessed.

Rows are judged by the hundred thousand, so the good row takes the short way; only a bad one is looked at twice.
"""

import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from campaigns import import_person
from campaigns.callback_dates import AHEAD, Calendar, WantedPeriod, zone_of_number
from campaigns.import_columns import PRIORITIES, Columns
from campaigns.import_person import OfPerson as OfPerson  # a part of every good row
from campaigns.import_person import Problem as Problem  # given on: what is wrong with a row
from campaigns.import_reading import Record
from dialer.number_reader import NumberReader

CELL_LIMIT = 10_000  # characters
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
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

    @property
    def numbers(self) -> tuple[str, ...]:
        """Every number, in the order they are tried."""
        return (self.phone, self.phone2, *self.more) if self.phone2 else (self.phone,)


@dataclass(frozen=True, slots=True)
class _Due:
    day: str
    period_id: int | None
    next_at: str


class Judge:
    """Judges the rows of one file. `calendar` only for callback lists. For one thread."""

    def __init__(self, columns: Columns, country: str, *, clean: bool, calendar: Calendar | None = None) -> None:
        self._columns = columns
        self._read = NumberReader(country).read
        self._country = country
        self._clean = clean  # no cell can hold bytes that failed to decode
        self._calendar = calendar
        self._custom = tuple((index, f"{_quoted(name)}: ") for index, name in columns.custom)
        self._dues: dict[tuple[str, str, str], _Due | Problem] = {}
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
        due = self._due(cells, numbers) if self._calendar is not None else None
        if isinstance(due, Problem):
            problems.append(due)
            due = None
        person = import_person.judge(columns, cells, self._country, problems) if columns.of_person else None
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
        )

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

    def _due(self, cells: list[str], numbers: list[str]) -> _Due | Problem:
        columns = self._columns
        calendar = self._calendar
        assert calendar is not None
        if numbers:
            calendar = calendar.at(zone_of_number(numbers[0], calendar.zone, calendar.now))
        day = cells[columns.due_date].strip() if columns.due_date >= 0 else ""
        period = cells[columns.period].strip() if columns.period >= 0 else ""
        due = self._dues.get((day, period, calendar.zone.key))
        if due is None:
            due = self._work_out(day, period, calendar)
            if len(self._dues) < 10_000:
                self._dues[day, period, calendar.zone.key] = due
        return due

    def _work_out(self, text: str, name: str, calendar: Calendar) -> _Due | Problem:
        day_column, period_column = (
            self._columns.names[index] if index >= 0 else shown
            for index, shown in ((self._columns.due_date, "dueDate"), (self._columns.period, "period"))
        )
        day = _day(text, calendar)
        if isinstance(day, str):
            remedy = f"write it as YYYY-MM-DD, for example {calendar.tomorrow}; empty means tomorrow"
            return Problem(day_column, text, day, remedy)
        period = calendar.period(" ".join(name.split())) if name else calendar.period_of(day)
        if period is None:
            return Problem(period_column, name, *_unknown_period(name, calendar))
        if calendar.over(day, period):
            return Problem(day_column, text, *_past(day, period, calendar))
        return _Due(day.isoformat(), period.id, calendar.starts(day, period).isoformat())


def _day(text: str, calendar: Calendar) -> date | str:
    """Return the day, tomorrow when none is given, or why it is none."""
    if not text:
        return calendar.tomorrow
    if not _ISO_DATE.fullmatch(text) or not text.isascii():
        return "the due date is not an ISO date"
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return "there is no such day"
    if day - calendar.today > AHEAD:
        return "the due date is more than two years ahead"
    return day


def _unknown_period(name: str, calendar: Calendar) -> tuple[str, str]:
    known = ", ".join(period.name for period in calendar.periods.values())
    reason = f"there is no period {name[:60]!r} in this campaign"
    if not known:
        return f"{reason}: it has none", "define it first, or empty the cell for the campaign's calling hours"
    return f"{reason} (there are: {known})", "use one of them, define it, or empty the cell for the default"


def _past(day: date, period: WantedPeriod, calendar: Calendar) -> tuple[str, str]:
    remedy = f"give a date from {calendar.today} on; empty means tomorrow"
    if day < calendar.today:
        return f"the due date {day} is in the past", remedy
    remedy = f"give a later period, or a date from {calendar.tomorrow} on; empty means tomorrow"
    return f"the period {period.name} of today was over at {period.ends:%H:%M}", remedy


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
