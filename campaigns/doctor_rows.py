"""What the doctor reads in the tables: processes, leases, events and imports that should have moved by now."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from campaigns import callbacks_view, lifecycle, pools, schema
from campaigns.application import Application
from campaigns.checks import Check
from campaigns.db import database_now
from campaigns.models import Attempt, Campaign, Command, Import, Lease, LoggedEvent, PbxStatus, ProcessBeat
from dialer.pbx_kinds import streams

SILENT = timedelta(seconds=15)  # a process that has not beaten for so long is gone
WAITING = timedelta(seconds=5)  # an event nobody handled for so long is stuck
IMPORT_SILENT = timedelta(seconds=60)
NEEDED = {
    "scheduler": "`dialer scheduler` decides whom to call",
    "worker": "`dialer worker` places the calls and reacts to events",
    "web": "`dialer web` receives the PBX's events",
}

LISTENER = {"listener": "`dialer listener` hears what such a PBX tells; without it answered customers get the message"}


def all_checks(session: Session, application: Application) -> Iterator[Check]:
    """Yield every check of the tables; the schema first, since nothing else can be read without it."""
    migrated = check_schema(application)
    yield migrated
    if not migrated.ok:
        return
    yield from check_durability(session)
    now = database_now(session)
    yield from check_processes(session, now, [pbx.kind for pbx in application.settings.pbx.values()])
    yield from check_campaigns(session, now)
    yield from check_pbx_reads(session, now, application)
    streaming = {name for name, pbx in application.settings.pbx.items() if streams(pbx.kind)}
    web = application.settings.web.address
    yield from check_events(session, now, list(application.settings.pbx), web, streaming)
    yield from check_commands(session, now)
    yield from check_imports(session, now)
    yield from check_callbacks(session, now)


def check_schema(application: Application) -> Check:
    """Whether the tables are those this program was written for."""
    have, needed = schema.current(application.engine), schema.newest()
    if have == needed:
        return Check("database", True, f"the database answers, at schema {have}")
    remedy = "run `dialer db upgrade`"
    return Check("database", False, f"the database is at {have or 'no'} schema; this program needs {needed}", remedy)


def check_durability(session: Session) -> Iterator[Check]:
    """Whether what the database calls committed survives a crash: an event answered 200 must."""
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        value = session.execute(text(f"SHOW {name}")).scalar_one()
        if value in ("on", "remote_apply", "remote_write"):
            continue
        remedy = f"set {name} = on in postgresql.conf and reload: after a crash calls would be forgotten"
        yield Check("database", False, f"PostgreSQL runs with {name} {value}", remedy)


def check_processes(session: Session, now: datetime, kinds: Sequence[str] = ()) -> Iterator[Check]:
    """Whether each kind of process is alive; needed only while a campaign runs."""
    beats = session.scalars(select(ProcessBeat).order_by(ProcessBeat.name)).all()
    running = session.scalar(select(func.count()).select_from(Campaign).where(Campaign.state == "running")) or 0
    needed = NEEDED | (LISTENER if any(map(streams, kinds)) else {})
    for kind, does in needed.items():
        alive = [beat for beat in beats if beat.kind == kind and now - beat.beat_at <= SILENT]
        if alive:
            yield Check("processes", True, f"{len(alive)} {kind} running")
            continue
        while_ = f" while {running} campaigns run" if running else ""
        remedy = f"start it: {does}; `dialer up` starts everything"
        yield Check("processes", False, f"no {kind} is running{while_}", remedy, fatal=bool(running))
    for beat in beats:
        if now - beat.beat_at > SILENT and now - beat.beat_at < timedelta(days=1):
            gone = f"{beat.name} was last heard of at {beat.beat_at:%H:%M:%S} UTC and has not said goodbye"
            yield Check("processes", False, gone, "look into its log; start it again", fatal=False)


def check_campaigns(session: Session, now: datetime) -> Iterator[Check]:
    """Whether each running campaign is led by a scheduler and lacks nothing."""
    for campaign in session.scalars(select(Campaign).where(Campaign.state == "running").order_by(Campaign.name)):
        lease = session.get(Lease, f"campaign:{campaign.id}")
        if lease is not None and lease.expires_at > now:
            yield Check("campaigns", True, f"campaign {campaign.name} is led by {lease.holder}")
        else:
            since = f" since {lease.expires_at:%H:%M:%S} UTC" if lease else ""
            remedy = "start `dialer scheduler`; if one runs, its log says why it does not lead"
            yield Check("campaigns", False, f"campaign {campaign.name} runs, but nobody leads it{since}", remedy)
        for sentence in lifecycle.shortcomings(session, campaign):
            if "no scheduler" not in sentence:
                what, _, remedy = sentence.partition(": ")
                yield Check("campaigns", False, f"campaign {campaign.name}: {what}", remedy, fatal=False)


def check_events(
    session: Session, now: datetime, pbxes: list[str], web: str, streaming: Collection[str] = ()
) -> Iterator[Check]:
    """Whether events arrive, and whether somebody handles them."""
    oldest = session.scalar(select(func.min(LoggedEvent.received_at)).where(LoggedEvent.handled_at.is_(None)))
    if oldest is not None and now - oldest > WAITING:
        count = session.scalar(select(func.count()).select_from(LoggedEvent).where(LoggedEvent.handled_at.is_(None)))
        waits = f"{count} events are not handled, the oldest for {(now - oldest).total_seconds():.0f} s"
        yield Check("events", False, waits, "workers are down or too few: start `dialer worker`, look into its log")
    else:
        yield Check("events", True, "no event waits to be handled")
    for pbx in pbxes:
        yield last_event(session, now, pbx, web, streaming=pbx in streaming)
    troubled = session.scalar(
        select(func.count())
        .select_from(LoggedEvent)
        .where(LoggedEvent.received_at > now - timedelta(hours=1), LoggedEvent.trouble != "")
    )
    if troubled:
        example = session.scalar(
            select(LoggedEvent.trouble).where(LoggedEvent.trouble != "").order_by(LoggedEvent.id.desc()).limit(1)
        )
        told = f"{troubled} events of the last hour could not be used; the newest: {example}"
        yield Check("events", False, told, "they are kept with their reason; check the PBX's integration", fatal=False)


def last_event(session: Session, now: datetime, pbx: str, web: str, *, streaming: bool = False) -> Check:
    """When the PBX's last event came, and whether one was due since. `web`: where the PBX should send them."""
    last = session.scalar(
        select(LoggedEvent.received_at)
        .where(LoggedEvent.pbx == pbx, LoggedEvent.source == "webhook")
        .order_by(LoggedEvent.received_at.desc())
        .limit(1)
    )
    called = session.scalar(
        select(func.max(Attempt.sent_at)).where(Attempt.pbx == pbx, Attempt.sent_at > now - timedelta(hours=1))
    )
    expected = called is not None and now - called > timedelta(seconds=30) and (last is None or last < called)
    remedy = f"let the PBX send its events to {web}/webhooks/{pbx}/ and the webhook secret, while `dialer web` runs"
    if streaming:
        remedy = "see that `dialer listener` runs and what its log says"
    if last is None:
        return Check("events", False, f"no event has ever come from PBX {pbx}", remedy, fatal=expected)
    age = f"the last event of PBX {pbx} came {max(0, round((now - last).total_seconds()))} s ago"
    if expected:
        return Check("events", False, f"{age}, before the last call was ordered: events are lost", remedy)
    return Check("events", True, age)


def check_pbx_reads(session: Session, now: datetime, application: Application) -> Iterator[Check]:
    """Whether lines and agents were read lately; needed while a campaign runs."""
    stale = timedelta(seconds=application.settings.timing.presence_stale)
    calling = session.scalars(select(Campaign).where(Campaign.state == "running"))
    running = {pbx for campaign in calling for pbx in pools.names(session, campaign)}
    for pbx in sorted(running):
        status = session.get(PbxStatus, pbx)
        if pbx not in application.settings.pbx:
            remedy = "put its [pbx.NAME] section back, or stop the campaign"
            yield Check("campaigns", False, f"a running campaign uses PBX {pbx}, which is not in the settings", remedy)
        elif status is None or status.read_at is None or now - status.read_at > stale:
            when = "never" if status is None or status.read_at is None else f"last at {status.read_at:%H:%M:%S} UTC"
            why = f": {status.trouble}" if status is not None and status.trouble else ""
            remedy = f"pacing falls to one call per agent, then to none; `dialer pbx check {pbx}` says more"
            yield Check("campaigns", False, f"lines and agents of PBX {pbx} were read {when}{why}", remedy)


def check_imports(session: Session, now: datetime) -> Iterator[Check]:
    """Whether an import waits for a worker, or its worker died."""
    stuck = 0
    for row in session.scalars(select(Import).where(Import.state.in_(("waiting", "running"))).order_by(Import.id)):
        heard = row.heartbeat_at or row.created_at
        if now - heard < IMPORT_SILENT:
            continue
        stuck += 1
        told = f"import {row.id} of {row.file_name} is {row.state} and was last heard of at {heard:%H:%M:%S} UTC"
        yield Check("imports", False, told, "start `dialer worker`: it takes the file up again", fatal=False)
    if not stuck:
        yield Check("imports", True, "no import is stuck")


def check_callbacks(session: Session, now: datetime) -> Iterator[Check]:
    """Whether a promised callback is about to break, or is broken: counted here, whether or not a scheduler watches."""
    names = {row.id: row.name for row in session.execute(select(Campaign.id, Campaign.name))}
    for campaign_id, found in sorted(callbacks_view.waiting(session, list(names), now).items()):
        if found.alarmed or found.over:
            told = f"{found.over} promised callbacks are broken and {found.alarmed} will be soon"
            told = f"campaign {names[campaign_id]}: {told}"
            yield Check("campaigns", False, told, "`dialer callbacks list --alarms` says what keeps each", fatal=False)


def check_commands(session: Session, now: datetime) -> Iterator[Check]:
    """Whether orders to the PBX wait longer than they may."""
    late = now - timedelta(seconds=10)
    waiting = session.scalar(
        select(func.count()).select_from(Command).where(Command.state == "due", Command.due_at < late)
    )
    unsent = session.scalar(
        select(func.count()).select_from(Attempt).where(Attempt.state == "ordered", Attempt.not_after < late)
    )
    if waiting or unsent:
        told = f"{unsent} orders and {waiting} commands wait to be sent to a PBX"
        yield Check("events", False, told, "workers are down or too few: start `dialer worker`, look into its log")
