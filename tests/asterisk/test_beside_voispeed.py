"""One campaign through a real Asterisk and a VOIspeed beside it: two makers, one list, one team.

The VOIspeed is the simulated one, over real HTTP. Each customer must meet an agent of the PBX their call is on, nobody
may be rung through both, and the judges are the telephones' log and the simulator's book.
"""

import os
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text

from campaigns.models import Attempt
from tests.asterisk import kit
from tests.asterisk.kit import Between
from tests.asterisk.real_pbx import RealPbx
from tests.asterisk.test_real_calls import long_form
from workers import demo
from workers.ports import free_port

pytestmark = [pytest.mark.asterisk, pytest.mark.timeout(400)]

AGENTS = "main/agent1001,main/agent1002,main/agent1003,main/agent1004,second/all"
ACROSS = text(
    "SELECT count(*) FROM assignments s JOIN attempts t ON t.id = s.attempt_id JOIN agent_legs l ON l.id = s.leg_id "
    "WHERE l.pbx <> t.pbx"
)


@dataclass(frozen=True)
class Beside:
    """The dialer, and the book of the VOIspeed beside the Asterisk."""

    on: kit.Running
    books: demo.Book

    def voispeed(self) -> dict[str, Any]:
        return dict(self.books._client.get("/_control/book", params={"calls": "1"}).json())

    def joined(self) -> Counter[str]:
        return self._count(Attempt.joined_at.is_not(None))

    def sent(self, seconds: float) -> Counter[str]:
        """Orders of the last so many seconds, by PBX."""
        return self._count(Attempt.sent_at > func.clock_timestamp() - text(f"interval '{seconds} s'"))

    def _count(self, condition: Any) -> Counter[str]:
        query = select(Attempt.pbx, func.count()).where(condition).group_by(Attempt.pbx)
        with self.on.application.transaction() as session:
            return Counter({row[0]: row[1] for row in session.execute(query)})


@contextmanager
def beside(
    pbx: RealPbx, folder: Path, monkeypatch: pytest.MonkeyPatch, *, port: int | None = None, timing: str = ""
) -> Iterator[Beside]:
    """Everything running."""
    given = {"DEMO_PBX_TOKEN": secrets.token_hex(16), "DEMO_WEBHOOK_SECRET": secrets.token_hex(16)}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    voispeed = free_port()
    extra = f"""
[pbx.second]
kind = "voispeed"
url = "http://127.0.0.1:{voispeed}/PBX/seri_endpoint.php"
token_env = "DEMO_PBX_TOKEN"
webhook_secret_env = "DEMO_WEBHOOK_SECRET"
reception_ivr = {demo.RECEPTION}
waiting_ivr = {demo.WAITING}
abandon_ivr = {demo.ABANDON}
timeout = 2.0
"""
    plan = demo.DemoPlan(contacts=folder / "none", folder=folder, agents=4, speed=30.0, answer_probability=0.6)
    web = free_port()
    webhook = f"http://127.0.0.1:{web}/webhooks/second/{given['DEMO_WEBHOOK_SECRET']}"
    address = f"http://127.0.0.1:{voispeed}"
    with ExitStack() as stack:
        argv = demo._simulator(plan, voispeed, webhook, given)
        stack.enter_context(demo._process(plan, "voispeed", argv, dict(os.environ)))
        demo._until(lambda: demo._answers(f"{address}/_control/state"), 60.0, "no VOIspeed", plan)
        on = stack.enter_context(kit.dialer(pbx, folder, web_port=web, port=port, extra=extra, timing=timing))
        yield Beside(on, demo.Book(address))


def judge(run: Beside, pbx: RealPbx, before: int, numbers: list[str], *, missed: int = 0) -> None:
    """What holds after every such run; of some calls the end may have been missed."""
    left = kit.rest(run.on, pbx)
    ours, theirs = kit.compared(run.on, pbx, before)
    book = run.voispeed()
    rang = Counter({number: len(words) for number, words in theirs.items()})
    rang.update(str(call["number"]).lstrip("+0") for call in book["call_list"])
    with run.on.application.transaction() as session:
        across = session.scalar(ACROSS)
    assert left == {}
    kit.only_what_was_missed(ours, theirs, most=missed)
    assert across == 0
    assert {number: times for number, times in rang.items() if times > 1} == {}
    assert set(rang) <= {number.removeprefix("+") for number in numbers}
    assert (book["double_dials"], book["silent_calls"], book["two_on_one"]) == (0, 0, 0)


def test_two_makers_share_a_list_and_a_team(real_pbx: RealPbx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = kit.numbers(24, endings=("98", "98", "91"))
    with beside(real_pbx, tmp_path, monkeypatch) as run:
        before = real_pbx.told_so_far()
        kit.start(run.on, numbers, mode="progressive", agents=AGENTS, beside=["second"])
        kit.look_on(run.on, 180)
        judge(run, real_pbx, before, numbers)
        with run.on.application.transaction() as session:
            assert session.scalar(select(func.count()).select_from(Attempt)) == len(numbers)
        assert min(run.joined()["main"], run.joined()["second"]) >= 3, run.joined()


@long_form
def test_an_asterisk_that_cannot_be_reached_leaves_its_share_to_the_voispeed(
    real_pbx: RealPbx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = kit.numbers(120, endings=("98", "98", "91"), first=200)
    wire = Between(real_pbx.http_port)
    meanwhile: list[Counter[str]] = []
    cut: list[float] = []

    def mischief(at: float) -> None:
        if not cut and min(run.joined()["main"], run.joined()["second"]) >= 1:
            wire.cut(14)
            cut.append(at)
        elif cut and cut[0] + 9 < at < cut[0] + 13:
            meanwhile.append(run.sent(4.0))

    timing = "failover_after = 1.5\nfailback_after = 3.0\nunknown_cool_down = 10.0"
    try:
        with beside(real_pbx, tmp_path, monkeypatch, port=wire.port, timing=timing) as run:
            before = real_pbx.told_so_far()
            kit.start(run.on, numbers, mode="progressive", agents=AGENTS, beside=["second"])
            kit.look_on(run.on, 240, mischief)
            judge(run, real_pbx, before, numbers, missed=20)
            after = run.sent(3600)
    finally:
        wire.close()
    assert meanwhile
    assert all(found["main"] == 0 for found in meanwhile), "no order goes to a PBX that is away"
    assert any(found["second"] for found in meanwhile), "and the other goes on"
    assert min(after["main"], after["second"]) > 10
