"""What EasyConnect's webhook says, in our words: by GET or POST, with two spellings of its Booleans."""

import re
from datetime import UTC, datetime

from dialer.errors import EventTrouble
from dialer.pbx.base import CallEvent, CallOutcome, EventKeys, Heard, Payload, Role
from dialer.pbx.dialled import as_e164
from dialer.pbx.easyconnect_options import EasyConnectOptions
from dialer.pbx.fields import Fields, fields_of
from dialer.pbx.foreign import foreign_id, inert
from dialer.settings import PbxSettings

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.\d+)?\s*(?:\(UTC\)|UTC|Z)?", re.ASCII)
_YES, _NO = ("true", "yes", "1"), ("false", "no", "0")
_NULL = ("", "null", "none")
STATUSES = ("ringing", "connected", "disconnected")


class EasyConnectEvents:
    """Reads events under the settings of one PBX."""

    def __init__(self, settings: PbxSettings, options: EasyConnectOptions) -> None:
        self._settings = settings
        self._options = options

    def keys(self, payload: Payload) -> EventKeys:
        """Which call to look at. A phone that rings can wait: nothing hangs on it."""
        fields = fields_of(payload)
        status = fields.get("status", "").lower()
        return EventKeys(call_id=foreign_id(fields.get("callid")), can_wait=status == "ringing")

    def read(self, payload: Payload) -> CallEvent:
        fields = fields_of(payload)
        status = fields.get("status", "").lower()
        call_id = foreign_id(fields.get("callid"))
        if status not in STATUSES:
            raise EventTrouble(f"no status of a call: {inert(status, 40)!r}")
        if call_id is None:
            raise EventTrouble(f"a {status} event without a callId")
        outgoing = _bool(fields, "outgoing")
        if outgoing is None:
            raise EventTrouble(f"a {status} event that does not say whether the call is outgoing")
        other = fields.get("to" if outgoing else "from")
        heard, role, outcome = self._said(status, outgoing, _bool(fields, "connected"), fields)
        return CallEvent(
            heard=heard,
            name=status,
            call_id=call_id,
            role=role,
            outcome=outcome,
            number=as_e164(self._settings, other),
            vendor_time=_text(fields, "starttime"),
            user_id=_digits(_text(fields, "monitoredextension") or _text(fields, "from" if outgoing else "to")),
            began=_time(_text(fields, "starttime")),
            talked=_talked(fields) if status == "disconnected" else None,
        )

    def _said(
        self, status: str, outgoing: bool, connected: bool | None, fields: Fields
    ) -> tuple[Heard, Role, CallOutcome | None]:
        if status == "disconnected":
            met = connected if connected is not None else _time(_text(fields, "pickuptime")) is not None
            # Busy, no answer and rejected look alike. Where `ringing` is known to be the customer's phone, its absence
            # tells that the agent's was not taken; else the doubt goes to the customer, and counts.
            missed = CallOutcome.UNKNOWN if self._options.ringing_means == "customer" else CallOutcome.NO_ANSWER
            role = Role.CUSTOMER if outgoing else Role.OTHER
            return Heard.ENDED, role, CallOutcome.OK if met else missed
        if not outgoing:
            return (Heard.ARRIVED if status == "ringing" else Heard.ANSWERED), Role.OTHER, None
        if status == "connected":
            return Heard.ANSWERED, Role.CUSTOMER, None
        if self._options.ringing_means == "customer":
            return Heard.RINGING, Role.CUSTOMER, None
        return Heard.CALLING, Role.AGENT, None


def _text(fields: Fields, name: str) -> str | None:
    value = fields.get(name, "")
    return None if value.lower() in _NULL else value


def _bool(fields: Fields, name: str) -> bool | None:
    value = fields.get(name, "").lower()
    return True if value in _YES else False if value in _NO else None


def _digits(text: str | None) -> str | None:
    return text if text is not None and text.isascii() and text.isdecimal() and len(text) <= 15 else None


def _time(text: str | None) -> datetime | None:
    """Read `2026-02-03 04:05:06 (UTC)`, with or without the suffix; None when it is no time."""
    found = _TIME.fullmatch(text.strip()) if text else None
    try:
        return datetime.fromisoformat(f"{found[1]}T{found[2]}").replace(tzinfo=UTC) if found else None
    except ValueError:
        return None


def _talked(fields: Fields) -> float | None:
    """Seconds of talk: as told, or from the times; -1 is how it says that it does not know."""
    value = fields.get("conversationtime", "")
    if value.isascii() and value.isdecimal() and len(value) < 7:
        return float(value)
    begun, over = _time(_text(fields, "pickuptime")), _time(_text(fields, "endtime"))
    return max(0.0, (over - begun).total_seconds()) if begun and over else None
