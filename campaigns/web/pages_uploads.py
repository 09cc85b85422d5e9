"""The pages on which a file becomes a list in three steps: chosen, looked at, imported."""

from functools import partial
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, RedirectResponse, Response

from campaigns import import_columns, import_templates, lists_view
from campaigns.import_preview import Column, Preview
from campaigns.import_reading import DELIMITERS
from campaigns.import_repeats import MERGE, UPDATE
from campaigns.lists_view import ListRow
from campaigns.web import forms
from campaigns.web.access import Access
from campaigns.web.forgery import Forgery
from campaigns.web.lists_desk import ListsDesk
from campaigns.web.pages_lists import page
from campaigns.web.upload_form import Chosen
from dialer.errors import AlreadyThere, BadInput, NotFound

_LOOKED_AT = 10_000
_DIFFERENCES = 200


def uploads_pages(desk: ListsDesk, access: Access, forgery: Forgery) -> APIRouter:
    """Return the routes a browser opens for a file that is to become a list."""
    router = APIRouter(prefix="/campaigns/{name}", include_in_schema=False)
    page_of = partial(page, forgery)

    @router.get("/lists/upload")
    def choose(request: Request, name: str) -> Response:
        return page_of(request, "upload.html", desk.campaign(name), limit=desk.receiver.limit)

    @router.post("/lists/upload")
    async def upload(request: Request, name: str) -> Response:
        try:
            kept, fields = await desk.receive(
                request, name, who=access.who(request.scope), file_name="",
                trusted=lambda given: forgery.knows(request.scope, given),
            )  # fmt: skip
        except BadInput as exc:
            campaign = await run_in_threadpool(desk.campaign, name)
            return page_of(request, "upload.html", campaign, status=400, limit=desk.receiver.limit, trouble=str(exc))
        return RedirectResponse(f"/campaigns/{quote(name)}/uploads/{kept.id}?{Chosen.of(fields).query()}", 303)

    def check(request: Request, name: str, upload: str, chosen: Chosen, **more: Any) -> Response:
        campaign = desk.campaign(name)
        kept = desk.upload(name, upload)
        with desk.application.transaction() as session:
            known = [one.name for one in import_templates.listed(session)]
            earlier = [row for row in lists_view.list_rows(session, campaign, most=20) if _comparable(row)]
        trouble, made, likely = "", None, None
        try:
            made = desk.preview(name, upload, chosen.options, kind=chosen.kind, most=_LOOKED_AT, shown=8)
            trouble = made.trouble
            likely = _likely(made) if trouble else None
        except (BadInput, NotFound) as exc:
            trouble = str(exc)
        return page_of(
            request, "check.html", campaign, upload=kept, chosen=chosen, made=made, trouble=trouble,
            likely=likely, likely_query=chosen.with_column(likely.name, "phone").query() if likely else "",
            verdict=_verdict(made, trouble, chosen), fields=import_columns.choices(chosen.kind), known=known,
            earlier=earlier,
            delimiter=DELIMITERS.get(made.delimiter, made.delimiter) if made else "", **more,
        )  # fmt: skip

    @router.get("/uploads/{upload}")
    def look(request: Request, name: str, upload: str) -> Response:
        return check(request, name, upload, Chosen.of(request.query_params))

    @router.post("/uploads/{upload}", max_body_size=forms.BODY)
    async def go_on(request: Request, name: str, upload: str) -> Response:
        fields = await forms.read(request, forgery)
        chosen, wanted = Chosen.of(fields), fields.get("do", "look")
        here = f"/campaigns/{quote(name)}"
        if wanted == "throw":
            await run_in_threadpool(desk.throw_away, name, upload)
            return RedirectResponse(f"{here}/lists", 303)
        if wanted not in ("import", "dry"):
            return RedirectResponse(f"{here}/uploads/{quote(upload)}?{chosen.query()}", 303)
        more = {"dry_run": wanted == "dry", "force": fields.get("force") == "yes"}
        try:
            row = await run_in_threadpool(
                desk.begin, name, upload, lambda session: chosen.options(session, **more), kind=chosen.kind,
                who=access.who(request.scope),
            )  # fmt: skip
        except BadInput as exc:
            again = isinstance(exc, AlreadyThere)
            return await run_in_threadpool(check, request, name, upload, chosen, refused=str(exc), again=again)
        return RedirectResponse(f"{here}/lists/{row.import_id}", 303)

    @router.get("/uploads/{upload}/diff")
    def diff(
        request: Request, name: str, upload: str, import_id: Annotated[int | None, Query(alias="import")] = None
    ) -> Response:
        chosen = Chosen.of(request.query_params)
        kept = desk.upload(name, upload)
        made, trouble = None, ""
        try:
            made = desk.compare(name, upload, chosen.options, import_id=import_id, most=_DIFFERENCES)
        except (BadInput, NotFound) as exc:
            trouble = str(exc)
        campaign = desk.campaign(name)
        return page_of(
            request, "diff.html", campaign, upload=kept, chosen=chosen, made=made, trouble=trouble, import_id=import_id
        )

    @router.get("/uploads/{upload}/diff.csv")
    def differences(
        request: Request, name: str, upload: str, import_id: Annotated[int | None, Query(alias="import")] = None
    ) -> FileResponse:
        return desk.differences(name, upload, Chosen.of(request.query_params).options, import_id=import_id)

    return router


def _comparable(row: ListRow) -> bool:
    return row.state == "done" and not row.dry_run and row.accepted > 0


def _likely(made: Preview) -> Column | None:
    """Return the column that holds numbers by the look of its cells, when none does by its name."""
    if any(column.becomes.startswith(("phone", "mobile", "work", "home")) for column in made.columns):
        return None
    found = max(made.columns, key=lambda column: (column.numbers, column.filled), default=None)
    return found if found is not None and found.name and found.numbers >= 0.5 else None


def _verdict(made: Preview | None, trouble: str, chosen: Chosen) -> str:
    """How it stands in one word: bad (nothing can be imported), warn (some rows cannot), good."""
    if trouble or made is None:
        return "bad"
    changes = made.duplicates and chosen.plain.get("duplicates") in (UPDATE, MERGE)
    if made.whole and not made.accepted and not changes:
        return "bad"
    return "warn" if made.rejected or made.remarks else "good"
