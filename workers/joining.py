"""Joins of the listener: claimed in the commit that keeps the answer, sent from the process that heard it.

Nothing stands between that commit and the request: no queue, no other process, no second look at the rows. When
the request is out, the call is looked at by a worker as after any event; until then there is nothing for one to do.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog

from campaigns import assigning_at_once, pbx_commands
from campaigns.application import Application
from campaigns.event_log import Question, RawEvent
from campaigns.models import Command

log = structlog.get_logger(__name__)

THREADS = 4


class Joins:
    """Asks for a join with each answer that can have one, as long as somebody is at hand to send it.

    What is claimed must go out at once, so nobody queues here: when all threads wait for a slow PBX, answers are
    left to the workers. `look` is told of the event when its join is done with.
    """

    def __init__(
        self, application: Application, look: Callable[[Sequence[RawEvent]], None], *, threads: int = THREADS
    ) -> None:
        self._application = application
        self._look = look
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="join")
        self._lock = threading.Lock()
        self._busy = 0

    def rehearsal(self) -> Question:
        """The statement, about nobody."""
        return assigning_at_once.rehearsal()

    def ask(self, event: RawEvent, waited: float) -> Question | None:
        """The statement that gives this customer an agent; None when there is nothing to join, or nobody to send it."""
        question = assigning_at_once.question(event, waited)
        if question is None:
            return None
        with self._lock:
            if self._busy >= self._threads:
                return None
            self._busy += 1
        return question

    def answer(self, event: RawEvent, row: Sequence[Any] | None) -> bool:
        """Send the join that was claimed, if one was."""
        if row is None:
            self._free()
            return False
        self._pool.submit(self._send, event, assigning_at_once.command_of(row))
        return True

    def stop(self) -> None:
        """Wait for what is being sent."""
        self._pool.shutdown(wait=True)

    def _send(self, event: RawEvent, command: Command) -> None:
        try:
            pbx_commands.send(self._application, command)
        except Exception as exc:  # the request may be out: what came of it is read from the call's events
            log.warning("a join's answer was not written down", ref=command.ref, kind=type(exc).__name__)
        finally:
            self._free()
            self._look([event])

    def _free(self) -> None:
        with self._lock:
            self._busy -= 1
