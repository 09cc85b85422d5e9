"""Reject files that hold somebody who is erased: their rows are taken out, in whatever column they stand (I31)."""

import contextlib
import csv
import io
import os
import re
from collections.abc import Collection
from pathlib import Path

from campaigns.forgotten_uploads import Names


def rewrite(path: Path, digits: Collection[str], names: Names) -> tuple[int, int]:
    """Rewrite a reject file without a person's rows; return how many went, and how many are left. None left: no file.

    `digits`: of their numbers, without country code and trunk prefix; `names`: first and last, casefolded.
    """
    kept, gone = io.StringIO(), 0
    raw = path.read_bytes()
    encoding = "utf-8-sig" if raw.startswith(b"\xef\xbb\xbf") else "utf-8"
    writer, left = csv.writer(kept, lineterminator="\n"), -1  # the header is no row
    for row in csv.reader(io.StringIO(raw.decode(encoding, "replace"), newline="")):
        if left >= 0 and _is_theirs(row, digits, names):
            gone += 1
        else:
            writer.writerow(row)
            left += 1
    if not gone:
        return 0, left
    if not left:
        path.unlink()
        return gone, 0
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding=encoding) as file:
            file.write(kept.getvalue())
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return gone, left


def _is_theirs(row: list[str], digits: Collection[str], names: Names) -> bool:
    plain = [re.sub(r"\D", "", cell) for cell in row]
    if any(number in cell for number in digits for cell in plain):
        return True
    told = {cell.strip().casefold() for cell in row}
    return any((first in told and last in told) or f"{first} {last}" in told for first, last in names)
