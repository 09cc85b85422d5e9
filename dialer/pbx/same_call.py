"""Which of our calls an event speaks of, when the PBX repeats no reference and does not name it by an id we know.

An agent has one call of ours at a time, so agent and number leave one candidate. It is taken only when everything
else agrees as well; what is in doubt is nobody's: an agent's private call must not become a customer's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from dialer.pbx.base import CallEvent, PastCall, Role

# The PBX tells of a call we ordered within this, or does not tell of it at all.
WINDOW = timedelta(seconds=120)
# The customer's call begins when the agent's phone was taken.
HISTORY_WINDOW = WINDOW
# How far its clock may be behind ours; its times have whole seconds.
SKEW = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Start:
    """A call of ours that was sent and of which nothing has been heard under the id we know, if we know one."""

    ref: str
    user_id: str
    number: str  # E.164 with the plus
    sent_at: datetime
    heard: bool = False  # the PBX has spoken of it: its id is certain


def is_same(start: Start, event: CallEvent, heard_at: datetime) -> bool:
    """Whether this event, received at `heard_at`, can only be of this call.

    The same agent calls the same number, outward, for the first time since we asked for just that, and within two
    minutes of it: an agent's phone may ring for most of that before the PBX speaks of the call.
    """
    if start.heard or event.call_id is None or event.role not in (Role.AGENT, Role.CUSTOMER):
        return False
    if event.user_id != start.user_id or event.number != start.number:
        return False
    if not start.sent_at <= heard_at <= start.sent_at + WINDOW:
        return False
    return event.began is None or event.began >= start.sent_at - SKEW


def told_by(start: Start, history: Iterable[PastCall]) -> PastCall | None:
    """Find the call in the PBX's own history, of which it told nothing: the first of that agent to that number since.

    None when the PBX has spoken of the call: then its id is known, and finds it.
    """
    if start.heard:
        return None
    until = start.sent_at + HISTORY_WINDOW
    same = [
        (past.began, n, past)
        for n, past in enumerate(history)
        if past.user_id == start.user_id
        and past.number == start.number
        and past.began is not None
        and start.sent_at - SKEW <= past.began <= until
    ]
    return min(same)[2] if same else None
