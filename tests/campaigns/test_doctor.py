import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns import doctor, doctor_rows, leases, pbx_settings, schema
from campaigns.application import Application
from campaigns.checks import Check, verdict
from campaigns.doctor import examine, judge_clock
from campaigns.models import Import, LoggedEvent, PbxStatus, ProcessBeat
from dialer.calls import CallState
from dialer.clock import SystemClock
from dialer.directory.http import BURST
from dialer.errors import PbxUnavailable, ServiceUnreachable, SettingsError
from dialer.pbx import registry, voispeed_check
from dialer.pbx.base import Feature, Finding, Gateway
from dialer.settings import PbxSettings, Settings
from tests import factories
from tests.directory.conftest import ENVIRON, settings_for
from tests.directory.xc5_peer import Xc5World, serve
from tests.factories import NOW

STRONG = "kq3v9ZC1xT7pWm5RaB2dYh8sNf4gLj6E"


def faults(checks: Iterator[Check]) -> dict[str, str]:
    """What is not as it should be, and its remedy."""
    found = {check.what: check.remedy for check in checks if not check.ok}
    for what, remedy in found.items():
        assert remedy, f"no remedy for: {what}"
    return found


# Directories ---------------------------------------------------------------------------------------------


def test_a_directory_is_looked_at_in_a_few_requests_and_its_troubles_are_told() -> None:
    world = Xc5World()
    for number in range(40):
        world.agent(f"agent{number}", str(200 + number))
    server = serve(world)
    try:
        settings = Settings(directory={"office": settings_for(server)})
        assert all(check.ok for check in doctor.check_directory("office", settings, ENVIRON))
        assert len(server.requests) < BURST, "the doctor waits for no list of people"
        told = faults(doctor.check_directory("office", settings, {}))
        assert any("XC5_PASSWORD, which is not set" in what for what in told)
        server.stop_listening()
        assert any("cannot be reached" in what for what in faults(doctor.check_directory("office", settings, ENVIRON)))
        plain = {"office": settings_for(server, url="http://xc5.example/")}
        told = faults(doctor.check_directory("office", Settings(directory=plain), ENVIRON))
        assert "plain http" in told["directory office cannot be opened"]
    finally:
        server.close()


# Verdict -------------------------------------------------------------------------------------------------


def test_the_exit_code_says_the_worst() -> None:
    good, warning = Check("x", True, "fine"), Check("x", False, "odd", fatal=False)
    fatal, away = Check("x", False, "broken"), Check("x", False, "away", unreachable=True)
    assert verdict([good, warning]) == 0
    assert verdict([good, fatal, warning]) == 1
    assert verdict([fatal, away]) == 6


# The machine ---------------------------------------------------------------------------------------------


def test_an_old_python_is_told_which_one_is_needed() -> None:
    assert doctor.check_python((3, 11, 4)).ok
    old = doctor.check_python((3, 10, 9))
    assert (old.ok, old.what) == (False, "Python 3.10.9 is too old")
    assert "3.11" in old.remedy


def test_a_data_folder_that_cannot_be_written_is_told_with_the_variable_to_set(tmp_path: Path) -> None:
    assert all(check.ok for check in doctor.check_data_dir(tmp_path / "new"))
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").write_text("x")
    (what,) = faults(doctor.check_data_dir(tmp_path / "file" / "below"))
    assert "cannot be written" in what


@pytest.mark.parametrize(
    ("free", "ok", "fatal"), [(100 * 1024**2, False, True), (1024**3, False, False), (50 * 1024**3, True, False)]
)
def test_little_disk_is_a_warning_and_none_is_a_fault(free: int, ok: bool, fatal: bool) -> None:
    check = doctor.check_disk(Path("/data"), free)
    assert (check.ok, check.fatal) == (ok, fatal)


@pytest.mark.parametrize(
    ("seconds", "ok", "word"),
    [(0, True, ""), (1.9, True, ""), (-1.9, True, ""), (2.5, False, "ahead"), (-61, False, "behind")],
)
def test_a_host_more_than_two_seconds_off_the_database_must_not_schedule(seconds: float, ok: bool, word: str) -> None:
    check = judge_clock(NOW + timedelta(seconds=seconds), NOW)
    assert check.ok is ok
    assert word in check.what


# Settings of a PBX ---------------------------------------------------------------------------------------


def section(**given: Any) -> PbxSettings:
    values = {
        "url": "http://127.0.0.1:9100/PBX/seri_endpoint.php",
        "token_env": "T",
        "webhook_secret_env": "W",
        **given,
    }
    return PbxSettings(**values)


def said(settings: PbxSettings, web: str = "http://127.0.0.1:8080", **environ: str) -> dict[str, bool]:
    """What is found wrong, and whether it is fatal."""
    found = pbx_settings.look_at("main", settings, web, {"T": "token", "W": STRONG, **environ})
    for finding in found:
        assert finding.ok or finding.remedy
    return {finding.what: finding.fatal for finding in found if not finding.ok}


def test_a_good_section_is_not_complained_about() -> None:
    assert said(section()) == {}


@pytest.mark.parametrize(
    ("given", "environ", "told"),
    [
        ({"token_env": ""}, {}, "no token is named"),
        ({}, {"T": ""}, "token is missing"),
        ({"webhook_secret_env": ""}, {}, "no webhook secret is named"),
        ({}, {"W": ""}, "webhook secret is missing"),
        ({}, {"W": "changeme"}, "everybody guesses first"),
        ({}, {"W": "secret-123"}, "everybody guesses first"),
        ({}, {"W": "short"}, "weak: 5 characters"),
        ({}, {"W": "a" * 40}, "weak: 40 characters, 1 of them different"),
        ({"webhook_allow": ()}, {}, "no address may send events"),
        ({"webhook_allow": ("0.0.0.0/0",)}, {}, "nearly everybody"),
        ({"url": "https://pbx.example/x"}, {}, "from this one only"),
        ({"url": "https://pbx.example/x", "webhook_allow": ("192.0.2.1/32",)}, {}, "told to send events to 127.0.0.1"),
        ({"url": "http://pbx.example/x", "webhook_allow": ("192.0.2.1/32",)}, {}, "plain http"),
    ],
)
def test_what_is_wrong_in_a_section_is_said(given: dict[str, Any], environ: dict[str, str], told: str) -> None:
    assert any(told in what for what in said(section(**given), **environ))


def test_a_weak_secret_is_a_fault_only_where_strangers_can_reach_it() -> None:
    assert list(said(section(), W="short").values()) == [False]
    assert True in said(section(webhook_allow=("192.0.2.0/24",)), W="short").values()


def test_no_secret_is_ever_repeated() -> None:
    for value in ("changeme", "short-secret-value", STRONG):
        found = pbx_settings.look_at("main", section(), "http://127.0.0.1:8080", {"T": value, "W": value})
        assert all(value not in finding.what + finding.remedy for finding in found)


# The tables ----------------------------------------------------------------------------------------------


def beat(session: Session, kind: str, at: datetime = NOW) -> None:
    session.add(ProcessBeat(name=f"{kind}:host:{at.second}", kind=kind, started_at=at, beat_at=at))
    session.flush()


def test_processes_are_needed_only_while_a_campaign_runs(session: Session) -> None:
    quiet = list(doctor_rows.check_processes(session, NOW))
    assert [check.fatal for check in quiet] == [False, False, False]
    factories.campaign(session)
    found = list(doctor_rows.check_processes(session, NOW))
    assert [(check.what, check.fatal) for check in found] == [
        (f"no {kind} is running while 1 campaigns run", True) for kind in ("scheduler", "worker", "web")
    ]
    for kind in ("scheduler", "worker", "web"):
        beat(session, kind)
    assert faults(doctor_rows.check_processes(session, NOW)) == {}


def test_a_process_that_died_without_a_word_is_named(session: Session) -> None:
    for kind in ("scheduler", "web"):
        beat(session, kind)
    beat(session, "worker", NOW - timedelta(minutes=1))
    found = faults(doctor_rows.check_processes(session, NOW))
    assert any("worker:host:0 was last heard of at 08:59:00 UTC" in what for what in found)
    assert "no worker is running" in found


def test_a_running_campaign_must_be_led(session: Session) -> None:
    campaign = factories.campaign(session, name="spring")
    factories.agent(session, campaign)
    factories.contact(session, campaign)
    assert "campaign spring runs, but nobody leads it" in faults(doctor_rows.check_campaigns(session, NOW))
    leases.claim(session, [f"campaign:{campaign.id}"], "host:1", 60)
    session.flush()
    assert faults(doctor_rows.check_campaigns(session, NOW)) == {}
    campaign.state = "paused"
    session.flush()
    assert list(doctor_rows.check_campaigns(session, NOW)) == []


def event(session: Session, age: float, *, handled: bool = True, trouble: str = "") -> None:
    at = NOW - timedelta(seconds=age)
    session.add(
        LoggedEvent(
            pbx="main", received_at=at, method="GET", query="", handled_at=at if handled else None, trouble=trouble
        )
    )
    session.flush()


def test_events_that_nobody_handles_are_a_fault_and_those_that_never_came_a_warning(session: Session) -> None:
    found = list(doctor_rows.check_events(session, NOW, ["main"], "http://127.0.0.1:8080"))
    assert [(check.what, check.fatal) for check in found if not check.ok] == [
        ("no event has ever come from PBX main", False)
    ]
    event(session, 3)
    assert faults(doctor_rows.check_events(session, NOW, ["main"], "http://127.0.0.1:8080")) == {}
    event(session, 60, handled=False)
    event(session, 30, handled=False)
    assert list(faults(doctor_rows.check_events(session, NOW, ["main"], "http://127.0.0.1:8080"))) == [
        "2 events are not handled, the oldest for 60 s"
    ]


def test_calls_that_bring_no_event_are_a_fault(session: Session) -> None:
    event(session, 300)
    factories.attempt(session, state=CallState.LOST, sent_at=NOW - timedelta(seconds=120), ended_at=NOW)
    (what,) = faults(doctor_rows.check_events(session, NOW, ["main"], "http://127.0.0.1:8080"))
    assert "before the last call was ordered" in what


def test_events_that_could_not_be_used_are_counted_with_the_newest_reason(session: Session) -> None:
    event(session, 50, trouble="no extid")
    event(session, 40, trouble="unknown event dance")
    (what,) = faults(doctor_rows.check_events(session, NOW, ["main"], "http://127.0.0.1:8080"))
    assert what == "2 events of the last hour could not be used; the newest: unknown event dance"


def imported(session: Session, state: str, age: float) -> None:
    campaign = factories.campaign(session)
    session.add(
        Import(
            campaign_id=campaign.id, file_name="list.csv", stored_path="x", sha256="x", kind="contacts", state=state,
            created_at=NOW - timedelta(seconds=age),
        )
    )  # fmt: skip
    session.flush()


def test_an_import_that_stands_still_is_named(session: Session) -> None:
    imported(session, "waiting", 10)
    imported(session, "done", 1000)
    assert faults(doctor_rows.check_imports(session, NOW)) == {}
    imported(session, "running", 90)
    (what,) = faults(doctor_rows.check_imports(session, NOW))
    assert "of list.csv is running and was last heard of at 08:58:30 UTC" in what


def test_lines_and_agents_read_too_long_ago_are_told(session: Session, application: Application) -> None:
    application = replace(application, settings=Settings(pbx={"main": section()}))
    factories.campaign(session)
    (what,) = faults(doctor_rows.check_pbx_reads(session, NOW, application))
    assert what == "lines and agents of PBX main were read never"
    session.add(PbxStatus(pbx="main", read_at=NOW - timedelta(minutes=2), trouble="no answer"))
    session.flush()
    (what,) = faults(doctor_rows.check_pbx_reads(session, NOW, application))
    assert what == "lines and agents of PBX main were read last at 08:58:00 UTC: no answer"


def test_orders_that_wait_are_told(session: Session) -> None:
    assert faults(doctor_rows.check_commands(session, NOW)) == {}
    factories.attempt(session, state=CallState.ORDERED, not_after=NOW - timedelta(seconds=30))
    assert list(faults(doctor_rows.check_commands(session, NOW))) == [
        "1 orders and 0 commands wait to be sent to a PBX"
    ]


def test_a_database_that_forgets_in_a_crash_is_a_fault(session: Session) -> None:
    session.execute(text("SET LOCAL synchronous_commit = off"))
    assert "PostgreSQL runs with synchronous_commit off" in faults(doctor_rows.check_durability(session))


# All of it -----------------------------------------------------------------------------------------------


@dataclass
class Answering:
    """A PBX for the doctor."""

    name: str = "main"
    trouble: Exception | None = None
    findings: list[Finding] = field(default_factory=lambda: [Finding(True, "it answers")])
    features: frozenset[Feature] = frozenset(Feature)
    closed: bool = False

    def gateways(self) -> list[Gateway]:
        if self.trouble:
            raise self.trouble
        return []

    def check(self) -> list[Finding]:
        return self.findings

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def pbx(monkeypatch: pytest.MonkeyPatch) -> Answering:
    made = Answering()
    monkeypatch.setattr(registry, "open_pbx", lambda *_, **__: made)
    return made


@pytest.fixture
def whole(application: Application, redis_url: str, tmp_path: Path) -> Application:
    settings = Settings.model_validate(
        {"data_dir": tmp_path, "redis": {"url": redis_url}, "pbx": {"main": section().model_dump()}}
    )
    return replace(application, settings=settings, clock=SystemClock())


def run(application: Application, **given: Any) -> list[Check]:
    @contextmanager
    def opened() -> Iterator[Application]:
        yield application

    values: dict[str, Any] = {"load_settings": lambda: application.settings, "open_application": opened}
    return list(examine(**{**values, **given}, environ={"T": "token", "W": STRONG}))


def test_a_sound_installation_is_well(whole: Application, pbx: Answering) -> None:
    checks = run(whole)
    # The test servers run without fsync, for speed; a machine's disk may be small.
    bad = [check.what for check in checks if not check.ok and check.fatal and "PostgreSQL runs with" not in check.what]
    assert bad == []
    assert {"machine", "settings", "redis", "PBX main", "database", "processes", "events", "imports"} <= {
        check.area for check in checks
    }
    assert pbx.closed


def test_wrong_settings_end_the_examination_with_every_wrong_value(whole: Application) -> None:
    def wrong() -> Settings:
        raise SettingsError("settings: 2 values are wrong\n  web.port: ...\n  log.level: ...")

    checks = run(whole, load_settings=wrong)
    assert [check.what for check in checks if not check.ok] == ["the settings are wrong"]
    assert "log.level" in checks[0].remedy
    assert verdict(checks) == 1


def test_each_service_that_is_away_is_told_and_the_others_are_still_looked_at(
    whole: Application, pbx: Answering
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers there
        port = taken.getsockname()[1]
        pbx.trouble = PbxUnavailable("main", "connection refused")
        settings = whole.settings.model_copy(
            update={"redis": whole.settings.redis.model_copy(update={"url": f"redis://:hunter2@127.0.0.1:{port}/0"})}
        )

        def no_database() -> AbstractContextManager[Application]:
            raise ServiceUnreachable("PostgreSQL cannot be reached: connection refused; check database.url")

        checks = run(whole, load_settings=lambda: settings, open_application=no_database)
    away = {check.area: check for check in checks if check.unreachable}
    assert set(away) == {"redis", "PBX main", "database"}
    assert all(check.remedy for check in away.values())
    assert "hunter2" not in str(checks)
    assert verdict(checks) == 6


def test_the_last_event_takes_the_place_of_the_adapters_doubt(whole: Application, session: Session) -> None:
    doubt = voispeed_check._webhook("main", section(), {"W": STRONG})
    assert not doubt.ok

    @contextmanager
    def opened() -> Iterator[Application]:
        yield whole

    (said,) = doctor.with_last_event("main", [doubt], opened)
    assert said.what == "no event has ever come from PBX main"
    assert "http://127.0.0.1:8080/webhooks/main/" in said.remedy
    event(session, 0)
    session.commit()
    (said,) = doctor.with_last_event("main", [doubt], opened)
    assert said.ok

    def away() -> AbstractContextManager[Application]:
        raise ServiceUnreachable("away")

    assert doctor.with_last_event("main", [doubt], away) == [doubt]


def test_a_pbx_without_its_token_is_told_once(whole: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: Any, **__: Any) -> None:
        raise SettingsError("pbx.main.token_env names the environment variable T, which is not set")

    monkeypatch.setattr(registry, "open_pbx", refuses)
    findings, trouble = doctor.pbx_findings("main", whole.settings, {"W": STRONG})
    assert trouble is None
    assert [finding.what for finding in findings if not finding.ok] == ["the PBX's token is missing"]


def test_an_unmigrated_database_is_told_how_to_be_mended(whole: Application, session: Session, pbx: Answering) -> None:
    schema.downgrade(whole.engine)
    checks = [check for check in run(whole) if check.area == "database" and not check.ok]
    assert [check.remedy for check in checks] == ["run `dialer db upgrade`"]
    assert datetime.now(UTC) - whole.clock.now() < timedelta(seconds=5)


def test_a_listener_is_needed_only_for_a_pbx_that_talks_by_websocket(session: Session) -> None:
    factories.campaign(session)
    for kind in ("scheduler", "worker", "web"):
        beat(session, kind)
    assert faults(doctor_rows.check_processes(session, NOW, ["voispeed"])) == {}
    found = faults(doctor_rows.check_processes(session, NOW, ["voispeed", "asterisk"]))
    assert list(found) == ["no listener is running while 1 campaigns run"]
    beat(session, "listener")
    assert faults(doctor_rows.check_processes(session, NOW, ["asterisk"])) == {}


def test_who_hears_no_event_is_sent_to_the_listener_or_to_the_webhook(session: Session) -> None:
    assert "/webhooks/main/" in doctor_rows.last_event(session, NOW, "main", "https://dialer.example").remedy
    by_stream = doctor_rows.last_event(session, NOW, "main", "https://dialer.example", streaming=True)
    assert "dialer listener" in by_stream.remedy
