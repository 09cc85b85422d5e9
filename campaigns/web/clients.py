"""Programs that may use the API: each has a name and a token, of which only the digest is kept, in one file.

A line of the file is a name, the SHA-256 of the token, and the first day on which it is no longer good, if any.
The tokens are 32 random bytes of our own making, so guessing one is hopeless and a plain digest is enough.
"""

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from campaigns.web.seldom import Seldom
from dialer.errors import AlreadyThere, BadInput, DialerError, NotFound, SettingsError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LOOK_AGAIN = 2.0  # seconds between two looks at the file


@dataclass(frozen=True, slots=True)
class Client:
    """One program. `until`: the first day (UTC) on which its token is no longer good."""

    name: str
    digest: str
    until: date | None = None

    def line(self) -> str:
        """Return the line of the file."""
        return f"{self.name} {self.digest}{f' {self.until}' if self.until else ''}\n"


class ApiClients:
    """The clients of one web process; looks at the file again when it changes, so that nothing must be restarted."""

    def __init__(self, file: Path | None, *, now: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._file, self._now, self._monotonic = file, now, monotonic
        self._clients = read_clients(file) if file is not None else []
        self._stamp = _stamp(file)
        self._look_at = 0.0
        self._seldom = Seldom(monotonic=monotonic)

    def name_of(self, token: str) -> str | None:
        """Return whose token this is; None when it is nobody's, or its time is over."""
        self._look()
        digest = digest_of(token)
        # Every one is compared, whichever fits: how long it takes tells nothing.
        found = [one for one in self._clients if hmac.compare_digest(digest, one.digest)]
        today = self._now().date()
        return next((one.name for one in found if one.until is None or today < one.until), None)

    def _look(self) -> None:
        if self._file is None or self._monotonic() < self._look_at:
            return
        self._look_at = self._monotonic() + _LOOK_AGAIN
        stamp = _stamp(self._file)
        if stamp == self._stamp:
            return
        try:
            self._clients = read_clients(self._file)
        except SettingsError as exc:
            # Who was taken out must not come in because of a slip in another line: nobody does until it is mended.
            self._clients = []
            self._seldom.warning("No program may use the API: %s", exc)
        self._stamp = stamp


def digest_of(token: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def read_clients(file: Path) -> list[Client]:
    """Return the clients of a file, none when there is no file yet; SettingsError names the line that is wrong."""
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(
            f"web.clients_file: {file} cannot be read: {getattr(exc, 'strerror', 'not text')}"
        ) from None
    clients: list[Client] = []
    for number, line in enumerate(text.splitlines(), 1):
        parts = line.split()
        if not parts or parts[0].startswith("#"):
            continue
        clients.append(_client(parts, f"web.clients_file: {file}, line {number}"))
        if len({one.name for one in clients}) < len(clients):
            raise SettingsError(f"web.clients_file: {file}, line {number}: {parts[0]} is there twice")
    return clients


def _client(parts: list[str], place: str) -> Client:
    remedy = "`dialer client new NAME` writes such a line"
    if len(parts) > 3 or len(parts) < 2 or not _NAME.fullmatch(parts[0]) or not _DIGEST.fullmatch(parts[1]):
        raise SettingsError(f"{place} is not a name, a SHA-256 and perhaps a day: {remedy}")
    try:
        return Client(parts[0], parts[1], date.fromisoformat(parts[2]) if len(parts) == 3 else None)
    except ValueError:
        raise SettingsError(f"{place}: the third word is no day such as 2027-01-01") from None


def add_client(file: Path, name: str, until: date | None) -> str:
    """Add a client to the file and return its token, which is kept nowhere."""
    if not _NAME.fullmatch(name):
        raise BadInput(f"{name[:40]!r} cannot be a client's name: use letters, digits, dots, - and _, 40 at most")
    clients = read_clients(file)
    if any(one.name == name for one in clients):
        raise AlreadyThere(f"there is a client {name} already: `dialer client remove {name}` takes its token away")
    token = secrets.token_urlsafe(32)
    _write(file, [*clients, Client(name, digest_of(token), until)])
    return token


def remove_client(file: Path, name: str) -> None:
    """Take a client's token away; web processes know within two seconds."""
    clients = read_clients(file)
    left = [one for one in clients if one.name != name]
    if len(left) == len(clients):
        known = ", ".join(one.name for one in clients) or "none"
        raise NotFound(f"there is no client {name[:40]!r}; there are: {known}")
    _write(file, left)


def _write(file: Path, clients: list[Client]) -> None:
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write("# Programs that may use the API: name, SHA-256 of its token, first day it is no longer good.\n")
            out.writelines(one.line() for one in clients)
        part.replace(file)
    except OSError as exc:
        part.unlink(missing_ok=True)
        raise DialerError(f"{file} cannot be written: {exc.strerror}; web.clients_file says where it is") from None


def _stamp(file: Path | None) -> tuple[int, int, int] | None:
    try:
        status = file.stat() if file is not None else None
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_ino, status.st_size) if status else None
