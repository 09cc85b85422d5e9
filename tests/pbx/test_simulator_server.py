"""The simulated PBX over real HTTP, with a real receiver for its webhooks."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from dialer.errors import BadInput, ServiceUnreachable
from dialer.pbx.simulator.config import (
    CLIPS,
    Behaviour,
    Clip,
    CustomerConfig,
    Ending,
    IvrConfig,
    NodeConfig,
    WorldConfig,
    abandon,
    reception,
    waiting,
)
from dialer.pbx.simulator.server import RunningPbx, ServerConfig, run_server
from dialer.pbx.simulator.tables import NodeAction
from tests.waiting import until

QUICK = Behaviour(Ending.ANSWERS, ring=2.0, patience=30.0)
CALL = {
    "service": "call_request_ext",
    "token": "simulator",
    "calling_type": 2,
    "calling_id": 4,
    "called_type": 3,
    "called_id": 17,
    "called_number": "0210001000",
}
ANSWERED = [
    "call_out",
    "call_progress",
    "call_response",
    "call_out",
    "call_response",
    "disconnect_in",
    "disconnect_out",
    "call_terminated",
]


class Sink:
    """Receives webhooks, and answers scripts with what it is told to."""

    def __init__(self) -> None:
        self.events: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.status = 200
        self.answer = b""
        self.jitter = 0.0  # seconds the slowest answer takes
        self._changed = threading.Condition()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                time.sleep(sink.jitter * (hash(parts.query) % 7) / 7)
                with sink._changed:
                    sink.paths.append(parts.path)
                    sink.events.append(dict(parse_qsl(parts.query)))
                    sink._changed.notify_all()
                self.send_response(sink.status)
                self.send_header("content-length", str(len(sink.answer)))
                self.end_headers()
                self.wfile.write(sink.answer)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/webhooks/main/secret"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def wait(self, enough: Callable[[list[dict[str, str]]], bool], seconds: float = 20.0) -> list[dict[str, str]]:
        with self._changed:
            assert self._changed.wait_for(lambda: enough(self.events), seconds), self.events
            return list(self.events)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def sink() -> Iterator[Sink]:
    sink = Sink()
    yield sink
    sink.close()


LIMIT = 0.4


def config(**changes: object) -> WorldConfig:
    by_number = {f"39060000000{i}": QUICK for i in range(10)}
    told: dict = {
        "speed": 20.0,
        "customers": CustomerConfig(by_number=by_number),
        "ivrs": (reception(LIMIT), waiting(), abandon()),
        "clips": {**CLIPS, "nobody-free.wav": Clip(0.3, message=True)},
    }
    return WorldConfig(**{**told, **changes})


@pytest.fixture(scope="module")
def running() -> Iterator[RunningPbx]:
    with RunningPbx(ServerConfig(port=0, world=config(), seed=3)) as running:
        yield running


@pytest.fixture
def pbx(running: RunningPbx, sink: Sink, http: httpx.Client) -> RunningPbx:
    """A fresh world in the running server."""
    tell(http, running, "reset", seed=3, agents=20, lines=60, speed=20, answer_probability=0.25)
    tell(http, running, "webhook", url=sink.url)
    return running


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=30.0, verify=False) as client:
        yield client


def tell(http: httpx.Client, pbx: RunningPbx, what: str, **told: object) -> httpx.Response:
    return http.post(f"{pbx.address}/_control/{what}", json=told)


def look(http: httpx.Client, pbx: RunningPbx, what: str) -> dict:
    return http.get(f"{pbx.address}/_control/{what}").json()


def place(http: httpx.Client, pbx: RunningPbx, number: str = "390600000001", extid: str = "c1") -> httpx.Response:
    return http.get(pbx.url, params={**CALL, "calling_number": number, "extid": extid})


def names(events: list[dict[str, str]], extid: str) -> list[str]:
    return [e["event_name"] for e in events if e.get("extid") == extid]


def ended(*extids: str) -> Callable[[list[dict[str, str]]], bool]:
    return lambda events: all("call_terminated" in names(events, extid) for extid in extids)


def test_a_call_over_http_is_told_by_webhooks_in_order(pbx, http, sink):
    reply = place(http, pbx)
    assert reply.headers["content-type"].startswith("text/xml")
    assert "<outcome>0</outcome>" in reply.text
    events = sink.wait(ended("c1"))
    assert names(events, "c1") == ANSWERED
    assert set(sink.paths) == {"/webhooks/main/secret"}
    judged = look(http, pbx, "book?calls=1")
    assert judged["heard_message"] == 1
    (call,) = judged["call_list"]
    # The law's seconds are real, at twenty times life.
    assert LIMIT <= call["messages"][0][1] - call["answered_at"] < LIMIT + 0.2
    until(lambda: look(http, pbx, "state")["webhooks"]["sent"] == len(events))


def test_many_calls_at_once_keep_the_order_of_each(pbx, http, sink):
    sink.jitter = 0.03
    for i in range(40):
        place(http, pbx, f"39070000{i:04}", f"c{i}")
    events = sink.wait(ended(*(f"c{i}" for i in range(40))), 30)
    for i in range(40):
        assert names(events, f"c{i}") in (
            ["call_out", "call_response", "call_terminated"],
            ["call_out", "call_progress", "call_response", "call_terminated"],
            ANSWERED,
        )
    until(lambda: look(http, pbx, "state")["webhooks"]["sent"] == len(events))
    assert look(http, pbx, "state")["gateways"][0]["busy_lines"] == 0


def test_a_wrong_token_is_refused(pbx, http):
    text = http.get(pbx.url, params={"service": "get_entities", "entity_type": 2, "token": "guess"}).text
    assert "<outcome>1</outcome><error>authentication failed</error>" in text


def test_the_phone_book_is_synchronised_by_post(pbx, http):
    reply = http.post(
        pbx.url,
        params={"service": "phonebook_import_sync", "token": "simulator", "verbose_output": 1},
        files={"contacts": (None, json.dumps([{"name": "Zoë", "uc_app_name": "crm", "uc_external_id": "1"}]))},
    )
    assert "<processed>1</processed>" in reply.text
    assert "<act>insert</act>" in reply.text


def test_faults_are_switched_on_and_off_through_the_control_door(pbx, http, sink):
    assert tell(http, pbx, "faults", faults={"http_500": {"probability": 1, "carried_out": 1}}).status_code == 200
    assert place(http, pbx).status_code == 500
    tell(http, pbx, "faults", faults="html=1")
    assert place(http, pbx, extid="c2").headers["content-type"].startswith("text/html")
    assert http.delete(f"{pbx.address}/_control/faults").status_code == 200
    assert place(http, pbx, "390600000002", "c3").status_code == 200
    sink.wait(ended("c1", "c3"))
    assert look(http, pbx, "faults")["struck"]["http_500 carried out"] == 1


@pytest.mark.parametrize("done", [0, 1])
def test_a_cut_connection_ends_without_a_byte(pbx, http, done):
    tell(http, pbx, "faults", faults={"cut_connections": {"probability": 1, "carried_out": done}})
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        place(http, pbx)
    tell(http, pbx, "faults", faults="")
    assert look(http, pbx, "book")["requests"].get("call_request_ext", 0) == done


def test_a_withheld_reply_outlasts_the_clients_patience_and_the_server_stays_well(pbx, http):
    tell(http, pbx, "faults", faults={"timeouts": {"probability": 1, "carried_out": 1, "seconds": 30}})
    with httpx.Client(trust_env=False, timeout=0.3) as hasty, pytest.raises(httpx.ReadTimeout):
        place(hasty, pbx)
    tell(http, pbx, "faults", faults={"timeouts": {"probability": 1, "carried_out": 0, "seconds": 0.1}})
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        place(http, pbx, extid="c2")
    tell(http, pbx, "faults", faults="")
    assert "<outcome>0</outcome>" in place(http, pbx, "390600000003", "c3").text


def test_a_slow_reply_comes_late(pbx, http):
    tell(http, pbx, "faults", faults={"slow": {"probability": 1, "seconds": 0.4}})
    began = time.monotonic()
    assert place(http, pbx).status_code == 200
    slowest = time.monotonic() - began
    assert look(http, pbx, "faults")["struck"]["slow"] == 1
    assert slowest < 20


def test_a_restart_loses_calls_and_refuses_requests(pbx, http, sink):
    place(http, pbx)
    sink.wait(lambda events: "call_out" in names(events, "c1"))
    tell(http, pbx, "restart", seconds=30)
    assert "<error>connection not found</error>" in place(http, pbx, "390600000002", "c2").text
    assert look(http, pbx, "state")["communications"] == 0
    assert look(http, pbx, "state")["restarting"] is True


def test_agents_and_gateways_are_steered_through_the_control_door(pbx, http):
    assert tell(http, pbx, "agents", extension="201", presence=7).status_code == 200
    assert tell(http, pbx, "agents", id=102, presence=5).status_code == 200
    shown = {a["extension"]: a["presence"] for a in look(http, pbx, "state")["agents"]}
    assert (shown["201"], shown["202"], shown["203"]) == (7, 5, 2)
    tell(http, pbx, "agents", all=True, presence=2)
    assert {a["presence"] for a in look(http, pbx, "state")["agents"]} == {2}
    tell(http, pbx, "gateways", id=4, up=False)
    assert look(http, pbx, "state")["gateways"][0]["link"] == "NOT_REGISTERED"
    tell(http, pbx, "gateways", up=True, lines=5)
    assert look(http, pbx, "state")["gateways"][0] == {
        "id": 4,
        "name": "trunk-a",
        "link": "REGISTERED",
        "lines": 5,
        "busy_lines": 0,
    }


def test_paused_time_stands_still_and_resumes(pbx, http, sink):
    tell(http, pbx, "pause")
    place(http, pbx)
    before = look(http, pbx, "state")
    time.sleep(0.2)  # the only way to see that nothing moves
    after = look(http, pbx, "state")
    assert (after["time"], after["communications"], after["paused"]) == (before["time"], 0, True)
    assert pbx.station.wakes_at is None
    tell(http, pbx, "resume")
    sink.wait(ended("c1"))


def test_chosen_numbers_and_the_answer_probability_can_be_changed(pbx, http, sink):
    tell(http, pbx, "numbers", **{"+390699999999": {"ending": "busy", "ring": 1}})
    place(http, pbx, "390699999999", "busy")
    tell(http, pbx, "answer_probability", value=1.0)
    place(http, pbx, "390700000001", "sure")
    events = sink.wait(ended("busy", "sure"))
    assert [e["outcome"] for e in events if e.get("extid") == "busy" and "outcome" in e] == ["10", "10"]
    assert look(http, pbx, "state")["answer_probability"] == 1.0
    assert look(http, pbx, "rings") == {"390699999999": 1, "390700000001": 1}


def test_quiet_takes_no_more_calls(pbx, http):
    tell(http, pbx, "quiet")
    assert "<outcome>1</outcome>" in place(http, pbx).text
    tell(http, pbx, "reopen")
    assert "<outcome>0</outcome>" in place(http, pbx).text


def test_a_reset_begins_a_new_world(pbx, http):
    place(http, pbx)
    assert tell(http, pbx, "reset", seed=9, agents=3, lines=7, speed=2, answer_probability=0.5).status_code == 200
    state = look(http, pbx, "state")
    assert (state["seed"], len(state["agents"]), state["gateways"][0]["lines"], state["speed"]) == (9, 3, 7, 2.0)
    assert look(http, pbx, "book")["calls"] == 0
    assert state["time"] < 60  # of this world, twice as quick as ours


def test_an_incoming_call_is_told_and_is_none_of_ours(pbx, http, sink):
    com = tell(http, pbx, "incoming", number="390655555555").json()["call_id"]
    (event, *_) = sink.wait(lambda events: any(e["event_name"] == "call_in" for e in events))
    assert (event["call_id"], event["calling"]) == (str(com), "390655555555")


@pytest.mark.parametrize(
    ("what", "told", "says"),
    [
        ("faults", {"faults": "nonsuch"}, "no fault called 'nonsuch'"),
        ("faults", {}, "tell"),
        ("agents", {"presence": 99}, "table 2"),
        ("agents", {"presence": 7}, "name one agent"),
        ("gateways", {"id": 9, "up": False}, "there is no gateway 9"),
        ("numbers", {"39": {"ending": "sings"}}, "ending is one of"),
        ("numbers", {"39": {"often": 1}}, "the rest are"),
        ("answer_probability", {"value": 3}, "between 0 and 1"),
        ("answer_probability", {"value": "nan"}, "0 or more"),
        ("webhook", {"url": "nowhere"}, "must be a whole one"),
        ("incoming", {}, "called_type"),
        ("restart", {"seconds": "long"}, "seconds must be a number"),
        ("reset", {"agent": 3}, "does not know agent"),
        ("reset", {"speed": 0}, "above 0"),
        ("reset", {"seed": "x"}, "whole number"),
    ],
)
def test_the_control_door_names_what_is_wrong(pbx, http, what, told, says):
    reply = tell(http, pbx, what, **told)
    assert reply.status_code == 400
    assert says in reply.json()["error"]


def test_a_body_that_is_not_json_is_said_to_be_none(pbx, http):
    reply = http.post(f"{pbx.address}/_control/faults", content=b"{")
    assert (reply.status_code, reply.json()) == (400, {"error": "the body is not JSON"})


def test_webhooks_are_sent_once_and_never_again(pbx, http, sink):
    sink.status = 503
    place(http, pbx)
    events = sink.wait(ended("c1"))
    assert len(names(events, "c1")) == 8
    until(lambda: look(http, pbx, "state")["webhooks"]["rejected"] == 8)


def test_nobody_listening_for_webhooks_stops_nothing(http):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/gone"
    with RunningPbx(ServerConfig(port=0, webhook_url=url, world=config())) as pbx:
        place(http, pbx, "390600000001")
        tell(http, pbx, "numbers", **{"390600000002": {"ending": "rejected"}})
        place(http, pbx, "390600000002", "c2")
        until(lambda: look(http, pbx, "state")["webhooks"]["failed"] >= 4)
        assert look(http, pbx, "book")["calls"] == 2


def test_webhooks_can_be_sent_elsewhere(pbx, http, sink):
    other = Sink()
    tell(http, pbx, "webhook", url=f"{other.url}?key=1")
    place(http, pbx)
    events = other.wait(ended("c1"))
    assert {e["key"] for e in events} == {"1"}
    assert sink.events == []
    other.close()


def test_a_nodes_script_is_asked_over_http(http, sink):
    node = NodeConfig(0, audio_message="comfort.wav", action=NodeAction.SCRIPT, script=sink.url + "?ivr=1")
    asking = IvrConfig(17, "Asking", "", (node,))
    sink.answer = b"command=3\r\nrecipient_type=0\r\nrecipient_id=103\r\nrecipient_number=203"
    clips = {"comfort.wav": Clip(0.2)}
    with RunningPbx(ServerConfig(port=0, world=config(ivrs=(asking, waiting()), clips=clips))) as pbx:
        place(http, pbx)
        (asked,) = sink.wait(lambda events: len(events) == 1)
        assert (asked["ivr"], asked["ivrid"], asked["calling"]) == ("1", "17", "390600000001")
        until(lambda: look(http, pbx, "book")["joined"] == 1)
        assert [a["state"] for a in look(http, pbx, "state")["agents"]].index("talking") == 2


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_a_port_that_is_taken_is_said_with_the_remedy():
    with taken_port() as port, pytest.raises(ServiceUnreachable, match=f"port {port}.*--port"):
        RunningPbx(ServerConfig(port=port))


def test_run_server_names_wrong_values_before_it_listens():
    with pytest.raises(BadInput, match="no fault called 'x'"):
        run_server(port=0, faults="x")
    with pytest.raises(BadInput, match="needs a token"):
        run_server(port=0, token="")
    with pytest.raises(BadInput, match="speed must be above 0"):
        run_server(port=0, speed=0)
    with pytest.raises(BadInput, match="must be a whole one"):
        run_server(port=0, webhook_url="localhost:80")
    with pytest.raises(BadInput, match="no profile 'death'; there are life, pacing"):
        run_server(port=0, profile="death")
