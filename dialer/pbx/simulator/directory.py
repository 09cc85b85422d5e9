"""The central phone book: added to one by one, or synchronised from another application."""

import json
import re
from dataclasses import dataclass, field

# Our name of a field, and the names under which it may be sent (single services and synchronisation).
_FIELDS = {
    "name": ("name",),
    "surname": ("surname",),
    "company": ("company",),
    "office": ("office", "numoffice"),
    "home": ("home", "numhome"),
    "mobile": ("mobile", "nummobile"),
    "fax": ("fax", "numfax"),
    "other": ("other", "numother"),
    "email": ("email",),
}
_NUMBERS = ("office", "home", "mobile", "fax", "other")


class DirectoryTrouble(Exception):
    """A sentence for the error element."""


@dataclass
class Contact:
    id: int
    values: dict[str, str]
    app_name: str = ""
    external_id: str = ""
    is_favourite: bool = False


@dataclass
class ImportResult:
    """What a synchronisation did, contact by contact."""

    processed: int = 0
    skipped: int = 0
    warnings: int = 0
    errors: int = 0
    contacts: list[tuple[str, str, str, str]] = field(default_factory=list)  # external id, id, act, info


class Directory:
    """Contacts by id, in memory."""

    def __init__(self) -> None:
        self._contacts: dict[int, Contact] = {}
        self._last = 0

    def add(self, params: dict[str, str]) -> int:
        values = _values(params)
        if not any(values.values()):
            raise DirectoryTrouble("a contact needs at least one field")
        return self._insert(values).id

    def update(self, params: dict[str, str]) -> None:
        contact = self._by_id(params.get("contact_id", ""))
        contact.values.update({k: v for k, v in _values(params).items() if _given(params, k)})

    def delete(self, params: dict[str, str]) -> None:
        if params.get("contact_id"):
            contact = self._by_id(params["contact_id"])
        else:
            app, external = params.get("app_name", ""), params.get("external_contact_id", "")
            found = self._find(app, external)
            if found is None:
                raise DirectoryTrouble("contact not found")
            contact = found
        del self._contacts[contact.id]

    def search(self, text: str) -> list[Contact]:
        wanted = text.casefold()
        return [
            contact
            for contact in self._contacts.values()
            if any(wanted in value.casefold() for value in contact.values.values())
        ]

    def synchronise(self, text: str) -> ImportResult:
        """Insert or update the contacts of a JSON array; application and external id decide which."""
        try:
            rows = json.loads(text)
        except ValueError:
            raise DirectoryTrouble("contacts is not valid JSON") from None
        if not isinstance(rows, list):
            raise DirectoryTrouble("contacts is not a JSON array")
        result = ImportResult()
        for row in rows:
            result.processed += 1
            self._synchronise_one(row, result)
        return result

    def _synchronise_one(self, row: object, result: ImportResult) -> None:
        told = {str(k): str(v) for k, v in row.items() if k != "ext_info"} if isinstance(row, dict) else {}
        app, external = told.get("uc_app_name", ""), told.get("uc_external_id", "")
        values = _values(told)
        if not (app and external and any(values[name] for name in ("name", "surname", "company"))):
            result.skipped += 1
            result.contacts.append((external, "", "", "skipped: needs a name, uc_app_name and uc_external_id"))
            return
        changed = [name for name in _NUMBERS if _given(told, name) and values[name] != _raw(told, name)]
        info = f"warning: sanitized {', '.join(changed)}" if changed else ""
        result.warnings += bool(changed)
        known = self._find(app, external)
        if known is None:
            known = self._insert(values)
            known.app_name, known.external_id = app, external
            act = "insert"
        else:
            known.values = values
            act = "update"
        result.contacts.append((external, str(known.id), act, info))

    def _insert(self, values: dict[str, str]) -> Contact:
        self._last += 1
        contact = self._contacts[self._last] = Contact(self._last, values)
        return contact

    def _by_id(self, text: str) -> Contact:
        contact = self._contacts.get(int(text)) if text.isascii() and text.isdigit() else None
        if contact is None:
            raise DirectoryTrouble("contact not found")
        return contact

    def _find(self, app: str, external: str) -> Contact | None:
        return next(
            (c for c in self._contacts.values() if external and (c.app_name, c.external_id) == (app, external)), None
        )


def _raw(params: dict[str, str], name: str) -> str:
    return next((params[alias] for alias in _FIELDS[name] if alias in params), "")


def _given(params: dict[str, str], name: str) -> bool:
    return any(alias in params for alias in _FIELDS[name])


def _values(params: dict[str, str]) -> dict[str, str]:
    values = {name: _raw(params, name).strip() for name in _FIELDS}
    for name in _NUMBERS:
        plus = "+" if values[name].startswith("+") else ""
        values[name] = plus + re.sub(r"[^0-9]", "", values[name]) if values[name] else ""
    return values
