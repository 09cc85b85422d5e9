"""`/healthz`: the process lives. `/readyz`: it can do its work. Both say nothing a stranger could use."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from sqlalchemy import text
from starlette.responses import JSONResponse, Response

from campaigns import schema
from campaigns.application import Application
from campaigns.web.seldom import Seldom

_LIMIT = 5.0  # seconds for one check
_KEPT = 1.0  # seconds an answer is good for: a thousand probes cost as much as one


class Readiness:
    """Asks the database, the schema and the queue, all at once, and keeps the answer for a moment."""

    def __init__(self, application: Application, queue_check: Callable[[], None] | None) -> None:
        self._checks: dict[str, tuple[Callable[[], None], str]] = {
            "database": (lambda: _database(application), "PostgreSQL does not answer"),
            "migrations": (lambda: _migrations(application), "the schema is not this version's: run dialer db upgrade"),
        }
        if queue_check is not None:
            self._checks["queue"] = (queue_check, "the queue does not answer")
        self._lock = asyncio.Lock()
        self._known: dict[str, str] = {}
        self._good_until = 0.0
        self._seldom = Seldom()

    async def ask(self) -> dict[str, str]:
        """Return each check's name with "ok" or a sentence."""
        async with self._lock:
            if time.monotonic() >= self._good_until:
                answers = await asyncio.gather(*(self._one(name) for name in self._checks))
                self._known = dict(zip(self._checks, answers, strict=True))
                self._good_until = time.monotonic() + _KEPT
            return self._known

    async def _one(self, name: str) -> str:
        check, sentence = self._checks[name]
        try:
            await asyncio.wait_for(asyncio.to_thread(check), _LIMIT)
        except Exception as exc:  # whatever a driver raises; its words may hold an address
            self._seldom.warning("Not ready: %s (%s)", sentence, type(exc).__name__, kind=name)
            return sentence
        return "ok"


class _OldSchema(Exception):
    pass


def _database(application: Application) -> None:
    with application.engine.connect() as connection:
        connection.execute(text("SELECT 1"))


def _migrations(application: Application) -> None:
    if schema.current(application.engine) != schema.newest():
        raise _OldSchema


def health_router(readiness: Readiness, numbers: Callable[[], Awaitable[bytes]]) -> APIRouter:
    """Return the routes a watchman asks."""
    router = APIRouter(include_in_schema=False)

    @router.get("/healthz")
    async def alive() -> dict[str, str]:
        return {"status": "alive"}

    @router.get("/readyz")
    async def ready() -> Response:
        checks = await readiness.ask()
        good = all(answer == "ok" for answer in checks.values())
        return JSONResponse({"status": "ready" if good else "not ready", "checks": checks}, 200 if good else 503)

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(await numbers(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router
