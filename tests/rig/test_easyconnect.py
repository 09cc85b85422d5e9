"""A campaign on EasyConnect from its list to its dispositions: orders over HTTP, events through the real receiver."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from campaigns.application import Application
from dialer.pbx.registry import open_pbx
from dialer.settings import PbxSettings
from tests.pbx.agent_first_peer import Person
from tests.pbx.easyconnect_peer import EasyConnectPeer
from tests.rig import agent_first_kit as kit

NUMBERS = [f"+39063110{n:04}" for n in range(9)]


@pytest.fixture
def peer() -> Iterator[EasyConnectPeer]:
    peer = EasyConnectPeer()
    for n, number in enumerate(NUMBERS):
        if n % 3 == 0:
            peer.customers[number.removeprefix("+")] = Person(answers_after=None)
    yield peer
    peer.close()


def settings_of(peer: EasyConnectPeer, folder: Path, **extra: str) -> PbxSettings:
    (folder / "hook").write_text(kit.SECRET)
    return PbxSettings(
        kind="easyconnect",
        url=peer.url,
        token_env="KEY",
        webhook_secret_file=str(folder / "hook"),
        extra={"agents": "215=Anna, 216=Bert", **extra},
    )


@pytest.mark.parametrize("how", ["post", "get, swapped", "other ids, no word of answers"])
def test_a_list_is_called_and_disposed_of_and_nobody_is_rung_twice(
    application: Application, peer: EasyConnectPeer, tmp_path: Path, how: str
) -> None:
    peer.by_get, peer.swap, peer.other_ids = "get" in how, "swapped" in how, "other ids" in how
    peer.lost = frozenset({"answered"} if "no word" in how else set())
    settings = settings_of(peer, tmp_path, ringing_means="customer")
    pbx = open_pbx("main", settings, environ={"KEY": "key-2"})
    with kit.running(application, peer, pbx, settings) as (app, scheduler):
        result = kit.run(app, scheduler, peer, NUMBERS, seconds=40)
    pbx.close()
    assert result.rang == {number.removeprefix("+"): 1 for number in NUMBERS}
    assert result.states == {"completed": 6, "no_answer": 3}
    assert result.said == {"done": 6}
    assert (result.two_on_one, result.unhandled, result.troubles, peer.misdelivered) == (0, 0, [], 0)


def test_a_customer_whose_agent_was_away_is_called_for_another_and_has_lost_nothing(
    application: Application, peer: EasyConnectPeer, tmp_path: Path
) -> None:
    peer.agents["216"] = None
    settings = settings_of(peer, tmp_path, ringing_means="customer")
    pbx = open_pbx("main", settings, environ={"KEY": "key-1"})
    with kit.running(application, peer, pbx, settings) as (app, scheduler):
        result = kit.run(app, scheduler, peer, NUMBERS[1:3], seconds=25)
    pbx.close()
    assert result.rang == {number.removeprefix("+"): 1 for number in NUMBERS[1:3]}
    assert result.states == {"completed": 2, "no_agent": 1}, "the cap is one attempt, and it was not used up"
    assert result.agents["215"] == "ready"
