"""Every fault as a sentence with a remedy: a page for people, JSON for programs, never a stack trace."""

import logging
import secrets
from collections.abc import Sequence

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from campaigns.web.forgery import TOO_OLD
from campaigns.web.receiving import Refused, TooSlow, WrongType
from campaigns.web.templating import templates
from campaigns.web.wording import on_page
from dialer.errors import (
    AlreadyThere,
    BadInput,
    DialerError,
    NoRoom,
    NoText,
    NotFound,
    PbxError,
    RefusedByRule,
    ServiceUnreachable,
    TooLarge,
    TryAgainLater,
)

log = logging.getLogger("campaigns.web")

# What each of our errors is to a program: its status, a word, and what to do when the sentence does not say.
_KINDS: tuple[tuple[type[DialerError], int, str, str], ...] = (
    (NotFound, 404, "not_found", "Ask for the list of what there is. Nothing was changed."),
    (AlreadyThere, 409, "already_there", "Say so if it is wanted all the same. Nothing was changed."),
    (TooLarge, 413, "too_large", "Send it in parts. Nothing was kept."),
    (NoText, 415, "wrong_type", "Send a CSV file. Nothing was kept."),
    (WrongType, 415, "wrong_type", "Send the CSV itself as text/csv. Nothing was kept."),
    (TooSlow, 408, "too_slow", "Send it again. Nothing was kept."),
    (BadInput, 400, "bad_input", "Mend what the sentence names and send it again. Nothing was changed."),
    (RefusedByRule, 409, "refused_by_rule", "The rule stands; the sentence says what would change it."),
    (ServiceUnreachable, 503, "unreachable", "Send it again in a moment."),
    (TryAgainLater, 503, "try_again_later", "Send it again in a moment. Nothing was changed."),
    (NoRoom, 507, "no_room", "Make room on the disk and send it again. Nothing was kept."),
    (PbxError, 502, "pbx", "See what the PBX says; `dialer pbx check` tells more."),
)
_OTHERS: dict[int, tuple[str, str]] = {
    401: ("wrong_key", "Give a token that is good."),
    403: ("sign_in", "Sign in, or give a client's token: `Authorization: Bearer TOKEN`."),
    404: ("not_found", "/api/v1/openapi.json describes what there is."),
    405: ("not_allowed", "/api/v1/openapi.json describes what there is."),
    413: ("too_large", "Send less."),
    421: ("wrong_host", "Use the address the server was started with."),
    503: ("try_again_later", "Send it again in a moment."),
}
_TITLES = {
    400: "That cannot be used",
    401: "No such client",
    403: "Sign in first",
    404: "There is nothing here",
    405: "That cannot be done here",
    408: "The upload stopped",
    409: "Not this time",
    413: "The file is too large",
    415: "That is no CSV file",
    421: "Wrong address",
    500: "Something went wrong on our side",
    502: "The PBX did not do it",
    503: "Not now",
    507: "The disk is full",
}
_NO_PAGE = "There is no such page. The list of campaigns is the place to start."
_OLD_SCHEMA = (
    "The database has not the tables this version needs. Run `dialer db upgrade` on this machine, then reload."
)
_DATABASE = "PostgreSQL does not answer as it should. `dialer doctor` on this machine says what is wrong."


def fault_response(
    request: Request,
    status: int,
    sentence: str,
    *,
    enter: bool = False,
    kind: str = "",
    remedy: str = "",
    where: Sequence[str] = (),
) -> Response:
    """Answer with `sentence`, as whoever asks can read it. `enter`: offer the form for a token.

    Programs get it with a word for its kind, where it is (fields, or the path asked for), and a remedy.
    """
    path = request.url.path
    if path.startswith(("/webhooks", "/ivr", "/metrics")):
        return PlainTextResponse(sentence + "\n", status)
    if _of_a_program(request):
        usual = _OTHERS.get(status, ("fault", "Look into the log of the web process."))
        told = {"error": sentence, "kind": kind or usual[0], "where": list(where) or [path]}
        return JSONResponse(told | {"remedy": remedy or usual[1]}, status, _headers(status))
    sentence = sentence[:1].upper() + sentence[1:] + ("" if sentence.endswith((".", "!", "?")) else ".")
    title = _TITLES.get(status, "That did not work")
    context = {"title": title, "sentence": on_page(sentence), "enter": enter, "status": status}
    return templates.TemplateResponse(request, "fault.html", context, status_code=status)


def _of_a_program(request: Request) -> bool:
    return request.url.path.startswith("/api/")


def _headers(status: int) -> dict[str, str]:
    return {401: {"www-authenticate": "Bearer"}, 503: {"retry-after": "5"}}.get(status, {})


def _of(exc: DialerError) -> tuple[int, str, str]:
    found = next((one for one in _KINDS if isinstance(exc, one[0])), None)
    return found[1:] if found is not None else (500, "fault", "")


def add_fault_handlers(app: FastAPI) -> None:
    """Teach the application to answer every kind of fault."""

    async def ours(request: Request, exc: Exception) -> Response:
        assert isinstance(exc, DialerError)
        status, kind, remedy = _of(exc)
        if status >= 500:
            log.warning("A request could not be answered: %s", exc)
        return fault_response(request, status, str(exc), kind=kind, remedy=remedy)

    async def http(request: Request, exc: Exception) -> Response:
        assert isinstance(exc, HTTPException)
        return fault_response(request, exc.status_code, _NO_PAGE if exc.status_code == 404 else str(exc.detail))

    async def wrong_value(request: Request, exc: Exception) -> Response:
        assert isinstance(exc, RequestValidationError)
        remedy = "/api/v1/openapi.json describes what fits. Nothing was changed."
        in_body = [error for error in exc.errors() if error["loc"][:1] == ("body",)]
        if in_body:
            places = [".".join(str(part) for part in error["loc"][1:]) or "body" for error in in_body]
            told = "; ".join(f"{place}: {error['msg']}" for place, error in zip(places, in_body, strict=True))
            return fault_response(
                request, 400, f"The body cannot be used: {told[:1000]}.", kind="bad_input", remedy=remedy, where=places
            )
        if not _of_a_program(request) and all(error["loc"][:1] == ("path",) for error in exc.errors()):
            return fault_response(request, 404, _NO_PAGE)  # /lists/abc: a page that is not there, to whoever reads it
        places = sorted({".".join(str(part) for part in error["loc"][1:]) for error in exc.errors()})
        sentence = f"A value of the address cannot be used: {', '.join(places)}."
        return fault_response(request, 400, sentence, kind="bad_input", remedy=remedy, where=places)

    async def forged(request: Request, _: Exception) -> Response:
        return fault_response(request, 403, TOO_OLD)

    async def database(request: Request, exc: Exception) -> Response:
        log.error("The database refused a page's query: %s", type(getattr(exc, "orig", exc)).__name__)
        return fault_response(request, 503, _OLD_SCHEMA if isinstance(exc, ProgrammingError) else _DATABASE)

    async def unforeseen(request: Request, exc: Exception) -> Response:
        reference = secrets.token_hex(4)
        log.error("Fault %s: %s", reference, type(exc).__name__)
        return fault_response(request, 500, f"The log of the web process has more under the reference {reference}.")

    app.add_exception_handler(DialerError, ours)
    app.add_exception_handler(Refused, forged)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, wrong_value)
    app.add_exception_handler(SQLAlchemyError, database)
    app.add_exception_handler(Exception, unforeseen)
