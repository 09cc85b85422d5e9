"""Everything that can go wrong with a PBX, by name; each can be switched on and off while the world runs."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from dialer.errors import BadInput
from dialer.pbx.simulator.chance import Chance


@dataclass(frozen=True, slots=True)
class Fault:
    """How often and how badly. Which of the fields count depends on the fault (docs/simulator.md)."""

    probability: float = 1.0
    seconds: float = 0.0
    carried_out: float = 0.5  # of the requests that got no good reply, the share that was done all the same
    every: float = 0.0  # mean seconds between two, for faults of the whole PBX
    limit: float = 0.0  # requests a second

    def __post_init__(self) -> None:
        if not (0 <= self.probability <= 1 and 0 <= self.carried_out <= 1):
            raise BadInput("a fault's probability and carried_out are shares between 0 and 1")
        if min(self.seconds, self.every, self.limit) < 0:
            raise BadInput("a fault's seconds, every and limit cannot be negative")


DEFAULTS: Mapping[str, Fault] = {
    "webhooks_lost": Fault(0.05),
    "webhooks_late": Fault(0.10, seconds=3.0),
    "webhooks_doubled": Fault(0.10, seconds=0.5),
    "webhooks_out_of_order": Fault(0.20, seconds=0.3),
    "http_500": Fault(0.05),
    "timeouts": Fault(0.03, seconds=30.0),
    "cut_connections": Fault(0.05),
    "truncated_xml": Fault(0.05),
    "html": Fault(0.05),
    "accepted_never_happens": Fault(0.05),
    "placed_late": Fault(0.10, seconds=4.0),
    "gateway_down": Fault(every=40.0, seconds=5.0),
    "pbx_restart": Fault(every=60.0, seconds=1.5),
    "slow": Fault(0.20, seconds=1.0),
    "rate_limited": Fault(limit=20.0),
}

# The number written after a name ("slow=0.5") sets this field; `probability` for all others.
_MAIN_FIELD = {"gateway_down": "every", "pbx_restart": "every", "rate_limited": "limit"}


def _moderate(name: str, fault: Fault) -> Fault:
    if name == "rate_limited":
        return replace(fault, limit=100.0)
    if fault.every:
        return replace(fault, every=fault.every * 2)
    return replace(fault, probability=fault.probability / 4)


PROFILES: Mapping[str, Mapping[str, Fault]] = {
    "none": {},
    "all": {name: _moderate(name, fault) for name, fault in DEFAULTS.items()},
    "webhooks": {name: fault for name, fault in DEFAULTS.items() if name.startswith("webhooks_")},
    "network": {name: DEFAULTS[name] for name in ("http_500", "timeouts", "cut_connections", "slow")},
    "nonsense": {name: DEFAULTS[name] for name in ("truncated_xml", "html")},
    "lies": {name: DEFAULTS[name] for name in ("accepted_never_happens", "placed_late")},
    "outages": {name: DEFAULTS[name] for name in ("gateway_down", "pbx_restart")},
}


def read_faults(told: str | Mapping[str, object]) -> dict[str, Fault]:
    """Read "all", "slow,html=0.2" or {"slow": {"probability": 1}, "html": 0.2} into faults to switch on."""
    items: list[tuple[str, object]]
    if isinstance(told, str):
        items = []
        for part in filter(None, (part.strip() for part in told.split(","))):
            word, _, text = part.partition("=")
            items.append((word.strip(), text.strip() or None))
    else:
        items = [(str(name), value) for name, value in told.items()]
    chosen: dict[str, Fault] = {}
    for name, value in items:
        if name in PROFILES and name not in DEFAULTS:
            if value is not None:
                raise BadInput(f"fault profile {name} takes no value; give one to a single fault")
            chosen.update(PROFILES[name])
        elif name in DEFAULTS:
            chosen[name] = _one(name, value)
        else:
            known = ", ".join((*PROFILES, *DEFAULTS))
            raise BadInput(f"there is no fault called {name!r}; there are {known}")
    return chosen


def _one(name: str, value: object) -> Fault:
    fault = DEFAULTS[name]
    if value is None:
        return fault
    try:
        if isinstance(value, Mapping):
            return replace(fault, **{str(field): float(given) for field, given in value.items()})
        if isinstance(value, str | int | float):
            return replace(fault, **{_MAIN_FIELD.get(name, "probability"): float(value)})
    except (TypeError, ValueError):
        pass
    raise BadInput(f"fault {name}: {value!r} is neither a number nor fields of {', '.join(asdict(fault))}")


class Faults:
    """The faults switched on now, and how often each has struck."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self.active: dict[str, Fault] = {}
        self.struck: Counter[str] = Counter()

    def set(self, faults: Mapping[str, Fault]) -> None:
        """Switch on these and no others."""
        self.active = dict(faults)

    def strikes(self, name: str, *key: object) -> Fault | None:
        """Return the fault if it strikes the thing `key` names; what is drawn depends on nothing else."""
        fault = self.active.get(name)
        if fault is None or not self._chance.of("fault", name, *key).chance(fault.probability):
            return None
        self.struck[name] += 1
        return fault

    def share(self, name: str, *key: object) -> float:
        """Draw how far a fault that struck goes, between 0 and 1."""
        return self._chance.of("fault share", name, *key).uniform()

    def as_json(self) -> dict[str, object]:
        return {
            "active": {name: asdict(fault) for name, fault in self.active.items()},
            "struck": dict(self.struck),
        }
