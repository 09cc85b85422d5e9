"""What spreadsheets do to numbers: told, never guessed at, and the same by the quick reader and the careful one."""

import pytest

from dialer.number_reader import NumberReader
from dialer.numbers import Number, NumberProblem, normalise


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("3,90612E+11", "exponent"), ("3.9E11", "exponent"), ("390612345678.0", "decimal"), ("0612345678,0", "decimal"),
        ("612345678", "lost leading zero"), ("06-12-2024", "a date"), ("6.12.2024", "a date"), ("06/12/1999", "a date"),
        ("2024-12-06", "a date"), ("########", "too narrow"), ("0612345678/9", "two numbers"),
        ("06 12345678/79", "two numbers"), ("06 12345678 / 9", "two numbers"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("country", ["IT"])
def test_damage_is_named(text: str, told: str, country: str) -> None:
    for problem in (normalise(text, country), NumberReader(country).read(text)):
        assert isinstance(problem, NumberProblem)
        assert told in problem.reason


@pytest.mark.parametrize(
    ("text", "country", "number"),
    [
        ("06/12345678", "IT", "+390612345678"), ("06-1234-5678", "IT", "+390612345678"),
        ("06/12/34/56/78", "FR", "+33612345678"), ("030/123456", "DE", "+4930123456"),
        ("06-13-2024", "IT", "+3906132024"),
        ("0039 06 12345678", "IT", "+390612345678"), ("'+390612345678", "IT", "+390612345678"),
    ],
)  # fmt: skip
def test_what_only_resembles_it_is_read(text: str, country: str, number: str) -> None:
    careful = normalise(text, country)
    assert isinstance(careful, Number)
    assert (careful.e164, NumberReader(country).read(text)) == (number, number)
