"""Joins of the listener: claimed in the commit that keeps the answer, sent from the process that heard it.

Nothing stands between that commit and the request: no queue, no other process, no second look at the rows. When
the request is out, the call is looked at by a worker as after any event; until then there is nothing for one to do.

A customer for whom that commit found no agent (somebody held the call's row, or the agent's, for an instant; somebody
else has waited longer; nobody is free) is looked at here, too: the way through the queue takes longer than what was in
the way.
"""

import contextlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog

from campaigns import assigning_at_once, looking, pbx_commands
from campaigns.application import Application
from campaigns.event_log import Question, RawEvent
from campaigns.matching import is_leg
from campaigns.models import Command

log = structlog.get_logger(__name__)

THREADS = 4
LOCK_NOT_AVAILABLE = "55P03"
LOOKERS = 2  # threads of their own: a look takes longer than a join, and must keep none waiting


class Joins:
    """Asks for a join with each answer that can have one, as long as somebody is at hand to send it.

    What is claimed must go out at once, so nobody queues here: when all threads wait for a slow PBX, answers are
    left to the workers. `ring` is told of the event when its join is done with, or its look has failed.
    """

    def __init__(
        self,
        application: Application,
        ring: Callable[[Sequence[RawEvent]], None],
        *,
        threads: int = THREADS,
        lookers: int = LOOKERS,
    ) -> None:
        self._application = application
        self._ring = ring
        self._joining = _Hands("join", threads)
        self._looking = _Hands("look", lookers)

    def rehearsal(self) -> Question:
        """The statement, about nobody."""
        return assigning_at_once.rehearsal()

    def ask(self, event: RawEvent, waited: float) -> Question | None:
        """The statement that gives this customer an agent; None when there is nothing to join, or nobody to send it."""
        question = assigning_at_once.question(event, waited)
        return question if question is not None and self._joining.take() else None

    def answer(self, event: RawEvent, row: Sequence[Any] | None) -> bool:
        """Send the join that was claimed, if one was; else look at the customer's call, if somebody is at hand."""
        if row is not None:
            return self._joining.submit(self._send, event, assigning_at_once.command_of(row))
        self._joining.free()
        if is_leg(event.keys.ref or "") or not self._looking.take():
            return False
        return self._looking.submit(self._look, event)

    def forget(self, event: RawEvent) -> None:  # noqa: ARG002  (whose it was is all the same)
        """Nothing follows from an event that is not on disk."""
        self._joining.free()

    def stop(self) -> None:
        """Wait for what is being sent."""
        self._joining.stop()
        self._looking.stop()

    def _send(self, event: RawEvent, command: Command) -> None:
        try:
            pbx_commands.send(self._application, command)
        except Exception as exc:  # the request may be out: what came of it is read from the call's events
            log.warning("a join's answer was not written down", ref=command.ref, kind=type(exc).__name__)
        self._ring([event])

    def _look(self, event: RawEvent) -> None:
        try:
            looking.look(self._application, event.pbx, event.keys.ref, event.keys.call_id, hurry=True)
        except Exception as exc:
            held = getattr(getattr(exc, "orig", None), "sqlstate", None) == LOCK_NOT_AVAILABLE  # a worker waits for it
            tell = log.info if held else log.warning
            tell("an answer is left to the workers", ref=event.keys.ref, kind=type(exc).__name__)
            self._ring([event])


class _Hands:
    """So many threads, each taken before there is work for it; nothing waits for one."""

    def __init__(self, name: str, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._idle = threading.BoundedSemaphore(threads)

    def take(self) -> bool:
        """Whether a thread is at hand; if so it is ours until it is freed, or has done what is submitted."""
        return self._idle.acquire(blocking=False)

    def free(self) -> None:
        with contextlib.suppress(ValueError):  # what could start no thread of its own may be done by another yet
            self._idle.release()

    def submit(self, do: Callable[..., None], *args: object) -> bool:
        """Use the thread that was taken; False when none can be started, and it is free again."""
        try:
            self._pool.submit(self._do, do, *args)
        except RuntimeError as exc:
            self.free()
            log.warning("nobody can see to an answer here", why=str(exc)[:200])
            return False
        return True

    def stop(self) -> None:
        self._pool.shutdown(wait=True)

    def _do(self, do: Callable[..., None], *args: object) -> None:
        try:
            do(*args)
        finally:
            self.free()
