"""What is VoIPLine's own: its events, its histories, its account, and the two reasons of its 401."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.errors import EventTrouble, PbxBusy, PbxLockedOut, PbxRefused, SettingsError
from dialer.pbx.base import AgentFirstOrder, CallOutcome, Heard, Payload, Role, Room
from dialer.pbx.request_book import Account, Budget, LocalBook, room
from dialer.pbx.voipline import CLOSED_FOR, VoiplinePbx
from dialer.pbx.voipline_history import PAGE
from dialer.settings import PbxSettings
from tests.pbx.voipline_peer import VoiplinePeer

ORDER = AgentFirstOrder("f1", "1010", "1010", "+390612345678", "+390210001000")
LONG_AGO = datetime(2026, 3, 1, tzinfo=UTC)


class Time:
    """A stopwatch that is turned by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def peer() -> Iterator[VoiplinePeer]:
    peer = VoiplinePeer()
    yield peer
    peer.close()


def opened(peer: VoiplinePeer, book: LocalBook | None = None, key: str = "key-1", **extra: str) -> VoiplinePbx:
    settings = PbxSettings(
        kind="voipline", url=peer.url, token_env="KEY", extra={"agents": "1010=Ten", "slow_below": "0", **extra}
    )
    return VoiplinePbx("main", settings, requests=book, environ={"KEY": key})


def event(**fields: object) -> Payload:
    told = {
        "type": "user_outbound_answered", "unique_call_id": "170000000001", "caller_id": "61255500999",
        "user_name": "Agent Ten", "user_number": "1010", "dest_number": "61255500123",
        "call_start_at": "2026-02-03T04:05:06.000Z", "connected_at": "2026-02-03T04:05:21.000Z",
    }  # fmt: skip
    return Payload("POST", "", json.dumps({**told, **fields}).encode(), "application/json")


def test_an_order_travels_as_a_form_with_the_key_in_a_header(peer: VoiplinePeer) -> None:
    pbx = opened(peer, fields="user=Anna")
    assert pbx.call_for_agent(ORDER) == "170000000001"
    assert peer.orders == [
        {"user": "Anna", "user_number": "1010", "number_to_call": "+390612345678", "caller_id": "+390210001000"}
    ]
    (request,) = peer.server.requests
    assert request.headers["token"] == "key-1"
    assert request.params == {}


def test_or_as_json_where_the_settings_say_so_and_the_refusal_of_a_form_is_a_refusal(peer: VoiplinePeer) -> None:
    peer.wants_json = True
    with pytest.raises(PbxRefused, match="HTTP 415"):
        opened(peer).call_for_agent(ORDER)
    assert opened(peer, body="json").call_for_agent(ORDER)


def test_a_reply_without_an_id_is_accepted_and_a_good_answer_that_says_no_is_refused(peer: VoiplinePeer) -> None:
    peer.tells_ids = False
    assert opened(peer).call_for_agent(ORDER) == ""
    with pytest.raises(PbxRefused, match="it says no: unknown user"):
        opened(peer).call_for_agent(AgentFirstOrder("f2", "99", "99", "+390612345678", ""))


@pytest.mark.parametrize(
    ("fields", "heard", "role", "outcome"),
    [
        ({"type": "user_outbound"}, Heard.CALLING, Role.AGENT, None),
        ({}, Heard.ANSWERED, Role.CUSTOMER, None),
        ({"type": "user_outbound_completed"}, Heard.ENDED, Role.CUSTOMER, CallOutcome.OK),
        (
            {"type": "user_outbound_completed", "connected_at": "NULL"},
            Heard.ENDED,
            Role.CUSTOMER,
            CallOutcome.NO_ANSWER,
        ),
        ({"type": "user_outbound_completed", "connected_at": None}, Heard.ENDED, Role.CUSTOMER, CallOutcome.NO_ANSWER),
        ({"type": "user_inbound"}, Heard.ARRIVED, Role.OTHER, None),
        ({"type": "user_inbound_completed"}, Heard.ENDED, Role.OTHER, CallOutcome.OK),
        ({"type": "queue_call"}, Heard.OTHER, Role.OTHER, None),
        ({"type": "a_word_of_tomorrow"}, Heard.OTHER, Role.OTHER, None),
    ],
)
def test_each_event_has_its_meaning(
    peer: VoiplinePeer, fields: dict[str, object], heard: Heard, role: Role, outcome: CallOutcome | None
) -> None:
    told = opened(peer).read(event(**fields))
    assert (told.heard, told.role, told.outcome) == (heard, role, outcome)
    if heard is not Heard.OTHER:
        assert told.user_id == "1010"
        assert told.number == ("+61255500123" if role is not Role.OTHER else "+61255500999")
        assert told.began == datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


def test_a_talks_length_may_come_as_text_and_an_event_without_a_word_is_trouble(peer: VoiplinePeer) -> None:
    pbx = opened(peer)
    assert pbx.read(event(type="user_outbound_completed", conversation_duration="60")).talked == 60.0
    with pytest.raises(EventTrouble):
        pbx.read(event(type=""))


def test_a_401_names_both_reasons_and_stops_all_traffic_for_a_while(peer: VoiplinePeer) -> None:
    time = Time()
    pbx = opened(peer, LocalBook(time))
    peer.listed = False
    with pytest.raises(PbxLockedOut) as caught:
        pbx.call_for_agent(ORDER)
    assert "the key is wrong" in str(caught.value)
    assert "public address is not on the account's list" in str(caught.value)
    asked = len(peer.server.requests)
    with pytest.raises(PbxBusy, match="nothing is sent for 300 s"):
        pbx.call_report(LONG_AGO)
    assert pbx.room().calls == 0
    assert "the key is wrong" in pbx.room().why
    assert len(peer.server.requests) == asked
    peer.listed = True
    time.now += CLOSED_FOR
    assert pbx.call_for_agent(ORDER)
    assert pbx.room().calls > 0


@pytest.mark.parametrize(("asks_for", "waits"), [("", (60, 120, 300, 300)), ("7", (7, 7, 7, 7))])
def test_a_429_closes_the_account_for_as_long_as_it_asks_or_longer_each_time(
    peer: VoiplinePeer, asks_for: str, waits: tuple[int, ...]
) -> None:
    time = Time()
    pbx, peer.most, peer.retry_after = opened(peer, LocalBook(time)), 0, asks_for
    for wait in waits:
        with pytest.raises(PbxBusy, match="HTTP 429"):
            pbx.call_for_agent(ORDER)
        assert f"nothing is sent for {wait} s" in pbx.room().why
        time.now += wait


def test_the_account_is_never_asked_more_often_than_it_allows_and_reading_keeps_its_part(peer: VoiplinePeer) -> None:
    time = Time()
    pbx = opened(peer, LocalBook(time), requests="10", kept_back="3", window="900")
    for left in range(7, 0, -1):
        assert pbx.room().calls == left
        pbx.call_for_agent(ORDER)
        time.now += 10
    with pytest.raises(PbxBusy, match=r"7 of the 10 requests .* nothing was sent"):
        pbx.call_for_agent(ORDER)
    used = "7 of the 10 requests that the account allows in 15 min are used"
    assert pbx.room() == Room(0, f"{used}, 3 are kept for reading: the next call in 830 s")
    for _ in range(3):
        pbx.call_report(LONG_AGO)
    with pytest.raises(PbxBusy):
        pbx.call_report(LONG_AGO)
    assert len(peer.server.requests) == 10


@given(
    ages=st.lists(st.floats(0, 899), max_size=60),
    most=st.integers(2, 50),
    kept=st.integers(0, 60),
    slow=st.integers(0, 60),
)
def test_the_room_never_exceeds_what_is_left_and_always_says_why(
    ages: list[float], most: int, kept: int, slow: int
) -> None:
    budget = Budget(most, 900.0, min(kept, most - 1), slow)
    found = room(budget, Account(tuple(sorted(ages))))
    left = max(0, budget.for_calls - len(ages))
    assert 0 <= found.calls <= left
    assert f"{len(ages)} of the {most} requests" in found.why
    if left and left < slow:
        assert found.calls == (1 if min(ages, default=900.0) >= budget.gap else 0)


def test_the_history_is_read_page_by_page_and_each_call_is_told_once(peer: VoiplinePeer) -> None:
    pbx = opened(peer)
    now = datetime.now(UTC)
    from tests.pbx.agent_first_peer import Call

    for n in range(PAGE + 5):
        began = now - timedelta(seconds=n)
        over = began + timedelta(seconds=9)
        peer.book.insert(0, Call(str(n % PAGE), "1010", "390612345678", began, began, over, customer_rang=True))
    found = pbx.call_report(now - timedelta(hours=1))
    assert len({row.call_id for row in found}) == len(found) == PAGE
    assert found[0].talk_time == 9.0
    assert [request.params["offset"] for request in peer.server.requests] == ["0", str(PAGE)]
    assert peer.server.requests[0].params["sort_by"] == "newest_first"


def test_queues_and_ring_groups_have_histories_of_their_own(peer: VoiplinePeer) -> None:
    pbx, day = opened(peer), datetime(2026, 3, 2, tzinfo=UTC)
    (first, *_) = pbx.queue_calls(day, day + timedelta(days=1), ["Sales", "Help"])
    assert (first.group, first.status, first.caller) == ("Sales", "abandoned", "+390612345678")
    assert peer.server.requests[-1].params["queues_names"] == "Sales,Help"
    assert len(pbx.ring_group_calls(day, day + timedelta(days=1))) == 3
    assert "ringgroups_names" not in peer.server.requests[-1].params


def test_wrong_options_are_named_all_at_once(peer: VoiplinePeer) -> None:
    with pytest.raises(SettingsError) as caught:
        opened(peer, body="xml", requests="one", typo="1")
    assert all(f"pbx.main.extra.{name}: " in str(caught.value) for name in ("body", "requests", "typo"))
    with pytest.raises(SettingsError, match="is no extension"):
        opened(peer, agents="Anna")


def test_the_check_says_what_is_assumed_and_how_to_mend_what_is_wrong(peer: VoiplinePeer) -> None:
    findings = opened(peer).check()
    assert all(finding.ok or not finding.fatal for finding in findings)
    assert any("100 requests in 15 minutes" in finding.what for finding in findings)
    bad = [finding for finding in opened(peer, key="wrong").check() if not finding.ok and finding.fatal]
    assert "public address" in bad[0].remedy
