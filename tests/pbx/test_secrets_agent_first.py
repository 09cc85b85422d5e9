"""The key of a PBX that answers in JSON, in its query or in a header, is nowhere after every fault."""

import io
from pathlib import Path

import pytest

from dialer.errors import DialerError
from dialer.pbx.base import AgentFirstOrder, Pbx
from dialer.pbx.registry import open_pbx
from dialer.settings import PbxSettings
from tests.pbx.agent_first_peer import AgentFirstPeer
from tests.pbx.contract import Fault
from tests.pbx.easyconnect_peer import EasyConnectPeer
from tests.pbx.scripted import Step, echo_page, reply
from tests.pbx.test_easyconnect_contract import STEPS
from tests.pbx.test_secrets import CANARY, everything_logged, found, told_by  # noqa: F401 (the fixture)
from tests.pbx.voipline_peer import VoiplinePeer

FAULTS: dict[str, Step | None] = {
    **{str(fault): step for fault, step in STEPS.items()},
    "none": None,
    "not listening": None,
    "echo page": echo_page,
    "echo json": reply(f'{{"success": false, "status": "error", "message": "bad {CANARY}"}}', 200, "application/json"),
    "echo 500": reply(f"<html>{CANARY}</html>", 500, "text/html"),
    "bad header": lambda line, _request: line.send(f"HTTP/1.1 200 OK\r\n{CANARY}\r\n\r\n".encode()),
}
ORDER = AgentFirstOrder("f1", "215", "215", "+390612345678", "+390210001000")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", ["easyconnect", "voipline"])
def test_a_canary_key_is_nowhere_after_every_fault(
    kind: str,
    fault: str,
    everything_logged: io.StringIO,  # noqa: F811
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    peer: AgentFirstPeer = EasyConnectPeer(keys=(CANARY,)) if kind == "easyconnect" else VoiplinePeer(keys=(CANARY,))
    peer.extensions = ("215",)
    pbx = _opened(kind, peer, 0.3 if fault in (Fault.SILENCE, Fault.DRIP) else 10.0)
    step = FAULTS[fault]
    if step is not None:
        peer.server.now = step
    elif fault == "not listening":
        peer.server.stop_listening()
    told = [repr(pbx)]
    for call in (
        lambda: pbx.call_for_agent(ORDER),
        lambda: pbx.hang_up("5f0c"),
        lambda: pbx.check(),
    ):
        try:
            told.append(repr(call()))
        except DialerError as exc:
            told.extend(told_by(exc, set()))
    sent = [f"{request.params} {request.headers}" for request in peer.server.requests]
    pbx.close()
    peer.close()
    assert fault == "not listening" or any(CANARY in one for one in sent), "the canary went in"
    captured = capfd.readouterr()
    for text in [*told, everything_logged.getvalue(), captured.out, captured.err]:
        assert not found(text), text[:2000]


def _opened(kind: str, peer: AgentFirstPeer, timeout: float) -> Pbx:
    extra = {"agents": "215=Anna"} | ({"hang_up_path": "rcc/disconnectcall"} if kind == "easyconnect" else {})
    settings = PbxSettings(kind=kind, url=peer.url, token_env="KEY", timeout=timeout, extra=extra)  # type: ignore[arg-type, attr-defined]
    return open_pbx("main", settings, environ={"KEY": CANARY})
