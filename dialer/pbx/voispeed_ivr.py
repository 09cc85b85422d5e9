"""VOIspeed's IVR script: a node asks our URL what to do with its caller, and obeys a few `name=value` lines.

Pure: `read_ivr_query` understands the question, `render` writes the answer. A node that gets no answer, or one it
cannot read, ends the call; so every answer is checked before it is written, and nothing in it can become a
second line.
"""

import re
from dataclasses import dataclass

from dialer.errors import EventTrouble
from dialer.pbx.base import Payload
from dialer.pbx.fields import fields_of, first
from dialer.pbx.foreign import foreign_id, inert, is_number
from dialer.pbx.voispeed_codes import EntityType, IvrAction, ScriptCommand

CONTENT_TYPE = "text/plain; charset=utf-8"
_KEY = re.compile(r"[0-9*#]{1,8}")
_FILE = re.compile(r"[A-Za-z0-9 ._/-]{1,120}")
_URL = re.compile(r"https?://[A-Za-z0-9._~:/?#@!$&'()*+,;=%\[\]-]{1,300}")
_TAG = re.compile(r"[A-Za-z0-9._:-]{1,64}")


@dataclass(frozen=True, slots=True)
class IvrQuestion:
    """What a node tells when it asks."""

    call_id: str
    ivr_id: str
    node_id: str
    calling: str
    called: str
    digits: str  # what the caller typed
    tag: str | None  # what an earlier answer left with the node; None when nothing did
    license_id: str
    domain: str


@dataclass(frozen=True, slots=True)
class End:
    """End the call."""


@dataclass(frozen=True, slots=True)
class GoToChild:
    """Go on at the child node with this key; with an unknown key the caller stays where they are."""

    key: str


@dataclass(frozen=True, slots=True)
class TransferToNumber:
    """Hand the caller to a number, which the PBX's routing rules resolve."""

    number: str


@dataclass(frozen=True, slots=True)
class TransferToEntity:
    """Hand the caller to an entity. `number` is shown there as the number that was called."""

    type: EntityType
    id: str
    number: str


@dataclass(frozen=True, slots=True)
class RerunNode:
    """Change the node and run it again. None leaves a property as it is."""

    audio_message: str | None = None
    audio_loop: bool | None = None
    input_length: int | None = None
    input_timeout: int | None = None
    node_action: IvrAction | None = None
    script_url: str | None = None
    tag: str | None = None


IvrAnswer = End | GoToChild | TransferToNumber | TransferToEntity | RerunNode


def read_ivr_query(query: str) -> IvrQuestion:
    """Understand a node's question; EventTrouble when it does not say which call it asks about."""
    fields = fields_of(Payload("GET", query))
    call_id = foreign_id(fields.get("callid"))
    if call_id is None:
        raise EventTrouble("an IVR node asks without a callid; is the node's script URL the one for VOIspeed IVRs?")
    tag = fields.get("tag")
    return IvrQuestion(
        call_id=call_id,
        ivr_id=foreign_id(first(fields, ("ivrid", "ivr_id"))) or "",
        node_id=foreign_id(first(fields, ("nodeid", "node_id"))) or "",
        calling=inert(fields.get("calling", ""), 40),
        called=inert(fields.get("called", ""), 40),
        digits="".join(char for char in fields.get("input", "") if char in "0123456789*#")[:64],
        tag=tag if tag and tag != "-1" and _TAG.fullmatch(tag) else None,
        license_id=inert(fields.get("license_id", ""), 64),
        domain=inert(fields.get("domain", ""), 120),
    )


def render(answer: IvrAnswer) -> bytes:
    """Write an answer as the node reads it; ValueError, and nothing written, when a value could not stand there."""
    # CR LF between the lines and none after the last, exactly as every example of the guide writes it: a node
    # that stumbles over an empty last line would end the call.
    return "\r\n".join(f"{name}={value}" for name, value in _parameters(answer)).encode("ascii")


def _parameters(answer: IvrAnswer) -> list[tuple[str, str | int]]:
    match answer:
        case End():
            return [("command", ScriptCommand.END.value)]
        case GoToChild(key):
            return [("command", ScriptCommand.CHILD_NODE.value), ("node_key", _checked("node_key", key, _KEY))]
        case TransferToNumber(number):
            return [("command", ScriptCommand.TRANSFER_TO_NUMBER.value), ("recipient_number", _number(number))]
        case TransferToEntity(kind, entity_id, number):
            if not entity_id.isascii() or not entity_id.isdecimal():
                raise ValueError(f"recipient_id must be digits, not {inert(entity_id, 30)!r}")
            return [
                ("command", ScriptCommand.TRANSFER_TO_ENTITY.value),
                ("recipient_number", _number(number)),
                ("recipient_id", entity_id),
                ("recipient_type", int(kind)),
            ]
        case RerunNode():
            return _rerun(answer)


def _rerun(node: RerunNode) -> list[tuple[str, str | int]]:
    told: list[tuple[str, str | int]] = [("command", ScriptCommand.RERUN_NODE.value)]
    if node.audio_message is not None:
        told.append(("audio_message", _checked("audio_message", node.audio_message, _FILE)))
    if node.audio_loop is not None:
        told.append(("audio_loop", int(node.audio_loop)))
    for name, value in (("input_length", node.input_length), ("input_timeout", node.input_timeout)):
        if value is not None:
            if not 0 <= value <= 3600:
                raise ValueError(f"{name} must be from 0 to 3600, not {value}")
            told.append((name, value))
    if node.node_action is not None:
        told.append(("node_action", int(node.node_action)))
    if node.script_url is not None:
        told.append(("script_url", _checked("script_url", node.script_url, _URL)))
    if node.tag is not None:
        told.append(("tag", _checked("tag", node.tag, _TAG)))
    return told


def _number(text: str) -> str:
    # Extensions are numbers here too, and may be shorter than a telephone number.
    digits = text.removeprefix("+")
    if not is_number(text) and not (digits == text and text.isascii() and text.isdecimal() and len(text) <= 15):
        raise ValueError(f"recipient_number must be digits, not {inert(text, 30)!r}")
    return digits


def _checked(name: str, value: str, allowed: re.Pattern[str]) -> str:
    if not allowed.fullmatch(value):
        raise ValueError(f"{name} cannot be {inert(value, 60)!r}")
    return value
