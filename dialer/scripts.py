"""What an agent reads to a person: a text with fields of the contact in braces.

`{first_name}` is the contact's, `{custom.colour}` a column of its list, `{first_name|there}` what is read when there is
none; `{{` is a brace. A field nobody knows is refused when the script is written. What is put in is put in once, as
text: braces in somebody's name are somebody's name.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dialer.errors import BadInput

FIELDS = ("first_name", "last_name", "company", "description", "number", "agent", "campaign")
CUSTOM = "custom."
LENGTH = 20_000
# What stands where a contact has nothing, and the script says nothing for it: an agent must not read on over a hole.
MISSING = "[no {}]"

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+")


@dataclass(frozen=True, slots=True)
class _Piece:
    text: str
    field: str = ""
    otherwise: str | None = None


def checked(text: str) -> str:
    """Return the script as it is kept; BadInput names the line and what is wrong in it."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    if len(text) > LENGTH:
        raise BadInput(f"the script has {len(text):,} characters: {LENGTH:,} are allowed")
    strange = next((char for char in text if not (char.isprintable() or char == "\n")), None)
    if strange is not None:
        line = text[: text.index(strange)].count("\n") + 1
        raise BadInput(f"script, line {line}: it holds the control character U+{ord(strange):04X}: take it out")
    for _ in _pieces(text):
        pass
    return text


def fields_of(text: str) -> tuple[str, ...]:
    """Return the fields a script reads, each once, as they come."""
    return tuple(dict.fromkeys(piece.field for piece in _pieces(text) if piece.field))


def fill(text: str, known: Mapping[str, str]) -> str:
    """Return the script with a contact's fields in their places, on one line each."""
    return "".join(_filled(piece, known) for piece in _pieces(text))


def _filled(piece: _Piece, known: Mapping[str, str]) -> str:
    if not piece.field:
        return piece.text
    value = " ".join("".join(char if char.isprintable() else " " for char in known.get(piece.field, "")).split())
    if value:
        return value
    name = piece.field.removeprefix(CUSTOM).replace("_", " ")
    return piece.otherwise if piece.otherwise is not None else MISSING.format(name)


def _pieces(text: str) -> Iterator[_Piece]:
    for match in _PIECE.finditer(text):
        piece, inside = match[0], match[1]
        if piece in ("{{", "}}"):
            yield _Piece(piece[0])
        elif inside is not None:
            yield _field(inside, text, match.start())
        elif piece in ("{", "}"):
            raise BadInput(
                f"script, line {_line(text, match.start())}: a single {piece}; write {piece * 2} for a brace"
            )
        else:
            yield _Piece(piece)


def _field(inside: str, text: str, at: int) -> _Piece:
    name, bar, otherwise = (part.strip() for part in inside.partition("|"))
    if name not in FIELDS and not (name.startswith(CUSTOM) and len(name) > len(CUSTOM)):
        known = ", ".join(FIELDS)
        raise BadInput(
            f"script, line {_line(text, at)}: there is no field {name[:40]!r}; there are {known}, "
            f"and {CUSTOM}NAME for a column of the list"
        )
    return _Piece("", name, otherwise if bar else None)


def _line(text: str, at: int) -> int:
    return text[:at].count("\n") + 1
