"""The simulated XC5, reached by the real adapter over HTTP, keeps the promises of every directory."""

import json
from base64 import b64encode
from collections.abc import Iterator

import pytest

from dialer.directory.base import Step, Wish
from dialer.directory.registry import open_directory
from tests.directory.conftest import ENVIRON, settings_for
from tests.directory.contract import DirectoryContract, Fault
from tests.directory.xc5_peer import PASSWORD, TENANT, USER, Xc5World, html, reply_lost, told
from tests.pbx import scripted
from tests.pbx.scripted import Line, Received, ScriptedServer

ECHO = f"Authorization: Basic {b64encode(f'{USER}:{PASSWORD}'.encode()).decode()} {PASSWORD}"
STEPS: dict[Fault, scripted.Step] = {
    Fault.CUT: scripted.cut,
    Fault.CUT_IN_THE_MIDDLE: scripted.cut_in_the_middle,
    Fault.SILENCE: scripted.silence,
    Fault.DRIP: scripted.drip,
    Fault.FLOOD: scripted.flood,
    Fault.SERVER_ERROR: told(500, [{"error": f"out of order {ECHO}"}]),
    Fault.HTML: html(200),
    Fault.TRUNCATED: told(200, b'[{"guid": "26DF146A", "username'),
    Fault.EMPTY: told(200, b""),
    Fault.DEEP: told(200, b"[" * 100_000),
    Fault.REDIRECT: told(301, b"", {"Location": "http://127.0.0.1:1/elsewhere"}),
    Fault.UNAUTHORISED: told(401, [{"error": f"authentication required {ECHO}"}]),
    Fault.FORBIDDEN: told(403, [{"error": "access denied"}]),
    Fault.PROXY_404: html(404),
    Fault.SLOW_DOWN: told(429, [{"error": "slow down"}]),
}


class Xc5Rig:
    """The adapter, and a simulated XC5 in a thread of its own."""

    faults = frozenset(Fault)
    secrets = (PASSWORD, PASSWORD.replace("/", "%2F"), b64encode(f"{USER}:{PASSWORD}".encode()).decode(), "kAn4ry")

    def __init__(self, server: ScriptedServer, world: Xc5World, patience: float) -> None:
        self.patience = patience
        self.directory = open_directory("office", settings_for(server, timeout=patience), environ=ENVIRON)
        self.world = world
        self._server = server

    def misbehave(self, fault: Fault, times: int | None = None) -> None:
        if fault is Fault.NOT_LISTENING:
            self._server.stop_listening()
            return
        step = reply_lost(self.world, "PUT", "DELETE") if fault is Fault.REPLY_LOST else STEPS[fault]
        left = [times if times is not None else 10**6]

        def now(line: Line, request: Received) -> None:
            left[0] -= 1
            (step if left[0] >= 0 else self.world.answer)(line, request)

        self._server.now = now

    def heal(self) -> None:
        self._server.now = self.world.answer

    def received(self) -> int:
        return len(self._server.requests)

    def changes(self) -> int:
        return sum(one.method not in ("GET", "OPTIONS") for one in self._server.requests)

    def book(self) -> list[str]:
        return list(self.world.book)

    def standing(self) -> object:
        shown = [
            *({k: v for k, v in one.items() if k != "guid"} for one in self.world.routes.values()),
            *self.world.numbers.values(),
            *self.world.accounts.values(),
        ]
        return sorted(json.dumps(one, sort_keys=True) for one in shown)

    def wish(self) -> Wish:
        members = (f"anna@{TENANT}", f"carla@{TENANT}")
        return Wish("spring", members, ("+6499290100", "+6499290555"), last="email:sales@example.net")

    def meddle(self, step: Step) -> None:
        for one in self.world.routes.values():
            if one.get("username") == step.request.body["username"]:
                one["ring_seconds"] = 99

    def add_to_group(self, wish: Wish) -> None:
        guid = self.world.find(f"{wish.group}@{TENANT}")
        self.world.routes["X"] = {"guid": "X", "account": guid, "order": "0", "destination": "6421555"}


class TestXc5OfShortLists(DirectoryContract):
    """Lists that tell guids and orders only, as the maker's document leaves open."""

    @pytest.fixture(autouse=True)
    def _without_faults(self, request: pytest.FixtureRequest) -> None:
        if hasattr(request.node, "callspec") and "fault" in request.node.callspec.params:
            pytest.skip("faults are met in the same way, whatever a list tells")

    @pytest.fixture
    def rig(self, server: ScriptedServer, world: Xc5World, patience: float) -> Iterator[Xc5Rig]:
        world.short_lists = True
        rig = Xc5Rig(server, world, patience)
        yield rig
        rig.directory.close()


class TestXc5(DirectoryContract):
    @pytest.fixture
    def rig(self, server: ScriptedServer, world: Xc5World, patience: float) -> Iterator[Xc5Rig]:
        rig = Xc5Rig(server, world, patience)
        yield rig
        rig.directory.close()
