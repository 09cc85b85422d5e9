"""Each maker's peer, with own phones that do what a person with them would."""

from collections.abc import Iterator

import httpx
import pytest

from campaigns.application import Application
from dialer.conformance import agent_first, bench, customer_first, joining
from dialer.pbx.simulator.config import AgentConfig, Behaviour, CustomerConfig, Ending, WorldConfig
from dialer.pbx.simulator.server import RunningPbx, ServerConfig
from tests.conformance.stage import ALONE, OWN, Live, on_stage
from tests.pbx.agent_first_peer import Person
from tests.pbx.ari_peer import PASSWORD as ARI_PASSWORD
from tests.pbx.ari_peer import USER, AriPeer
from tests.pbx.easyconnect_peer import EasyConnectPeer
from tests.pbx.voipline_peer import VoiplinePeer
from tests.pbx.xuc_peer import BOSS, PASSWORD, XucPeer

STAYS = Behaviour(Ending.ANSWERS, ring=0.1, patience=60.0, talk=60.0)
WORLD = WorldConfig(
    customers=CustomerConfig(
        by_last_digits={"78": STAYS, "03": Behaviour(Ending.NO_ANSWER), "02": Behaviour(Ending.UNAVAILABLE)},
        signal=(0.0, 0.0),
        ring_out=1.5,
        fast_end=(0.1, 0.2),
    ),
    agents=AgentConfig(
        count=3, ignores_auto_answer=0.0, never_picks_up=0.0, work_mean=None, slips_per_hour=0.0, ring_out=1.0
    ),
)
PEOPLE = {OWN.removeprefix("+"): Person(0.05, talks=60.0), ALONE.removeprefix("+"): Person(answers_after=None)}

LIMITS = {
    agent_first: ("FIRST_EVENT",),
    bench: ("END_WITHIN", "LATE_EVENTS"),
    customer_first: ("FIRST_EVENT", "RECEPTION_WITHIN", "MESSAGE_WITHIN", "REPORTED_WITHIN"),
    joining: ("JOINED_WITHIN",),
}


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what never comes: a peer in this process needs none of the time that people and networks are given."""
    for module, names in LIMITS.items():
        for name in names:
            monkeypatch.setattr(module, name, getattr(module, name) / 5)


@pytest.fixture
def voispeed(application: Application) -> Iterator[tuple[Live, RunningPbx]]:
    """A VOIspeed, as the product's simulator plays it."""
    with RunningPbx(ServerConfig(port=0, world=WORLD)) as running:
        section = {
            "kind": "simulator", "url": running.url, "reception_ivr": 17, "waiting_ivr": 18, "abandon_ivr": 19,
        }  # fmt: skip
        with on_stage(application, section, {"TOKEN": "simulator"}, message_limit=12) as (live, webhook):
            httpx.post(f"{running.address}/_control/webhook", json={"url": webhook}, verify=False).raise_for_status()
            live.agents, live.wrong = ["201"], "+390612345602"
            yield live, running


@pytest.fixture
def asterisk(application: Application) -> Iterator[tuple[Live, AriPeer]]:
    peer = AriPeer()
    peer.rings_for, peer.message_lasts = 0.5, 0.2
    section = {
        "kind": "asterisk", "url": peer.url, "user": USER, "trunks": {"trunk": 30}, "agent_endpoints": ["agent*"],
    }  # fmt: skip
    with on_stage(application, section, {"TOKEN": ARI_PASSWORD}, message_limit=3) as (live, _):
        live.numbers, live.agents, live.wrong = [OWN, "+390612345692"], ["1001"], "+390612345696"
        yield live, peer
    peer.close()


@pytest.fixture
def xivo(application: Application) -> Iterator[tuple[Live, XucPeer]]:
    peer = XucPeer(customers=dict(PEOPLE), agents={"1016": None}, patience=1.0)
    section = {
        "kind": "xivo", "url": peer.url, "user": BOSS, "timeout": 3.0,
        "extra": {"agents": "1015=agent15, 1016=agent16", "confirm_within": "0.4"},
    }  # fmt: skip
    with on_stage(application, section, {"TOKEN": PASSWORD}) as (live, _):
        live.agents = ["2015", "2016"]
        yield live, peer
    peer.close()


@pytest.fixture
def easyconnect(application: Application) -> Iterator[tuple[Live, EasyConnectPeer]]:
    peer = EasyConnectPeer(customers=dict(PEOPLE), agents={"216": None}, patience=1.0)
    section = {
        "kind": "easyconnect", "url": peer.url,
        "extra": {"agents": "215=Anna, 216=Bert", "hang_up_path": "rcc/disconnectcall"},
    }  # fmt: skip
    with on_stage(application, section, {"TOKEN": "key-1"}) as (live, webhook):
        peer.webhook, live.agents = webhook, ["215", "216"]
        yield live, peer
    peer.close()


@pytest.fixture
def voipline(application: Application) -> Iterator[tuple[Live, VoiplinePeer]]:
    people = {**PEOPLE, OWN.removeprefix("+"): Person(0.05, talks=0.5)}  # nothing can hang up but the people
    peer = VoiplinePeer(customers=people, agents={"1011": None}, patience=1.0)
    section = {"kind": "voipline", "url": peer.url, "extra": {"agents": "1010=Ten, 1011=Bert"}}
    with on_stage(application, section, {"TOKEN": "key-1"}) as (live, webhook):
        peer.webhook, live.agents = webhook, ["1010", "1011"]
        yield live, peer
    peer.close()
