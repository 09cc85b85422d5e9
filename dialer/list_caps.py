"""How far a list is to be worked: how many of its contacts get a first attempt at all, and how many of them on one day.

Retries and promised callbacks go on whatever a cap says: it is about people nobody has called yet.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Self

from dialer.errors import BadInput
from dialer.gate import Known, Verdict

RULE = "list_cap"
MOST = 1_000_000_000
_WRITTEN = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,2})?)\s*%|([0-9]{1,10})")


@dataclass(frozen=True, slots=True)
class ListCap:
    """A share of the list's contacts, or a number of them."""

    share: float | None = None
    contacts: int | None = None

    @classmethod
    def parse(cls, text: str) -> "ListCap | None":
        """Read `60%` or `500`; None for nothing and for `none`. BadInput says how one is written."""
        written = text.strip().lower()
        if written in ("", "none"):
            return None
        match = _WRITTEN.fullmatch(written)
        if match is None:
            raise BadInput(f"list cap {text.strip()[:30]!r}: write it as 60%, 500 or none")
        if match[1] is not None:
            if float(match[1]) > 100:
                raise BadInput(f"list cap {text.strip()[:30]!r}: 100% is the whole list")
            return cls(share=float(match[1]) / 100)
        if int(match[2]) > MOST:
            raise BadInput(f"list cap {text.strip()[:30]!r}: at most {MOST:,} contacts")
        return cls(contacts=int(match[2]))

    def most(self, contacts: int) -> int:
        """Return how many of the list's contacts that is: never more than the share, and not nobody unless it is 0%."""
        if self.contacts is not None:
            return self.contacts
        assert self.share is not None
        # 7% of 100 is 7.000000000000001, and 29% of 100 is 28.999999999999996: to the hundredth of a contact.
        return max(1, int(round(self.share * contacts, 6))) if self.share else 0

    def __str__(self) -> str:
        return f"{self.contacts}" if self.share is None else f"{self.share * 100:.2f}".rstrip("0").rstrip(".") + "%"


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a list was worked, and its caps. `today_until`: when the day that `today` counts is over.

    `offered`: contacts never tried that agents are shown this moment and may call.
    """

    list_id: int
    name: str
    contacts: int
    tried: int
    today: int
    today_until: datetime
    cap: ListCap | None = None
    cap_today: ListCap | None = None
    offered: int = 0

    @classmethod
    def of(cls, row: tuple[int, str, str, str, int, int, int, datetime], now: datetime, offered: int = 0) -> Self:
        """Read what is kept: the caps as they are written, and of another day's count nothing."""
        list_id, name, cap, cap_today, contacts, tried, today, until = row
        today = today if now < until else 0
        caps = ListCap.parse(cap), ListCap.parse(cap_today)
        return cls(list_id, name, contacts, tried, today, until, *caps, offered)

    @property
    def penetration(self) -> float:
        """The share of the list's contacts that were tried at least once."""
        return min(1.0, self.tried / self.contacts) if self.contacts else 0.0

    @property
    def room(self) -> int | None:
        """How many more contacts may get a first attempt now; None where no cap counts them."""
        rooms = [
            cap.most(self.contacts) - counted - self.offered
            for cap, counted in ((self.cap, self.tried), (self.cap_today, self.today))
            if cap is not None
        ]
        return max(0, min(rooms)) if rooms else None

    @property
    def full(self) -> bool:
        """Whether nobody new of it is called now."""
        return self.room == 0

    @property
    def until(self) -> datetime | None:
        """When there is room again by itself; None when there is, and when a person must raise the cap."""
        ended = self.cap is not None and self.tried >= self.cap.most(self.contacts)
        return self.today_until if self.full and not ended else None

    def verdict(self, taken: int = 0) -> Verdict:
        """Say whether one more of its contacts may be called for the first time, besides those `taken` this moment."""
        if taken:
            return replace(self, offered=self.offered + taken).verdict()
        against: dict[str, Known] = {"tried": self.tried, "contacts": self.contacts, "today": self.today}
        told = []
        if self.cap is not None:
            against["cap"] = str(self.cap)
            told.append(
                f"{self.tried:,} of its {self.contacts:,} contacts were tried, the cap is {_most(self, self.cap)}"
            )
        if self.cap_today is not None:
            against["cap_today"] = str(self.cap_today)
            told.append(f"{self.today:,} for the first time today, the cap is {_most(self, self.cap_today)}")
        if self.offered:
            told.append(f"{self.offered:,} more are about to be called")
        state = "is at its cap" if self.full else "is below its cap"
        why = f"list {self.name} {state}: {'; '.join(told)}"
        if self.until is not None:
            why += f"; it goes on at {self.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        return Verdict(not self.full, RULE, why, until=self.until, against=against)


def _most(standing: Standing, cap: ListCap) -> str:
    most = f"{cap.most(standing.contacts):,}"
    return f"{cap} ({most})" if cap.share is not None else most
