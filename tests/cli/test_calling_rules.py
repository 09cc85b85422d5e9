import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.installation import ensure_installation
from campaigns.models import Ledger
from tests.cli.conftest import Dialer


@pytest.fixture
def spring(dialer: Dialer, session: Session) -> Dialer:
    dialer.ok("campaign", "create", "spring", "--caller-id", "+390551234567")
    ensure_installation(session.get_bind())  # type: ignore[arg-type]
    return dialer


def test_the_rules_of_retry_are_shown_with_what_holds(spring: Dialer) -> None:
    told = spring.json("campaign", "retry", "spring")
    rules = {one["outcome"]: one for one in told["rules"]}
    assert (rules["busy"]["delay"], rules["no_answer"]["delay"], rules["abandoned"]["delay"]) == (600, 3600, 72 * 3600)
    assert (rules["unavailable"]["most"], rules["busy"]["most"]) == (2, None)
    assert told["max_attempts"] == 3
    shown = spring("campaign", "retry", "spring")
    assert "no answer" in shown.stdout
    assert "at most 3 attempts per contact" in shown.stderr


def test_a_rule_is_set_taken_back_and_forgotten(spring: Dialer, session: Session) -> None:
    (busy,) = spring.json("campaign", "retry", "spring", "busy", "--delay", "5m", "--most", "2", "--next-number",
                          "--days", "1")["rules"]  # fmt: skip
    assert (busy["delay"], busy["set"]) == (300, {"delay": 300.0, "most": 2, "next_number": True, "days": 1})
    assert "the other number first, 1 day later" in spring.ok("campaign", "retry", "spring", "busy")
    (busy,) = spring.json("campaign", "retry", "spring", "busy", "--delay", "usual", "--same-number")["rules"]
    assert busy["set"] == {"most": 2, "days": 1}
    (busy,) = spring.json("campaign", "retry", "spring", "busy", "--reset")["rules"]
    assert (busy["delay"], busy["set"]) == (600, {})
    kept = session.scalars(select(Ledger).where(Ledger.kind == "retry_rule").order_by(Ledger.id)).all()
    assert [row.details["new"].get("most") for row in kept] == [2, 2, None]


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (("completed", "--delay", "5m"), 4, "has no retry rule"),
        (("refused", "--delay", "5m"), 4, "has no retry rule"),
        (("busy", "--delay", "soon"), 2, "no duration"),
        (("busy", "--delay", "400d"), 2, "must be between"),
        (("busy", "--reset", "--days", "1"), 2, "alone"),
        (("abandoned", "--next-number"), 2, "person rests"),
        (("--delay", "5m"), 2, "name the outcome"),
    ],
)
def test_what_cannot_be_a_rule_is_told(spring: Dialer, args: tuple[str, ...], code: int, told: str) -> None:
    result = spring("campaign", "retry", "spring", *args)
    assert (result.exit_code, told in result.stderr) == (code, True), result.stderr


def test_caps_are_set_shown_and_not_taken_away_without_a_reason(spring: Dialer) -> None:
    assert "no caps" in spring("campaign", "caps", "spring").stderr
    set_to = spring.json("campaign", "caps", "spring", "--number", "3/day,7/7d", "--contact", "1 talk/7d")
    assert (set_to["number"], set_to["contact"], set_to["changed"]) == (
        "3/day, 7/7d",
        "1 talk/7d",
        ["number_caps", "contact_caps"],
    )
    assert "each number has at most 3 calls a day" in spring.ok("campaign", "caps", "spring")
    assert spring("campaign", "caps", "spring", "--number", "none").exit_code == 2
    assert spring.json("campaign", "caps", "spring", "--number", "none", "--why", "the client asked")["number"] == ""
    wrong = spring("campaign", "caps", "spring", "--number", "often")
    assert (wrong.exit_code, "write it as 3/day" in wrong.stderr) == (2, True)
