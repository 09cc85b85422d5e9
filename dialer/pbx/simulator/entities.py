"""What the PBX consists of: users and their phones, gateways, responders, ring groups, boxes and parking lines."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dialer.pbx.simulator.chance import Chance
from dialer.pbx.simulator.config import GatewayConfig, GroupConfig, IvrConfig, WorldConfig
from dialer.pbx.simulator.tables import EntityType, Link, Presence

if TYPE_CHECKING:
    from dialer.pbx.simulator.legs import Leg

_NAMES = ("Ada", "Bruno", "Carla", "Dario", "Elena", "Fabio", "Gina", "Hugo", "Irene", "Luca")
_SURNAMES = ("Rossi", "Bianchi", "Greco", "Conti", "Marino", "Ricci", "Gallo", "Costa")


@dataclass(slots=True, eq=False)
class User:
    """A user of the PBX. `mode` is what the user says; `presence` is what the PBX shows."""

    id: int
    extension: str
    name: str
    surname: str
    auto_answers: bool
    mode: Presence = Presence.AVAILABLE
    diverted_to: str = ""
    calls: int = 0  # to this phone, so far
    free_since: float = 0.0
    legs: list["Leg"] = field(default_factory=list)

    @property
    def full_name(self) -> str:
        return f"{self.name} {self.surname}"

    @property
    def presence(self) -> Presence:
        if not self.legs:
            return self.mode
        return Presence.BUSY if any(leg.is_answered for leg in self.legs) else Presence.RINGING

    @property
    def is_agent_free(self) -> bool:
        return not self.legs and self.mode is Presence.AVAILABLE


@dataclass(slots=True, eq=False)
class Gateway:
    """A bundle of lines; `busy` counts the legs that are up."""

    id: int
    name: str
    type: int
    lines: int
    enabled: bool
    link: Link
    host_port: str
    busy: int = 0

    @classmethod
    def of(cls, config: GatewayConfig) -> "Gateway":
        return cls(config.id, config.name, config.type, config.lines, config.enabled, config.link, config.host_port)

    @property
    def has_free_line(self) -> bool:
        return self.enabled and self.link is Link.REGISTERED and self.busy < self.lines


@dataclass(slots=True, eq=False)
class Group:
    """A ring group. `queue` holds the legs that wait for a member."""

    config: GroupConfig
    members: list[User]
    queue: list["Leg"] = field(default_factory=list)


class Entities:
    """Everything that can be listed or called, by type and id."""

    def __init__(self, config: WorldConfig, chance: Chance) -> None:
        self.users: dict[int, User] = {}
        self.by_extension: dict[str, User] = {}
        for i in range(config.agents.count):
            draws = chance.of("user", config.agents.first_id + i)
            user = User(
                id=config.agents.first_id + i,
                extension=str(config.agents.first_extension + i),
                name=_NAMES[i % len(_NAMES)],
                surname=_SURNAMES[(i // len(_NAMES)) % len(_SURNAMES)],
                auto_answers=not draws.chance(config.agents.ignores_auto_answer),
            )
            self.users[user.id] = self.by_extension[user.extension] = user
        self.gateways = {gateway.id: Gateway.of(gateway) for gateway in config.gateways}
        self.ivrs: dict[int, IvrConfig] = {ivr.id: ivr for ivr in config.ivrs}
        everybody = list(self.users.values())
        self.groups = {
            group.id: Group(group, [self.users[i] for i in group.members if i in self.users] or everybody)
            for group in config.groups
        }
        self._callable: dict[int, tuple[str, Mapping[int, object]]] = {
            EntityType.USER: ("user", self.users),
            EntityType.GROUP: ("group", self.groups),
            EntityType.GATEWAY: ("gateway", self.gateways),
            EntityType.IVR: ("ivr", self.ivrs),
        }

    def trouble_with(self, kind: int, id: int) -> str | None:
        """Say why an entity cannot be called at all; None if it can."""
        if kind not in self._callable:
            return f"entity type {kind} cannot be called"
        word, known = self._callable[kind]
        if id not in known:
            return f"unknown {word}"
        if kind == EntityType.GATEWAY and not self.gateways[id].enabled:
            return "gateway disabled"
        return None

    def name_of(self, kind: int, id: int) -> str:
        """Return what the PBX shows for an entity in its lists."""
        if kind == EntityType.USER and id in self.users:
            return self.users[id].full_name
        if kind == EntityType.GATEWAY and id in self.gateways:
            return self.gateways[id].name
        if kind == EntityType.IVR and id in self.ivrs:
            return self.ivrs[id].name
        if kind == EntityType.GROUP and id in self.groups:
            return self.groups[id].config.name
        return ""
