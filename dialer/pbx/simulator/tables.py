"""The numbers of VOIspeed's appendices, as this PBX speaks them. Read here from the maker's tables, on purpose
apart from the adapter's reading: a slip on one side shows as a disagreement.
"""

from enum import Enum, IntEnum


class EntityType(IntEnum):
    """Table 1."""

    USER = 0
    GROUP = 1
    GATEWAY = 2
    IVR = 3
    TERMINAL = 7
    VOICEMAIL = 8
    MEETING_ROOM = 10
    PARKING = 11
    DEPARTMENT = 13


class Presence(IntEnum):
    """Table 2, the audio/video status of a user."""

    UNKNOWN = 0
    UNAVAILABLE = 1
    AVAILABLE = 2
    RINGING = 3
    BUSY = 4
    DO_NOT_DISTURB = 5
    RESERVED = 6
    ABSENT = 7
    DIVERTED = 8


class Link(IntEnum):
    """Table 4, the link of a gateway."""

    NOT_REGISTERED = 1
    REGISTERED = 2
    TRYING = 7


class RingMode(IntEnum):
    """Table 10; the two of it that differ here."""

    ALL = 1
    QUEUE = 7


class NodeAction(IntEnum):
    """Table 12."""

    NONE = 0
    NEXT_NODE = 1
    CALL = 2
    SCRIPT = 3


OK = 1  # table 8: in events and reports *one* is good
UNKNOWN = 0
RINGING_SIGNAL = 180  # table 14


class Failure(Enum):
    """Why an entity did not take a call: table 8's word for the called side, then for the calling side."""

    BUSY = (2, 10)
    REJECTED = (3, 11)
    UNAVAILABLE = (4, 12)
    NO_ANSWER = (5, 9)
    NO_LINES = (6, 13)
    DO_NOT_DISTURB = (7, 11)
    ABSENT = (8, 12)

    def code(self, *, calling_side: bool) -> int:
        return self.value[1] if calling_side else self.value[0]


EXTENDED_EVENTS = {
    "call_in": 1,
    "call_progress": 2,
    "call_out": 3,
    "call_response": 4,
    "disconnect_in": 5,
    "disconnect_out": 6,
    "call_transfer": 7,
    "call_divert": 9,
    "call_terminated": 10,
    "call_held": 11,
    "call_retrieved": 12,
}

USER_EVENTS = {
    "cmd_failed": 1,
    "incoming_call": 8,
    "outgoing_call": 9,
    "new_voicemail": 10,
    "lost_call": 12,
    "call_answered": 14,
    "call_rejected": 15,
    "call_disconnect_out": 16,
    "call_disconnect_in": 17,
}
