"""Arrays as we write them reach PostgreSQL as they were, whatever stands in them."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns.db import array

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.one_of(TEXT, st.sampled_from(['"', '","', "\\", '\\"', "NULL", "{}", ",", "", " a ", "+390612345678"])))
)
def test_text_comes_back_as_it_was(session: Session, values: list[str]) -> None:
    assert session.scalar(text("SELECT CAST(:a AS text[])"), {"a": array(values)}) == values


@pytest.mark.parametrize("values", [[], [0], [1, -32768, 2**63 - 1]])
def test_so_do_numbers(session: Session, values: list[int]) -> None:
    assert session.scalar(text("SELECT CAST(:a AS bigint[])"), {"a": array(values)}) == values
