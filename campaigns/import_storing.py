"""The copy of a file we keep until it is imported: taken in blocks, counted, hashed, never larger than allowed.

It holds people's numbers, so only this account may read it, and it goes when the import is over.
"""

import contextlib
import hashlib
import os
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from dialer.errors import BadInput, DialerError

SIZE_LIMIT = 2 << 30
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Kept:
    """Our copy of a file."""

    path: Path
    sha256: str
    size: int


def folder(data_dir: Path) -> Path:
    """Return the folder of kept files and reject files, made when missing."""
    path = data_dir.resolve() / "imports"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise DialerError(f"the folder {path} cannot be made: {exc.strerror}; check DIALER_DATA_DIR") from None
    return path


def keep(source: Path | BinaryIO, data_dir: Path, file_name: str, limit: int = SIZE_LIMIT) -> Kept:
    """Copy `source` under the data folder. BadInput, and nothing left, when it is unreadable, empty or too large."""
    into = folder(data_dir) / f"{uuid.uuid4().hex}.csv"
    try:
        with _opened(source, file_name) as file:
            return _copy(file, into, file_name, limit)
    except BaseException:
        with contextlib.suppress(OSError):
            into.unlink(missing_ok=True)
        raise


def _copy(file: BinaryIO, into: Path, file_name: str, limit: int) -> Kept:
    digest, size = hashlib.sha256(), 0
    try:
        descriptor = os.open(into, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as copy:
            while block := _read(file, file_name):
                size += len(block)
                if size > limit:
                    raise BadInput(
                        f"{file_name} is larger than {limit / (1 << 30):.3g} GiB, "
                        "the most that is imported at once: split it"
                    )
                digest.update(block)
                copy.write(block)
            copy.flush()
            os.fsync(copy.fileno())
    except OSError as exc:
        raise DialerError(
            f"{file_name} cannot be copied to {into.parent}: {exc.strerror or exc}. "
            "Make room in the data folder (DIALER_DATA_DIR) and import again"
        ) from None
    if size == 0:
        raise BadInput(f"{file_name} is empty: nothing to import")
    return Kept(into, digest.hexdigest(), size)


def _read(file: BinaryIO, file_name: str) -> bytes:
    try:
        return file.read(_BLOCK)
    except OSError as exc:
        raise BadInput(f"{file_name} cannot be read: {exc.strerror or exc}") from None


def _opened(source: Path | BinaryIO, file_name: str) -> "contextlib.AbstractContextManager[BinaryIO]":
    if not isinstance(source, Path):
        return contextlib.nullcontext(source)
    try:
        if source.is_dir():
            raise BadInput(f"{file_name} is a folder: name the CSV file in it")
        return source.open("rb")
    except FileNotFoundError:
        raise BadInput(f"there is no file {file_name}: check the path") from None
    except OSError as exc:
        raise BadInput(f"{file_name} cannot be opened: {exc.strerror}") from None


def forget(path: Path) -> None:
    """Remove a kept file that is not needed any more."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def forget_strays(data_dir: Path, wanted: Collection[str], now: datetime, age: timedelta = timedelta(days=1)) -> int:
    """Remove kept files no open import wants, a day old: left by a process that died. Reject files stay."""
    gone = 0
    for path in folder(data_dir).iterdir():
        if path.suffix not in (".csv", ".part") or path.name.endswith(".rejected.csv") or str(path) in wanted:
            continue
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < (now - age).timestamp():
                path.unlink()
                gone += 1
    return gone


def clean_name(file_name: str) -> str:
    """Return the last part of a file's name as one printable line: it is shown, and never opened."""
    name = file_name.replace("\\", "/").rsplit("/", 1)[-1]
    name = "".join(char if char.isprintable() else "?" for char in name).strip()
    return name[:120] or "file"
