"""A campaign on VoIPLine from its list to its dispositions: orders over HTTP, events through the real receiver."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from campaigns.application import Application
from campaigns.models import Attempt, PaceDecision
from campaigns.pbx_requests import SharedBook
from dialer.pbx.registry import open_pbx
from dialer.settings import PbxSettings
from tests.pbx.agent_first_peer import Person
from tests.pbx.voipline_peer import VoiplinePeer
from tests.rig import agent_first_kit as kit

NUMBERS = [f"+39063110{n:04}" for n in range(9)]
ONCE = {number.removeprefix("+"): 1 for number in NUMBERS}


@pytest.fixture
def peer() -> Iterator[VoiplinePeer]:
    peer = VoiplinePeer()
    for n, number in enumerate(NUMBERS):
        if n % 3 == 0:
            peer.customers[number.removeprefix("+")] = Person(answers_after=None)
    yield peer
    peer.close()


def settings_of(peer: VoiplinePeer, folder: Path, **extra: str) -> PbxSettings:
    (folder / "hook").write_text(kit.SECRET)
    return PbxSettings(
        kind="voipline",
        url=peer.url,
        token_env="KEY",
        webhook_secret_file=str(folder / "hook"),
        extra={"agents": "1010=Ten, 1011=Bert", **extra},
    )


def dialled(
    application: Application, peer: VoiplinePeer, folder: Path, *, seconds: float = 40, **extra: str
) -> kit.Result:
    settings = settings_of(peer, folder, **extra)
    pbx = open_pbx("main", settings, environ={"KEY": "key-1"}, requests=SharedBook(application.engine))
    with kit.running(application, peer, pbx, settings) as (app, scheduler):
        result = kit.run(app, scheduler, peer, NUMBERS, seconds=seconds)
    pbx.close()
    assert (result.two_on_one, result.unhandled, result.troubles, peer.misdelivered) == (0, 0, [], 0)
    return result


@pytest.mark.parametrize("tells_ids", [True, False])
def test_a_list_is_called_and_disposed_of_and_nobody_is_rung_twice(
    application: Application, peer: VoiplinePeer, tmp_path: Path, tells_ids: bool
) -> None:
    peer.tells_ids = tells_ids
    peer.swap = not tells_ids
    result = dialled(application, peer, tmp_path)
    assert result.rang == ONCE
    assert result.states == {"completed": 6, "no_answer": 3}
    assert result.said == {"done": 6}


def test_what_the_webhooks_lose_the_history_tells_and_an_agent_who_was_away_cost_nobody(
    application: Application, peer: VoiplinePeer, tmp_path: Path
) -> None:
    peer.lost = frozenset({"agent rings", "answered", "ended"})
    peer.agents["1011"] = None
    peer.tells_ids = False
    two = NUMBERS[1:3]
    settings = settings_of(peer, tmp_path)
    pbx = open_pbx("main", settings, environ={"KEY": "key-1"}, requests=SharedBook(application.engine))
    with kit.running(application, peer, pbx, settings) as (app, scheduler):
        result = kit.run(app, scheduler, peer, two, seconds=45)
    pbx.close()
    assert result.states["completed"] == 2
    assert result.states["no_agent"] >= 1
    assert result.rang == {number.removeprefix("+"): 1 for number in two}


def test_the_account_is_never_asked_for_more_than_it_allows_and_the_pace_says_what_holds_it(
    application: Application, peer: VoiplinePeer, tmp_path: Path
) -> None:
    peer.most = 8
    result = dialled(application, peer, tmp_path, seconds=9, requests="8", kept_back="3", slow_below="0")
    assert peer.served.count("/call-to-number") == 5 == sum(result.rang.values())
    assert len(peer.server.requests) <= 8, "nothing was asked that the account would have refused"
    with application.transaction() as session:
        assert len(session.scalars(select(Attempt.id).where(Attempt.state != "expired")).all()) == 5
        last = session.scalars(select(PaceDecision).order_by(PaceDecision.id.desc())).first()
        assert last is not None
        assert last.why.startswith("0: ")
        assert "5 of the 8 requests that the account allows in 15 min are used, 3 are kept for reading" in last.why
