from typing import Any

import pytest

from dialer.errors import BadInput
from dialer.forms import Field, answers, parse_all

FORM = parse_all(["budget*:number", "interest:hot|warm|cold", "until:date", "owner:yes-no", "remark"])


@pytest.mark.parametrize("field", FORM)
def test_a_field_is_kept_and_written_as_it_was(field: Field) -> None:
    assert Field.of(field.as_json()) == field
    assert Field.parse(str(field)) == field


@pytest.mark.parametrize(
    "wrong", ["", "*", "Budget", "1st", "two words", "a:money", "a:", "a:x|", "a:one", "x" * 31, "a:\x1b|b"]
)
def test_what_is_no_field_is_refused(wrong: str) -> None:
    with pytest.raises(BadInput, match="form field"):
        Field.parse(wrong)


def test_a_form_has_each_name_once_and_an_end() -> None:
    with pytest.raises(BadInput, match="twice"):
        parse_all(["a", "a:number"])
    with pytest.raises(BadInput, match="50 are allowed"):
        parse_all(f"a{n}" for n in range(51))


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("budget", "120", 120),
        ("budget", " 9,5 ", 9.5),
        ("budget", "-3", -3),
        ("interest", "HOT", "hot"),
        ("until", "2026-03-31", "2026-03-31"),
        ("owner", "Yes", True),
        ("owner", "n", False),
        ("remark", "=1+1\x1b", "=1+1"),
    ],
)
def test_an_answer_that_fits_is_kept(name: str, given: str, kept: Any) -> None:
    assert answers(FORM, {}, {name: given}, complete=False)[name] == kept


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("budget", "much"), ("budget", "1e9"), ("budget", ""), ("interest", "tepid"), ("until", "tomorrow"),
        ("owner", "perhaps"), ("remark", " "), ("remark", "x" * 1_001),
    ],
)  # fmt: skip
def test_an_answer_that_does_not_fit_is_refused_with_what_would(name: str, given: str) -> None:
    with pytest.raises(BadInput, match=f"form field {name}.*it takes"):
        answers(FORM, {}, {name: given}, complete=False)


def test_an_unknown_field_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadInput, match="no field 'size'; there are budget, interest"):
        answers(FORM, {}, {"size": "1"}, complete=False)


def test_what_a_sale_cannot_be_without_must_be_there_by_now() -> None:
    with pytest.raises(BadInput, match="wants budget"):
        answers(FORM, {}, {"remark": "x"}, complete=True)
    assert answers(FORM, {"budget": 1}, {"remark": "x"}, complete=True) == {"budget": 1, "remark": "x"}
    assert answers(FORM, {"budget": 1}, {"budget": "2"}, complete=True) == {"budget": 2}
