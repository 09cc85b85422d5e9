"""Numbers as people write them, and as spreadsheets ruin them."""

import random
import re

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers.phonemetadata import PhoneMetadata

from dialer.errors import BadInput
from dialer.number_reader import NumberReader
from dialer.numbers import (
    E164,
    ZONE_HEAD,
    ZONE_HEAD_AMERICA,
    Number,
    NumberProblem,
    country_known,
    mask,
    normalise,
    parse_e164,
    require,
    zone_heads,
    zones,
)


def e164(text: str, country: str = "IT") -> str:
    number = normalise(text, country)
    assert isinstance(number, Number), f"{text!r} refused: {number}"
    return number.e164


def problem(text: str, country: str = "IT") -> str:
    number = normalise(text, country)
    assert isinstance(number, NumberProblem), f"{text!r} taken as {number}"
    assert number.reason
    assert number.remedy
    return number.code


@pytest.mark.parametrize(
    "text",
    [
        "0612345678",
        "06 1234 5678",
        "06.1234.5678",
        "06-12345678",
        "(06) 12345678",
        "06/12345678",
        "+39 06 1234 5678",
        "+39 (06) 1234-5678",
        "(+39) 0612345678",
        "0039 06 12345678",
        "390612345678",
        "tel:+390612345678",
        "'+390612345678",
        "\u202a+39\u00a006\u2011 1234\u200b5678\u202c",
        "０６１２３４５６７８",
        "٠٦١٢٣٤٥٦٧٨",
        "  0612345678\t",
    ],
)
def test_one_roman_landline_however_it_is_written(text: str) -> None:
    assert e164(text) == "+390612345678"


@pytest.mark.parametrize(
    ("text", "country", "expected"),
    [
        ("+44 (0)20 7946 0958", "IT", "+442079460958"),
        ("020 7946 0958", "GB", "+442079460958"),
        ("06 12 34 56 78", "FR", "+33612345678"),
        ("612345678", "FR", "+33612345678"),  # the zero a spreadsheet ate is no part of a French number
        ("(212) 555-0123", "US", "+12125550123"),
        ("011 39 06 1234567", "US", "+39061234567"),
        ("0039 06 1234567", "US", "+39061234567"),  # how the rest of the world dials abroad
        ("0549 886377", "SM", "+3780549886377"),
        ("342 1234567", "it", "+393421234567"),
        ("0230210092", "FR", "+33230210092"),
    ],
)
def test_numbers_are_read_as_people_of_that_country_write_them(text: str, country: str, expected: str) -> None:
    assert e164(text, country) == expected


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("3.93E+11", "spreadsheet"),
        ("3,93E+11", "spreadsheet"),
        ("3,93401E+11", "spreadsheet"),
        ("3E+11", "spreadsheet"),
        ("393401234567.0", "spreadsheet"),
        ('="0612345678"', "formula"),
        ("612345678", "lost_zero"),
        ("+39 612345678", "lost_zero"),
        ("343123456", "lost_zero"),  # an old nine-digit mobile, or Chiavenna without its zero: nobody can tell
        ("", "empty"),
        ("   ", "empty"),
        ("--", "empty"),
        ("06 1234567 int. 12", "extension"),
        ("06 1234567 x12", "extension"),
        ("+1 212 555 0123;ext=5", "extension"),
        ("06 1234567#2", "extension"),
        ("06 1234567 / 06 7654321", "two_numbers"),
        ("3401234567, 3401234568", "two_numbers"),
        ("3401234567 o 3401234568", "two_numbers"),
        ("0800 FLOWERS", "letters"),
        ("unknown", "letters"),
        ("06+1234567", "characters"),
        ("06*1234567", "characters"),
        ("06 1234567\x00", "characters"),
        ("112", "emergency"),
        ("+39 112", "emergency"),
        ("118", "emergency"),
        ("1240", "short"),
        ("899 123456", "premium"),
        ("892000", "premium"),
        ("848 800000", "shared_cost"),
        ("199 123456", "personal"),
        ("+881 612345678", "international"),
        ("+999 1234567", "country"),
        ("06 12", "too_short"),
        ("+39 06 1", "too_short"),
        ("06" * 9, "too_long"),
        ("9" * 70, "too_long"),
        ("0000000000", "invalid"),
    ],
)
def test_what_must_not_be_dialled_is_refused_and_named(text: str, code: str) -> None:
    assert problem(text) == code


def test_a_mobile_of_ordinary_length_is_a_mobile_though_a_landline_has_the_same_digits_after_its_zero() -> None:
    assert e164("03431234567") == "+3903431234567"
    assert e164("3431234567") == "+393431234567"


def test_whoever_writes_the_country_code_means_what_they_write() -> None:
    assert e164("+39 343 123456") == "+39343123456"


def test_an_emergency_number_of_any_country_is_refused_there() -> None:
    for country, number in [("US", "911"), ("GB", "999"), ("FR", "15"), ("AU", "000"), ("DE", "110")]:
        assert problem(number, country) == "emergency"


def test_an_unknown_country_is_named() -> None:
    assert country_known("it")
    assert not country_known("XX")
    with pytest.raises(BadInput, match=r"'XX'.*two letters"):
        normalise("0612345678", "XX")


def test_one_number_given_by_a_person_is_refused_with_its_place() -> None:
    assert require("06 12345678", "IT", "--caller-id").e164 == "+390612345678"
    with pytest.raises(BadInput, match=r"--caller-id: '12' cannot be called"):
        require("12", "IT", "--caller-id")


def test_zones_are_those_where_the_phone_may_be() -> None:
    assert zones("+390612345678") == ("Europe/Rome",)
    assert "Australia/Perth" in zones("+61412345678")
    assert zones("+881612345678") == ()
    assert zones("nonsense") == ()


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+390612345678", "+39 06 ••• 5678"),
        ("+12125550123", "+1 21 ••• 0123"),
        ("+37261234", "+372 ••• 34"),
        ("+3726123", "+372 •••"),
        ("0612345678", "•••"),
        ("Mario Rossi", "•••"),
        ("", "•••"),
    ],
)
def test_logs_show_a_shortened_number(number: str, shown: str) -> None:
    assert mask(number) == shown


@given(st.text(max_size=80) | st.from_regex(r"[+0-9().,/xEe' -]{0,30}", fullmatch=True))
def test_only_a_plus_and_digits_leave_whatever_is_typed(text: str) -> None:
    number = normalise(text, "IT")
    if isinstance(number, Number):
        assert E164.fullmatch(number.e164)
        assert re.fullmatch(r"\+[0-9]{6,15}", number.e164)
        assert normalise(number.e164, "US") == number


@given(st.integers(10**6, 10**14))
def test_at_least_three_digits_of_a_masked_number_are_hidden(digits: int) -> None:
    shown = mask(f"+{digits}")
    assert sum(char.isdigit() for char in shown) <= len(str(digits)) - 3


# --- the fast reader --------------------------------------------------------------------------------------------------


def _forms(country: str, chance: random.Random) -> str:
    """A number of `country` in some notation, often with a digit changed."""
    metadata = PhoneMetadata.metadata_for_region(country)
    kinds = ("fixed_line", "mobile", "premium_rate", "toll_free", "shared_cost", "voip", "uan", "personal_number")
    examples = [d.example_number for kind in kinds if (d := getattr(metadata, kind)) and d.example_number]
    national, code = chance.choice(examples), str(metadata.country_code)
    before = chance.choice([f"+{code}", metadata.national_prefix or "", "", code, f"00{code}", "0", f"011{code}"])
    text = before + national
    at = chance.randrange(len(text))
    return text[:at] + (str(chance.randrange(10)) if chance.random() < 0.6 else text[at]) + text[at + 1 :]


@pytest.mark.parametrize("seed", range(3))
def test_the_fast_reader_says_what_the_careful_one_says_in_every_country(seed: int) -> None:
    chance = random.Random(seed)
    for country in sorted(phonenumbers.SUPPORTED_REGIONS):
        reader = NumberReader(country)
        for _ in range(5):
            form = _forms(country, chance)
            # The same beginning with other last digits: what was learnt of the first must hold for all.
            for _ in range(6):
                cut = chance.randrange(1, 8)
                text = form[:-cut] + "".join(str(chance.randrange(10)) for _ in form[-cut:])
                careful = normalise(text, country)
                expected = careful.e164 if isinstance(careful, Number) else careful
                assert reader.read(text) == expected, (country, text)


def test_the_fast_reader_knows_a_plan_after_a_few_numbers() -> None:
    chance, reader = random.Random(1), NumberReader("IT")
    learnt = []
    learn = reader._learn
    reader._learn = lambda digits: (learnt.append(digits), learn(digits))[1]  # type: ignore[method-assign]
    for _ in range(5_000):
        mobile = f"3{chance.choice('2345678')}{chance.randrange(10**8):08d}"
        assert reader.read(chance.choice([mobile, f"+39 {mobile}", f"0039{mobile}"])) == f"+39{mobile}"
    assert len(learnt) < 150  # of 5,000 numbers read


@given(st.text(max_size=40) | st.from_regex(r"[+0-9().,/xEe' -]{0,30}", fullmatch=True))
def test_the_fast_reader_agrees_on_any_text(text: str) -> None:
    careful = normalise(text, "IT")
    assert NumberReader("IT").read(text) == (careful.e164 if isinstance(careful, Number) else careful)


def test_a_hostile_file_does_not_fill_the_memory() -> None:
    reader = NumberReader("IT", limit=50)
    for start in range(300, 400):
        for middle in range(100):
            reader.read(f"+39{start}{middle:02d}12345")
    assert reader._size <= 50
    assert sum(len(known) for _, known in reader._known) <= 50


def test_a_number_as_we_keep_it_is_taken_apart_as_the_library_does() -> None:
    chance = random.Random(11)
    seen: set[int] = set()
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in range(11):
            example = phonenumbers.example_number_for_type(region, kind)
            if example is None:
                continue
            for changed in (0, 3, 6):
                number = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
                number = number[: len(number) - changed] + "".join(chance.choices("0123456789", k=changed))
                kept = normalise(number, "IT")
                if isinstance(kept, Number):
                    assert parse_e164(kept.e164) == phonenumbers.parse(kept.e164), kept
                    seen.add(phonenumbers.parse(kept.e164).country_code or 0)
    assert len(seen) > 200


@pytest.mark.parametrize("text", ["", "+", "erased-0123456789abcdef", "+39", "0612345678", "+99900000000"])
def test_what_is_no_number_of_ours_is_in_no_zone(text: str) -> None:
    assert parse_e164(text) is None
    assert zones(text) == ()


def test_numbers_that_share_a_head_are_in_the_same_zones() -> None:
    """The waterfall asks about one number for all that share as much as `zone_heads` says."""
    chance = random.Random(7)
    seen: dict[str, tuple[str, tuple[str, ...]]] = {}
    for country in ("US", "CA", "DO", "JM", "IT", "FR", "ES", "GB", "BR", "AU", "RU", "MX", "PT", "ID"):
        code = f"+{phonenumbers.country_code_for_region(country)}"
        plain = ZONE_HEAD_AMERICA if code == "+1" else ZONE_HEAD
        length = max(PhoneMetadata.metadata_for_region(country).general_desc.possible_length)
        for _ in range(600):
            number = code + "".join(chance.choice("0123456789") for _ in range(length))
            if not phonenumbers.is_valid_number(phonenumbers.parse(number)):
                continue
            shared = next((length for length, heads in zone_heads().items() if number[:5] in heads), plain)
            first, there = seen.setdefault(number[:shared], (number, zones(number)))
            assert zones(number) == there, f"{number} and {first} share {number[:shared]}"
    assert len(seen) > 500
