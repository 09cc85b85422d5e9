"""How many calls to start now: rules over a snapshot and what was learnt, each answer with its reason."""

from dialer.errors import BadInput
from dialer.pacing.base import Goals, Happened, Pace, PaceEvent, Pacer, Snapshot, Staleness
from dialer.pacing.history import events_of_call
from dialer.pacing.predictive import Predictive, Tuning
from dialer.pacing.progressive import Progressive

MODES = ("progressive", "predictive")

__all__ = [
    "MODES",
    "Goals",
    "Happened",
    "Pace",
    "PaceEvent",
    "Pacer",
    "Predictive",
    "Progressive",
    "Snapshot",
    "Staleness",
    "Tuning",
    "events_of_call",
    "pacer_for",
]


def pacer_for(mode: str, *, staleness: Staleness | None = None, tuning: Tuning | None = None) -> Pacer:
    """Return a new pacer of this mode; BadInput names the modes there are."""
    if mode == "progressive":
        return Progressive(staleness)
    if mode == "predictive":
        return Predictive(staleness, tuning)
    raise BadInput(f"there is no mode {mode!r} of dialling; choose one of {', '.join(MODES)}")
