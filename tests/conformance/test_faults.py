"""Each fault of a PBX makes the right line say "does not", with a remedy; and nothing that was begun is left."""

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.application import Application
from campaigns.models import LoggedEvent
from dialer.pbx.registry import open_pbx
from dialer.pbx.simulator.server import RunningPbx, ServerConfig
from tests import factories
from tests.conformance.conftest import WORLD
from tests.conformance.stage import OWN, Live, on_stage
from tests.pbx.agent_first_peer import Call, Person
from tests.pbx.ari_peer import AriPeer
from tests.pbx.easyconnect_peer import EasyConnectPeer
from tests.pbx.voipline_peer import VoiplinePeer
from tests.pbx.xuc_peer import XucPeer
from tests.waiting import until
from tests.workers.test_listener import Listener

pytestmark = pytest.mark.timeout(180)


def steer(running: RunningPbx, what: str, **told: Any) -> None:
    httpx.post(f"{running.address}/_control/{what}", json=told, verify=False).raise_for_status()


# reads ------------------------------------------------------------------------------------------------


def test_a_wrong_token_is_told_by_the_set_up(voispeed: tuple[Live, RunningPbx]) -> None:
    live, _ = voispeed
    (live.application.settings.data_dir / "TOKEN").write_text("of somebody else")
    found = live.dialer.json("pbx", "conformance", "main", "--reads-only", code=1)
    bad = [one for one in found["lines"] if one["verdict"] == "does not"]
    assert {one["check"] for one in bad} >= {"set-up", "lines", "agents", "current calls", "report"}
    assert "token" in bad[0]["remedy"]
    assert found["modes"]["open"] == [], "a PBX that lets nobody in promises nothing"
    assert "predictive" in found["modes"]["lost"]


def test_a_pbx_that_is_away_is_a_line_for_each_read_and_no_traceback(asterisk: tuple[Live, AriPeer]) -> None:
    live, peer = asterisk
    peer.cut()
    peer.server.close()
    found = live.dialer.json("pbx", "conformance", "main", "--reads-only", code=1)
    assert "way of events" in [one["check"] for one in found["lines"] if one["verdict"] == "does not"]
    assert live.dialer(*live.arguments()).exit_code == 6


def test_a_trunk_that_is_away_is_told_by_the_lines(asterisk: tuple[Live, AriPeer]) -> None:
    live, peer = asterisk
    peer.trunk = "offline"
    found = live.dialer.json("pbx", "conformance", "main", "--reads-only", code=1)
    bad = {one["check"]: one for one in found["lines"] if one["verdict"] == "does not"}
    assert bad["lines"]["what"] == "there is no line to call through (trunk: offline)"
    assert set(bad) <= {"lines", "set-up"}
    assert found["features"]["lines"] == "does not"


@pytest.mark.usefixtures("hurried")
def test_where_no_web_runs_it_says_so_and_that_events_arrive_nowhere(application: Application) -> None:
    with RunningPbx(ServerConfig(port=0, world=WORLD)) as running:
        section = {"kind": "simulator", "url": running.url, "reception_ivr": 17, "waiting_ivr": 18, "abandon_ivr": 19}
        with on_stage(application, section, {"TOKEN": "simulator"}, web=False) as (live, _):
            live.numbers = [OWN]
            told = live.run(code=1)
            assert running.station.world.exchange.live == {}, "every call was ended all the same"
    assert told.line("way of events", "does not")["remedy"].startswith("start `dialer web`")
    assert "start `dialer web`" in told.line("answered call", "does not")["remedy"]
    assert told.found["modes"]["seen"] == []
    assert "predictive" in told.found["modes"]["lost"]
    assert told.found["calls"] == 1, "the first call has shown that nothing is heard: no phone rings for nothing"
    for check in ("ring-out", "message"):
        assert told.line(check, "could not be told")["remedy"].startswith("start `dialer web`")


# events -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("hurried")
def test_a_reference_that_does_not_come_back_is_told(voispeed: tuple[Live, RunningPbx]) -> None:
    live, running = voispeed
    tell = running.station.world.take_webhooks

    def nameless() -> Any:
        return [replace(one, fields={k: v for k, v in one.fields.items() if k != "extid"}) for one in tell()]

    running.station.world.take_webhooks = nameless  # type: ignore[method-assign]
    live.numbers, live.agents, live.wrong = [OWN], [], ""
    told = live.run(code=1)
    assert "none names this call" in told.line("answered call", "does not")["what"]
    assert "neither our reference nor an id" in told.line("answered call", "does not")["remedy"]
    assert running.station.world.exchange.live == {}


@pytest.mark.usefixtures("hurried")
def test_events_that_go_nowhere_are_told_and_the_call_is_ended_by_the_list(voispeed: tuple[Live, RunningPbx]) -> None:
    live, running = voispeed
    steer(running, "webhook", url="")
    live.numbers, live.agents, live.wrong = [OWN], [], ""
    told = live.run(code=1)
    assert "no event of the call came" in told.line("answered call", "does not")["what"]
    assert "clean-up" not in told.bad()
    assert running.station.world.exchange.live == {}


@pytest.mark.usefixtures("hurried")
def test_an_end_that_is_not_told_is_told(easyconnect: tuple[Live, EasyConnectPeer]) -> None:
    live, peer = easyconnect
    peer.lost = frozenset({"ended"})
    told = live.run(code=1)
    assert "hang up" in told.bad()
    assert "its end was not told" in told.line("clean-up", "does not")["what"]
    assert len(peer.book) == 1, "no other call is begun while one may still be there"
    until(lambda: all(call.ended for call in peer.book))


@pytest.mark.usefixtures("hurried")
def test_an_answer_that_is_not_told_is_told(easyconnect: tuple[Live, EasyConnectPeer]) -> None:
    live, peer = easyconnect
    peer.lost = frozenset({"answered"})
    peer.customers[OWN.removeprefix("+")] = Person(0.05, talks=0.3)
    told = live.run(code=1)
    assert told.bad() == ["agent first"]
    assert "event of the answer" in told.line("agent first", "does not")["remedy"]
    assert told.found["modes"]["lost"] == ["progressive", "preview", "manual"]


def test_events_in_the_wrong_order_are_taken_all_the_same(voipline: tuple[Live, VoiplinePeer]) -> None:
    live, peer = voipline
    peer.swap, tell = True, peer._tell

    def slowly(step: str, call: Call) -> None:
        tell(step, call)
        time.sleep(0.3)  # the end is looked at before the answer comes

    peer._tell = slowly  # type: ignore[method-assign]
    assert live.run().found["modes"]["seen"] == ["progressive", "preview", "manual"]


def test_a_setting_that_says_the_other_is_told(easyconnect: tuple[Live, EasyConnectPeer]) -> None:
    live, _ = easyconnect
    section = live.application.settings.pbx["main"]
    section = section.model_copy(update={"extra": {**section.extra, "ringing_means": "agent"}})
    live.application.settings.pbx["main"] = section
    live.application.pbxes = {"main": open_pbx("main", section)}
    told = live.run(code=1)
    assert told.bad() == ["whose phone"]
    assert told.line("whose phone", "does not")["remedy"] == 'set pbx.main.extra.ringing_means = "customer"'


# commands ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("hurried")
def test_a_join_that_is_taken_and_not_done_is_told_and_costs_the_modes(asterisk: tuple[Live, AriPeer]) -> None:
    live, peer = asterisk
    done = peer._add
    peer._add = lambda bridge, wanted: (204, None) if len(wanted) > 1 else done(bridge, wanted)  # type: ignore[method-assign]
    told = live.run(code=1)
    assert told.bad() == ["join"]
    assert "no event told that the two are together" in told.line("join", "does not")["what"]
    assert told.found["modes"] == {
        "seen": ["agentless"], "open": [], "lost": ["predictive", "progressive", "power", "preview", "manual"],
    }  # fmt: skip
    assert (peer.channels, peer.bridges) == ({}, {})


@pytest.mark.usefixtures("hurried")
def test_a_message_that_does_not_begin_is_told(asterisk: tuple[Live, AriPeer]) -> None:
    live, peer = asterisk
    peer._continue = lambda channel, query: (204, None)  # type: ignore[method-assign]
    told = live.run(code=1)
    assert told.bad() == ["message"]
    assert told.found["modes"]["lost"] == ["agentless"]
    assert peer.channels == {}


@pytest.mark.usefixtures("hurried")
def test_a_phone_that_rings_for_ever_is_told_and_ended_from_here(asterisk: tuple[Live, AriPeer]) -> None:
    live, peer = asterisk
    peer.rings_for = None
    told = live.run(code=1)
    assert told.bad() == ["ring-out"]
    assert peer.channels == {}


def test_an_agent_s_phone_that_is_not_there_is_told_and_the_others_are_tried(asterisk: tuple[Live, AriPeer]) -> None:
    live, peer = asterisk
    originate = peer._originate
    gone = (500, {"error": "Allocation failed"})
    peer._originate = lambda body: gone if "@" not in body["endpoint"] else originate(body)  # type: ignore[method-assign]
    told = live.run(code=1)
    assert told.bad() == ["park"]
    assert "not registered" in told.line("park", "does not")["what"]
    assert told.found["modes"]["seen"] == ["agentless"]


def test_an_order_without_a_usable_reply_is_looked_for_and_ended(asterisk: tuple[Live, AriPeer]) -> None:
    live, peer = asterisk
    originate = peer._originate
    peer._originate = lambda body: (originate(body), (500, {"message": "?"}))[1]  # type: ignore[method-assign,func-returns-value]
    live.agents, live.wrong = [], ""
    told = live.run(code=1)
    assert "answered call" in told.bad()
    assert "clean-up" not in told.bad()
    assert peer.channels == {}


def test_a_body_that_is_refused_is_told_with_the_maker_s_words(voipline: tuple[Live, VoiplinePeer]) -> None:
    live, peer = voipline
    peer.wants_json = True
    told = live.run(code=1)
    assert "415" in told.line("agent first", "does not")["what"]
    assert peer.book == []


def test_a_spent_budget_stops_the_calls_and_is_told(voipline: tuple[Live, VoiplinePeer]) -> None:
    live, peer = voipline
    peer.most = 1
    told = live.run(code=1)
    assert "agent first" in told.bad()
    assert peer.book == []


def test_a_xivo_whose_sockets_are_cut_is_heard_again(xivo: tuple[Live, XucPeer]) -> None:
    live, peer = xivo
    start = peer.start
    cuts: list[int] = []

    def cut_once(*given: Any, **more: Any) -> Any:
        call = start(*given, **more)
        if not cuts:
            cuts.append(1)
            threading.Timer(0.6, peer.cut).start()
        return call

    peer.start = cut_once  # type: ignore[method-assign]
    peer.customers[OWN.removeprefix("+")] = Person(3.0, talks=60.0)
    told = live.run()
    assert cuts
    assert told.found["modes"]["seen"] == ["progressive", "preview", "manual"]


def test_a_xivo_that_does_not_let_an_agent_in_is_told(xivo: tuple[Live, XucPeer]) -> None:
    live, peer = xivo
    peer.passwords["agent15"] = "another"
    told = live.run(code=1)
    assert "set-up" in told.bad()
    assert "agent first" in told.bad()


# the stream is somebody's -----------------------------------------------------------------------------


def test_a_listener_that_runs_keeps_its_stream(asterisk: tuple[Live, AriPeer]) -> None:
    live, peer = asterisk

    class Deaf:
        def look(self, *_: object) -> None: ...

        def place(self, ref: str) -> None: ...

        def run_import(self, import_id: int) -> None: ...

    live.application.doorbell = Deaf()
    with Listener(live.application):
        until(lambda: peer.listeners and peer.subscribed)
        told = live.run()
        assert peer.listeners == 1, "no second connection ever took it over"
    assert told.bad() == []
    assert "which `dialer listener` writes" in told.line("way of events", "works")["what"]


def test_with_a_campaign_running_and_no_listener_it_does_not_take_the_campaign_s_events(
    asterisk: tuple[Live, AriPeer], session: Session
) -> None:
    live, peer = asterisk
    factories.campaign(session)
    session.commit()
    result = live.dialer(*live.arguments())
    assert (result.exit_code, "start `dialer listener`" in result.stderr) == (75, True)
    assert (peer.listeners, peer.channels) == (0, {})


# interrupted ------------------------------------------------------------------------------------------


def _interrupt_when(condition: Callable[[], object], number: signal.Signals) -> threading.Thread:
    def wait() -> None:
        until(condition, 30)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_phones_ring_it_ends_every_call_and_writes_its_report(
    asterisk: tuple[Live, AriPeer], session: Session, number: signal.Signals
) -> None:
    live, peer = asterisk
    peer.rings_for = None
    waiting = _interrupt_when(lambda: any(one["state"] == "Ringing" for one in peer.channels.values()), number)
    told = live.run(code=130)
    waiting.join(30)
    assert told.found["interrupted"]
    assert (peer.channels, peer.bridges, peer.listeners) == ({}, {}, 0)
    assert session.scalars(select(LoggedEvent).where(LoggedEvent.handled_at.is_(None))).all() == []


def test_interrupted_between_a_parked_agent_and_a_customer_both_are_let_go(asterisk: tuple[Live, AriPeer]) -> None:
    live, peer = asterisk
    done = peer._add
    joins: list[int] = []

    def slow(bridge: str, wanted: Any) -> Any:
        if len(wanted) > 1:
            joins.append(1)
            return (204, None)  # taken, never done: both wait
        return done(bridge, wanted)

    peer._add = slow  # type: ignore[method-assign]
    waiting = _interrupt_when(lambda: joins, signal.SIGINT)
    told = live.run(code=130)
    waiting.join(30)
    assert told.found["interrupted"]
    until(lambda: (peer.channels, peer.bridges) == ({}, {}))


def test_interrupted_on_a_pbx_that_cannot_end_calls_it_says_whose_phones_to_look_at(
    voipline: tuple[Live, VoiplinePeer],
) -> None:
    live, peer = voipline
    peer.customers[OWN.removeprefix("+")] = Person(0.05, talks=60.0)
    waiting = _interrupt_when(lambda: any(call.pickup for call in peer.book), signal.SIGINT)
    told = live.run(code=130)
    waiting.join(30)
    assert "was never told" in told.line("clean-up", "could not be told")["what"]
