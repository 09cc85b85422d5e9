"""The API of the do-not-call list: may a number be called, nobody calls it any more, and lifting that with a reason.

A number stands in the path, where a + is a +; in a query it would be read as a blank, and the number as another's.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field

from campaigns import do_not_call, do_not_call_scope
from campaigns import person as people
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.web.access import Access
from campaigns.web.api_shapes import Body

Number = Annotated[str, Path(min_length=1, max_length=40, description="With + and its country code, or as written.")]
Scope = Annotated[str | None, Query(max_length=200, description="Of this campaign alone; by default of all.")]
Country = Annotated[str, Query(max_length=2, description="How a number without a country code is read, as IT.")]


class Forbidding(Body):
    """A number that nobody shall call."""

    number: Annotated[str, Field(min_length=1, max_length=40)]
    campaign: str | None = Field(None, max_length=200, description="In this campaign alone; by default in any.")
    country: str = Field("", max_length=2, description="How a number without a country code is read, as IT.")
    person: bool = Field(False, description="All numbers of the contacts that have it, too.")
    reason: str = Field("", max_length=500, description="Kept with the entry.")


def do_not_call_api(application: Application, access: Access) -> APIRouter:
    """Return the routes of the do-not-call list under /api/v1."""
    router = APIRouter(prefix="/api/v1/do-not-call", tags=["do not call"])

    @router.get("/{number}", summary="Whether a number may be called, as far as the list goes")
    def check(number: Number, campaign: Scope = None, country: Country = "") -> dict[str, Any]:
        with application.transaction() as session:
            campaign_id, region = do_not_call_scope.where(session, campaign or None, country, number)
            return do_not_call_scope.checked(session, number, campaign_id=campaign_id, country=region).as_json()

    @router.post("", status_code=201, summary="Put a number, or a person, on the list; 200 when it was there already")
    def add(request: Request, response: Response, body: Forbidding) -> dict[str, Any]:
        with application.transaction() as session:
            campaign_id, region = do_not_call_scope.where(session, body.campaign, body.country, body.number)
            given: dict[str, Any] = {
                "country": region, "campaign_id": campaign_id, "reason": body.reason,
                "who": access.who(request.scope), "now": database_now(session),
            }  # fmt: skip
            if body.person:
                bound = people.forbid(session, body.number, **given)
            else:
                bound = [do_not_call.add(session, body.number, **given)]
            numbers = [entry.number for entry, _ in bound]
            free = do_not_call_scope.still_free(
                session, body.number, numbers, country=region, campaign_id=campaign_id
            )  # fmt: skip
            added = any(new for _, new in bound)
            response.status_code = 201 if added else 200
            entry = do_not_call_scope.told(bound[0][0], do_not_call_scope.names(session))
            return {**entry, "added": added, "bound": numbers, "also_theirs": free}

    @router.delete("/{number}", summary="Let a number be called again, with the reason")
    def remove(
        request: Request,
        number: Number,
        why: Annotated[str, Query(min_length=1, max_length=500, description="Kept in the ledger for ever.")],
        campaign: Scope = None,
        country: Country = "",
    ) -> dict[str, Any]:
        with application.transaction() as session:
            campaign_id, region = do_not_call_scope.where(session, campaign or None, country, number)
            do_not_call.remove(
                session, number, country=region, campaign_id=campaign_id, reason=why,
                who=access.who(request.scope), now=database_now(session),
            )  # fmt: skip
        return {"number": number, "campaign": campaign, "removed": True}

    return router
