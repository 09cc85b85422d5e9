import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.errors import BadInput
from dialer.scripts import LENGTH, checked, fields_of, fill

BRUNO = {"first_name": "Bruno", "company": "Rossi & C.", "custom.colour": "red"}


def test_fields_are_put_in_their_places() -> None:
    script = checked("Good morning {first_name}, from {company}.\nYour {custom.colour} car ...")
    assert fill(script, BRUNO) == "Good morning Bruno, from Rossi & C..\nYour red car ..."
    assert fields_of(script) == ("first_name", "company", "custom.colour")


def test_what_is_missing_is_said_or_has_another_word() -> None:
    assert fill("Hello {last_name|there}", BRUNO) == "Hello there"
    assert fill("Hello {last_name|}!", BRUNO) == "Hello !"
    assert fill("Hello {last_name}, {custom.size}", BRUNO) == "Hello [no last name], [no size]"


def test_doubled_braces_are_braces() -> None:
    assert fill(checked("{{first_name}} is {first_name}"), BRUNO) == "{first_name} is Bruno"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("Hello {nome}", "line 1: there is no field 'nome'"),
        ("Hello\n{first name}", "line 2: there is no field 'first name'"),
        ("{first_name.__class__}", "there is no field"),
        ("{0}", "there is no field '0'"),
        ("{}", "there is no field ''"),
        ("{custom.}", "there is no field"),
        ("{first_name!r}", "there is no field"),
        ("a { b", "a single {"),
        ("one\ntwo\n}", "line 3: a single }"),
        ("a\x1b[31mb", r"control character U\+001B"),
        ("x" * (LENGTH + 1), "20,000 are allowed"),
    ],
)
def test_what_is_no_script_is_refused_with_its_line(script: str, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        checked(script)


@given(st.text(max_size=60))
def test_foreign_text_is_put_in_as_text_and_once(name: str) -> None:
    filled = fill("<{first_name|-}>", {"first_name": name})
    assert filled.startswith("<")
    assert filled.endswith(">")
    assert filled.isprintable()
    assert fill("{first_name}", {"first_name": "{last_name} {{x}}", "last_name": "no"}) == "{last_name} {{x}}"


@given(st.text(alphabet="{}|ab._ ", max_size=30))
def test_any_script_is_either_refused_or_can_be_read(text: str) -> None:
    try:
        script = checked(text)
    except BadInput:
        return
    assert fill(script, {}).isprintable()
