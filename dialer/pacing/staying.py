"""Whether a free agent who wants to go must wait for the calls that ring.

While a window may lose no call, every ringing call has one free agent to itself. Whoever goes then leaves a person to
nobody, and no pacer can mend it: the call was launched before. So they stay for as long as the calls that ring, all
answered at once, would lose more without them than the window has left. That is a few seconds: no new call is launched
for them, and the ringing ones are answered or over in time. An old window that has something left recovers within
minutes: there everybody goes at once.
"""

from dialer.abandonment import Budget
from dialer.pacing.appetite import YOUNG

LONGEST = 30.0  # seconds that anybody is asked to stay: longer than most calls ring


def must_stay(budget: Budget, *, free: int, on_the_way: int) -> bool:
    """Return whether one of `free` agents must stay for now.

    `on_the_way`: calls that ring or wait for an agent.
    """
    left = budget.left
    if left is None or free <= 0:
        return False
    young = budget.ceiling * (budget.abandoned + budget.met) < YOUNG
    return (left == 0 or young) and on_the_way - (free - 1) > left
