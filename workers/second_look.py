"""The second look: five times a second, for what a lost queue message left behind.

Redis may vanish at any moment (I18); whatever is written and not yet handled is found here, from the rows alone.
The clocks of waiting customers run here too, in every worker: two workers looking at once do no harm.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event, Thread
from typing import TypeVar

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from campaigns import assigning, importing, limits, looking, pbx_commands, placing, reactions
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import AgentLeg, Attempt
from dialer.errors import DialerError
from workers.actors import run_one_import

log = structlog.get_logger(__name__)

# An event the handlers choke on this often is set aside with its trouble, so that its call goes on.
MOST_FAILURES = 5
# Younger than this, its queue message is most likely on its way.
_YOUNG = timedelta(milliseconds=120)
# Events nobody was rung for: few at a time. Of PBXs that repeat no reference they tell of agents' own calls, too, and a
# moment is soon enough; those of a call of ours come so late that they seldom hold its row when somebody answers.
_PATIENT = timedelta(milliseconds=600)
_PATIENT_OF_OURS = timedelta(milliseconds=1500)
# A call that is over for so long is ended whatever of its events cannot be heard.
_HEARD_BY = timedelta(seconds=30)
# An import is left to its queue message for so long.
_IMPORT_AGE = timedelta(seconds=3)

_UNHANDLED = text(
    """
    SELECT pbx, ref, call_id FROM (
        SELECT pbx, ref, CASE WHEN ref IS NULL THEN call_id END AS call_id, min(id) AS first
        FROM logged_events WHERE handled_at IS NULL AND NOT can_wait AND received_at < :before AND pbx = ANY(:known)
        GROUP BY 1, 2, 3 ORDER BY 4 LIMIT 200) AS urgent
    UNION ALL
    SELECT pbx, ref, call_id FROM (
        SELECT pbx, ref, CASE WHEN ref IS NULL THEN call_id END AS call_id, min(id) AS first
        FROM logged_events WHERE handled_at IS NULL AND can_wait AND pbx = ANY(:known)
          AND received_at < CASE WHEN ref IS NULL THEN :patient ELSE :patient_of_ours END
        GROUP BY 1, 2, 3 ORDER BY 4 LIMIT 25) AS patient
    """
)
_SET_ASIDE = text(
    """
    UPDATE logged_events SET handled_at = clock_timestamp(), trouble = :trouble
    WHERE handled_at IS NULL AND pbx = :pbx AND ref IS NOT DISTINCT FROM :ref
      AND (:ref IS NOT NULL OR call_id IS NOT DISTINCT FROM :call_id)
    """
)


_Key = tuple[str, str | None, str | None]  # PBX, reference, call id
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Found:
    """What one round has to do; mostly nothing."""

    events: list[_Key]
    orders: list[str]
    over: list[str]
    overlong: list[str]
    imports: Sequence[int]


# A PBX that hangs holds this many threads, and no clock.
SENDERS, PLACERS = 8, 2


def _pool(name: str, threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix=name)


class SecondLook:
    """Looks until told to stop. One per worker process, on a thread of its own."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._timing = application.settings.timing
        self._failures: Counter[_Key] = Counter()
        self._complained: dict[str, float] = {}
        self._importer = _pool("import", 1)
        self._senders, self._placers = _pool("send", SENDERS), _pool("place", PLACERS)
        self._placing: set[str] = set()
        self.import_under_way: Future[None] | None = None

    def run(self, stop: Event) -> None:
        """Look every `second_look` seconds, the clocks on a thread of their own, until told to stop."""
        clocks = Thread(target=self._run_clocks, args=(stop,), name="clocks", daemon=True)
        clocks.start()
        while not stop.wait(self._timing.second_look):
            if not clocks.is_alive():
                raise RuntimeError("the thread of the clocks died")
            self.once()

    def _run_clocks(self, stop: Event) -> None:
        while not stop.wait(self._timing.second_look / 2):
            self.clocks()

    def clocks(self) -> None:
        """People on the line whose time runs, before and beside everything else.

        Nothing here waits: not for a lock somebody holds, and not for a PBX, which is asked from a pool.
        """
        try:
            with self._application.transaction(hurry=True) as session:
                now = database_now(session)
                unserved = limits.unserved(session, now, self._timing)
                waiting = assigning.waiting(session)
                commands = pbx_commands.due(session, now - _YOUNG)
        except Exception as exc:
            self._complain("clocks", exc)
            return
        self._each("unserved", unserved, self._run_out)
        self._each("waiting", waiting, self._serve)
        self._each("commands", commands, lambda command: self._send([command]))

    def once(self) -> None:
        """One round of what may take a moment: events, orders, endings, imports."""
        try:
            found = self._see()
        except Exception as exc:  # a worker must outlive its database
            self._complain("see", exc)
            return
        self._each("events", found.events, self._look)
        self._each("orders", found.orders, self._place)
        self._each("endings", found.over, self._settle)
        self._each("overlong", found.overlong, self._hang_up)
        self._each("imports", found.imports[:1], self._import)

    def _see(self) -> "_Found":
        with self._application.transaction() as session:
            now = database_now(session)
            # Of a PBX that was taken out of the settings nothing can be read; its rows wait for it to come back.
            told = {
                "before": now - _YOUNG, "patient": now - _PATIENT, "patient_of_ours": now - _PATIENT_OF_OURS,
                "known": list(self._application.pbxes),
            }  # fmt: skip
            return _Found(
                events=[(row.pbx, row.ref, row.call_id) for row in session.execute(_UNHANDLED, told)],
                orders=placing.overdue(session, age=0.25),
                over=limits.unsettled(session, now, self._timing),
                overlong=limits.overlong(session, now, self._timing),
                imports=importing.waiting_imports(session, now - _IMPORT_AGE),
            )

    def _each(self, step: str, things: Sequence[_T], do: Callable[[_T], object]) -> None:
        for thing in things:
            try:
                do(thing)
            except Exception as exc:  # the others must not wait for this one
                self._complain(step, exc)

    def _complain(self, step: str, exc: Exception) -> None:
        now = self._application.clock.monotonic()
        if now - self._complained.get(step, -60.0) > 5.0:
            self._complained[step] = now
            log.warning("second look failed", step=step, error=str(exc)[:300], kind=type(exc).__name__)

    def _run_out(self, ref: str) -> None:
        app = self._application
        with app.transaction(hurry=True) as session:
            call = reactions.locked_call(session, ref)
            if call is None or isinstance(call, AgentLeg) or call.pbx not in app.pbxes:
                return
            commands = limits.run_out(session, app.pbxes[call.pbx], call, now=database_now(session))
        self._send(commands)

    def _look(self, key: _Key) -> None:
        try:
            looking.look(self._application, *key, hurry=True)
        except (DBAPIError, DialerError):
            raise  # the database's trouble or the PBX's, not the event's: it stays, and is looked at again
        except Exception as exc:
            self._failures[key] += 1
            if self._failures[key] >= MOST_FAILURES:
                self._set_aside(key, exc)
            raise
        self._failures.pop(key, None)

    def _settle(self, ref: str) -> None:
        """End a call whose late events do not come; those that came and wait their turn are heard before.

        An event that cannot be heard at all must not keep a number and a line for ever.
        """
        try:
            self._hear_and_settle(ref)
        except Exception as exc:
            self._complain("endings", exc)
            self._with_call(ref, self._settle_unheard)

    @staticmethod
    def _settle_unheard(session: Session, call: Attempt | AgentLeg, *, now: datetime) -> None:
        if call.over_at is not None and now - call.over_at > _HEARD_BY:
            limits.settle(session, call, now=now)

    def _hear_and_settle(self, ref: str) -> None:
        commands: list[int] = []
        with self._application.transaction(hurry=True) as session:
            call = reactions.locked_call(session, ref)
            if call is None or call.ended_at is not None:
                return
            now, adapter = database_now(session), self._application.pbxes.get(call.pbx)
            if adapter is not None:
                commands = reactions.react(session, adapter, ref, None, now=now)
            if call.ended_at is None:
                limits.settle(session, call, now=now)
        self._send(commands)

    def _set_aside(self, key: _Key, exc: Exception) -> None:
        self._failures.pop(key, None)
        trouble = f"set aside after {MOST_FAILURES} failures: {type(exc).__name__}"
        log.error("events set aside", pbx=key[0], ref=key[1], error=str(exc)[:300])
        with self._application.transaction() as session:
            session.execute(_SET_ASIDE, {"pbx": key[0], "ref": key[1], "call_id": key[2], "trouble": trouble})

    def _serve(self, ref: str) -> None:
        self._send(looking.serve(self._application, ref, hurry=True))

    def _send(self, commands: Sequence[int]) -> None:
        """Ask the PBX, from a pool: a slow one keeps no clock from being looked at."""
        if commands:
            self._senders.submit(self._guarded, "send", looking.carry_out, self._application, commands)

    def _place(self, ref: str) -> None:
        """An order whose queue message was lost, from a small pool; each once at a time."""
        if ref not in self._placing:
            self._placing.add(ref)
            self._placers.submit(self._guarded, "place", self._place_one, ref)

    def _place_one(self, ref: str) -> None:
        try:
            placing.place(self._application, ref)
        finally:
            self._placing.discard(ref)

    def _guarded(self, step: str, do: Callable[..., object], *args: object) -> None:
        try:
            do(*args)
        except Exception as exc:
            self._complain(step, exc)

    def finish(self) -> None:
        """Wait for what was handed to the pools; for a process that ends, and for tests."""
        for pool in (self._senders, self._placers):
            pool.shutdown(wait=True)
        self._senders, self._placers = _pool("send", SENDERS), _pool("place", PLACERS)

    def _import(self, import_id: int) -> None:
        """Its queue message was lost, or its worker: done here, one at a time, beside the looking."""
        if self.import_under_way is None or self.import_under_way.done():
            self.import_under_way = self._importer.submit(run_one_import, self._application, import_id)

    def _hang_up(self, ref: str) -> None:
        commands: list[int | None] = []
        self._with_call(ref, lambda *args, **kw: commands.append(pbx_commands.order_hang_up(*args, **kw)))
        self._send([command for command in commands if command is not None])

    def _with_call(self, ref: str, action: Callable[..., object]) -> None:
        with self._application.transaction(hurry=True) as session:
            call = reactions.locked_call(session, ref)
            if call is not None and call.ended_at is None:
                action(session, call, now=database_now(session))
