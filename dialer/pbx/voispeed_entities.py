"""The entities VOIspeed lists, by type, as they come: users, groups, gateways, IVRs, terminals and the rest."""

from dataclasses import dataclass

from dialer.pbx.base import Gateway, PbxUser, Presence
from dialer.pbx.foreign import inert
from dialer.pbx.voispeed_codes import EntityType, LinkStatus, number, presence, seconds
from dialer.pbx.voispeed_wire import Wire, records_of
from dialer.pbx.xml import Node

_LINK_WORDS = {
    LinkStatus.NOT_REGISTERED: "not registered",
    LinkStatus.REGISTERED: "registered",
    LinkStatus.TRYING: "trying to register",
}


@dataclass(frozen=True, slots=True)
class User:
    """Type 0. `av_status` is what decides whether somebody can take a call."""

    id: str
    name: str
    surname: str
    extension: str
    email: str
    chat_status: Presence
    av_status: Presence
    office: str
    home: str
    mobile: str
    fax: str
    phrase: str

    @property
    def full_name(self) -> str:
        return " ".join(part for part in (self.name, self.surname) if part)


@dataclass(frozen=True, slots=True)
class Member:
    """A user inside a ring group."""

    id: str
    identity: str
    extension: str


@dataclass(frozen=True, slots=True)
class RingGroup:
    """Type 1."""

    id: str
    name: str
    is_broadcast: bool
    visible: bool
    member_login: bool
    pick_disabled: bool
    ring_mode: int | None
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class GatewayEntity:
    """Type 2."""

    id: str
    name: str
    type: int | None
    enabled: bool
    link_status: int | None
    lines: int
    busy_lines: int
    host_port: str

    def as_gateway(self) -> Gateway:
        registered = self.link_status == LinkStatus.REGISTERED
        words = next((word for link, word in _LINK_WORDS.items() if link == self.link_status), "")
        return Gateway(
            id=self.id,
            name=self.name,
            enabled=self.enabled,
            registered=registered,
            lines=self.lines,
            busy_lines=self.busy_lines,
            status=words or f"link status {self.link_status}",
        )


@dataclass(frozen=True, slots=True)
class IvrNode:
    """A node of an IVR's tree. None: the PBX did not say."""

    id: str
    parent: str | None
    description: str
    select_key: str
    go_back_key: str
    audio_type: int | None
    audio_message: str
    audio_loop: int | None
    input_type: int | None
    input_length: int | None
    term_char: str
    timeout_last_digit: float | None
    waiting_input_time: float | None
    action: int | None
    called_type: int | None
    called_id: str | None
    called_external_number: str
    script: str


@dataclass(frozen=True, slots=True)
class Ivr:
    """Type 3."""

    id: str
    name: str
    description: str
    nodes: tuple[IvrNode, ...]


@dataclass(frozen=True, slots=True)
class Terminal:
    """Type 7: a telephone of one user."""

    id: str
    user_agent: str
    device_type: int | None
    host_port: str
    registered: bool


@dataclass(frozen=True, slots=True)
class Voicemail:
    """Type 8: a company mailbox."""

    id: str
    mailbox: str
    name: str
    code: str
    new_messages: bool
    new_recordings: bool


@dataclass(frozen=True, slots=True)
class ParkLine:
    """Type 11. `parked_at` has no zone."""

    id: str
    code: str
    number: str
    name: str
    parked_at: str
    status: Presence
    note: str
    user_id: str


class Entities:
    """`get_entities`, one method for each type it lists."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def users(self, entity_id: str | None = None) -> list[User]:
        return [_user(node) for node in self._list(EntityType.USER, "users", ("user",), entity_id)]

    def ring_groups(self, entity_id: str | None = None) -> list[RingGroup]:
        return [_group(node) for node in self._list(EntityType.RING_GROUP, "groups", ("group", "user"), entity_id)]

    def gateways(self, entity_id: str | None = None) -> list[GatewayEntity]:
        return [_gateway(node) for node in self._list(EntityType.GATEWAY, "gateways", ("gateway",), entity_id)]

    def ivrs(self, entity_id: str | None = None) -> list[Ivr]:
        return [_ivr(node) for node in self._list(EntityType.IVR, "ivrs", ("ivr", "node"), entity_id)]

    def terminals(self, owner_id: str) -> list[Terminal]:
        """List the terminals of one user; without a user the PBX would answer an empty list."""
        found = self._list(EntityType.TERMINAL, "devices", ("device",), None, owner_id=owner_id)
        return [_terminal(node) for node in found]

    def voicemails(self) -> list[Voicemail]:
        found = self._list(EntityType.VOICEMAIL, "voicemails", ("voicemail",), None, envelope=False)
        return [_voicemail(node) for node in found]

    def park_lines(self) -> list[ParkLine]:
        found = self._list(EntityType.PARKING, "lines", ("park_line",), None, envelope=False)
        return [_park_line(node) for node in found]

    def _list(
        self,
        kind: EntityType,
        container: str,
        records: tuple[str, ...],
        entity_id: str | None,
        *,
        owner_id: str | None = None,
        envelope: bool = True,
    ) -> list[Node]:
        root = self._wire.ask(
            "get_entities",
            {"entity_type": int(kind), "entity_id": entity_id, "owner_id": owner_id},
            records=records,
            container=container,
            envelope=envelope,
        )
        # A record without an id cannot be used for anything.
        return [node for node in records_of(root, container, records[0]) if node.get("id")]


def as_pbx_user(user: User, groups: tuple[str, ...]) -> PbxUser:
    """Return it in the words every PBX shares; `groups`: names of the ring groups it is in."""
    return PbxUser(
        id=user.id,
        name=user.full_name or user.extension,
        extension=user.extension,
        presence=user.av_status,
        groups=groups,
    )


def _text(node: Node, tag: str) -> str:
    return inert(node.get(tag) or "")


def _flag(node: Node, tag: str) -> bool:
    return (node.get(tag) or "").lower() in ("1", "true", "yes", "on")


def _count(node: Node, tag: str) -> int:
    return max(0, number(node.get(tag)) or 0)


def _user(node: Node) -> User:
    return User(
        id=_text(node, "id"),
        name=_text(node, "name"),
        surname=_text(node, "surname"),
        extension=_text(node, "extension"),
        email=_text(node, "email"),
        chat_status=presence(node.get("chat_status")),
        av_status=presence(node.get("av_status")),
        office=_text(node, "numoffice"),
        home=_text(node, "numhome"),
        mobile=_text(node, "nummobile"),
        fax=_text(node, "numfax"),
        phrase=_text(node, "phrase"),
    )


def _group(node: Node) -> RingGroup:
    return RingGroup(
        id=_text(node, "id"),
        name=_text(node, "name"),
        is_broadcast=_flag(node, "is_broadcast"),
        visible=_flag(node, "visible"),
        member_login=_flag(node, "member_login"),
        pick_disabled=_flag(node, "pick_disabled"),
        ring_mode=number(node.get("ring_mode")),
        members=tuple(
            Member(_text(member, "id"), _text(member, "identity"), _text(member, "extension"))
            for member in records_of(node, "users", "user")
            if member.get("id")
        ),
    )


def _gateway(node: Node) -> GatewayEntity:
    return GatewayEntity(
        id=_text(node, "id"),
        name=_text(node, "name"),
        type=number(node.get("type")),
        enabled=_flag(node, "enabled"),
        link_status=number(node.get("link_status")),
        lines=_count(node, "lines"),
        busy_lines=_count(node, "busy_lines"),
        host_port=_text(node, "host_port"),
    )


def _ivr(node: Node) -> Ivr:
    return Ivr(
        id=_text(node, "id"),
        name=_text(node, "name"),
        description=_text(node, "description"),
        nodes=tuple(_node(child) for child in records_of(node, "nodes", "node") if child.get("node_id")),
    )


def _node(node: Node) -> IvrNode:
    return IvrNode(
        id=_text(node, "node_id"),
        parent=_text(node, "parent_id") or None,
        description=_text(node, "description"),
        select_key=_text(node, "select_key"),
        go_back_key=_text(node, "go_back_key"),
        audio_type=number(node.get("audio_type")),
        audio_message=_text(node, "audio_message"),
        audio_loop=number(node.get("audio_loop")),
        input_type=number(node.get("input_type")),
        input_length=number(node.get("input_length")),
        term_char=_text(node, "term_char"),
        timeout_last_digit=seconds(node.get("timeout_last_digit")),
        waiting_input_time=seconds(node.get("waiting_input_time")),
        action=number(node.get("action")),
        called_type=number(node.get("called_type")),
        called_id=_text(node, "called_id") or None,
        called_external_number=_text(node, "called_external_number"),
        script=_text(node, "script"),
    )


def _terminal(node: Node) -> Terminal:
    return Terminal(
        id=_text(node, "id"),
        user_agent=_text(node, "user_agent"),
        device_type=number(node.get("device_type")),
        host_port=_text(node, "host_port"),
        registered=_flag(node, "registered"),
    )


def _voicemail(node: Node) -> Voicemail:
    return Voicemail(
        id=_text(node, "id"),
        mailbox=_text(node, "vmid"),
        name=_text(node, "vmname"),
        code=_text(node, "vmcode"),
        new_messages=_flag(node, "vmtobelisten"),
        new_recordings=_flag(node, "rectobelisten"),
    )


def _park_line(node: Node) -> ParkLine:
    return ParkLine(
        id=_text(node, "id"),
        code=_text(node, "linecode"),
        number=_text(node, "number"),
        name=_text(node, "name"),
        parked_at=_text(node, "parktime"),
        status=presence(node.get("status")),
        note=_text(node, "note"),
        user_id=_text(node, "user_id"),
    )
