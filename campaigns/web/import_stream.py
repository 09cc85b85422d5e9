"""How far an import is, as server-sent events until it is over."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from fastapi.encoders import jsonable_encoder
from fastapi.sse import format_sse_event
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import StreamingResponse

from campaigns.lists_view import ListRow
from campaigns.web.api_shapes import told_import
from campaigns.web.lists_desk import ListsDesk
from dialer.errors import DialerError, TryAgainLater

EVERY = 0.5  # seconds between two looks at its row
MOST = 50  # followed at once by one web process
HEARTBEAT = 15.0


class ImportStream:
    """Reads rows of imports while somebody follows them."""

    def __init__(self, desk: ListsDesk) -> None:
        self._desk = desk
        self._followed = 0
        self._closed = asyncio.Event()

    def close(self) -> None:
        """End every stream; the web process is about to stop."""
        self._closed.set()

    async def response(self, name: str, import_id: int, may_go_on: Callable[[], bool]) -> StreamingResponse:
        """Return the stream of one import; NotFound and TryAgainLater before it begins."""
        first = await asyncio.to_thread(self._desk.row, name, import_id)
        if self._followed >= MOST:
            raise TryAgainLater(f"{self._followed} imports are followed already; close a tab that nobody looks at")
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        stream = self._follow(name, import_id, first, may_go_on)
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    async def _follow(
        self, name: str, import_id: int, row: ListRow, may_go_on: Callable[[], bool]
    ) -> AsyncIterator[bytes]:
        self._followed += 1
        said, silent = "", 0.0
        try:
            while may_go_on() and not self._closed.is_set():
                told = json.dumps(jsonable_encoder(told_import(row)), ensure_ascii=False)
                if told != said:
                    said, silent = told, 0.0
                    yield format_sse_event(event="import", data_str=told)
                elif silent >= HEARTBEAT:
                    silent = 0.0
                    yield b": still here\n\n"
                if row.over:
                    return
                silent += EVERY
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._closed.wait(), EVERY)
                try:
                    row = await asyncio.to_thread(self._desk.row, name, import_id)
                except (DialerError, SQLAlchemyError) as exc:
                    sentence = str(exc) if isinstance(exc, DialerError) else "PostgreSQL does not answer as it should"
                    yield format_sse_event(event="trouble", data_str=json.dumps(sentence))
        finally:
            self._followed -= 1
