"""XiVO's callback lists over real websockets: read, taken, started, closed, in the words of its documents."""

from collections.abc import Callable, Iterator
from datetime import date, time
from typing import Any

import pytest

from dialer.errors import OutcomeUnknown, PbxBusy, PbxError, PbxRefused, PbxUnavailable, SettingsError
from dialer.pbx.base import AgentFirstOrder
from dialer.pbx.callback_lists import KeepsCallbacks, ListPeriod, NoLongerListed, Request, TakenElsewhere, Word
from dialer.pbx.xivo import XivoPbx
from dialer.pbx.xivo_frames import NotXuc
from dialer.pbx.xivo_lists import lists_of, period_of
from dialer.settings import PbxSettings
from tests.pbx.agent_first_peer import Person
from tests.pbx.xuc_lists import ALICE, CONFIG_TOKEN, LIST, PERIODS, request
from tests.pbx.xuc_peer import BOSS, PASSWORD, XucPeer

ORDER = AgentFirstOrder("d-c7", "1015", "2015", "+33230210082", "")
CLOSED, LATER = Word("Answered", "sends the form"), Word("Callback", "busy", date(2026, 8, 4), "Morning", "x")


@pytest.fixture
def peer() -> Iterator[XucPeer]:
    peer = XucPeer()
    peer.lists.add()
    yield peer
    peer.close()


@pytest.fixture
def opened(peer: XucPeer) -> Iterator[Callable[..., XivoPbx]]:
    made: list[XivoPbx] = []

    def opened(**options: str) -> XivoPbx:
        extra = {"agents": "1015=agent15, 1016=agent16", "callback_lists": "Liste de test=spring", "take_within": "0.3"}
        settings = PbxSettings(
            kind="xivo", url=peer.url, user=BOSS, token_env="KEY", timeout=3, extra={**extra, **options}
        )
        made.append(XivoPbx("main", settings, environ={"KEY": PASSWORD, "CONFIG": CONFIG_TOKEN}))
        return made[-1]

    yield opened
    for one in made:
        one.close()


@pytest.fixture
def pbx(opened: Callable[..., XivoPbx]) -> XivoPbx:
    return opened()


def start(pbx: XivoPbx, told: list[str]) -> str:
    return pbx.start_request(ORDER, ALICE, ticket=told.append)


# reading ------------------------------------------------------------------------------------------------


def test_the_lists_are_read_as_the_manual_prints_them(peer: XucPeer, pbx: XivoPbx) -> None:
    assert isinstance(pbx, KeepsCallbacks)
    assert pbx.callback_lists == {"Liste de test": "spring"}
    (found,) = pbx.read_lists()
    uuid, starts, ends, default = PERIODS["Afternoon"]
    afternoon = ListPeriod(uuid, "Afternoon", time.fromisoformat(starts), time.fromisoformat(ends), default)
    assert (found.id, found.name, found.unread) == (LIST, "Liste de test", 0)
    assert found.requests == [
        Request(ALICE, "0230210082", "0789654123", "Alice", "O'Neill", "YourSociety", "", date(2026, 8, 1), afternoon)
    ]
    peer.lists.open[ALICE]["agentId"] = 43
    assert pbx.read_lists()[0].requests[0].taken_by == "1016"
    peer.lists.open[ALICE]["agentId"] = 99
    assert pbx.read_lists()[0].requests[0].taken_by == "#99", "somebody who is no agent of ours"


@pytest.mark.parametrize("around", [lambda told: told, lambda told: [told], lambda told: {"lists": [told]}])
def test_whatever_is_around_a_list_it_is_read(around: Callable[[Any], Any]) -> None:
    told = {"uuid": LIST, "name": "one", "queueId": 1, "callbacks": [request(), {"phoneNumber": "1"}, "x"]}
    (found,) = lists_of(around(told), {})
    assert ([one.id for one in found.requests], found.unread) == ([ALICE], 2)


def test_a_list_that_does_not_say_what_is_in_it_is_no_list() -> None:
    assert lists_of([{"uuid": LIST, "name": "one", "callbacks": None}, {"uuid": LIST, "name": "two"}], {}) == []
    with pytest.raises(NotXuc):
        lists_of("nonsense", {})


@pytest.mark.parametrize(
    ("changes", "ends"),
    [
        ({}, time(17, 0)),
        ({"periodEnd": "00:00:00"}, time(23, 59, 59)),
        ({"periodEnd": "late"}, None),
        ({"uuid": 7}, time(17)),
    ],
)
def test_a_period_needs_a_name_and_two_times(changes: dict[str, Any], ends: time | None) -> None:
    found = period_of(request()["preferredPeriod"] | changes)
    assert (found.ends if found is not None else None) == ends


def test_what_is_typed_there_is_inert_here(peer: XucPeer, pbx: XivoPbx) -> None:
    peer.lists.open[ALICE] |= {"firstName": "A\x1b[31m\nB", "description": "x" * 5000, "dueDate": "soon"}
    (found,) = pbx.read_lists()[0].requests
    assert (found.first_name, len(found.description), found.due_date) == ("A [31m B", 1000, None)


def test_a_list_longer_than_an_ordinary_message_is_read(peer: XucPeer, pbx: XivoPbx) -> None:
    for n in range(4000):
        peer.lists.add(f"r{n}", description="x" * 300)
    assert len(pbx.read_lists()[0].requests) == 4001


# taking -------------------------------------------------------------------------------------------------


def test_a_request_is_taken_once_and_the_agent_keeps_it(peer: XucPeer, pbx: XivoPbx) -> None:
    pbx.take_request(ALICE, "1015")
    pbx.take_request(ALICE, "1015")
    assert peer.lists.open[ALICE]["agentId"] == 42
    assert [name for name, _ in peer.commands].count("takeCallback") == 1
    pbx.release_request(ALICE, "1016")
    assert peer.lists.open[ALICE]["agentId"] == 42, "one's own alone is given back"
    pbx.release_request(ALICE, "1015")
    pbx.release_request(ALICE, "1015")
    assert peer.lists.open[ALICE]["agentId"] is None


def test_what_somebody_else_has_is_not_asked_for(peer: XucPeer, pbx: XivoPbx) -> None:
    peer.lists.open[ALICE]["agentId"] = 43
    with pytest.raises(TakenElsewhere, match="taken in XiVO's own page"):
        pbx.take_request(ALICE, "1015")
    assert "takeCallback" not in [name for name, _ in peer.commands]
    with pytest.raises(NoLongerListed, match="it was closed there, or the agent is not in the queue"):
        pbx.take_request("another", "1015")


def test_the_race_for_a_request_is_decided_by_xivo(peer: XucPeer, pbx: XivoPbx) -> None:
    peer.lists.snatches = 43
    with pytest.raises(TakenElsewhere):
        pbx.take_request(ALICE, "1015")
    peer.lists.mute.add("takeCallback")
    peer.lists.open[ALICE]["agentId"] = None
    with pytest.raises(TakenElsewhere):
        pbx.take_request(ALICE, "1015")


def test_a_take_that_nobody_tells_of_is_seen_in_the_lists(peer: XucPeer, pbx: XivoPbx) -> None:
    peer.lists.mute.add("takeCallback")
    pbx.take_request(ALICE, "1015")
    assert peer.lists.open[ALICE]["agentId"] == 42
    peer.lists.open[ALICE]["agentId"] = None
    peer.lists.deaf["takeCallback"] = 1
    with pytest.raises(PbxUnavailable, match="does not say that the callback was taken"):
        pbx.take_request(ALICE, "1015")


def test_a_release_that_is_not_heard_is_not_believed(peer: XucPeer, pbx: XivoPbx) -> None:
    pbx.take_request(ALICE, "1015")
    peer.lists.deaf["releaseCallback"] = 1
    with pytest.raises(PbxUnavailable):
        pbx.release_request(ALICE, "1015")
    peer.lists.mute.add("releaseCallback")
    pbx.release_request(ALICE, "1015")
    assert peer.lists.open[ALICE]["agentId"] is None


# starting -----------------------------------------------------------------------------------------------


def test_xivo_starts_the_call_and_its_ticket_is_told(peer: XucPeer, opened: Callable[..., XivoPbx]) -> None:
    pbx = opened()
    pbx.take_request(ALICE, "1015")
    told: list[str] = []
    assert start(pbx, told) == "1770091506.1@1015"
    assert told == list(peer.lists.tickets)
    assert peer.book[0].to == "33230210082"
    peer.quiet()
    assert peer.rang() == {"33230210082": 1}


def test_a_start_whose_ticket_is_not_told_is_a_call_all_the_same(peer: XucPeer, opened: Callable[..., XivoPbx]) -> None:
    pbx = opened(confirm_within="0.5")
    pbx.take_request(ALICE, "1015")
    peer.lists.mute.add("startCallback")
    told: list[str] = []
    assert start(pbx, told) == "1770091506.1@1015"
    assert told == []


def test_a_start_nobody_tells_of_is_unknown_and_its_ticket_is_kept(
    peer: XucPeer, opened: Callable[..., XivoPbx]
) -> None:
    pbx = opened(confirm_within="0.3")
    pbx.take_request(ALICE, "1015")
    peer.agents["1015"], peer.patience = None, 1.0  # the phone is not taken, and so nothing is told of it yet
    told: list[str] = []
    with pytest.raises(OutcomeUnknown):
        start(pbx, told)
    assert told == list(peer.lists.tickets)
    peer.lists.deaf["startCallback"] = 1
    peer.quiet()
    with pytest.raises(OutcomeUnknown):
        start(pbx, told)
    assert len(peer.book) == 1, "and it is not sent again"


def test_a_connection_that_breaks_at_the_start_is_no_second_call(peer: XucPeer, pbx: XivoPbx) -> None:
    pbx.take_request(ALICE, "1015")
    peer.lists.cuts["startCallback"] = 1
    with pytest.raises(OutcomeUnknown):
        start(pbx, [])
    assert [name for name, _ in peer.commands].count("startCallback") == 1


def test_a_phone_that_is_busy_and_a_look_that_says_no_send_nothing(peer: XucPeer, pbx: XivoPbx) -> None:
    pbx.take_request(ALICE, "1015")

    def too_late() -> None:
        raise SettingsError("too late")

    with pytest.raises(SettingsError):
        pbx.start_request(ORDER, ALICE, ticket=lambda _: None, before_send=too_late)
    peer.customers["33144556677"] = Person(answers_after=0.0, talks=20.0)
    peer.start("2015", "33144556677", private=True)
    with pytest.raises(PbxBusy):
        start(pbx, [])
    assert "startCallback" not in [name for name, _ in peer.commands]


# tickets ------------------------------------------------------------------------------------------------


@pytest.fixture
def ticket(peer: XucPeer, pbx: XivoPbx) -> str:
    pbx.take_request(ALICE, "1015")
    start(pbx, [])
    peer.quiet()
    return next(iter(peer.lists.tickets))


def test_a_ticket_closes_its_request(peer: XucPeer, pbx: XivoPbx, ticket: str) -> None:
    pbx.write_ticket(ticket, ALICE, "1015", CLOSED, again=False)
    kept = peer.lists.tickets[ticket]
    assert (kept.status, kept.comment, kept.agent, ALICE in peer.lists.open) == (
        "Answered",
        "sends the form",
        42,
        False,
    )


def test_another_time_is_written_with_its_period_by_name(peer: XucPeer, pbx: XivoPbx, ticket: str) -> None:
    assert pbx.write_ticket(ticket, ALICE, "1015", LATER, again=False) == PERIODS["Morning"][0]
    moved = peer.lists.open[ALICE]
    assert (moved["dueDate"], moved["preferredPeriod"]["name"], moved["agentId"]) == ("2026-08-04", "Morning", None)
    without = Word("Callback", "", date(2026, 8, 5), "", PERIODS["All day"][0])
    assert pbx.write_ticket(ticket, ALICE, "1015", without, again=False) == PERIODS["All day"][0]


@pytest.mark.parametrize("word", [CLOSED, LATER])
def test_a_ticket_whose_end_was_not_told_is_written_once(peer: XucPeer, pbx: XivoPbx, ticket: str, word: Word) -> None:
    peer.lists.mute.add("updateCallbackTicket")
    pbx.write_ticket(ticket, ALICE, "1015", word, again=False)
    pbx.write_ticket(ticket, ALICE, "1015", word, again=True)
    assert peer.lists.tickets[ticket].updates == 1


@pytest.mark.parametrize("word", [CLOSED, LATER])
def test_a_ticket_that_xivo_did_not_take_is_written_at_the_next_try(
    peer: XucPeer, pbx: XivoPbx, ticket: str, word: Word
) -> None:
    peer.lists.deaf["updateCallbackTicket"] = 1
    with pytest.raises(PbxUnavailable):
        pbx.write_ticket(ticket, ALICE, "1015", word, again=False)
    peer.lists.cuts["updateCallbackTicket"] = 1
    with pytest.raises(PbxUnavailable):
        pbx.write_ticket(ticket, ALICE, "1015", word, again=True)
    pbx.write_ticket(ticket, ALICE, "1015", word, again=True)
    assert peer.lists.tickets[ticket].status == word.status


def test_tokens_that_end_stop_nothing_of_it(peer: XucPeer, pbx: XivoPbx) -> None:
    for step in (
        lambda: pbx.read_lists(),
        lambda: pbx.take_request(ALICE, "1015"),
        lambda: start(pbx, []),
        lambda: pbx.write_ticket(next(iter(peer.lists.tickets)), ALICE, "1015", CLOSED, again=False),
    ):
        peer.forget_tokens()
        step()
        peer.quiet()
    assert ALICE not in peer.lists.open


def test_the_supervisor_writes_for_an_agent_who_is_let_in_no_more(peer: XucPeer, pbx: XivoPbx, ticket: str) -> None:
    peer.passwords["agent15"] = "changed"
    peer.forget_tokens()
    pbx.write_ticket(ticket, ALICE, "1015", CLOSED, again=False)
    assert peer.lists.tickets[ticket].status == "Answered"


# the configuration server -------------------------------------------------------------------------------

MANUAL = (
    b"phoneNumber|mobilePhoneNumber|firstName|lastName|company|description|dueDate|Period\n"
    b"0230210092|0689746321|John|Doe|MyCompany|Call back quickly||\n"
)


def test_a_file_in_xivos_form_is_given_to_its_configuration_server(
    peer: XucPeer, opened: Callable[..., XivoPbx]
) -> None:
    pbx = opened(config_url=peer.url, config_token_env="CONFIG")
    pbx.send_csv("Liste de test", MANUAL)
    assert peer.lists.imported == [(LIST, MANUAL.decode())]
    with pytest.raises(PbxRefused, match="no callback list 'Other'"):
        pbx.send_csv("Other", MANUAL)


@pytest.mark.parametrize("options", [{}, {"config_import_path": "/elsewhere"}, {"config_token_env": "WRONG"}])
def test_without_it_the_file_goes_nowhere_and_the_remedy_is_said(
    peer: XucPeer, opened: Callable[..., XivoPbx], options: dict[str, str]
) -> None:
    given = {"config_url": peer.url, "config_token_env": "CONFIG", **options} if options else {}
    with pytest.raises((PbxError, SettingsError)) as refused:
        opened(**given).send_csv("Liste de test", MANUAL)
    assert CONFIG_TOKEN not in str(refused.value)
    assert peer.lists.imported == []


# settings and check -------------------------------------------------------------------------------------


def test_the_check_says_what_is_missing(peer: XucPeer, opened: Callable[..., XivoPbx]) -> None:
    def faults(**options: str) -> str:
        return "\n".join(f"{one.what} -> {one.remedy}" for one in opened(**options).check() if not one.ok)

    assert "no callback list Nowhere" in faults(callback_lists="Nowhere=spring")
    assert "there are: 'Liste de test'" in faults(callback_lists="Nowhere=spring")
    assert "known by its agent and number" in faults()
    assert "midnight" in faults()
    assert "midnight" not in faults(time_zone="Europe/Paris")
    assert "configuration server does not tell" in faults(config_url=peer.url)
    assert "configuration server" not in faults(config_url=peer.url, config_token_env="CONFIG")


@pytest.mark.parametrize("value", ["spring", "=spring", "Liste=", "a=b, c"])
def test_a_binding_that_is_none_is_named(opened: Callable[..., XivoPbx], value: str) -> None:
    with pytest.raises(SettingsError, match=r"pbx\.main\.extra\.callback_lists"):
        opened(callback_lists=value)
