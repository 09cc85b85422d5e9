"""How many calls to start now: rules over a snapshot and what was learnt, each answer with its reason."""

from dialer.errors import BadInput
from dialer.modes import AGENTLESS, MANUAL, MODES, POWER, PREDICTIVE, PREVIEW, PROGRESSIVE
from dialer.pacing.agentless import Agentless
from dialer.pacing.base import Goals, Happened, Pace, PaceEvent, Pacer, Snapshot, Staleness
from dialer.pacing.by_hand import Manual, Preview
from dialer.pacing.history import events_of_call
from dialer.pacing.power import Power
from dialer.pacing.predictive import Predictive, Tuning
from dialer.pacing.progressive import Progressive
from dialer.pacing.stepping import Stepping, Steps

__all__ = [
    "MODES",
    "Agentless",
    "Goals",
    "Happened",
    "Manual",
    "Pace",
    "PaceEvent",
    "Pacer",
    "Power",
    "Predictive",
    "Preview",
    "Progressive",
    "Snapshot",
    "Staleness",
    "Stepping",
    "Steps",
    "Tuning",
    "events_of_call",
    "pacer_for",
]


def pacer_for(
    mode: str, *, staleness: Staleness | None = None, tuning: Tuning | None = None, steps: Steps | None = None
) -> Pacer:
    """Return a new pacer of this mode; BadInput names the modes there are.

    The modes that dial ahead of the agents come wrapped: they step down to one call per agent by themselves.
    """
    if mode == MANUAL:
        return Manual()
    if mode == PREVIEW:
        return Preview(staleness)
    if mode == PROGRESSIVE:
        return Progressive(staleness)
    if mode == POWER:
        return Stepping(mode, Power(staleness), staleness=staleness, steps=steps)
    if mode == PREDICTIVE:
        return Stepping(mode, Predictive(staleness, tuning), staleness=staleness, steps=steps)
    if mode == AGENTLESS:
        return Agentless(staleness)
    raise BadInput(f"there is no mode {mode!r} of dialling; choose one of {', '.join(MODES)}")
