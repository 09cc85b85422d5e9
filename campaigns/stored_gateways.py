"""The gateways of a PBX as its last good read left them in `pbx_status`: `dialer.pbx.base.Gateway`, a mapping each."""

from collections.abc import Mapping, Sequence
from typing import Any

StoredGateway = Mapping[str, Any]


def usable(gateways: Sequence[StoredGateway] | None) -> list[StoredGateway]:
    """Return those one can call over, as `Gateway.usable` has it: enabled and registered."""
    return [one for one in gateways or () if one.get("enabled") and one.get("registered")]


def lines(gateways: Sequence[StoredGateway] | None) -> tuple[int, int]:
    """Return how many lines the usable ones have, and how many of them are busy."""
    there = usable(gateways)
    return sum(int(one.get("lines", 0)) for one in there), sum(int(one.get("busy_lines", 0)) for one in there)
