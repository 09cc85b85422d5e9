"""EasyConnect on an innovaphone PBX: a call is made for a user, whose own telephone dials it; one webhook tells of all.

There is no call without an agent and no way to join two, so agents are rung first. It tells neither lines nor presence,
and keeps no list of calls: the settings say who the agents are, and calls end by events or by the clock.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx

from dialer.errors import PbxRefused
from dialer.pbx.base import AgentFirstOrder, CallEvent, Doubt, EventKeys, Feature, Finding, Gateway, Payload, PbxUser
from dialer.pbx.dialled import dialled
from dialer.pbx.easyconnect_check import check_set_up, openapi_address
from dialer.pbx.easyconnect_events import EasyConnectEvents
from dialer.pbx.easyconnect_openapi import Learnt, NoOpenApi, call_id_field, learn, load
from dialer.pbx.easyconnect_options import EasyConnectOptions
from dialer.pbx.foreign import foreign_id, inert, is_number, masked
from dialer.pbx.http import Unreadable
from dialer.pbx.json_http import Declined, JsonHttp, text_of
from dialer.pbx.lacking import Lacking
from dialer.pbx.own_words import gateways_of, read, users_of
from dialer.settings import PbxSettings

_LOCKED_OUT = {
    401: "the key is not one of the two under API Keys in the EasyConnect app",
    402: "the licence does not cover it: see License in the EasyConnect app",
    403: "the key is not one of the two under API Keys in the EasyConnect app, or the licence is over",
}


class EasyConnectPbx(Lacking):
    """One EasyConnect as a `Pbx`."""

    def __init__(
        self,
        name: str,
        settings: PbxSettings,
        *,
        environ: Mapping[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Open no connection yet. SettingsError for options that cannot be, or an OpenAPI file that cannot be read."""
        self.name = name
        settings = settings.model_copy(update={"url": settings.url.rstrip("/") + "/"})
        self.settings = settings
        self.options = _with_openapi(name, read(EasyConnectOptions, name, settings))
        self.features = frozenset({Feature.AGENT_FIRST} | ({Feature.HANG_UP} if self.options.hang_up_path else set()))
        self._http = JsonHttp(
            name,
            settings,
            locked_out=_LOCKED_OUT,
            secret_field="apikey",  # noqa: S106 - the name of a field
            environ=environ,
            transport=transport,
        )
        describes = settings.model_copy(update={"url": openapi_address(settings, self.options)})
        # The description needs no key, and is given none.
        self._description = JsonHttp(
            name, describes, locked_out=_LOCKED_OUT, sends_secret=False, environ=environ, transport=transport
        )
        self._events = EasyConnectEvents(settings, self.options)

    def __repr__(self) -> str:
        return f"<EasyConnectPbx {self.name}>"

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
        self._description.close()

    def keys(self, payload: Payload) -> EventKeys:
        return self._events.keys(payload)

    def read(self, payload: Payload) -> CallEvent:
        return self._events.read(payload)

    # what the settings say ----------------------------------------------------------------------------

    def gateways(self) -> Sequence[Gateway]:
        return gateways_of(self.name, self.options)

    def users(self) -> Sequence[PbxUser]:
        return users_of(self.name, self.options)

    # what it can be asked -----------------------------------------------------------------------------

    def learnt(self) -> Learnt:
        """Read the site's own description of its calls."""
        found: Learnt = self._description.get("", {}, lambda told: told, parse=_learnt)
        return found

    def check(self) -> Sequence[Finding]:
        return check_set_up(self.name, self.settings, self.options, self.users(), self.learnt)

    def doubts(self) -> Sequence[Doubt]:
        """Whose phone an outgoing `ringing` speaks of is not said in the manual."""
        return [Doubt("extra.ringing_means", "ringing", self.options.ringing_means, "customer", "agent")]

    def call_for_agent(self, order: AgentFirstOrder, *, before_send: Callable[[], None] | None = None) -> str:
        """Make a call for a user; returns its `callId`, by which events and later requests name it."""
        if not (order.extension.isascii() and order.extension.isdecimal() and len(order.extension) <= 15):
            raise self._refuse(f"user {inert(order.user_id, 20)} has no extension of digits")
        if not is_number(order.number):
            raise self._refuse(f"the number {masked(inert(order.number, 30))!r} is not digits with at most one plus")
        params = {"from": order.extension, "to": dialled(self.settings, order.number)}
        return self._http.order(
            self.options.method, self.options.makecall_path, params, _call_id, before_send=before_send
        )

    def hang_up(self, call_id: str) -> str:
        """End a call, where the settings or the site's description say how."""
        if not self.options.hang_up_path:
            return super().hang_up(call_id)
        if foreign_id(call_id) is None:
            raise self._refuse(f"{inert(call_id, 40)!r} is no id of a call")
        params = {self.options.hang_up_field: call_id}
        return self._http.order(self.options.hang_up_method, self.options.hang_up_path, params, _done) or call_id

    def _refuse(self, why: str) -> PbxRefused:
        return PbxRefused(self.name, f"{why}; nothing was sent")


def _with_openapi(name: str, options: EasyConnectOptions) -> EasyConnectOptions:
    """Take from the site's own description what the settings do not say."""
    if not options.openapi_file:
        return options
    learnt = load(name, options.openapi_file)
    given = options.model_fields_set
    more: dict[str, object] = {}
    if learnt.makecall is not None and not given & {"makecall_path", "method"}:
        more |= {"makecall_path": learnt.makecall.path, "method": learnt.makecall.method}
    if learnt.hang_up is not None and "hang_up_path" not in given:
        field = call_id_field(learnt.hang_up)
        more |= {"hang_up_path": learnt.hang_up.path, "hang_up_method": learnt.hang_up.method, "hang_up_field": field}
    return type(options).model_validate({**options.model_dump(), **more})


def _learnt(body: bytes) -> Learnt:
    why = ""
    try:
        return learn(body)
    except NoOpenApi as exc:
        why = str(exc)
    raise Unreadable(why)


def _call_id(told: Any) -> str:
    _said_yes(told)
    call_id = foreign_id(text_of(told.get("callId")))
    if call_id is None:
        raise Unreadable("success without a callId")
    return call_id


def _done(told: Any) -> str:
    _said_yes(told)
    return text_of(told.get("callId"))


def _said_yes(told: Any) -> None:
    if not isinstance(told, dict) or "success" not in told:
        raise Unreadable("no `success` in it")
    if told["success"] is not True:
        reason = next((told[name] for name in ("message", "error", "reason") if isinstance(told.get(name), str)), "")
        raise Declined(reason or "success is not true")
