"""Agents that several campaigns share: each campaign's part of them, by weight.

What counts is whom the agents work for: conversations and calls in the air together. Calls alone would not do, for
when agents come free one at a time, whoever looks first would have them all.
"""

from math import floor

from dialer.pacing.base import Snapshot

SLACK = 1.15  # of its part that a campaign may take: a team shall not wait long for a campaign that cannot keep up


def own_part(calls: int, now: Snapshot, given_up: int = 0) -> int:
    """Return how many of the calls that the shared agents can take are this campaign's."""
    if now.share >= 1.0 or calls <= 0:
        return calls
    in_the_air = len(now.ringing) - given_up
    ours = len(now.talking) + now.reserved + now.waiting + in_the_air
    others = len(now.elsewhere) + now.reserved_elsewhere + len(now.others_ringing) + now.others_waiting
    everyones = ours + others + calls
    part = max(1, floor(min(1.0, now.share * SLACK) * everyones))
    return max(0, min(calls, part - ours))
