"""The modes of dialling: what each is for, and what a PBX must be able to do for it."""

from collections.abc import Collection, Mapping

from dialer.errors import BadInput
from dialer.pbx.base import Feature

MANUAL = "manual"  # agents place their own calls
PREVIEW = "preview"  # a contact is offered to an agent, who accepts or skips it
PROGRESSIVE = "progressive"  # one call for each free agent
POWER = "power"  # a fixed number of calls for each free agent
PREDICTIVE = "predictive"  # as many as the budget of abandoned calls allows
AGENTLESS = "agentless"  # whoever answers hears the recorded message; no agents at all

MODES = (PREDICTIVE, PROGRESSIVE, POWER, PREVIEW, MANUAL, AGENTLESS)
# The pacer orders calls that nobody was asked about; callbacks among them get an agent reserved.
AUTOMATIC = (PREDICTIVE, PROGRESSIVE, POWER)
# People, or the list alone, set the pace of the others: there is none to replay, to foretell or to simulate.
BY_HAND = (MANUAL, PREVIEW, AGENTLESS)
# Agents wait on the line as long as there is somebody to call. In manual mode each is fetched for a call of theirs.
PARKS_AHEAD = (*AUTOMATIC, PREVIEW)

_WITH_AGENT = frozenset({Feature.CUSTOMER_FIRST, Feature.JOIN})
NEEDED: Mapping[str, frozenset[Feature]] = {
    # All ring the customer with nobody attached, and join an agent who waits on the line.
    **dict.fromkeys((PREDICTIVE, PROGRESSIVE, POWER, PREVIEW, MANUAL), _WITH_AGENT),
    AGENTLESS: frozenset({Feature.CUSTOMER_FIRST, Feature.DIVERT}),
}
# One call for one agent: these can also be done by ringing the agent first.
ONE_EACH = (PROGRESSIVE, PREVIEW, MANUAL)


def agent_first(features: Collection[Feature]) -> bool:
    """Whether calls on such a PBX ring the agent first: it can, and cannot join two who wait."""
    return Feature.AGENT_FIRST in features and not set(features) >= _WITH_AGENT


def _able(mode: str, features: Collection[Feature]) -> bool:
    return NEEDED[mode] <= set(features) or (mode in ONE_EACH and agent_first(features))


def check(mode: str, pbx: str, features: Collection[Feature]) -> None:
    """BadInput names the modes there are, or what this PBX lacks and the modes it can do instead."""
    if mode not in MODES:
        raise BadInput(f"there is no mode {mode!r}: use {', '.join(MODES[:-1])} or {MODES[-1]}")
    if _able(mode, features):
        return
    if agent_first(features) and mode in (PREDICTIVE, POWER):
        raise BadInput(
            f"PBX {pbx} rings the agent first and the customer from the agent's phone: there is never a call ahead of "
            f"the agents for {mode} dialling to place; use {PROGRESSIVE}, which rings the next number for each agent "
            "who is free, and can abandon nobody"
        )
    lacking = NEEDED[mode] - set(features)
    if lacking:
        words = " and ".join(sorted(str(feature).replace("_", " ") for feature in lacking))
        able = possible(features)
        instead = f"; it can do {', '.join(able)}" if able else ""
        raise BadInput(f"PBX {pbx} cannot do {mode} calls: it lacks {words}{instead}")


def possible(features: Collection[Feature]) -> list[str]:
    """Return the modes a PBX with these features can do."""
    return [mode for mode in MODES if _able(mode, features)]
