"""What VoIPLine's webhooks say, in our words. The word in `type` decides, whatever address it was sent to."""

from dialer.errors import EventTrouble
from dialer.pbx import voipline_words as words
from dialer.pbx.base import CallEvent, CallOutcome, EventKeys, Heard, Payload, Role
from dialer.pbx.fields import fields_of
from dialer.pbx.foreign import foreign_id, inert

OUTBOUND, INBOUND = "user_outbound", "user_inbound"
_ANSWERED, _COMPLETED = "_answered", "_completed"


class VoiplineEvents:
    """Reads events. They need no settings."""

    def keys(self, payload: Payload) -> EventKeys:
        """Which call to look at. That one begins can wait: nothing hangs on it."""
        fields = fields_of(payload)
        return EventKeys(
            call_id=foreign_id(fields.get("unique_call_id")), can_wait=fields.get("type") in (OUTBOUND, INBOUND)
        )

    def read(self, payload: Payload) -> CallEvent:
        fields = fields_of(payload)
        kind = fields.get("type", "").lower()
        if not kind:
            raise EventTrouble("an event without a type")
        call_id = foreign_id(fields.get("unique_call_id"))
        outbound = kind.startswith(OUTBOUND)
        if not outbound and not kind.startswith(INBOUND):
            # Voicemail, recordings, summaries, and words that this release does not know: kept, and nothing to a call.
            return CallEvent(Heard.OTHER, inert(kind, 40), call_id=call_id)
        if call_id is None:
            raise EventTrouble(f"a {inert(kind, 40)} event without a unique_call_id")
        outcome, talked = None, None
        if kind.endswith(_COMPLETED):
            # Whether somebody answered is told by the time, not by a word; why nobody did is not told at all.
            met = words.moment(fields.get("connected_at")) is not None
            heard, outcome = Heard.ENDED, CallOutcome.OK if met else CallOutcome.NO_ANSWER
            talked = words.seconds(fields.get("conversation_duration"))
        elif kind.endswith(_ANSWERED):
            heard = Heard.ANSWERED
        elif kind in (OUTBOUND, INBOUND):
            # Of an outbound call it is not said whose phone rings by now: it was launched, no more.
            heard = Heard.CALLING if outbound else Heard.ARRIVED
        else:
            return CallEvent(Heard.OTHER, inert(kind, 40), call_id=call_id)
        customer = Role.AGENT if heard is Heard.CALLING else Role.CUSTOMER
        return CallEvent(
            heard=heard,
            name=kind,
            call_id=call_id,
            role=customer if outbound else Role.OTHER,
            outcome=outcome,
            number=words.number(fields.get("dest_number" if outbound else "caller_id")),
            vendor_time=words.said(fields.get("call_start_at")),
            user_id=words.extension(fields.get("user_number")),
            began=words.moment(fields.get("call_start_at")),
            talked=talked,
        )
