"""What a scheduler does beside the rounds: polls, sweeps, callbacks, lists, and what follows the calendar.

All of it repeats by the stopwatch, each on a thread of its own, but for what is done at night.
"""

import logging
from datetime import timedelta
from functools import partial
from threading import Event, Thread

import structlog
from sqlalchemy import delete

from campaigns import (
    agents,
    best_time_order,
    best_times,
    callback_watch,
    caller_id_watch,
    capping,
    importing,
    list_counts,
    listed_calls,
    listed_requests,
    listed_tickets,
    offers,
    own_calls,
    pbx_figures,
    phones,
    pulling,
    reserving,
    retention,
)
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import Campaign, ProcessBeat
from campaigns.pbx_status import poll, watch_wrap_ups
from campaigns.sweeping import sweep
from dialer.numbers import mask
from workers.leading import Leading
from workers.outliving import Step, outlive

# A process that was killed said no goodbye; after so long its supervisor has started another.
FORGOTTEN = timedelta(minutes=1)
# A callback that was promised or settled without its other half being written is found within this.
MEND_CALLBACKS = timedelta(seconds=15)
# Seconds between two looks for tickets that a PBX is still owed.
WRITE_TICKETS = 2.0
# What is old is learnt anew (`best_times.LEARN_EVERY`), a campaign at a time.
LOOK_AT_BEST_TIMES = timedelta(minutes=1)
# Most lists have no cap: then this look finds nothing to count (`list_counts.COUNT_EVERY`).
LOOK_AT_LIST_COUNTS = timedelta(seconds=5)
# Whether a caller id shall rest is no question of seconds; its cap is the gate's.
LOOK_AT_CALLER_IDS = timedelta(minutes=5)
log = structlog.get_logger(__name__)


class Chores:
    """What has to be done now and then for the campaigns and PBXs that are led, and for all."""

    def __init__(self, application: Application, leading: Leading) -> None:
        self._application = application
        self._timing = application.settings.timing
        self._leading = leading
        self._suspects: dict[str, set[str]] = {}
        self._readable: dict[str, bool] = {}
        self._poll_due: dict[str, float] = {}
        self._tellers: dict[str, set[int]] = {}
        self._mend_due = -1e9
        self._list_troubles: dict[tuple[str, str], str] = {}

    def start(self, stop: Event) -> None:
        """Run what repeats by the stopwatch, each on a thread of its own: neither a slow PBX nor a host whose clock
        steps back keeps the others from running."""
        for name in self._application.pbxes:
            often = min(self._timing.presence_poll, self._timing.wrap_up_poll)
            self._loop(stop, f"poll {name}", often, partial(self.look_at_people, name))
            self._loop(stop, f"sweep {name}", self._timing.sweep, partial(self.sweep, name))
            if every := pbx_figures.every(self._application, name):
                self._loop(stop, f"figures {name}", every, partial(self.read_figures, name))
            kept = listed_requests.keeper(self._application.pbxes[name])
            if kept is not None:
                self._loop(stop, f"lists {name}", kept.callback_poll, partial(self.read_lists, name))
                self._loop(stop, f"tickets {name}", WRITE_TICKETS, partial(self.write_tickets, name))
        self._loop(stop, "people", 0.5, self.people)
        self._loop(stop, "callbacks", 1.0, self.callbacks)
        self._loop(stop, "best times", LOOK_AT_BEST_TIMES.total_seconds(), self.best_times)
        self._loop(stop, "list counts", LOOK_AT_LIST_COUNTS.total_seconds(), self.list_counts)
        self._loop(stop, "caller ids", LOOK_AT_CALLER_IDS.total_seconds(), self.caller_ids)
        for name, settings in self._application.settings.pulls.items():
            self._loop(stop, f"pull {name}", max(1.0, min(30.0, settings.every / 4)), partial(self.pull, name))

    def _loop(self, stop: Event, what: str, seconds: float, step: Step) -> None:
        def repeat() -> None:
            outlive(what, step)
            while not stop.wait(seconds):
                outlive(what, step)

        Thread(target=repeat, name=what, daemon=True).start()

    def poll(self, name: str) -> None:
        """Read lines and agents of a PBX, if we lead it."""
        if name not in self._leading.pbxes:
            return
        good = poll(self._application, name, self._tellers.setdefault(name, set()))
        if good != self._readable.get(name, True):
            log.log(
                logging.INFO if good else logging.WARNING,
                "PBX can be read again" if good else "PBX cannot be read: no calls",
                pbx=name,
                remedy="" if good else f"dialer pbx check {name}",
            )
        self._readable[name] = good

    def look_at_people(self, name: str) -> None:
        """Poll a PBX when that is due; until then see who is back from wrap-up. One after the other: of two reads
        under way at once the older could be believed last."""
        now = self._application.clock.monotonic()
        if now >= self._poll_due.get(name, now):
            self._poll_due[name] = now + self._timing.presence_poll
            self.poll(name)
        elif name in self._leading.pbxes and self._readable.get(name, False):
            watch_wrap_ups(self._application, name, self._tellers.setdefault(name, set()))

    def sweep(self, name: str) -> None:
        """Ask a PBX for the calls we have not heard of, if we lead it."""
        if name not in self._leading.pbxes:
            return
        found = sweep(self._application, name, self._suspects.setdefault(name, set()))
        if found.closed:
            log.info("swept", pbx=name, open=found.open, missing=found.missing, closed=found.closed)

    def people(self) -> None:
        """End wrap-ups, offers and reservations whose time is over, let go who stayed for a ringing call, send home
        whom no campaign needs, forget processes long gone, move who has a phone on another PBX."""
        with self._application.transaction() as session:
            now = database_now(session)
            agents.let_go(session, now)
            agents.end_wrap_ups(session, now)
            offers.tidy(session, now)
            reserving.release_overdue(session, now)
            own_calls.tidy(session, now)
            agents.send_home(session, now=now)
            session.execute(delete(ProcessBeat).where(ProcessBeat.beat_at < now - FORGOTTEN))
        phones.follow(self._application)

    def callbacks(self) -> None:
        """Give callbacks back whose time is over, report those about to break. Each scheduler does: no harm in it."""
        now = self._application.clock.monotonic()
        mend = now >= self._mend_due
        with self._application.transaction() as session:
            at = database_now(session)
            mended = callback_watch.mend(session, now=at, timing=self._timing) if mend else 0
            done = callback_watch.watch(session, now=at, timing=self._timing)
        if mend:
            self._mend_due = now + MEND_CALLBACKS.total_seconds()
        done.mended = mended
        if done.alarmed or done.broken:
            log.warning("callbacks are not kept", remedy="dialer callbacks list --alarms", **done.as_json())

    def read_lists(self, name: str) -> None:
        """Read the callback lists a PBX keeps, if we lead it."""
        if name not in self._leading.pbxes:
            return
        for one in listed_requests.read(self._application, name):
            if one.new or one.changed or one.gone:
                log.info("callback list read", pbx=name, **one.as_json())
            if one.trouble != self._list_troubles.get((name, one.campaign), ""):
                self._list_troubles[name, one.campaign] = one.trouble
                if one.trouble:
                    remedy = f"dialer pbx check {name}"
                    log.warning("callback list in trouble", pbx=name, list=one.name, why=one.trouble, remedy=remedy)

    def read_figures(self, name: str) -> None:
        """Keep what a PBX that we lead counted itself. What goes wrong is for the poll of its agents to say."""
        if name in self._leading.pbxes:
            pbx_figures.read(self._application, name)

    def write_tickets(self, name: str) -> None:
        """Write tickets back to a PBX that we lead, and give back what was taken there for nothing."""
        if name not in self._leading.pbxes:
            return
        done = listed_tickets.write(self._application, name)
        listed_calls.release(self._application, name)
        if done.waiting or done.given_up:
            why = done.trouble[:300]
            log.warning("tickets are not written", pbx=name, waiting=done.waiting, given_up=done.given_up, why=why)

    def best_times(self) -> None:
        """Learn anew when people answer, for the campaigns we lead that are ordered by it; let back who waits for it
        in those that no longer are."""
        with self._application.transaction() as session:
            overdue = best_times.overdue(session, database_now(session))
        for campaign_id in overdue:
            if campaign_id not in self._leading.claims:
                continue
            with self._application.transaction() as session:
                now = database_now(session)
                campaign = session.get_one(Campaign, campaign_id)
                best_times.keep(session, campaign_id, best_times.learn(session, campaign, now), now)
        with self._application.transaction() as session:
            waiting = best_time_order.left_waiting(session)
        for campaign_id in waiting:
            let_back = 1
            while let_back and campaign_id in self._leading.claims:
                with self._application.transaction() as session:
                    let_back = best_time_order.take_back(session, campaign_id, database_now(session))

    def list_counts(self) -> None:
        """Count anew how far lists were worked, of the campaigns we lead: those whose caps or order need it."""
        with self._application.transaction() as session:
            list_counts.forget(session)
            wanted = list_counts.wanted(session, database_now(session))
        for list_id, campaign_id in wanted:
            if campaign_id in self._leading.claims:
                with self._application.transaction() as session:
                    campaign = session.get_one(Campaign, campaign_id)
                    list_counts.count(session, campaign, list_id, database_now(session))

    def caller_ids(self) -> None:
        """Let caller ids rest that need it. Each scheduler does: no harm in it."""
        with self._application.transaction() as session:
            rested = caller_id_watch.watch(session, now=database_now(session))
        if rested:
            log.info("caller ids rest", caller_ids=[mask(number) for number in rested], remedy="dialer caller-id list")

    def pull(self, name: str) -> None:
        """Look for a file of a scheduled pull, if that is due and nobody else does."""
        found = pulling.look(self._application, name)
        if found is not None and found.import_id is not None:
            log.info("file pulled", pull=name, file=found.file_name, import_id=found.import_id)
        if found is not None and found.trouble:
            log.warning("pull in trouble", pull=name, trouble=found.trouble[:300])

    def keep_caps(self) -> None:
        """Write the caps of the settings down, for whoever orders a call, under whichever settings."""
        caps = self._application.settings.caps
        with self._application.transaction() as session:
            now, who = database_now(session), f"scheduler:{self._leading.holder}"
            if capping.keep_everywhere(session, number=caps.number, contact=caps.contact, now=now, who=who):
                log.info("caps of all campaigns", number=caps.number or "none", contact=caps.contact or "none")

    def nightly(self) -> None:
        """Delete what is older than its retention, and files no import wants any more."""
        with self._application.transaction() as session:
            now = database_now(session)
            settings = self._application.settings
            removed = retention.prune(
                session,
                now=now,
                days=self._timing.retention_days,
                kinds=settings.retention,
                data_dir=self._application.data_dir,
            )
            removed["callbacks_retimed"] = callback_watch.retime(
                session, now=now, timing=self._timing, who="dialer", why="the clocks changed"
            )
            removed["files"] = importing.forget_strays(session, self._application.data_dir, now)
        log.info("retention", **removed)
