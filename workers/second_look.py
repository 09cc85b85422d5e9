"""The second look: five times a second, for what a lost queue message left behind.

Redis may vanish at any moment (I18); whatever is written and not yet handled is found here, from the rows alone.
The clocks of waiting customers run here too, in every worker: two workers looking at once do no harm.
"""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from threading import Event

import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns import import_job, limits, looking, pbx_commands, placing, reactions
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import AgentLeg

log = structlog.get_logger(__name__)

# An event the handlers choke on this often is set aside with its trouble, so that its call goes on.
MOST_FAILURES = 5
# Younger than this, its queue message is most likely on its way.
_YOUNG = timedelta(milliseconds=120)

_UNHANDLED = text(
    """
    SELECT pbx, ref, CASE WHEN ref IS NULL THEN call_id END AS call_id, min(id) AS first
    FROM logged_events
    WHERE handled_at IS NULL AND received_at < :before
    GROUP BY 1, 2, 3 ORDER BY 4 LIMIT 200
    """
)
_SET_ASIDE = text(
    """
    UPDATE logged_events SET handled_at = clock_timestamp(), trouble = :trouble
    WHERE handled_at IS NULL AND pbx = :pbx AND ref IS NOT DISTINCT FROM :ref
      AND (:ref IS NOT NULL OR call_id IS NOT DISTINCT FROM :call_id)
    """
)


class SecondLook:
    """Looks until told to stop. One per worker process, on a thread of its own."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._timing = application.settings.timing
        self._failures: Counter[tuple[str, str | None, str | None]] = Counter()
        self._complained: dict[str, float] = {}

    def run(self, stop: Event) -> None:
        """Look every `second_look` seconds."""
        while not stop.wait(self._timing.second_look):
            self.once()

    def once(self) -> None:
        """One round; a step that fails is reported and does not keep the others from running."""
        for step in (
            self._clocks,
            self._events,
            self._commands,
            self._waiting,
            self._orders,
            self._endings,
            self._imports,
        ):
            self._guarded(step)

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as exc:  # a worker must outlive its database
            name, now = step.__name__.strip("_"), self._application.clock.monotonic()
            if now - self._complained.get(name, -60.0) > 5.0:
                self._complained[name] = now
                log.warning("second look failed", step=name, error=str(exc)[:300], kind=type(exc).__name__)

    def _clocks(self) -> None:
        """Customers whose time is nearly over."""
        app = self._application
        with app.transaction() as session:
            refs = limits.unserved(session, database_now(session), self._timing)
        for ref in refs:
            with app.transaction() as session:
                call = reactions.locked_call(session, ref)
                if call is None or isinstance(call, AgentLeg) or call.pbx not in app.pbxes:
                    continue
                commands = limits.run_out(session, app.pbxes[call.pbx], call, now=database_now(session))
            looking.carry_out(app, commands)

    def _events(self) -> None:
        app = self._application
        with app.transaction() as session:
            rows = session.execute(_UNHANDLED, {"before": database_now(session) - _YOUNG}).all()
        for row in rows:
            key = (row.pbx, row.ref, row.call_id)
            try:
                looking.look(app, *key)
            except Exception as exc:
                self._failures[key] += 1
                log.error("events could not be applied", pbx=row.pbx, ref=row.ref, error=str(exc)[:300])
                if self._failures[key] >= MOST_FAILURES:
                    self._set_aside(key, exc)
            else:
                self._failures.pop(key, None)

    def _set_aside(self, key: tuple[str, str | None, str | None], exc: Exception) -> None:
        self._failures.pop(key, None)
        trouble = f"set aside after {MOST_FAILURES} failures: {type(exc).__name__}"
        with self._application.transaction() as session:
            session.execute(_SET_ASIDE, {"pbx": key[0], "ref": key[1], "call_id": key[2], "trouble": trouble})

    def _commands(self) -> None:
        with self._application.transaction() as session:
            overdue = pbx_commands.due(session, database_now(session) - _YOUNG)
        looking.carry_out(self._application, overdue)

    def _waiting(self) -> None:
        looking.serve_waiting(self._application)

    def _orders(self) -> None:
        with self._application.transaction() as session:
            refs = placing.overdue(session, age=0.25)
        for ref in refs:
            placing.place(self._application, ref)

    def _endings(self) -> None:
        app = self._application
        with app.transaction() as session:
            now = database_now(session)
            over, long = limits.unsettled(session, now, self._timing), limits.overlong(session, now, self._timing)
        for ref in over:
            self._with_call(ref, lambda session, call: limits.settle(session, call, now=database_now(session)))
        for ref in long:
            self._with_call(
                ref, lambda session, call: pbx_commands.order_hang_up(session, call, now=database_now(session))
            )

    def _with_call(self, ref: str, action: Callable[[Session, reactions.AnyCall], object]) -> None:
        with self._application.transaction() as session:
            call = reactions.locked_call(session, ref)
            if call is not None and call.ended_at is None:
                action(session, call)

    def _imports(self) -> None:
        with self._application.transaction() as session:
            waiting = import_job.waiting(session, database_now(session))
        for import_id in waiting:
            self._application.doorbell.run_import(import_id)
