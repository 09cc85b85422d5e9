"""VOIspeed's lists of calls, in progress and past, and what a sweep may conclude from a row of them."""

from dataclasses import dataclass
from datetime import UTC, datetime

from dialer.pbx.base import CallOutcome, LiveCall, PastCall, Role
from dialer.pbx.foreign import foreign_id, inert
from dialer.pbx.voispeed_codes import call_outcome, number, role_of, seconds
from dialer.pbx.xml import Node
from dialer.settings import PbxSettings

_TIME_FORMATS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%d/%m/%Y %H:%M:%S", "%d-%m-%Y %H:%M:%S")


@dataclass(frozen=True, slots=True)
class Party:
    """One side of a call as a list names it. All empty: nobody is there yet."""

    type: int | None = None
    id: str | None = None
    number: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class CurrentCall:
    """A row of `get_current_calls`. It tells that a call lives; who is connected is the best hint of how far it is."""

    id: str
    ref: str | None
    started: str
    calling: Party
    called: Party
    connected: Party
    recording: bool
    peer_to_peer: bool
    codec: str


@dataclass(frozen=True, slots=True)
class ReportedCall:
    """A row of `get_call_report`. Times in seconds; `gateway_in` and `gateway_out` look swapped in the guide."""

    id: str
    ref: str | None
    started: str
    duration: float | None
    outcome: CallOutcome
    calling: Party
    called: Party
    connected: Party
    ring_time: float | None
    hold_time: float | None
    ivr_time: float | None
    talk_time: float | None
    queue_time: float | None
    transferred_from: str | None
    gateway_in: str
    gateway_out: str
    internal: bool


@dataclass(frozen=True, slots=True)
class UserCall:
    """A row of `get_user_call_report`."""

    id: str
    call_id: str | None
    started: str
    answered: str
    duration: float | None
    outcome: CallOutcome
    direction: str
    my_number: str
    remote_number: str
    leg_id: str | None
    group: str
    company: str
    surname: str
    name: str
    remote_company: str
    remote_surname: str
    remote_name: str


def current_call(node: Node) -> CurrentCall | None:
    """Read a row; None when it names no call, which makes the whole list useless to tell which calls are gone."""
    call_id = foreign_id(node.get("id"))
    if call_id is None:
        return None
    return CurrentCall(
        id=call_id,
        ref=foreign_id(node.get("external_id")),
        started=_text(node, "start_time"),
        calling=_party(node, "calling"),
        called=_party(node, "called"),
        connected=_party(node, "connected"),
        recording=node.get("recording") == "1",
        peer_to_peer=node.get("p2p") == "1",
        codec=_text(node, "codec"),
    )


def reported_call(node: Node) -> ReportedCall:
    """Read one call of the report of past calls."""
    return ReportedCall(
        id=foreign_id(node.get("id")) or "",
        ref=foreign_id(node.get("external_id")),
        started=_text(node, "start_time"),
        duration=seconds(node.get("duration")),
        outcome=call_outcome(node.get("outcome")),
        calling=_party(node, "calling"),
        called=_party(node, "called"),
        connected=_party(node, "connected"),
        ring_time=seconds(node.get("ring_time")),
        hold_time=seconds(node.get("hold_time")),
        ivr_time=seconds(node.get("ivr_time")),
        talk_time=seconds(node.get("talk_time")),
        queue_time=seconds(node.get("queue_time")),
        # The guide opens this one as call_ref_if.
        transferred_from=foreign_id(node.get("call_ref_id") or node.get("call_ref_if")),
        gateway_in=_text(node, "gateway_in"),
        gateway_out=_text(node, "gateway_out"),
        internal=node.get("internal") == "1",
    )


def user_call(node: Node) -> UserCall:
    """Read one call as one user sees it."""
    return UserCall(
        id=foreign_id(node.get("id")) or "",
        call_id=foreign_id(node.get("callid")),
        started=_text(node, "start_time"),
        answered=_text(node, "answer_time"),
        duration=seconds(node.get("duration")),
        outcome=call_outcome(node.get("outcome")),
        direction=_text(node, "direction"),
        my_number=_text(node, "my_number"),
        remote_number=_text(node, "remote_number"),
        leg_id=foreign_id(node.get("local_id")),
        group=_text(node, "group_name"),
        company=_text(node, "company"),
        surname=_text(node, "surname"),
        name=_text(node, "name"),
        remote_company=_text(node, "remote_company"),
        remote_surname=_text(node, "remote_surname"),
        remote_name=_text(node, "remote_name"),
    )


def as_live_call(call: CurrentCall, settings: PbxSettings) -> LiveCall:
    """Return it in the words every PBX shares."""
    return LiveCall(
        call_id=call.id,
        ref=call.ref,
        started=call.started,
        connected_role=_connected_role(call.connected, settings),
        connected_id=call.connected.id,
    )


def as_past_call(call: ReportedCall, settings: PbxSettings) -> PastCall:
    """Return it in the words every PBX shares."""
    return PastCall(
        call_id=call.id,
        ref=call.ref,
        outcome=call.outcome,
        started=call.started,
        duration=call.duration,
        ring_time=call.ring_time,
        ivr_time=call.ivr_time,
        talk_time=call.talk_time,
        connected_role=_connected_role(call.connected, settings),
        connected_id=call.connected.id,
    )


def printed_time(text: str) -> datetime | None:
    """Read a time as VOIspeed prints it, *as if* it were UTC: it has no zone. None when it cannot be read."""
    for form in _TIME_FORMATS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def _connected_role(party: Party, settings: PbxSettings) -> Role | None:
    if party.id is None or party.type is None:
        return None
    return role_of(str(party.type), party.id, settings)


def _party(node: Node, side: str) -> Party:
    of = foreign_id(node.get(f"{side}_id"))
    # Before anybody is connected the fields are empty, or 0 by way of filling them: user 0 is nobody.
    return Party(
        type=number(node.get(f"{side}_type")),
        id=of if of != "0" else None,
        number=inert(node.get(f"{side}_number") or "", 40),
        description=inert(node.get(f"{side}_desc") or "", 80),
    )


def _text(node: Node, tag: str) -> str:
    return inert(node.get(tag) or "", 120)
