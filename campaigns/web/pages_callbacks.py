"""The page of a campaign's callbacks: XiVO's colours in words and signs, a filter, and its tickets to save."""

from collections import Counter
from datetime import date, timedelta
from typing import Annotated, Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request
from starlette.responses import FileResponse, Response

from campaigns import roster
from campaigns.application import Application
from campaigns.callbacks_view import CallbackRow
from campaigns.campaign_values import usual_time_zone
from campaigns.db import database_now
from campaigns.web.api_callbacks import rows_of, tickets_file
from campaigns.web.lists_desk import found
from campaigns.web.templating import templates
from dialer.errors import BadInput, NotFound

MOST = 200
# XiVO's three colours -> (sign, words, colour).
DUE = {
    "later": ("○", "later", "later"),
    "now": ("●", "now", "now"),
    "over": ("▲", "over", "over"),
}
_SHOW = {"open": "waiting", "alarms": "about to break", "all": "all, also done"}


def callbacks_pages(application: Application) -> APIRouter:
    """Return the routes a browser opens for callbacks."""
    router = APIRouter(prefix="/campaigns/{name}/callbacks", include_in_schema=False)

    @router.get("")
    def callbacks(
        request: Request,
        name: str,
        show: Annotated[str, Query(max_length=20)] = "open",
        agent: Annotated[str, Query(max_length=200)] = "",
    ) -> Response:
        show, agent = show if show in _SHOW else "open", agent.strip()
        trouble = ""
        rows: list[CallbackRow] = []
        with application.transaction() as session:
            campaign, now = found(session, name), database_now(session)
            zone = ZoneInfo(usual_time_zone(campaign.country, campaign.time_zone))
            try:
                agent_id = roster.find_agent(session, agent).id if agent else None
                rows = rows_of(
                    session, campaign, agent_id, alarms=show == "alarms", closed=show == "all", most=MOST + 1
                )
            except (NotFound, BadInput) as exc:
                trouble = str(exc)
        today = now.astimezone(zone).date()
        context: dict[str, Any] = {
            "name": campaign.name, "base": f"/campaigns/{quote(campaign.name)}", "here": "callbacks",
            "rows": [(row, *_told(row)) for row in rows[:MOST]], "more": len(rows) > MOST, "most": MOST,
            "show": show, "shows": _SHOW, "agent": agent, "trouble": trouble, "now": now.astimezone(zone),
            "zone": zone.key, "since": today - timedelta(days=6), "until": today,
            "counts": Counter(row.due for row in rows), "due": DUE,
        }  # fmt: skip
        return templates.TemplateResponse(request, "callbacks.html", context)

    @router.get("/tickets.csv")
    def tickets(
        name: str,
        since: Annotated[str, Query(max_length=40)] = "",
        until: Annotated[str, Query(max_length=40)] = "",
    ) -> FileResponse:
        first, last = _day(since, "from"), _day(until, "to")
        return tickets_file(application, name, first, last + timedelta(days=1) if last else None)

    return router


def _day(text: str, field: str) -> date | None:
    if not text.strip():
        return None
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise BadInput(f"“{field}” is no day such as 2026-03-31: {text[:40]!r}") from None


def _told(row: CallbackRow) -> tuple[str, str, str, str]:
    """When it is due by the clock of the promise, whose it is, its state in words, and its colour."""
    when = str(row.due_date or "–")
    if row.due_at is not None and row.deadline_at is not None and row.zone is not None:
        begin, end = (at.astimezone(ZoneInfo(row.zone)) for at in (row.due_at, row.deadline_at))
        same = begin.date() == end.date()
        when = f"{begin:%a %d %b %H:%M}–{end:%H:%M}" if same else f"{begin:%a %d %b %H:%M} – {end:%a %d %b %H:%M}"
    whose = f"taken by {row.taken_by}" if row.taken_by else "anyone"
    if not row.taken_by and row.owner:
        whose = row.owner if row.kept_until is not None else f"anyone ({row.owner} away)"
    return when, whose, *_state(row)


def _state(row: CallbackRow) -> tuple[str, str]:
    if row.overdue:
        return "▲ over, not called", "over"
    if row.result or row.state == "closed":
        return ": ".join(part for part in (row.result, row.closed_because) if part) or row.state, ""
    if row.called_at is not None:
        return "called, tried again" if row.state == "open" else "being called", row.due
    if row.alarmed:
        return "▲ breaks soon", "soon"
    sign, words, colour = DUE.get(row.due, ("", row.state, ""))
    return f"{sign} {words}".strip(), colour
