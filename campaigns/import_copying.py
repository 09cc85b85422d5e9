"""Good rows into the table of contacts by COPY.

Rows travel as text in PostgreSQL's COPY format, made here: writing each value through the driver costs twice the time.
While the server takes one batch, the next is judged: one thread waits on the connection, and never two at once.
"""

from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from types import TracebackType
from typing import Any

from psycopg import Connection
from sqlalchemy.orm import Session

from campaigns import forgotten
from campaigns.import_judging import GoodRow, OfPerson
from campaigns.models import ContactList

COLUMNS = (
    "campaign_id, list_id, line, phone, phone2, first_name, last_name, company, description, custom, "
    "due_date, period_id, next_at, more_numbers, number_types, priority, same_as, "
    "region, postcode, time_zone, consent, consent_at, consent_source"
)
_OWNED = ", kept_for, kept_as"  # only where a file says whose its callbacks are: a million rows need no empty columns
# A tab or a line end in a description, and every backslash, would end or change a cell.
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_NULL = "\\N"


class ContactWriter:
    """Writes the contacts of one import into a list made with the first of them.

    A context manager inside the caller's transaction: at its end, by an error too, nothing is on its way any more.
    """

    def __init__(
        self,
        session: Session,
        campaign_id: int,
        *,
        kind: str,
        name: str,
        now: datetime,
        dry: bool,
        rule_pack: str | None = None,
        owned: bool = False,
    ) -> None:
        self._session = session
        self._campaign_id = campaign_id
        self._kind = kind
        self._name = name
        self._now = now
        self._dry = dry
        self._rule_pack = rule_pack
        self._owned = owned
        self.list_id: int | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="import-copy")
        self._on_its_way: Future[None] | None = None

        # As of now: an erasure waits for imports that run, and looks again when they are done.
        self._forgotten = forgotten.Forgetting.read(session)

    def __enter__(self) -> "ContactWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._thread.shutdown(wait=True)
        if exc is None:
            self.settle()

    def settle(self) -> None:
        """Wait until the connection is free; raises what the last batch met."""
        batch, self._on_its_way = self._on_its_way, None
        if batch is not None:
            batch.result()

    def connection(self) -> "Connection[Any]":
        """The connection under the transaction, when nothing is on its way."""
        self.settle()
        return driver(self._session)

    def forgotten(self, numbers: Collection[str]) -> set[str]:
        """Return, of these numbers, those whose owners asked to be forgotten."""
        return {number for number in numbers if number in self._forgotten} if self._forgotten.digests else set()

    def write(self, rows: Sequence[tuple[int, GoodRow]]) -> None:
        """Copy these (line, row) into the list; nothing on a dry run."""
        if self._dry or not rows:
            return
        if self.list_id is None:
            listed = ContactList(
                campaign_id=self._campaign_id,
                name=self._name,
                kind=self._kind,
                created_at=self._now,
                rule_pack=self._rule_pack,
            )
            self._session.add(listed)
            self._session.flush()
            self.list_id = listed.id
        data = "".join(copy_lines(rows, self._campaign_id, self.list_id, self._now, owned=self._owned)).encode()
        self.settle()
        self._on_its_way = self._thread.submit(_copy, driver(self._session), data, self._owned)


def _copy(connection: "Connection[Any]", data: bytes, owned: bool) -> None:
    columns = COLUMNS + (_OWNED if owned else "")
    with connection.cursor() as cursor, cursor.copy(f"COPY contacts ({columns}) FROM STDIN") as copy:
        copy.write(data)


def copy_lines(
    rows: Iterable[tuple[int, GoodRow]], campaign_id: int, list_id: int, now: datetime, *, owned: bool = False
) -> Iterable[str]:
    """Yield each row as a line of COPY text."""
    at_once = now.isoformat()
    for line, row in rows:
        phone, phone2, first, last, company, description, custom, due_date, period_id, next_at, more, types, *_ = row
        priority, same_as, where = row.priority, row.same_as, row.person
        told = f"{first}\t{last}\t{company}\t"
        if "\\" in told:  # there are no line ends or tabs in these three
            told = "".join(f"{part.translate(_ESCAPES)}\t" for part in (first, last, company))
        if "\\" in custom:  # nor in JSON
            custom = custom.translate(_ESCAPES)
        if "\\" in description or not description.isprintable():
            description = description.translate(_ESCAPES)
        yield (
            f"{campaign_id}\t{list_id}\t{line}\t{phone}\t{phone2 or _NULL}\t{told}{description}\t{custom}\t"
            f"{due_date or _NULL}\t{period_id or _NULL}\t{next_at or at_once}\t"
            f"{_array(more)}\t{_array(types)}\t{priority}\t{same_as or _NULL}\t{_of_person(where)}"
            f"{_whose(row.owner) if owned else ''}\n"
        )


def _array(words: Sequence[str]) -> str:
    """Numbers and types need no quotes in an array."""
    return f"{{{','.join(words)}}}" if words else _NULL


def _whose(owner: int | None) -> str:
    """The promise, made in the same transaction, takes it from there."""
    return f"\t{owner}\towner" if owner is not None else f"\t{_NULL}\t"


def _of_person(where: "OfPerson | None") -> str:
    if where is None:
        return f"\t\t\tf\t{_NULL}\t"
    region, postcode, time_zone, consent, consent_at, source = where
    source, postcode = source.translate(_ESCAPES), postcode.translate(_ESCAPES)
    return f"{region}\t{postcode}\t{time_zone}\t{'t' if consent else 'f'}\t{consent_at or _NULL}\t{source}"


def driver(session: Session) -> "Connection[Any]":
    """The psycopg connection under this session's transaction."""
    connection = session.connection().connection.driver_connection
    assert isinstance(connection, Connection)
    return connection
