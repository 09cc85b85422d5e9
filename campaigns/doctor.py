"""Look at a whole installation and say in plain words what is wrong and how to mend it.

Each check is one function that returns findings; `examine` runs them all and lets none of them stop the others.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from campaigns import doctor_rows, pbx_settings
from campaigns.application import Application
from campaigns.checks import Check
from campaigns.db import database_now
from campaigns.effective import without_password
from dialer.errors import DialerError, NotFound, PbxError, PbxUnavailable, ServiceUnreachable, SettingsError
from dialer.pbx.base import Feature, Finding, Pbx
from dialer.pbx_kinds import streams
from dialer.settings import Settings

NEEDED_PYTHON = (3, 11)
LITTLE_DISK, TOO_LITTLE_DISK = 2 * 1024**3, 256 * 1024**2
# What an adapter says of the events, which it cannot see; whoever can see them says it better.
_UNTESTED = "events arrive cannot be tested"
MOST_SKEW = timedelta(seconds=2)  # a host further off may serve pages, not schedule (I20)


def examine(
    load_settings: Callable[[], Settings],
    open_application: Callable[[], AbstractContextManager[Application]],
    environ: Mapping[str, str] | None = None,
) -> Iterator[Check]:
    """Yield every check as it is made, so that a person sees the slow ones coming."""
    environ = os.environ if environ is None else environ
    settings = None
    try:
        settings = load_settings()
        yield Check("settings", True, f"the settings are good ({len(settings.pbx)} PBX, {settings.env})")
    except SettingsError as exc:
        yield Check("settings", False, "the settings are wrong", str(exc))
    yield check_python(sys.version_info[:3])
    if settings is None:
        return
    yield from check_data_dir(settings.data_dir)
    yield from check_redis(settings.redis.url)
    for name in settings.pbx:
        findings, trouble = pbx_findings(name, settings, environ)
        listed = [one for one in findings if _UNTESTED not in one.what]  # the tables say when the last event came
        yield from (Check(f"PBX {name}", one.ok, one.what, one.remedy, one.fatal) for one in listed)
        if trouble is not None:
            yield Check(f"PBX {name}", False, str(trouble), _pbx_remedy(name), unreachable=True)
    for name in settings.directory:
        yield from check_directory(name, settings, environ)
    if not settings.pbx:
        yield Check("PBX", False, "no PBX is set up", "add a [pbx.NAME] section to the settings file", fatal=False)
    try:
        with open_application() as application:
            yield from _database(application)
    except ServiceUnreachable as exc:
        yield Check("database", False, "the services do not answer", str(exc), unreachable=True)
    except DialerError as exc:
        yield Check("database", False, "the application cannot be opened", str(exc))


def _database(application: Application) -> Iterator[Check]:
    yield from check_clock(application)
    with application.transaction() as session:
        yield from doctor_rows.all_checks(session, application)


# This machine --------------------------------------------------------------------------------------------


def check_python(version: tuple[int, ...]) -> Check:
    """Whether the interpreter is one we support."""
    shown, needed = ".".join(map(str, version[:3])), ".".join(map(str, NEEDED_PYTHON))
    if tuple(version[:2]) < NEEDED_PYTHON:
        return Check(
            "machine", False, f"Python {shown} is too old", f"install Python {needed} or newer and set up again"
        )
    return Check("machine", True, f"Python {shown}")


def check_data_dir(path: Path) -> Iterator[Check]:
    """Whether we can write where uploads, reject files and the embedded servers live, and whether it has room."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path, prefix=".doctor-") as probe:
            probe.write(b"probe")
            probe.flush()
    except OSError as exc:
        remedy = f"make {path} a folder that this account may write to, or set DIALER_DATA_DIR to another"
        yield Check("machine", False, f"the data folder {path} cannot be written: {exc.strerror or exc}", remedy)
        return
    yield Check("machine", True, f"the data folder {path} can be written")
    yield check_disk(path, shutil.disk_usage(path).free)


def check_disk(path: Path, free: int) -> Check:
    """Whether the disk under the data folder has room for the event log."""
    shown = f"{free / 1024**3:.1f} GB free under {path}"
    remedy = "free some, or move the data folder (DIALER_DATA_DIR): on a full disk no event can be kept"
    if free < TOO_LITTLE_DISK:
        return Check("machine", False, shown, remedy)
    return Check("machine", free >= LITTLE_DISK, shown, remedy if free < LITTLE_DISK else "", fatal=False)


def check_clock(application: Application) -> Iterator[Check]:
    """Whether this host and the database agree on the time, to two seconds."""
    with application.transaction() as session:
        database_now(session)  # so that connecting is not measured
        before = application.clock.now()
        theirs = database_now(session)
        after = application.clock.now()
    yield judge_clock(before + (after - before) / 2, theirs)


def judge_clock(ours: datetime, theirs: datetime) -> Check:
    """Compare one moment by two clocks."""
    off = ours - theirs
    told = f"{abs(off.total_seconds()):.1f} s {'ahead of' if off > timedelta(0) else 'behind'}"
    if abs(off) > MOST_SKEW:
        remedy = "set both clocks by NTP (`timedatectl set-ntp true`); a host this far off must not schedule calls"
        return Check("database", False, f"this host's clock is {told} the database's", remedy)
    return Check("database", True, "this host's clock agrees with the database's")


# Services ------------------------------------------------------------------------------------------------


def check_redis(url: str) -> Iterator[Check]:
    """Whether Redis answers, and whether it is set up to refuse rather than forget."""
    if not url:
        yield Check("redis", True, "Redis is embedded: started with us, in the data folder")
        return
    import redis

    client = redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)
    try:
        client.ping()
        memory: Any = client.info("memory")
    except redis.RedisError as exc:
        remedy = f"start Redis, or correct redis.url ({without_password(url)}), or leave it empty for the embedded one"
        yield Check("redis", False, f"Redis cannot be reached: {type(exc).__name__}", remedy, unreachable=True)
        return
    finally:
        client.close()
    yield Check("redis", True, "Redis answers")
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        remedy = "set `maxmemory-policy noeviction`: hints that vanish cost each call up to a quarter of a second"
        yield Check("redis", False, f"Redis may throw messages away (maxmemory-policy {policy})", remedy, fatal=False)


def pbx_findings(name: str, settings: Settings, environ: Mapping[str, str]) -> tuple[list[Finding], DialerError | None]:
    """Return what is to be said of PBX `name`, and the error that kept us from asking it, if one did."""
    if name not in settings.pbx:
        known = ", ".join(settings.pbx) or "none: add a [pbx.NAME] section"
        raise NotFound(f"there is no PBX named {name!r} in the settings (there are: {known})")
    from dialer.pbx import registry

    section = settings.pbx[name]
    findings = list(pbx_settings.look_at(name, section, settings.web.address, environ))
    try:
        pbx = registry.open_pbx(name, section)
    except SettingsError as exc:
        # A missing token has been told already, with its remedy.
        told = any(not one.ok and one.fatal for one in findings)
        return findings, None if told else exc
    try:
        findings += _ask(pbx)
    except SettingsError:
        pass  # a missing secret: `look_at` has told it
    except PbxError as exc:
        return findings, exc
    finally:
        pbx.close()
    return findings, None


def _ask(pbx: Pbx) -> Sequence[Finding]:
    """Let the PBX be checked; PbxUnavailable when it is away, which `check` tells as one fault among others."""
    try:
        _ = pbx.gateways() if Feature.LINES in pbx.features else pbx.users()
    except PbxUnavailable:
        raise
    except PbxError:
        pass  # `check` says in its own words what is wrong with the answer
    return pbx.check()


def with_last_event(
    name: str, findings: Sequence[Finding], open_application: Callable[[], AbstractContextManager[Application]]
) -> list[Finding]:
    """Say when the PBX's last event came, in place of the adapter's doubt; as it was when the database is away."""
    try:
        with open_application() as application, application.transaction() as session:
            settings = application.settings
            streaming = name in settings.pbx and streams(settings.pbx[name].kind)
            now = database_now(session)
            check = doctor_rows.last_event(session, now, name, settings.web.address, streaming=streaming)
    except DialerError:
        return list(findings)
    kept = [one for one in findings if _UNTESTED not in one.what]
    return [*kept, Finding(check.ok, check.what, check.remedy, check.fatal)]


def check_directory(name: str, settings: Settings, environ: Mapping[str, str]) -> Iterator[Check]:
    """Whether a directory lets us in, and has the fields we use; its people are for `dialer directory check`."""
    from dialer.directory.registry import open_directory

    try:
        directory = open_directory(name, settings.directory[name], environ=environ)
    except SettingsError as exc:
        yield Check("directory", False, f"directory {name} cannot be opened", str(exc))
        return
    try:
        for one in directory.check(short=True):
            yield Check(f"directory {name}", one.ok, one.what, one.remedy, one.fatal)
    finally:
        directory.close()


def _pbx_remedy(name: str) -> str:
    return f"check pbx.{name}.url, that the PBX is up, and that no firewall is between; then `dialer pbx check {name}`"
