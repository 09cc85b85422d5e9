from dataclasses import replace

import pytest

from dialer.dispositions import BUILT_IN, DOES, MEANINGS, Disposition, checked
from dialer.errors import BadInput
from dialer.retries import Rule

LATER = Disposition("later", "Later", "human", "retry", Rule(delay=60))


def test_every_built_in_word_makes_sense_and_every_meaning_has_one() -> None:
    assert [checked(one) for one in BUILT_IN] == list(BUILT_IN)
    assert {one.meaning for one in BUILT_IN} == set(MEANINGS)
    assert {one.does for one in BUILT_IN} == set(DOES)
    assert len({one.code for one in BUILT_IN}) == len(BUILT_IN)


def test_code_and_label_are_tidied() -> None:
    tidy = checked(replace(LATER, code=" Later ", label="  Not   now "))
    assert (tidy.code, tidy.label) == ("later", "Not now")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"code": ""}, "a code is"),
        ({"code": "two words"}, "a code is"),
        ({"code": "=cmd|calc"}, "a code is"),
        ({"code": "x" * 31}, "a code is"),
        ({"label": " "}, "label"),
        ({"label": "a\x1b[31mb"}, "label"),
        ({"label": "x" * 61}, "label"),
        ({"meaning": "maybe"}, "there is no meaning"),
        ({"does": "explode"}, "it can close"),
        ({"does": "close"}, "only a retry"),
        ({"everywhere": True}, "only do-not-call"),
        ({"meaning": "do-not-call"}, "put on the list"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(change: dict[str, object], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        checked(replace(LATER, **change))  # type: ignore[arg-type]
