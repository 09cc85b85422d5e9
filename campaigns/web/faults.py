"""Every fault as a sentence with a remedy: a page for people, JSON for programs, never a stack trace."""

import logging
import secrets

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from campaigns.web.templating import templates
from dialer.errors import BadInput, DialerError, NotFound, RefusedByRule, ServiceUnreachable, TryAgainLater

log = logging.getLogger("campaigns.web")

_STATUS: tuple[tuple[type[DialerError], int], ...] = (
    (NotFound, 404),
    (BadInput, 400),
    (RefusedByRule, 409),
    (ServiceUnreachable, 503),
    (TryAgainLater, 503),
)
_TITLES = {
    400: "That cannot be used",
    403: "Sign in first",
    404: "There is nothing here",
    405: "That cannot be done here",
    409: "Refused by a rule",
    421: "Wrong address",
    500: "Something went wrong on our side",
    503: "Not now",
}
_NO_PAGE = "There is no such page. The list of campaigns is the place to start."
_OLD_SCHEMA = (
    "The database has not the tables this version needs. Run `dialer db upgrade` on this machine, then reload."
)
_DATABASE = "PostgreSQL does not answer as it should. `dialer doctor` on this machine says what is wrong."


def fault_response(request: Request, status: int, sentence: str, *, enter: bool = False) -> Response:
    """Answer with `sentence`, as whoever asks can read it. `enter`: offer the form for a token."""
    path = request.url.path
    if path.startswith(("/webhooks", "/ivr", "/metrics")):
        return PlainTextResponse(sentence + "\n", status)
    if path.startswith("/api/"):
        return JSONResponse({"error": sentence}, status)
    sentence = sentence[:1].upper() + sentence[1:] + ("" if sentence.endswith((".", "!", "?")) else ".")
    title = _TITLES.get(status, "That did not work")
    context = {"title": title, "sentence": sentence, "enter": enter, "status": status}
    return templates.TemplateResponse(request, "fault.html", context, status_code=status)


def add_fault_handlers(app: FastAPI) -> None:
    """Teach the application to answer every kind of fault."""

    async def ours(request: Request, exc: Exception) -> Response:
        status = next((status for kind, status in _STATUS if isinstance(exc, kind)), 500)
        if status == 503:
            log.warning("A page could not be shown: %s", exc)
        return fault_response(request, status, str(exc))

    async def http(request: Request, exc: Exception) -> Response:
        assert isinstance(exc, HTTPException)
        return fault_response(request, exc.status_code, _NO_PAGE if exc.status_code == 404 else str(exc.detail))

    async def wrong_value(request: Request, exc: Exception) -> Response:
        assert isinstance(exc, RequestValidationError)
        places = sorted({".".join(str(part) for part in error["loc"][1:]) for error in exc.errors()})
        return fault_response(request, 400, f"A value of the address cannot be used: {', '.join(places)}.")

    async def database(request: Request, exc: Exception) -> Response:
        log.error("The database refused a page's query: %s", type(getattr(exc, "orig", exc)).__name__)
        return fault_response(request, 503, _OLD_SCHEMA if isinstance(exc, ProgrammingError) else _DATABASE)

    async def unforeseen(request: Request, exc: Exception) -> Response:
        reference = secrets.token_hex(4)
        log.error("Fault %s: %s", reference, type(exc).__name__)
        return fault_response(request, 500, f"The log of the web process has more under the reference {reference}.")

    app.add_exception_handler(DialerError, ours)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, wrong_value)
    app.add_exception_handler(SQLAlchemyError, database)
    app.add_exception_handler(Exception, unforeseen)
