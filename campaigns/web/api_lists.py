"""The API of lists: upload a file, look at it, import it, follow it, take it back, take it out; and templates."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import FileResponse, StreamingResponse

from campaigns import import_templates, list_caps_view
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import ImportTemplate
from campaigns.web.access import Access
from campaigns.web.api_shapes import (
    Capping,
    Comparing,
    Importing,
    Looking,
    Template,
    Undoing,
    told_import,
    told_upload,
)
from campaigns.web.import_stream import ImportStream
from campaigns.web.lists_desk import ListsDesk

_FILE = {
    "requestBody": {
        "required": True,
        "content": {
            "text/csv": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
            },
        },
    }
}
_CSV: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {}}}}
ImportId = Annotated[int, Path(ge=1, lt=2**63)]


def lists_api(desk: ListsDesk, follow: ImportStream, access: Access) -> APIRouter:
    """Return the routes of lists under /api/v1."""
    router = APIRouter(prefix="/api/v1/campaigns/{name}", tags=["lists"])

    @router.post("/uploads", status_code=201, summary="Upload a CSV file, to look at and import", openapi_extra=_FILE)
    async def upload(
        request: Request, name: str, file_name: Annotated[str, Query(max_length=500)] = ""
    ) -> dict[str, Any]:
        kept, _ = await desk.receive(request, name, who=access.who(request.scope), file_name=file_name)
        return told_upload(kept)

    @router.delete("/uploads/{upload}", summary="Throw an uploaded file away")
    def throw_away(name: str, upload: str) -> dict[str, Any]:
        return told_upload(desk.throw_away(name, upload))

    @router.post("/uploads/{upload}/preview", summary="What an import would make of it; writes nothing")
    def preview(name: str, upload: str, body: Looking) -> dict[str, Any]:
        made = desk.preview(name, upload, body.options, kind=body.kind, most=body.most, shown=body.shown)
        return made.as_json()

    @router.post("/uploads/{upload}/diff", summary="Who is new in it, who is gone, what changed; changes nothing")
    def diff(name: str, upload: str, body: Comparing) -> dict[str, Any]:
        made = desk.compare(name, upload, body.options, import_id=body.import_id, most=body.most)
        return {**made.diff.as_json(), "differences": made.rows}

    @router.post("/uploads/{upload}/diff.csv", summary="Every difference", response_class=FileResponse, responses=_CSV)
    def differences(name: str, upload: str, body: Comparing) -> FileResponse:
        return desk.differences(name, upload, body.options, import_id=body.import_id)

    @router.post("/imports", status_code=202, summary="Import an uploaded file, as a job that a worker does")
    def begin(request: Request, name: str, body: Importing) -> dict[str, Any]:
        row = desk.begin(name, body.upload, body.wanted, kind=body.kind, who=access.who(request.scope))
        return told_import(row)

    @router.get("/imports", summary="Imports, newest first")
    def imports(name: str, most: Annotated[int, Query(ge=1, le=1_000)] = 200) -> dict[str, Any]:
        _, rows = desk.rows(name, most)
        return {"imports": [told_import(row) for row in rows]}

    @router.get("/imports/{import_id}", summary="One import: how far it is, or what came of it")
    def one(name: str, import_id: ImportId) -> dict[str, Any]:
        return told_import(desk.row(name, import_id))

    @router.get(
        "/imports/{import_id}/live",
        summary="One import until it is over, as server-sent events",
        description="Events: `import` (at most twice a second), `trouble` (a sentence). Ends with the import.",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}}},
    )
    async def live(request: Request, name: str, import_id: ImportId) -> StreamingResponse:
        return await follow.response(name, import_id, lambda: access.may_go_on(request.scope))

    @router.get(
        "/imports/{import_id}/rejects",
        summary="Rows not taken, with line, column, value, reason and remedy; mend it and import it",
        response_class=FileResponse,
        responses=_CSV,
    )
    def rejects(name: str, import_id: ImportId) -> FileResponse:
        return desk.rejects(name, import_id)

    @router.get(
        "/imports/{import_id}/remarks",
        summary="Rows that were taken, and not as the file has them: line, column, value, reason, what was done",
        response_class=FileResponse,
        responses=_CSV,
    )
    def remarks(name: str, import_id: ImportId) -> FileResponse:
        return desk.remarks(name, import_id)

    @router.post("/imports/{import_id}/undo", summary="Take an import back, or stop one that is not over")
    def undo(request: Request, name: str, import_id: ImportId, body: Undoing) -> dict[str, Any]:
        row, undone = desk.undo(name, import_id, who=access.who(request.scope), why=body.why)
        told = {"removed": undone.removed, "closed": undone.closed, "put_back": undone.put_back}
        return {**told_import(row), **told}

    @router.get("/lists", summary="How far each list was worked, and how far it may be")
    def worked(name: str) -> dict[str, Any]:
        return {"lists": [list_caps_view.told(one) for one in desk.worked(name)]}

    @router.put("/lists/{list_id}/caps", summary="Say how far a list is to be worked")
    def cap(
        request: Request, name: str, list_id: Annotated[int, Path(ge=1, lt=2**63)], body: Capping
    ) -> dict[str, Any]:
        who = access.who(request.scope)
        return list_caps_view.told(
            desk.cap(name, list_id, cap=body.cap, today=body.cap_today, who=who, why=body.why)
        )  # fmt: skip

    # A POST: who took the numbers out is written in the ledger.
    @router.post(
        "/export",
        summary="Contacts with their state and what came of every try, as CSV",
        response_class=FileResponse,
        responses=_CSV,
    )
    def export(
        request: Request,
        name: str,
        import_id: Annotated[int | None, Query(alias="import", ge=1, lt=2**63)] = None,
        lists: Annotated[Literal["loaded", "all"], Query(description="all: also those taken back.")] = "loaded",
    ) -> FileResponse:
        return desk.export(name, import_id=import_id, everything=lists == "all", who=access.who(request.scope))

    return router


def templates_api(application: Application, access: Access) -> APIRouter:
    """Return the routes of import templates under /api/v1."""
    router = APIRouter(prefix="/api/v1/import-templates", tags=["lists"])

    @router.get("", summary="How files of one kind are read, by name")
    def listed() -> dict[str, Any]:
        with application.transaction() as session:
            return {"templates": [_told(one) for one in import_templates.listed(session)]}

    @router.get("/{name}", summary="One template")
    def one(name: str) -> dict[str, Any]:
        with application.transaction() as session:
            return _told(import_templates.get(session, name))

    @router.put("/{name}", summary="Save a template")
    def save(request: Request, name: str, body: Template) -> dict[str, Any]:
        with application.transaction() as session:
            made = import_templates.save(
                session, name, body.model_dump(exclude={"replace"}), who=access.who(request.scope),
                now=database_now(session), replace=body.replace,
            )  # fmt: skip
            return _told(made)

    @router.delete("/{name}", summary="Forget a template; imports made with it stay")
    def remove(request: Request, name: str) -> dict[str, Any]:
        with application.transaction() as session:
            gone = import_templates.remove(session, name, who=access.who(request.scope), now=database_now(session))
            return {"removed": gone.name}

    return router


def _told(one: ImportTemplate) -> dict[str, Any]:
    return {"name": one.name, **one.options, "saved_by": one.saved_by, "saved_at": one.saved_at}
