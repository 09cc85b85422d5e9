"""The web process: the app on uvicorn, with the queue as its doorbell."""

import signal

import uvicorn

from campaigns.web.app import create_app
from campaigns.web.protocol import uvicorn_options
from dialer.errors import ServiceUnreachable
from dialer.settings import Settings
from workers.beat import Beat
from workers.wiring import check_redis, wire


def run_web(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT."""
    with wire(settings, process="web") as wired:
        broker = wired.broker
        assert broker is not None
        app = create_app(wired.application, queue_check=lambda: check_redis(broker))
        beat = Beat(wired.application, "web")
        beat.start()
        try:
            _serve(app, settings)
        finally:
            beat.stop()
    return 0


def _serve(app: object, settings: Settings) -> None:
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        host=settings.web.host,
        port=settings.web.port,
        loop="uvloop",
        **uvicorn_options(),
    )
    server = uvicorn.Server(config)

    def end(*_: object) -> None:
        server.should_exit = True

    # When it has ended well uvicorn raises the signal again, for whoever had it before: by itself that kills us on the
    # spot, and nobody is told goodbye.
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, end)
    try:
        server.run()
        for one in (signal.SIGTERM, signal.SIGINT):
            signal.signal(one, signal.SIG_DFL)  # a second one does not wait for our goodbye
    except SystemExit as exc:
        if exc.code:
            raise ServiceUnreachable(
                f"cannot listen on {settings.web.host}:{settings.web.port}: is another process using it? "
                "Set web.port to a free port"
            ) from None
