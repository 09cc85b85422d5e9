"""The worker process: Dramatiq's threads, the second look beside them, and a watchdog over both."""

import signal
from threading import Event, Thread

import structlog
from dramatiq.worker import Worker

from campaigns import garbage
from campaigns.rehearsal import rehearse
from dialer.settings import Settings
from workers.actors import declare
from workers.beat import Beat
from workers.broker import build_worker
from workers.second_look import SecondLook
from workers.wiring import wire

log = structlog.get_logger(__name__)
SHUTDOWN_MS = 8_000


def run_worker(settings: Settings) -> int:
    """Work until SIGTERM or SIGINT; 1 when a part of us died and the supervisor should start us anew."""
    stop = Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    with wire(settings, process="worker") as wired:
        assert wired.broker is not None
        declare(wired.broker, wired.application)
        rehearse(wired.application)
        worker = build_worker(wired.broker, settings.worker_threads)
        looking = Thread(target=SecondLook(wired.application).run, args=(stop,), name="second look", daemon=True)
        beat = Beat(wired.application, "worker")
        worker.start()
        looking.start()
        beat.start()
        garbage.settle()
        log.info("worker ready", threads=settings.worker_threads)
        died = _watch(worker, looking, stop)
        stop.set()
        worker.stop(timeout=SHUTDOWN_MS)
        looking.join(timeout=5)
        beat.stop()
    return 1 if died else 0


def _watch(worker: Worker, looking: Thread, stop: Event) -> bool:
    """Wait for the end; True when a thread that must live has died."""
    while not stop.wait(0.5):
        dead = [
            thread.name for thread in (*worker.consumers.values(), *worker.workers, looking) if not thread.is_alive()
        ]
        if dead:
            log.error("a thread died; the process ends to be started anew", threads=dead)
            return True
    return False
