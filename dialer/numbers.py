"""Phone numbers: read them as people write them, refuse what must never be dialled, shorten them for logs.

Only `+` and ASCII digits leave this module (`^\\+[0-9]{6,15}$`), whatever was typed. What is refused comes back as a
`NumberProblem`, which says why and what to do; nothing is guessed when a wrong guess would ring a stranger.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberType, ValidationResult, shortnumberinfo
from phonenumbers.phonemetadata import PhoneMetadata

from dialer.errors import BadInput

E164 = re.compile(r"\+[0-9]{6,15}")
_HEAD = 4  # digits, with the country code: an American area code; elsewhere six are needed to tell what rings nowhere
# Area codes of +1 outside the United States and Canada, where mobiles belong to no place, and one of Spain.
_MIXED = (
    "1242", "1246", "1264", "1268", "1284", "1345", "1441", "1473", "1649", "1658", "1664", "1721", "1758", "1767",
    "1784", "1809", "1829", "1849", "1868", "1869", "1876", "3497",
)  # fmt: skip
_MIXED_DIGITS = 7
ZONE_HEAD_AMERICA, ZONE_HEAD = 5, 7  # characters, with the +


@dataclass(frozen=True, slots=True)
class Number:
    """A number that may be dialled as far as its digits say."""

    e164: str  # "+390612345678"
    country: str  # ISO 3166 alpha-2 of the numbering plan it belongs to

    def __str__(self) -> str:
        return self.e164


@dataclass(frozen=True, slots=True)
class NumberProblem:
    """Why a number is not taken. Holds nothing of the number itself, so it may be logged and cached."""

    code: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.remedy}"


_TEXT_COLUMN = "format the column as text in the spreadsheet and export again"
_CHECK = "check the digits; write foreign numbers with + and the country code"
EMPTY = NumberProblem("empty", "there is no number", "write the number with its area code")
EXPONENT = NumberProblem("spreadsheet", "a spreadsheet turned the number into an exponent", _TEXT_COLUMN)
DECIMAL = NumberProblem("spreadsheet", "a spreadsheet turned the number into a decimal", _TEXT_COLUMN)
DATE = NumberProblem(
    "spreadsheet",
    "it looks like a date, as a spreadsheet makes of a number",
    f"{_TEXT_COLUMN}, or write it without signs",
)
TOO_NARROW = NumberProblem(
    "spreadsheet", "the spreadsheet's column was too narrow to show the number", "widen the column and export again"
)
FORMULA = NumberProblem("formula", "the cell is a spreadsheet formula", "export its value, as text")
EXTENSION = NumberProblem(
    "extension", "the number has an extension, which cannot be dialled", "keep the number and move the extension"
)
TWO_NUMBERS = NumberProblem("two_numbers", "there are two numbers in one cell", "keep one number in each cell")
LETTERS = NumberProblem("letters", "there are letters in the number", "write it with digits")
CHARACTERS = NumberProblem("characters", "there are characters in it that no number has", "write it with digits")
TOO_LONG = NumberProblem("too_long", "it is too long to be a phone number", _CHECK)
EMERGENCY = NumberProblem("emergency", "an emergency number is never called", "remove it from the list")
SHORT = NumberProblem("short", "a short service number is never called", "write the whole number, with its area code")
INTERNATIONAL = NumberProblem(
    "international",
    "an international service number (satellite, premium) is never called",
    "use another number",
)
NO_COUNTRY = NumberProblem("country", "no country has this country code", _CHECK)
LOST_ZERO = NumberProblem(
    "lost_zero",
    "it looks like a lost leading zero",
    f"{_TEXT_COLUMN}, or write the number with + and the country code",
)

_NEVER = {
    PhoneNumberType.PREMIUM_RATE: NumberProblem(
        "premium", "a premium-rate number is never called", "use another number"
    ),
    PhoneNumberType.SHARED_COST: NumberProblem(
        "shared_cost", "a shared-cost number is never called", "use another number"
    ),
    PhoneNumberType.PERSONAL_NUMBER: NumberProblem(
        "personal", "a personal-service number, charged like premium rate, is never called", "use another number"
    ),
    PhoneNumberType.PAGER: NumberProblem("pager", "a pager cannot talk", "use another number"),
    PhoneNumberType.VOICEMAIL: NumberProblem("voicemail", "it leads to voicemail access only", "use another number"),
}

# What copying out of mail and address books leaves behind, and nobody sees: joiners, direction marks, soft hyphen.
_INVISIBLE = dict.fromkeys([0xAD, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A)])
_SEPARATORS = re.compile(r"[\s().\-/\u2010-\u2015\u2212\u00b7]+")
_EXPONENT = re.compile(r"[+-]?\d+(?:[.,]\d*)?[eE][+-]?\d+")
_DECIMAL = re.compile(r"\+?\d{6,}[.,]\d{1,2}")
# A day that can be: 06-12-2024, 2024-12-06. Read as a number it would be somebody's in Rome.
DATE_LIKE = re.compile(
    r"(?:0?[1-9]|[12]\d|3[01])([-./])(?:0?[1-9]|1[0-2])\1(?:19|20)\d\d"
    r"|(?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])",
    re.ASCII,
)
# 06 12345678/9: two lines of one house. The slash of 06/12345678 stands before the number.
_LINES_OF_A_HOUSE = re.compile(r"\d{5,}\s*/\s*\d{1,2}", re.ASCII)
_EXTENSION = re.compile(
    r"(?:[;,]?\s*\b(?:ext|extn|extension|est|int|interno|poste|dw|durchwahl|anexo)\b|(?<=\d)\s*x|\s*[#;])"
    r"\s*[.:=]?\s*\d{1,8}\s*\Z",
    re.IGNORECASE,
)
_BETWEEN_TWO = re.compile(r"[/;,|&\r\n]|\s(?:o|e|or|and|ou|et|oder|und)\s", re.IGNORECASE)


def normalise(text: str, country: str) -> Number | NumberProblem:
    """Read `text` as somebody in `country` (ISO 3166 alpha-2) writes numbers; a problem says what is wrong."""
    region = known_country(country)
    digits = _digits(text)
    if isinstance(digits, NumberProblem):
        return digits
    return judge_digits(digits, region)


def require(text: str, country: str, place: str) -> Number:
    """As `normalise`, for one number given by a person: BadInput names `place` and the remedy."""
    number = normalise(text, country)
    if isinstance(number, NumberProblem):
        raise BadInput(f"{place}: {text[:40]!r} cannot be called: {number}")
    return number


def country_known(code: str) -> bool:
    """Whether `code` is the ISO 3166 alpha-2 code of a country whose numbers we can read."""
    return code.upper() in phonenumbers.SUPPORTED_REGIONS


def known_country(code: str) -> str:
    """Return `code` in capitals; BadInput when there is no such country."""
    if not country_known(code):
        raise BadInput(f"there is no country {code!r}: give its two letters, for example IT, FR or GB")
    return code.upper()


@lru_cache(maxsize=65_536)
def zones(number: str) -> tuple[str, ...]:
    """Return the IANA time zones where the phone of E.164 `number` may be; none when nobody can tell."""
    from phonenumbers import timezone  # 20 ms of tables that only callers of this function need

    parsed = parse_e164(number)
    found = timezone.time_zones_for_number(parsed) if parsed is not None else ()
    return tuple(zone for zone in found if zone != "Etc/Unknown")


def parse_e164(number: str) -> PhoneNumber | None:
    """Return an E.164 number, as we keep them, in its parts; None when it is none.

    What `phonenumbers.parse` does in ten times as long, as it must expect anything that people write; and whoever is
    chosen to be called for the first time was asked about by nobody before.
    """
    code = calling_code(number) if E164.fullmatch(number) else ""
    if not code:
        return None
    national = number[1 + len(code) :]
    zeros = min(len(national) - len(national.lstrip("0")), len(national) - 1)
    return PhoneNumber(
        country_code=int(code),
        national_number=int(national),
        italian_leading_zero=True if zeros else None,
        number_of_leading_zeros=zeros if zeros > 1 else None,
    )


@lru_cache(maxsize=512)
def zones_of(country: str) -> tuple[str, ...]:
    """Return every time zone in which a number with a country's calling code may be; none for no country."""
    from phonenumbers.timezone import TIMEZONE_DATA  # type: ignore[attr-defined]

    code = str(phonenumbers.country_code_for_region(country))
    found = {zone for head, there in TIMEZONE_DATA.items() if head.startswith(code) for zone in there}
    return tuple(sorted(found)) if code != "0" else ()


@lru_cache(maxsize=1)
def zone_heads() -> Mapping[int, tuple[str, ...]]:
    """Return the heads of E.164 numbers, `+` and four digits, whose zone more digits decide; by how many decide it.

    Valid numbers that share as many characters as the key says, {8: ("+1850", ...)}, have the same `zones`; so have
    others that share `ZONE_HEAD` characters, `ZONE_HEAD_AMERICA` where they begin with +1.
    """
    from phonenumbers.timezone import TIMEZONE_DATA  # type: ignore[attr-defined]

    below: dict[str, list[str]] = {}
    for digits in TIMEZONE_DATA:
        if len(digits) > _HEAD:
            below.setdefault(digits[:_HEAD], []).append(digits)
    found: dict[int, list[str]] = {}
    for head, longer in sorted(below.items()):
        own = next((TIMEZONE_DATA[head[:n]] for n in range(_HEAD, 0, -1) if head[:n] in TIMEZONE_DATA), None)
        if any(TIMEZONE_DATA[digits] != own for digits in longer):
            length = 1 + max(map(len, longer))
            found.setdefault(length if head[0] == "1" else max(length, ZONE_HEAD), []).append(f"+{head}")
    found.setdefault(1 + _MIXED_DIGITS, []).extend(f"+{head}" for head in _MIXED)
    return {length: tuple(heads) for length, heads in found.items()}


def country_prefix(country: str) -> str:
    """Return how every E.164 number of a country begins: `+39`."""
    return f"+{phonenumbers.country_code_for_region(country)}"


def mask(number: str) -> str:
    """Shorten a number for logs and screens: `+39 06 ••• 4567`. What is no number becomes dots."""
    if not E164.fullmatch(number):
        return "•••"
    code = calling_code(number)
    rest = number[1 + len(code) :]
    head, tail = (2, 4) if len(rest) >= 9 else (1, 2) if len(rest) >= 7 else (0, 2) if len(rest) >= 5 else (0, 0)
    return " ".join(part for part in (f"+{code}", rest[:head], "•••", rest[len(rest) - tail :]) if part)


def calling_code(e164: str) -> str:
    """Return the digits of the country code of an E.164 number; empty when no country has it."""
    codes = phonenumbers.COUNTRY_CODE_TO_REGION_CODE
    return next((e164[1:end] for end in (2, 3, 4) if int(e164[1:end]) in codes), "")


def judge_digits(digits: str, region: str) -> Number | NumberProblem:
    """Judge a number already stripped to `+` and digits. `region` is a known country in capitals."""
    if len(digits) > 20:
        return TOO_LONG
    if len(digits) <= 6 and not digits.startswith("+"):
        return _short(digits, region)
    try:
        number = phonenumbers.parse(digits, region)
    except NumberParseException as exc:
        return _unreadable(exc, digits, region)
    if not phonenumbers.is_valid_number(number):
        # 00 is how most of the world dials abroad, also where the national prefix is another (011, 810).
        if digits.startswith("00"):
            abroad = judge_digits("+" + digits[2:], region)
            if isinstance(abroad, Number):
                return abroad
        return _invalid(number, digits, region)
    never = _NEVER.get(phonenumbers.number_type(number))
    if never is not None:
        return never
    if _ambiguous_without_zero(number, digits):
        return LOST_ZERO
    country = phonenumbers.region_code_for_number(number) or region
    if country == "001":
        return INTERNATIONAL
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return Number(e164, country) if E164.fullmatch(e164) else CHARACTERS


def _digits(text: str) -> str | NumberProblem:
    """Strip what people put between digits; a problem when something else is left."""
    text = text.translate(_INVISIBLE).strip().removeprefix("'").strip()
    if text[:4].lower() == "tel:":
        text = text[4:].strip()
    if not text:
        return EMPTY
    if len(text) > 64:
        return TOO_LONG
    if not text.isascii():
        text = "".join(str(unicodedata.decimal(char, char)) for char in unicodedata.normalize("NFKC", text))
    if text.startswith("="):
        return FORMULA
    if _EXPONENT.fullmatch(text):
        return EXPONENT
    if _DECIMAL.fullmatch(text):
        return DECIMAL
    if DATE_LIKE.fullmatch(text):
        return DATE
    if len(text) > 1 and not text.strip("#"):
        return TOO_NARROW
    if _EXTENSION.search(text):
        return EXTENSION
    if (lines := _LINES_OF_A_HOUSE.search(text)) and lines.end() == len(text):
        return TWO_NUMBERS
    if sum(len(re.findall(r"\d", part)) >= 5 for part in _BETWEEN_TWO.split(text)) > 1:
        return TWO_NUMBERS
    if any(char.isalpha() for char in text):
        return LETTERS
    digits = _SEPARATORS.sub("", text)
    if not re.fullmatch(r"\+?[0-9]+", digits):
        return CHARACTERS if any(char.isdigit() for char in digits) else EMPTY
    return digits


def _short(digits: str, region: str) -> NumberProblem | Number:
    """Judge six digits or fewer: nearly always a service; on islands, sometimes a whole number."""
    if shortnumberinfo.is_emergency_number(digits, region):
        return EMERGENCY
    try:
        number = phonenumbers.parse(digits, region)
    except NumberParseException:
        return _too_short(region)
    if shortnumberinfo.is_valid_short_number_for_region(number, region):
        return SHORT
    if not phonenumbers.is_valid_number(number):
        return _invalid(number, digits, region)
    if len(digits) < 5:
        return SHORT  # Niue and Tokelau have whole numbers of four digits; they are taken with +683, +690
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    never = _NEVER.get(phonenumbers.number_type(number))
    if never is not None or _ambiguous_without_zero(number, digits) or not E164.fullmatch(e164):
        return never or LOST_ZERO
    return Number(e164, region)


def _unreadable(exc: NumberParseException, digits: str, region: str) -> NumberProblem:
    if exc.error_type == NumberParseException.INVALID_COUNTRY_CODE:
        return NO_COUNTRY
    if exc.error_type == NumberParseException.TOO_LONG:
        return TOO_LONG
    return _too_short(region) if digits.strip("+") else EMPTY


def _invalid(number: PhoneNumber, digits: str, region: str) -> NumberProblem:
    """Say as exactly as we can why a parsed number is none."""
    national = phonenumbers.national_significant_number(number)
    home = phonenumbers.region_code_for_country_code(number.country_code or 0)
    if home != "001" and shortnumberinfo.is_emergency_number(national, home):
        return EMERGENCY
    if home == "001":
        return INTERNATIONAL
    if not number.italian_leading_zero and phonenumbers.is_valid_number(_with_zero(number)):
        return LOST_ZERO
    where = region if not digits.startswith(("+", "00")) else home
    match phonenumbers.is_possible_number_with_reason(number):
        case ValidationResult.TOO_SHORT | ValidationResult.IS_POSSIBLE_LOCAL_ONLY:
            return _too_short(where)
        case ValidationResult.TOO_LONG:
            return NumberProblem("too_long", f"it has too many digits for a number of {where}", _CHECK)
    return NumberProblem("invalid", f"there is no such number in {where}", _CHECK)


def _too_short(where: str) -> NumberProblem:
    return NumberProblem("too_short", f"it has too few digits for a number of {where}", "write it with its area code")


def _with_zero(number: PhoneNumber) -> PhoneNumber:
    return PhoneNumber(
        country_code=number.country_code, national_number=number.national_number, italian_leading_zero=True
    )


def _ambiguous_without_zero(number: PhoneNumber, digits: str) -> bool:
    """Whether a valid number is more likely another one whose leading zero a spreadsheet ate.

    Where the zero belongs to the number (Italy), 343 123456 is an old nine-digit mobile and 0343 123456 a landline.
    Whoever writes the country code means what they write; a mobile of ordinary length is a mobile.
    """
    if (
        number.italian_leading_zero
        or digits.startswith(("+", "00"))
        or not phonenumbers.is_valid_number(_with_zero(number))
    ):
        return False
    return len(phonenumbers.national_significant_number(number)) < _ordinary_mobile_length(number.country_code or 0)


@lru_cache(maxsize=256)
def _ordinary_mobile_length(country_code: int) -> int:
    metadata = PhoneMetadata.metadata_for_region(phonenumbers.region_code_for_country_code(country_code), None)
    example = metadata.mobile.example_number if metadata is not None and metadata.mobile is not None else None
    return len(example or "")
