"""Whether a free agent who wants to go must wait for the calls that ring.

While a window may lose no call, every ringing call has one free agent to itself. Whoever goes then leaves a person to
nobody, and no pacer can mend it: the call was launched before. So they stay for as long as calls ring for all who are
free, which is a few seconds: no new call is launched for them, and the ringing ones are answered or over in time.
"""

from dialer.abandonment import Budget

LONGEST = 30.0  # seconds that anybody is asked to stay: longer than most calls ring


def must_stay(budget: Budget, *, free: int, on_the_way: int) -> bool:
    """Return whether one of `free` agents must stay for now: nothing may be lost, and every one is needed.

    `on_the_way`: calls that ring or wait for an agent.
    """
    return budget.left == 0 and on_the_way >= free > 0
