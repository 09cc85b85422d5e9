"""ARI's lists (endpoints, channels, bridges) as the dialer reads them. A row that names nothing spoils its list."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from dialer.errors import PbxNonsense
from dialer.pbx.asterisk_events import agent_of, is_agent, is_customer
from dialer.pbx.base import LiveCall, PbxUser, Presence, Role
from dialer.pbx.foreign import inert, is_reference
from dialer.settings import PbxSettings

_DIGITS = re.compile(r"[0-9]+$")
Row = Mapping[str, Any]


def entries(pbx: str, value: object, key: str) -> Sequence[Row]:
    """Return a list of rows that all carry `key`; PbxNonsense when it is anything else."""
    if not isinstance(value, list):
        raise PbxNonsense(pbx, f"answers with {type(value).__name__} where ARI has a list")
    for row in value:
        if not isinstance(row, dict) or not isinstance(row.get(key), str):
            raise PbxNonsense(pbx, f"lists something without {key}")
    return value


def texts(value: object) -> list[str]:
    """Return the texts of a list."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def members(pbx: str, value: object) -> dict[str, list[str]]:
    """Return bridge -> its channels."""
    return {str(row["id"]): texts(row.get("channels")) for row in entries(pbx, value, "id")}


def bridge_of(channel: str, together: Mapping[str, Sequence[str]]) -> str | None:
    """The bridge a channel is in."""
    return next((bridge for bridge, channels in together.items() if channel in channels), None)


def as_user(endpoint: Row) -> PbxUser:
    """An agent's telephone: its name is the user id, the digits at its end the extension."""
    name = inert(str(endpoint["resource"]), 60)
    digits = _DIGITS.search(name)
    return PbxUser(id=name, name=name, extension=digits.group() if digits else name, presence=_presence(endpoint))


def _presence(endpoint: Row) -> Presence:
    if endpoint.get("state") == "offline":
        return Presence.UNAVAILABLE
    others = [one for one in texts(endpoint.get("channel_ids")) if not is_agent(one)]
    return Presence.BUSY if others else Presence.AVAILABLE


def in_stasis(channel: Row, app: str) -> bool:
    """Whether a channel is in our hands now."""
    place = channel.get("dialplan")
    if channel.get("state") != "Up" or not isinstance(place, dict):
        return False
    return place.get("app_name") == "Stasis" and str(place.get("app_data", "")).partition(",")[0] == app


def as_live_call(channel: Row, together: Mapping[str, Sequence[str]], settings: PbxSettings) -> LiveCall | None:
    """A call of ours in progress, and who is with the customer; None for a channel that is not ours."""
    channel_id = str(channel["id"])
    if not is_reference(channel_id) or not (is_agent(channel_id) or is_customer(channel_id)):
        return None
    return LiveCall(
        call_id=channel_id,
        ref=channel_id,
        started=inert(str(channel.get("creationtime", "")), 40),
        connected_role=_with_whom(channel, channel_id, together, settings),
        leg_id=channel_id,
    )


def _with_whom(
    channel: Row, channel_id: str, together: Mapping[str, Sequence[str]], settings: PbxSettings
) -> Role | None:
    bridge = bridge_of(channel_id, together)
    ours = in_stasis(channel, settings.app)
    if is_agent(channel_id):
        return Role.WAITING if ours and bridge is not None else None
    if bridge is not None and (agent := agent_of(bridge)) is not None:
        return Role.AGENT if agent in together[bridge] else None
    if ours:
        return Role.RECEPTION
    place = channel.get("dialplan")
    told = isinstance(place, dict) and place.get("context") == settings.message_context and channel.get("state") == "Up"
    return Role.MESSAGE if told else None
