"""The web process as one ASGI application: receiver, pages, JSON API, health. `workers.server` serves it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from campaigns import garbage
from campaigns.application import Application
from campaigns.event_log import EventLog, connection_string
from campaigns.web.access import Access, say_on_console
from campaigns.web.admission import Admission
from campaigns.web.api import api_router
from campaigns.web.api_callbacks import callbacks_api
from campaigns.web.api_callbacks_work import callbacks_work_api
from campaigns.web.api_dispositions import dispositions_api
from campaigns.web.api_do_not_call import do_not_call_api
from campaigns.web.api_lists import lists_api, templates_api
from campaigns.web.api_why import why_api
from campaigns.web.clients import ApiClients
from campaigns.web.faults import add_fault_handlers
from campaigns.web.forgery import Forgery
from campaigns.web.gauges import campaign_numbers
from campaigns.web.guard import Guard
from campaigns.web.health import Readiness, health_router
from campaigns.web.import_stream import ImportStream
from campaigns.web.ivr import IvrDesk
from campaigns.web.lists_desk import ListsDesk
from campaigns.web.metrics import WebMetrics
from campaigns.web.pages import pages_router
from campaigns.web.pages_callbacks import callbacks_pages
from campaigns.web.pages_lists import lists_pages
from campaigns.web.pages_uploads import uploads_pages
from campaigns.web.pages_why import why_pages
from campaigns.web.ringing import Ringer
from campaigns.web.stream import LiveStream
from campaigns.web.templating import STATIC
from campaigns.web.webhooks import WebhookReceiver
from dialer.errors import DialerError


def create_app(
    application: Application,
    *,
    queue_check: Callable[[], None] | None = None,
    announce: Callable[[str], None] = say_on_console,
) -> FastAPI:
    """Return the web application of this process.

    `queue_check` raises when the queue cannot be reached; `announce` is told the one-time tokens for the pages.
    """
    metrics = WebMetrics()
    ringer = Ringer(application.doorbell, lost=metrics.doorbell_lost)
    event_log = EventLog(connection_string(application.engine), on_kept=ringer.look, observer=metrics)
    metrics.watch("dialer_event_log_waiting", "Events that wait for their commit.", lambda: event_log.waiting)
    metrics.watch("dialer_doorbell_waiting", "Calls that wait to be rung.", lambda: ringer.waiting)
    admission = Admission(application.settings)
    web = application.settings.web
    clients_file = Path(web.clients_file) if web.clients_file else None
    clients = ApiClients(clients_file, now=application.clock.now, monotonic=application.clock.monotonic)
    access = Access(web, clients=clients, announce=announce)
    forgery = Forgery(access)
    live = LiveStream(application, metrics)
    desk = ListsDesk(application)
    imports = ImportStream(desk)

    async def numbers() -> bytes:
        try:
            state = await live.state(None)
        except (DialerError, SQLAlchemyError):
            state = None
        return metrics.text() + campaign_numbers(state)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        garbage.settle()
        ringer.start()
        await event_log.start()
        access.open_door()
        yield
        live.close()
        imports.close()
        await event_log.stop()
        ringer.stop()

    app = FastAPI(
        title="dialer",
        summary="Live state of campaigns; their lists, callbacks and dispositions.",
        version="1",
        lifespan=lifespan,
        openapi_url="/api/v1/openapi.json",
        # A tracer would write the paths of webhooks, which hold their secrets, wherever somebody sends its traces.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        docs_url=None,  # it would load its scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # it would repeat a webhook's secret in a Location header
    )
    # First, and plain: the path every event takes.
    app.router.routes.insert(
        0, Route("/webhooks/{pbx}/{secret}", WebhookReceiver(admission, application.pbxes, event_log, metrics))
    )
    app.router.routes.insert(1, Route("/ivr/{pbx}/{secret}", IvrDesk(application, admission, metrics)))
    app.include_router(health_router(Readiness(application, queue_check), numbers))
    app.include_router(api_router(application, live, access))
    app.include_router(lists_api(desk, imports, access))
    app.include_router(templates_api(application, access))
    app.include_router(callbacks_api(application, access))
    app.include_router(callbacks_work_api(application, access))
    app.include_router(dispositions_api(application, access))
    app.include_router(do_not_call_api(application, access))
    app.include_router(uploads_pages(desk, access, forgery))  # before the next, to which /lists/upload is an import
    app.include_router(lists_pages(desk, access, forgery))
    app.include_router(callbacks_pages(application))
    app.include_router(why_api(application))
    app.include_router(why_pages(application))
    app.include_router(pages_router(live, access))
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    add_fault_handlers(app)
    app.add_middleware(Guard, access=access, forgery=forgery)
    return app
