"""How files of one kind are read, saved under a name: the mapping, and whatever else was said once.

What is given beside a template's name wins over what the template says. The caller owns the transaction.
"""

import dataclasses
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from campaigns import import_columns, ledger
from campaigns.import_options import OUTSIDE_HOURS, ImportOptions
from campaigns.import_repeats import ACTIONS, SCOPES
from campaigns.models import ImportTemplate
from dialer.errors import BadInput, NotFound

KEPT = ("mapping", "delimiter", "encoding", "duplicates", "duplicates_in", "within_days", "outside_hours")
_NAME = re.compile(r"[\w][\w .-]{0,59}")


def save(
    session: Session, name: str, options: Mapping[str, Any], *, who: str, now: datetime, replace: bool = False
) -> ImportTemplate:
    """Keep these options under a name. BadInput when they mean nothing, or the name is another's."""
    name = " ".join(name.split())
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"{name[:60]!r} cannot be a template's name: use letters, digits, spaces, dots and dashes, 60 at most "
            "(HEADER=FIELD is a mapping)"
        )
    kept = {key: value for key, value in options.items() if key in KEPT and value not in (None, "", {})}
    _check(kept)
    found = _find(session, name)
    if found is not None and not replace:
        raise BadInput(f"there is a template {found.name!r} already: save it with --replace, or under another name")
    if found is None:
        found = ImportTemplate(name=name, options={})
        session.add(found)
    before = dict(found.options)
    found.name, found.options, found.saved_by, found.saved_at = name, kept, who, now
    session.flush()
    ledger.record(session, at=now, kind="import_template", who=who, name=name, before=before, after=kept)
    return found


def _check(options: Mapping[str, Any]) -> None:
    mapping = options.get("mapping", {})
    # The headers of the mapping are a file's header: what it would refuse there is refused here.
    import_columns.check_mapping(mapping)
    for key, allowed in (("duplicates", ACTIONS), ("duplicates_in", SCOPES), ("outside_hours", OUTSIDE_HOURS)):
        if options.get(key, allowed[0]) not in allowed:
            raise BadInput(f"{key} {options[key]!r}: use one of {', '.join(allowed)}")
    if not options:
        raise BadInput("there is nothing to save: give at least --mapping 'HEADER=FIELD,...'")


def get(session: Session, name: str) -> ImportTemplate:
    """Return a template by its name, in any case of letters; NotFound names those there are."""
    found = _find(session, name)
    if found is None:
        known = ", ".join(repr(one.name) for one in listed(session)) or "none: `dialer list template save` keeps one"
        raise NotFound(
            f"there is no mapping template {name!r} (there are: {known}). A mapping itself is written HEADER=FIELD"
        )
    return found


def listed(session: Session) -> list[ImportTemplate]:
    """Return all templates by name."""
    return list(session.scalars(select(ImportTemplate).order_by(func.lower(ImportTemplate.name))))


def remove(session: Session, name: str, *, who: str, now: datetime) -> ImportTemplate:
    """Forget a template; imports made with it stay as they are."""
    found = get(session, name)
    session.delete(found)
    ledger.record(
        session, at=now, kind="import_template", who=who, name=found.name, before=dict(found.options), after=None
    )
    return found


def options_of(session: Session, given: Mapping[str, Any], mapping: str) -> ImportOptions:
    """Return the options of an import: what was typed, over what the template named by `mapping` says."""
    is_name = bool(mapping.strip()) and "=" not in mapping
    if is_name:
        return merged(session, given, template=mapping.strip())
    return merged(session, given, mapping=import_columns.parse_mapping(mapping))


def merged(
    session: Session, given: Mapping[str, Any], *, template: str = "", mapping: Mapping[str, str] | None = None
) -> ImportOptions:
    """Return the options of an import: what is given over what the template says, column by column."""
    base: dict[str, Any] = dict(get(session, template).options) if template else {}
    typed = {key: value for key, value in given.items() if value is not None}
    typed["mapping"] = {**base.get("mapping", {}), **(mapping or {})}
    names = {one.name for one in dataclasses.fields(ImportOptions)}
    return ImportOptions(**{key: value for key, value in (base | typed).items() if key in names})


def _find(session: Session, name: str) -> ImportTemplate | None:
    query = select(ImportTemplate).where(func.lower(ImportTemplate.name) == name.strip().lower())
    return session.scalars(query).one_or_none()
