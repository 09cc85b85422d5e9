"""The API of dispositions: the words a campaign has for what came of a call, and saying one of them."""

from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field

from campaigns import disposing, dispositions, roster, scripts
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import Disposition
from campaigns.web.access import Access
from campaigns.web.api_shapes import Body
from campaigns.web.lists_desk import found

_Code = Annotated[str, Field(min_length=1, max_length=60)]
_Answer = Annotated[str, Field(max_length=4_000)]


class Saying(Body):
    """An agent's word for the call in hand, or for the last one while its wrap-up lasts."""

    code: _Code
    call: str = Field("", max_length=80, description="The reference of an earlier call of theirs instead.")
    note: str = Field("", max_length=4_000)
    answers: Annotated[dict[_Code, _Answer], Field(max_length=100)] = Field(
        default_factory=dict, description="To the campaign's form: field -> answer, as it would be typed."
    )
    due: date | datetime | None = Field(None, description="With a callback: a day, or a day and a time.")
    period: str = Field("", max_length=60, description="With a callback and a day.")
    mine: bool = Field(False, description="With a callback: this agent is to call.")
    ready: bool = Field(False, description="The wrap-up is over with this.")
    pbx: str | None = Field(None, max_length=100)


class Correcting(Body):
    """Another word for a call that is over, and why; the ledger keeps both."""

    code: _Code
    why: Annotated[str, Field(min_length=1, max_length=500)]
    note: str | None = Field(None, max_length=4_000, description="Replaces the agent's.")
    due: date | datetime | None = None
    period: str = Field("", max_length=60)


def dispositions_api(application: Application, access: Access) -> APIRouter:
    """Return the routes of dispositions under /api/v1."""
    router = APIRouter(prefix="/api/v1", tags=["dispositions"])
    timing = application.settings.timing

    @router.get("/campaigns/{name}/dispositions", summary="The words there are, and the form an agent fills in")
    def words(name: str, retired: bool = False) -> dict[str, Any]:
        with application.transaction() as session:
            campaign = found(session, name)
            rows = dispositions.all_of(session, campaign.id, retired=retired)
            form = [field.as_json() for field in scripts.form_of(campaign)]
            return {"dispositions": [_told(row) for row in rows], "form": form}

    @router.post("/agents/{agent}/disposition", summary="An agent says what came of a call")
    def say(request: Request, agent: str, body: Saying) -> dict[str, Any]:
        with application.transaction() as session:
            who = roster.find_agent(session, agent, body.pbx)
            said = disposing.dispose(
                session, who, body.code, call=body.call, note=body.note, answers=body.answers,
                due=body.due, period=body.period, mine=body.mine, ready=body.ready, timing=timing,
                now=database_now(session), who=access.who(request.scope),
            )  # fmt: skip
            return disposing.told(said)

    @router.put("/calls/{ref}/disposition", summary="Change what was said of a call, with the reason")
    def correct(request: Request, ref: str, body: Correcting) -> dict[str, Any]:
        with application.transaction() as session:
            said = disposing.correct(
                session, ref, body.code, note=body.note, due=body.due, period=body.period,
                why=body.why, timing=timing, now=database_now(session), who=access.who(request.scope),
            )  # fmt: skip
            return disposing.told(said)

    return router


def _told(row: Disposition) -> dict[str, Any]:
    return {
        "code": row.code, "label": row.label, "meaning": row.meaning, "does": row.does,
        "rule": row.retry_rule, "everywhere": row.everywhere, "retired_at": row.retired_at,
    }  # fmt: skip
