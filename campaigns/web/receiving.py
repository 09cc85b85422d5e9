"""A file comes in over HTTP and goes to disk part by part: as the body itself, or as the file of a form.

Nothing of it is held in memory but the part in hand, and the disk is written in another thread: the events of a PBX go
through this process too, and must not wait for somebody's list. A form's token comes before its file, or nothing is
taken of it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from campaigns import import_storing, uploads
from campaigns.import_encoding import refuse_what_is_no_text
from campaigns.import_storing import Incoming
from campaigns.models import Campaign
from campaigns.uploads import Upload
from dialer.errors import BadInput, TryAgainLater

AT_ONCE = 4  # uploads of one process; more would only make each other slow
PATIENCE = 30.0  # seconds without a byte
_BLOCK = 1 << 20
_FORM = 64 * 1024  # what a form may hold beside its file
_RAW = (
    "text/", "application/octet-stream", "application/csv", "application/vnd.ms-excel",
    "application/x-www-form-urlencoded",  # what curl says of any body
)  # fmt: skip


class Refused(Exception):
    """The form comes from somewhere else; `str()` is the sentence."""


class WrongType(BadInput):
    """The body is declared as something that holds no file."""


class TooSlow(BadInput):
    """The sender has stopped sending."""


class Receiver:
    """Takes files for one web process. `limit`: bytes of one file."""

    def __init__(self, data_dir: Path, limit: int) -> None:
        self._data_dir, self.limit = data_dir, limit
        self._under_way = 0

    async def receive(
        self,
        request: Request,
        campaign: Campaign,
        *,
        who: str,
        now: datetime,
        name: str = "",
        trusted: Callable[[str], bool] | None = None,
    ) -> tuple[Upload, dict[str, str]]:
        """Return the file of a request, kept, and the fields beside it; refused, nothing of it stays.

        `name`: of a file that is the body itself. `trusted`: whether a form's token is ours; None when another proof
        was given already.
        """
        if self._under_way >= AT_ONCE:
            raise TryAgainLater(f"{self._under_way} files are being uploaded already: try again in a minute")
        self._under_way += 1
        target = _Target(self._data_dir, self.limit)
        try:
            self._foresee(request, name)
            fields = await self._take(request, name, trusted, target)
            if target.incoming is None:
                raise BadInput("the form holds no file: choose one and send it again")
            upload = await asyncio.to_thread(
                uploads.keep, target.incoming, campaign, target.file_name, who=who, now=now
            )
            target.incoming = None
            return upload, fields
        except ClientDisconnect:
            raise BadInput("the upload broke off in the middle: nothing of it was kept. Send it again") from None
        finally:
            self._under_way -= 1
            if target.incoming is not None:
                target.incoming.drop()

    def _foresee(self, request: Request, name: str) -> None:
        """Refuse at once what cannot end well."""
        shown = import_storing.clean_name(name) if name else "the file"
        length = request.headers.get("content-length", "")
        if length.isdecimal():
            if int(length) > self.limit + _FORM:
                raise import_storing.too_large(shown, self.limit)
            uploads.room_for(self._data_dir, shown, int(length))

    async def _take(
        self, request: Request, name: str, trusted: Callable[[str], bool] | None, target: "_Target"
    ) -> dict[str, str]:
        kind, options = parse_options_header(request.headers.get("content-type", ""))
        if kind == b"multipart/form-data":
            form = _Form(options.get(b"boundary", b""), target, trusted)
            async for chunk in _patiently(request):
                form.feed(chunk)
                await target.flush()
            form.end()
            fields = form.fields
        else:
            told = kind.decode("latin-1")
            if told and not told.startswith(_RAW):
                raise WrongType(
                    f"a file cannot be sent as {told[:60]}: send the CSV itself as text/csv, or a form with a file"
                )
            if trusted is not None:
                raise Refused
            fields = {}
            target.open(name)
            async for chunk in _patiently(request):
                target.add(chunk)
                await target.flush()
        await target.flush(everything=True)
        return fields


class _Target:
    """The file on its way to disk."""

    def __init__(self, data_dir: Path, limit: int) -> None:
        self._data_dir, self._limit = data_dir, limit
        self.incoming: Incoming | None = None
        self.file_name = ""
        self._looked = False
        self._waiting = bytearray()

    def open(self, name: str) -> None:
        self.file_name = import_storing.clean_name(name or "upload.csv")
        self.incoming = Incoming(self._data_dir, self.file_name, self._limit)

    def add(self, data: bytes) -> None:
        self._waiting += data

    async def flush(self, *, everything: bool = False) -> None:
        """Write what has gathered, when it is worth a thread."""
        if self.incoming is None or not self._waiting or (len(self._waiting) < _BLOCK and not everything):
            return
        block, self._waiting = bytes(self._waiting), bytearray()
        if not self._looked:
            self._looked = True
            refuse_what_is_no_text(block[:4096], self.file_name)
        await asyncio.to_thread(self.incoming.write, block)


class _Form:
    """The parts of a form: small fields, and one file."""

    def __init__(self, boundary: bytes, target: _Target, trusted: Callable[[str], bool] | None) -> None:
        if not 0 < len(boundary) <= 70:
            raise BadInput("the form does not say where its parts begin (boundary): send it as browsers do")
        self._target, self._trusted = target, trusted
        self.fields: dict[str, str] = {}
        self._header = self._value = b""
        self._name, self._data, self._size = "", bytearray(), 0
        self._is_file = self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._on_header,
                "on_header_value": self._on_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers,
                "on_part_data": self._on_data,
                "on_part_end": self._part_end,
                "on_end": self._end,
            },
        )

    def feed(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except MultipartParseError:
            raise BadInput("the form cannot be taken apart: send it as browsers do") from None

    def end(self) -> None:
        """The body is over; the form must be, too."""
        if not self._ended:
            raise BadInput("the form ends in the middle of a file: nothing of it was kept. Send it again")

    def _begin(self) -> None:
        self._name, self._data, self._is_file = "", bytearray(), False

    def _on_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            self._name = options.get(b"name", b"").decode("utf-8", "replace")
            if b"filename" in options:
                self._is_file = True
                self._data[:] = options[b"filename"]
        self._header = self._value = b""

    def _headers(self) -> None:
        if not self._is_file:
            return
        name = self._data.decode("utf-8", "replace")
        if self._trusted is not None and not self._trusted(self.fields.get("csrf", "")):
            raise Refused
        if self._target.incoming is not None:
            raise BadInput("the form holds two files: send them one by one")
        if not name:
            raise BadInput("no file was chosen: choose a CSV file and send it again")
        self._target.open(name)

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._target.add(data[start:end])
            return
        self._size += end - start
        if self._size > _FORM:
            raise BadInput("the fields of the form are longer than any of ours: send it from the page")
        self._data += data[start:end]

    def _part_end(self) -> None:
        if not self._is_file:
            self.fields[self._name] = self._data.decode("utf-8", "replace")

    def _end(self) -> None:
        self._ended = True


async def _patiently(request: Request) -> AsyncIterator[bytes]:
    """Yield the parts of a body; who stops sending does not keep a place for ever."""
    parts = request.stream()
    while True:
        try:
            chunk = await asyncio.wait_for(anext(parts), PATIENCE)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise TooSlow(
                f"no byte of the file came for {PATIENCE:.0f} s: nothing of it was kept. Send it again"
            ) from None
        if chunk:
            yield chunk
