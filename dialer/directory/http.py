"""Requests to one directory: the PBXs' HTTP client with paths, methods, a password, and no way out of its address.

Everything else is `dialer.pbx.http`'s: one deadline for a request, no redirects, no proxies, peers checked when
connecting, bounded answers, and a secret that is added below httpx. Links in answers are foreign text: one that
leaves the address of the settings is not followed (I28).
"""

import json
import re
import threading
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote, unquote, urlencode, urljoin, urlsplit

import httpx

from dialer.clock import Clock, SystemClock
from dialer.directory.base import DirectoryNonsense, DirectoryUnavailable, DirectoryUnknown, Look
from dialer.errors import PbxError, SettingsError
from dialer.pbx.foreign import inert
from dialer.pbx.http import Answer, Fault, Kind, PbxHttp, SecretMissing, Unreadable, Wire
from dialer.pbx.sealed import Sealed
from dialer.secrets import secret
from dialer.settings import DirectorySettings

BURST = 10  # requests at once; then as many a second as the settings say
_PORTS = {"http": 80, "https": 443}
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/<>-]*")


class PasswordMissing(SecretMissing):
    """User name or password are not where the settings say. Nothing was sent."""

    called = "directory"


class Spacing:
    """Keeps requests to so many a second, after the first few. Threads share it."""

    def __init__(self, per_second: float, clock: Clock) -> None:
        self._every = 1 / per_second
        self._clock = clock
        self._lock = threading.Lock()
        self._next = clock.monotonic() - BURST * self._every

    def wait(self) -> None:
        """Return when the next request may go."""
        with self._lock:
            now = self._clock.monotonic()
            self._next = max(self._next, now - BURST * self._every) + self._every
            ahead = self._next - now
        if ahead > 0:
            self._clock.sleep(ahead)


class DirectoryHttp(PbxHttp):
    """Requests below one address, with a user name and a password."""

    section = "directory"

    def __init__(
        self,
        name: str,
        settings: DirectorySettings,
        *,
        environ: Mapping[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(name, settings, environ=environ, transport=transport)
        self._mine = settings
        self._base = urlsplit(self._url)
        self._spacing = Spacing(settings.requests_per_second, clock or SystemClock())

    def get(self, path: str, query: Mapping[str, str] | None = None, *, method: str = "GET") -> Answer:
        """Ask for something; asked again, at most twice, when it could not be reached or is in trouble."""
        return self._again(lambda: self._asked(path, query or {}, method))

    def change(self, method: str, path: str, body: Mapping[str, Any], look: Look | None = None) -> Answer:
        """Change something, once. `look` is the last act before the first byte; it may raise."""
        content = json.dumps(body).encode() if method != "DELETE" else None
        headers = {"Content-Type": "application/json"} if content is not None else {}
        self._spacing.wait()
        return self._answer(Kind.COMMAND, self._sealed(look=look), Wire(method, path, content, headers=headers))

    def shown(self, text: str, limit: int = 200) -> str:
        """Return text of the directory as it may be shown, without our password and its coded form."""
        with suppress(SettingsError):
            text = text.replace(self._credentials(), "***")
        return super().shown(text, limit)

    def place(self, href: str) -> str:
        """Return where a link leads, as a path below our address with its query; Unreadable when it leaves it."""
        whole = urljoin(self._url, href)
        parts = urlsplit(whole)
        ours = self._base
        if (parts.scheme, parts.hostname, _port(parts)) != (ours.scheme, ours.hostname, _port(ours)) or parts.username:
            raise Unreadable(f"a link leads to {inert(f'{parts.scheme}://{parts.hostname}', 80)}, which is not ours")
        path = parts.path
        below = path.casefold().startswith(ours.path.casefold())
        dots = any(part in (".", "..") for part in unquote(unquote(path)).replace("\\", "/").split("/"))
        if not below or dots or not _PLAIN_PATH.fullmatch(path):
            raise Unreadable(f"a link leads out of {inert(ours.path, 80)}")
        rest = path[len(ours.path) :]
        return f"{rest}?{parts.query}" if parts.query else rest

    # one request --------------------------------------------------------------------------------------

    def _asked(self, path: str, query: Mapping[str, str], method: str) -> Answer:
        self._spacing.wait()
        path, _, more = path.partition("?")
        told = urlencode(dict(query), quote_via=quote, safe="")
        sealed = self._sealed("&".join(part for part in (more, told) if part))
        got = self._answer(Kind.READ, sealed, Wire(method, path, headers={"Accept": "application/hal+json"}))
        if got.status >= 500 or got.status == 429:
            told = self.shown(got.body[:2000].decode("utf-8", "replace"), 200)
            why = "asks us to slow down" if got.status == 429 else "is in trouble"
            raise DirectoryUnavailable(self.name, f"{why} (HTTP {got.status}; received: {told!r}); try again later")
        return got

    def _sealed(self, query: str = "", look: Look | None = None) -> Sealed:
        return Sealed(query, look, {"Authorization": f"Basic {self._credentials()}"})

    def _credentials(self) -> str:
        """Return user and password as HTTP wants them; read anew, for a file can be changed while we run."""
        why = ""
        try:
            user = self._mine.user or _value(secret(self._mine, self.name, "user", self._environ))
            password = _value(secret(self._mine, self.name, "password", self._environ))
        except SettingsError as exc:
            why = str(exc)
        else:
            place = f"directory.{self.name}"
            if not user or ":" in user:
                why = f"{place}.user is missing: name the account that may use the interface (it holds no colon)"
            elif not password:
                why = f"{place}.password_env is missing: name the environment variable that holds the password"
        if why:
            raise PasswordMissing(self.name, why)
        return b64encode(f"{user}:{password}".encode()).decode()

    def _faulty(self, kind: Kind, fault: Fault) -> PbxError:
        where = f"{self._base.scheme}://{self._base.netloc} {fault.why}"
        if not fault.sent:
            remedy = f"check that it runs and directory.{self.name}.url"
            return DirectoryUnavailable(self.name, f"{where}; {remedy}")
        if kind is Kind.COMMAND:
            return DirectoryUnknown(self.name, f"{where}: the change may have been made")
        if fault.answered:
            return DirectoryNonsense(self.name, f"{where}; check directory.{self.name}.url")
        return DirectoryUnavailable(self.name, where)


def _value(kept: Any) -> str:
    return kept.get_secret_value() if kept is not None else ""


def _port(parts: Any) -> int | None:
    try:
        return parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return -1
