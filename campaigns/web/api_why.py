"""The API of `dialer why`: what keeps a campaign, a list or one contact from being called."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from campaigns import lifecycle, why, why_campaign
from campaigns.application import Application
from campaigns.db import database_now

ListName = Annotated[
    str | None, Query(alias="list", max_length=200, description="Only this list: its name, or its import's number.")
]


def why_api(application: Application) -> APIRouter:
    """Return the routes under /api/v1. They only read; the answers are those of `dialer why --json`."""
    router = APIRouter(prefix="/api/v1", tags=["why"])
    ring_seconds = application.settings.timing.ring_limit

    @router.get("/campaigns/{name}/why", summary="From its contacts imported to those that may be called now")
    def of_campaign(name: str, of_list: ListName = None) -> dict[str, Any]:
        with application.transaction() as session:
            campaign = lifecycle.get(session, name)
            now = database_now(session)
            return why_campaign.ask(session, campaign, now=now, ring_seconds=ring_seconds, of_list=of_list).as_json()

    @router.get("/campaigns/{name}/why/{contact}", summary="Every rule about one contact: its id, or its number")
    def of_contact(name: str, contact: str) -> dict[str, Any]:
        with application.transaction() as session:
            campaign = lifecycle.get(session, name)
            now = database_now(session)
            told = why.explain(session, campaign, contact, now=now, ring_seconds=ring_seconds)
            return {"campaign": campaign.name, **told.as_json()}

    return router
