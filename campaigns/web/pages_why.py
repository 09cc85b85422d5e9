"""The page of `dialer why`: from the contacts imported to those that can be called, or every rule about one of them."""

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import Response

from campaigns import why, why_campaign
from campaigns.application import Application
from campaigns.campaign_values import usual_time_zone
from campaigns.db import database_now
from campaigns.models import Campaign, ContactList
from campaigns.web.lists_desk import found
from campaigns.web.templating import templates
from dialer.errors import BadInput, NotFound

_MOST_LISTS = 100
_RULE_WORDS = {
    "campaign_state": "campaign runs",
    "contact": "contact",
    "number_open": "no other call",
    "do_not_call": "do not call",
    "attempts": "attempts",
    "hours": "hours",
    "rest": "rest after an abandoned call",
    "refusal": "rest after a no",
    "consent": "consent",
    "number_gap": "gap between calls",
    "not_before": "its time has come",
    "filter": "filter",
    "kept": "kept for an agent",
    "promised": "promise",
    "caller_id": "caller id",
    "number_cap": "cap of the number",
    "contact_cap": "cap of the contact",
}


def why_pages(application: Application) -> APIRouter:
    """Return the route a browser opens to ask why nobody, or somebody, is not called."""
    router = APIRouter(prefix="/campaigns/{name}/why", include_in_schema=False)
    ring_seconds = application.settings.timing.ring_limit

    @router.get("")
    def asked(
        request: Request,
        name: str,
        contact: Annotated[str, Query(max_length=60)] = "",
        of_list: Annotated[str, Query(alias="list", max_length=200)] = "",
    ) -> Response:
        contact, of_list = contact.strip(), of_list.strip()
        told: dict[str, Any] = {"one": None, "all": None, "trouble": ""}
        with application.transaction() as session:
            campaign, now = found(session, name), database_now(session)
            try:
                if contact:
                    one = why.explain(session, campaign, contact, now=now, ring_seconds=ring_seconds)
                    told |= {"one": one, "list_name": session.get_one(ContactList, one.contact.list_id).name}
                else:
                    told["all"] = why_campaign.ask(
                        session, campaign, now=now, ring_seconds=ring_seconds, of_list=of_list or None
                    )
            except (NotFound, BadInput) as exc:
                told["trouble"] = str(exc)
            lists = _lists(session, campaign)
            zone = ZoneInfo(usual_time_zone(campaign.country, campaign.time_zone))

        def clock(at: datetime | None) -> str:
            return "" if at is None else f"{at.astimezone(zone):%a %d %b %Y %H:%M}"

        context = told | {
            "name": campaign.name, "base": f"/campaigns/{quote(campaign.name)}", "here": "why", "contact": contact,
            "of_list": of_list, "lists": lists, "now": now.astimezone(zone), "zone": zone.key, "clock": clock,
            "soonest": why.soonest(told["one"].verdicts) if told["one"] else None, "rules": _RULE_WORDS,
            "in_words": why.in_words,
        }  # fmt: skip
        return templates.TemplateResponse(request, "why.html", context, status_code=404 if told["trouble"] else 200)

    return router


def _lists(session: Session, campaign: Campaign) -> list[str]:
    query = select(ContactList.name).where(ContactList.campaign_id == campaign.id, ContactList.undone_at.is_(None))
    names = session.scalars(query.order_by(ContactList.id.desc()).limit(_MOST_LISTS)).all()
    return list(dict.fromkeys(names))
