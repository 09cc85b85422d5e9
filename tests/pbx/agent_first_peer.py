"""A small PBX that rings the agent first, for tests: what is behind its HTTP, and a book of who rang when.

It is built from what is known of the makers' systems, and shares no code with the adapters. A subclass speaks one
maker's language: it starts calls by `start`, and words their steps in `event`.
"""

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx

from tests.pbx.scripted import Line, Received, ScriptedServer, _respond


@dataclass
class Person:
    """What a customer does when the phone rings: seconds until they answer (None: never), seconds of talk."""

    answers_after: float | None = 0.02
    talks: float = 0.05


@dataclass
class Call:
    """One call in the PBX."""

    id: str
    extension: str
    to: str
    began: datetime
    pickup: datetime | None = None
    ended: datetime | None = None
    customer_rang: bool = False
    private: bool = False
    over: threading.Event = field(default_factory=threading.Event)  # somebody hangs up


@dataclass
class AgentFirstPeer:
    """Extensions with people at them, numbers with people behind them, and events sent by HTTP."""

    extensions: tuple[str, ...] = ("215", "216")
    webhook: str = ""
    keys: tuple[str, ...] = ()  # that let somebody in
    agents: dict[str, float | None] = field(default_factory=dict)  # seconds until the phone is taken; None: never
    customers: dict[str, Person] = field(default_factory=dict)
    patience: float = 0.15  # how long a phone rings
    swap: bool = False  # events of one call in the wrong order
    lost: frozenset[str] = frozenset()  # steps that are never told
    book: list[Call] = field(default_factory=list)
    misdelivered: int = 0

    def __post_init__(self) -> None:
        self.server = ScriptedServer(now=self.usual)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._client = httpx.Client(timeout=5, trust_env=False, verify=False)  # http only: no authorities to load

    # what a subclass says ------------------------------------------------------------------------------

    def usual(self, line: Line, request: Received) -> None:
        raise NotImplementedError

    def event(self, step: str, call: Call) -> httpx.Request | None:
        """The request that tells of a step of a call; None when this maker tells nothing of it."""
        raise NotImplementedError

    def call_id(self, number: int) -> str:
        raise NotImplementedError

    # the calls -----------------------------------------------------------------------------------------

    def start(self, extension: str, to: str, *, private: bool = False) -> Call:
        """Ring the agent, and then the customer, in a thread of its own."""
        with self._lock:
            call = Call(self.call_id(len(self.book) + 1), extension, to, datetime.now(UTC), private=private)
            self.book.append(call)
        thread = threading.Thread(target=self._live, args=(call,), daemon=True)
        self._threads.append(thread)
        thread.start()
        return call

    def _live(self, call: Call) -> None:
        steps: list[tuple[str, Call]] = []
        self._step("agent rings", call, steps)
        taken = self.agents.get(call.extension, 0.01)
        if call.private or (taken is not None and not call.over.wait(taken)):
            call.customer_rang = True
            self._step("customer rings", call, steps)
            person = self.customers.get(call.to, Person())
            if person.answers_after is not None and not call.over.wait(person.answers_after):
                call.pickup = datetime.now(UTC)
                self._step("answered", call, steps)
                call.over.wait(person.talks)
            else:
                call.over.wait(self.patience)
        else:
            call.over.wait(self.patience)
        call.ended = datetime.now(UTC)
        self._step("ended", call, steps)
        for step, swapped in reversed(steps):  # only when swapped: else each was told at its moment
            self._tell(step, swapped)

    def _step(self, step: str, call: Call, steps: list[tuple[str, Call]]) -> None:
        if step in self.lost:
            return
        if self.swap:
            steps.append((step, call))
        else:
            self._tell(step, call)

    def _tell(self, step: str, call: Call) -> None:
        request = self.event(step, call)
        if request is None or not self.webhook or self._closing.is_set():
            return
        try:
            if self._client.send(request).status_code != 200:
                self.misdelivered += 1
        except httpx.HTTPError:
            self.misdelivered += 1

    def quiet(self, within: float = 10.0) -> None:
        """Wait until every call is over and told."""
        until = time.monotonic() + within
        for thread in list(self._threads):
            thread.join(max(0.0, until - time.monotonic()))
            assert not thread.is_alive(), "a call of the peer goes on for ever"

    def rang(self) -> dict[str, int]:
        """How often each customer's phone rang."""
        found: dict[str, int] = {}
        for call in self.book:
            if call.customer_rang and not call.private:
                found[call.to] = found.get(call.to, 0) + 1
        return found

    def hang_up(self, call_id: str) -> None:
        """End a call, whatever it is at."""
        for call in self.book:
            if call.id == call_id:
                call.over.set()

    def close(self) -> None:
        self._closing.set()
        for call in self.book:
            call.over.set()
        self.server.close()
        for thread in self._threads:
            thread.join(5)
        self._client.close()


def answer(line: Line, status: int, body: str, kind: str = "application/json", **headers: str) -> None:
    """Answer a request."""
    _respond(line, body.encode(), status, kind, {name.replace("_", "-"): value for name, value in headers.items()})


def seconds(since: datetime, until: datetime) -> int:
    return round((until - since) / timedelta(seconds=1))
