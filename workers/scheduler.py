"""The scheduler process: the rounds of its campaigns; its leases and its chores stand beside them.

The rounds run on a loop of their own, which skips what it is late for: one look at all campaigns led, and a tick for
each that has something to do. Polls and sweeps repeat by the stopwatch, and APScheduler runs what follows the calendar.
"""

import signal
from collections import Counter
from collections.abc import Callable
from functools import partial
from threading import Event

import structlog
from apscheduler.schedulers.background import BackgroundScheduler  # type: ignore[import-untyped]

from campaigns import garbage, rounds
from campaigns.application import Application
from campaigns.deciding import Pacing
from campaigns.gate import LeaseLost
from campaigns.ordering import tick
from dialer.settings import Settings
from workers.beat import Beat
from workers.broker import PatientDoorbell, QueueDoorbell
from workers.chores import Chores
from workers.leading import Leading
from workers.outliving import Step, outlive
from workers.wiring import wire

# So many ticks in a row that ordered something make the next likely: it is not looked at first.
BUSY = 2
log = structlog.get_logger(__name__)


class Scheduler:
    """Looks at the campaigns it leads, and ticks them. `late` are the seconds each tick was late."""

    def __init__(
        self, application: Application, holder: str | None = None, *, outlive: Callable[[str, Step], None] = outlive
    ) -> None:
        self._application = application
        self._timing = application.settings.timing
        self._pacing: dict[int, Pacing] = {}
        self._in_a_row: Counter[int] = Counter()  # campaign -> its last ticks that ordered something
        self._renewal_due = -1e9
        self._outlive = outlive  # of steps that may fail
        self.leading = Leading(application, holder)
        self.chores = Chores(application, self.leading)
        self.late: list[float] = []
        self.ticks = 0

    def renew(self) -> None:
        """Renew our leases; what was learnt of a campaign before we led it is read anew from the rows."""
        for campaign_id in self.leading.renew():
            self._pacing.pop(campaign_id, None)

    def run(self, stop: Event) -> None:
        """Look and tick until told to stop. Late rounds are skipped, not caught up with: the next decision is about
        the next moment."""
        clock = self._application.clock
        due = clock.monotonic()
        while not stop.is_set():
            now = clock.monotonic()
            self._renew_when_due(now)
            if now >= due:
                self.round(now - due)
                due = max(due + self._timing.tick, clock.monotonic())
            stop.wait(max(0.005, min(due, self._renewal_due) - clock.monotonic()))

    def _renew_when_due(self, now: float) -> None:
        if now >= self._renewal_due:
            self._renewal_due = now + self._timing.lease / 3
            self._outlive("renew", self.renew)

    def round(self, late: float = 0.0) -> None:
        """Look at every campaign we lead, and tick those that have something to do. `late`: seconds, already."""
        clock = self._application.clock
        began = clock.monotonic()
        if not self.leading.confident:
            return
        for campaign_id in self._look(late):
            self._renew_when_due(clock.monotonic())
            if campaign_id in self.leading.claims and self.leading.confident:
                self._count(late + clock.monotonic() - began)
                self._outlive("tick", partial(self._tick, campaign_id))

    def _look(self, late: float) -> list[int]:
        """Return the campaigns that need a tick of their own. A large team that orders at every tick is not looked at
        first."""
        busy = [campaign_id for campaign_id in self.leading.claims if self._in_a_row[campaign_id] >= BUSY]
        quiet = [(self._kept(one), claim) for one, claim in self.leading.claims.items() if one not in busy]
        if not quiet:
            return busy
        needed = [pacing.campaign_id for pacing, _ in quiet]  # each by itself, if they cannot be looked at together

        def look() -> None:
            needed[:] = rounds.look(self._application, quiet)

        self._outlive("look", look)
        for pacing, _ in quiet:
            if pacing.campaign_id not in needed:
                self._in_a_row[pacing.campaign_id] = 0
        for _ in range(len(quiet) - len(needed)):
            self._count(late)
        return [*busy, *needed]

    def _count(self, late: float) -> None:
        self.ticks += 1
        self.late.append(late)
        del self.late[:-4000]

    def _kept(self, campaign_id: int) -> Pacing:
        return self._pacing.setdefault(campaign_id, Pacing(campaign_id))

    def _tick(self, campaign_id: int) -> None:
        claim = self.leading.claims[campaign_id]
        before, self._in_a_row[campaign_id] = self._in_a_row[campaign_id], 0
        try:
            if tick(self._application, self._kept(campaign_id), claim):
                self._in_a_row[campaign_id] = before + 1
        except LeaseLost:
            log.warning("lease lost", campaign=campaign_id, fence=claim.fence)
            self.leading.claims.pop(campaign_id, None)
        except Exception:
            self._in_a_row[campaign_id] = BUSY  # not looked at with the others until a tick of it goes well
            raise

    def figures(self) -> dict[str, object]:
        """How the ticks keep time: how many there were, and how late the last of them, in milliseconds."""
        late = sorted(self.late) or [0.0]
        return {
            "holder": self.leading.holder,
            "campaigns": len(self.leading.claims),
            "ticks": self.ticks,
            "late_ms": {
                "p50": round(late[len(late) // 2] * 1000, 1),
                "p99": round(late[int((len(late) - 1) * 0.99)] * 1000, 1),
                "max": round(late[-1] * 1000, 1),
            },
        }


def run_scheduler(settings: Settings) -> int:
    """Schedule until SIGTERM or SIGINT."""
    stop = Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    with wire(settings, process="scheduler") as wired:
        if isinstance(wired.application.doorbell, QueueDoorbell):
            wired.application.doorbell = PatientDoorbell(wired.application.doorbell)  # no tick waits for Redis
        scheduler = Scheduler(wired.application)
        calendar = _calendar(scheduler.chores)
        beat = Beat(wired.application, "scheduler", scheduler.figures)
        scheduler.chores.keep_caps()
        scheduler.renew()
        calendar.start()
        scheduler.chores.start(stop)
        beat.start()
        garbage.settle()
        log.info("scheduler ready", holder=scheduler.leading.holder)
        try:
            while not stop.is_set():
                scheduler.run(stop)
        finally:
            calendar.shutdown(wait=False)
            beat.stop()
            scheduler.leading.release()
    return 0


def _calendar(chores: Chores) -> BackgroundScheduler:
    """APScheduler, for what follows the calendar; in memory: every process has the same jobs."""
    calendar = BackgroundScheduler(timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1})
    calendar.add_job(partial(outlive, "nightly", chores.nightly), "cron", hour=3, minute=17)
    return calendar
