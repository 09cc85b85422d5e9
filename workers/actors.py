"""What the queue can ask for: an id in, one function called. Running any of them twice is harmless."""

from contextlib import suppress
from threading import BoundedSemaphore

import dramatiq
import structlog

from campaigns.application import Application
from campaigns.db import database_now
from campaigns.import_running import run_import
from campaigns.looking import look
from campaigns.placing import place
from dialer.errors import TryAgainLater
from workers.broker import BULK, CALLS, HINT_LIFE_MS, MESSAGE_VERSION, WakeUpBroker

log = structlog.get_logger(__name__)


def declare(broker: WakeUpBroker, application: Application) -> None:
    """Tell the broker what to run for each message."""
    placing_slots = BoundedSemaphore(max(1, application.settings.worker_threads // 2))

    def known(version: int) -> bool:
        # The row it speaks of is looked at again by a worker of its own version.
        return version == MESSAGE_VERSION

    @dramatiq.actor(broker=broker, actor_name="look", queue_name=CALLS, priority=0, max_retries=2, max_age=HINT_LIFE_MS)
    def _look(version: int, pbx: str, ref: str | None, call_id: str | None) -> None:
        if known(version):
            look(application, pbx, ref, call_id)

    # Never repeated by the queue: placing claims its row, and a row once claimed is not claimed again.
    @dramatiq.actor(
        broker=broker, actor_name="place", queue_name=CALLS, priority=10, max_retries=0, max_age=HINT_LIFE_MS
    )
    def _place(version: int, ref: str) -> None:
        # A PBX that hangs must leave threads for the answered: the order is found again by the second look.
        if known(version) and placing_slots.acquire(blocking=False):
            try:
                place(application, ref)
            finally:
                placing_slots.release()

    @dramatiq.actor(
        broker=broker, actor_name="run_import", queue_name=BULK, priority=20, max_retries=0, time_limit=3_600_000
    )
    def _run_import(version: int, import_id: int) -> None:
        if known(version):
            run_one_import(application, import_id)


def run_one_import(application: Application, import_id: int) -> None:
    """Run an import; one whose campaign is busy with another waits for its next turn."""
    with application.transaction() as session:
        now = database_now(session)
    with suppress(TryAgainLater):
        timing = application.settings.timing
        run_import(application.sessions, import_id, now=now, clock=application.clock, timing=timing)
