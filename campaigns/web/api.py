"""The JSON API, version 1: what the pages show, for programs. The other nouns have files of their own: api_*.py."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import StreamingResponse

from campaigns import lifecycle
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.live import CampaignLive, LiveState
from campaigns.tallies import Moment, recent_moments
from campaigns.web.access import Access
from campaigns.web.stream import LiveStream

CHART_LENGTH = timedelta(minutes=10)
CHART_STEP = timedelta(seconds=5)

CampaignName = Annotated[str | None, Query(max_length=200, description="Only this campaign, with its agents.")]


def api_router(application: Application, live: LiveStream, access: Access) -> APIRouter:
    """Return the routes under /api/v1."""
    router = APIRouter(prefix="/api/v1", tags=["live"])

    @router.get("/campaigns", summary="Every campaign that is not archived, now")
    async def campaigns() -> list[CampaignLive]:
        return (await live.state(None)).campaigns

    @router.get("/campaigns/{name}", summary="One campaign, its PBX and our processes, now")
    async def campaign(name: str) -> LiveState:
        return await live.state(name)

    @router.get("/campaigns/{name}/moments", summary="Its calls in the last ten minutes, every five seconds")
    def moments(name: str) -> list[Moment]:
        with application.transaction() as session:
            campaign = lifecycle.get(session, name)
            return recent_moments(session, campaign.id, database_now(session), length=CHART_LENGTH, step=CHART_STEP)

    @router.get(
        "/live",
        summary="The live state once a second, as server-sent events",
        description="Events: `live` (a LiveState), `trouble` (a sentence), `gone` (a sentence: no such campaign).",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}}},
    )
    async def stream(request: Request, campaign: CampaignName = None) -> StreamingResponse:
        live.admit()
        # X-Accel-Buffering: a proxy that collects the stream would show a second late what is due every second.
        return StreamingResponse(
            live.watch(campaign, lambda: access.may_go_on(request.scope)),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    return router
