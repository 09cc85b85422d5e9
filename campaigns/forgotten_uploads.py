"""Uploaded files that wait to be imported and hold somebody who is erased: thrown away, to be uploaded again (I31).

Nobody has said yet what is in such a file, so its bytes are searched, in whatever encoding: for the digits of a number,
however they are parted, and for a line with both names. What goes by mistake is uploaded again.
"""

from collections.abc import Collection, Iterator
from pathlib import Path

from campaigns import uploads

_BLOCK, _OVERLAP = 1 << 20, 4096
_WITHIN_NUMBERS = b" \t.-()/'\"\0\xa0\xc2"  # the last two: a space that does not break, in UTF-8
Names = Collection[tuple[str, str]]  # (first, last), casefolded


def throw_away(data_dir: Path, digits: Collection[str], names: Names) -> int:
    """Throw away every upload that tells of one of these numbers or names; how many."""
    numbers = [number.encode() for number in digits]
    gone = 0
    for path in uploads.waiting(data_dir):
        if any(_holds(block, numbers, names) for block in _blocks(path)):
            uploads.forget_file(path)
            gone += 1
    return gone


def _blocks(path: Path) -> Iterator[bytes]:
    """Read a file in parts that overlap, so that no number is cut in two."""
    before = b""
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                yield before + block
                before = block[-_OVERLAP:]
    except FileNotFoundError:
        return  # imported or thrown away meanwhile


def _holds(block: bytes, numbers: Collection[bytes], names: Names) -> bool:
    plain = block.translate(None, _WITHIN_NUMBERS)
    if any(number in plain for number in numbers):
        return True
    if not names:
        return False
    for encoding in ("utf-8", "cp1252"):
        told = block.replace(b"\0", b"").decode(encoding, "replace").casefold()
        likely = [(first, last) for first, last in names if first in told and last in told]
        if likely and any(first in line and last in line for line in told.splitlines() for first, last in likely):
            return True
    return False
