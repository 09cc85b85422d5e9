"""Asterisk through ARI: customers enter the dialplan, agents wait in a bridge, and one request joins them.

A call's reference is its channel's id, so Asterisk itself refuses a second order for it. A customer's leg runs the
dialplan up to `Stasis`, and past it plays the message when the dialer is gone. An agent's leg stays up from one
customer to the next: it waits in a bridge with music and talks in one of its own.
"""

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from dialer.errors import OutcomeUnknown, PbxNonsense, PbxRefused, PbxUnavailable, SettingsError
from dialer.pbx.asterisk_check import check_set_up
from dialer.pbx.asterisk_events import AsteriskEvents, is_agent, talk_bridge
from dialer.pbx.asterisk_house import House
from dialer.pbx.asterisk_line import Answer
from dialer.pbx.asterisk_lists import as_live_call, as_user, entries, members, texts
from dialer.pbx.asterisk_stream import open_stream
from dialer.pbx.asterisk_wire import AriWire
from dialer.pbx.base import (
    AgentFirstOrder,
    AgentOrder,
    CallEvent,
    CustomerOrder,
    EventKeys,
    EventStream,
    Feature,
    Finding,
    Gateway,
    LiveCall,
    PastCall,
    Payload,
    PbxUser,
    Settled,
    Told,
    WaitingLeg,
)
from dialer.pbx.foreign import inert, is_number, is_reference, masked
from dialer.pbx.lacking import Lacking
from dialer.settings import PbxSettings

ALLOCATION_FAILED = "Allocation failed"  # no contact: the trunk is offline, the telephone not registered


class AsteriskPbx(Lacking):
    """One Asterisk as a `Pbx`, and as one whose events `dialer listener` fetches (`Streaming`)."""

    def __init__(self, name: str, settings: PbxSettings, *, environ: Mapping[str, str] | None = None) -> None:
        """Open no connection yet."""
        if not settings.user:
            raise SettingsError(f"pbx.{name}.user: name the account of ari.conf; its password is what token_env holds")
        self.name = name
        self.settings = settings
        self.features = _features(settings)
        self._wire = AriWire(name, settings, environ=environ)
        self._events = AsteriskEvents(waits_on_answer=bool(settings.machine_context))
        self._house = House(self._wire, settings)

    def __repr__(self) -> str:
        return f"<AsteriskPbx {self.name}>"

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()

    # events -------------------------------------------------------------------------------------------

    def keys(self, payload: Payload) -> EventKeys:
        return self._events.keys(payload)

    def read(self, payload: Payload) -> CallEvent:
        return self._events.read(payload)

    async def open_stream(self) -> EventStream:
        return await open_stream(self.name, self._wire, self.settings)

    def told(self, message: str) -> Told:
        return self._house.told(message)

    def settle(self) -> Settled:
        return self._house.settle()

    def look_around(self) -> Settled:
        return self._house.look_around()

    def gone(self, ref: str) -> Payload:
        return self._house.gone(ref)

    def see_to(self, chore: str) -> None:
        self._house.see_to(chore)

    # reads --------------------------------------------------------------------------------------------

    def gateways(self) -> Sequence[Gateway]:
        """List the trunks of the settings. Asterisk counts no lines: the limit is ours, the calls on it are its own."""
        found = {str(one["resource"]): one for one in self._endpoints()}
        gateways = []
        for trunk, lines in self.settings.trunks.items():
            seen = found.get(trunk)
            state = inert(str(seen.get("state", "")), 20) if seen else "no such endpoint"
            gateways.append(
                Gateway(
                    id=trunk,
                    name=trunk,
                    enabled=seen is not None,
                    # Where nobody asks a trunk whether it is there (no qualify), "unknown" is all there is to know.
                    registered=state in ("online", "unknown"),
                    lines=lines,
                    busy_lines=len(texts(seen.get("channel_ids"))) if seen else 0,
                    status=state,
                )
            )
        return gateways

    def users(self) -> Sequence[PbxUser]:
        """List the agents' telephones. One that is on calls of ours alone is available: it waits for a customer."""
        patterns = self.settings.agent_endpoints or ("*",)
        return [
            as_user(one)
            for one in self._endpoints()
            if one["resource"] not in self.settings.trunks
            and any(fnmatch.fnmatchcase(str(one["resource"]), pattern) for pattern in patterns)
        ]

    def current_calls(self) -> Sequence[LiveCall]:
        channels = entries(self.name, self._wire.read("/channels"), "id")
        together = members(self.name, self._wire.read("/bridges"))
        found = (as_live_call(channel, together, self.settings) for channel in channels)
        return [call for call in found if call is not None]

    def call_report(self, since: datetime) -> Sequence[PastCall]:
        """Asterisk keeps no report that ARI could read; the feature says so."""
        del since
        raise PbxNonsense(self.name, "ARI has no report of past calls")

    def check(self) -> Sequence[Finding]:
        return check_set_up(self.name, self.settings, self._wire, self.gateways, self.users)

    # commands -----------------------------------------------------------------------------------------

    def call_customer(self, order: CustomerOrder, *, before_send: Callable[[], None] | None = None) -> str:
        """Call a number through a trunk. Who answers enters the dialplan, which is armed for our death."""
        self._ids(order.ref)
        if order.gateway not in self.settings.trunks:
            raise self._refuse(f"pbx.{self.name}.trunks has no {inert(order.gateway, 40)!r}")
        number = self._dialled(order.number)
        return self._originate(
            order.ref,
            {
                "endpoint": f"PJSIP/{number}@{order.gateway}",
                "context": self.settings.machine_context or self.settings.customer_context,
                "extension": "s",
                "priority": 1,
                "callerId": f"<{self._shown(order.caller_id)}>",
                "timeout": self.settings.ring_limit,
            },
            {},
            before_send,
        )

    def call_for_agent(self, order: AgentFirstOrder, *, before_send: Callable[[], None] | None = None) -> str:
        """Agents wait on the line and are joined: nobody's telephone is rung first."""
        del order, before_send
        raise self._refuse("it is not asked to ring an agent first")

    def call_agent(self, order: AgentOrder, *, before_send: Callable[[], None] | None = None) -> str:
        """Call an agent's telephone, which answers by itself; the listener parks whoever answers."""
        self._ids(order.ref, order.user_id, order.extension)
        header, _, value = self.settings.auto_answer.partition(": ")
        return self._originate(
            order.ref,
            {
                "endpoint": f"PJSIP/{order.user_id}",
                "app": self.settings.app,
                "appArgs": "agent",
                "callerId": f"<{order.display if is_number(order.display) else order.extension}>",
                "timeout": self.settings.ring_limit,
            },
            {f"PJSIP_HEADER(add,{header})": value} if header else {},
            before_send,
        )

    def join(self, customer: WaitingLeg, agent: WaitingLeg, user_id: str) -> str:
        """Bring both into the agent's bridge. One request: Asterisk takes them out of where they are."""
        self._ids(customer.call_id, customer.leg_id, agent.call_id, agent.leg_id, user_id)
        self._done(
            self._wire.command(
                "POST",
                f"/bridges/{talk_bridge(agent.call_id)}/addChannel",
                {"channel": f"{agent.call_id},{customer.call_id}"},
            )
        )
        return customer.call_id

    def play_message(self, customer: WaitingLeg) -> str:
        """Send a waiting customer into the dialplan's message, which plays and ends without us."""
        self._ids(customer.call_id, customer.leg_id)
        if not self.settings.message_context:
            raise self._refuse(f"pbx.{self.name}.message_context is not set")
        where: dict[str, str | int] = {"context": self.settings.message_context, "extension": "s", "priority": 1}
        self._done(self._wire.command("POST", f"/channels/{customer.call_id}/continue", where))
        return customer.call_id

    def hang_up(self, call_id: str) -> str:
        """End a call. One that is not there any more has ended."""
        self._ids(call_id)
        answer = self._wire.command("DELETE", f"/channels/{call_id}")
        if answer.status != 404 or answer.message != "Channel not found":
            self._done(answer)
        return call_id

    # helpers ------------------------------------------------------------------------------------------

    def _originate(
        self,
        ref: str,
        order: Mapping[str, Any],
        variables: Mapping[str, str],
        before_send: Callable[[], None] | None,
    ) -> str:
        # In the body: what stands in a query is written into request logs.
        more = {"DIALER_CALL_ID": ref, "TIMEOUT(absolute)": str(self.settings.call_limit)}
        body = {**order, "channelId": ref, "variables": {**more, **variables}}
        answer = self._wire.command("POST", "/channels", body=body, before_send=before_send)
        if answer.status == 200 and isinstance(answer.value, dict) and answer.value.get("id") == ref:
            return ref
        if answer.status == 409 and self._is_there(ref):
            return ref  # it was placed before; this order changed nothing
        if answer.status == 409 or (answer.status == 500 and answer.message == ALLOCATION_FAILED):
            # Asterisk says 409 of this, too, once it has seen a real one on the connection.
            if is_agent(ref):
                raise PbxRefused(self.name, "the agent's telephone is not registered; nothing rang")
            raise PbxUnavailable(
                self.name, f"the trunk {inert(str(order['endpoint']).partition('@')[2], 40)} is offline"
            )
        self._done(answer, expected=())
        raise AssertionError("unreachable")  # pragma: no cover

    def _is_there(self, ref: str) -> bool:
        try:
            self._wire.read(f"/channels/{ref}")
        except PbxRefused:
            return False
        return True

    def _done(self, answer: Answer, expected: tuple[int, ...] = (204,)) -> None:
        if answer.status in expected:
            return
        told = f"HTTP {answer.status} {self._wire.shown(answer.message, 100)}"
        if 400 <= answer.status < 500:
            raise PbxRefused(self.name, f"refuses: {told}")
        raise OutcomeUnknown(
            self.name, f"answers what was not expected ({told}): the command may have been carried out"
        )

    def _endpoints(self) -> Sequence[Mapping[str, Any]]:
        return entries(self.name, self._wire.read("/endpoints/PJSIP"), "resource")

    def _ids(self, *ids: str) -> None:
        for one in ids:
            if not is_reference(one):
                raise self._refuse(f"{inert(one, 40)!r} is no id of ours or of a telephone")

    def _dialled(self, number: str) -> str:
        digits = self._digits("number", number)
        form = {"digits": "", "plus": "+", "international": "00"}[self.settings.number_format]
        return f"{self.settings.dial_prefix}{form}{digits}"

    def _shown(self, caller_id: str) -> str:
        return ("+" if self.settings.number_format == "plus" else "") + self._digits("caller id", caller_id)

    def _digits(self, what: str, number: str) -> str:
        if not is_number(number):
            raise self._refuse(f"the {what} {masked(inert(number, 30))!r} is not digits with at most a leading plus")
        return number.removeprefix("+")

    def _refuse(self, why: str) -> PbxRefused:
        return PbxRefused(self.name, f"{why}; nothing was sent")


def _features(settings: PbxSettings) -> frozenset[Feature]:
    found = {
        Feature.JOIN,
        Feature.NAILED_UP,
        Feature.ONE_PER_REF,
        Feature.HANG_UP,
        Feature.PRESENCE,
        Feature.LINES,
        Feature.CURRENT_CALLS,
    }
    if settings.trunks:
        found.add(Feature.CUSTOMER_FIRST)
    if settings.message_context:
        found.add(Feature.DIVERT)
    if settings.record:
        found.add(Feature.RECORDING)
    return frozenset(found)
