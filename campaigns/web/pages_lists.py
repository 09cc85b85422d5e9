"""The pages of a campaign's lists: what was imported, what came of it, taken back or taken out."""

from contextlib import suppress
from functools import partial
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, RedirectResponse, Response

from campaigns import lists_view
from campaigns.campaign_values import usual_zone
from campaigns.lists_view import ListRow
from campaigns.models import Campaign
from campaigns.web import forms
from campaigns.web.access import Access
from campaigns.web.forgery import Forgery
from campaigns.web.lists_desk import ListsDesk
from campaigns.web.templating import templates
from dialer.errors import BadInput, NotFound

ImportId = Annotated[int, Path(ge=1, lt=2**63)]


def page(
    forgery: Forgery, request: Request, template: str, campaign: Campaign, status: int = 200, **context: Any
) -> Response:
    """Return a page of a campaign's lists."""
    base = f"/campaigns/{quote(campaign.name)}"
    context |= {
        "name": campaign.name, "base": base, "csrf": forgery.token(request.scope), "here": "lists",
        "zone": usual_zone(campaign.country, campaign.time_zone),
    }  # fmt: skip
    return templates.TemplateResponse(request, template, context, status_code=status)


def lists_pages(desk: ListsDesk, access: Access, forgery: Forgery) -> APIRouter:
    """Return the routes a browser opens for what was imported."""
    router = APIRouter(prefix="/campaigns/{name}", include_in_schema=False)
    page_of = partial(page, forgery)

    @router.get("/lists")
    def lists(request: Request, name: str) -> Response:
        campaign, rows = desk.rows(name)
        return page_of(request, "lists.html", campaign, rows=rows, most=200)

    @router.post("/lists/export", max_body_size=forms.BODY)
    async def export(request: Request, name: str) -> Response:
        fields = await forms.read(request, forgery)
        chosen = fields.get("import", "")
        import_id = int(chosen) if chosen.isdecimal() and len(chosen) < 19 else None
        return await run_in_threadpool(
            desk.export, name, import_id=import_id, everything=False, who=access.who(request.scope)
        )

    def shown(request: Request, row: ListRow, template: str = "import.html", **more: Any) -> Response:
        reasons: Any = ()
        if row.state == "done" and row.reject_file is not None:
            try:
                reasons = lists_view.reasons(lists_view.reject_path(row), most=12)
            except (NotFound, OSError):
                more["no_rejects"] = True
        if row.remarks_file is not None:
            with suppress(NotFound, OSError):
                more["remarks"] = lists_view.reasons(lists_view.remarks_path(row), most=12)
        return page_of(request, template, desk.campaign(row.campaign), row=row, reasons=reasons, **more)

    @router.get("/lists/{import_id}")
    def one(request: Request, name: str, import_id: ImportId) -> Response:
        return shown(request, desk.row(name, import_id))

    @router.get("/lists/{import_id}/rejects")
    def rejects(name: str, import_id: ImportId) -> FileResponse:
        return desk.rejects(name, import_id)

    @router.get("/lists/{import_id}/remarks")
    def remarks(name: str, import_id: ImportId) -> FileResponse:
        return desk.remarks(name, import_id)

    @router.get("/lists/{import_id}/undo")
    def ask(request: Request, name: str, import_id: ImportId) -> Response:
        return shown(request, desk.row(name, import_id), "undo.html")

    @router.post("/lists/{import_id}/undo", max_body_size=forms.BODY)
    async def undo(request: Request, name: str, import_id: ImportId) -> Response:
        fields = await forms.read(request, forgery)
        why = " ".join(fields.get("why", "").split())[:500]
        try:
            row, undone = await run_in_threadpool(desk.undo, name, import_id, who=access.who(request.scope), why=why)
        except BadInput as exc:
            row = await run_in_threadpool(desk.row, name, import_id)
            return await run_in_threadpool(shown, request, row, "import.html", trouble=str(exc))
        return await run_in_threadpool(shown, request, row, "import.html", undone=undone)

    @router.post("/lists/{import_id}/caps", max_body_size=forms.BODY)
    async def cap(request: Request, name: str, import_id: ImportId) -> Response:
        fields = await forms.read(request, forgery)
        row = await run_in_threadpool(desk.row, name, import_id)
        if row.list_id is None:
            raise NotFound(f"import {import_id} of campaign {name} has no list")
        cap, today = (fields.get(one, "").strip() or "none" for one in ("cap", "cap_today"))
        why = " ".join(fields.get("why", "").split())[:500]
        try:
            await run_in_threadpool(
                desk.cap, name, row.list_id, cap=cap, today=today, who=access.who(request.scope), why=why
            )  # fmt: skip
        except BadInput as exc:
            return await run_in_threadpool(shown, request, row, "import.html", trouble=str(exc), given=fields)
        return RedirectResponse(f"/campaigns/{quote(name)}/lists/{import_id}#how-far", 303)

    return router
