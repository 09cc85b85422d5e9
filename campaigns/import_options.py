"""How a file is to be imported, as a person asks for it and as the import's row keeps it."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

# A callback promised for a time at which its phone may not be called: left out with the remedy, moved to the next time
# at which it may, or taken as it stands.
SKIP, MOVE, KEEP = OUTSIDE_HOURS = ("skip", "move", "keep")
KINDS = ("contacts", "callbacks")
SILENCE = timedelta(seconds=30)  # a running import not heard of for so long has lost its worker


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How a file is to be read. Empty: found out from the file."""

    delimiter: str | None = None
    encoding: str | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)  # header -> field, "custom" or "ignore"
    dry_run: bool = False  # judge every row and write none
    force: bool = False  # also when this campaign has the same file already
    list_name: str = ""
    duplicates: str = "skip"  # a row that repeats a contact: skip, update, merge or link (see import_repeats)
    duplicates_in: str = "campaign"  # where it is looked for: list (this file alone), campaign or system
    within_days: int | None = None  # only contacts imported in the last so many days are repeated
    outside_hours: str = SKIP  # of callbacks: see OUTSIDE_HOURS
    rule_pack: str = ""  # whose rules of calling hold for the list besides the campaign's

    def as_json(self) -> dict[str, Any]:
        """Return the options as the import's row keeps them."""
        return dataclasses.asdict(self) | {"mapping": dict(self.mapping)}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "ImportOptions":
        """Read them back; what a newer version added is left out."""
        names = {one.name for one in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in kept.items() if name in names})
