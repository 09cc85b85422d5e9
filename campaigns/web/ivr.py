"""`GET /ivr/<pbx>/<secret>`: a node of the reception IVR asks what to do with the caller who waits there.

A second way, beside our own commands, to see that nobody waits in silence: whatever goes wrong in here, the
answer is the recorded message or the end of the call, never nothing. Only VOIspeed's IVRs ask.
"""

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import Agent, AgentLeg, Assignment, Attempt
from campaigns.web.admission import Admission, Refusal
from campaigns.web.metrics import WebMetrics
from campaigns.web.seldom import Seldom
from campaigns.web.webhooks import MAX_QUERY
from dialer.calls import CallState
from dialer.errors import DialerError, EventTrouble
from dialer.pbx.foreign import masked
from dialer.pbx.voispeed_codes import EntityType
from dialer.pbx.voispeed_ivr import (
    CONTENT_TYPE,
    End,
    IvrAnswer,
    IvrQuestion,
    RerunNode,
    TransferToEntity,
    read_ivr_query,
    render,
)
from dialer.pbx_kinds import KINDS
from dialer.settings import PbxSettings

log = logging.getLogger(__name__)

_LIMIT = 1.0  # seconds for the whole answer: a node that waits plays nothing
_ASKS_AGAIN = RerunNode(input_timeout=1)


@dataclass(frozen=True, slots=True)
class CallView:
    """The open call a node asks about. `agent`: user id and extension of the agent assigned to it."""

    state: CallState
    answered_at: datetime | None
    answer_limit: float
    agent: tuple[str, str] | None = None
    parks_agent: bool = False  # an agent's own call, which waits for a customer


def answer(
    question: IvrQuestion, call: CallView | None, settings: PbxSettings, *, now: datetime, lead: float
) -> IvrAnswer:
    """Decide what the node does: ask again in a second, ring the agent, play the message, or end the call.

    `lead` is how long before the limit the message must be ordered so that it begins within it. A node waits in
    whole seconds, so this net may catch somebody up to a second late; the first one is our own order to divert.
    """
    if call is None or call.state in (CallState.MESSAGE, CallState.ENDING):
        return message(question, settings)
    if call.parks_agent or call.state is CallState.JOINED:
        return _ASKS_AGAIN  # the join is under way, or will come: the PBX takes the call out of the node itself
    if call.agent is not None and settings.extra.get("ivr_hands_over") == "yes":
        user_id, extension = call.agent
        return TransferToEntity(EntityType.USER, user_id, extension or user_id)
    if call.answered_at is not None and now >= call.answered_at + timedelta(seconds=call.answer_limit - lead):
        return message(question, settings)
    return _ASKS_AGAIN


def message(question: IvrQuestion, settings: PbxSettings) -> IvrAnswer:
    """The recorded message when there is one; the end of the call otherwise. A message asking is left to play."""
    if settings.abandon_ivr is None or question.ivr_id == str(settings.abandon_ivr):
        return End()
    return TransferToEntity(EntityType.IVR, str(settings.abandon_ivr), str(settings.abandon_ivr))


def call_view(session: Session, pbx: str, call_id: str) -> CallView | None:
    """Find our open call that the PBX calls `call_id`."""
    attempt = session.scalars(
        select(Attempt)
        .where(Attempt.pbx == pbx, Attempt.pbx_call_id == call_id, Attempt.ended_at.is_(None))
        .order_by(Attempt.id.desc())
        .limit(1)
    ).one_or_none()
    if attempt is not None:
        assigned = session.execute(
            select(Agent.user_id, Agent.extension)
            .join(Assignment, Assignment.agent_id == Agent.id)
            .where(Assignment.attempt_id == attempt.id, Assignment.ended_at.is_(None))
        ).one_or_none()
        agent = (assigned.user_id, assigned.extension) if assigned else None
        return CallView(CallState(attempt.state), attempt.answered_at, attempt.answer_limit, agent)
    leg = session.scalars(
        select(AgentLeg)
        .where(AgentLeg.pbx == pbx, AgentLeg.pbx_call_id == call_id, AgentLeg.ended_at.is_(None))
        .order_by(AgentLeg.id.desc())
        .limit(1)
    ).one_or_none()
    return CallView(CallState(leg.state), leg.answered_at, 0.0, parks_agent=True) if leg is not None else None


class IvrDesk:
    """The endpoint: the same secret and addresses as the PBX's webhooks."""

    def __init__(self, application: Application, admission: Admission, metrics: WebMetrics) -> None:
        self._application = application
        self._admission = admission
        self._metrics = metrics
        self._seldom = Seldom()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (await self._respond(scope))(scope, receive, send)

    async def _respond(self, scope: Scope) -> Response:
        path, client = scope["path_params"], scope.get("client")
        refusal = self._admission.judge(path["pbx"], path["secret"], client[0] if client else "")
        settings = self._application.settings.pbx.get(path["pbx"])
        if refusal is not None or settings is None or not KINDS[settings.kind].asks_ivr:
            told = refusal or Refusal.UNKNOWN_PBX
            self._seldom.warning("An IVR question was turned away: %s", told.value, kind=told)
            self._metrics.refused(told.value)
            return PlainTextResponse("Not found.\n", 429 if refusal is Refusal.GUESSING else 404)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("IVR nodes ask by GET.\n", 405, {"allow": "GET"})
        if len(scope["query_string"]) > MAX_QUERY:
            return PlainTextResponse("The query is longer than any IVR node's.\n", 414)
        try:
            question = read_ivr_query(scope["query_string"].decode("latin-1"))
        except EventTrouble as exc:
            return PlainTextResponse(f"{exc}\n", 400)
        given = await self._decide(path["pbx"], question, settings)
        text = render(given)
        self._metrics.ivr_answer(int(text[len("command=") : len("command=") + 1]))
        return Response(text, media_type=CONTENT_TYPE)

    async def _decide(self, pbx: str, question: IvrQuestion, settings: PbxSettings) -> IvrAnswer:
        try:
            async with asyncio.timeout(_LIMIT):
                given = await asyncio.to_thread(self._look, pbx, question, settings)
        except (DialerError, SQLAlchemyError, TimeoutError) as exc:
            # Nobody can say whether an agent comes: the customer must hear something within the limit.
            self._seldom.warning("An IVR question could not be looked up (%s): message", type(exc).__name__, kind=pbx)
            given = message(question, settings)
        log.info(
            "IVR node %s of PBX %s asks about call %s from %s: %s",
            question.node_id,
            pbx,
            question.call_id,
            masked(question.calling),
            type(given).__name__,
        )
        return given

    def _look(self, pbx: str, question: IvrQuestion, settings: PbxSettings) -> IvrAnswer:
        with self._application.transaction() as session:
            call = call_view(session, pbx, question.call_id)
            lead = self._application.settings.timing.message_lead
            return answer(question, call, settings, now=database_now(session), lead=lead)
