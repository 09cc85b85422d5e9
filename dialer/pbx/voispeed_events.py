"""What VOIspeed tells us, in our words: extended events move calls, user events are only noted.

The parameter tables of the guide are lost, so names of ids come from lists in the settings, and an event is
told by its name before its code: user and extended events share codes, and two extended ones are printed with
the same.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from dialer.errors import EventTrouble
from dialer.pbx.base import CallEvent, CallOutcome, EventKeys, Heard, Payload, Role
from dialer.pbx.fields import Fields, fields_of, first
from dialer.pbx.foreign import foreign_id, inert
from dialer.pbx.voispeed_codes import (
    PROGRESS,
    ExtendedEvent,
    UserEvent,
    call_outcome,
    number,
    role_of,
)
from dialer.settings import PbxSettings

log = logging.getLogger(__name__)

USER = "2"  # the `event_type` of user events; anything else is extended
_REF = ("extid", "external_id", "ext_id")
_USER_CALL = ("usercallid", "call_id", "callid")
_TIME = ("datetime", "date_time", "event_time", "timestamp", "time")
_EXTENDED_NAMES = {event.name.lower(): event for event in ExtendedEvent}
_USER_NAMES = {event.name.lower(): event for event in UserEvent}
_ONLY_EXTENDED = set(_EXTENDED_NAMES) - set(_USER_NAMES)
_ONLY_USER = set(_USER_NAMES) - set(_EXTENDED_NAMES)
# Fields the guide or its users name; a number under any other name may be an id we should know of.
_GUIDE = """
    event_type event event_name ext extid external_id ext_id number token duration called calling did to domain
    license_id outcome request_id error_code error_msg error note code progress progress_code user_id refer_id
    sender_id sender_type recipient_id recipient_type calling_id calling_type calling_number called_id called_type
    called_number connected_id connected_type connected_number usercallid call_id com_id callid datetime date_time
    event_time timestamp time sender_call_id sender_local_id recipient_call_id recipient_local_id called_call_id
    called_local_id calling_call_id calling_local_id
"""
_KNOWN_FIELDS = frozenset(_GUIDE.split())
_MAX_UNKNOWN = 200


class VoispeedEvents:
    """Reads the events of one VOIspeed; `settings` say how its ids are called and which IVR is which."""

    def __init__(self, settings: PbxSettings) -> None:
        self._settings = settings
        self._call_fields = tuple(name.lower() for name in settings.call_id_fields)
        self._leg_fields = tuple(name.lower() for name in settings.leg_id_fields)
        self._known = _KNOWN_FIELDS | set(self._call_fields) | set(self._leg_fields)
        self._unknown: set[tuple[str, str]] = set()
        self._readers: dict[ExtendedEvent, Callable[[str, Fields], CallEvent]] = {
            ExtendedEvent.CALL_IN: self._call_in,
            ExtendedEvent.CALL_PROGRESS: self._call_progress,
            ExtendedEvent.CALL_OUT: self._call_out,
            ExtendedEvent.CALL_RESPONSE: self._call_response,
            ExtendedEvent.DISCONNECT_IN: self._disconnect,
            ExtendedEvent.DISCONNECT_OUT: self._disconnect,
            ExtendedEvent.CALL_TRANSFER: self._call_transfer,
            ExtendedEvent.DTMF_OUT: self._retired,
            ExtendedEvent.CALL_DIVERT: self._call_divert,
            ExtendedEvent.CALL_TERMINATED: self._call_terminated,
            ExtendedEvent.CALL_HELD: self._held,
            ExtendedEvent.CALL_RETRIEVED: self._held,
        }

    def keys(self, payload: Payload) -> EventKeys:
        """Find the ids in an event; whatever came, an answer and no error."""
        fields = fields_of(payload)
        call_fields = _USER_CALL if fields.get("event_type") == USER else self._call_fields
        return EventKeys(
            ref=foreign_id(first(fields, _REF)),
            call_id=foreign_id(first(fields, call_fields)),
            request_id=foreign_id(fields.get("request_id")),
            can_wait=_can_wait(fields),
        )

    def read(self, payload: Payload) -> CallEvent:
        """Understand an event; EventTrouble says what is missing or unknown."""
        fields = fields_of(payload)
        if not fields:
            raise EventTrouble("the event carries no fields; the PBX should send them in the query string")
        name = fields.get("event_name", "").lower().replace("-", "_").replace(" ", "_")
        if name == "cmd_failed":
            return self._cmd_failed(name, fields)
        if _is_user_event(name, fields):
            return self._user_event(name, fields)
        code = number(fields.get("event"))
        event = _EXTENDED_NAMES.get(name) or _by_code(code)
        if event is None:
            told = f"event_name={inert(name, 40)!r}, event={inert(fields.get('event', ''), 12)!r}"
            raise EventTrouble(f"an extended event of a kind VOIspeed's guide does not have: {told}")
        if not name and code in (ExtendedEvent.DISCONNECT_IN, ExtendedEvent.DISCONNECT_OUT):
            # The guide prints both with 5 in one place, and swapped in another: the party decides.
            event = _direction(fields, event)
        self._note_unknown(event.name.lower(), fields)
        heard = self._readers[event](name or event.name.lower(), fields)
        if heard.ref is None and heard.call_id is None and heard.heard is not Heard.OTHER:
            raise EventTrouble(
                f"{heard.name} names no call: neither extid nor any of {', '.join(self._call_fields)}; "
                "if this PBX calls the id otherwise, add the name to call_id_fields"
            )
        return heard

    # extended events ----------------------------------------------------------------------------------

    def _call_in(self, name: str, fields: Fields) -> CallEvent:
        return self._event(Heard.ARRIVED, name, fields, "calling", number=_short(fields.get("calling")))

    def _call_progress(self, name: str, fields: Fields) -> CallEvent:
        code = number(first(fields, ("code", "progress_code", "progress")))
        return self._event(Heard.RINGING, name, fields, "sender", note=PROGRESS.get(code or 0))

    def _call_out(self, name: str, fields: Fields) -> CallEvent:
        return self._event(Heard.CALLING, name, fields, "called", number=_short(fields.get("called")))

    def _call_response(self, name: str, fields: Fields) -> CallEvent:
        told = fields.get("outcome", "")
        # Only an accepted call tells who is connected. -1 and 0 are how PBXs fill a field they have nothing for.
        connected = fields.get("connected_id", "") not in ("", "0", "-1")
        if not told and not connected:
            raise EventTrouble("call_response says neither an outcome nor who is connected: answered or not?")
        # 0 is "unknown" here and never success, whatever it means in replies.
        if number(told) == 1 or connected:
            return self._event(Heard.ANSWERED, name, fields, "sender", outcome=CallOutcome.OK)
        return self._event(Heard.NOT_REACHED, name, fields, "sender", outcome=call_outcome(told))

    def _disconnect(self, name: str, fields: Fields) -> CallEvent:
        named = ExtendedEvent.DISCONNECT_OUT if name.endswith("out") else ExtendedEvent.DISCONNECT_IN
        if _direction(fields, named) is ExtendedEvent.DISCONNECT_OUT:
            return self._event(Heard.DROPPED, name, fields, "recipient")
        return self._event(Heard.LEFT, name, fields, "sender")

    def _call_transfer(self, name: str, fields: Fields) -> CallEvent:
        other = foreign_id(fields.get("refer_id"))
        return self._event(Heard.TRANSFERRED, name, fields, "recipient", other_call_id=other)

    def _call_divert(self, name: str, fields: Fields) -> CallEvent:
        return self._event(Heard.DIVERTED, name, fields, "recipient")

    def _call_terminated(self, name: str, fields: Fields) -> CallEvent:
        return self._event(Heard.ENDED, name, fields, "", outcome=call_outcome(fields.get("outcome")))

    def _held(self, name: str, fields: Fields) -> CallEvent:
        heard = Heard.RETRIEVED if name.endswith("retrieved") else Heard.HELD
        # The entity type is implied: only users hold calls.
        user = foreign_id(fields.get("user_id"))
        return self._event(heard, name, fields, "", role=Role.AGENT, party_id=user)

    def _retired(self, name: str, fields: Fields) -> CallEvent:
        return self._event(Heard.OTHER, name, fields, "", note="retired by the maker")

    def _event(self, heard: Heard, name: str, fields: Fields, party: str, **more: Any) -> CallEvent:
        """Fill in what every extended event has; `party` is the prefix of the entity it is about."""
        if party:
            kind, of = fields.get(f"{party}_type"), fields.get(f"{party}_id")
            own = (f"{party}_call_id", f"{party}_local_id")
            # A transfer names two legs; the general name may be the other side's.
            names = (*own, *self._leg_fields) if party == "recipient" else (*self._leg_fields, *own)
            more.setdefault("role", role_of(kind, of, self._settings))
            more.setdefault("party_id", foreign_id(of))
            more.setdefault("leg_id", foreign_id(first(fields, names)))
        return CallEvent(
            heard=heard,
            name=name,
            ref=foreign_id(first(fields, _REF)),
            call_id=foreign_id(first(fields, self._call_fields)),
            request_id=foreign_id(fields.get("request_id")),
            vendor_time=_short(first(fields, _TIME)),
            **more,
        )

    # user events --------------------------------------------------------------------------------------

    def _user_event(self, name: str, fields: Fields) -> CallEvent:
        code = number(fields.get("event"))
        if name not in _USER_NAMES:
            event = next((event for event in UserEvent if event == code), None)
            if event is None or name in _ONLY_EXTENDED:
                told = f"event_name={inert(name, 40)!r}, event={inert(fields.get('event', ''), 12)!r}"
                raise EventTrouble(f"a user event of a kind VOIspeed's guide does not have: {told}")
            name = event.name.lower()
        if name == "cmd_failed":
            return self._cmd_failed(name, fields)
        extension = fields.get("ext", "")
        return CallEvent(
            heard=Heard.OTHER,
            name=name,
            ref=foreign_id(first(fields, _REF)),
            call_id=foreign_id(first(fields, _USER_CALL)),
            role=Role.AGENT,
            request_id=foreign_id(fields.get("request_id")),
            number=_short(fields.get("number")),
            vendor_time=_short(first(fields, _TIME)),
            note=f"extension {inert(extension, 20)}" if extension else None,
        )

    def _cmd_failed(self, name: str, fields: Fields) -> CallEvent:
        request_id, ref = foreign_id(fields.get("request_id")), foreign_id(first(fields, _REF))
        if request_id is None and ref is None:
            raise EventTrouble("cmd_failed names no command: it carries neither request_id nor extid")
        why = first(fields, ("error_msg", "error", "note")) or "no reason given"
        code = fields.get("error_code")
        return CallEvent(
            heard=Heard.COMMAND_FAILED,
            name=name,
            ref=ref,
            call_id=foreign_id(first(fields, _USER_CALL)),
            request_id=request_id,
            vendor_time=_short(first(fields, _TIME)),
            note=inert(f"{why} (code {code})" if code else why),
        )

    def _note_unknown(self, event: str, fields: Fields) -> None:
        """Log, once for each, a number under a name nobody told us: it may be the id we are looking for."""
        for field, value in fields.items():
            if field in self._known or number(value) is None:
                continue
            seen = (event, field)
            if seen not in self._unknown and len(self._unknown) < _MAX_UNKNOWN:
                self._unknown.add(seen)
                log.info("VOIspeed event %s carries a number in an unknown field: %s", event, inert(field, 40))


def _is_user_event(name: str, fields: Fields) -> bool:
    """Whether an event is told from an extension's point of view."""
    if name in _ONLY_USER:
        return True
    if event_type := fields.get("event_type"):
        return event_type == USER
    if name in _ONLY_EXTENDED:
        return False
    code = number(fields.get("event"))
    if name == "call_transfer":
        if fields.get("refer_id") or fields.get("recipient_id"):
            return False
        return code != ExtendedEvent.CALL_TRANSFER
    if code in set(UserEvent) and code in set(ExtendedEvent):
        return bool(fields.get("ext"))
    return code in set(UserEvent)


def _short(text: str | None) -> str | None:
    return inert(text, 40) if text else None


def _by_code(code: int | None) -> ExtendedEvent | None:
    return next((event for event in ExtendedEvent if event == code), None)


def _direction(fields: Fields, otherwise: ExtendedEvent) -> ExtendedEvent:
    """Tell who hung up from the party an event names, never from its name alone: those are printed swapped."""
    sender, recipient = fields.get("sender_id"), fields.get("recipient_id")
    if recipient and not sender:
        return ExtendedEvent.DISCONNECT_OUT
    if sender and not recipient:
        return ExtendedEvent.DISCONNECT_IN
    return otherwise


_PATIENT_NAMES = ("call_out", "call_progress", "call_in", "dtmf_out", "call_held", "call_retrieved")
_PATIENT_CODES = ("1", "2", "3", "8", "11", "12")


def _can_wait(fields: Mapping[str, str]) -> bool:
    name = fields.get("event_name", "").lower()
    if name == "cmd_failed":
        return False
    if fields.get("event_type") == USER or name in _PATIENT_NAMES:
        return True
    return not name and fields.get("event") in _PATIENT_CODES
