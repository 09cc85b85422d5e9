"""In which encoding is this file written? Decided on all of it, in bounded memory, before a row is read.

UTF-8 is what its bytes say when they say nothing else. A file that mostly is UTF-8 keeps it, and its few broken rows
are refused one by one; any other is read as Windows-1252, of which Latin-1 is a part. UTF-16 is read when it says so.
"""

import codecs
import re
from dataclasses import dataclass
from pathlib import Path

from dialer.errors import BadInput, NoText

_BLOCK = 1 << 20
_ENOUGH = 32 * _BLOCK
_SAVE_AS = 'save it as "CSV UTF-8" and try again'
# First bytes of what people drop on an import by mistake. No archives, no spreadsheets: those are programs.
_NOT_TEXT = (
    (b"PK\x03\x04", "a spreadsheet workbook or a zip archive"),
    (b"\xd0\xcf\x11\xe0", "an old spreadsheet workbook (.xls)"),
    (b"%PDF", "a PDF"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"{\\rtf", "a rich-text document"),
)
# No text has them; a zero is left out, of which UTF-16 without its mark is full, and that has a remedy of its own.
_NO_CHARACTER = re.compile(rb"[\x01-\x08\x0e-\x19\x1c-\x1f\x7f]")
_WHOLE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_HIGH = re.compile(rb"[\x80-\xff]")


@dataclass(frozen=True, slots=True)
class Encoding:
    """How to open the file. `clean`: no byte of it can fail to decode."""

    name: str
    marked: bool  # begins with a byte order mark, or comes from a program that needs one to show accents
    clean: bool

    @property
    def errors(self) -> str:
        """Undecodable bytes become lone surrogates, which no decoding makes: the row that holds one is refused."""
        return "strict" if self.name == "utf-16" else "surrogateescape"


def detect(path: Path, file_name: str, wanted: str | None = None) -> Encoding:
    """Return the encoding of the file; BadInput when it is no text. `wanted` overrules all but the nonsense test."""
    with path.open("rb") as file:
        start = file.read(4096)
    refuse_what_is_no_text(start, file_name, wanted)
    if wanted is not None:
        return _wanted(wanted, file_name)
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise BadInput(f"{file_name} is written in UTF-32, which is not read: {_SAVE_AS}")
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return Encoding("utf-16", marked=True, clean=True)
    if start.count(0) > len(start) // 4:
        raise BadInput(
            f"{file_name}: every other byte of its beginning is zero, so it is binary, or UTF-16 without its mark: "
            f"{_SAVE_AS}"
        )
    marked = start.startswith(codecs.BOM_UTF8)
    utf8 = "utf-8-sig" if marked else "utf-8"
    if _all_utf8(path):
        return Encoding(utf8, marked, clean=True)
    if marked or _mostly_utf8(path):
        return Encoding(utf8, marked, clean=False)
    return Encoding("cp1252", marked=True, clean=False)


def refuse_what_is_no_text(start: bytes, file_name: str, wanted: str | None = None) -> None:
    """NoText when the first bytes of a file are those of a workbook, an archive or a document. `wanted`: its encoding,
    by somebody who knows; the letters of some countries are no characters if they are not read as UTF-16."""
    for signature, what in _NOT_TEXT:
        if start.startswith(signature):
            raise NoText(f"{file_name} is {what}, not a CSV file: {_SAVE_AS}")
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or "16" in (wanted or ""):
        return
    # A few are left in texts by careless programs, and taken out. In a program or a picture every tenth byte is one.
    if (found := len(_NO_CHARACTER.findall(start))) >= 8 and found > len(start) // 25:
        raise NoText(f"{file_name} holds bytes that are no text, so it is not a CSV file: {_SAVE_AS}")


def _wanted(name: str, file_name: str) -> Encoding:
    try:
        found = codecs.lookup(name).name
    except (LookupError, ValueError):
        raise BadInput(f"{file_name}: there is no encoding {name!r}; use utf-8, latin-1, cp1252 or utf-16") from None
    if found in ("utf-8", "utf-8-sig"):
        return Encoding("utf-8-sig", marked=False, clean=False)
    if found == "utf-16":
        return Encoding("utf-16", marked=True, clean=True)
    if found in ("iso8859-1", "cp1252"):
        return Encoding("cp1252", marked=True, clean=False)
    raise BadInput(f"{file_name}: encoding {name!r} is not read; use utf-8, latin-1, cp1252 or utf-16")


def _all_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        try:
            while block := file.read(_BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _mostly_utf8(path: Path) -> bool:
    """Whether more bytes above ASCII belong to UTF-8 characters than stand alone, as accents of Latin-1 do.

    Looks as far as the first of them, and some way further: what a file is written in does not change halfway.
    """
    within = alone = looked = 0
    with path.open("rb") as file:
        while looked < _ENOUGH and (block := file.read(_BLOCK)):
            looked += len(block) if within or alone else 0
            inside = sum(len(found) for found in _WHOLE.findall(block))
            within += inside
            alone += len(_HIGH.findall(block)) - inside
    return within > alone
