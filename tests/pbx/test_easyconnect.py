"""What is EasyConnect's own: two spellings of its events, its times, its own description, and what is not known."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import pytest

from dialer.errors import EventTrouble, PbxLockedOut, PbxRefused, SettingsError
from dialer.pbx.base import AgentFirstOrder, CallEvent, CallOutcome, Feature, Heard, Payload, Role
from dialer.pbx.easyconnect import EasyConnectPbx
from dialer.pbx.easyconnect_openapi import NoOpenApi, learn
from dialer.settings import PbxSettings
from tests.pbx.easyconnect_peer import OPENAPI, EasyConnectPeer

TOLD: dict[str, object] = {
    "callId": "5f0c6a52-2f3c-4a0e-9a54-7b7c2a0d9c11", "status": "connected", "connected": True, "outgoing": True,
    "from": "215", "fromName": "Agent Fifteen", "to": "390612345678", "toName": "", "monitoredExtension": "215",
    "monitoredUser": "Agent Fifteen", "startTime": "2026-02-03 04:05:06 (UTC)",
    "pickupTime": "2026-02-03 04:05:21 (UTC)", "endTime": None, "conversationTime": -1, "totalTime": -1,
}  # fmt: skip


@pytest.fixture
def peer() -> Iterator[EasyConnectPeer]:
    peer = EasyConnectPeer()
    yield peer
    peer.close()


def opened(
    peer: EasyConnectPeer, key: str = "key-1", options: dict[str, str] | None = None, **more: str
) -> EasyConnectPbx:
    settings = PbxSettings(
        kind="easyconnect",
        url=peer.url,
        token_env="KEY",
        extra={"agents": "215=Anna", **(options or {})},
        **more,  # type: ignore[arg-type]
    )
    return EasyConnectPbx("main", settings, environ={"KEY": key})


def read(pbx: EasyConnectPbx, by: str, **changes: object) -> CallEvent:
    told = {**TOLD, **changes}
    if by == "POST":
        return pbx.read(Payload("POST", "", json.dumps(told).encode(), "application/json"))
    words: dict[object, object] = {True: "yes", False: "no", None: ""}
    query = {k: words[v] if v is None or isinstance(v, bool) else v for k, v in told.items()}
    return pbx.read(Payload("GET", urlencode(query)))


@pytest.mark.parametrize("by", ["POST", "GET"])
@pytest.mark.parametrize(
    ("changes", "heard", "role", "outcome"),
    [
        ({}, Heard.ANSWERED, Role.CUSTOMER, None),
        ({"status": "ringing", "connected": False}, Heard.CALLING, Role.AGENT, None),
        ({"status": "disconnected"}, Heard.ENDED, Role.CUSTOMER, CallOutcome.OK),
        ({"status": "disconnected", "connected": False}, Heard.ENDED, Role.CUSTOMER, CallOutcome.NO_ANSWER),
        ({"status": "ringing", "outgoing": False, "connected": False}, Heard.ARRIVED, Role.OTHER, None),
        ({"outgoing": False}, Heard.ANSWERED, Role.OTHER, None),
        ({"status": "disconnected", "outgoing": False}, Heard.ENDED, Role.OTHER, CallOutcome.OK),
    ],
)
def test_an_event_means_the_same_by_get_and_by_post(
    peer: EasyConnectPeer, by: str, changes: dict[str, object], heard: Heard, role: Role, outcome: CallOutcome | None
) -> None:
    told = read(opened(peer), by, **changes)
    assert (told.heard, told.role, told.outcome) == (heard, role, outcome)
    assert (told.user_id, told.call_id) == ("215", TOLD["callId"])
    assert told.began == datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.mark.parametrize("by", ["POST", "GET"])
@pytest.mark.parametrize(
    ("changes", "talked"),
    [
        ({"conversationTime": 60}, 60.0),
        ({"endTime": "2026-02-03 04:06:21 (UTC)"}, 60.0),
        ({"endTime": "2026-02-03 04:06:21", "pickupTime": "2026-02-03 04:05:21"}, 60.0),
        ({"pickupTime": None}, None),
        ({"pickupTime": "soon"}, None),
    ],
)
def test_a_talk_is_as_long_as_it_says_or_as_its_times_say_and_minus_one_is_unknown(
    peer: EasyConnectPeer, by: str, changes: dict[str, object], talked: float | None
) -> None:
    assert read(opened(peer), by, status="disconnected", **changes).talked == talked


def test_where_ringing_is_known_to_be_the_customers_its_absence_tells_of_the_agent(peer: EasyConnectPeer) -> None:
    pbx = opened(peer, options={"ringing_means": "customer"})
    ringing = read(pbx, "POST", status="ringing", connected=False)
    assert (ringing.heard, ringing.role) == (Heard.RINGING, Role.CUSTOMER)
    assert read(pbx, "POST", status="disconnected", connected=False).outcome is CallOutcome.UNKNOWN


@pytest.mark.parametrize(
    "changes", [{"status": "on hold"}, {"status": ""}, {"callId": None}, {"callId": "<x>"}, {"outgoing": "perhaps"}]
)
def test_what_cannot_be_used_is_trouble_with_a_sentence(peer: EasyConnectPeer, changes: dict[str, object]) -> None:
    with pytest.raises(EventTrouble):
        read(opened(peer), "POST", **changes)


@pytest.mark.parametrize(
    ("form", "prefix", "sent", "seen"),
    [
        ("digits", "", "390612345678", "+390612345678"),
        ("international", "0", "000390612345678", "000390612345678"),
        ("plus", "", "+390612345678", "390612345678"),
    ],
)
def test_numbers_are_dialled_as_the_plan_wants_and_read_back_or_not_believed(
    peer: EasyConnectPeer, form: str, prefix: str, sent: str, seen: str
) -> None:
    pbx = opened(peer, number_format=form, dial_prefix=prefix)
    pbx.call_for_agent(AgentFirstOrder("f1", "215", "215", "+390612345678", ""))
    assert peer.server.requests[-1].params["to"] == sent
    assert read(pbx, "POST", to=sent).number == "+390612345678"
    assert read(pbx, "POST", to="216").number in (None, "+216")
    assert read(pbx, "POST", to=seen).number == (None if form == "plus" else "+390612345678")


def test_only_a_success_with_an_id_is_a_call(peer: EasyConnectPeer) -> None:
    pbx = opened(peer)
    with pytest.raises(PbxRefused, match="extension not monitored"):
        pbx.call_for_agent(AgentFirstOrder("f1", "299", "299", "+390612345678", ""))
    with pytest.raises(PbxLockedOut, match="API Keys"):
        opened(peer, key="old").call_for_agent(AgentFirstOrder("f1", "215", "215", "+390612345678", ""))


def test_the_sites_own_description_brings_the_end_of_a_call(peer: EasyConnectPeer, tmp_path: Path) -> None:
    file = tmp_path / "api.yaml"
    file.write_text(OPENAPI)
    assert Feature.HANG_UP not in opened(peer).features
    pbx = opened(peer, options={"openapi_file": str(file)})
    assert Feature.HANG_UP in pbx.features
    pbx.hang_up("5f0c6a52-2f3c")
    request = peer.server.requests[-1]
    assert (request.path.rsplit("/", 1)[-1], request.params["callId"]) == ("disconnectcall", "5f0c6a52-2f3c")
    by_hand = opened(peer, options={"openapi_file": str(file), "hang_up_path": "rcc/end"})
    assert by_hand.options.hang_up_path == "rcc/end", "what the settings say goes first"


def test_two_calls_that_could_end_one_are_not_guessed_between() -> None:
    both = OPENAPI + "  /rcc/clearcall:\n    get:\n      parameters: [{name: callId, in: query}]\n"
    assert learn(both.encode()).hang_up is None


@pytest.mark.parametrize(
    "text", ["", "paths: []", "paths: {/admin/objects: {get: {}}}", "<html>", "[" * 3000, "a: &a [*a]", "x" * 3_000_000]
)
def test_what_is_no_description_says_so(text: str, tmp_path: Path, peer: EasyConnectPeer) -> None:
    with pytest.raises(NoOpenApi):
        learn(text.encode())
    file = tmp_path / "api.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=r"pbx\.main\.extra\.openapi_file: "):
        opened(peer, options={"openapi_file": str(file)})


def test_the_check_reads_the_description_without_the_key_and_says_what_is_not_known(peer: EasyConnectPeer) -> None:
    findings = opened(peer).check()
    assert findings[0].ok
    assert "GET rcc/makecall(from, to, apikey)" in findings[0].what
    assert all("apikey" not in request.params for request in peer.server.requests)
    assert any("ringing_means" in finding.remedy for finding in findings)
    assert all(finding.ok or not finding.fatal for finding in findings)
    strange = opened(peer, options={"makecall_path": "rcc/call"}).check()[0]
    assert (strange.ok, "the site has no GET rcc/call" in strange.what) == (False, True)
