"""A step that a process repeats, and that may fail once: told in the log, and done again in its turn."""

from collections.abc import Callable

import structlog

Step = Callable[[], object]
log = structlog.get_logger(__name__)


def outlive(what: str, step: Step) -> None:
    """Do a step; a process must outlive its database."""
    try:
        step()
    except Exception as exc:
        log.warning("scheduler step failed", step=what, kind=type(exc).__name__, error=str(exc)[:300])
