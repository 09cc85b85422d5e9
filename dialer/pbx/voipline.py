"""VoIPLine: "call this number" for a user, webhooks, histories, and an account that allows few requests.

Its interface rings the user's devices and then the number; nothing it is sent comes back, and nothing can be ended,
joined or listed while it lasts. So agents are rung first, calls are found by agent and number, and the history is
asked where events are missing.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import httpx

from dialer.clock import Clock, SystemClock
from dialer.errors import DialerError, PbxBusy, PbxError, PbxLockedOut, PbxRefused, PbxUnavailable
from dialer.pbx.base import (
    AgentFirstOrder,
    CallEvent,
    EventKeys,
    Feature,
    Finding,
    Gateway,
    PastCall,
    Payload,
    PbxUser,
    Room,
)
from dialer.pbx.foreign import foreign_id, inert, is_number, masked
from dialer.pbx.json_http import Busy, JsonHttp, text_of
from dialer.pbx.lacking import Lacking
from dialer.pbx.own_words import gateways_of, read, users_of
from dialer.pbx.request_book import LocalBook, RequestBook, room, spent
from dialer.pbx.voipline_check import check_set_up
from dialer.pbx.voipline_events import VoiplineEvents
from dialer.pbx.voipline_history import Row, envelope, pages, rows_of
from dialer.pbx.voipline_options import VoiplineOptions
from dialer.settings import PbxSettings

_ADDRESS = (
    "the key is wrong, or this machine's public address is not on the account's list (Integration/API, API, add IP): "
    "the answer does not tell which"
)
LOCKED_OUT = {401: _ADDRESS, 402: "the account's licence does not cover the interface", 403: _ADDRESS}
# After a refusal of the account nothing is sent for so long; one request then tries again.
CLOSED_FOR = 300.0
BACK_OFF = (60.0, 120.0, 300.0)  # after 429, where it names no time itself
READ_TRIES = 2

T = TypeVar("T")


class VoiplinePbx(Lacking):
    """One VoIPLine account as a `Pbx`, and `Metered`."""

    features = frozenset({Feature.AGENT_FIRST, Feature.CALL_REPORT})

    def __init__(
        self,
        name: str,
        settings: PbxSettings,
        *,
        requests: RequestBook | None = None,
        clock: Clock | None = None,
        environ: Mapping[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Open no connection yet. `requests`: the book that all processes share; without it, one of our own."""
        self.name = name
        self.settings = settings.model_copy(update={"url": settings.url.rstrip("/") + "/"})
        self.options = read(VoiplineOptions, name, settings)
        self._book = requests or LocalBook()
        self._clock = clock or SystemClock()
        self._http = JsonHttp(
            name,
            self.settings,
            locked_out=LOCKED_OUT,
            secret_header="token",  # noqa: S106 - the name of a header
            environ=environ,
            transport=transport,
            retries=0,  # each try costs a request, and is counted here
        )
        self._events = VoiplineEvents()

    def __repr__(self) -> str:
        return f"<VoiplinePbx {self.name}>"

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def keys(self, payload: Payload) -> EventKeys:
        return self._events.keys(payload)

    def read(self, payload: Payload) -> CallEvent:
        return self._events.read(payload)

    # what the settings say ----------------------------------------------------------------------------

    def gateways(self) -> Sequence[Gateway]:
        return gateways_of(self.name, self.options)

    def users(self) -> Sequence[PbxUser]:
        return users_of(self.name, self.options)

    def room(self) -> Room:
        """How many calls the account still allows now."""
        return room(self.options.budget, self._book.look(self.name, self.options.window))

    # reads --------------------------------------------------------------------------------------------

    def call_report(self, since: datetime) -> Sequence[PastCall]:
        """List the users' outgoing calls begun at or after `since`."""
        return [row.as_past_call() for row in self.user_calls(since) if row.outbound]

    def user_calls(self, since: datetime, until: datetime | None = None, **more: str) -> Sequence[Row]:
        """The history of users; `unique_call_id` narrows it to one call."""
        return self._history(self.options.user_calls_path, since, until, more)

    def queue_calls(self, since: datetime, until: datetime | None = None, queues: Sequence[str] = ()) -> Sequence[Row]:
        """The history of queues: all, or those named."""
        more = {"queues_names": ",".join(queues)} if queues else {}
        return self._history(self.options.queue_calls_path, since, until, more)

    def ring_group_calls(
        self, since: datetime, until: datetime | None = None, groups: Sequence[str] = ()
    ) -> Sequence[Row]:
        """The history of ring groups: all, or those named."""
        more = {"ringgroups_names": ",".join(groups)} if groups else {}
        return self._history(self.options.group_calls_path, since, until, more)

    def check(self) -> Sequence[Finding]:
        def look() -> int:
            asked = {"sort_by": self.options.sort_by, "offset": "0", "limit": "1"}
            return len(self._read(self.options.user_calls_path, asked))

        return check_set_up(self.name, self.options, self.users(), look)

    # commands -----------------------------------------------------------------------------------------

    def call_for_agent(self, order: AgentFirstOrder, *, before_send: Callable[[], None] | None = None) -> str:
        """Ring a user's devices and then the number; returns the call's id when the reply has one, else ""."""
        if not (order.extension.isascii() and order.extension.isdecimal() and len(order.extension) <= 32):
            raise self._refuse(f"user {inert(order.user_id, 20)} has no number of digits")
        for what, number in (("number", order.number), ("caller id", order.caller_id)):
            if (number or what == "number") and not is_number(number):
                raise self._refuse(f"the {what} {masked(inert(number, 30))!r} is not digits with at most one plus")
        fields = {
            **self.options.fixed_fields(),
            "user_number": order.extension,
            "number_to_call": _e164(order.number),
            **({"caller_id": _e164(order.caller_id)} if order.caller_id else {}),
        }
        body = {"body": fields} if self.options.body == "json" else {"parts": fields}
        return self._asked(
            "call",
            self.options.budget.for_calls,
            lambda: self._http.order("POST", self.options.call_path, {}, _call_id, before_send=before_send, **body),
        )

    # the account --------------------------------------------------------------------------------------

    def _history(self, path: str, since: datetime, until: datetime | None, more: Mapping[str, str]) -> Sequence[Row]:
        until = until or self._clock.now() + timedelta(minutes=1)
        return pages(lambda asked: self._read(path, asked), since, until, self.options.sort_by, more)

    def _read(self, path: str, params: Mapping[str, str]) -> list[Row]:
        """Read one page; asked once more, out of the same budget, when nobody answered."""
        for last in (False, True):
            try:
                return self._asked("read", self.options.requests, lambda: self._http.get(path, params, rows_of))
            except PbxBusy:
                raise
            except PbxUnavailable:
                if last:
                    raise
        raise AssertionError("the last try returns or raises")  # pragma: no cover

    def _asked(self, kind: str, most: int, send: Callable[[], T]) -> T:
        """Send one request, if the account allows one more, and keep what its answer says of the account."""
        against = self._take(kind, most)
        if against:
            raise PbxBusy(self.name, against)
        try:
            answer = send()
        except PbxLockedOut as exc:
            self._book.close(self.name, CLOSED_FOR, exc.why)
            raise
        except Busy as exc:
            times = self._book.look(self.name, self.options.window).times
            wait = exc.after if exc.after is not None else BACK_OFF[min(times, len(BACK_OFF) - 1)]
            self._book.close(self.name, wait, exc.why)
            raise
        except PbxError:
            raise
        self._book.reopen(self.name)
        return answer

    def _take(self, kind: str, most: int) -> str:
        try:
            against = self._book.take(self.name, kind, most, self.options.window)
        except DialerError as exc:
            return f"its requests cannot be counted, so none is sent: {exc}"
        return spent(self.options.budget, most, against) if against is not None else ""

    def _refuse(self, why: str) -> PbxRefused:
        return PbxRefused(self.name, f"{why}; nothing was sent")


def _e164(number: str) -> str:
    return f"+{number.removeprefix('+')}"


def _call_id(told: Any) -> str:
    envelope(told)
    data = told.get("data")
    if isinstance(data, list):
        data = data[0] if data else None
    if not isinstance(data, dict):
        return ""
    return foreign_id(text_of(data.get("unique_call_id")) or text_of(data.get("call_id"))) or ""
