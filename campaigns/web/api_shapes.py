"""What programs send and get of lists and imports: the shapes of the API, each with its words and limits."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy.orm import Session

from campaigns.import_options import ImportOptions
from campaigns.import_reading import COLUMNS_LIMIT
from campaigns.import_templates import merged
from campaigns.lists_view import ListRow
from campaigns.uploads import KEPT_FOR, Upload
from dialer.abandonment import PACKS
from dialer.errors import BadInput

Header = Annotated[str, Field(min_length=1, max_length=200)]
Target = Annotated[str, Field(min_length=1, max_length=60)]
Mapped = Annotated[dict[Header, Target], Field(max_length=COLUMNS_LIMIT)]
Why = Annotated[str, Field("", max_length=500, description="Kept in the ledger.")]


class Body(BaseModel):
    """A body: nothing in it is ignored, so that a slip in a name is told."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _no_zero_bytes(cls, given: Any) -> Any:
        # PostgreSQL keeps none, and nobody types one.
        if _holds_zero(given):
            raise ValueError("a text holds a zero byte")
        return given


class Reading(Body):
    """How a file is read. What is left out is found from the file, or is what the template says."""

    kind: Literal["contacts", "callbacks"] = "contacts"
    template: str = Field("", max_length=60, description="A saved template; what is given beside it wins.")
    mapping: Mapped = Field(default_factory=dict, description="Header -> field, `custom` or `ignore`.")
    delimiter: str | None = Field(None, min_length=1, max_length=1)
    encoding: str | None = Field(None, max_length=40)
    duplicates: Literal["skip", "update", "merge", "link"] | None = None
    duplicates_in: Literal["list", "campaign", "system"] | None = None
    within_days: int | None = Field(None, ge=0, le=36_500)
    outside_hours: Literal["skip", "move", "keep"] | None = Field(
        None, description="Callbacks promised for a time at which nobody may be called; by default they are left out."
    )

    def options(self, session: Session, **more: Any) -> ImportOptions:
        """Return the options of the importer."""
        given = self.model_dump(
            include={"delimiter", "encoding", "duplicates", "duplicates_in", "within_days", "outside_hours"}
        )
        return merged(session, given | more, template=self.template, mapping=self.mapping)


class Looking(Reading):
    """What to show of a file before it is imported."""

    most: int = Field(10_000, ge=1, le=10_000, description="Rows to judge; a dry run judges them all.")
    shown: int = Field(5, ge=0, le=100, description="Contacts to show as read.")


class Comparing(Reading):
    """With which list a file is compared."""

    import_id: int | None = Field(
        None,
        alias="import",
        ge=1,
        lt=2**63,
        description="By default the newest of this file name, else the newest.",
    )
    most: int = Field(200, ge=0, le=1_000, description="Differences to list; as CSV all of them come.")


class Importing(Reading):
    """An import of an uploaded file."""

    upload: str = Field(max_length=64)
    list_name: str = Field("", max_length=200)
    rule_pack: str = Field("", max_length=60)
    dry_run: bool = False
    force: bool = Field(False, description="Even if the campaign has this very file already.")

    def wanted(self, session: Session) -> ImportOptions:
        """Return the options of the importer, with what only an import has."""
        if self.rule_pack and self.rule_pack not in PACKS:
            raise BadInput(f"there is no rule pack {self.rule_pack!r}; there are: {', '.join(sorted(PACKS))}")
        return self.options(
            session, list_name=self.list_name, rule_pack=self.rule_pack, dry_run=self.dry_run, force=self.force
        )


class Template(Body):
    """How files of one kind are read."""

    mapping: Mapped = Field(default_factory=dict)
    delimiter: str | None = Field(None, min_length=1, max_length=1)
    encoding: str | None = Field(None, max_length=40)
    duplicates: Literal["skip", "update", "merge", "link"] | None = None
    duplicates_in: Literal["list", "campaign", "system"] | None = None
    within_days: int | None = Field(None, ge=0, le=36_500)
    outside_hours: Literal["skip", "move", "keep"] | None = Field(
        None, description="Callbacks promised for a time at which nobody may be called; by default they are left out."
    )
    replace: bool = Field(False, description="Even if there is a template of that name.")


class Undoing(Body):
    """Why an import is taken back."""

    why: Why


class Capping(Body):
    """How far a list is to be worked: what is left out stays as it is."""

    cap: str | None = Field(
        None, max_length=20, description="The most of its contacts that get a first attempt: 60%, 500 or none."
    )
    cap_today: str | None = Field(None, max_length=20, description="The most of them on one day: 10%, 200 or none.")
    why: str = Field("", max_length=500, description="Kept in the ledger.")


def _holds_zero(given: Any) -> bool:
    if isinstance(given, str):
        return "\x00" in given
    if isinstance(given, dict):
        return any(_holds_zero(part) for pair in given.items() for part in pair)
    return isinstance(given, list) and any(map(_holds_zero, given))


def told_upload(upload: Upload) -> dict[str, Any]:
    """Return an upload for a program."""
    return {
        "upload": upload.id, "file": upload.file_name, "size": upload.size, "sha256": upload.sha256,
        "who": upload.who, "at": upload.at, "kept_until": upload.at + KEPT_FOR,
    }  # fmt: skip


def told_import(row: ListRow) -> dict[str, Any]:
    """Return an import for a program. Where its reject file lies on our disk is nobody's business: its address is."""
    told: Mapping[str, Any] = row.as_json()
    names = (
        "campaign", "kind", "state", "rows", "accepted", "rejected", "duplicates", "updated", "dry_run", "error",
        "note", "who", "contacts", "left", "tried", "created_at", "finished_at",
    )  # fmt: skip
    base = f"/api/v1/campaigns/{quote(row.campaign)}/imports/{row.import_id}"
    return {
        "import": row.import_id, "list": row.name, "file": row.file_name, **{name: told[name] for name in names},
        "progress": round(row.progress, 4), "href": base, "rejects": f"{base}/rejects" if row.reject_file else None,
        "remarks": f"{base}/remarks" if row.remarks_file else None,
    }  # fmt: skip
