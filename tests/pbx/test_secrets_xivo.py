"""Passwords and tokens of XiVO users are nowhere after every fault: logs, errors, reprs, what frames hold."""

import asyncio
import io

import pytest

from dialer.errors import DialerError
from dialer.pbx.base import AgentFirstOrder
from dialer.pbx.callback_lists import Word
from dialer.pbx.registry import open_pbx
from dialer.pbx.xivo import XivoPbx
from dialer.settings import PbxSettings
from tests.pbx import xuc_peer
from tests.pbx.contract import Fault
from tests.pbx.scripted import Step, echo_page, reply
from tests.pbx.test_secrets import CANARY, everything_logged, found, told_by  # noqa: F401 (the fixture)
from tests.pbx.test_xivo_contract import AFTER, BEFORE
from tests.pbx.xuc_lists import ALICE
from tests.pbx.xuc_peer import BOSS, XucPeer

ORDER = AgentFirstOrder("f1", "1015", "2015", "+390612345678", "+390210001000")
LOG_IN: dict[str, Step] = {
    **{str(fault): step for fault, step in BEFORE.items()},
    "echo page": echo_page,
    "echo json": reply(f'{{"error":"InvalidCredentials","message":"{CANARY}"}}', 403, "application/json"),
    "echo 500": reply(f"<html>{CANARY}</html>", 500, "text/html"),
    "half a token": reply(f'{{"login":"agent15","token":"{CANARY}', 200, "application/json"),
    "no token": reply(f'{{"tokens":"{CANARY}"}}', 200, "application/json"),
    "bad header": lambda line, _request: line.send(f"HTTP/1.1 200 OK\r\n{CANARY}\r\n\r\n".encode()),
}
COMMAND: dict[str, xuc_peer.Fault] = {
    **{str(fault): step for fault, step in AFTER.items()},
    "echo text": xuc_peer.says(f"<html>{CANARY}-agent15-2"),
    "echo error": xuc_peer.says(f'{{"msgType":"Error","ctiMessage":{{"Error":"{CANARY}-agent15-2"}}}}'),
}


@pytest.mark.parametrize("fault", ["none", "not listening", "token ended", "not logged on", *LOG_IN, *COMMAND])
def test_a_canary_is_nowhere_after_every_fault(
    fault: str,
    everything_logged: io.StringIO,  # noqa: F811
    capfd: pytest.CaptureFixture[str],
) -> None:
    peer = XucPeer(passwords=dict.fromkeys((BOSS, "agent15"), CANARY), token_word=CANARY)
    timeout = 0.3 if fault in (Fault.SILENCE, Fault.DRIP, "not logged on", "echo error") else 5.0
    settings = PbxSettings(
        kind="xivo",
        url=peer.url,
        user=BOSS,
        token_env="KEY",
        timeout=timeout,
        extra={
            "agents": "1015=agent15",
            "confirm_within": "0.5",  # most faults leave nothing to confirm
            "take_within": "0.3",
            "config_url": peer.url,
            "config_token_env": "KEY",
            "callback_lists": "Liste de test=spring",
        },
    )
    peer.lists.add()
    pbx = open_pbx("main", settings, environ={"KEY": CANARY})
    assert isinstance(pbx, XivoPbx)
    told = [repr(pbx), repr(vars(pbx)), repr(vars(pbx._wire))]
    if fault in LOG_IN:
        peer.server.now = LOG_IN[fault]
    elif fault in COMMAND:
        peer.fault = COMMAND[fault]
    elif fault == "token ended":
        pbx.users()
        peer.forget_tokens()
    elif fault == "not logged on":
        peer.told_on = False
    elif fault == "not listening":
        peer.server.stop_listening()
    for call in (
        lambda: pbx.call_for_agent(ORDER),
        lambda: pbx.hang_up("5f0c@1015"),
        lambda: pbx.check(),
        lambda: pbx.read_lists(),
        lambda: pbx.take_request(ALICE, "1015"),
        lambda: pbx.start_request(ORDER, ALICE, ticket=told.append),
        lambda: pbx.write_ticket("t1", ALICE, "1015", Word("Answered"), again=False),
        lambda: pbx.tell_agent("1015", "pause", phone="2015", reason="lunch"),
        lambda: pbx.read_figures(),
        lambda: pbx.send_csv("Liste de test", b"phoneNumber|mobilePhoneNumber"),
        lambda: asyncio.run(_listened(pbx)),
    ):
        try:
            told.append(repr(call()))
        except DialerError as exc:
            told.extend(told_by(exc, set()))
    told.append(repr(pbx._accounts._tokens))
    sent = [f"{request.params} {request.body!r}" for request in peer.server.requests]
    pbx.close()
    peer.close()
    assert fault == "not listening" or any(CANARY in one for one in sent), "the canary went in"
    captured = capfd.readouterr()
    for text in [*told, everything_logged.getvalue(), captured.out, captured.err]:
        assert not found(text), text[:2000]


async def _listened(pbx: XivoPbx) -> str:
    stream = await pbx.open_stream()
    await stream.close()
    return repr(stream)
