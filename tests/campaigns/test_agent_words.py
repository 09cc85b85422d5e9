"""An agent's word in the dialer is seen in XiVO, nothing loops, and XiVO's figures stand beside ours."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from campaigns import agent_words, agents, pbx_figures, pbx_status, reports
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import Agent, Ledger, PbxFigures
from dialer.pbx.base import PbxUser, Presence
from dialer.pbx.xivo import XivoPbx
from dialer.settings import PbxSettings
from tests import factories
from tests.pbx.xuc_peer import BOSS, PASSWORD, XucPeer


@pytest.fixture
def peer() -> Iterator[XucPeer]:
    peer = XucPeer()
    yield peer
    peer.close()


@pytest.fixture
def office(application: Application, session: Session, peer: XucPeer) -> Iterator[Application]:
    extra = {"agents": "1015=agent15, 1016=agent16", "confirm_within": "1"}
    settings = PbxSettings(kind="xivo", url=peer.url, user=BOSS, token_env="KEY", timeout=3, extra=extra)
    pbx = XivoPbx("main", settings, environ={"KEY": PASSWORD})
    made = factories.campaign(session, name="spring")
    factories.agent(session, made, user_id="1015", extension="2015", name="Ann agent15", said_by="person")
    session.commit()
    yield replace(application, pbxes={"main": pbx})
    pbx.close()


def ann(session: Session) -> Agent:
    session.rollback()
    session.expire_all()
    return session.scalars(select(Agent).where(Agent.user_id == "1015")).one()


def test_a_word_goes_both_ways_and_presence_does_not_answer_it(
    office: Application, session: Session, peer: XucPeer
) -> None:
    agent_id = ann(session).id
    for verb, state, there in (
        ("pause", "paused", "AgentOnPause"),
        ("ready", "ready", "AgentReady"),
        ("logout", "out", "AgentLoggedOut"),
        ("login", "ready", "AgentReady"),
    ):
        more = {"reason": "lunch"} if verb == "pause" else {}
        said = agent_words.say(office, agent_id, verb, who="test", **more)
        assert (said.objection, ann(session).state, peer.desks["1015"].state) == ("", state, there)
        before = len(peer.commands)
        for _ in range(3):
            assert pbx_status.poll(office, "main")
        assert ann(session).state == state
        assert {name for name, _ in peer.commands[before:]} == {"getAgentDirectory"}, "and nothing comes back of it"
    moves = session.scalars(select(Ledger).where(Ledger.kind == "agent")).all()
    assert len(moves) == 4, "one move for each word"


def test_what_xivo_objects_to_is_said_and_the_word_stands(office: Application, session: Session, peer: XucPeer) -> None:
    agent_id = ann(session).id
    agent_words.say(office, agent_id, "logout", who="test")
    peer.wrong_phone = "1002"
    said = agent_words.say(office, agent_id, "login", who="test")
    assert "logged in on phone 1002, and wanted 2015" in said.objection
    assert ann(session).state == "ready"
    peer.close()
    said = agent_words.say(office, agent_id, "pause", who="test", reason="lunch")
    assert said.objection
    assert ann(session).state == "paused"


def test_presence_that_was_asked_for_before_the_word_does_not_undo_it(office: Application, session: Session) -> None:
    agent_id = ann(session).id
    agents.pause(session, agent_id, reason="lunch", now=database_now(session), who="test")
    session.commit()
    asked = database_now(session) - timedelta(seconds=5)
    agents.ready(session, agent_id, now=database_now(session), who="test")
    session.commit()
    away = [PbxUser("1015", "Ann", "2015", Presence.ABSENT)]
    now = database_now(session)
    agents.apply_presence(session, "main", away, now=now, login_by_presence=False, asked_at=asked)
    session.commit()
    assert ann(session).state == "ready"
    agents.apply_presence(session, "main", away, now=now, login_by_presence=False, asked_at=now + timedelta(seconds=1))
    session.commit()
    assert ann(session).state == "paused", "and one asked for afterwards does"


def test_xivos_figures_stand_beside_ours_with_their_time(office: Application, session: Session) -> None:
    assert pbx_figures.read(office, "main") == 3
    assert pbx_figures.read(office, "main") == 3, "one row a day, read anew"
    agents.pause(session, ann(session).id, reason="lunch", now=database_now(session), who="test")
    session.commit()
    now = database_now(session)
    ours = {"campaign": "spring", "since": (now - timedelta(days=1)).date(), "until": None, "now": now}
    made = reports.make(session, "agents", **ours)
    (row,) = made.rows
    assert (row["pbx_ready"], row["pbx_paused"], row["pbx_calls_out"]) == (434.0, 60.0, 7)
    assert "PBX paused" in [column.title for column in made.shown]
    assert len(made.notes) == 1
    (queue,) = reports.make(session, "queues", **ours).rows
    assert (queue["queue"], queue["entered"], queue["abandoned"]) == ("Travels", 20, 19)
    session.execute(update(PbxFigures).values(read_at=now - timedelta(hours=1)))
    assert "stale" in reports.make(session, "agents", **ours).notes[1]


def test_without_them_a_report_is_what_it_was(office: Application, session: Session) -> None:
    now = database_now(session)
    made = reports.make(session, "agents", campaign="spring", since=None, until=None, now=now)
    assert not [column for column in made.columns if column.key.startswith("pbx_")]
    assert made.notes == []
