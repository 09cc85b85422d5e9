"""Requests to a PBX that answers in JSON: the status decides, then the body; the secret travels in query or header."""

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import httpx

from dialer.errors import PbxBusy, PbxError, PbxLockedOut, PbxNonsense, PbxRefused
from dialer.pbx.http import Answer, Kind, Params, PbxHttp, ReadRefused, Unreadable, Wire
from dialer.pbx.sealed import Look, Sealed
from dialer.settings import PbxSettings

T = TypeVar("T")
Understand = Callable[[Any], T]


class Declined(Exception):
    """A good answer that says no. Its text is the PBX's own reason."""


class ReadLockedOut(PbxLockedOut, PbxNonsense):
    """The PBX lets us in no more, and so no list can be taken from its answer."""


class JsonHttp(PbxHttp):
    """Like `PbxHttp`, below the address of the settings.

    `secret_header`: the secret is this header, and no part of the query. `locked_out` says what each status means that
    shuts us out altogether.
    """

    def __init__(
        self,
        name: str,
        settings: PbxSettings,
        *,
        locked_out: Mapping[int, str],
        secret_field: str = "",
        secret_header: str = "",
        sends_secret: bool = True,
        environ: Mapping[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
        retries: int = 2,
    ) -> None:
        super().__init__(
            name,
            settings,
            secret_field=secret_field,
            environ=environ,
            transport=transport,
            retries=0 if transport else retries,
        )
        self._locked_out = locked_out
        self._secret_header = secret_header
        self._sends_secret = sends_secret

    def get(
        self, path: str, params: Params, understand: Understand[T], *, parse: Callable[[bytes], Any] | None = None
    ) -> T:
        """Read something; asked again when the PBX could not be reached."""
        wire = Wire("GET", path, headers={"Accept": "application/json"})
        return self._again(lambda: self._json(Kind.READ, wire, params, understand, None, parse or _parsed))

    def order(
        self,
        method: str,
        path: str,
        params: Params,
        understand: Understand[T],
        *,
        before_send: Look | None = None,
        parts: Mapping[str, str] | None = None,
        body: Mapping[str, str] | None = None,
    ) -> T:
        """Order something, once: `params` in the query, `parts` as multipart, `body` as JSON."""
        headers = {"Accept": "application/json"} | ({"Content-Type": "application/json"} if body is not None else {})
        content = json.dumps(dict(body)).encode() if body is not None else None
        wire = Wire(method, path, content=content, parts=parts, headers=headers)
        return self._json(Kind.COMMAND, wire, params, understand, before_send, _parsed)

    def _json(
        self,
        kind: Kind,
        wire: Wire,
        params: Params,
        understand: Understand[T],
        look: Look | None,
        parse: Callable[[bytes], Any],
    ) -> T:
        got = self._answer(kind, Sealed(self._query(params), look, self._secret_headers()), wire)
        trouble, declined = "", ""
        if 200 <= got.status < 300:
            try:
                return understand(parse(got.body))
            except Unreadable as exc:
                trouble = str(exc)
            except Declined as exc:
                declined = self.shown(str(exc)) or "no reason given"
        if declined:
            refused: type[PbxRefused] = PbxRefused if kind is Kind.COMMAND else ReadRefused
            raise refused(self.name, f"it says no: {declined}")
        raise self._unusable(kind, got, trouble or "no answer of its kind")

    def _secret_headers(self) -> dict[str, str]:
        token = self._secret() if self._secret_header else None
        return {self._secret_header: token.get_secret_value()} if token is not None else {}

    def _query(self, params: Params) -> str:
        if self._sends_secret and not self._secret_header:
            return super()._query(params)
        written = urlencode(dict(params), quote_via=quote, safe="")
        return "&".join(part for part in (self._fixed_query, written) if part)

    def _unusable(self, kind: Kind, answer: Answer, trouble: str) -> PbxError:
        said = self._locked_out.get(answer.status)
        if said is not None:
            shut_out: type[PbxLockedOut] = PbxLockedOut if kind is Kind.COMMAND else ReadLockedOut
            return shut_out(self.name, f"HTTP {answer.status}: {said}")
        if answer.status == 429:
            wait = answer.retry_after if answer.retry_after.isdecimal() and len(answer.retry_after) < 6 else ""
            return Busy(self.name, f"HTTP 429: too many requests{f', again in {wait} s' if wait else ''}", wait)
        return super()._unusable(kind, answer, trouble)


class Busy(PbxBusy):
    """HTTP 429; `after`: the seconds it asked for, None when it did not say."""

    def __init__(self, pbx: str, why: str, after: str = "") -> None:
        super().__init__(pbx, why)
        self.after = float(after) if after else None


def _parsed(body: bytes) -> Any:
    why = ""
    try:
        return json.loads(body)
    except ValueError:
        why = "no JSON"
    except RecursionError:
        why = "JSON too deep to be an answer"
    raise Unreadable(why)


def text_of(value: Any, among: Collection[type] = (str, int)) -> str:
    """Return a scalar of an answer as text; empty for anything else."""
    return str(value) if isinstance(value, tuple(among)) and not isinstance(value, bool) else ""
