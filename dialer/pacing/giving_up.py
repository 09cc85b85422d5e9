"""Which ringing calls to end because nobody will be free for who answers them.

A call may be given up once it has rung as long as the law asks. Ending it then costs one more try later; letting it
be answered in vain costs an abandoned call, and a person. So the oldest go first, and only as many as there are too
many: in a large team somebody is free in a moment, and a call given up now would be missed then.
"""

from collections.abc import Sequence
from math import sqrt

from dialer.pacing.ahead import Ahead, resting
from dialer.pacing.base import Snapshot
from dialer.pacing.outlook import Moment, Outlook

SOON = 6.0  # seconds within which somebody must be likely to come free
TOO_LIKELY = 0.35  # the chance of finding nobody from which a call past its least ringing is ended
_NEXT = 1.0  # seconds until this is asked again


def to_give_up(now: Snapshot, ahead: Ahead, chances: Sequence[float]) -> set[int]:
    """Return the places, in the snapshot's ringing calls, of those to end. `chances`: of each to be answered."""
    least = now.goals.min_ring
    if least is None or not now.ringing_calls:
        return set()
    old = [n for n, rung in enumerate(now.ringing) if rung >= least and now.ringing_calls[n]]
    if not old:
        return set()
    old.sort(key=lambda n: (-now.ringing[n], n))
    soon = ahead.answering(now.ringing, chances, _NEXT, None)
    others = sum(soon)
    short = now.waiting + now.others_waiting + now.inbound_waiting - now.free
    if short + others + 3.0 * sqrt(others) < -0.5:  # somebody is free for each who could answer in this second
        return set()
    frees = ahead.freed(now, SOON)[len(resting(now)) :]  # who rests is free all the same, and counted so below
    gone: set[int] = set()
    for n in old:
        answers = [chance for place, chance in enumerate(soon) if place not in gone]
        waiting = now.waiting + now.others_waiting + now.inbound_waiting
        if Outlook([Moment(1.0, 0.0, answers, frees)], now.free, waiting).lost() <= TOO_LIKELY:
            break
        gone.add(n)
    return gone
