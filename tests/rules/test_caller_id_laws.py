"""What each pack says of the number people are shown."""

import pytest

from dialer.abandonment import PACKS
from dialer.caller_id_laws import objections
from dialer.modes import AGENTLESS, MANUAL, PREDICTIVE, PREVIEW

ROME, PARIS, VERIFIED, MOBILE, LONDON = "+390612345678", "+33142345678", "+33162345678", "+33612345678", "+442071234567"


def told(pack: str, number: str, mode: str = PREDICTIVE) -> list[bool]:
    return [one.barred for one in objections(number, [(pack, rule) for rule in PACKS[pack].calling.caller_ids], mode)]


@pytest.mark.parametrize(
    ("pack", "number", "mode", "barred"),
    [
        ("fr-2026", MOBILE, PREDICTIVE, [True]),
        ("fr-2026", "+33751234567", AGENTLESS, [True]),
        ("fr-2026", MOBILE, PREVIEW, []),  # a person dials
        ("fr-2026", MOBILE, MANUAL, []),
        ("fr-2026", PARIS, PREDICTIVE, [False]),  # told, not refused: our reading of "automated" is the stricter one
        ("fr-2026", VERIFIED, PREDICTIVE, []),
        ("fr-2026", ROME, PREDICTIVE, []),  # no French number
        ("fr-2026", "4711", PREDICTIVE, [False]),
        ("it-2026", ROME, PREDICTIVE, []),
        ("it-2026", "+390844123456", PREDICTIVE, []),  # of the range for selling, which the public plan does not list
        ("it-2026", "+39061", PREDICTIVE, [False]),
        ("it-2026", "4711", PREDICTIVE, [False]),
        ("uk-2026", LONDON, PREDICTIVE, []),
        ("uk-2026", "4711", PREVIEW, [False]),
        ("us-2026", "+12125550100", PREDICTIVE, []),
        ("us-2026", "4711", PREDICTIVE, [False]),
        ("us-debt-2026", "4711", PREDICTIVE, [False]),
        ("default-2026", "4711", PREDICTIVE, []),
        ("default-2026", MOBILE, PREDICTIVE, []),
    ],
)
def test_each_pack_judges_a_caller_id(pack: str, number: str, mode: str, barred: list[bool]) -> None:
    assert told(pack, number, mode) == barred


def test_an_objection_names_the_pack_the_number_and_what_to_show_instead() -> None:
    (one,) = objections(MOBILE, [("fr-2026", rule) for rule in PACKS["fr-2026"].calling.caller_ids], PREDICTIVE)
    for word in (MOBILE, "fr-2026", "+33162"):
        assert word in str(one)


def test_every_pack_with_a_rule_says_where_it_was_read() -> None:
    for pack in PACKS.values():
        read = {reading.rule for reading in pack.calling.readings}
        assert ("caller ids" in read) == bool(pack.calling.caller_ids), pack.name
