"""A canary token goes in; every fault is provoked once at DEBUG; nothing that can be read afterwards has it."""

import io
import logging
import traceback
from collections.abc import Callable, Iterator
from types import TracebackType
from urllib.parse import quote

import pytest

from dialer.errors import DialerError, PbxRefused
from dialer.pbx.base import AgentOrder, CustomerOrder, WaitingLeg
from dialer.pbx.voispeed import VoispeedPbx
from dialer.pbx.voispeed_phonebook import Contact
from dialer.settings import PbxSettings
from tests.pbx import scripted
from tests.pbx.scripted import ScriptedServer, Step, reply
from tests.pbx.test_voispeed_contract import STEPS

CANARY = "kAn4ry+/=&geheim"
FORMS = (CANARY, quote(CANARY), quote(CANARY, safe=""), "kAn4ry", "geheim")
FAULTS: dict[str, Step | None] = {
    **{str(fault): step for fault, step in STEPS.items()},
    "none": scripted.usual,
    "not listening": None,
    "echo": scripted.echo,
    "echo page": scripted.echo_page,
    "echo 500": reply(f"<html>{CANARY} {quote(CANARY)}</html>", 500, "text/html"),
    "garbage": lambda line, _request: line.send(b"\x00\x01 not http \r\n\r\n" + CANARY.encode()),
    "bad header": lambda line, _request: line.send(f"HTTP/1.1 200 OK\r\n{CANARY}\r\n\r\n".encode()),
}
CALLS: dict[str, Callable[[VoispeedPbx], object]] = {
    "call_customer": lambda pbx: pbx.call_customer(CustomerOrder("1", "+390612345678", "4", "0210001000")),
    "call_agent": lambda pbx: pbx.call_agent(AgentOrder("1", "33", "233")),
    "join": lambda pbx: pbx.join(WaitingLeg("1", "2"), WaitingLeg("3", "4"), "33"),
    "hang_up": lambda pbx: pbx.hang_up("1"),
    "gateways": lambda pbx: pbx.gateways(),
    "users": lambda pbx: pbx.users(),
    "current_calls": lambda pbx: pbx.current_calls(),
    "import": lambda pbx: pbx.phonebook.phonebook_import_sync([Contact(name="Ada")]),
    "check": lambda pbx: pbx.check(),
    "bad number": lambda pbx: pbx.call_customer(CustomerOrder("1", "x", "4", "0210001000")),
    "stopped": lambda pbx: pbx.call_customer(
        CustomerOrder("1", "+390612345678", "4", "0210001000"), before_send=_too_late
    ),
}


class _TooLate(DialerError):
    pass


def _too_late() -> None:
    raise _TooLate("the order is too old")


@pytest.fixture
def everything_logged() -> Iterator[io.StringIO]:
    """All that any logger says at DEBUG, libraries included."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    loggers = [logging.getLogger(name) for name in (None, "httpx", "httpcore", "httpcore.http11", "stamina", "dialer")]
    before = [(logger, logger.level) for logger in loggers]
    loggers[0].addHandler(handler)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    yield written
    loggers[0].removeHandler(handler)
    for logger, level in before:
        logger.setLevel(level)


def told_by(error: BaseException | None, seen: set[int]) -> Iterator[str]:
    """Everything a log, an error report with local variables, or a debugger would print of an exception."""
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield str(error)
    yield repr(error)
    yield repr(vars(error))
    yield "".join(traceback.format_exception(error))
    yield from _locals(error.__traceback__)
    yield from told_by(error.__cause__, seen)
    yield from told_by(error.__context__, seen)


def _locals(tb: TracebackType | None) -> Iterator[str]:
    while tb is not None:
        # This test's own frames hold the canary on purpose.
        if "/tests/" not in tb.tb_frame.f_code.co_filename:
            for name, value in tb.tb_frame.f_locals.items():
                try:
                    yield f"{tb.tb_frame.f_code.co_qualname} {name}={value!r}"
                except Exception as exc:
                    yield type(exc).__name__
        tb = tb.tb_next


def found(text: str) -> list[str]:
    return [form for form in FORMS if form in text]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_canary_token_is_nowhere_after_every_fault(
    server: ScriptedServer,
    pbx_settings: PbxSettings,
    everything_logged: io.StringIO,
    capfd: pytest.CaptureFixture[str],
    fault: str,
) -> None:
    settings = pbx_settings.model_copy(update={"timeout": 0.3 if fault in ("silence", "drip") else 10.0})
    pbx = VoispeedPbx("main", settings, environ={"TOKEN": CANARY})
    step = FAULTS[fault]
    if step is None:
        server.stop_listening()
    else:
        server.now = step
    told: list[str] = [repr(pbx), repr(pbx.services), repr(vars(pbx.services))]
    for call in CALLS.values():
        try:
            told.append(repr(call(pbx)))
        except DialerError as exc:
            told.extend(told_by(exc, set()))
    pbx.close()
    if step is not None:
        assert any(request.params.get("token") == CANARY for request in server.requests), "the canary went in"
    logged = everything_logged.getvalue()
    assert "connect_tcp.started" in logged, "the logs were listening"
    captured = capfd.readouterr()
    for text in [*told, logged, captured.out, captured.err]:
        assert not found(text), text[:2000]


def test_phone_numbers_are_not_in_the_librarys_log(
    server: ScriptedServer, voispeed: VoispeedPbx, everything_logged: io.StringIO
) -> None:
    voispeed.call_customer(CustomerOrder("1", "+390612345678", "4", "0210001000"))
    logged = everything_logged.getvalue()
    assert "HTTP Request: GET" in logged
    assert "0612345678" not in logged


def test_a_wrong_number_is_shown_shortened(voispeed: VoispeedPbx) -> None:
    with pytest.raises(PbxRefused) as caught:
        voispeed.call_customer(CustomerOrder("1", "+39 0612345678", "4", "0210001000"))
    assert "0612345678" not in str(caught.value)
    assert "+39" in str(caught.value)
