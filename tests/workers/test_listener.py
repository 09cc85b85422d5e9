"""The listener, on a real database, against a small Asterisk whose websocket can be cut."""

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from campaigns import limits, looking, settling
from campaigns.application import Application
from campaigns.event_log import EventLog, NotKept
from campaigns.models import Agent, AgentLeg, Attempt, Campaign, Command, LoggedEvent
from dialer.calls import CallState
from dialer.errors import OutcomeUnknown
from dialer.pbx.asterisk import AsteriskPbx
from dialer.pbx.base import CustomerOrder
from dialer.settings import Settings
from tests import factories
from tests.pbx.ari_peer import PASSWORD, USER, AriPeer
from tests.waiting import until
from workers import listening
from workers.listener import listen

PREFIX = "dtest"


@dataclass
class Bell:
    """A doorbell that looks at once, as a worker would."""

    application: Application
    looked: list[str | None] = field(default_factory=list)
    deaf: bool = False  # nobody hears it

    def look(self, pbx: str, ref: str | None, call_id: str | None) -> None:
        self.looked.append(ref)
        if self.deaf:
            return
        looking.look(self.application, pbx, ref, call_id)

    def place(self, ref: str) -> None:
        """No orders here."""

    def run_import(self, import_id: int) -> None:
        """No imports here."""


@pytest.fixture
def peer() -> Iterator[AriPeer]:
    running = AriPeer()
    yield running
    running.close()


@pytest.fixture
def stage(application: Application, peer: AriPeer, session: Session) -> Iterator[Application]:
    """An application with the peer as its PBX, and a campaign that runs."""
    settings = Settings.model_validate(
        {
            "data_dir": application.settings.data_dir,
            "timing": {"lease": 3},
            "pbx": {
                "main": {
                    "kind": "asterisk",
                    "url": peer.url,
                    "user": USER,
                    "token_env": "T",
                    "trunks": {"trunk": 30},
                    "agent_endpoints": ["agent*"],
                }
            },
        }
    )
    application.settings = settings
    pbx = AsteriskPbx("main", settings.pbx["main"], environ={"T": PASSWORD})
    application.pbxes = {"main": pbx}
    application.doorbell = Bell(application)
    factories.campaign(session)
    session.execute(text("UPDATE installation SET prefix = :prefix"), {"prefix": PREFIX})
    session.commit()
    yield application
    pbx.close()


class Listener:
    """`dialer listener` on a thread of its own."""

    def __init__(self, application: Application, holder: str = "one") -> None:
        self._application, self._holder = application, holder
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self._loop.run_until_complete(listen(self._application, ["main"], self._stop, self._holder))

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)
        assert not self._thread.is_alive()
        self._loop.close()


def rows(application: Application) -> list[tuple[str | None, str]]:
    """(reference, type) of the logged events, in order."""
    with application.transaction() as session:
        logged = session.scalars(select(LoggedEvent).order_by(LoggedEvent.id)).all()
        return [(one.ref, one.body.decode().split('"type": "')[1].split('"')[0]) for one in logged]


def attempt(session: Session, ending: str = "99", **values: object) -> Attempt:
    campaign = session.scalars(select(Campaign)).first()
    assert campaign is not None
    made = factories.attempt(session, campaign, **{"state": CallState.SENDING, **values})
    made.number = f"+3902{10_000_000 + made.id}{ending}"[:13] + ending
    session.commit()
    return made


def dial(application: Application, call: Attempt) -> None:
    order = CustomerOrder(call.ref, call.number, "trunk", "+390210001000")
    application.pbxes["main"].call_customer(order)


def fresh(session: Session, row: Any) -> Any:
    session.expire_all()
    session.refresh(row)
    return row


def test_events_are_logged_as_they_came_and_their_calls_are_looked_at(
    stage: Application, peer: AriPeer, session: Session
) -> None:
    call = attempt(session, "93")
    with Listener(stage):
        until(lambda: peer.listeners and peer.subscribed)
        dial(stage, call)
        until(lambda: fresh(session, call).state == CallState.REJECTED)
    assert rows(stage) == [(call.ref, "Dial"), (call.ref, "ChannelHangupRequest"), (call.ref, "ChannelDestroyed")]
    assert call.leg_outcome == "rejected"


def test_a_customer_is_joined_to_the_agent_whom_the_listener_parked_and_both_serve_on(
    stage: Application, peer: AriPeer, session: Session
) -> None:
    campaign = session.scalars(select(Campaign)).one()
    who = factories.agent(session, campaign, user_id="agent1001", extension="1001", state="parking")
    leg = factories.leg(session, campaign, who, state=CallState.SENDING)
    session.commit()
    with Listener(stage):
        until(lambda: peer.subscribed)
        stage.pbxes["main"].call_agent(_agent_order(leg))
        until(lambda: fresh(session, who).state == "parked")
        for _ in range(2):
            call = attempt(session)
            dial(stage, call)
            until(lambda call=call: fresh(session, call).state == CallState.JOINED)
            assert sorted(peer.bridges[f"{leg.ref}-talk"]["channels"]) == sorted([leg.ref, call.ref])
            peer.hang_up(call.ref)
            until(lambda call=call: fresh(session, call).state == CallState.COMPLETED)
            until(lambda: peer.bridges["dialer-waiting"]["channels"] == [leg.ref])
            assert fresh(session, leg).state == CallState.HELD
            session.execute(update(Agent).values(state="parked"))
            session.commit()
        peer.hang_up(leg.ref)
        until(lambda: fresh(session, leg).ended_at)
        until(lambda: not peer.bridges)


def test_a_customer_is_joined_by_the_listener_alone(stage: Application, peer: AriPeer, session: Session) -> None:
    """No queue, no worker, no second look: what is needed is in the commit that keeps the answer."""
    campaign = session.scalars(select(Campaign)).one()
    who = factories.agent(session, campaign, user_id="agent1001", extension="1001", state="parking")
    leg = factories.leg(session, campaign, who, state=CallState.SENDING)
    session.commit()
    bell = stage.doorbell
    assert isinstance(bell, Bell)
    with Listener(stage):
        until(lambda: peer.subscribed)
        stage.pbxes["main"].call_agent(_agent_order(leg))
        until(lambda: fresh(session, who).state == "parked")
        bell.deaf = True
        call = attempt(session)
        dial(stage, call)
        until(lambda: call.ref in peer.bridges[f"{leg.ref}-talk"]["channels"])
        # They have met, which a worker is told of; looks that wait their turn are one look.
        until(lambda: (call.ref, "ChannelEnteredBridge") in rows(stage))
        until(lambda: fresh(session, session.scalars(select(Command)).one()).state == "accepted")
        until(lambda: call.ref in bell.looked)
        assert fresh(session, call).state == CallState.SENDING  # nobody has looked yet
        assert fresh(session, who).state == "assigned"
        (command,) = session.scalars(select(Command)).all()
        assert (command.kind, command.state, command.ref) == ("join", "accepted", call.ref)
        bell.deaf = False
        bell.look("main", call.ref, None)
        assert fresh(session, call).state == CallState.JOINED
        assert fresh(session, who).state == "talking"


def _agent_order(leg: AgentLeg) -> Any:
    from dialer.pbx.base import AgentOrder

    return AgentOrder(leg.ref, "agent1001", "1001")


def test_a_cut_is_settled_before_anything_new_is_told(stage: Application, peer: AriPeer, session: Session) -> None:
    """Gone, waiting, unparked, unknown, and one that rang on: each found by asking, in the order of need."""
    campaign = session.scalars(select(Campaign)).one()
    gone = attempt(session, state=CallState.RINGING)
    waits, rings = attempt(session), attempt(session, "92")
    agent_leg = factories.leg(session, campaign, factories.agent(session, campaign, state="parking"))
    session.commit()
    dial(stage, waits)  # nobody listens: whatever these told is lost
    dial(stage, rings)
    stage.pbxes["main"].call_agent(_agent_order(agent_leg))
    for stranger in (f"{PREFIX}-c999", "dother-c5"):
        stage.pbxes["main"].call_customer(CustomerOrder(stranger, "+390212345692", "trunk", "+390210001000"))
    with Listener(stage):
        until(lambda: fresh(session, gone).over_at)
        until(lambda: f"{PREFIX}-c999" not in peer.channels)
        until(lambda: fresh(session, agent_leg).state == CallState.HELD)
        until(lambda: fresh(session, waits).state == CallState.JOINED)
    told = rows(stage)
    assert told[:3] == [(waits.ref, "DialerFound"), (agent_leg.ref, "DialerFound"), (gone.ref, "DialerGone")]
    with stage.transaction() as other:
        limits.settle(other, other.get_one(Attempt, gone.id), now=datetime.now(UTC))
    fresh(session, gone)
    # The end is known, its cause is not: never "no answer".
    assert gone.state == CallState.FAILED
    assert fresh(session, rings).ended_at is None
    assert "dother-c5" in peer.channels  # another installation's


def test_a_call_that_speaks_while_we_settle_is_believed_and_not_called_gone(
    stage: Application, peer: AriPeer, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = attempt(session, "92")
    dial(stage, call)
    session.execute(update(Attempt).values(state=CallState.RINGING))
    session.commit()
    pbx = stage.pbxes["main"]
    assert isinstance(pbx, AsteriskPbx)
    settle, connections = pbx.settle, [listening._Incoming()]
    monkeypatch.setattr(listening, "_Incoming", lambda: connections[0])

    def just_then() -> Any:
        if call.ref in peer.channels:
            peer.tell("ChannelHangupRequest", peer.channels[call.ref], cause=17, tech_cause=486)
            peer.hang_up(call.ref, 17, far_end=False)
            until(lambda: any("ChannelDestroyed" in one for one in connections[0].messages.copy()))
        return settle()

    monkeypatch.setattr(pbx, "settle", just_then)
    with Listener(stage):
        until(lambda: fresh(session, call).ended_at)
    assert call.state == CallState.BUSY
    assert "DialerGone" not in {kind for _, kind in rows(stage)}


def test_a_websocket_that_is_cut_is_opened_again_and_what_was_missed_is_found(
    stage: Application, peer: AriPeer, session: Session
) -> None:
    call = attempt(session)
    with Listener(stage):
        until(lambda: peer.subscribed)
        dial(stage, call)
        until(lambda: fresh(session, call).state == CallState.HELD)
        peer.cut()
        until(lambda: not peer.listeners)
        peer.hang_up(call.ref)  # told to nobody
        until(lambda: fresh(session, call).over_at)
        later = attempt(session, "91")
        until(lambda: peer.listeners)
        dial(stage, later)
        until(lambda: fresh(session, later).state == CallState.BUSY)
    assert (call.ref, "DialerGone") in rows(stage)


def test_after_a_restart_of_asterisk_no_call_of_before_is_left_open(
    stage: Application, peer: AriPeer, session: Session
) -> None:
    calls = [attempt(session, "92") for _ in range(3)]
    with Listener(stage):
        until(lambda: peer.subscribed)
        for call in calls:
            dial(stage, call)
            session.execute(update(Attempt).values(state=CallState.PLACED))
            session.commit()
        peer.restart()
        until(lambda: all(fresh(session, call).over_at for call in calls))
        until(lambda: peer.subscribed)  # asked for anew: a restart forgets it
    assert {reference for reference, kind in rows(stage) if kind == "DialerGone"} == {call.ref for call in calls}


def test_one_listens_and_the_other_takes_over(stage: Application, peer: AriPeer, session: Session) -> None:
    call = attempt(session, "91")
    with Listener(stage, "second"):
        until(lambda: peer.listeners == 1)
        with Listener(stage, "first"):
            time.sleep(0.5)
            assert peer.listeners == 1
            opened = _opened(peer)
            with stage.transaction() as other:  # the leader is cut off from the database, and its lease runs out
                other.execute(text("UPDATE leases SET holder = 'first' WHERE name = 'listener:main'"))
            until(lambda: _opened(peer) > opened)
            until(lambda: peer.listeners == 1)
            until(lambda: peer.subscribed)
            dial(stage, call)
            until(lambda: fresh(session, call).state == CallState.BUSY)
    assert len([kind for _, kind in rows(stage) if kind == "ChannelDestroyed"]) == 1


def _opened(peer: AriPeer) -> int:
    return sum(request.path == "/ari/events" for request in peer.server.requests)


def test_a_stranger_who_takes_our_events_is_complained_of_and_not_fought(
    stage: Application, peer: AriPeer, caplog: pytest.LogCaptureFixture
) -> None:
    with Listener(stage):
        until(lambda: peer.subscribed)
        other = AsteriskPbx("other", stage.settings.pbx["main"], environ={"T": PASSWORD})

        async def take_over() -> None:
            stream = await other.open_stream()
            await asyncio.sleep(1.0)
            await stream.close()

        asyncio.run(take_over())
        assert _opened(peer) == 2  # ours, and theirs
        other.close()


def test_events_wait_for_a_database_that_is_away(
    stage: Application, peer: AriPeer, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = attempt(session, "91")
    keep, refusals = EventLog.keep, [4]

    async def unwilling(self: EventLog, event: Any) -> None:
        if refusals[0]:
            refusals[0] -= 1
            raise NotKept("the event could not be written: PostgreSQL does not answer; send it again")
        await keep(self, event)

    monkeypatch.setattr(EventLog, "keep", unwilling)
    with Listener(stage):
        until(lambda: peer.subscribed)
        dial(stage, call)
        until(lambda: len(rows(stage)) == 3)
    assert refusals == [0]
    assert {kind for _, kind in rows(stage)} == {"Dial", "ChannelHangupRequest", "ChannelDestroyed"}


def test_what_a_failed_chore_has_left_is_seen_to_later(
    stage: Application, peer: AriPeer, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "LOOK_AROUND", 0.2)
    pbx, failures = stage.pbxes["main"], [3]
    assert isinstance(pbx, AsteriskPbx)
    see_to = pbx.see_to

    def unwilling(chore: str) -> None:
        if failures[0]:
            failures[0] -= 1
            raise OutcomeUnknown("main", "gave no complete answer")
        see_to(chore)

    monkeypatch.setattr(pbx, "see_to", unwilling)
    campaign = session.scalars(select(Campaign)).one()
    leg = factories.leg(session, campaign, factories.agent(session, campaign), state=CallState.SENDING)
    session.commit()
    with Listener(stage):
        until(lambda: peer.subscribed)
        pbx.call_agent(_agent_order(leg))
        until(lambda: peer.bridges.get("dialer-waiting", {}).get("channels") == [leg.ref])
        failures[0] = 2
        peer.hang_up(leg.ref)
        until(lambda: not peer.bridges)
    assert failures == [0]


def test_a_reader_that_falls_behind_gives_the_connection_up(
    stage: Application, peer: AriPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounded (I30): what is given up is settled anew."""
    monkeypatch.setattr(listening, "MOST_WAITING", 3)
    incoming = listening._Incoming()

    class Endless:
        async def receive(self) -> str:
            return "{}"

        async def close(self) -> None:
            """Nothing is open."""

    asyncio.run(listening._read(Endless(), incoming))
    assert len(incoming.messages) == 3
    assert "slower than the PBX" in incoming.ended


def test_only_calls_that_the_pbx_has_taken_are_missed(session: Session) -> None:
    campaign = factories.campaign(session)
    taken = {CallState.PLACED, CallState.RINGING, CallState.ANSWERED, CallState.HELD, CallState.JOINED}
    made = {
        state: factories.attempt(session, campaign, state=state, sent_at=datetime.now(UTC) - timedelta(seconds=1))
        for state in (*taken, CallState.ORDERED, CallState.SENDING, CallState.UNKNOWN, CallState.BUSY)
    }
    assert set(settling.at_the_pbx(session, "main")) == {made[state].ref for state in taken}
    assert settling.at_the_pbx(session, "other") == []
