"""Every call service of VOIspeed, user and extended, under the maker's own names.

Numbers and ids are checked before they meet the PBX. Names the guide's lost tables took with them come from the
settings. A command returns the PBX's request id: it was taken, which never means that it was done.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from dialer.errors import PbxNonsense, PbxRefused, SettingsError
from dialer.pbx.foreign import inert, is_entity_id, is_number, is_reference, masked
from dialer.pbx.sealed import Look
from dialer.pbx.voispeed_calls import (
    CurrentCall,
    ReportedCall,
    UserCall,
    current_call,
    reported_call,
    user_call,
)
from dialer.pbx.voispeed_codes import AutoAnswer, EntityType
from dialer.pbx.voispeed_wire import Wire

# What a number field of an internal leg may hold: an extension or a number, never a word.
_SHOWN_NUMBER = re.compile(r"\+?[0-9*#]{1,30}")
_DEVICE = re.compile(r"[a-z0-9_-]{1,20}")
# Our words for the arguments of call_divert_ext, and the names expected by analogy with its sister services.
DIVERT_FIELDS = {
    "call_id": "call_id",
    "sender_type": "sender_type",
    "sender_id": "sender_id",
    "sender_local_id": "sender_local_id",
    "recipient_type": "recipient_type",
    "recipient_id": "recipient_id",
    "recipient_number": "recipient_number",
}
_DOCUMENTED_ACTIONS = {"divert": "divert", "disconnect": "disconnect"}


@dataclass(frozen=True, slots=True)
class Entity:
    """One end of a call: its type and id, the number that belongs to it, and its leg where it is in a call."""

    type: EntityType
    id: str
    number: str = ""
    leg_id: str = ""


class Services:
    """The call services of one VOIspeed."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._settings = wire.settings
        self._terminate_field = ""  # the name this PBX was seen to understand

    # extended services --------------------------------------------------------------------------------

    def call_request_ext(
        self,
        calling: Entity,
        called: Entity,
        *,
        extid: str,
        auto_answer: AutoAnswer = AutoAnswer.NONE,
        before_send: Look | None = None,
    ) -> str:
        """Call one entity and, when it accepts, connect it to another."""
        if not is_reference(extid):
            raise self._wire.refuse(f"{inert(extid, 70)!r} cannot be a reference (extid)")
        arguments: dict[str, str | int | None] = {
            "calling_type": int(calling.type),
            "calling_id": self._id("calling_id", calling.id),
            "calling_number": self._shown("calling_number", calling.number),
            "called_type": int(called.type),
            "called_id": self._id("called_id", called.id),
            "called_number": self._shown("called_number", called.number),
            "extid": extid,
            "auto_answer": int(auto_answer) if auto_answer else None,
        }
        return self._wire.order("call_request_ext", arguments, before_send=before_send).request_id

    def call_transfer_ext(self, replace_in: str, replace: Entity, recipient_in: str, recipient: Entity) -> str:
        """Put `recipient` of communication `recipient_in` in the place of `replace` in `replace_in`."""
        arguments: dict[str, str | int | None] = {
            "replace_com_id": self._id("replace_com_id", replace_in),
            "replace_type": int(replace.type),
            "replace_id": self._id("replace_id", replace.id),
            "replace_local_id": self._id("replace_local_id", replace.leg_id),
            "recipient_com_id": self._id("recipient_com_id", recipient_in),
            "recipient_type": int(recipient.type),
            "recipient_id": self._id("recipient_id", recipient.id),
            # The maker's own word; it is not recipient_local_id.
            "recipient_call_id": self._id("recipient_call_id", recipient.leg_id),
        }
        return self._wire.order("call_transfer_ext", arguments).request_id

    def call_divert_ext(self, call_id: str, replace: Entity, recipient: Entity) -> str:
        """Put a newly called entity in the place of `replace`. Argument names: `divert_fields`."""
        ours = {
            "call_id": self._id("call_id", call_id),
            "sender_type": str(int(replace.type)),
            "sender_id": self._id("sender_id", replace.id),
            "sender_local_id": self._id("sender_local_id", replace.leg_id) if replace.leg_id else "",
            "recipient_type": str(int(recipient.type)),
            "recipient_id": self._id("recipient_id", recipient.id),
            "recipient_number": self._shown("recipient_number", recipient.number) if recipient.number else "",
        }
        names = {**DIVERT_FIELDS, **self._settings.divert_fields}
        return self._wire.order("call_divert_ext", {names[word]: ours[word] for word in ours}).request_id

    def call_recording_ext(self, call_id: str, *, on: bool) -> str:
        """Record a communication, or stop. The name of the switch: `recording_field`."""
        switch = self._settings.recording_field
        arguments: dict[str, str | int | None] = {"call_id": self._id("call_id", call_id), switch: int(on)}
        return self._wire.order("call_recording_ext", arguments).request_id

    def call_terminate(self, call_id: str) -> str:
        """End a communication. The names in `terminate_fields` are tried in turn while the PBX refuses them."""
        checked = self._id("call_id", call_id)
        names = list(self._settings.terminate_fields)
        if self._terminate_field in names:
            names.sort(key=lambda name: name != self._terminate_field)
        refusals: list[str] = []
        for name in names:
            try:
                request_id = self._wire.order("call_terminate", {name: checked}).request_id
            except PbxRefused as exc:
                refusals.append(f"with {name}: {exc.why}")
                continue
            self._terminate_field = name
            return request_id
        raise PbxRefused(self._wire.name, "; ".join(refusals) or "terminate_fields is empty: name the argument")

    def get_current_calls(self) -> list[CurrentCall]:
        """List the calls in progress; PbxNonsense when a row names no call, for then none can be called gone."""
        root = self._wire.ask("get_current_calls", records=("call",))
        calls: list[CurrentCall] = []
        for node in root.all("call"):
            call = current_call(node)
            if call is not None:
                calls.append(call)
            elif node.children:
                raise PbxNonsense(self._wire.name, "lists a current call without a readable id")
        return calls

    def get_call_report(self, filters: Mapping[str, str] | None = None) -> list[ReportedCall]:
        """List past calls. The guide's filter names are lost: give those of your PBX, or none."""
        root = self._wire.ask("get_call_report", filters, records=("call",))
        return [reported_call(node) for node in root.all("call") if node.children]

    # user services ------------------------------------------------------------------------------------

    def call_request(self, ext: str, number: str, *, device: str = "", extid: str = "") -> str:
        """Let an extension call a number: its telephone rings first."""
        if not is_number(number):
            raise self._wire.refuse(f"{masked(inert(number, 20))} is not a phone number")
        if device and not _DEVICE.fullmatch(device):
            raise self._wire.refuse(f"{inert(device, 20)!r} is not a terminal (mobile, sip)")
        if extid and not is_reference(extid):
            raise self._wire.refuse(f"{inert(extid, 70)!r} cannot be a reference (extid)")
        arguments = {
            "ext": self._id("ext", ext),
            # One client strips everything that is no digit: a plus may not be understood here.
            "number": number.lstrip("+"),
            "device": device,
            "extid": extid,
        }
        return self._wire.order("call_request", arguments).request_id

    def call_action(self, ext: str, call_id: str, action: str, *, number: str = "", note: str = "") -> str:
        """Act on a user's call: `divert`, `disconnect`, or a word of `call_action_words`."""
        words = {**_DOCUMENTED_ACTIONS, **self._settings.call_action_words}
        word = words.get(action, "")
        if not word:
            raise SettingsError(
                f"pbx.{self._wire.name}: the guide lost VOIspeed's word for {inert(action, 20)!r}; "
                f'set call_action_words = {{ {inert(action, 20)} = "..." }} if you know it'
            )
        if action == "divert" and not number:
            raise self._wire.refuse("a diversion needs the number to divert to")
        arguments = {
            "ext": self._id("ext", ext),
            "call_id": self._id("call_id", call_id),
            "action": word,
            "number": self._shown("number", number) if number else "",
            "note": inert(note, 80),
        }
        return self._wire.order("call_action", arguments).request_id

    def set_user_mode(self, ext: str, mode: str, *, number: str = "") -> str:
        """Set a user's mode by a word of `user_modes`.

        The guide's example prints `service=call_action` with a `mode`, surely a slip: this sends
        `service=set_user_mode`; `extra.set_user_mode_service` changes it.
        """
        code = self._settings.user_modes.get(mode)
        if code is None:
            known = ", ".join(sorted(self._settings.user_modes))
            raise SettingsError(
                f"pbx.{self._wire.name}: no code is known for the mode {inert(mode, 30)!r} (known: {known}); "
                "add it to user_modes"
            )
        service = self._settings.extra.get("set_user_mode_service", "set_user_mode")
        shown = self._shown("number", number) if number else ""
        return self._wire.order(service, {"ext": self._id("ext", ext), "mode": code, "number": shown}).request_id

    def get_user_call_report(
        self, ext: str, *, limit: int | None = None, filters: Mapping[str, str] | None = None
    ) -> list[UserCall]:
        """List past calls of one user; with `limit` 1 a harmless test of token and extension."""
        arguments = {**(filters or {}), "ext": self._id("ext", ext), "limit": limit}
        root = self._wire.ask("get_user_call_report", arguments, records=("call",))
        return [user_call(node) for node in root.all("call") if node.children]

    # before anything is sent --------------------------------------------------------------------------

    def _id(self, what: str, value: str) -> str:
        if not value:
            raise self._wire.refuse(f"{what} is not known: the event that carries it has not come")
        if not is_entity_id(value):
            raise self._wire.refuse(f"{what} must be a number of the PBX, not {inert(value, 30)!r}")
        return value

    def _shown(self, what: str, value: str) -> str:
        if not _SHOWN_NUMBER.fullmatch(value):
            raise self._wire.refuse(f"{what} must be digits, not {masked(inert(value, 30))!r}")
        return value
