import pytest

from dialer.abandonment import PACKS
from dialer.loosening import loosened


@pytest.mark.parametrize("name", PACKS)
def test_a_pack_loosens_nothing_of_itself_and_only_laws_of_calls_are_lost_without_one(name: str) -> None:
    assert loosened(PACKS[name], PACKS[name]) == []
    assert "rest after an abandoned call" in loosened(PACKS[name], None)
    assert "windows of the abandonment rate" not in loosened(PACKS[name], None)


def test_what_the_new_pack_does_not_ask_is_named() -> None:
    it, us, fr, debt = (PACKS[name] for name in ("it-2026", "us-2026", "fr-2026", "us-debt-2026"))
    assert loosened(it, fr) == [
        "hours on the day before a holiday", "holidays", "rest with an agent kept",
        "an agent kept after an abandoned call", "rest after an abandoned call", "windows of the abandonment rate",
    ]  # fmt: skip
    assert "hours" in loosened(fr, it)
    assert {"how often", "consent", "rest after a no"} <= set(loosened(fr, it))
    assert "how often in US-FL" in loosened(us, debt)
    assert loosened(debt, us)[0] == "how often"


def test_stricter_hours_loosen_nothing() -> None:
    assert "hours" not in loosened(PACKS["us-2026"], PACKS["it-2026"])  # 9-20 lies within 8-21
    assert "hours" in loosened(PACKS["it-2026"], PACKS["us-2026"])


def test_from_the_default_to_the_us_pack_only_the_windows_change() -> None:
    assert loosened(PACKS["default-2026"], PACKS["us-2026"]) == ["windows of the abandonment rate"]
