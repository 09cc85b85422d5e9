"""VOIspeed: customers are called with no agent attached, agents wait on an IVR, and one command joins them.

The customer is the *calling* entity of our calls (a gateway), the reception IVR the called one; an agent is
called at their user, answers by itself, and waits on the waiting IVR. A join replaces the reception in the
customer's communication by the agent from theirs.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import httpx

from dialer.clock import SystemClock
from dialer.errors import PbxError, PbxNonsense, PbxRefused, SettingsError
from dialer.pbx.base import (
    AgentOrder,
    CallEvent,
    CustomerOrder,
    EventKeys,
    Feature,
    Finding,
    Gateway,
    LiveCall,
    PastCall,
    Payload,
    PbxUser,
    WaitingLeg,
)
from dialer.pbx.foreign import inert, is_number, masked
from dialer.pbx.http import AnswerTooLong, PbxHttp
from dialer.pbx.lacking import Lacking
from dialer.pbx.voispeed_calls import as_live_call, as_past_call, printed_time
from dialer.pbx.voispeed_check import check_set_up
from dialer.pbx.voispeed_codes import AutoAnswer, EntityType
from dialer.pbx.voispeed_entities import Entities, as_pbx_user
from dialer.pbx.voispeed_events import VoispeedEvents
from dialer.pbx.voispeed_phonebook import Phonebook
from dialer.pbx.voispeed_services import Entity, Services
from dialer.pbx.voispeed_wire import Wire
from dialer.settings import PbxSettings

log = logging.getLogger(__name__)

# The guide's name of the filter is lost; the simulator has one.
_REPORT_FROM = {"simulator": "from"}
GROUPS_LIFE = 60.0  # seconds: who is in which ring group changes by hand
# A report's times have no zone. Local time is at most twelve hours behind UTC; one hour for clocks and seasons.
REPORT_MARGIN = timedelta(hours=13)
_PLACEHOLDER = re.compile(r"\{(extension|display|user_id)\}")
_TEMPLATE = re.compile(r"\+?([0-9*#]|\{(extension|display|user_id)\}){1,20}")


class VoispeedPbx(Lacking):
    """One VOIspeed as a `Pbx`; `services`, `entities` and `phonebook` are everything else it offers."""

    def __init__(
        self,
        name: str,
        settings: PbxSettings,
        *,
        environ: Mapping[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open no connection yet. A `transport` from outside is in-process, so its reads are not repeated."""
        for field in ("agent_calling_number", "agent_called_number"):
            if not _TEMPLATE.fullmatch(getattr(settings, field)):
                raise SettingsError(
                    f"pbx.{name}.{field}: may hold digits, {{extension}}, {{display}} and {{user_id}}, nothing else"
                )
        self.name = name
        self.settings = settings
        self.features = _features(settings)
        self._environ = environ
        self._http = PbxHttp(name, settings, environ=environ, transport=transport, retries=0 if transport else 2)
        wire = Wire(self._http, settings)
        self.entities = Entities(wire)
        self.services = Services(wire)
        self.phonebook = Phonebook(wire)
        self._events = VoispeedEvents(settings)
        self._monotonic = monotonic
        self._groups: dict[str, tuple[str, ...]] = {}
        self._groups_until = float("-inf")
        self._groups_known = False
        self._groups_lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<VoispeedPbx {self.name}>"

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # events -------------------------------------------------------------------------------------------

    def keys(self, payload: Payload) -> EventKeys:
        return self._events.keys(payload)

    def read(self, payload: Payload) -> CallEvent:
        return self._events.read(payload)

    # reads --------------------------------------------------------------------------------------------

    def gateways(self) -> Sequence[Gateway]:
        """List the gateways we may use: those of the settings, or all."""
        allowed = {str(gateway) for gateway in self.settings.gateways}
        found = [entity.as_gateway() for entity in self.entities.gateways()]
        return [gateway for gateway in found if not allowed or gateway.id in allowed]

    def users(self) -> Sequence[PbxUser]:
        users = self.entities.users()
        # After the users: a PBX that refuses everything has then said so, and not that there are no groups.
        groups = self._groups_of_users()
        return [as_pbx_user(user, groups.get(user.id, ())) for user in users]

    def current_calls(self) -> Sequence[LiveCall]:
        return [as_live_call(call, self.settings) for call in self.services.get_current_calls()]

    def call_report(self, since: datetime) -> Sequence[PastCall]:
        """List calls begun at or after `since`, and some older ones: VOIspeed's times have no zone.

        Rows whose time cannot be read are kept. No filter is sent unless the settings name one
        (`extra.report_from_field`), because the guide's names are lost.
        """
        field = self.settings.extra.get("report_from_field", _REPORT_FROM.get(self.settings.kind, ""))
        earliest = (since - REPORT_MARGIN).astimezone(UTC)
        form = self.settings.extra.get("report_time_format", "%Y-%m-%d %H:%M:%S")
        rows, why = None, ""
        try:
            rows = self.services.get_call_report({field: earliest.strftime(form)} if field else None)
        except AnswerTooLong as exc:
            why = f"{exc.why}; name the report's filter of time in pbx.{self.name}.extra.report_from_field"
        if rows is None:
            raise PbxNonsense(self.name, why)
        kept = []
        for row in rows:
            started = printed_time(row.started)
            if started is None or started >= earliest:
                kept.append(as_past_call(row, self.settings))
        return kept

    def check(self) -> Sequence[Finding]:
        def report() -> object:
            return self.call_report(SystemClock().now() - timedelta(hours=1))

        return check_set_up(self.name, self.settings, self.entities, self.services, report, self._environ)

    # commands -----------------------------------------------------------------------------------------

    def call_customer(self, order: CustomerOrder, *, before_send: Callable[[], None] | None = None) -> str:
        """Call a number through a gateway and let it wait at the reception when it answers."""
        return self.services.call_request_ext(
            Entity(EntityType.GATEWAY, order.gateway, self._dialled(order.number)),
            Entity(EntityType.IVR, self._ivr("reception_ivr"), self._plain_number("caller id", order.caller_id)),
            extid=order.ref,
            before_send=before_send,
        )

    def call_agent(self, order: AgentOrder, *, before_send: Callable[[], None] | None = None) -> str:
        """Call an agent's telephone, which answers by itself, and park the agent on the waiting IVR."""
        calling = self._agent_number(self.settings.agent_calling_number, order)
        called = self._agent_number(self.settings.agent_called_number, order)
        return self.services.call_request_ext(
            Entity(EntityType.USER, order.user_id, calling),
            Entity(EntityType.IVR, self._ivr("waiting_ivr"), called),
            extid=order.ref,
            auto_answer=AutoAnswer.CALLING,
            before_send=before_send,
        )

    def join(self, customer: WaitingLeg, agent: WaitingLeg, user_id: str) -> str:
        return self.services.call_transfer_ext(
            customer.call_id,
            Entity(EntityType.IVR, self._ivr("reception_ivr"), leg_id=customer.leg_id),
            agent.call_id,
            Entity(EntityType.USER, user_id, leg_id=agent.leg_id),
        )

    def play_message(self, customer: WaitingLeg) -> str:
        return self.services.call_divert_ext(
            customer.call_id,
            Entity(EntityType.IVR, self._ivr("reception_ivr"), leg_id=customer.leg_id),
            Entity(EntityType.IVR, self._ivr("abandon_ivr"), self.settings.extra.get("divert_number", "")),
        )

    def hang_up(self, call_id: str) -> str:
        return self.services.call_terminate(call_id)

    def record(self, call_id: str, *, on: bool) -> str:
        """Switch the recording of a communication on or off."""
        return self.services.call_recording_ext(call_id, on=on)

    # numbers as this PBX wants them -------------------------------------------------------------------

    def _dialled(self, number: str) -> str:
        digits = self._plain_number("number", number)
        form = {"digits": "", "plus": "+", "international": "00"}[self.settings.number_format]
        return f"{self.settings.dial_prefix}{form}{digits}"

    def _plain_number(self, what: str, number: str) -> str:
        if not is_number(number):
            raise self._refuse(f"the {what} {masked(inert(number, 30))!r} is not digits with at most a leading plus")
        return number.removeprefix("+")

    def _agent_number(self, template: str, order: AgentOrder) -> str:
        if not order.extension.isascii() or not order.extension.isdecimal():
            raise self._refuse(f"user {inert(order.user_id, 20)} has no extension of digits")
        display = order.display.removeprefix("+")
        values = {
            "extension": order.extension,
            "display": display if is_number(display) else order.extension,
            "user_id": order.user_id,
        }
        return _PLACEHOLDER.sub(lambda found: values[found.group(1)], template)

    def _ivr(self, which: str) -> str:
        ivr: int | None = getattr(self.settings, which)
        if ivr is None:
            raise self._refuse(f"pbx.{self.name}.{which} is not set: give the id of that IVR")
        return str(ivr)

    def _refuse(self, why: str) -> PbxRefused:
        return PbxRefused(self.name, f"{why}; nothing was sent")

    def _groups_of_users(self) -> dict[str, tuple[str, ...]]:
        """Return the ring groups of each user, read once a minute; presence must not wait for them."""
        with self._groups_lock:
            if self._monotonic() < self._groups_until:
                return self._groups
            try:
                members: dict[str, list[str]] = {}
                for group in self.entities.ring_groups():
                    for member in group.members:
                        members.setdefault(member.id, []).append(group.name or group.id)
                self._groups = {user: tuple(dict.fromkeys(names)) for user, names in members.items()}
            except PbxRefused as exc:
                # The module may be allowed to list users and not groups. Campaigns then name their agents.
                if not self._groups_known:
                    log.warning("ring groups cannot be read, so no agent has any: %s", exc)
            except PbxError:
                # What was known a minute ago is still the best guess; with nothing known, nobody may believe
                # that the groups are empty.
                if not self._groups_known:
                    raise
            self._groups_known = True
            self._groups_until = self._monotonic() + GROUPS_LIFE
            return self._groups


def _features(settings: PbxSettings) -> frozenset[Feature]:
    """What can be done follows from which IVRs are named."""
    found = {
        Feature.HANG_UP,
        Feature.PRESENCE,
        Feature.LINES,
        Feature.CURRENT_CALLS,
        Feature.CALL_REPORT,
        Feature.RECORDING,
    }
    if settings.reception_ivr is not None:
        found.add(Feature.CUSTOMER_FIRST)
        if settings.waiting_ivr is not None:
            found.add(Feature.JOIN)
        if settings.abandon_ivr is not None:
            found.add(Feature.DIVERT)
    return frozenset(found)
