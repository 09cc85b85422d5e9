"""One short connection to Xuc: a question or an order, and what becomes of it.

A question rings nobody and may be asked again. An order is written once; its first event is the reply.
"""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection

from dialer.errors import OutcomeUnknown, PbxError, PbxNonsense, PbxUnavailable
from dialer.pbx.xivo_frames import MAX_FRAME, Frame, NotXuc, calls_of, command, parsed, text_of

Look = Callable[[], None]


class Session:
    """One short connection: for a command and what becomes of it."""

    def __init__(self, name: str, connection: ClientConnection, shown: Callable[[str, int], str]) -> None:
        self._name = name
        self._connection = connection
        self._shown = shown

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with contextlib.suppress(WebSocketException, OSError, EOFError):  # it was broken already
            self._connection.close()

    def wait(self, until: float, mine: Callable[[Frame], Any]) -> Any:
        """Read until `mine` says something of a frame; Silent, NotXuc or the library's errors."""
        heard = ""
        while True:
            left = until - time.monotonic()
            if left <= 0:
                raise Silent(f"nothing of the kind was heard in time{heard}")
            try:
                text = self._connection.recv(timeout=left)
            except TimeoutError:
                continue
            frame = frame_of(text)
            found = mine(frame)
            if found is not None:
                return found
            if frame.kind in ("Error", "AgentError"):
                heard = f"; it said {self._shown(text_of(frame.of('Error')) or text_of(frame.of('error')), 60)!r}"

    def ask(self, name: str, mine: Callable[[Frame], Any], within: float, **arguments: Any) -> Any:
        """Ask for something that rings nobody; NotTold, PbxUnavailable or PbxNonsense."""
        trouble: PbxError
        try:
            self._connection.send(command(name, **arguments))
            return self.wait(time.monotonic() + within, mine)
        except NotXuc as exc:
            trouble = PbxNonsense(self._name, f"{name} was answered with {exc}")
        except Silent as exc:
            trouble = NotTold(self._name, f"{name}: {exc}")
        except ConnectionClosed as exc:
            trouble = PbxUnavailable(self._name, f"{name}: the connection broke ({_how(exc)})")
            if exc.sent is not None and exc.sent.code == 1009:
                trouble = PbxNonsense(self._name, f"{name} was answered with more than {MAX_FRAME // 1024} KiB")
        except (WebSocketException, OSError, EOFError) as exc:
            trouble = PbxUnavailable(self._name, f"{name}: the connection broke ({type(exc).__name__})")
        trouble.__context__ = None
        raise trouble

    def gather(self, names: Sequence[str], mine: Callable[[Frame], Any], within: float, quiet: float) -> None:
        """Ask for several things and show `mine` what comes, until nothing has come for `quiet` seconds."""
        until, trouble = time.monotonic() + within, ""
        try:
            for name in names:
                self._connection.send(command(name))
            while (left := until - time.monotonic()) > 0:
                mine(frame_of(self._connection.recv(timeout=min(quiet, left))))
        except TimeoutError:
            return
        except (NotXuc, WebSocketException, OSError, EOFError) as exc:
            trouble = f"the connection broke ({type(exc).__name__})"
        if trouble:
            raise PbxUnavailable(self._name, trouble)

    def calls(self, within: float) -> list[Mapping[str, Any]] | None:
        """The phone events of the user's calls; None when Xuc tells none in time, or not in a way that we know."""

        def listed(frame: Frame) -> list[Mapping[str, Any]] | None:
            return calls_of(frame.message) if frame.kind == "CurrentCallsPhoneEvents" else None

        try:
            found: list[Mapping[str, Any]] = self.ask("getCurrentCallsPhoneEvents", listed, within)
            return found
        except (PbxNonsense, NotTold):
            return None

    def order(self, frame: str, mine: Callable[[Frame], Any], within: float, look: Look | None) -> Any:
        """Send a command once, and wait for the event that is its only reply; OutcomeUnknown without one.

        `look` is the last act before the frame is written. An `Error` is no refusal: Xuc does not say of what.
        """
        if look is not None:
            look()
        trouble = ""
        try:
            self._connection.send(frame)
            return self.wait(time.monotonic() + within, mine)
        except (NotXuc, Silent) as exc:
            trouble = str(exc)
        except ConnectionClosed as exc:
            trouble = f"the connection broke ({_how(exc)})"
        except (WebSocketException, OSError, EOFError) as exc:
            trouble = f"the connection broke ({type(exc).__name__})"
        raise OutcomeUnknown(self._name, f"{trouble}: the command may have been carried out")


class NotTold(PbxUnavailable):
    """The connection stands, and nothing was said: what was asked for may have been done."""


class NotLetIn(Exception):
    """Xuc does not take this token."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Silent(Exception):
    """What was waited for did not come."""


def logged_on(frame: Frame) -> bool | None:
    """Whether this frame says that the user is let in; None when it is about something else. Raises NotLetIn."""
    if frame.kind == "LoggedOnError":
        said = text_of(frame.message) or text_of(frame.of("error")) or text_of(frame.of("Error")) or "LoggedOnError"
        raise NotLetIn(said[:200])
    return True if frame.kind == "LoggedOn" else None


def frame_of(text: str | bytes) -> Frame:
    """Read one message of the websocket."""
    return parsed(text if isinstance(text, str) else text.decode("utf-8", "replace"))


def _how(exc: ConnectionClosed) -> str:
    close = exc.rcvd or exc.sent
    return f"code {close.code if close is not None else 1006}"
