"""The second step of an upload as a form: what a person chose of how the file is read, in the page's address."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from campaigns.import_columns import parse_target, shown_field
from campaigns.import_options import KINDS, OUTSIDE_HOURS, ImportOptions
from campaigns.import_repeats import ACTIONS, SCOPES
from campaigns.import_templates import merged

_COLUMN = "column."  # a field of the form for each column of the file: `column.Tel privato=phone`
_PLAIN = ("template", "duplicates", "duplicates_in", "outside_hours", "encoding", "delimiter", "list_name")
_DELIMITERS = {"comma": ",", "semicolon": ";", "bar": "|", "tab": "\t"}


@dataclass(frozen=True, slots=True)
class Chosen:
    """What was chosen; what was left alone is found from the file."""

    kind: str = "contacts"
    mapping: Mapping[str, str] = field(default_factory=dict)
    plain: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> "Chosen":
        """Read the fields of the form, or the query of the page's address; what means nothing is left out."""
        mapping = {
            name.removeprefix(_COLUMN): value for name, value in fields.items() if name.startswith(_COLUMN) and value
        }
        allowed = {
            "duplicates": ACTIONS,
            "duplicates_in": SCOPES,
            "outside_hours": OUTSIDE_HOURS,
            "delimiter": tuple(_DELIMITERS),
        }
        plain = {
            name: fields[name][:200]
            for name in _PLAIN
            if fields.get(name, "") and fields[name] in allowed.get(name, (fields[name],))
        }
        kind = fields.get("kind", "")
        return cls(kind if kind in KINDS else "contacts", mapping, plain)

    def with_column(self, column: str, to: str) -> "Chosen":
        """Return the same with one more column said to be something."""
        return Chosen(self.kind, {**self.mapping, column: to}, self.plain)

    def query(self) -> str:
        """Return the query of the page's address that says the same."""
        return urlencode({"kind": self.kind, **self.plain, **{_COLUMN + name: to for name, to in self.mapping.items()}})

    def options(self, session: Session, **more: Any) -> ImportOptions:
        """Return the options of the importer."""
        plain = dict(self.plain)
        template = plain.pop("template", "")
        given: dict[str, Any] = {**plain, **more}
        if "delimiter" in given:
            given["delimiter"] = _DELIMITERS[given["delimiter"]]
        return merged(session, given, template=template, mapping=self.mapping)

    def becomes(self, column: str) -> str:
        """Return what a column was said to be; empty when it was left to us."""
        to = self.mapping.get(column, "")
        return shown_field(parse_target(to)) if to and ":" not in to else to
