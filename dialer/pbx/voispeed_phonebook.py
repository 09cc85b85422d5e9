"""VOIspeed's central directory: single contacts, and a whole list brought in step with another application."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dialer.errors import OutcomeUnknown
from dialer.pbx.foreign import foreign_id, inert, is_entity_id
from dialer.pbx.voispeed_codes import number
from dialer.pbx.voispeed_wire import Reply, Wire, records_of
from dialer.pbx.xml import Node

_NUMBER_FIELDS = ("numoffice", "numhome", "nummobile", "numsms", "nummobil2", "numfax", "numother")
_TEXT_FIELDS = ("name", "surname", "company", "email")
_NOT_IN_A_NUMBER = re.compile(r"[^0-9]")


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact to write. Field names are the maker's; `uc_*` tie it to a record of another application."""

    name: str = ""
    surname: str = ""
    company: str = ""
    numoffice: str = ""
    numhome: str = ""
    nummobile: str = ""
    numsms: str = ""
    nummobil2: str = ""
    numfax: str = ""
    numother: str = ""
    email: str = ""
    uc_app_name: str = ""
    uc_external_id: str = ""
    ext_info: tuple[tuple[str, str], ...] = ()  # (caption, value), shown to the user during a call

    def fields(self) -> dict[str, str]:
        """Return what is filled in: numbers as digits with at most a leading plus, text on one line."""
        told = {name: inert(getattr(self, name)) for name in _TEXT_FIELDS}
        told |= {name: _number(getattr(self, name)) for name in _NUMBER_FIELDS}
        return {name: value for name, value in told.items() if value}


@dataclass(frozen=True, slots=True)
class Entry:
    """A contact as `get_phonebook` lists it."""

    name: str
    surname: str
    company: str
    office: str
    home: str
    mobile: str
    fax: str
    other: str
    email: str
    is_favourite: bool


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one contact of an import, told only when asked for."""

    external_id: str
    contact_id: str
    act: str  # insert or update
    info: str


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What became of an import."""

    processed: int
    skipped: int
    warnings: int
    errors: int
    contacts: tuple[Imported, ...] = field(default=())


class Phonebook:
    """The four directory services and the import."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def add_phonebook(self, contact: Contact) -> str:
        """Add a contact and return its id. Field names are those of the import: the guide's table is lost."""
        reply = self._wire.order("add_phonebook", self._named(contact))
        contact_id = foreign_id(reply.root.get("contact_id"))
        if contact_id is None:
            raise OutcomeUnknown(self._wire.name, "took the contact without telling its id")
        return contact_id

    def update_phonebook(self, contact_id: str, contact: Contact) -> None:
        """Change the given fields of a contact."""
        self._wire.order("update_phonebook", {"contact_id": self._id(contact_id), **self._named(contact)})

    def delete_phonebook(self, contact_id: str = "", *, app_name: str = "", external_contact_id: str = "") -> None:
        """Delete a contact by its id, or one that an import brought by its application and the id there."""
        if contact_id:
            self._wire.order("delete_phonebook", {"contact_id": self._id(contact_id)})
        elif app_name and external_contact_id:
            arguments = {"app_name": inert(app_name, 80), "external_contact_id": inert(external_contact_id, 80)}
            self._wire.order("delete_phonebook", arguments)
        else:
            raise self._wire.refuse("deleting needs a contact_id, or app_name and external_contact_id")

    def get_phonebook(self, search: str) -> list[Entry]:
        """Find contacts whose name, company, e-mail or numbers match."""
        # The guide prints this reply without <result> and without an outcome.
        root = self._wire.ask(
            "get_phonebook",
            {"search": inert(search, 80)},
            records=("contact",),
            container="contacts",
            envelope=False,
            bare=True,
        )
        return [_entry(node) for node in records_of(root, "contacts", "contact")]

    def phonebook_import_sync(self, contacts: Iterable[Contact], *, verbose: bool = False) -> ImportResult:
        """Bring the directory in step with `contacts`: application and external id decide insert or update.

        The one service that is a POST; repeating it does not duplicate contacts.
        """
        told = json.dumps([_as_json(contact) for contact in contacts], ensure_ascii=False)
        reply = self._wire.order(
            "phonebook_import_sync",
            {"verbose_output": 1 if verbose else None},
            records=("contact",),
            parts={"contacts": told},
        )
        return _import_result(reply)

    def _named(self, contact: Contact) -> dict[str, str]:
        """Use the operator's names for fields (`extra.phonebook_numoffice = "office"`), else the import's."""
        extra = self._wire.settings.extra
        return {extra.get(f"phonebook_{name}", name): value for name, value in contact.fields().items()}

    def _id(self, value: str) -> str:
        if not is_entity_id(value):
            raise self._wire.refuse(f"contact_id must be a number of the PBX, not {inert(value, 30)!r}")
        return value


def _number(text: str) -> str:
    digits = _NOT_IN_A_NUMBER.sub("", text)
    return f"+{digits}" if digits and text.lstrip().startswith("+") else digits


def _as_json(contact: Contact) -> dict[str, object]:
    told: dict[str, object] = dict(contact.fields())
    for name in ("uc_app_name", "uc_external_id"):
        if value := inert(getattr(contact, name), 120):
            told[name] = value
    if contact.ext_info:
        told["ext_info"] = [{"caption": inert(caption), "value": inert(value)} for caption, value in contact.ext_info]
    return told


def _entry(node: Node) -> Entry:
    def text(tag: str) -> str:
        return inert(node.get(tag) or "")

    return Entry(
        name=text("name"),
        surname=text("surname"),
        company=text("company"),
        office=text("office"),
        home=text("home"),
        mobile=text("mobile"),
        fax=text("fax"),
        other=text("other"),
        email=text("email"),
        is_favourite=node.get("is_favourite") == "1",
    )


def _import_result(reply: Reply) -> ImportResult:
    def count(tag: str) -> int:
        return max(0, number(reply.root.get(tag)) or 0)

    found: Sequence[Node] = records_of(reply.root, "contacts", "contact")
    return ImportResult(
        processed=count("processed"),
        skipped=count("skipped"),
        warnings=count("warnings"),
        errors=count("errors"),
        contacts=tuple(
            Imported(
                external_id=inert(node.get("uc_external_id") or ""),
                contact_id=foreign_id(node.get("id")) or "",
                act=inert(node.get("act") or "", 20),
                info=inert(node.get("info") or ""),
            )
            for node in found
        ),
    )
