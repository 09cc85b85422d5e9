"""How every process logs: one line per event on stderr, without secrets and without foreign control characters.

Colour for a person at a terminal, JSON for a machine. Our own lines (structlog) and those of libraries (stdlib
logging, warnings, exceptions nobody caught) take the same way out, so nothing can leave around the redaction.
"""

import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any, TextIO

import structlog

from dialer.errors import DialerError
from dialer.settings import LogSettings
from workers.redaction import NAMES, STARS, escape, redact, register_secret

__all__ = ["configure_logging", "register_secret"]

# At INFO these write whole addresses, tokens and all, or a line for each tick.
QUIET = ("httpx", "httpcore", "hpack", "alembic", "apscheduler", "asyncio", "urllib3", "matplotlib", "PIL")
# These bring handlers of their own, which would bypass ours.
BRING_HANDLERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "dramatiq", "alembic", "sqlalchemy", "fastapi")
OURS = ("timestamp", "level", "process")  # fields nobody else can fill
DEEPEST = 6  # nested values of one log line
LONGEST_VALUE, LONGEST_TRACE = 8_000, 20_000  # characters

Event = MutableMapping[str, Any]

_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.ExtraAdder(),
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure_logging(settings: LogSettings, process: str) -> None:
    """Send all logs of this process to stderr, each line saying which process wrote it. May be called again."""
    stream = sys.stderr
    console = settings.format == "console" or (settings.format == "auto" and _is_terminal(stream))
    handler = _Handler(stream)
    handler.addFilter(_inert_record)
    handler.setFormatter(_formatter(process, console=console, colours=console and _wants_colour(stream)))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(settings.level)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    for name in BRING_HANDLERS:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    _catch_the_uncaught()


def _formatter(process: str, *, console: bool, colours: bool) -> logging.Formatter:
    def name_process(logger: object, method: str, event: Event) -> Event:
        del logger, method
        event["process"] = process
        return event

    renderer: Any = _as_json
    if console:
        renderer = structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            name_process,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            _inert,
            renderer,
        ],
    )


def _as_json(logger: object, method: str, event: Event) -> str:
    del logger, method
    return json.dumps(event, ensure_ascii=False, default=str)


class _Handler(logging.StreamHandler[TextIO]):
    """Writes what the terminal's encoding lacks as an escape, and never shows the arguments of a line it lost."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record) + self.terminator
            encoding = getattr(self.stream, "encoding", None) or "utf-8"
            self.stream.write(line.encode(encoding, "backslashreplace").decode(encoding))
            self.flush()
        except Exception as exc:  # logging must not stop the dialer
            self._lost(record, exc)

    def _lost(self, record: logging.LogRecord, exc: Exception) -> None:
        try:
            where = f"{record.name} {record.pathname}:{record.lineno}"
            self.stream.write(f"a log line was lost: {escape(redact(where))}: {type(exc).__name__}{self.terminator}")
        except Exception:  # stderr itself is gone
            return


def _inert_record(record: logging.LogRecord) -> bool:
    """The filter of the one handler: message and arguments lose their secrets before anything formats them."""
    if isinstance(record.msg, str):
        try:
            record.msg, record.args = redact(record.getMessage()), None
        except (TypeError, ValueError, KeyError):  # the line was called with the wrong arguments
            record.msg, record.args = f"{redact(record.msg)} (its arguments do not fit)", None
    return True


def _inert(logger: object, method: str, event: Event) -> Event:
    """Redact and escape every value of the line, however deep; an exception's text keeps its lines, indented."""
    del logger, method
    event.pop("color_message", None)  # uvicorn's second copy of each line
    trace = event.pop("exception", None)
    stack = event.pop("stack", None)
    clean: Event = {
        escape(redact(str(name))): value if name in OURS else _clean(name, value, DEEPEST)
        for name, value in event.items()
    }
    for name, text in (("exception", trace), ("stack", stack)):
        if text is not None:
            # Indented, so that an exception's message cannot pass for a line of ours.
            lines = redact(str(text))[-LONGEST_TRACE:].split("\n")
            clean[name] = "\n".join("  " + escape(line) for line in lines)
    return clean


def _clean(name: object, value: Any, depth: int) -> Any:
    if isinstance(name, str) and NAMES.match(name) and value not in (None, ""):
        return STARS
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if redact(str(value)) == str(value) else STARS
    if depth == 0:
        return "..."
    if isinstance(value, dict):
        return {escape(redact(str(key))): _clean(key, item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(None, item, depth - 1) for item in value]
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    text = redact(value if isinstance(value, str) else _text(value))
    if len(text) > LONGEST_VALUE:  # cut after the search: half a secret would not be found
        text = f"{text[:LONGEST_VALUE]}... ({len(text) - LONGEST_VALUE} more)"
    return escape(text)


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception as exc:  # somebody's __str__ or __repr__
        return f"<{type(value).__name__} that cannot be shown: {type(exc).__name__}>"


def _catch_the_uncaught() -> None:
    """Exceptions nobody caught go the same way as everything else."""
    log = structlog.get_logger("uncaught")

    def in_main(kind: type[BaseException], exc: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            return
        if issubclass(kind, DialerError):  # told in a sentence, but for `dialer --debug`
            log.error("the process ends", exc_info=(kind, exc, trace))
        else:
            log.critical("the process ends: nobody expected this", exc_info=(kind, exc, trace))

    def in_thread(told: threading.ExceptHookArgs) -> None:
        if told.exc_value is not None and not issubclass(told.exc_type, SystemExit):
            name = told.thread.name if told.thread else "?"
            log.error("a thread died", thread=name, exc_info=(told.exc_type, told.exc_value, told.exc_traceback))

    def unraisable(told: Any) -> None:
        text = "".join(traceback.format_exception_only(told.exc_value)) if told.exc_value else str(told.exc_type)
        log.warning("an exception could not be raised", text=text, where=repr(told.object))

    sys.excepthook = in_main
    threading.excepthook = in_thread
    sys.unraisablehook = unraisable


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


def _wants_colour(stream: TextIO) -> bool:
    return _is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
