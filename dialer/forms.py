"""What an agent asks in a call: named fields, and answers that fit them.

A field is written `budget:number`, `interest*:hot|warm|cold`, `until:date`, `owner:yes-no`, or `remark` for any text.
The star marks what a sale cannot be without.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from dialer.errors import BadInput

KINDS = ("text", "number", "date", "yes-no", "choice")
MOST_FIELDS = 50
LENGTH = 1_000  # of an answer

_WRITTEN = re.compile(r"([a-z][a-z0-9_]{0,29})(\*?)(?::(.+))?", re.DOTALL)
_NUMBER = re.compile(r"[+-]?\d{1,15}([.,]\d{1,6})?")
_YES, _NO = ("yes", "y", "true", "1"), ("no", "n", "false", "0")


@dataclass(frozen=True, slots=True)
class Field:
    """One thing to ask. `choices`: of a choice, as they are shown and kept."""

    name: str
    kind: str = "text"
    required: bool = False
    choices: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Field":
        """Read a field as it is written; BadInput says how."""
        match = _WRITTEN.fullmatch(text.strip())
        if match is None:
            raise BadInput(
                f"form field {_shown(text)!r}: write NAME, NAME* or NAME:KIND, the name in small letters, digits and _"
            )
        name, star, kind = match.groups()
        if kind is None or kind in KINDS[:-1]:
            return cls(name, kind or "text", bool(star))
        choices = tuple(dict.fromkeys(" ".join(choice.split()) for choice in kind.split("|")))
        if len(choices) < 2 or not all(choice and choice.isprintable() and len(choice) <= 60 for choice in choices):
            raise BadInput(
                f"form field {name}: {_shown(kind)!r} is no kind: write {', '.join(KINDS[:-1])}, or choices as hot|cold"
            )
        return cls(name, "choice", bool(star), choices)

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> "Field":
        """Read a field as it is kept."""
        return cls(kept["name"], kept["kind"], kept["required"], tuple(kept["choices"]))

    def as_json(self) -> dict[str, Any]:
        """Return the field as it is kept."""
        return {"name": self.name, "kind": self.kind, "required": self.required, "choices": list(self.choices)}

    def __str__(self) -> str:
        kind = "|".join(self.choices) or self.kind
        return f"{self.name}{'*' if self.required else ''}" + ("" if kind == "text" else f":{kind}")

    def read(self, answer: str) -> Any:
        """Return an answer as it is kept; BadInput says what would fit."""
        text = answer.strip()
        lowered = text.lower()
        if self.kind == "choice":
            found = next((choice for choice in self.choices if choice.lower() == lowered), None)
            if found is None:
                raise self._unfit(answer, " or ".join(self.choices))
            return found
        if self.kind == "yes-no":
            if lowered not in (*_YES, *_NO):
                raise self._unfit(answer, "yes or no")
            return lowered in _YES
        if self.kind == "number":
            if not _NUMBER.fullmatch(text):
                raise self._unfit(answer, "a number, for example 120 or 9.5")
            number = float(text.replace(",", "."))
            return int(number) if number.is_integer() else number
        if self.kind == "date":
            try:
                return date.fromisoformat(text).isoformat()
            except ValueError:
                raise self._unfit(answer, "a day, for example 2026-03-31") from None
        plain = "".join(char if char.isprintable() or char == "\n" else " " for char in text).strip()
        if not plain or len(plain) > LENGTH:
            raise self._unfit(answer, f"1 to {LENGTH:,} characters")
        return plain

    def _unfit(self, answer: str, wanted: str) -> BadInput:
        return BadInput(f"form field {self.name}: {_shown(answer)!r} does not fit; it takes {wanted}")


def parse_all(texts: Iterable[str]) -> tuple[Field, ...]:
    """Read the fields of a form, each name once."""
    fields = tuple(Field.parse(text) for text in texts)
    names = [field.name for field in fields]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise BadInput(f"form field {twice} is there twice")
    if len(fields) > MOST_FIELDS:
        raise BadInput(f"the form has {len(fields)} fields: {MOST_FIELDS} are allowed")
    return fields


def answers(
    form: Sequence[Field], before: Mapping[str, Any], given: Mapping[str, str], *, complete: bool
) -> dict[str, Any]:
    """Return the answers to keep: those given over those before. `complete`: nothing with a star may be missing."""
    fields = {field.name: field for field in form}
    for name in given:
        if name not in fields:
            known = ", ".join(fields) or "none: `dialer campaign form` makes some"
            raise BadInput(f"the form has no field {_shown(name)!r}; there are {known}")
    kept = {**before, **{name: fields[name].read(answer) for name, answer in given.items()}}
    missing = [field.name for field in form if field.required and field.name not in kept]
    if complete and missing:
        raise BadInput(f"the form wants {', '.join(missing)}: give each with --answer NAME=VALUE")
    return kept


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)[:40]
