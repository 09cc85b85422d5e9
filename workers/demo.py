"""The demo: a sample campaign from its CSV file to its results, every process real, the PBX simulated.

The people are faster than life: ringing, talk and wrap-up are divided by the speed. The two seconds of the law,
the network and our own clocks stay as they are.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import httpx
from sqlalchemy import func, select

from campaigns import importing, lifecycle, roster
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.live import LiveState, live_state
from campaigns.models import Agent, AgentLeg, Attempt, Contact, Import
from dialer.errors import DialerError, ServiceUnreachable
from dialer.settings import Settings
from dialer.settings_reading import load_settings
from workers.demo_results import DemoResults, collect
from workers.ports import free_port
from workers.wiring import wire

CAMPAIGN = "demo"
PBX = "main"
RECEPTION, WAITING, ABANDON = 17, 18, 19
# After this long the campaign is stopped whether or not everybody was tried.
CALLING_LIMIT = 140.0
# After the last call, everything must have come to rest within this.
QUIET_LIMIT = 40.0
# Contacts tried again later than this are not waited for.
SOON = 20.0


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """What kind of demo."""

    contacts: Path
    folder: Path  # where the run keeps its data and leaves its results
    most: int | None = None
    agents: int = 20
    speed: float = 30.0
    seed: int = 1
    faults: str = ""
    answer_probability: float = 0.4
    lines: int | None = None  # None: three for each agent
    profile: str = "life"  # of the simulated call centre
    wrap_up_limit: float | None = None  # None: a minute, faster than life as everything else
    # Impatient, because the people are. None: the product's own.
    presence_poll: float | None = 0.5
    sweep: float | None = 1.0
    mode: str = "predictive"


@dataclass(frozen=True, slots=True)
class Progress:
    """What the live progress shows."""

    phase: str
    state: LiveState | None
    left: int = 0
    total: int = 0


Watch = Callable[[Progress], None]


def unwatched(_progress: Progress) -> None:
    """For runs that nobody looks at."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Every process of the product, running beside a simulated PBX."""

    application: Application
    book: "Book"
    dashboard: str
    redis_url: str


@contextmanager
def stage(plan: DemoPlan, watch: Watch) -> Iterator[Stage]:
    """Start everything and wait until it answers; everything ends with the block."""
    plan.folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        secrets_env = {"DEMO_PBX_TOKEN": secrets.token_hex(16), "DEMO_WEBHOOK_SECRET": secrets.token_hex(16)}
        web_port, pbx_port = free_port(), free_port()
        settings = _settings(plan, web_port, pbx_port)
        os.environ.update(secrets_env)
        dashboard = settings.web.address
        watch(Progress("starting PostgreSQL and Valkey", None))
        wired = stack.enter_context(wire(settings, process="demo"))
        env = {
            **os.environ,
            "DIALER_CONFIG": str(plan.folder / "demo.toml"),
            "DIALER_DATABASE_URL": wired.database_url,
            "DIALER_REDIS_URL": wired.redis_url,
        }
        # A data folder of the caller's own would win over the run's.
        env.pop("DIALER_DATA_DIR", None)
        watch(Progress("starting the simulated PBX, web, worker and scheduler", None))
        webhook = f"{dashboard}/webhooks/{PBX}/{secrets_env['DEMO_WEBHOOK_SECRET']}"
        stack.enter_context(_process(plan, "pbx", _simulator(plan, pbx_port, webhook, secrets_env), env))
        stack.enter_context(_process(plan, "up", [sys.executable, "-m", "workers.command", "up"], env))
        book = Book(f"http://127.0.0.1:{pbx_port}")
        _until(lambda: _answers(f"{dashboard}/readyz"), 60.0, "the web process did not come up", plan)
        _until(lambda: _answers(f"{book.address}/_control/state"), 60.0, "the simulated PBX did not come up", plan)
        yield Stage(wired.application, book, dashboard, wired.redis_url)


@contextmanager
def demo(plan: DemoPlan, watch: Watch) -> Iterator[tuple[DemoResults, str]]:
    """Run the demo to its results; the processes live on until the block ends. Yields results and dashboard."""
    with stage(plan, watch) as set_up:
        yield run_campaign(plan, set_up, watch), set_up.dashboard


def run_campaign(plan: DemoPlan, on: Stage, watch: Watch) -> DemoResults:
    """As a campaign manager would: create, import, start, look on, stop."""
    application, book = on.application, on.book
    create(plan, application)
    imported = import_contacts(plan, application, watch)
    if plan.most is not None:
        _keep(application, plan.most)
    with application.transaction() as session:
        started = database_now(session)
        lifecycle.start(session, CAMPAIGN, now=started, who="demo")
    samples = _look_on(application, imported.accepted, watch)
    with application.transaction() as session:
        lifecycle.stop(session, CAMPAIGN, now=database_now(session), who="demo")
    watch(Progress("coming to rest", None))
    ended = _come_to_rest(application, book)
    if imported.reject_file:  # the databases' folder is thrown away; what was rejected is worth a look
        shutil.copyfile(imported.reject_file, plan.folder / "rejected.csv")
    return collect(
        application,
        started=started,
        ended=ended,
        samples=samples,
        book=book.read(),
        imported={
            "rows": imported.rows,
            "accepted": imported.accepted,
            "rejected": imported.rejected,
            "duplicates": imported.duplicates,
            "reject_file": str(plan.folder / "rejected.csv") if imported.reject_file else None,
        },
    )


def create(plan: DemoPlan, application: Application) -> None:
    """Create the campaign for every agent of the PBX."""
    pbx = application.pbx(PBX)
    users = pbx.users()
    with application.transaction() as session:
        now = database_now(session)
        made = lifecycle.create(
            session,
            name=CAMPAIGN,
            pbx=PBX,
            features=pbx.features,
            caller_id="+390210001000",
            mode=plan.mode,
            country="IT",
            hours="always",
            max_attempts=2,
            number_gap=5.0,
            retry_delay=10.0,
            wrap_up_limit=plan.wrap_up_limit or max(2.0, 60.0 / plan.speed),
            now=now,
            who="demo",
        )
        roster.assign(session, made, roster.parse("group:Sales"), users, now=now, who="demo")


def import_contacts(plan: DemoPlan, application: Application, watch: Watch) -> Import:
    """Import the file as a background job of a worker, and wait for it."""
    with application.transaction() as session, plan.contacts.open("rb") as source:
        made = importing.submit_import(
            session,
            campaign=lifecycle.get(session, CAMPAIGN),
            source=source,
            file_name=plan.contacts.name,
            kind="contacts",
            data_dir=application.data_dir,
            now=database_now(session),
            who="demo",
        )
        import_id = made.id
    application.doorbell.run_import(import_id)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with application.transaction() as session:
            row = session.get_one(Import, import_id)
            if row.state == "failed":
                raise DialerError(f"the import of {plan.contacts} failed: {row.error}")
            if row.state == "done":
                return row
        watch(Progress(f"importing {plan.contacts.name}", None))
        time.sleep(0.1)
    raise ServiceUnreachable("no worker took the import up; read the log in the demo's folder")


def _keep(application: Application, most: int) -> None:
    """Close all but the first `most` contacts: `--contacts 100`."""
    with application.transaction() as session:
        kept = select(Contact.id).order_by(Contact.id).limit(most)
        for contact in session.scalars(select(Contact).where(Contact.id.not_in(kept))):
            contact.state, contact.next_at, contact.closed_because = "closed", None, "not part of this demo"


def _look_on(application: Application, total: int, watch: Watch) -> list[dict[str, float]]:
    """Show how it goes until nobody is left to call; returns a sample of the live figures for each moment."""
    begun = time.monotonic()
    samples: list[dict[str, float]] = []
    while time.monotonic() - begun < CALLING_LIMIT:
        with application.transaction() as session:
            now = database_now(session)
            state = live_state(session, now, CAMPAIGN)
            left = session.scalar(
                select(func.count())
                .select_from(Contact)
                .where(
                    (Contact.state == "live")
                    | ((Contact.state == "open") & (Contact.next_at < now + timedelta(seconds=SOON)))
                )
            )
            open_calls = session.scalar(select(func.count()).select_from(Attempt).where(Attempt.ended_at.is_(None)))
        samples.append(_sample(time.monotonic() - begun, state))
        watch(Progress("calling", state, left=int(left or 0), total=total))
        if not left and not open_calls:
            break
        time.sleep(0.25)
    return samples


def _sample(at: float, state: LiveState) -> dict[str, float]:
    one = state.campaigns[0]
    return {
        "at": round(at, 2),
        "talking": one.calls.talking,
        "ringing": one.calls.ringing + one.calls.ordered,
        "waiting": one.calls.waiting,
        "message": one.calls.message,
        "parked": one.agents.by_state.get("parked", 0),
        "wrap_up": one.agents.by_state.get("wrap_up", 0),
        "abandoned": one.today.abandoned,
        "met": one.today.met,
        "rate": one.abandonment.rate,
        "left": one.contacts.open + one.contacts.live,
    }


def _come_to_rest(application: Application, book: "Book") -> datetime:
    """Wait until every call has ended and every agent is off the line; gives up after a while, and says so later."""
    end = time.monotonic() + QUIET_LIMIT
    with application.transaction() as session:
        last = database_now(session)
    while time.monotonic() < end:
        with application.transaction() as session:
            open_rows = sum(
                session.scalar(select(func.count()).select_from(table).where(table.ended_at.is_(None))) or 0
                for table in (Attempt, AgentLeg)
            )
            busy = session.scalar(
                select(func.count())
                .select_from(Agent)
                .where(Agent.state.in_(("parking", "parked", "assigned", "talking")))
            )
        if not open_rows and not busy and not book.communications():
            break
        time.sleep(0.25)
    return last


class Book:
    """The simulated PBX's own record: the judge of the run."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._client = httpx.Client(base_url=address, timeout=10.0, trust_env=False)

    def read(self) -> dict[str, object]:
        found: dict[str, object] = self._client.get("/_control/book").json()
        return found

    def tell(self, what: str, told: Mapping[str, object]) -> None:
        """Change the simulated PBX while it runs, for example its faults."""
        self._client.post(f"/_control/{what}", json=told).raise_for_status()

    def communications(self) -> int:
        state = self._client.get("/_control/state").json()
        return int(state["communications"])


def _settings(plan: DemoPlan, web_port: int, pbx_port: int) -> Settings:
    told = {"presence_poll": plan.presence_poll, "sweep": plan.sweep}
    timing = "\n".join(f"{name} = {seconds}" for name, seconds in told.items() if seconds is not None)
    (plan.folder / "demo.toml").write_text(
        f"""data_dir = {json.dumps(str(plan.folder / "data"))}

[web]
port = {web_port}

[log]
level = "INFO"
format = "json"

[timing]
{timing}

[pbx.{PBX}]
kind = "voispeed"
url = "http://127.0.0.1:{pbx_port}/PBX/seri_endpoint.php"
token_env = "DEMO_PBX_TOKEN"
webhook_secret_env = "DEMO_WEBHOOK_SECRET"
reception_ivr = {RECEPTION}
waiting_ivr = {WAITING}
abandon_ivr = {ABANDON}
timeout = 2.0
""",
        encoding="utf-8",
    )
    return load_settings(plan.folder / "demo.toml", {})


def _simulator(plan: DemoPlan, port: int, webhook: str, given: dict[str, str]) -> list[str]:
    return [
        *(sys.executable, "-m", "workers.command", "pbx", "simulator"),
        *("--port", str(port), "--webhook-url", webhook, "--token", given["DEMO_PBX_TOKEN"]),
        *("--agents", str(plan.agents), "--lines", str(plan.lines or max(10, plan.agents * 3))),
        *("--speed", str(plan.speed), "--seed", str(plan.seed), "--faults", plan.faults),
        *("--answer-probability", str(plan.answer_probability), "--profile", plan.profile),
    ]


@contextmanager
def _process(plan: DemoPlan, name: str, argv: list[str], env: dict[str, str]) -> Iterator[None]:
    """A process in a session of its own, its output in a file, ended with the block."""
    with (plan.folder / f"{name}.log").open("wb") as log:
        child = subprocess.Popen(  # noqa: S603
            argv, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield
        finally:
            child.terminate()
            try:
                child.wait(timeout=15)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


@cache
def _asking() -> httpx.Client:
    """What asks again and again whether somebody is up: a new one each time would load every authority there is."""
    return httpx.Client(timeout=2.0, trust_env=False)


def _answers(url: str) -> bool:
    try:
        return _asking().get(url).status_code == 200
    except httpx.TransportError:
        return False


def _until(condition: Callable[[], bool], within: float, trouble: str, plan: DemoPlan) -> None:
    end = time.monotonic() + within
    while not condition():
        if time.monotonic() > end:
            raise ServiceUnreachable(f"{trouble}; read {plan.folder}/*.log")
        time.sleep(0.05)


def forget_data(folder: Path) -> None:
    """Delete the run's databases; its results and logs stay."""
    shutil.rmtree(folder / "data", ignore_errors=True)
