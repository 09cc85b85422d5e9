"""The pages: what a supervisor sees of each campaign. Rendered with the numbers of now, then fed by the stream."""

import json
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from campaigns.web.access import ABSOLUTE, Access
from campaigns.web.faults import fault_response
from campaigns.web.forgery import NOT_FROM_HERE, comes_from_us
from campaigns.web.stream import LiveStream
from campaigns.web.templating import AGENT_STATES, CAMPAIGN_STATES, OUTCOMES, templates

_WORDS = json.dumps({"campaign": CAMPAIGN_STATES, "agent": AGENT_STATES, "outcome": OUTCOMES}, ensure_ascii=False)

_NOT_IT = (
    "That is not the token on the console, or it was used already: each is good for one person, once. "
    "The console shows the next one. After ten wrong ones in a minute, wait a minute."
)


def pages_router(live: LiveStream, access: Access) -> APIRouter:
    """Return the routes a browser opens."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def campaigns(request: Request) -> Response:
        return templates.TemplateResponse(request, "campaigns.html", {"live": await live.state(None)})

    @router.get("/campaigns/{name}")
    async def campaign(request: Request, name: str) -> Response:
        state = await live.state(name)
        return templates.TemplateResponse(request, "campaign.html", {"live": state, "campaign": state.campaigns[0]})

    @router.get("/words.json")
    async def words() -> Response:
        return Response(_WORDS, media_type="application/json")

    @router.get("/enter")
    async def door(request: Request) -> Response:
        return templates.TemplateResponse(request, "enter.html", {"needed": access.needs_token})

    @router.post("/enter", max_body_size=4096)
    async def enter(request: Request, token: Annotated[str, Form(max_length=200)] = "") -> Response:
        if not comes_from_us(request.scope):
            return fault_response(request, 403, NOT_FROM_HERE, enter=True)
        session = access.enter(token)
        if session is None:
            return fault_response(request, 403, _NOT_IT, enter=True)
        response = RedirectResponse("/", 303)
        response.set_cookie(
            access.cookie, session, max_age=int(ABSOLUTE), httponly=True, samesite="lax", secure=access.secure, path="/"
        )
        return response

    return router
