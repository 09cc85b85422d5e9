"""VOIspeed's numbers, by the tables of its guide, and what each means in our words.

`outcome` has two meanings that must never meet: in a *reply* 0 is good (`ReplyOutcome`), in events and reports
1 is good (`CallResult`, table 8). They are two types, and neither has a cell for the other's numbers.
"""

import re
from enum import IntEnum

from dialer.pbx.base import CallOutcome, Presence, Role
from dialer.settings import PbxSettings

_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")


class ReplyOutcome(IntEnum):
    """Of a reply: whether the request was taken. Taken never means done."""

    ACCEPTED = 0
    REFUSED = 1


class EntityType(IntEnum):
    """Table 1. An id is unique only inside its type."""

    USER = 0
    RING_GROUP = 1
    GATEWAY = 2
    IVR = 3
    TERMINAL = 7
    VOICEMAIL = 8
    MEETING_ROOM = 10
    PARKING = 11
    DEPARTMENT = 13


class GatewayType(IntEnum):
    """Table 3."""

    VOIP = 0
    ISDN = 1
    GSM = 2
    ANALOGUE = 3


class LinkStatus(IntEnum):
    """Table 4."""

    NOT_REGISTERED = 1
    REGISTERED = 2
    TRYING = 7


class TerminalType(IntEnum):
    """Table 5."""

    UNKNOWN = 0
    RESERVED = 1
    SIP = 2
    USB = 3
    DECT = 4
    MOBILE = 5


class CallResult(IntEnum):
    """Table 8: how a call ended, in events and reports. The guide's 12 is a misprint: the calling side."""

    UNKNOWN = 0
    OK = 1
    CALLED_BUSY = 2
    CALLED_REJECTED = 3
    CALLED_UNAVAILABLE = 4
    CALLED_NO_ANSWER = 5
    CALLED_NO_LINES = 6
    CALLED_DO_NOT_DISTURB = 7
    CALLED_ABSENT = 8
    CALLING_NO_ANSWER = 9
    CALLING_BUSY = 10
    CALLING_REJECTED = 11
    CALLING_UNAVAILABLE = 12
    CALLING_NO_LINES = 13


class RingMode(IntEnum):
    """Table 10."""

    ALL = 1
    CYCLIC = 2
    CYCLIC_FORWARD = 3
    PROGRESSIVE = 4
    PROGRESSIVE_FORWARD = 5
    UNUSED = 6
    QUEUE = 7


class IvrInput(IntEnum):
    """Table 11."""

    NONE = 0
    FIXED_LENGTH = 1
    ENDED_BY_CHARACTER = 2
    ENDED_BY_PAUSE = 3


class IvrAction(IntEnum):
    """Table 12: what a node does after its message and input."""

    NONE = 0
    NEXT_NODE = 1
    CALL = 2
    SCRIPT = 3


class AutoAnswer(IntEnum):
    """Table 13."""

    NONE = 0
    CALLING = 1
    CALLED = 2


class ScriptCommand(IntEnum):
    """Table 15: what an IVR script may answer."""

    END = 0
    CHILD_NODE = 1
    TRANSFER_TO_NUMBER = 2
    TRANSFER_TO_ENTITY = 3
    RERUN_NODE = 4


class ExtendedEvent(IntEnum):
    """What the PBX heard (in) or did (out). Some codes are also those of user events."""

    CALL_IN = 1
    CALL_PROGRESS = 2
    CALL_OUT = 3
    CALL_RESPONSE = 4
    DISCONNECT_IN = 5
    DISCONNECT_OUT = 6
    CALL_TRANSFER = 7
    DTMF_OUT = 8
    CALL_DIVERT = 9
    CALL_TERMINATED = 10
    CALL_HELD = 11
    CALL_RETRIEVED = 12


class UserEvent(IntEnum):
    """Table 6: what happened to one extension."""

    CMD_FAILED = 1
    INCOMING_CALL = 8
    OUTGOING_CALL = 9
    NEW_VOICEMAIL = 10
    LOST_CALL = 12
    CALL_ANSWERED = 14
    CALL_REJECTED = 15
    CALL_DISCONNECT_OUT = 16
    CALL_DISCONNECT_IN = 17
    CALL_TRANSFER = 18


# Table 14: what a progress event may carry.
PROGRESS = {180: "ringing", 181: "forwarded", 183: "progress"}

# Table 2. A number that is not here is UNKNOWN, which no rule takes for available.
_PRESENCE = {
    0: Presence.UNKNOWN,
    1: Presence.UNAVAILABLE,
    2: Presence.AVAILABLE,
    3: Presence.RINGING,
    4: Presence.BUSY,
    5: Presence.DO_NOT_DISTURB,
    6: Presence.RESERVED,
    7: Presence.ABSENT,
    8: Presence.DIVERTED,
}

# The customer is the *calling* side of our calls, so both families mean the same to us.
_OUTCOME = {
    CallResult.OK: CallOutcome.OK,
    CallResult.CALLED_BUSY: CallOutcome.BUSY,
    CallResult.CALLED_REJECTED: CallOutcome.REJECTED,
    CallResult.CALLED_UNAVAILABLE: CallOutcome.UNAVAILABLE,
    CallResult.CALLED_NO_ANSWER: CallOutcome.NO_ANSWER,
    CallResult.CALLED_NO_LINES: CallOutcome.NO_LINES,
    CallResult.CALLED_DO_NOT_DISTURB: CallOutcome.UNAVAILABLE,
    CallResult.CALLED_ABSENT: CallOutcome.UNAVAILABLE,
    CallResult.CALLING_NO_ANSWER: CallOutcome.NO_ANSWER,
    CallResult.CALLING_BUSY: CallOutcome.BUSY,
    CallResult.CALLING_REJECTED: CallOutcome.REJECTED,
    CallResult.CALLING_UNAVAILABLE: CallOutcome.UNAVAILABLE,
    CallResult.CALLING_NO_LINES: CallOutcome.NO_LINES,
}


def number(text: str | None) -> int | None:
    """Return a whole number as VOIspeed writes it; None when there is none."""
    if text is None:
        return None
    text = text.strip()
    digits = text.removeprefix("-")
    # `int` alone would take "１２", "1_0" and a megabyte of digits.
    if not digits.isascii() or not digits.isdecimal() or len(digits) > 18:
        return None
    return int(text)


def seconds(text: str | None) -> float | None:
    """Return a length of time, whole as the guide prints it or with a fraction; None when there is none."""
    text = (text or "").strip()
    return float(text) if _SECONDS.fullmatch(text) else None


def presence(text: str | None) -> Presence:
    """Read an `av_status`."""
    return _PRESENCE.get(number(text) or 0, Presence.UNKNOWN)


def call_outcome(text: str | None) -> CallOutcome:
    """Read the `outcome` of an event or a report; 0 and everything unknown is UNKNOWN, never success."""
    code = number(text)
    try:
        return _OUTCOME.get(CallResult(code), CallOutcome.UNKNOWN) if code is not None else CallOutcome.UNKNOWN
    except ValueError:
        return CallOutcome.UNKNOWN


def role_of(entity_type: str | None, entity_id: str | None, settings: PbxSettings) -> Role:
    """Say which part an entity plays in our calls, from its type and, for an IVR, from the settings."""
    kind = number(entity_type)
    if kind == EntityType.GATEWAY:
        return Role.CUSTOMER
    if kind == EntityType.USER:
        return Role.AGENT
    if kind == EntityType.IVR:
        ivr = number(entity_id)
        if ivr is not None:
            for known, role in (
                (settings.reception_ivr, Role.RECEPTION),
                (settings.waiting_ivr, Role.WAITING),
                (settings.abandon_ivr, Role.MESSAGE),
            ):
                if ivr == known:
                    return role
    return Role.OTHER
