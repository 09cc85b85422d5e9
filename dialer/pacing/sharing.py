"""Agents that several campaigns share: each campaign's part of them, by weight.

What counts is whom the agents work for: conversations and calls in the air together. Calls alone would not do, for
when agents come free one at a time, whoever looks first would have them all.
"""

from math import floor

from dialer.pacing.base import Snapshot

SLACK = 1.1  # of its part that a campaign may take
# Seconds after which a free agent is anybody's while the others have nothing in the air: nobody shall wait for a
# campaign that cannot dial. Beside others who do dial, however slowly, the agents left over are those kept for them.
PATIENCE = 10.0


def own_part(calls: int, now: Snapshot, given_up: int = 0, *, worth: float = 1.0) -> int:
    """Return how many of the calls that the shared agents can take are this campaign's.

    `worth`: the chance that a call in the air becomes a conversation, (0, 1]; 1 where each call holds an agent.
    """
    if now.share >= 1.0 or calls <= 0:
        return calls
    ours, others = _work(now, given_up, worth)
    part = min(1.0, now.share * SLACK) * (ours + others + worth * calls)
    left_over = 0.0
    if not now.others_ringing and not now.others_waiting:
        left_over = sum(waited >= PATIENCE for waited in now.waits) - (ours - len(now.talking))
    least = 0 if ours else 1  # however small its part, a campaign for which nobody works may try
    return max(least, min(calls, floor(max(part - ours, left_over) / worth + 1e-9)))


def _work(now: Snapshot, given_up: int, worth: float) -> tuple[float, float]:
    """Return the agents who work, or will, for us and for the others."""
    in_the_air = len(now.ringing) - given_up
    ours = len(now.talking) + now.reserved + now.waiting + worth * in_the_air
    theirs = sum(now.others_chances) if worth < 1.0 and now.others_chances else worth * len(now.others_ringing)
    return ours, len(now.elsewhere) + now.reserved_elsewhere + now.others_waiting + theirs
