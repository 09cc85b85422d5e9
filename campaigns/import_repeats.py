"""Rows that repeat somebody: found over every number, and dealt with as the person who imports wants.

A row repeats a contact when any number of the one is any number of the other. Four things can be done about it: *skip*
the row, *update* the contact with what the row says, *merge* only what the contact lacks, or *link*: take the row as a
contact of its own that names the earlier one. Changes wait in a table of the import's own until its last moment, so a
long import holds no contact that a call may need.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns.import_columns import MOST_NUMBERS, Columns
from campaigns.import_judging import GoodRow, Problem

SKIP, UPDATE, MERGE, LINK = ACTIONS = ("skip", "update", "merge", "link")
LIST, CAMPAIGN, SYSTEM = SCOPES = ("list", "campaign", "system")
_AT_ONCE = 10_000  # changes between two signs of life


@dataclass(frozen=True, slots=True)
class Earlier:
    """A contact that has a number already."""

    contact_id: int
    campaign_id: int
    list_name: str


_EARLIER = text("""
    SELECT DISTINCT ON (f.number) f.number, f.id, f.campaign_id, l.name
    FROM (
        SELECT phone AS number, id, campaign_id, list_id, state FROM contacts WHERE phone = ANY(:numbers)
        UNION ALL
        SELECT phone2, id, campaign_id, list_id, state FROM contacts WHERE phone2 = ANY(:numbers)
        UNION ALL
        SELECT m.number, k.id, k.campaign_id, k.list_id, k.state
        FROM contacts k CROSS JOIN LATERAL unnest(k.more_numbers) AS m(number)
        WHERE k.more_numbers && CAST(:numbers AS text[]) AND m.number = ANY(:numbers)
    ) AS f JOIN lists l ON l.id = f.list_id
    WHERE l.undone_at IS NULL AND (:everywhere OR f.campaign_id = :campaign)
      AND (CAST(:since AS timestamptz) IS NULL OR l.created_at >= :since)
      AND (:any_list OR (l.kind = 'callbacks' AND f.state <> 'closed'))
    ORDER BY f.number, f.campaign_id <> :campaign, f.id
""")


class Repeats:
    """Looks for numbers in the contacts there are. `scope`: this file alone, this campaign, or all of them."""

    def __init__(
        self, session: Session, campaign_id: int, *, kind: str, scope: str, within_days: int | None, now: datetime
    ) -> None:
        self._session = session
        self.campaign_id = campaign_id
        self._given = {
            "campaign": campaign_id,
            "everywhere": scope == SYSTEM,
            "since": now - timedelta(days=within_days) if within_days is not None else None,
            # A callback is a promise of its own: it repeats only another callback that is still to be kept.
            "any_list": kind != "callbacks",
        }
        any_contact = text("SELECT EXISTS (SELECT FROM contacts WHERE :everywhere OR campaign_id = :campaign)")
        self._look = scope != LIST and bool(session.scalar(any_contact, self._given))

    @property
    def looks(self) -> bool:
        """Whether there is anything to look for."""
        return self._look

    def of(self, numbers: Sequence[str]) -> dict[str, Earlier]:
        """Return, of these numbers, those there are, with whose: the campaign's own first, then the oldest."""
        if not self._look or not numbers:
            return {}
        rows = self._session.execute(_EARLIER, {**self._given, "numbers": list(numbers)})
        return {row.number: Earlier(row.id, row.campaign_id, row.name) for row in rows}


class Seen:
    """The numbers of a file so far, each with its line. In parts: one large table doubles its memory when it grows."""

    def __init__(self) -> None:
        self._parts: tuple[dict[int, int], ...] = tuple({} for _ in range(64))

    def first(self, numbers: Sequence[str], line: int) -> tuple[str, int]:
        """Return a number an earlier line had, and that line; nothing is remembered then. Else ours, remembered."""
        keys = [int(number) for number in numbers]
        for number, key in zip(numbers, keys, strict=True):
            earlier = self._parts[key & 63].get(key)
            if earlier is not None:
                return number, earlier
        for key in keys:
            self._parts[key & 63][key] = line
        return numbers[0], line


def repeated(columns: Columns, cells: Sequence[str], number: str, reason: str, remedy: str) -> Problem:
    """Return the problem of a row that repeats another, at the cell that holds the number."""
    filled = [index for index, _ in columns.numbers if index < len(cells) and cells[index].strip()]
    tail = number[-6:]
    digits = {index: "".join(filter(str.isdigit, cells[index])) for index in filled}
    at = next((index for index in filled if digits[index].endswith(tail)), filled[0])
    return Problem(columns.names[at], cells[at], reason, remedy)


# Changes -----------------------------------------------------------------------------------------------------

_STAGE = """
    CREATE TEMPORARY TABLE staged_changes (
        contact_id bigint PRIMARY KEY, first_name text, last_name text, company text, description text, custom jsonb,
        numbers text[], types text[], region text, postcode text, time_zone text
    ) ON COMMIT DROP
"""
_COPY = "COPY staged_changes FROM STDIN"
# An address moves the hours, so it comes along. A consent does not: no file can say that it is newer than a withdrawal.
_TEXTS = ("first_name", "last_name", "company", "description", "region", "postcode", "time_zone")
SHOWN = (*_TEXTS, "custom", "phone2", "more_numbers", "number_types")
# What undo compares and puts back; of rows named k.
STATE_OF_K = "jsonb_build_object(" + ", ".join(f"'{name}', k.{name}" for name in SHOWN) + ")"


def _filled(name: str, action: str) -> str:
    one, other = ("s", "k") if action == UPDATE else ("k", "s")
    return f"{name} = CASE WHEN {one}.{name} <> '' THEN {one}.{name} ELSE {other}.{name} END"


def _apply(action: str) -> str:
    texts = ", ".join(_filled(name, action) for name in _TEXTS)
    custom = "k.custom || s.custom" if action == UPDATE else "s.custom || k.custom"
    return f"""
    WITH old AS MATERIALIZED (
        SELECT k.id, {STATE_OF_K} AS before, n.numbers, n.types
        FROM (SELECT k.* FROM contacts k JOIN staged_changes s ON s.contact_id = k.id
              WHERE s.contact_id = ANY(:ids) ORDER BY k.id FOR NO KEY UPDATE OF k) AS k
        JOIN staged_changes s ON s.contact_id = k.id
        CROSS JOIN LATERAL (
            SELECT (array_agg(number ORDER BY place))[1:{MOST_NUMBERS}] AS numbers,
                   (array_agg(type ORDER BY place))[1:{MOST_NUMBERS}] AS types
            FROM (SELECT DISTINCT ON (number) number, type, place FROM (
                SELECT o.number, coalesce(k.number_types[o.place], 'phone') AS type, o.place
                FROM unnest(array_remove(ARRAY[k.phone, k.phone2], NULL) || k.more_numbers)
                     WITH ORDINALITY AS o(number, place)
                UNION ALL
                SELECT o.number, coalesce(s.types[o.place], 'phone'), 100 + o.place
                FROM unnest(s.numbers) WITH ORDINALITY AS o(number, place)) AS all_of_them
                ORDER BY number, place) AS each_once) AS n
    ), new AS (
        UPDATE contacts k SET {texts}, custom = {custom}, phone2 = o.numbers[2],
            more_numbers = nullif(o.numbers[3:], '{{}}'),
            number_types = CASE WHEN k.number_types IS NULL AND cardinality(o.numbers) = 1 THEN NULL ELSE o.types END
        FROM old o JOIN staged_changes s ON s.contact_id = o.id WHERE k.id = o.id
        RETURNING k.id, {STATE_OF_K} AS after
    ), kept AS (
        INSERT INTO import_changes (import_id, contact_id, before, after)
        SELECT :import_id, o.id, o.before, n.after FROM old o JOIN new n ON n.id = o.id WHERE n.after <> o.before
        RETURNING 1)
    SELECT count(*) FROM kept
    """  # noqa: S608 (names of our own)


class Changes:
    """What the file says of contacts there are; applied all at once when the file has been read to its end."""

    def __init__(self, session: Session, import_id: int, action: str, *, dry: bool) -> None:
        self._session = session
        self._import_id = import_id
        self._action = action
        self._dry = dry
        self._lines: dict[int, int] = {}
        self._waiting: list[tuple[int, GoodRow]] = []
        self._staged = False

    def add(self, contact_id: int, line: int, row: GoodRow) -> int | None:
        """Keep what a row says of a contact; the line of an earlier row that did so, instead, if there was one."""
        first = self._lines.setdefault(contact_id, line)
        if first != line:
            return first
        if not self._dry:
            self._waiting.append((contact_id, row))
        return None

    def flush(self, connection: "Callable[[], Connection[Any]]") -> None:
        """Put what waits into the table beside; `connection` gives the one of the transaction when it is free."""
        if not self._waiting:
            return
        free = connection()
        if not self._staged:
            self._session.execute(text(_STAGE))
            self._staged = True
        with free.cursor() as cursor, cursor.copy(_COPY) as copy:
            for contact_id, row in self._waiting:
                types = list(row.types) or ["phone"]
                address = row.person[:3] if row.person is not None else ("", "", "")
                copy.write_row(
                    (
                        contact_id, row.first_name, row.last_name, row.company, row.description, row.custom,
                        list(row.numbers), types, *address,
                    )
                )  # fmt: skip
        self._waiting.clear()

    def apply(self, beat: Callable[[], None]) -> int:
        """Change the contacts; how many really changed. From here to the commit they are locked."""
        if not self._staged:
            return 0
        changed, query = 0, text(_apply(self._action))
        ids = sorted(self._lines)
        for at in range(0, len(ids), _AT_ONCE):
            given = {"ids": ids[at : at + _AT_ONCE], "import_id": self._import_id}
            changed += int(self._session.scalar(query, given) or 0)
            beat()
        return changed


_PUT_BACK = text(f"""
    UPDATE contacts k SET first_name = c.before->>'first_name', last_name = c.before->>'last_name',
        company = c.before->>'company', description = c.before->>'description', custom = c.before->'custom',
        region = c.before->>'region', postcode = c.before->>'postcode', time_zone = c.before->>'time_zone',
        phone2 = c.before->>'phone2',
        more_numbers = CASE WHEN jsonb_typeof(c.before->'more_numbers') = 'array'
                            THEN ARRAY(SELECT jsonb_array_elements_text(c.before->'more_numbers')) END,
        number_types = CASE WHEN jsonb_typeof(c.before->'number_types') = 'array'
                            THEN ARRAY(SELECT jsonb_array_elements_text(c.before->'number_types')) END,
        next_number = CASE WHEN k.next_number = k.phone OR k.next_number = c.before->>'phone2'
                             OR c.before->'more_numbers' ? k.next_number THEN k.next_number END
    FROM import_changes c WHERE c.import_id = :import_id AND k.id = c.contact_id AND {STATE_OF_K} = c.after
""")  # noqa: S608 (names of our own)


def put_back(session: Session, import_id: int) -> int:
    """Give the contacts an import changed what they had before, unless they were changed since; how many."""
    done = session.execute(_PUT_BACK, {"import_id": import_id})
    return int(getattr(done, "rowcount", 0))
