"""The searches that name the few whom a cap or the do-not-call list may hold: each alone finds somebody.

What a search leaves out is never asked about, so each scenario is also told with the search sabotaged, and must then be
told wrongly.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType, ModuleType
from typing import Any

import pytest
from sqlalchemy.orm import Session

from campaigns import waterfall, waterfall_listed, waterfall_often, waterfall_plan
from campaigns.models import Campaign, Contact, DoNotCall
from dialer.calls import CallState
from tests import factories

NOW = datetime(2026, 3, 3, 15, 0, tzinfo=UTC)
FIRST, SECOND, THIRD, GONE = (f"+39065555000{n}" for n in range(1, 5))
Scenario = Callable[[Session], Campaign]


def counts(session: Session, campaign: Campaign) -> dict[str, int]:
    session.flush()
    fall = waterfall.waterfall(session, campaign, now=NOW, ring_seconds=30.0)
    return {step.rule: step.contacts for step in fall.steps}


def campaign(session: Session, **values: Any) -> Campaign:
    return factories.campaign(session, hours="always", mode="progressive", number_gap=0.0, **values)


def somebody(session: Session, of: Campaign, **values: Any) -> Contact:
    return factories.contact(session, of, **{"phone": FIRST, "next_at": NOW, **values})


def called(
    session: Session, number: str, days: int, of: Campaign | None = None, contact: Contact | None = None
) -> None:
    """A call that rang; without a contact it is somebody else's, of another campaign."""
    at = NOW - timedelta(days=days)
    if contact is None:
        of = factories.campaign(session)
        contact = factories.contact(session, of, phone=number, state="closed", next_at=None)
    factories.attempt(
        session, of, contact=contact, number=number, state=CallState.NO_ANSWER, ordered_at=at, sent_at=at,
        ended_at=at + timedelta(seconds=30),
    )  # fmt: skip


def calls_of_others(
    *numbers: str, caps: str = "contact_caps", also: Mapping[str, str] = MappingProxyType({}), **values: Any
) -> Scenario:
    def make(session: Session) -> Campaign:
        made = campaign(session, **{caps: "2/7d"}, **also)
        somebody(session, made, **values)
        for days, number in enumerate(numbers, start=2):
            called(session, number, days)
        return made

    return make


def called_and_changed(*numbers: str, was: Mapping[str, Any], becomes: Mapping[str, Any]) -> Scenario:
    def make(session: Session) -> Campaign:
        made = campaign(session, contact_caps="2/7d")
        one = somebody(session, made, **was)
        for days, number in enumerate(numbers, start=2):
            called(session, number, days, made, one)
        session.flush()
        for name, value in becomes.items():
            setattr(one, name, value)
        return made

    return make


def listed(number: str, **values: Any) -> Scenario:
    def make(session: Session) -> Campaign:
        made = campaign(session)
        somebody(session, made, **values)
        session.add(DoNotCall(number=number, source="test", campaign_id=made.id))
        session.add(DoNotCall(number=number, source="test"))
        for n in range(3):  # somebody else's contact, with numbers beyond and between
            factories.contact(session, factories.campaign(session), phone=f"+390655550{n}")
        return made

    return make


OFTEN = {
    "first": ("_ONE_NUMBER", "phone = called.number", calls_of_others(FIRST, FIRST, caps="number_caps")),
    "next": ("_ONE_NUMBER", "next_number = called.number", calls_of_others(GONE, GONE, next_number=GONE)),
    "as often as the least cap": (
        "_OF_A_KIND", ">= :least", calls_of_others(FIRST, FIRST, caps="number_caps"),
    ),
    "as often, of those that count": (
        "_THAT_COUNT", ">= :least", calls_of_others(FIRST, FIRST, caps="number_caps"),
    ),
    "for one kind of cap of two": (
        "_ONE_NUMBER", "phone = called.number",
        calls_of_others(FIRST, FIRST, also={"number_caps": "9/30d"}),
    ),
    "first and second": ("_SECOND", "phone2 = called.number", calls_of_others(FIRST, SECOND, phone2=SECOND)),
    "first and second, as often": (
        "_SECOND", ">= :least", calls_of_others(FIRST, SECOND, phone2=SECOND),
    ),
    "first and third": (
        "_MORE", "k.more_numbers IS NOT NULL", calls_of_others(FIRST, THIRD, phone2=SECOND, more_numbers=[THIRD]),
    ),
    "first and third, as often": (
        "_MORE", ">= :least", calls_of_others(FIRST, THIRD, phone2=SECOND, more_numbers=[THIRD]),
    ),
    **{
        f"a {which} number that was taken away": (
            "_LOST", "k.renumbered", called_and_changed(*calls, was=was, becomes=becomes)
        )
        for which, calls, was, becomes in (
            ("first", (GONE, GONE), {"phone": GONE}, {"phone": FIRST}),
            ("second", (FIRST, GONE), {"phone2": GONE}, {"phone2": None}),
            ("second, for another", (FIRST, GONE), {"phone2": GONE}, {"phone2": SECOND}),
            ("third", (FIRST, GONE), {"phone2": SECOND, "more_numbers": [GONE]}, {"more_numbers": None}),
            ("next", (FIRST, GONE), {"next_number": GONE}, {"next_number": None}),
        )
    },
    "one that was taken away, as often": (
        "_LOST", ">= :least", called_and_changed(FIRST, GONE, was={"phone2": GONE}, becomes={"phone2": None})
    ),
}  # fmt: skip


def test_every_search_for_those_called_often_has_somebody_whom_it_alone_finds() -> None:
    searches = {name for name, sql in vars(waterfall_often).items() if isinstance(sql, str) and ":least" in sql}
    assert searches | {"_ONE_NUMBER"} == {search for search, _, _ in OFTEN.values()}


@pytest.mark.parametrize("name", list(OFTEN))
def test_who_was_called_often_is_found_and_by_that_search_alone(
    session: Session, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    search, words, scenario = OFTEN[name]
    made = scenario(session)
    assert counts(session, made) == {"caps": 1}
    instead = words.replace(">=", ">") if ">=" in words else f"false AND {words}"
    sabotage(monkeypatch, waterfall_often, search, words, instead)
    assert counts(session, made) == {}


def sabotage(monkeypatch: pytest.MonkeyPatch, module: ModuleType, search: str, words: str, instead: str) -> None:
    whole = getattr(module, search)
    assert words in whole
    monkeypatch.setattr(module, search, whole.replace(words, instead))


def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waterfall_plan, "guessed_rows", never)


def with_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waterfall_listed, "_FEW", 0)
    monkeypatch.setattr(waterfall_listed, "_DEARER", 10**9)


def with_many_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waterfall_listed, "_FEW", 0)
    monkeypatch.setattr(waterfall_listed, "_MOST_LISTS", 0)
    monkeypatch.setattr(waterfall_plan, "guessed_rows", never)


def with_its_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waterfall_listed, "_FEW", 0)
    monkeypatch.setattr(waterfall_listed, "_DEARER", 0)


def never(*_: object) -> float:
    raise AssertionError("nobody needs to guess here")


LISTED = {
    "one by one": (one_by_one, "_ONE_BY_ONE", "number BETWEEN", listed(FIRST)),
    "beside all": (with_all, "_OF_ALL", "phone BETWEEN", listed(FIRST)),
    "beside all, many lists": (with_many_lists, "_OF_ALL", "phone BETWEEN", listed(FIRST)),
    "beside its lists": (with_its_lists, "_OF_ONE_LIST", "list_id =", listed(FIRST)),
    "the next number": (one_by_one, "_OF_NEXT", "k.next_number IS NOT NULL", listed(GONE, next_number=GONE)),
    "the next number, beside all": (with_all, "_OF_NEXT", "k.next_number IS NOT NULL", listed(GONE, next_number=GONE)),
    "whose list it is": (with_all, "_LISTED", "e.number = met.number", listed(FIRST)),
}


@pytest.mark.parametrize("name", list(LISTED))
def test_who_is_on_the_do_not_call_list_is_found_however_it_is_searched(
    session: Session, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    way, search, words, scenario = LISTED[name]
    way(monkeypatch)
    made = scenario(session)
    assert counts(session, made) == {"do_not_call": 1}
    sabotage(monkeypatch, waterfall_listed, search, words, f"false AND {words}")
    assert counts(session, made) == {}


@pytest.mark.parametrize("way", [one_by_one, with_all, with_many_lists, with_its_lists])
def test_a_number_on_the_list_of_another_campaign_or_not_the_next_one_holds_nobody(
    session: Session, monkeypatch: pytest.MonkeyPatch, way: Callable[[pytest.MonkeyPatch], None]
) -> None:
    way(monkeypatch)
    made, other = campaign(session), campaign(session)
    somebody(session, made)
    somebody(session, made, phone=SECOND, phone2=THIRD, next_number=THIRD)
    session.add(DoNotCall(number=FIRST, source="test", campaign_id=other.id))
    session.add(DoNotCall(number=SECOND, source="test"))
    assert counts(session, made) == {}
