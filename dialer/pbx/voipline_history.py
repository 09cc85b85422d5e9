"""VoIPLine's lists of past calls, of users, queues and ring groups: pages by offset and limit, each row once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dialer.pbx import voipline_words as words
from dialer.pbx.base import CallOutcome, PastCall, Role
from dialer.pbx.foreign import foreign_id
from dialer.pbx.http import Unreadable
from dialer.pbx.json_http import Declined

PAGE = 1000  # rows of one request; the maker's most is 10,000
MOST_PAGES = 5  # each costs a request
DAY = timedelta(days=1)

Ask = Callable[[Mapping[str, str]], "list[Row]"]


@dataclass(frozen=True, slots=True)
class Row:
    """One past call. `group`: the queue or ring group it came through; `answered` from the time, not from a word."""

    call_id: str | None
    type: str
    began: datetime | None
    connected_at: datetime | None
    caller: str | None  # E.164
    called: str | None  # E.164
    user_name: str
    user_number: str | None
    duration: float | None  # seconds, ringing and talk
    talk: float | None
    group: str = ""
    status: str = ""

    @property
    def outbound(self) -> bool:
        return "outbound" in self.type

    def as_past_call(self) -> PastCall:
        """The row of a user's outgoing call, as the product knows it."""
        met = self.connected_at is not None
        return PastCall(
            call_id=self.call_id or "",
            ref=None,
            outcome=CallOutcome.OK if met else CallOutcome.NO_ANSWER,
            duration=self.duration,
            talk_time=self.talk if met else None,
            connected_role=Role.AGENT if met else None,
            user_id=self.user_number,
            number=self.called,
            began=self.began,
        )


def rows_of(told: Any) -> list[Row]:
    """Read the envelope and its rows; `Declined` with the maker's reason, `Unreadable` when it is neither."""
    envelope(told)
    rows = told.get("data")
    if not isinstance(rows, list):
        raise Unreadable("no list in `data`")
    return [_row(row) for row in rows if isinstance(row, dict)]


def envelope(told: Any) -> None:
    """Look at what is around every answer; a missing `status` is no failure."""
    if not isinstance(told, dict) or not told.keys() & {"status", "code", "data"}:
        raise Unreadable("no answer of its interface")
    status, code = words.said(told.get("status")), words.said(told.get("code"))
    message = told.get("message")
    if isinstance(message, dict):
        message = message.get("status") or message.get("message")
    if (status is not None and status.lower() != "success") or code not in (None, "200"):
        raise Declined(words.said(message) or f"status {status}, code {code}")


def _row(row: Mapping[str, Any]) -> Row:
    return Row(
        call_id=foreign_id(words.said(row.get("unique_call_id"))),
        type=(words.said(row.get("type")) or "").lower(),
        began=words.moment(row.get("call_start_at")),
        connected_at=words.moment(row.get("connected_at")),
        caller=words.number(row.get("caller_id", row.get("callerid"))),
        called=words.number(row.get("dest_number")),
        user_name=words.said(row.get("user_name")) or "",
        user_number=words.extension(row.get("user_number")),
        duration=words.seconds(row.get("call_duration")),
        talk=words.seconds(row.get("conversation_duration")),
        group=words.said(row.get("queue_name")) or words.said(row.get("ring_group_name")) or "",
        status=words.said(row.get("status")) or "",
    )


def pages(ask: Ask, since: datetime, until: datetime, sort_by: str, more: Mapping[str, str]) -> list[Row]:
    """Read every row begun in [since, until], newest first.

    The zone of the maker's days is not said, so a day more is asked for on both sides. The list grows at its head while
    it is read, so that pages may repeat rows: each is kept once.
    """
    found: dict[str, Row] = {}
    unnamed: list[Row] = []
    for page in range(MOST_PAGES):
        asked = {
            "from_date": f"{since - DAY:%Y-%m-%d}",
            "to_date": f"{until + DAY:%Y-%m-%d}",
            "offset": str(page * PAGE),
            "limit": str(PAGE),
            **more,
        }
        rows = ask({"sort_by": sort_by, **asked} if sort_by else asked)
        for row in rows:
            if row.began is not None and since <= row.began <= until:
                if row.call_id is None:
                    unnamed.append(row)
                else:
                    found.setdefault(row.call_id, row)
        oldest = min((row.began for row in rows if row.began is not None), default=None)
        if len(rows) < PAGE or (sort_by == "newest_first" and oldest is not None and oldest < since):
            break
    return [*found.values(), *unnamed]
