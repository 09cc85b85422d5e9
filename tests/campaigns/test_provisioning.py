"""A campaign's group is set up once and taken back whole, whoever is killed between two lines."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns import provisioning
from campaigns.application import Application
from campaigns.models import DirectoryChange, Ledger
from campaigns.provisioning import Outcome
from dialer.clock import SystemClock
from dialer.directory.base import Directory, DirectoryRefused, DirectoryUnknown, Wish
from dialer.directory.xc5 import Xc5Directory
from dialer.errors import BadInput, NotFound, PbxError, TryAgainLater
from tests.directory.conftest import ENVIRON, settings_for
from tests.directory.xc5_peer import TENANT, Xc5World, reply_lost, serve, told
from tests.pbx.scripted import Line, Received, ScriptedServer

ANNA, CARLA, GROUP = f"anna@{TENANT}", f"carla@{TENANT}", f"spring@{TENANT}"
WISH = Wish("spring", (ANNA, CARLA), ("+6499290100", "+6499290555"), last="email:sales@example.net")
MADE = [
    f"created account {GROUP}",
    f"moved number 6499290100 to {GROUP}",
    f"created number 6499290555 at {GROUP}",
    f"created route 100 {ANNA}",
    f"created route 101 {CARLA}",
    "created route 200 email:sales@example.net",
]


@pytest.fixture
def world() -> Xc5World:
    made = Xc5World()
    made.agent("anna", "201")
    made.agent("carla", "203")
    made.number("6499290100")
    return made


@pytest.fixture
def server(world: Xc5World) -> Iterator[ScriptedServer]:
    running = serve(world)
    yield running
    running.close()


@pytest.fixture
def app(application: Application, server: ScriptedServer) -> Iterator[Application]:
    section = settings_for(server)
    office = Xc5Directory("office", section, environ=ENVIRON)
    settings = application.settings.model_copy(update={"directory": {"office": section}})
    yield replace(application, settings=settings, directories={"office": office}, clock=SystemClock())
    office.close()


def provision(app: Application, wish: Wish = WISH, **more: Any) -> dict[str, str]:
    seen: list[Outcome] = []
    steps = app.directory("office").plan(wish)
    done = provisioning.provision(app, "office", steps, label=wish.group, who="cli:anna", tell=seen.append, **more)
    assert done == seen
    return {one.what: one.end for one in seen}


def undo(app: Application, label: str = "spring", **more: Any) -> list[str]:
    seen: list[Outcome] = []
    provisioning.undo(app, "office", label, who="cli:anna", tell=seen.append, **more)
    return [one.end for one in seen]


def states(session: Session) -> list[str]:
    session.rollback()
    return list(session.scalars(select(DirectoryChange.state).order_by(DirectoryChange.id)))


def expire_claims(session: Session) -> None:
    """As if so long had passed that no request of a stopped run can be on its way."""
    session.execute(text("UPDATE directory_changes SET claimed_until = now() - interval '1 second' "
                         "WHERE claimed_until IS NOT NULL"))  # fmt: skip
    session.commit()


def standing(world: Xc5World) -> str:
    """Everything that is set up, without the guids of what was made."""
    kept = [*world.accounts.values(), *world.numbers.values()]
    routes = [
        {key: value for key, value in one.items() if key not in ("guid", "account")} for one in world.routes.values()
    ]
    return json.dumps(sorted(json.dumps(one, sort_keys=True) for one in [*kept, *routes]))


def changing(server: ScriptedServer) -> list[str]:
    return [one.method for one in server.requests if one.method not in ("GET", "OPTIONS")]


# As it should go ---------------------------------------------------------------------------------------------


def test_a_dry_run_shows_each_request_and_makes_none(
    app: Application, server: ScriptedServer, session: Session
) -> None:
    planned = provisioning.preview(app, "office", app.directory("office").plan(WISH))
    assert [one.end for one in planned] == ["make"] * 6
    assert [one.request.method for one in planned if one.request] == ["PUT"] * 6
    assert planned[3].request is not None
    assert planned[3].request.body["username"] == ANNA
    assert changing(server) == []
    assert states(session) == []


def test_what_is_missing_is_made_and_written_down(app: Application, world: Xc5World, session: Session) -> None:
    assert set(provision(app).values()) == {"made"}
    assert world.book == MADE
    rows = session.scalars(select(DirectoryChange).order_by(DirectoryChange.id)).all()
    assert [(row.state, row.who, row.claimed_until, bool(row.made_id)) for row in rows] == [
        ("made", "cli:anna", None, True)
    ] * 6
    assert not any("password" in row.record for row in rows)
    told = session.scalars(select(Ledger).where(Ledger.kind == "directory").order_by(Ledger.id)).all()
    assert [one.details["done"] for one in told] == ["made"] * 6


def test_a_second_run_sends_nothing(app: Application, world: Xc5World, server: ScriptedServer) -> None:
    provision(app)
    before = len(changing(server))
    assert set(provision(app).values()) == {"ours"}
    assert len(changing(server)) == before
    assert world.book == MADE


def test_a_wish_that_grew_adds_what_is_new(app: Application, world: Xc5World) -> None:
    provision(app, Wish("spring", (ANNA,)))
    assert sorted(provision(app, Wish("spring", (ANNA, CARLA))).values()) == ["made", "ours", "ours"]
    assert world.book[-1] == f"created route 101 {CARLA}"


def test_undo_takes_back_in_reverse_and_leaves_things_as_they_were(
    app: Application, world: Xc5World, server: ScriptedServer, session: Session
) -> None:
    before = standing(world)
    provision(app)
    sent = len(changing(server))
    assert undo(app, dry_run=True) == ["take back"] * 6
    assert len(changing(server)) == sent
    assert undo(app) == ["taken back"] * 6
    assert world.book[6:] == [
        "deleted route 200 email:sales@example.net",
        f"deleted route 101 {CARLA}",
        f"deleted route 100 {ANNA}",
        "deleted number 6499290555",
        "moved number 6499290100 to _unassigned.pool",
        f"deleted account {GROUP}",
    ]
    assert standing(world) == before
    assert states(session) == ["undone"] * 6
    with pytest.raises(NotFound, match="nothing on it was made from here"):
        undo(app)
    provision(app)  # and it can all be made again
    assert states(session) == [*["undone"] * 6, *["made"] * 6]


# What was there, and what others do ----------------------------------------------------------------------------


def test_a_group_of_somebody_else_s_is_not_touched_unless_asked(
    app: Application, world: Xc5World, session: Session
) -> None:
    world.account(GROUP)
    with pytest.raises(BadInput, match="was not made from here: choose another name with --group"):
        provision(app)
    assert (world.book, states(session)) == ([], [])
    assert provision(app, existing=True)[f"hunt group {GROUP}"] == "there"
    assert undo(app) == ["taken back"] * 5
    assert world.find(GROUP), "what was not made from here is never taken back"


def test_what_somebody_put_in_since_our_look_is_not_ours(app: Application, world: Xc5World, session: Session) -> None:
    office = app.directory("office")
    plan = office.plan

    def plan_then_somebody_else(wish: Wish) -> Any:
        steps = plan(wish)
        world.account(GROUP)
        return steps

    office.plan = plan_then_somebody_else  # type: ignore[method-assign]
    with pytest.raises(BadInput, match="was not made from here"):
        provision(app, Wish("spring", (ANNA,)))
    assert states(session) == ["not_ours"]
    assert world.book == [], "nobody is put into somebody else's group"


def test_what_was_changed_since_is_kept_and_told_and_so_is_its_group(
    app: Application, world: Xc5World, session: Session
) -> None:
    provision(app)
    next(one for one in world.routes.values() if one.get("username") == ANNA)["ring_seconds"] = 99
    assert undo(app) == ["taken back", "taken back", "kept", "taken back", "taken back", "kept"]
    assert [one["username"] for one in world.routes_of(GROUP)] == [ANNA]
    session.rollback()
    kept = session.scalars(select(DirectoryChange).where(DirectoryChange.state == "made")).all()
    assert any("ring_seconds is 99" in one.trouble for one in kept)
    assert any("still has 1 route" in one.trouble for one in kept)
    world.routes.clear()  # somebody removes it by hand, as told
    assert undo(app) == ["gone", "taken back"]
    assert not world.find(GROUP)


def test_what_was_removed_elsewhere_is_made_anew_with_a_row_of_its_own(
    app: Application, world: Xc5World, session: Session
) -> None:
    provision(app, Wish("spring", (ANNA,)))
    world.routes.clear()
    assert sorted(provision(app, Wish("spring", (ANNA,))).values()) == ["made", "ours"]
    assert states(session) == ["made", "gone", "made"]
    assert undo(app) == ["taken back"] * 2


# Half-way ------------------------------------------------------------------------------------------------------


def test_a_refusal_half_way_leaves_what_was_made_and_the_next_run_goes_on(
    app: Application, world: Xc5World, session: Session
) -> None:
    world.refuses["PUT route"] = (409, [{"error": "too many routes"}])
    with pytest.raises(DirectoryRefused, match="too many routes"):
        provision(app)
    assert states(session) == ["made", "made", "made", "refused"]
    world.refuses.clear()
    assert sorted(provision(app).values()) == ["made"] * 3 + ["ours"] * 3
    assert world.book == MADE


def test_a_half_made_thing_is_undone_as_well(app: Application, world: Xc5World) -> None:
    before = standing(world)
    world.refuses["PUT route"] = (409, [{"error": "too many routes"}])
    with pytest.raises(DirectoryRefused):
        provision(app)
    assert undo(app) == ["taken back"] * 3
    assert standing(world) == before


def test_replies_that_are_lost_are_looked_up(app: Application, world: Xc5World, server: ScriptedServer) -> None:
    before = standing(world)
    server.now = reply_lost(world, "PUT", "DELETE")
    assert set(provision(app).values()) == {"made"}
    assert world.book == MADE
    assert undo(app) == ["taken back"] * 6
    assert standing(world) == before


def test_a_request_that_may_be_on_its_way_is_waited_for_and_then_looked_for(
    app: Application, world: Xc5World, server: ScriptedServer, session: Session
) -> None:
    """The reply is lost, and so is everything after it: nobody may conclude that nothing was made."""

    def lost_then_dead(line: Line, request: Received) -> None:
        if request.method == "PUT":
            world._answer(request)
            server.now = told(403, [{"error": "access denied"}])
            line.keep = False
        else:
            world.answer(line, request)

    server.now = lost_then_dead
    with pytest.raises(DirectoryUnknown):
        provision(app)
    assert states(session) == ["sent"]
    server.now = world.answer
    with pytest.raises(TryAgainLater, match=r"may still be on the way: try again in \d+ s"):
        provision(app)
    with pytest.raises(TryAgainLater):
        undo(app)
    assert world.book == MADE[:1]
    expire_claims(session)
    assert set(provision(app).values()) == {"made"}
    assert world.book == MADE, "found, and not made twice"


def test_an_answer_that_tells_nothing_and_a_look_that_fails_stay_unknown(
    app: Application, world: Xc5World, server: ScriptedServer, session: Session
) -> None:
    def empty_then_dead(line: Line, request: Received) -> None:
        if request.method == "PUT":
            world._answer(request)
            server.now = told(403, [{"error": "access denied"}])
            told(200, b"")(line, request)
        else:
            world.answer(line, request)

    server.now = empty_then_dead
    with pytest.raises(DirectoryUnknown):
        provision(app)
    assert states(session) == ["sent"]


def test_a_run_that_was_held_up_sends_nothing(app: Application, world: Xc5World, session: Session) -> None:
    office = app.directory("office")
    look, late = office.look, LateClock()

    def look_and_be_held_up(step: Any) -> Any:
        late.now_later(3600)
        return look(step)

    office.look = look_and_be_held_up  # type: ignore[method-assign]
    with pytest.raises(TryAgainLater, match="held up for too long, so nothing was sent"):
        provision(replace(app, clock=late))
    assert (world.book, states(session)) == ([], ["sent"])


class LateClock(SystemClock):
    """The host's clock, some time later."""

    def __init__(self) -> None:
        self._later = 0.0

    def now_later(self, seconds: float) -> None:
        self._later += seconds

    def monotonic(self) -> float:
        return super().monotonic() + self._later


def test_two_at_once_make_each_thing_once(app: Application, world: Xc5World) -> None:
    ready, ends = threading.Barrier(2), []

    def run() -> None:
        ready.wait(60)
        try:
            provision(app)
            ends.append("done")
        except (TryAgainLater, PbxError) as exc:
            ends.append(type(exc).__name__)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(ends) == 2, "a run ended with an error that tells the caller something untrue"
    assert "done" in ends or ends == ["TryAgainLater"] * 2
    provision(app)
    assert sorted(world.book) == sorted(MADE)


def test_what_another_run_made_since_the_plan_is_ours_and_is_taken_back(
    app: Application, world: Xc5World, session: Session
) -> None:
    before = standing(world)
    office = app.directory("office")
    steps = office.plan(WISH)  # when nothing was there
    provision(app)

    done = provisioning.provision(app, "office", steps, label="spring", who="cli:carla", tell=lambda _: None)
    assert [one.end for one in done] == ["ours"] * 6
    assert (world.book, states(session)) == (MADE, ["made"] * 6)
    assert session.scalars(select(DirectoryChange.claimed_until)).all() == [None] * 6
    assert undo(app) == ["taken back"] * 6
    assert standing(world) == before


def test_a_look_that_fails_writes_off_nothing_that_another_run_made(
    app: Application, world: Xc5World, server: ScriptedServer, session: Session
) -> None:
    steps = app.directory("office").plan(WISH)
    provision(app)
    server.now = told(503, b"")
    with pytest.raises(PbxError):
        provisioning.provision(app, "office", steps, label="spring", who="cli:carla", tell=lambda _: None)
    assert states(session) == ["made"] * 6
    server.now = world.answer
    assert undo(app) == ["taken back"] * 6, "nobody waits for a claim that is given up"


# Killed ------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """What no line of ours catches: the process is gone."""


@dataclass
class Sword:
    """Kills at the n-th place at which anything outside is touched."""

    at: int
    seen: int = 0
    fell: bool = field(default=False)

    def pass_by(self) -> None:
        self.seen += 1
        if self.seen == self.at and not self.fell:
            self.fell = True
            raise Killed

    def over(self, act: Callable[..., Any]) -> Callable[..., Any]:
        def acted(*args: Any, **more: Any) -> Any:
            self.pass_by()
            told = act(*args, **more)
            self.pass_by()
            return told

        return acted


class UnderTheSword:
    """A directory whose process may die before and after every request."""

    def __init__(self, inner: Directory, sword: Sword) -> None:
        self.name, self.creates = inner.name, inner.creates
        self.plan, self.way_back = inner.plan, inner.way_back
        self.look, self.make, self.take_back = (sword.over(one) for one in (inner.look, inner.make, inner.take_back))


class MortalApplication(Application):
    sword: Sword

    @contextmanager
    def transaction(self, *, hurry: bool = False) -> Iterator[Session]:
        self.sword.pass_by()
        with super().transaction(hurry=hurry) as session:
            yield session
            self.sword.pass_by()
        self.sword.pass_by()


def mortal(app: Application, sword: Sword) -> Application:
    made = MortalApplication(
        settings=app.settings, engine=app.engine, sessions=app.sessions, clock=app.clock,
        directories={"office": UnderTheSword(app.directory("office"), sword)},  # type: ignore[dict-item]
    )  # fmt: skip
    made.sword = sword
    return made


def until_nothing_dies(act: Callable[[Sword], None], check: Callable[[], None]) -> int:
    """Die once at each place in turn, checking after each; returns how many places there are."""
    for at in range(1, 500):
        sword = Sword(at)
        try:
            act(sword)
        except Killed:
            check()
        else:
            return at - 1
    raise AssertionError("there is no end of places to die at")


SHORT = Wish("spring", (ANNA,), ("+6499290100",))


def test_killed_at_any_place_the_next_run_goes_on_and_doubles_nothing(
    app: Application, world: Xc5World, session: Session
) -> None:
    before = standing(world)

    def recover() -> None:
        expire_claims(session)
        provision(app, SHORT)
        expected = [MADE[0], MADE[1], MADE[3]]
        assert world.book == expected, "each thing once, in its order"
        undo(app)
        assert standing(world) == before
        world.book.clear()

    def act(sword: Sword) -> None:
        provision(mortal(app, sword), SHORT)

    assert until_nothing_dies(act, recover) > 20


def test_killed_at_any_place_undo_takes_back_all_that_was_made(
    app: Application, world: Xc5World, session: Session
) -> None:
    before = standing(world)

    def act(sword: Sword) -> None:
        provision(mortal(app, sword), SHORT)

    def recover() -> None:
        expire_claims(session)
        with_nothing_made = provisioning._open_rows(session, "office") == []
        session.rollback()
        if not with_nothing_made:
            undo(app)
        assert standing(world) == before
        assert not [state for state in states(session) if state in provisioning.OPEN]
        world.book.clear()

    assert until_nothing_dies(act, recover) > 20


def test_killed_while_taking_back_the_next_run_takes_back_the_rest(
    app: Application, world: Xc5World, session: Session
) -> None:
    before = standing(world)

    def act(sword: Sword) -> None:
        if not provisioning._open_rows(session, "office"):
            provision(app, SHORT)
        session.rollback()
        undo(mortal(app, sword))

    def recover() -> None:
        expire_claims(session)
        if provisioning._open_rows(session, "office"):
            session.rollback()
            undo(app)
        session.rollback()
        assert standing(world) == before

    assert until_nothing_dies(act, recover) > 20


RUN = """
import sys
from campaigns import provisioning
from campaigns.application import Application
from campaigns.db import engine_for, session_factory
from dialer.directory.base import Wish
from dialer.directory.registry import open_directory
from dialer.settings import DirectorySettings, Settings
section = DirectorySettings.model_validate_json(sys.argv[2])
engine = engine_for(sys.argv[1])
app = Application(Settings(directory={"office": section}), engine, session_factory(engine),
                  directories={"office": open_directory("office", section)})
steps = app.directory("office").plan(Wish("spring", (%r,), ("+6499290100",)))
provisioning.provision(
    app, "office", steps, label="spring", who="cli:anna", tell=lambda one: print(one.end, flush=True)
)
"""


@pytest.mark.parametrize("die_at", [1, 3])
def test_a_process_killed_for_real_while_its_request_is_answered(
    app: Application, world: Xc5World, session: Session, database_url: str, die_at: int
) -> None:
    children: list[subprocess.Popen[str]] = []

    def kill(_entry: str) -> None:
        if len(world.book) == die_at and children and children[0].poll() is None:
            os.kill(children[0].pid, signal.SIGKILL)
            children[0].wait(60)

    world.on_change = kill
    section = app.settings.directory["office"].model_dump_json()
    child = subprocess.Popen(
        [sys.executable, "-c", RUN % ANNA, database_url, section], env={**os.environ, **ENVIRON}, text=True,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    children.append(child)
    told, _ = child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL
    assert told.split() == ["made"] * (die_at - 1)
    assert states(session) == [*["made"] * (die_at - 1), "sent"]
    expire_claims(session)
    provision(app, SHORT)
    assert world.book == [MADE[0], MADE[1], MADE[3]]
    assert undo(app) == ["taken back"] * 3
