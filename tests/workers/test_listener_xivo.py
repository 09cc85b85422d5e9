"""The listener, on a real database, against a Xuc that cannot always say which calls there are."""

import json
from collections.abc import Iterator

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns.application import Application
from campaigns.models import LoggedEvent
from dialer.calls import CallState
from dialer.pbx.xivo import XivoPbx
from dialer.settings import Settings
from tests import factories
from tests.pbx.xuc_peer import BOSS, PASSWORD, XucPeer
from tests.waiting import until
from tests.workers.test_listener import PREFIX, Bell, Listener, attempt, fresh

STRANGER = {
    "eventType": "EventDialing",
    "DN": "2015",
    "otherDN": "390612345678",
    "linkedId": "1.1",
    "userData": {"USR_dref": f"{PREFIX}-c999"},
}


@pytest.fixture
def peer() -> Iterator[XucPeer]:
    running = XucPeer()
    yield running
    running.close()


@pytest.fixture
def stage(application: Application, peer: XucPeer, session: Session) -> Iterator[Application]:
    """An application with the peer as its PBX, and a campaign that runs."""
    section = {"kind": "xivo", "url": peer.url, "user": BOSS, "token_env": "T", "timeout": 0.5}
    settings = Settings.model_validate(
        {
            "data_dir": application.settings.data_dir,
            "timing": {"lease": 3},
            "pbx": {"main": {**section, "extra": {"agents": "1015=agent15, 1016=agent16"}}},
        }
    )
    application.settings = settings
    pbx = XivoPbx("main", settings.pbx["main"], environ={"T": PASSWORD})
    application.pbxes = {"main": pbx}
    application.doorbell = Bell(application)
    factories.campaign(session)
    session.execute(text("UPDATE installation SET prefix = :prefix"), {"prefix": PREFIX})
    session.commit()
    yield application
    pbx.close()


def test_a_talk_is_over_only_when_every_phone_can_be_seen(stage: Application, peer: XucPeer, session: Session) -> None:
    call = attempt(session, state=CallState.JOINED, agent_first=True)
    peer.tells_calls = False
    with Listener(stage):
        until(lambda: peer.commands.count(("getCurrentCallsPhoneEvents", {})) >= 2)
        # What comes meanwhile is logged when all that is gone has been: so it is the first, if nobody is.
        peer.sockets[0].send(json.dumps({"msgType": "PhoneEvent", "ctiMessage": STRANGER}))
        until(lambda: _logged(session))
        assert _logged(session) == [(f"{PREFIX}-c999", False)]
        assert fresh(session, call).over_at is None
        peer.tells_calls = True
        peer.cut()
        until(lambda: fresh(session, call).over_at is not None)
    assert _logged(session)[1:] == [(call.ref, True)]


def _logged(session: Session) -> list[tuple[str | None, bool]]:
    """(reference, whether we made it ourselves) of the logged events, in order."""
    session.rollback()
    return [
        (one.ref, b"DialerGone" in one.body) for one in session.scalars(select(LoggedEvent).order_by(LoggedEvent.id))
    ]
