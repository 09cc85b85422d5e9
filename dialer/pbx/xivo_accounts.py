"""The XiVO users in whose name we speak: their passwords, and the tokens these are exchanged for.

What `token_env` or `token_file` names holds one password for all, or one `user=password` a line. Tokens are renewed at
half of their life. Neither is ever part of a log line, an error or a repr.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from pydantic import SecretStr

from dialer.errors import OutcomeUnknown, PbxBusy, PbxError, PbxRefused, PbxUnavailable, SettingsError
from dialer.pbx.foreign import inert
from dialer.pbx.http import Answer, Kind, SecretMissing, Unreadable, without_secret
from dialer.pbx.json_http import JsonHttp
from dialer.pbx.xivo_frames import text_of
from dialer.secrets import secret
from dialer.settings import PbxSettings

A_DAY = 86_400.0
_LIVES = ("TTL", "ttl", "expires_in")


@dataclass(frozen=True, slots=True)
class Token:
    """What lets a user in; `renew_at` on the monotonic clock."""

    value: SecretStr
    renew_at: float
    fresh: bool = field(default=False, compare=False)  # got just now, so that a refusal is not its age


class Accounts:
    """Tokens of one PBX's users, shared by the threads of a process."""

    def __init__(
        self,
        name: str,
        settings: PbxSettings,
        login_path: str,
        logins: Iterable[str],
        *,
        environ: Mapping[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._settings = settings
        self._environ = environ
        self._path = login_path
        self._logins = frozenset(logins)
        self._monotonic = monotonic
        self._tokens: dict[str, Token] = {}
        self._lock = threading.Lock()
        self._http = _Login(name, settings, hide=self.hidden, environ=environ, transport=transport)

    def __repr__(self) -> str:
        return f"<Accounts of {self._name}>"

    def close(self) -> None:
        self._http.close()

    def token(self, login: str) -> Token:
        """Return a token of this user that has half of its life before it.

        PbxRefused when XiVO does not let the user in, PbxUnavailable for everything else: nothing has rung.
        """
        with self._lock:
            known = self._tokens.get(login)
        if known is not None and self._monotonic() < known.renew_at:
            return known
        value, life = self._ask(login)
        token = Token(value, self._monotonic() + life / 2)
        with self._lock:
            self._tokens[login] = token
        return Token(value, token.renew_at, fresh=True)

    def forget(self, login: str, token: Token) -> None:
        """Drop a token that was refused, unless another thread has a newer one by now."""
        with self._lock:
            if self._tokens.get(login) == token:
                del self._tokens[login]

    def hidden(self, text: str) -> str:
        """Return text without any password or token of ours."""
        with self._lock:
            known = [token.value for token in self._tokens.values()]
        with contextlib.suppress(PbxError):  # then there is none that could show
            known += self._passwords().values()
        for one in known:
            text = without_secret(text, one)
        return text

    def _passwords(self) -> dict[str, SecretStr]:
        """Read anew for each login: a secret kept in a file can be changed while we run."""
        why = ""
        try:
            kept = secret(self._settings, self._name, "token", self._environ)
        except SettingsError as exc:
            why, kept = str(exc), None
        if kept is None:
            said = f"pbx.{self._name}.token_env or token_file must name the passwords of its XiVO users"
            raise SecretMissing(self._name, why or said)
        lines = [line.strip() for line in kept.get_secret_value().splitlines() if line.strip()]
        pairs = [line.partition("=") for line in lines]
        if all(sign and login.strip() in self._logins for login, sign, _ in pairs):
            return {login.strip(): SecretStr(password.strip()) for login, _, password in pairs}
        return dict.fromkeys(self._logins, kept)

    def _ask(self, login: str) -> tuple[SecretStr, float]:
        password = self._passwords().get(login)
        if password is None:
            raise PbxRefused(
                self._name,
                f"there is no password of XiVO user {inert(login, 30)}; nothing was sent: add a line "
                f"{inert(login, 30)}=... to what pbx.{self._name}.token_file (or token_env) names",
            )
        trouble: PbxError
        who = f"XiVO user {inert(login, 30)}"
        try:
            # No name holds the body: what a frame holds, an error report shows.
            return self._http.order("POST", self._path, {}, _token, body=_credentials(login, password))
        except PbxRefused as exc:
            trouble = PbxRefused(self._name, f"{who}: {exc.why}")
        except PbxUnavailable as exc:
            trouble = (PbxBusy if isinstance(exc, PbxBusy) else PbxUnavailable)(self._name, f"{who}: {exc.why}")
        except OutcomeUnknown as exc:
            why = exc.why.replace("the command may have been carried out", "there is no token in it")
            trouble = PbxUnavailable(self._name, f"{who} is given no token: {why}")
        trouble.__context__ = None
        raise trouble


def _credentials(login: str, password: SecretStr) -> dict[str, str]:
    return {"login": login, "password": password.get_secret_value()}


class _Login(JsonHttp):
    """The one request we make by HTTP. Its body holds a password."""

    def __init__(
        self,
        name: str,
        settings: PbxSettings,
        *,
        hide: Callable[[str], str],
        environ: Mapping[str, str] | None,
        transport: httpx.BaseTransport | None,
    ) -> None:
        super().__init__(
            name, settings, locked_out={}, sends_secret=False, environ=environ, transport=transport, retries=0
        )
        self._hide = hide

    def shown(self, text: str, limit: int = 200) -> str:
        return inert(self._hide(text), limit)

    def _unusable(self, kind: Kind, answer: Answer, trouble: str) -> PbxError:
        if answer.status < 300:
            # Half an answer may hold a whole token: nothing of it is shown.
            return PbxUnavailable(self.name, f"HTTP {answer.status}, {trouble}")
        if answer.status == 404:
            return PbxRefused(
                self.name,
                f"HTTP 404: there is no log-in by token at pbx.{self.name}.extra.login_path; Xuc has it from 2017.03 "
                "on, and older ones are not spoken to",
            )
        if answer.status in (400, 401, 403):
            said = self.shown(answer.body[:300].decode("utf-8", "replace"), 120)
            return PbxRefused(self.name, f"HTTP {answer.status}, it is not let in: {said}; check its password")
        return super()._unusable(kind, answer, trouble)


def _token(told: Any) -> tuple[SecretStr, float]:
    if not isinstance(told, dict) or not text_of(told.get("token")):
        raise Unreadable("no token in it")
    value = text_of(told["token"])
    if not value.isascii() or not value.isprintable() or len(value) > 4096:
        raise Unreadable("a token that is none")
    life = next((told[name] for name in _LIVES if isinstance(told.get(name), int | float) and told[name] > 0), A_DAY)
    return SecretStr(value), float(life)
