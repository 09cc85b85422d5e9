"""What comes from outside is shown, sent or taken for an id only in a shape that can do no harm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.pbx.foreign import foreign_id, inert, is_entity_id, is_number, is_reference, masked


@pytest.mark.parametrize("text", ["187", "390612345678", "+390612345678", "1" * 15])
def test_a_phone_number_is_digits_with_at_most_a_leading_plus(text: str) -> None:
    assert is_number(text)


@pytest.mark.parametrize(
    "text",
    ["", "+", "12", "+12", "++390612", "39 06", "39-06", "0039a", "1" * 16, "٠٦١٢٣٤", "１２３", "123\n", "12.3E+11"],
)
def test_nothing_else_is_a_phone_number(text: str) -> None:
    assert not is_number(text)


def test_ids_are_digits_and_references_a_plain_word() -> None:
    assert is_entity_id("0")
    assert is_entity_id("9" * 20)
    for wrong in ("", "-1", "1.0", "٣", "1\n", "9" * 21, "1 or 1"):
        assert not is_entity_id(wrong)
    assert is_reference("c81-0007.cust:1_x")
    for wrong in ("", "a b", "a&b", "a=b", "ä", "x" * 65, "a\n"):
        assert not is_reference(wrong)


def test_an_id_from_outside_is_kept_or_is_none() -> None:
    assert foreign_id("17012345678901") == "17012345678901"
    for nothing in (None, "", "-1", "a b", "<i>", "x" * 65, "1\n"):
        assert foreign_id(nothing) is None


def test_a_number_is_shown_by_its_ends() -> None:
    assert masked("+390612345678") == "+39…78"
    assert masked("187") == "187"


@given(st.text(), st.integers(2, 300))
def test_inert_text_is_one_printable_line_of_at_most_its_length(text: str, limit: int) -> None:
    shown = inert(text, limit)
    assert shown.isprintable()
    assert len(shown) <= limit


def test_a_long_text_is_cut_and_says_so() -> None:
    assert inert("\x1b[2J" + "é" * 1_000_000, 20) == "[2J" + "é" * 16 + "…"
