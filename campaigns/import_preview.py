"""What an import would make of a file, before anybody asks for one: columns, first rows, counts by reason, repeats.

Reads the beginning of the file with the importer's own parts and writes nothing. The columns are guessed from their
names, as the import does; what their cells look like is only ever told, with the words that would say so.
"""

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from campaigns.callback_dates import Calendar, zone_of_number
from campaigns.import_calendar import callback_rows
from campaigns.import_columns import Columns, find_columns, guess, known, near_name, parse_target, shown_field
from campaigns.import_encoding import detect
from campaigns.import_judging import GoodRow, Judge, Problem
from campaigns.import_options import ImportOptions
from campaigns.import_reading import Record, Table
from campaigns.import_repeats import LINK, Repeats, Seen, repeated
from campaigns.lists_view import Reason, grouped
from campaigns.models import Campaign
from dialer.errors import BadInput
from dialer.number_reader import NumberReader

LOOKED_AT = 10_000  # rows judged, unless more are asked for
_AT_ONCE = 5_000  # rows whose numbers are looked up in one question
_SAMPLED = 1_000  # rows whose cells are looked at to say what a column holds
_NUMBERS = ("phone", "mobile", "work_phone", "home_phone")
_LIKELY = 0.8  # share of numbers from which a column is said to hold them
_NO_TEXT = re.compile("[\ud800-\udfff]")  # what a byte became that its encoding does not know; nobody can be sent one


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the file: what it would become, how sure that is, and why."""

    name: str
    becomes: str
    confidence: float  # 0 to 1
    why: str
    filled: float  # share of the rows that have something in it
    samples: Sequence[str]
    numbers: float = 0.0  # share of the filled cells that are numbers


@dataclass(slots=True)
class Preview:
    """What would come of a file, as far as it was read. `trouble`: why nothing would be imported."""

    file_name: str
    encoding: str
    delimiter: str
    header_line: int
    columns: Sequence[Column]
    trouble: str = ""
    first: list[dict[str, Any]] = field(default_factory=list)
    rows: int = 0
    accepted: int = 0
    rejected: int = 0
    duplicates: int = 0
    whole: bool = False  # the counts are of the whole file, not of its beginning
    reasons: Sequence[Reason] = ()
    remarks: Sequence[Reason] = ()  # of rows that are taken, and not as the file has them

    def as_json(self) -> dict[str, Any]:
        """Return the preview for a program."""
        return asdict(self)


def preview(
    session: Session,
    campaign: Campaign,
    path: Path,
    *,
    file_name: str,
    kind: str,
    options: ImportOptions,
    now: datetime,
    most: int | None = LOOKED_AT,
    shown: int = 5,
) -> Preview:
    """Look at the first `most` rows (None: all of them). BadInput when the file itself cannot be read."""
    encoding = detect(path, file_name, options.encoding)
    with Table(path, file_name, encoding, options.delimiter, known) as table:
        place = f"{file_name}, line {table.header_line}"
        try:
            columns = find_columns(table.header, kind, place=place, country=campaign.country, mapping=options.mapping)
        except BadInput as exc:
            sample = [record.cells for record, _ in zip(table.records(), range(_SAMPLED), strict=False)]
            told = _columns(table.header, sample, None, options.mapping, kind, campaign.country)
            return Preview(file_name, encoding.name, table.delimiter, table.header_line, told, trouble=str(exc))
        callbacks = callback_rows(session, campaign, options, now)[0] if kind == "callbacks" else None
        judge = Judge(columns, campaign.country, clean=encoding.clean, callbacks=callbacks)
        as_read = partial(_as_read, calendar=callbacks.calendar if callbacks is not None else None)
        repeats = Repeats(
            session, campaign.id, kind=kind, scope=options.duplicates_in, within_days=options.within_days, now=now
        )
        made = Preview(file_name, encoding.name, table.delimiter, table.header_line, ())
        counting = _Counting(made, judge, columns, repeats, action=options.duplicates, shown=shown, as_read=as_read)
        sample = counting.count(table, most)
        made.columns = _columns(columns.names, sample, columns, options.mapping, kind, campaign.country)
    return made


class _Counting:
    """Counts into a preview what the import would do with each row."""

    def __init__(
        self,
        made: Preview,
        judge: Judge,
        columns: Columns,
        repeats: Repeats,
        *,
        action: str,
        shown: int,
        as_read: Callable[[int, GoodRow], dict[str, Any]],
    ) -> None:
        self._made, self._judge, self._columns, self._repeats = made, judge, columns, repeats
        self._action, self._shown, self._as_read = action, shown, as_read
        self._refused, self._remarked, self._seen = _Grouped(), _Grouped(), Seen()
        self._batch: list[tuple[Record, GoodRow]] = []

    def count(self, table: Table, most: int | None) -> list[list[str]]:
        """Judge the first `most` rows (None: all of them); return the cells of the first of them."""
        made, sample = self._made, list[list[str]]()
        made.whole = True
        for record in table.records():
            if most is not None and made.rows >= most:
                made.whole = False
                break
            made.rows += 1
            if len(sample) < _SAMPLED:
                sample.append(record.cells)
            self._row(record)
        self._look_up()
        made.reasons, made.remarks = self._refused.reasons(), self._remarked.reasons()
        return sample

    def _row(self, record: Record) -> None:
        row = self._judge.judge(record)
        if isinstance(row, list):
            self._made.rejected += 1
            self._refused.add(record.line, row[0])
            return
        number, first = self._seen.first(row.numbers if self._action != LINK else (row.phone,), record.line)
        if first != record.line:
            self._repeated(record, number, f"duplicate of line {first}: the number is the same", "keep one of the rows")
            return
        self._batch.append((record, row))
        if len(self._batch) >= _AT_ONCE:
            self._look_up()

    def _look_up(self) -> None:
        """Say of the rows in hand which have a number of a contact there is: one question for all of them."""
        there = self._repeats.of([number for _, row in self._batch for number in row.numbers])
        for record, row in self._batch:
            number = next((number for number in row.numbers if number in there), "")
            if number and self._action != LINK:
                reason = f"the number is in list {there[number].list_name!r} already"
                self._repeated(record, number, reason, _ACTIONS[self._action])
                continue
            self._made.accepted += 1
            if row.remark is not None:
                self._remarked.add(record.line, row.remark)
            if len(self._made.first) < self._shown:
                self._made.first.append(self._as_read(record.line, row))
        self._batch.clear()

    def _repeated(self, record: Record, number: str, reason: str, remedy: str) -> None:
        self._made.duplicates += 1
        self._refused.add(record.line, repeated(self._columns, record.cells, number, reason, remedy))


class _Grouped:
    """Rows by what is to be done about them, with the first of each."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._first: dict[tuple[str, str, str], tuple[int, Problem]] = {}

    def add(self, line: int, problem: Problem) -> None:
        group = grouped(problem.column, problem.reason, problem.remedy)
        self._counts[group] += 1
        self._first.setdefault(group, (line, problem))

    def reasons(self) -> list[Reason]:
        told = []
        for group, rows in self._counts.most_common(12):
            line, first = self._first[group]
            told.append(
                Reason(rows, _readable(first.column), first.reason, first.remedy, str(line), _readable(first.value))
            )
        return told


_ACTIONS = {
    "skip": "it is left out; --duplicates says what else may be done",
    "update": "the contact there is gets what this row says",
    "merge": "the contact there is gets what it lacks",
}


def _as_read(line: int, row: GoodRow, calendar: Calendar | None) -> dict[str, Any]:
    types = row.types or ("phone",)
    told: dict[str, Any] = {
        "line": line,
        "numbers": [f"{number} ({kind})" for number, kind in zip(row.numbers, types, strict=False)],
    }
    names = ("first_name", "last_name", "company", "description")
    told |= {name: getattr(row, name) for name in names if getattr(row, name)}
    if row.custom != "{}":
        told["custom"] = row.custom
    if row.priority:
        told["priority"] = row.priority
    if row.next_at is not None and calendar is not None:
        at = datetime.fromisoformat(row.next_at)
        zone = zone_of_number(row.phone, calendar.zone, calendar.now)
        told |= {"due": row.next_at, "promised": f"{at.astimezone(zone):%a %Y-%m-%d %H:%M} ({zone.key})"}
    return told


def _columns(
    names: Sequence[str],
    sample: Sequence[Sequence[str]],
    columns: Columns | None,
    mapping: Mapping[str, str],
    kind: str,
    country: str,
) -> list[Column]:
    reader, types = NumberReader(country), dict(columns.numbers) if columns is not None else {}
    told = []
    for index, name in enumerate(names):
        cells = [row[index].strip() for row in sample if index < len(row) and row[index].strip()]
        share = _share(cells, reader)
        becomes = parse_target(mapping[name]) if name in mapping else guess(name, kind)
        sure, why = _how_sure(name, becomes, given=name in mapping, share=share, filled=bool(cells))
        if becomes == "custom" and columns is not None and index == columns.last_name:
            becomes, why = "last_name", "by its name; no column has the first or the last name alone"
        shown, of_type = shown_field(becomes), types.get(index, "")
        shown += f" ({of_type})" if of_type and not shown.startswith(of_type) else ""
        filled = len(cells) / len(sample) if sample else 0.0
        told.append(Column(_readable(name), shown, sure, why, round(filled, 3), _samples(cells), round(share, 3)))
    return told


def _share(cells: Sequence[str], reader: NumberReader) -> float:
    return sum(isinstance(reader.read(cell), str) for cell in cells) / len(cells) if cells else 0.0


def _samples(cells: Iterable[str]) -> list[str]:
    return [_readable(cell[:40]) for cell in dict.fromkeys(cells)][:3]


def _readable(text: str) -> str:
    return _NO_TEXT.sub("\N{REPLACEMENT CHARACTER}", text)


def _how_sure(name: str, becomes: str, *, given: bool, share: float, filled: bool) -> tuple[float, str]:
    """Say how sure it is that the column is what it would become, and why."""
    looks = f"{share:.0%} of its cells are numbers"
    is_number = becomes.startswith(("phone", "work", "home"))
    if is_number and filled:
        return round(share if given else 0.5 + share / 2, 2), ("you said so; " if given else "by its name; ") + looks
    if given:
        return 1.0, "you said so"
    if becomes != "custom":
        return (1.0, "by its name") if filled else (0.8, "by its name; it is empty")
    near = near_name(name)
    if share >= _LIKELY:
        field = near if near in _NUMBERS else "phone"
        return round(1 - share, 2), f"{looks}: --mapping '{name}={field}' would call them"
    if near is not None:
        score = difflib.SequenceMatcher(None, name.casefold(), near).ratio()
        return round(1 - score, 2), f"its name is near {near!r}: --mapping '{name}={near}' if it is"
    return 1.0, "kept under its own name"
