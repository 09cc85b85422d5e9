"""The rules of a run that need no PBX: what follows from lines, what belongs to a call, what a report hides."""

from datetime import UTC, datetime, timedelta

import pytest

from campaigns.conformance_report import Mask, mask_of
from dialer.conformance.lines import Decision, does_not, untold, works
from dialer.conformance.outcome import conclude
from dialer.conformance.phones import Phones
from dialer.conformance.probe import Probe
from dialer.pbx.base import CallEvent, Feature, Heard, Role
from dialer.settings import PbxSettings

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ALL = frozenset(Feature) - {Feature.AGENT_FIRST}
SEEN = [works("x", "seen", one) for one in ALL]


def test_a_mode_is_seen_only_when_all_it_needs_was() -> None:
    assert conclude(ALL, SEEN, []).seen == ("predictive", "progressive", "power", "preview", "manual", "agentless")
    without = [line for line in SEEN if line.feature is not Feature.JOIN]
    found = conclude(ALL, without, [])
    assert (found.seen, found.lost) == (("agentless",), ())
    assert found.open == ("predictive", "progressive", "power", "preview", "manual")
    assert (found.ok, found.features[Feature.JOIN]) == (True, "could not be told")


def test_what_failed_once_has_failed_though_it_worked_before() -> None:
    found = conclude(ALL, [*SEEN, does_not("join", "not joined", "mend it", Feature.JOIN)], [])
    assert found.lost == ("predictive", "progressive", "power", "preview", "manual")
    assert (found.ok, found.seen, found.features[Feature.JOIN]) == (False, ("agentless",), "does not")


def test_a_broken_join_does_not_make_an_agent_first_pbx_of_it() -> None:
    """The dialer joins where a PBX says it can; it does not fall back to ringing agents first."""
    both = frozenset(Feature)
    lines = [*SEEN, works("y", "seen", Feature.AGENT_FIRST)]
    assert "predictive" in conclude(both, lines, []).seen
    broken = conclude(both, [*lines, does_not("join", "no", "mend", Feature.JOIN)], [])
    assert (broken.lost, broken.open) == (("predictive", "progressive", "power", "preview", "manual"), ())


def test_what_could_not_be_told_is_no_fault() -> None:
    assert conclude(ALL, [untold("x", "nobody answered", "again")], []).ok


def test_a_setting_that_is_right_is_said_to_be_and_only_another_is_a_change() -> None:
    right, wrong = Decision("a", "customer", "customer", "seen"), Decision("b", "agent", "unknown", "seen")
    found = conclude(ALL, [], [right, wrong])
    assert (found.kept, found.changes) == ((right,), (wrong,))


def probe(**more: object) -> Probe:
    return Probe("probe0123abcd-c1", NOW, number="+390612345678", user_id="215", agent_first=True, **more)  # type: ignore[arg-type]


def event(**more: object) -> CallEvent:
    told = {"heard": Heard.ANSWERED, "name": "connected", "role": Role.CUSTOMER, "call_id": "7", **more}
    return CallEvent(**told)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("told", "ours"),
    [
        ({"ref": "probe0123abcd-c1"}, "our reference"),
        ({"ref": "d1-c1"}, ""),  # a campaign's, whatever else agrees
        ({"ref": "d1-c1", "user_id": "215", "number": "+390612345678"}, ""),
        ({"user_id": "215", "number": "+390612345678"}, "agent and number"),
        ({"user_id": "215", "number": "+390699999999"}, ""),
        ({"user_id": "216", "number": "+390612345678"}, ""),
        ({"user_id": "215", "number": "+390612345678", "began": NOW - timedelta(seconds=5)}, ""),  # an earlier call
    ],
)
def test_which_events_are_of_a_call(told: dict[str, object], ours: str) -> None:
    one = probe()
    assert one.take(event(**told), NOW + timedelta(seconds=1)) is bool(ours)
    assert one.found_by == ours


def test_once_known_by_its_id_a_call_takes_no_other_by_agent_and_number() -> None:
    one = probe()
    assert one.take(event(user_id="215", number="+390612345678"), NOW)
    assert one.call_id == "7"
    assert not one.take(event(user_id="215", number="+390612345678", call_id="8"), NOW)
    assert one.take(event(heard=Heard.ENDED), NOW)
    assert one.ended


def test_a_report_hides_every_secret_and_the_middle_of_every_number() -> None:
    settings = PbxSettings(url="http://127.0.0.1:9/x", token_env="T", webhook_secret_env="W")
    environ = {"T": "agent15=canary-one\nagent16=canary-two", "W": "canary-hook"}
    phones = Phones(numbers=("+390612345678",), caller_id="+390210001000")
    hide = mask_of("main", settings, phones, environ)
    text = (
        "canary-one canary-two canary-hook 390612345678 +390612345678 00390612345678 +390210001000 +441632960961 "
        "170000000001 2026-03-02"
    )
    shown = hide(text)
    assert "canary" not in shown
    assert "12345678" not in shown.replace("…", "")
    assert "10001000" not in shown
    assert "+44 16 ••• 0961" in shown
    assert "170000000001 2026-03-02" in shown, "ids and days are what support needs"


def test_a_short_secret_does_not_star_half_of_the_report() -> None:
    assert Mask(("ab",), Phones())("about") == "about"
