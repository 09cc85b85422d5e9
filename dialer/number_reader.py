"""Read a million numbers of one country: what is learnt of one serves all like it.

One careful reading (50 us) of `+39 342 1234567` answers for every number that begins `+39 342` (1 us): the plan of
Italy says nothing more about the other seven digits. How many digits those are is worked out exactly, number by
number, in `dialer.number_plans`; a number outside what is understood there is read carefully each time.
"""

import re
from functools import lru_cache

import phonenumbers
from phonenumbers.phonemetadata import PhoneMetadata

from dialer.number_plans import MOST, abroad_from, plan_of
from dialer.numbers import DATE_LIKE, Number, NumberProblem, calling_code, known_country, normalise

SHORTEST = 7  # digits of a national number; shorter ones may be services and are always read carefully
UNSEEN = 4  # last digits which rules on carrier codes and the like surely never look at
_LONGEST = 26

# What the short way understands; everything else takes the careful one.
_PLAIN = re.compile(r"\+?[0-9(][0-9 ().\-]{5,24}")
_LIKE_A_DECIMAL = re.compile(r"\+?[0-9]{6,}\.[0-9]{1,2}")
_LITERAL = re.compile(r"([0-9]+)(?:\[([0-9]+)\])?")  # 0, 180020, 183[12]
_DROP = str.maketrans("", "", " ().-")


class NumberReader:
    """`read(text)` says the same as `normalise`, tens of times faster over a long list. For one thread."""

    def __init__(self, country: str, limit: int = 100_000) -> None:
        self._region = known_country(country)
        self._code = phonenumbers.country_code_for_region(self._region)
        metadata = PhoneMetadata.metadata_for_region(self._region, None)
        abroad = (metadata.international_prefix if metadata is not None else None) or "00"
        self._double_zero = abroad == "00"
        self._abroad = re.compile(abroad)
        self._limit = limit  # of remembered beginnings: a hostile file must not fill the memory
        self._size = 0
        # By length of the digits: the lengths of beginnings to try, and the beginnings.
        self._known: list[tuple[list[int], dict[str, str | NumberProblem]]] = [([], {}) for _ in range(_LONGEST + 1)]

    def read(self, text: str) -> str | NumberProblem:
        """Return the number in E.164, or what is wrong with it."""
        if text.isdigit() and text.isascii() and len(text) <= _LONGEST:
            digits = text
        elif _PLAIN.fullmatch(text) and not _LIKE_A_DECIMAL.fullmatch(text) and not _may_be_a_date(text):
            digits = text.translate(_DROP)
        else:
            return _plain(normalise(text, self._region))
        if self._double_zero and digits[:2] == "00" and len(digits) > SHORTEST and digits[2] != "0":
            digits = "+" + digits[2:]
        lengths, known = self._known[len(digits)]
        for length in lengths:
            verdict = known.get(digits[:length])
            if verdict is not None:
                return verdict + digits[length:] if isinstance(verdict, str) else verdict
        return self._learn(digits)

    def _learn(self, digits: str) -> str | NumberProblem:
        number = _plain(normalise(digits, self._region))
        free = self._free(digits, number)
        if free > 1:
            if self._size >= self._limit:
                self._known = [([], {}) for _ in range(_LONGEST + 1)]
                self._size = 0
            lengths, known = self._known[len(digits)]
            length = len(digits) - free
            if length not in lengths:
                lengths.append(length)
            known[digits[:length]] = number[:-free] if isinstance(number, str) else number
            self._size += 1
        return number

    def _free(self, digits: str, number: str | NumberProblem) -> int:
        """Return how many last digits could be any others, with the same verdict. Errs towards 0."""
        if digits.startswith("+"):
            code = int(calling_code(digits) or 0)
            nationals = [digits[1 + len(str(code)) :]]
            most = MOST
        else:
            code = self._code
            if self._abroad.match(digits) or digits.startswith("00"):
                return 0
            nationals = [digits]
            if digits.startswith(str(code)):
                nationals.append(digits[len(str(code)) :])  # written without its plus
            # Whether it begins as a number abroad, or with our own code, must be settled by what is kept.
            most = min(abroad_from(self._region).free(digits), len(digits) - max(len(str(code)), 2))
        if code == 0 or (isinstance(number, str) and calling_code(number) != str(code)):
            return 0
        if isinstance(number, str):
            nationals.append(number[1 + len(str(code)) :])
        trunks = {*_trunks(phonenumbers.region_code_for_country_code(code)), *_trunks(self._region)}
        if None in trunks:
            most = min(most, UNSEEN)
            if not isinstance(number, str):
                return 0  # how else it might have been read is more than is understood here
        for one in list(nationals):
            for trunk in filter(None, trunks):
                # Whether it begins with the trunk prefix must be settled by what is kept.
                alike = next(
                    (at for at, pair in enumerate(zip(one, trunk, strict=False)) if pair[0] != pair[1]), len(trunk)
                )
                most = min(most, len(one) - min(alike + 1, len(trunk)))
                if alike == len(trunk):
                    nationals.append(one[alike:])
        # A number without its zero was also judged with it (a lost zero).
        nationals += ["0" + one for one in nationals]
        if min(map(len, nationals)) < SHORTEST:
            return 0
        plan = plan_of(code)
        free = min([most, *(plan.free(one) for one in nationals)])
        if free > 0 and isinstance(number, str) and number[-free:] != digits[-free:]:
            return 0
        return free


@lru_cache(maxsize=512)
def _trunks(region: str) -> tuple[str | None, ...]:
    """Return what people in `region` dial before a national number; None when it is more than some fixed digits."""
    metadata = PhoneMetadata.metadata_for_region(region, None)
    if metadata is None:
        return (None,)
    pattern = metadata.national_prefix_for_parsing or ""
    found: list[str | None] = []
    for part in pattern.replace("(", "").replace(")", "").split("|") if pattern else []:
        simple = _LITERAL.fullmatch(part)
        if simple is None or "?:" in pattern or metadata.national_prefix_transform_rule:
            return (metadata.national_prefix, None)
        found += [simple[1] + digit for digit in simple[2]] if simple[2] else [simple[1]]
    return tuple(found)


def _may_be_a_date(text: str) -> bool:
    return len(text) <= 10 and DATE_LIKE.fullmatch(text) is not None


def _plain(number: Number | NumberProblem) -> str | NumberProblem:
    return number.e164 if isinstance(number, Number) else number
