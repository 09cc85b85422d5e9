import logging
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from campaigns.models import Assignment
from campaigns.web.ivr import CallView, answer
from dialer.calls import CallState
from dialer.pbx.voispeed_codes import EntityType
from dialer.pbx.voispeed_ivr import End, IvrQuestion, RerunNode, TransferToEntity
from dialer.settings import PbxSettings
from tests import factories

from .conftest import OTHER, SECRET, Running

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
DESK = f"/ivr/main/{SECRET}"
ASK = "?license_id=1&ivrid=17&nodeid=2&callid=9001&calling=390612345678&called=0210001000&input=&tag=-1"
QUESTION = IvrQuestion("9001", "17", "2", "390612345678", "0210001000", "", None, "1", "")
MESSAGE = TransferToEntity(EntityType.IVR, "19", "19")


def settings(**values: object) -> PbxSettings:
    return PbxSettings(**{"url": "http://127.0.0.1:9/", "abandon_ivr": 19, **values})  # type: ignore[arg-type]


def waiting(seconds: float | None, **values: object) -> CallView:
    answered_at = None if seconds is None else NOW - timedelta(seconds=seconds)
    return CallView(**{"state": CallState.HELD, "answered_at": answered_at, "answer_limit": 2.0, **values})  # type: ignore[arg-type]


def decide(call: CallView | None, using: PbxSettings | None = None, question: IvrQuestion = QUESTION) -> object:
    return answer(question, call, using or settings(), now=NOW, lead=0.35)


@pytest.mark.parametrize("seconds", [None, 0.0, 1.6])
def test_who_may_still_wait_hears_the_node_again(seconds: float | None) -> None:
    assert decide(waiting(seconds)) == RerunNode(input_timeout=1)


@pytest.mark.parametrize("seconds", [1.65, 2.0, 60.0])
def test_who_waited_as_long_as_the_law_allows_hears_the_message(seconds: float) -> None:
    assert decide(waiting(seconds)) == MESSAGE


def test_an_agent_is_rung_only_where_the_settings_say_so() -> None:
    call = waiting(0.5, agent=("33", "233"))

    assert decide(call) == RerunNode(input_timeout=1)
    assert decide(call, settings(extra={"ivr_hands_over": "yes"})) == TransferToEntity(EntityType.USER, "33", "233")


def test_a_call_that_is_not_ours_hears_the_message_or_ends() -> None:
    assert decide(None) == MESSAGE
    assert decide(None, settings(abandon_ivr=None)) == End()


def test_the_message_is_not_sent_to_itself() -> None:
    asks_in_message = IvrQuestion("9001", "19", "1", "", "", "", None, "", "")

    assert decide(waiting(5, state=CallState.MESSAGE), question=asks_in_message) == End()


@pytest.mark.parametrize("state", [CallState.HELD, CallState.JOINED])
def test_an_agent_who_is_parked_waits_on(state: CallState) -> None:
    assert decide(waiting(3600, state=state, parks_agent=True)) == RerunNode(input_timeout=1)


def test_a_call_being_joined_is_left_to_the_join() -> None:
    assert decide(waiting(30, state=CallState.JOINED)) == RerunNode(input_timeout=1)


# Over HTTP ------------------------------------------------------------------------------------------------


def test_a_node_is_answered_in_the_guides_words(
    running: Running, session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    spring = factories.campaign(session, answer_limit=60)
    factories.attempt(session, spring, state=CallState.HELD, pbx_call_id="9001")
    session.commit()

    reply = running.get(DESK + ASK)

    assert (reply.status, reply.body) == (200, b"command=4\r\ninput_timeout=1")
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    assert "390612345678" not in caplog.text
    assert "asks about call 9001 from 390…78" in caplog.text
    assert running.events() == []
    assert running.number('dialer_ivr_answers_total{command="4"}') == 1


def test_an_assigned_agent_is_found_for_the_call(running: Running, session: Session) -> None:
    running.application.settings.pbx["main"].extra["ivr_hands_over"] = "yes"
    spring = factories.campaign(session, answer_limit=60)
    agent, leg = factories.parked_agent(session, spring, user_id="33", extension="233")
    attempt = factories.attempt(session, spring, state=CallState.HELD, pbx_call_id="7001")
    session.add(Assignment(attempt_id=attempt.id, agent_id=agent.id, leg_id=leg.id, assigned_at=factories.NOW))
    session.commit()

    assert running.get(DESK + ASK.replace("9001", "7001")).body == (
        b"command=3\r\nrecipient_number=233\r\nrecipient_id=33\r\nrecipient_type=0"
    )
    parked = running.get(DESK + ASK.replace("9001", str(leg.pbx_call_id)))
    assert parked.body == b"command=4\r\ninput_timeout=1"


def test_a_call_that_is_over_is_no_call_of_ours(running: Running, session: Session) -> None:
    factories.attempt(session, state=CallState.ABANDONED, pbx_call_id="9001")
    session.commit()

    assert running.get(DESK + ASK).body.startswith(b"command=3\r\nrecipient_number=19\r\nrecipient_id=19")


def test_when_nobody_can_be_asked_the_customer_hears_the_message(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dialer.errors import ServiceUnreachable

    def away(*_: object) -> None:
        raise ServiceUnreachable("PostgreSQL cannot be reached")

    monkeypatch.setattr("campaigns.web.ivr.call_view", away)

    assert running.get(DESK + ASK).body.startswith(b"command=3\r\nrecipient_number=19")


@pytest.mark.parametrize("path", [f"/ivr/main/{OTHER}", f"/ivr/far/{OTHER}", f"/ivr/nobody/{SECRET}", "/ivr/main/x"])
def test_only_the_pbx_may_ask(running: Running, path: str) -> None:
    reply = running.get(path + ASK)

    assert (reply.status, reply.body) == (404, b"Not found.\n")


def test_a_question_about_no_call_is_a_sentence(running: Running) -> None:
    reply = running.get(DESK + "?ivrid=17")

    assert reply.status == 400
    assert b"without a callid" in reply.body
