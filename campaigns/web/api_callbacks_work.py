"""The API of one callback: what an agent does with it."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from pydantic import Field

from campaigns import callback_start, callback_taking, callback_tickets, callbacks
from campaigns.application import Application
from campaigns.callbacks_view import told
from campaigns.db import database_now
from campaigns.models import Callback, Campaign
from campaigns.web.access import Access
from campaigns.web.api_callbacks import When, agent_called, bare
from campaigns.web.api_shapes import Body, Why
from dialer.errors import NotFound

CallbackId = Annotated[int, Path(ge=1, lt=2**63)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field("", max_length=2_000)]


class Doing(Body):
    """Which agent does it: a PBX user id, an extension or a name."""

    agent: Name
    pbx: str | None = Field(None, max_length=100, description="Which PBX, when two have such an agent.")


class Starting(Body):
    """An agent's call. Without an agent: the one who has taken it."""

    agent: Name | None = None
    pbx: str | None = Field(None, max_length=100)
    number: str = Field("", max_length=40, description="`phone`, `mobile` or one of the two numbers.")


class Releasing(Body):
    """A taken callback is given back. `to_anyone`: its owner loses it too."""

    to_anyone: bool = False
    why: Why


class Rescheduling(When):
    """Another time was agreed."""

    comment: Text


class Closing(Body):
    """What came of it, in XiVO's words."""

    status: Literal["Answered", "NoAnswer", "Fax", "Email"]
    comment: Text


def callbacks_work_api(application: Application, access: Access) -> APIRouter:
    """Return the routes of one callback under /api/v1."""
    router = APIRouter(prefix="/api/v1/callbacks/{callback}", tags=["callbacks"])
    timing = application.settings.timing

    @router.get("", summary="One callback")
    def one(callback: CallbackId) -> dict[str, Any]:
        with application.transaction() as session:
            kept = session.get(Callback, callback)
            if kept is None:
                raise NotFound(f"there is no callback {callback}")
            return {**told(session, kept), "result": kept.result, "closed_at": kept.closed_at, "why": kept.why}

    @router.post("/take", summary="An agent takes it; nobody else is given it")
    def take(request: Request, callback: CallbackId, body: Doing) -> dict[str, Any]:
        with application.transaction() as session:
            agent, now = agent_called(session, body.agent, body.pbx), database_now(session)
            taken = callback_taking.take(
                session, callback, agent, now=now, who=access.who(request.scope), timing=timing
            )
            return told(session, taken)

    @router.post("/release", summary="It is given back: its owner's again, or anyone's")
    def release(request: Request, callback: CallbackId, body: Releasing) -> dict[str, Any]:
        with application.transaction() as session:
            free = callback_taking.release(
                session, callback, to_anyone=body.to_anyone, now=database_now(session),
                who=access.who(request.scope), why=body.why,
            )  # fmt: skip
            return told(session, free)

    @router.post(
        "/start",
        summary="Call it: the agent is put on the line first, and every rule of calling is asked",
    )
    def start(request: Request, callback: CallbackId, body: Starting) -> dict[str, Any]:
        with application.transaction() as session:
            agent_id = agent_called(session, body.agent, body.pbx).id if body.agent else None
        who = access.who(request.scope)
        made = callback_start.start(application, callback, agent_id=agent_id, number=body.number, who=who)
        return {
            "callback": callback, "ref": made.ref, "attempt": made.attempt, "contact": made.contact,
            "number": made.number, "campaign": made.campaign, "agent": made.agent,
        }  # fmt: skip

    @router.post("/reschedule", summary="Another time was agreed: a new promise")
    def reschedule(request: Request, callback: CallbackId, body: Rescheduling) -> dict[str, Any]:
        with application.transaction() as session:
            now = database_now(session)
            owner = agent_called(session, body.owner, body.pbx) if body.owner else None
            old, contact = callback_tickets.find(session, callback)
            campaign = session.get_one(Campaign, old.campaign_id)
            when = callbacks.when(
                session, campaign, contact, due=body.due or body.day, period=body.period, at=bare(body.at),
                until=bare(body.until), timing=timing, now=now,
            )  # fmt: skip
            made = callback_tickets.reschedule(
                session, callback, when, owner=owner, fallback=body.fallback, comment=body.comment, timing=timing,
                now=now, who=access.who(request.scope),
            )  # fmt: skip
            return {**told(session, made), "instead_of": callback, "became": old.result}

    @router.post("/close", summary="Say what came of it; it is done")
    def close(request: Request, callback: CallbackId, body: Closing) -> dict[str, Any]:
        with application.transaction() as session:
            done = callback_tickets.close(
                session, callback, status=body.status, comment=body.comment, now=database_now(session),
                who=access.who(request.scope),
            )  # fmt: skip
            return {**told(session, done), "status": body.status, "result": done.result}

    return router
