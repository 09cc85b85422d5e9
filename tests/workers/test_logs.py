"""Canary secrets go into every kind of log line and must not come out of any."""

import io
import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from urllib.parse import quote, quote_plus

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from dialer.settings import LogSettings
from workers.logs import configure_logging, register_secret
from workers.redaction import STARS, escape, redact

FORMATS = ("json", "console")
Lines = Callable[[str], "io.StringIO"]


@pytest.fixture(scope="module", autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level, sys.excepthook, threading.excepthook, sys.unraisablehook, sys.stderr
    yield
    root.handlers[:], level, sys.excepthook, threading.excepthook, sys.unraisablehook, sys.stderr = before
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    """Log in a format, to the text returned."""

    def begin(how: str, level: str = "DEBUG") -> io.StringIO:
        written = io.StringIO()
        monkeypatch.setattr(sys, "stderr", written)
        configure_logging(LogSettings(level=level, format=how), "test")  # type: ignore[arg-type]
        return written

    return begin


def fail(text: str) -> None:
    raise ValueError(f"cause {text}")


class Revealing:
    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"<Revealing {self.text}>"


def log_everywhere(canary: str) -> None:
    """Every way in which a text can get into a log line."""
    ours, theirs = structlog.get_logger("ours"), logging.getLogger("some.library")
    ours.info(f"message {canary}", value=canary, url=f"https://pbx.example/x?y={canary}&z=1")
    ours.warning("nested", value={"list": [canary, (canary,)], canary: {"deep": canary}}, thing=Revealing(canary))
    ours.info("in bytes", value=canary.encode("utf-8", "replace"), error=ValueError(canary), text=repr(canary))
    ours.bind(bound=canary).error("bound")
    theirs.info("message %s and %r", canary, canary)
    theirs.warning("mapping %(a)s", {"a": canary})
    theirs.error("extra", extra={"field": canary, "other": [canary], "level": canary, "timestamp": canary})
    ours.info("fields of ours", level=canary, timestamp=canary, logger=canary)
    theirs.error("arguments that do not fit %s %s", canary)
    theirs.info("quoted %s %s", quote(canary), json.dumps({"a": canary}))
    theirs.info("form %s", quote_plus(canary))
    theirs.debug("stack", stack_info=True)
    for log in (ours, theirs):
        try:
            try:
                fail(canary)
            except ValueError as exc:
                raise RuntimeError(f"effect {canary}") from exc
        except RuntimeError:
            log.exception(f"failed with {canary}")
    logging.getLogger("py.warnings").warning("%s", f"UserWarning: warned {canary}")
    thread = threading.Thread(target=fail, args=(canary,))
    thread.start()
    thread.join()
    try:
        fail(canary)
    except ValueError as exc:
        sys.excepthook(ValueError, exc, exc.__traceback__)


SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=8, max_size=40)


@pytest.mark.parametrize("how", FORMATS)
@settings(max_examples=40, deadline=None)
@given(middle=SECRETS)
def test_a_registered_secret_comes_out_of_no_log_line(how: str, middle: str) -> None:
    canary = f"Q{middle}Z"
    with pytest.MonkeyPatch.context() as patch:
        written = io.StringIO()
        patch.setattr(sys, "stderr", written)
        configure_logging(LogSettings(level="DEBUG", format=how), "test")  # type: ignore[arg-type]
        register_secret(SecretStr(canary))
        log_everywhere(canary)
        text = written.getvalue()
    forms = {canary, escape(canary), quote(canary), quote(canary, safe=""), quote_plus(canary)}
    forms |= {json.dumps(canary)[1:-1], json.dumps(canary, ensure_ascii=False)[1:-1], repr(canary)[1:-1]}
    assert not [form for form in forms if form in text]
    assert text.count(STARS) >= 20
    if how == "json":
        assert all(json.loads(line) for line in text.splitlines())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET /PBX/x.php?token=abc123&user=7", f"GET /PBX/x.php?token={STARS}&user=7"),
        ("TOKEN=abc123", f"TOKEN={STARS}"),
        ("?apikey=k-1;next", f"?apikey={STARS};next"),
        ("?api_key=k", f"?api_key={STARS}"),
        ("access_token=k", f"access_token={STARS}"),
        ("password = 'two words', x", f"password = {STARS}, x"),
        ('{"password": "p\\"q", "user": 7}', f'{{"password": "{STARS}", "user": 7}}'),
        ("{'token': 'abc'}", f"{{'token': \"{STARS}\"}}"),
        ("POST /webhooks/main/abcDEF-_1?x=1", f"POST /webhooks/main/{STARS}?x=1"),
        ("http://h:1/webhooks/main/abc/ HTTP/1.1", f"http://h:1/webhooks/main/{STARS}/ HTTP/1.1"),
        ("GET /ivr/main/abc?node=3", f"GET /ivr/main/{STARS}?node=3"),
        ("'/webhooks/main/abc'", f"'/webhooks/main/{STARS}'"),
        ("Authorization: Bearer abcdefghij", f"Authorization: Bearer {STARS}"),
        ("postgresql://dialer:pa:ss@127.0.0.1/dialer", f"postgresql://dialer:{STARS}@127.0.0.1/dialer"),
        ("redis://:secret@127.0.0.1:6379/0", f"redis://:{STARS}@127.0.0.1:6379/0"),
        ("the token of PBX main is wrong", "the token of PBX main is wrong"),
        ("see http://127.0.0.1:8080/campaigns/7", "see http://127.0.0.1:8080/campaigns/7"),
        ("campaign=spring agents=20", "campaign=spring agents=20"),
    ],
)
def test_what_has_the_shape_of_a_secret_is_starred_and_the_rest_is_left(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert redact(shown) == shown


@pytest.mark.parametrize("how", FORMATS)
def test_a_field_named_like_a_secret_is_starred_whatever_it_holds(how: str, lines: Lines) -> None:
    written = lines(how)
    structlog.get_logger("ours").info("told", token="k", webhook_secret="s3", nested={"password": "p4"}, tokens=5)
    assert "k" not in written.getvalue().split("token")[1][:6]
    assert "s3" not in written.getvalue()
    assert "p4" not in written.getvalue()
    assert "5" in written.getvalue()


@pytest.mark.parametrize("how", FORMATS)
@settings(max_examples=60, deadline=None)
@given(foreign=st.text(min_size=1, max_size=60))
def test_foreign_text_stays_on_its_line_and_brings_no_control_characters(how: str, foreign: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        written = io.StringIO()
        patch.setattr(sys, "stderr", written)
        configure_logging(LogSettings(format=how), "test")  # type: ignore[arg-type]
        structlog.get_logger("ours").info("heard", text=foreign)
        logging.getLogger("theirs").warning("heard %s", foreign)
        text = written.getvalue()
    assert text.count("\n") == 2
    assert len(text.splitlines()) == 2
    assert not [char for char in text if char != "\n" and escape(char) != char]


def test_an_exception_s_message_cannot_pass_for_a_line_of_ours(lines: Lines) -> None:
    written = lines("console")
    forged = "2026-01-01T00:00:00Z [info     ] all is well"
    try:
        fail(f"x\n{forged}\x1b[31m")
    except ValueError:
        structlog.get_logger("ours").exception("failed")
    assert not [line for line in written.getvalue().splitlines() if line.startswith(forged)]
    assert "\x1b" not in written.getvalue()


def test_each_json_line_says_when_who_and_what(lines: Lines) -> None:
    written = lines("json")
    structlog.get_logger("ours").info("order placed", attempt=4711)
    logging.getLogger("theirs").warning("slow: %d ms", 12)
    ours, theirs = map(json.loads, written.getvalue().splitlines())
    assert (ours["event"], ours["attempt"], ours["level"], ours["logger"]) == ("order placed", 4711, "info", "ours")
    assert (theirs["event"], theirs["level"], theirs["process"]) == ("slow: 12 ms", "warning", "test")
    assert ours["timestamp"].endswith("Z")


def test_libraries_that_write_whole_addresses_are_quiet_even_at_debug(lines: Lines) -> None:
    written = lines("json", "DEBUG")
    for name in ("httpx", "httpcore", "httpcore.connection"):
        logging.getLogger(name).info("HTTP Request: GET https://pbx.example/?x=1")
    logging.getLogger("httpx").warning("slow")
    assert [json.loads(line)["event"] for line in written.getvalue().splitlines()] == ["slow"]


def test_a_library_s_own_handlers_do_not_bypass_the_redaction(lines: Lines) -> None:
    bypass = io.StringIO()
    logging.getLogger("uvicorn.access").addHandler(logging.StreamHandler(bypass))
    logging.getLogger("uvicorn.access").propagate = False
    written = lines("json")
    logging.getLogger("uvicorn.access").info("GET /webhooks/main/abc")
    assert bypass.getvalue() == ""
    assert json.loads(written.getvalue())["event"] == f"GET /webhooks/main/{STARS}"


def test_the_level_is_the_one_of_the_settings(lines: Lines) -> None:
    written = lines("json", "WARNING")
    structlog.get_logger("ours").info("not this")
    structlog.get_logger("ours").warning("this")
    assert [json.loads(line)["event"] for line in written.getvalue().splitlines()] == ["this"]


def test_colour_is_for_terminals_and_json_for_the_rest(lines: Lines) -> None:
    written = lines("auto")
    structlog.get_logger("ours").info("told")
    assert json.loads(written.getvalue())["event"] == "told"


def test_a_very_long_value_is_cut_after_its_secrets_are_gone(lines: Lines) -> None:
    written = lines("json")
    register_secret("canary-at-the-cut")
    structlog.get_logger("ours").info("long", text="x" * 7_990 + "canary-at-the-cut" + "y" * 1_000_000)
    told = json.loads(written.getvalue())["text"]
    assert len(told) < 8_100
    assert "canary" not in told


def test_an_encoding_that_lacks_a_letter_loses_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    configure_logging(LogSettings(format="json"), "test")
    structlog.get_logger("ours").info("città")
    assert b"citt\\xe0" in raw.getvalue()


@pytest.mark.parametrize("how", FORMATS)
def test_a_secret_made_of_digits_is_found_among_numbers(how: str, lines: Lines) -> None:
    written = lines(how)
    register_secret("80418041")
    structlog.get_logger("ours").info("heard", pin=80418041, attempt=4711)
    assert "80418041" not in written.getvalue()
    assert "4711" in written.getvalue()
