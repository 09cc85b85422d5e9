"""Numbers nobody may call again whose owners asked to be forgotten: kept as keyed digests, which nobody can read.

There are few enough telephone numbers to try them all, so a plain hash would hide nothing. The key is drawn once for a
database and stands in the installation's row: whoever is given this table alone learns no number from it, and every
process that can order a call can also see whom it must not.
"""

import hmac
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from campaigns.models import Forgotten
from dialer.errors import DialerError

KEY = "(SELECT forgotten_key FROM installation WHERE id = 1)"  # for whoever asks for more with the same question
ERASED = "erased-"  # what stands in place of a number begins so: it is no number, and two of them can be compared


_KEY = text(f"SELECT {KEY}")
_AMONG = text("SELECT digest, added_at FROM forgotten WHERE digest = ANY(:digests)")
_NOTE_WHO_SHARES = text("""
    INSERT INTO shares_forgotten (contact_id)
    SELECT id FROM contacts WHERE phone = ANY(:numbers)
    UNION SELECT id FROM contacts WHERE phone2 = ANY(:numbers)
    UNION SELECT id FROM contacts WHERE more_numbers && CAST(:numbers AS text[])
    UNION SELECT id FROM contacts WHERE next_number = ANY(:numbers)
    ON CONFLICT DO NOTHING
""")


def key_of(session: Session) -> bytes:
    """Return the database's key, drawing it the first time. Two who draw at once agree on one."""
    drawn = text("UPDATE installation SET forgotten_key = :key WHERE id = 1 AND forgotten_key IS NULL")
    found = session.scalar(_KEY)
    if found is None:
        session.execute(drawn, {"key": secrets.token_hex(32)})
        found = session.scalar(_KEY)
    if found is None:
        raise DialerError("the database has no installation row: run `dialer db upgrade`")
    return bytes.fromhex(found)


def digest(key: bytes, number: str) -> str:
    """Return the keyed digest of an E.164 number."""
    return hmac.digest(key, number.encode(), "sha256").hex()


def stand_in(key: bytes, number: str) -> str:
    """Return what is written where the number was."""
    return ERASED + digest(key, number)[:32]


def remember(session: Session, numbers: Iterable[str], *, who: str, now: datetime) -> int:
    """Put the digests of these numbers on the list; how many are new. They hold from the commit on.

    Other contacts that share one of the numbers stay, and are noted: whoever counts a million contacts cannot reckon a
    digest for each. What an import brings later was judged by the list.
    """
    numbers = sorted(set(numbers))
    key = key_of(session)
    rows = [{"digest": digest(key, number), "added_by": who, "added_at": now} for number in numbers]
    if not rows:
        return 0
    session.execute(_NOTE_WHO_SHARES, {"numbers": numbers})
    added = session.execute(insert(Forgotten).values(rows).on_conflict_do_nothing().returning(Forgotten.digest))
    return len(added.all())


def among(session: Session, numbers: Collection[str]) -> dict[str, datetime]:
    """Return, of these numbers, those of people who asked to be forgotten, and since when."""
    return by_key(session, numbers, session.scalar(_KEY)) if numbers else {}


def by_key(session: Session, numbers: Collection[str], key: str | None) -> dict[str, datetime]:
    """Return the same by the key the database has (`KEY`); None: nobody ever asked to be forgotten."""
    if key is None:
        return {}
    by_digest = {digest(bytes.fromhex(key), number): number for number in numbers}
    return {by_digest[row.digest]: row.added_at for row in session.execute(_AMONG, {"digests": list(by_digest)})}


@dataclass(frozen=True, slots=True)
class Forgetting:
    """All digests as of one moment, to be asked `number in forgetting` about a file of a million rows."""

    key: bytes
    digests: frozenset[str]

    @classmethod
    def read(cls, session: Session) -> "Forgetting":
        """Read them; nothing is reckoned for a number while nobody ever asked to be forgotten."""
        digests = frozenset(session.scalars(select(Forgotten.digest)))
        return cls(key_of(session) if digests else b"", digests)

    def __contains__(self, number: str) -> bool:
        return bool(self.digests) and digest(self.key, number) in self.digests
