"""The API of callbacks: those that were promised, and what an agent does with one."""

from datetime import date, datetime, time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field
from sqlalchemy.orm import Session
from starlette.responses import FileResponse

from campaigns import (
    callback_contact,
    callback_start,
    callback_taking,
    callback_tickets,
    callbacks,
    periods,
    reports,
    roster,
)
from campaigns.application import Application
from campaigns.callbacks_view import CallbackRow, callback_rows, told
from campaigns.campaign_values import usual_time_zone
from campaigns.db import database_now
from campaigns.models import Agent, Callback, Campaign
from campaigns.web import downloads
from campaigns.web.access import Access
from campaigns.web.api_shapes import Body, Why
from campaigns.web.lists_desk import found
from dialer.errors import BadInput, NotFound

CallbackId = Annotated[int, Path(ge=1, lt=2**63)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field("", max_length=2_000)]
Moment = Annotated[date | datetime | None, Query(description="A day, or a day and a time, by the campaign's clock.")]


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


class When(Body):
    """When a callback is promised for, by the clock where the phone is, and to whom it belongs."""

    due: date | datetime | None = Field(None, description="A day, or a day and a time; by default tomorrow.")
    period: str = Field("", max_length=60, description="A period of the campaign; its default one when empty.")
    day: date | None = Field(None, description="The day, as `due`.", json_schema_extra={"deprecated": True})
    at: time | None = Field(
        None, description="A time of that day, instead of a period: as `due`.", json_schema_extra={"deprecated": True}
    )
    until: time | None = Field(None, description="When it breaks.")
    owner: str | None = Field(None, max_length=200, description="The agent who is to call; anyone when empty.")
    pbx: str | None = Field(None, max_length=100)
    fallback: float | None = Field(None, ge=0, le=86_400, description="Seconds an owner who is away has it alone.")


class Promising(When):
    """A callback to a contact (its id), or to a number, which need not be on any list."""

    contact: Annotated[str, Field(min_length=1, max_length=40)]
    why: Why


class Rescheduling(When):
    """Another time was agreed."""

    comment: Text


class Closing(Body):
    """What came of it, in XiVO's words."""

    status: Literal["Answered", "NoAnswer", "Fax", "Email"]
    comment: Text


def callbacks_api(application: Application, access: Access) -> APIRouter:
    """Return the routes of callbacks under /api/v1."""
    router = APIRouter(prefix="/api/v1", tags=["callbacks"])
    timing = application.settings.timing

    @router.get("/campaigns/{name}/callbacks", summary="Promised callbacks, the next one due first")
    def listed(
        name: str,
        agent: Annotated[str | None, Query(max_length=200, description="Only those this agent owns or took.")] = None,
        alarms: bool = False,
        closed: bool = False,
        most: Annotated[int, Query(ge=1, le=10_000)] = 100,
    ) -> dict[str, Any]:
        with application.transaction() as session:
            campaign = found(session, name)
            agent_id = _agent(session, agent, None).id if agent else None
            return {"callbacks": rows_of(session, campaign, agent_id, alarms=alarms, closed=closed, most=most)}

    @router.post("/campaigns/{name}/callbacks", status_code=201, summary="Promise a callback")
    def promise(request: Request, name: str, body: Promising) -> dict[str, Any]:
        who = access.who(request.scope)
        with application.transaction() as session:
            now = database_now(session)
            campaign = found(session, name)
            owner = _agent(session, body.owner, body.pbx) if body.owner else None
            contact = callback_contact.contact_for(session, campaign, body.contact, now)
            when = callbacks.when(
                session, campaign, contact, due=body.due or body.day, period=body.period, at=_bare(body.at),
                until=_bare(body.until), timing=timing, now=now,
            )  # fmt: skip
            made = callbacks.promise(
                session, campaign, contact, when, owner=owner, fallback=body.fallback, timing=timing, now=now,
                who=who, why=body.why,
            )  # fmt: skip
            if body.why.strip() and not contact.description:
                contact.description = " ".join(body.why.split())[:1000]
            return told(session, made)

    @router.get("/campaigns/{name}/callback-periods", summary="The parts of the day in which callbacks are wanted")
    def parts(name: str) -> dict[str, Any]:
        with application.transaction() as session:
            there = periods.all_of(session, found(session, name).id)
        return {
            "periods": [
                {"name": one.name, "starts": one.starts, "ends": one.ends, "default": one.is_default} for one in there
            ]
        }

    @router.get("/campaigns/{name}/callback-tickets", summary="What was done about callbacks, one for each call")
    def tickets(name: str, since: Moment = None, until: Moment = None) -> dict[str, Any]:
        with application.transaction() as session:
            campaign = found(session, name)
            span = reports.period(session, campaign.name, since, until, database_now(session))
            done = callback_tickets.tickets(session, campaign, start=span.start, end=span.end)
            return {"from": span.start, "to": span.end, "tickets": [one.told for one in done]}

    @router.get(
        "/campaigns/{name}/callback-tickets.csv",
        summary="The same as XiVO's download: `|` between the cells",
        response_class=FileResponse,
        responses={200: {"content": {"text/csv": {}}}},
    )
    def tickets_csv(name: str, since: Moment = None, until: Moment = None) -> FileResponse:
        return tickets_file(application, name, since, until)

    @router.get("/callbacks/{callback}", summary="One callback")
    def one(callback: CallbackId) -> dict[str, Any]:
        with application.transaction() as session:
            kept = session.get(Callback, callback)
            if kept is None:
                raise NotFound(f"there is no callback {callback}")
            return {**told(session, kept), "result": kept.result, "closed_at": kept.closed_at, "why": kept.why}

    @router.post("/callbacks/{callback}/take", summary="An agent takes it; nobody else is given it")
    def take(request: Request, callback: CallbackId, body: Doing) -> dict[str, Any]:
        with application.transaction() as session:
            agent, now = _agent(session, body.agent, body.pbx), database_now(session)
            taken = callback_taking.take(
                session, callback, agent, now=now, who=access.who(request.scope), timing=timing
            )
            return told(session, taken)

    @router.post("/callbacks/{callback}/release", summary="It is given back: its owner's again, or anyone's")
    def release(request: Request, callback: CallbackId, body: Releasing) -> dict[str, Any]:
        with application.transaction() as session:
            free = callback_taking.release(
                session, callback, to_anyone=body.to_anyone, now=database_now(session),
                who=access.who(request.scope), why=body.why,
            )  # fmt: skip
            return told(session, free)

    @router.post(
        "/callbacks/{callback}/start",
        summary="Call it: the agent is put on the line first, and every rule of calling is asked",
    )
    def start(request: Request, callback: CallbackId, body: Starting) -> dict[str, Any]:
        with application.transaction() as session:
            agent_id = _agent(session, body.agent, body.pbx).id if body.agent else None
        who = access.who(request.scope)
        made = callback_start.start(application, callback, agent_id=agent_id, number=body.number, who=who)
        return {
            "callback": callback, "ref": made.ref, "attempt": made.attempt, "contact": made.contact,
            "number": made.number, "campaign": made.campaign, "agent": made.agent,
        }  # fmt: skip

    @router.post("/callbacks/{callback}/reschedule", summary="Another time was agreed: a new promise")
    def reschedule(request: Request, callback: CallbackId, body: Rescheduling) -> dict[str, Any]:
        with application.transaction() as session:
            now = database_now(session)
            owner = _agent(session, body.owner, body.pbx) if body.owner else None
            old, contact = callback_tickets.find(session, callback)
            campaign = session.get_one(Campaign, old.campaign_id)
            when = callbacks.when(
                session, campaign, contact, due=body.due or body.day, period=body.period, at=_bare(body.at),
                until=_bare(body.until), timing=timing, now=now,
            )  # fmt: skip
            made = callback_tickets.reschedule(
                session, callback, when, owner=owner, fallback=body.fallback, comment=body.comment, timing=timing,
                now=now, who=access.who(request.scope),
            )  # fmt: skip
            return {**told(session, made), "instead_of": callback, "became": old.result}

    @router.post("/callbacks/{callback}/close", summary="Say what came of it; it is done")
    def close(request: Request, callback: CallbackId, body: Closing) -> dict[str, Any]:
        with application.transaction() as session:
            done = callback_tickets.close(
                session, callback, status=body.status, comment=body.comment, now=database_now(session),
                who=access.who(request.scope),
            )  # fmt: skip
            return {**told(session, done), "status": body.status, "result": done.result}

    return router


def rows_of(
    session: Session, campaign: Campaign, agent_id: int | None, *, alarms: bool, closed: bool, most: int
) -> list[CallbackRow]:
    """Return callbacks of a campaign as its people see them."""
    zone = usual_time_zone(campaign.country, campaign.time_zone)
    now = database_now(session)
    return callback_rows(
        session, campaign, zone=zone, now=now, closed=closed, most=most, alarms=alarms, agent_id=agent_id
    )


def tickets_file(
    application: Application, name: str, since: date | datetime | None, until: date | datetime | None
) -> FileResponse:
    """Return the tickets of a campaign as XiVO's download."""
    with application.transaction() as session:
        campaign = found(session, name)
        span = reports.period(session, campaign.name, since, until, database_now(session))
        done = list(callback_tickets.tickets(session, campaign, start=span.start, end=span.end))
    file_name = f"tickets-{campaign.name}-{span.start:%Y-%m-%d}.csv"
    # XiVO's file has no mark, and what reads it expects none.
    return downloads.made(
        application.data_dir, file_name, lambda file: callback_tickets.write_csv(iter(done), file), marked=False
    )


def _agent(session: Session, name: str, pbx: str | None) -> Agent:
    return roster.find_agent(session, name.replace("\x00", ""), pbx)


def _bare(at: time | None) -> time | None:
    """A time of day is by the clock where the phone is; one with an offset would be two answers to one question."""
    if at is not None and at.tzinfo is not None:
        raise BadInput(f"{at.isoformat()} has an offset: a time of day is by the clock where the phone is, as 15:30")
    return at
