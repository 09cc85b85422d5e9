"""Which column is what: header names as people write them, to the fields of a contact.

Names are compared without case, spaces, underscores and accents. Columns we have no field for are kept with the
contact under their own names. A header we cannot use is refused with what was found and what is needed.
"""

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dialer.errors import BadInput
from dialer.numbers import Number, NumberProblem, normalise

NAME_LIMIT = 200  # characters of a column's name
OURS = ("line", "column", "value", "reason", "remedy")  # the last columns of a reject file
OURS_BEGIN = "dialer_"  # what an export tells of a contact; left out when it comes back
MOST_NUMBERS = 9  # of one contact
PRIORITIES = range(-100, 101)  # the lowest comes first
_DISARMED = re.compile("'[-=+@]")  # as our own files, and careful ones, write a name that begins like a formula
_TYPE = re.compile(r"[a-z]{1,20}")

# Field -> (the name we show, other names it goes by).
_FIELDS: dict[str, tuple[str, str]] = {
    "phone": (
        "phone",
        "phonenumber telephone telephonenumber tel telefono telefon telefonnummer number numero numerotelefono "
        "numeroditelefono telefonofisso fisso landline fixe phone1 msisdn numerodetelephone rufnummer",
    ),
    "phone2": (
        "mobile",
        "mobilephone mobilephonenumber mobilenumber cell cellphone cellulare telefonomobile portable handy gsm "
        "phone2 secondphone secondnumber movil telefono2 tel2 number2 numero2",
    ),
    "first_name": ("first_name", "firstname first givenname forename nome prenom vorname nombre"),
    "last_name": ("last_name", "lastname last surname familyname cognome nom nachname apellido apellidos"),
    "company": (
        "company",
        "companyname azienda societa ragionesociale organization organisation societe entreprise firma empresa",
    ),
    "description": (
        "description",
        "descrizione notes note comment comments commento commenti remark remarks beschreibung descripcion",
    ),
    "priority": ("priority", "priorita priorite prioritat prioridad"),
    "due_date": ("dueDate", "duedate due datadirichiamata"),
    "period": ("period", "periodo periode zeitraum"),
    # After those two, in the order of the file. Only names that can mean nothing else: a bare "office" may be a place.
    "work": (
        "work_phone",
        "workphone officephone businessphone telefonoufficio telefonolavoro telephonebureau telefongeschaftlich",
    ),
    "home": (
        "home_phone",
        "homephone telefonocasa telefonoabitazione telephonedomicile telefonprivat telefonoparticular",
    ),
    **{
        f"phone{n}": (f"phone{n}", f"telefono{n} telephone{n} tel{n} number{n} numero{n}")
        for n in range(3, MOST_NUMBERS + 1)
    },
    "owner": ("owner", "assignedto callbackowner responsabile incaricato zustandig besitzer attribuea"),
    "region": ("region", "state province provincia regione departement bundesland stato addressstate"),
    "postcode": ("postcode", "zip zipcode postalcode cap codepostal plz postleitzahl codigopostal"),
    "time_zone": ("time_zone", "timezone tz zeitzone fusoorario fuseauhoraire"),
    "consent": ("consent", "optin consenso consentement einwilligung consentimiento"),
    "consent_date": ("consent_date", "consentat optindate dataconsenso dateconsentement"),
    "consent_source": ("consent_source", "optinsource fonteconsenso sourceconsentement"),
}
_ONE_EACH = ("phone", "phone2", "first_name", "last_name", "company", "description")
_CALLBACKS_ONLY = ("due_date", "period", "owner")
_NUMBERED = tuple(f"phone{n}" for n in range(3, MOST_NUMBERS + 1))
_NUMBERS = ("phone", "phone2", "work", "home", *_NUMBERED)
_OF_PERSON = ("region", "postcode", "time_zone", "consent", "consent_date", "consent_source")
# One column with the whole name, as simple lists have it; taken only when there is none for the parts.
_WHOLE_NAME = {"name", "fullname", "nominativo", "nomecompleto", "contact", "contatto"}


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the fields are in a row; -1 when the file has no such column."""

    names: tuple[str, ...]  # of the original columns, in order
    width: int  # cells of the header, our own reject columns included
    phone: int
    phone2: int
    first_name: int
    last_name: int
    company: int
    description: int
    due_date: int
    period: int
    owner: int
    region: int
    postcode: int
    time_zone: int
    consent: int
    consent_date: int
    consent_source: int
    priority: int = -1
    custom: tuple[tuple[int, str], ...] = field(default=())
    numbers: tuple[tuple[int, str], ...] = field(default=())  # (index, type) of every number, as they are tried

    @property
    def of_person(self) -> bool:
        """Whether the file says where somebody lives, or whether they agreed to be called."""
        found = (self.region, self.postcode, self.time_zone, self.consent, self.consent_date, self.consent_source)
        return max(found) >= 0


def extra_number(position: int) -> str:
    """Return the name of the column of a contact's number after the second, which has position 3."""
    return f"phone{position}"


def key(name: str) -> str:
    """Return the letters and digits of a header name, without case and accents."""
    plain = unicodedata.normalize("NFKD", name).casefold()
    return "".join(char for char in plain if char.isalnum())


_BY_KEY = {key(alias): name for name, (shown, aliases) in _FIELDS.items() for alias in (shown, *aliases.split())}


def known(name: str) -> bool:
    """Whether a header name means something to us."""
    return key(name) in _BY_KEY


def parse_mapping(text: str) -> dict[str, str]:
    """Read `Tel privato=phone,Note=description` as the command line gives it."""
    mapping = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        header, equals, name = part.rpartition("=")
        if not equals or not header.strip() or not name.strip():
            raise BadInput(
                f"mapping {part!r} is not HEADER=FIELD; write for example 'Tel privato=phone,Memo=description'"
            )
        mapping[header.strip()] = name.strip()
    return mapping


def check_mapping(mapping: Mapping[str, str]) -> None:
    """BadInput when a mapping gives something to what is no field, whatever file it will be used with."""
    _mapped(list(mapping), mapping, "callbacks", "mapping")


def find_columns(
    header: Sequence[str],
    kind: str,
    *,
    place: str,
    country: str,
    mapping: Mapping[str, str] | None = None,
) -> Columns:
    """Give each column of `header` its field; BadInput says what was found and what is needed. `place`: file, line."""
    names = _without_our_own([name[1:] if _DISARMED.match(name) else name for name in header])
    if _looks_like_data(names, country, bool(mapping)):
        raise BadInput(
            f"{place}: the first line holds data, not column names. Add a header line, for example "
            f"{_example(kind)} (nothing was imported)"
        )
    while names and not names[-1]:
        names.pop()  # spreadsheets leave empty columns at the end
    _no_repeats(names, place)
    wanted, types = _mapped(names, mapping or {}, kind, place)
    found: dict[str, int] = {}
    custom: list[tuple[int, str]] = []
    for index, name in enumerate(names):
        target = wanted.get(name) or guess(name, kind)
        if target == "ignore":
            continue
        if target in _OF_PERSON and target not in found:
            found[target] = index
        if target == "custom" or target in _OF_PERSON:
            # Understood, and kept as it is written too: a region that says nothing about the clock is still an address.
            custom.append((index, name or f"column_{index + 1}"))
        elif target in found:
            raise BadInput(
                f"{place}: the columns {names[found[target]]!r} and {name!r} are both the {_FIELDS[target][0]}. "
                f"Rename one, or say which with --mapping {f'{name}=custom'!r} (nothing was imported)"
            )
        else:
            found[target] = index
    if not any(name in found for name in _NUMBERS):
        raise BadInput(_no_number(names, kind, place))
    _whole_name(found, [one for one in custom if one[1] not in wanted], custom)
    return Columns(
        names=tuple(names),
        width=len(header),
        **{name: found.get(name, -1) for name in (*_ONE_EACH, *_CALLBACKS_ONLY, *_OF_PERSON)},
        priority=found.get("priority", -1),
        custom=tuple(custom),
        numbers=_numbers(found, types),
    )


def guess(name: str, kind: str) -> str:
    """Return the field a header name means: one of ours, "custom", or "ignore" for what our own exports add."""
    if name.startswith(OURS_BEGIN):
        return "ignore"
    target = _BY_KEY.get(key(name), "custom")
    return "custom" if target in _CALLBACKS_ONLY and kind != "callbacks" else target


def parse_target(target: str) -> str:
    """Return the field that the right side of a mapping names, its type left out."""
    told = target.partition(":")[0].strip()
    return told if told in ("custom", "ignore") else _BY_KEY.get(key(told), "custom")


def choices(kind: str) -> list[str]:
    """Return what a column of such a list may be said to be, as people call it."""
    return [shown for name, (shown, _) in _FIELDS.items() if kind == "callbacks" or name not in _CALLBACKS_ONLY] + [
        "custom",
        "ignore",
    ]


def near_name(name: str) -> str | None:
    """Return the shown name of a field that a header nearly names; None when there is none."""
    close = difflib.get_close_matches(key(name), list(_BY_KEY), n=1, cutoff=0.8) if key(name) else []
    return _FIELDS[_BY_KEY[close[0]]][0] if close else None


def shown_field(target: str) -> str:
    """Return the name people use for a field."""
    return _FIELDS[target][0] if target in _FIELDS else target


def _numbers(found: Mapping[str, int], types: Mapping[int, str]) -> tuple[tuple[int, str], ...]:
    """Phone first, then mobile, then the others as the file has them."""
    usual = {"phone2": "mobile", "work": "work", "home": "home"}
    first = [name for name in ("phone", "phone2") if name in found]
    others = sorted((name for name in _NUMBERS[2:] if name in found), key=lambda name: found[name])
    return tuple((found[name], types.get(found[name], usual.get(name, "phone"))) for name in (*first, *others))


def _without_our_own(names: list[str]) -> list[str]:
    """Drop the columns that a reject file adds: it was mended and comes back."""
    return names[: -len(OURS)] if tuple(names[-len(OURS) :]) == OURS else names


def _looks_like_data(names: Sequence[str], country: str, mapped: bool) -> bool:
    if mapped or any(map(known, names)):
        return False
    return any(_is_a_number(name, country) for name in names)


def _is_a_number(text: str, country: str) -> bool:
    if sum(char.isdigit() for char in text) < 5:
        return False
    number = normalise(text, country)
    return isinstance(number, Number) or (isinstance(number, NumberProblem) and number.code != "letters")


def _no_repeats(names: Sequence[str], place: str) -> None:
    seen: dict[str, int] = {}
    for index, name in enumerate(names, start=1):
        if len(name) > NAME_LIMIT:
            raise BadInput(
                f"{place}: the name of column {index} has {len(name):,} characters; "
                f"is the first line a header? At most {NAME_LIMIT} are allowed (nothing was imported)"
            )
        if not name.isprintable():
            raise BadInput(
                f"{place}: the name of column {index} ({_shown(name)}) holds control characters or bytes that are no "
                "text; rename it (nothing was imported)"
            )
        if name and name in seen:
            raise BadInput(
                f"{place}: two columns are named {name!r} ({seen[name]} and {index}). Rename one (nothing was imported)"
            )
        seen[name] = index


def _mapped(
    names: Sequence[str], mapping: Mapping[str, str], kind: str, place: str
) -> tuple[dict[str, str], dict[int, str]]:
    """Return header -> field, and column -> type for numbers that were given one (`phone3:work`)."""
    allowed = [name for name in _FIELDS if kind == "callbacks" or name not in _CALLBACKS_ONLY]
    wanted: dict[str, str] = {}
    types: dict[int, str] = {}
    for header, target in mapping.items():
        if header not in names:
            raise BadInput(f"{place}: the mapping names a column {header!r}, and there is none. Found: {_list(names)}")
        told, colon, kind_of_number = target.partition(":")
        name = told if told in ("custom", "ignore") else _BY_KEY.get(key(told))
        if name is None or (name not in allowed and name not in ("custom", "ignore")):
            raise BadInput(
                f"the mapping gives column {header!r} to {target!r}, which is no field. "
                f"Fields: {', '.join(_FIELDS[name][0] for name in allowed if name not in _NUMBERED)}, "
                f"{_NUMBERED[0]} to {_NUMBERED[-1]}, custom, ignore"
            )
        if colon:
            if name not in _NUMBERS or not _TYPE.fullmatch(kind_of_number.strip().lower()):
                raise BadInput(
                    f"the mapping gives column {header!r} to {target!r}: only a number has a type, and it is a word, "
                    "for example 'Ufficio=phone3:work'"
                )
            types[names.index(header)] = kind_of_number.strip().lower()
        wanted[header] = name
    return wanted, types


def _whole_name(found: dict[str, int], guessed: Sequence[tuple[int, str]], custom: list[tuple[int, str]]) -> None:
    """Give the last name a column with the whole one, unless somebody said what that column is."""
    if "first_name" in found or "last_name" in found:
        return
    for index, name in guessed:
        if key(name) in _WHOLE_NAME:
            found["last_name"] = index
            custom.remove((index, name))
            return


def _no_number(names: Sequence[str], kind: str, place: str) -> str:
    needed = "phoneNumber or mobilePhoneNumber" if kind == "callbacks" else "phone (or phoneNumber, telefono, mobile)"
    near = [
        (name, _FIELDS[_BY_KEY[close[0]]][0])
        for name in names
        if key(name)
        and not known(name)
        and (close := difflib.get_close_matches(key(name), list(_BY_KEY), n=1, cutoff=0.75))
    ]
    numbers = [pair for pair in near if pair[1] in ("phone", "mobile")]
    hint = "".join(f" Did you mean {shown} for {name!r}?" for name, shown in (numbers or near)[:2])
    first = numbers[0][0] if numbers else names[0] if names else "HEADER"
    if len(names) == 1 and (delimiter := _hidden_delimiter(names[0])):
        return (
            f"{place}: no column holds the number, because the whole line was read as one column: {_list(names)}. "
            f"Say what stands between the columns with --delimiter '{delimiter}' (nothing was imported)"
        )
    return (
        f"{place}: no column holds the number. Found: {_list(names)}. Needed: {needed}.{hint} "
        f"Rename the column, or say which it is with --mapping '{first}=phone' (nothing was imported)"
    )


def _hidden_delimiter(name: str) -> str:
    """Return the sign in a column's name between words of which one names a field of ours; empty when there is none."""
    signs = dict.fromkeys(sign for sign in name if not sign.isalnum() and not sign.isspace() and sign not in "_-.'\"")
    return next((sign for sign in signs if any(known(part) for part in name.split(sign))), "")


def _example(kind: str) -> str:
    if kind == "callbacks":
        return "phoneNumber|mobilePhoneNumber|firstName|lastName|company|description|dueDate|period"
    return "phone,first_name,last_name,company"


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:40]) for name in names[:12]) or "nothing"
    return f"{shown} and {len(names) - 12} more" if len(names) > 12 else shown


def _shown(name: str) -> str:
    return ascii(name[:40])
