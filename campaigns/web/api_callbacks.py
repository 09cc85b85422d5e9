"""The API of a campaign's callbacks: promised, listed, and what was done about them."""

from datetime import date, datetime, time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import Field
from sqlalchemy.orm import Session
from starlette.responses import FileResponse

from campaigns import (
    callback_contact,
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
from campaigns.models import Agent, Campaign
from campaigns.web import downloads
from campaigns.web.access import Access
from campaigns.web.api_shapes import Body, Why
from campaigns.web.lists_desk import found
from dialer.errors import BadInput

Moment = Annotated[date | datetime | None, Query(description="A day, or a day and a time, by the campaign's clock.")]


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


def callbacks_api(application: Application, access: Access) -> APIRouter:
    """Return the routes of a campaign's callbacks under /api/v1."""
    router = APIRouter(prefix="/api/v1/campaigns/{name}", tags=["callbacks"])
    timing = application.settings.timing

    @router.get("/callbacks", summary="Promised callbacks, the next one due first")
    def listed(
        name: str,
        agent: Annotated[str | None, Query(max_length=200, description="Only those this agent owns or took.")] = None,
        alarms: bool = False,
        closed: bool = False,
        most: Annotated[int, Query(ge=1, le=10_000)] = 100,
    ) -> dict[str, Any]:
        with application.transaction() as session:
            campaign = found(session, name)
            agent_id = agent_called(session, agent, None).id if agent else None
            return {"callbacks": rows_of(session, campaign, agent_id, alarms=alarms, closed=closed, most=most)}

    @router.post("/callbacks", status_code=201, summary="Promise a callback")
    def promise(request: Request, name: str, body: Promising) -> dict[str, Any]:
        who = access.who(request.scope)
        with application.transaction() as session:
            now = database_now(session)
            campaign = found(session, name)
            owner = agent_called(session, body.owner, body.pbx) if body.owner else None
            contact = callback_contact.contact_for(session, campaign, body.contact, now)
            when = callbacks.when(
                session, campaign, contact, due=body.due or body.day, period=body.period, at=bare(body.at),
                until=bare(body.until), timing=timing, now=now,
            )  # fmt: skip
            made = callbacks.promise(
                session, campaign, contact, when, owner=owner, fallback=body.fallback, timing=timing, now=now,
                who=who, why=body.why,
            )  # fmt: skip
            if body.why.strip() and not contact.description:
                contact.description = " ".join(body.why.split())[:1000]
            return told(session, made)

    @router.get("/callback-periods", summary="The parts of the day in which callbacks are wanted")
    def parts(name: str) -> dict[str, Any]:
        with application.transaction() as session:
            there = periods.all_of(session, found(session, name).id)
        return {
            "periods": [
                {"name": one.name, "starts": one.starts, "ends": one.ends, "default": one.is_default} for one in there
            ]
        }

    @router.get("/callback-tickets", summary="What was done about callbacks, one for each call")
    def tickets(name: str, since: Moment = None, until: Moment = None) -> dict[str, Any]:
        with application.transaction() as session:
            campaign = found(session, name)
            span = reports.period(session, campaign.name, since, until, database_now(session))
            done = callback_tickets.tickets(session, campaign, start=span.start, end=span.end)
            return {"from": span.start, "to": span.end, "tickets": [one.told for one in done]}

    @router.get(
        "/callback-tickets.csv",
        summary="The same as XiVO's download: `|` between the cells",
        response_class=FileResponse,
        responses={200: {"content": {"text/csv": {}}}},
    )
    def tickets_csv(name: str, since: Moment = None, until: Moment = None) -> FileResponse:
        return tickets_file(application, name, since, until)

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


def agent_called(session: Session, name: str, pbx: str | None) -> Agent:
    """Return the agent of this user id, extension or name; NotFound, or BadInput when several are called so."""
    return roster.find_agent(session, name, pbx)


def bare(at: time | None) -> time | None:
    """Return a time of day, which is by the clock where the phone is; BadInput when it has an offset, too."""
    if at is not None and at.tzinfo is not None:
        raise BadInput(f"{at.isoformat()} has an offset: a time of day is by the clock where the phone is, as 15:30")
    return at
