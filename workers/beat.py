"""Each process says every second that it lives, for people who look at the status."""

import json
import os
import socket
from collections.abc import Callable
from threading import Event, Thread

import structlog
from sqlalchemy import text

from campaigns.application import Application

log = structlog.get_logger(__name__)
EVERY = 1.0

_BEAT = text(
    """
    INSERT INTO process_beats (name, kind, started_at, beat_at, details)
    VALUES (:name, :kind, clock_timestamp(), clock_timestamp(), CAST(:details AS jsonb))
    ON CONFLICT (name) DO UPDATE SET beat_at = clock_timestamp(), details = excluded.details
    """
)


class Beat:
    """A process's sign of life, with the figures it gives of itself."""

    def __init__(
        self, application: Application, kind: str, figures: Callable[[], dict[str, object]] | None = None
    ) -> None:
        self.name = f"{kind}:{socket.gethostname()}:{os.getpid()}"
        self._figures = figures or dict
        self._application = application
        self._kind = kind
        self._thread = Thread(target=self._run, name="beat", daemon=True)
        self._stop = Event()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Say goodbye, so that nobody waits for us to be missed."""
        self._stop.set()
        self._thread.join(timeout=3)
        try:
            with self._application.transaction() as session:
                session.execute(text("DELETE FROM process_beats WHERE name = :name"), {"name": self.name})
        except Exception as exc:
            log.info("goodbye not written", error=type(exc).__name__)

    def _run(self) -> None:
        while True:
            try:
                with self._application.transaction() as session:
                    values = {"name": self.name, "kind": self._kind, "details": json.dumps(self._figures())}
                    session.execute(_BEAT, values)
            except Exception as exc:
                log.warning("beat not written", error=type(exc).__name__)
            if self._stop.wait(EVERY):
                return
