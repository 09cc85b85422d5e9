"""The copy of a file we keep until it is imported: taken in blocks, counted, hashed, never larger than allowed.

It holds people's numbers, so only this account may read it, and it goes when the import is over.
"""

import contextlib
import hashlib
import os
import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from dialer.errors import BadInput, DialerError, NoRoom, TooLarge

SIZE_LIMIT = 2 << 30
TOLD = (".rejected.csv", ".remarks.csv")  # what stays of an import, for as long as is said of reject files
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


class Incoming:
    """A file that comes in part by part: counted and hashed, and gone again unless it is finished."""

    def __init__(self, data_dir: Path, file_name: str, limit: int = SIZE_LIMIT) -> None:
        self.path = folder(data_dir) / f"{uuid.uuid4().hex}.csv"
        self._file_name, self._limit = file_name, limit
        self._digest, self._size = hashlib.sha256(), 0
        with self._room():
            self._file = os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")

    def write(self, block: bytes) -> None:
        """Take the next part. TooLarge and NoRoom say what is wrong; then `drop` it."""
        self._size += len(block)
        if self._size > self._limit:
            raise too_large(self._file_name, self._limit)
        self._digest.update(block)
        with self._room():
            self._file.write(block)

    def finish(self) -> Kept:
        """Return our copy, flushed to disk; BadInput when nothing came."""
        with self._room():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        if self._size == 0:
            raise BadInput(f"{self._file_name} is empty: nothing to import")
        return Kept(self.path, self._digest.hexdigest(), self._size)

    def drop(self) -> None:
        """Forget what came."""
        with contextlib.suppress(OSError):  # what is still in its buffer cannot be written to a full disk
            self._file.close()
        forget(self.path)

    @contextlib.contextmanager
    def _room(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise NoRoom(
                f"{self._file_name} cannot be copied to {self.path.parent}: {exc.strerror or exc}. "
                "Make room in the data folder (DIALER_DATA_DIR) and import again"
            ) from None


def too_large(file_name: str, limit: int) -> TooLarge:
    """Return the refusal of a file of more than `limit` bytes."""
    size = f"{limit / (1 << 30):.3g} GiB" if limit >= 1 << 30 else f"{limit / (1 << 20):.3g} MiB"
    return TooLarge(f"{file_name} is larger than {size}, the most that is imported at once: split it")


def keep(source: Path | BinaryIO, data_dir: Path, file_name: str, limit: int = SIZE_LIMIT) -> Kept:
    """Copy `source` under the data folder. BadInput, and nothing left, when it is unreadable, empty or too large."""
    with _opened(source, file_name) as file:
        incoming = Incoming(data_dir, file_name, limit)
        try:
            while block := _read(file, file_name):
                incoming.write(block)
            return incoming.finish()
        except BaseException:
            incoming.drop()
            raise


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
    """Remove kept files no open import wants, a day old: left by a process that died. What is told of rows stays."""
    gone = 0
    for path in folder(data_dir).iterdir():
        if path.suffix not in (".csv", ".json", ".part") or path.name.endswith(TOLD) or str(path) in wanted:
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
