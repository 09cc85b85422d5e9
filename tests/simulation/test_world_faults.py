"""Every fault of the simulated PBX, switched on by name, is seen from outside, and ends when switched off."""

import httpx
import pytest

from dialer.clock import ManualClock
from dialer.errors import BadInput
from dialer.pbx.simulator.config import Behaviour, CustomerConfig, Ending, WorldConfig
from dialer.pbx.simulator.faults import DEFAULTS, PROFILES, read_faults
from dialer.pbx.simulator.transport import WorldTransport
from dialer.pbx.simulator.world import Fate, World
from tests.simulation.pbx_kit import (
    CUSTOMER,
    SmallDialer,
    accepted,
    ask,
    call,
    numbers,
    park,
    run,
    run_out,
    send,
    steps,
)

ANSWERS = Behaviour(Ending.ANSWERS, ring=5.0, patience=600.0)
WHOLE = [
    "call_out 2/4",
    "call_progress 2/4",
    "call_response 2/4 1",
    "call_out 3/17",
    "call_response 3/17 1",
    "disconnect_in 3/17",
    "disconnect_out 2/4",
    "call_terminated 1",
]


@pytest.fixture
def pbx() -> World:
    by_number = dict.fromkeys(["390600000001", "390600000002", "390600000003"], ANSWERS)
    return World(WorldConfig(customers=CustomerConfig(by_number=by_number)), seed=3)


def test_lost_webhooks_are_never_sent(pbx):
    pbx.set_faults({"webhooks_lost": 1.0})
    call(pbx, "390600000001")
    assert run(pbx, 60) == []
    assert len(pbx.calls()) == 1
    assert pbx.faults.struck["webhooks_lost"] == len(WHOLE)


def test_late_webhooks_arrive_after_they_happened(pbx):
    pbx.set_faults({"webhooks_late": {"probability": 1, "seconds": 3}})
    call(pbx, "390600000001")
    arrived = []
    sent = run(pbx, 60, lambda hook: arrived.append(pbx.now - hook.happened))
    assert sorted(steps(sent)) == sorted(WHOLE)
    assert all(0.3 <= late <= 3.0 for late in arrived)
    assert sent[0].fields["datetime"] == "2026-03-02 09:00:00"


def test_doubled_webhooks_arrive_twice_and_are_the_same(pbx):
    pbx.set_faults({"webhooks_doubled": 1})
    call(pbx, "390600000001")
    sent = run(pbx, 60)
    assert sorted(steps(sent)) == sorted(WHOLE * 2)
    assert len({hook.query for hook in sent}) == len(WHOLE)


def test_webhooks_out_of_order_overtake_each_other():
    world = World(seed=3)
    world.set_faults({"webhooks_out_of_order": {"probability": 0.5, "seconds": 1.0}})
    for i, number in enumerate(numbers(20)):
        call(world, number, f"c{i}")
    sent = [hook.happened for hook in run(world, 60)]
    assert sent != sorted(sent)
    assert len(sent) >= 60


@pytest.mark.parametrize("fault", ["http_500", "timeouts", "cut_connections"])
@pytest.mark.parametrize("done", [0, 1])
def test_a_request_without_a_good_reply_may_have_been_carried_out(pbx, fault, done):
    pbx.set_faults({fault: {"probability": 1, "carried_out": done}})
    reply = send(pbx, "call_request_ext", **{**CUSTOMER, "calling_number": "390600000001"})
    assert (reply.status, reply.fate) == {
        "http_500": (500, Fate.ARRIVES),
        "timeouts": (200, Fate.WITHHELD),
        "cut_connections": (200, Fate.CUT),
    }[fault]
    assert b"outcome" not in reply.body
    run(pbx, 2)
    assert len(pbx.calls()) == done
    assert pbx.faults.struck[f"{fault} {'carried out' if done else 'not carried out'}"] == 1


def test_truncated_xml_is_cut_somewhere_and_was_carried_out(pbx):
    pbx.set_faults({"truncated_xml": 1})
    for i in range(3):
        body = send(
            pbx, "call_request_ext", **{**CUSTOMER, "calling_number": f"39060000000{i + 1}", "extid": f"c{i}"}
        ).body
        assert not body.endswith(b"</result>")
    run(pbx, 2)
    assert len(pbx.calls()) == 3


def test_html_is_a_login_page_with_status_200_and_nothing_is_done(pbx):
    pbx.set_faults({"html": 1})
    reply = send(pbx, "call_request_ext", **{**CUSTOMER, "calling_number": "390600000001"})
    assert (reply.status, reply.content_type) == (200, "text/html")
    assert b"<html>" in reply.body
    run(pbx, 2)
    assert pbx.calls() == []


def test_an_accepted_call_may_never_happen(pbx):
    pbx.set_faults({"accepted_never_happens": 1})
    assert accepted(call(pbx, "390600000001"))
    assert run(pbx, 60) == []
    assert pbx.calls() == []


def test_an_accepted_call_may_be_placed_seconds_later(pbx):
    pbx.set_faults({"placed_late": {"probability": 1, "seconds": 4}})
    assert accepted(call(pbx, "390600000001"))
    run(pbx, 60)
    (late,) = pbx.calls()
    assert 2.0 <= late["dialled_at"] <= 4.1


def test_a_gateway_that_goes_down_drops_its_calls_and_comes_back(pbx):
    pbx.set_faults({"gateway_down": {"every": 3, "seconds": 5}})
    call(pbx, "390600000001")
    sent = run(pbx, 400)
    assert "gateway 4 down" in {what for _, what in pbx.book.happenings}
    assert steps(sent)[-1] == "call_terminated 12" or "disconnect_in 2/4" in steps(sent)
    assert pbx.calls()[0]["ended_by"] in ("gateway", "pbx")
    pbx.set_faults("")
    run(pbx, 500)
    assert pbx.state()["gateways"][0]["link"] == "REGISTERED"
    happened = len(pbx.book.happenings)
    run(pbx, 5000)
    assert len(pbx.book.happenings) == happened


def test_a_restart_loses_every_call_without_a_word_and_refuses_requests_for_a_while(pbx):
    call(pbx, "390600000001", "c1")
    park(pbx, 101)
    run(pbx, 6)
    call(pbx, "390600000002", "c2")  # accepted, not yet carried out
    pbx.outages.restart(1.5)
    assert ask(pbx, "get_entities", entity_type=2).findtext("error") == "connection not found"
    assert run(pbx, 8) == []
    assert ask(pbx, "get_current_calls").findall("call") == []
    assert ask(pbx, "get_entities", entity_type=0, entity_id=101).findtext("users/user/av_status") == "2"
    (only,) = pbx.calls()
    assert (only["extid"], only["ended_by"]) == ("c1", "restart")
    assert pbx.state()["gateways"][0]["busy_lines"] == 0
    assert accepted(call(pbx, "390600000003", "c3"))
    assert steps(run(pbx, 60), "c3") == WHOLE


def test_restarts_come_by_themselves_while_their_fault_is_on(pbx):
    pbx.set_faults({"pbx_restart": 20})
    run(pbx, 400)
    assert 8 < pbx.faults.struck["pbx_restart"] < 40


def test_a_late_webhook_does_not_survive_a_restart(pbx):
    pbx.set_faults({"webhooks_late": {"probability": 1, "seconds": 30}})
    call(pbx, "390600000001")
    run(pbx, 1)
    pbx.outages.restart(1.0)
    assert run(pbx, 60) == []


def test_slow_replies_say_how_slow(pbx):
    pbx.set_faults({"slow": {"probability": 1, "seconds": 2}})
    reply = send(pbx, "get_current_calls")
    assert 0 < reply.delay <= 2
    assert reply.fate is Fate.ARRIVES


def test_more_requests_than_the_limit_are_turned_away_until_the_next_second(pbx):
    pbx.set_faults({"rate_limited": 5})
    assert [send(pbx, "get_current_calls").status for _ in range(7)] == [200] * 5 + [429] * 2
    run(pbx, 1.01)
    assert send(pbx, "get_current_calls").status == 200


def test_faults_end_when_they_are_switched_off(pbx):
    pbx.set_faults("all")
    pbx.set_faults("")
    call(pbx, "390600000001")
    assert steps(run(pbx, 60)) == WHOLE


def test_with_all_faults_on_every_one_of_them_strikes():
    world = World(WorldConfig(speed=10.0), seed=8)
    world.set_faults("all,rate_limited=15")
    dialer = SmallDialer(world, numbers(100_000), ratio=3.0)
    dialer.work(600, every=0.5)
    for name in DEFAULTS:
        assert world.faults.struck[name] > 0, f"{name} never struck (seed 8)"
    run_out(world)
    assert world.exchange.live == {}
    assert world.judgement()["double_dials"] == 0


def test_fault_words_are_read_and_wrong_ones_are_named():
    assert read_faults("slow=0.5,gateway_down=10,rate_limited=7") == {
        "slow": DEFAULTS["slow"].__class__(0.5, seconds=1.0),
        "gateway_down": DEFAULTS["gateway_down"].__class__(every=10.0, seconds=5.0),
        "rate_limited": DEFAULTS["rate_limited"].__class__(limit=7.0),
    }
    assert set(read_faults("all")) == set(DEFAULTS)
    assert set(read_faults("network, lies")) == {*PROFILES["network"], *PROFILES["lies"]}
    assert read_faults("") == read_faults("none") == {}
    for wrong, told in (
        ("webhook_lost", "no fault called 'webhook_lost'"),
        ("slow=often", "'often' is neither a number"),
        ("all=0.1", "takes no value"),
        ("slow=2", "shares between 0 and 1"),
        ({"slow": {"often": 1}}, "fields of probability"),
        ({"slow": [1]}, "neither a number"),
    ):
        with pytest.raises(BadInput, match=told):
            read_faults(wrong)


# the transport -----------------------------------------------------------------------------------------
def client(world: World, clock: ManualClock, timeout: float = 5.0) -> httpx.Client:
    return httpx.Client(transport=WorldTransport(world, clock), base_url="http://pbx.example", timeout=timeout)


def place(http: httpx.Client, extid: str = "c1") -> httpx.Response:
    params = {**CUSTOMER, "calling_number": "390600000001", "extid": extid, "token": "simulator"}
    return http.get("/PBX/seri_endpoint.php", params={"service": "call_request_ext", **params})


def test_the_transport_answers_from_the_world_at_the_clocks_time(pbx, clock):
    http = client(pbx, clock)
    clock.advance(10)
    assert "<outcome>0</outcome>" in place(http).text
    clock.advance(3)
    text = http.get("/PBX/seri_endpoint.php", params={"service": "get_current_calls", "token": "simulator"}).text
    assert "<external_id>c1</external_id>" in text
    assert pbx.now == pytest.approx(13.0)
    assert http.get("/PBX/other.php").status_code == 404


def test_the_transport_raises_the_errors_of_a_real_network(pbx, clock):
    http = client(pbx, clock)
    pbx.set_faults({"timeouts": {"probability": 1, "carried_out": 1}})
    before = clock.monotonic()
    with pytest.raises(httpx.ReadTimeout):
        place(http)
    assert clock.monotonic() - before == pytest.approx(5.0)
    pbx.set_faults({"cut_connections": {"probability": 1, "carried_out": 0}})
    with pytest.raises(httpx.RemoteProtocolError):
        place(http, "c2")
    pbx.set_faults({"slow": {"probability": 1, "seconds": 60}})
    with pytest.raises(httpx.ReadTimeout):
        client(pbx, clock, timeout=0.001).get("/PBX/seri_endpoint.php")
    pbx.set_faults("")
    transport = WorldTransport(pbx, clock)
    transport.cut_off = True
    with pytest.raises(httpx.ConnectError):
        place(httpx.Client(transport=transport, base_url="http://pbx.example"))
    run(pbx, pbx.now + 30)
    assert [c["extid"] for c in pbx.calls()] == ["c1"]


def test_the_transport_takes_a_phone_book_by_post(pbx, clock):
    reply = client(pbx, clock).post(
        "/PBX/seri_endpoint.php",
        params={"service": "phonebook_import_sync", "token": "simulator"},
        files={"contacts": (None, '[{"name": "Zoë", "uc_app_name": "crm", "uc_external_id": "1"}]')},
    )
    assert "<processed>1</processed><skipped>0</skipped>" in reply.text
    assert ask(pbx, "get_phonebook", search="zoë").findtext("contact/name") == "Zoë"
