"""CSV files for download: made whole on disk first, so that a fault in the middle is an error and not a short file."""

import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from starlette.background import BackgroundTask
from starlette.responses import FileResponse

from campaigns import import_storing
from dialer.errors import NoRoom

CSV = "text/csv; charset=utf-8"


def made(data_dir: Path, file_name: str, write: Callable[[TextIO], object], *, marked: bool = True) -> FileResponse:
    """Return what `write` writes as a file to save; our copy goes when it was sent.

    `marked`: with a byte order mark, by which spreadsheets know accents and our importer knows UTF-8.
    """
    path = import_storing.folder(data_dir) / f"{uuid.uuid4().hex}.download.part"
    encoding = "utf-8-sig" if marked else "utf-8"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding=encoding, errors="replace", newline="") as file:
            write(file)
    except OSError as exc:
        import_storing.forget(path)
        raise NoRoom(f"{file_name} cannot be written: {exc.strerror}. Make room in the data folder") from None
    except BaseException:
        import_storing.forget(path)
        raise
    return _response(path, file_name, BackgroundTask(import_storing.forget, path))


def kept(path: Path, file_name: str) -> FileResponse:
    """Return a file of ours to save."""
    return _response(path, file_name, None)


def _response(path: Path, file_name: str, then: BackgroundTask | None) -> FileResponse:
    return FileResponse(
        path, media_type=CSV, filename=file_name, background=then, headers={"cache-control": "no-store"}
    )
