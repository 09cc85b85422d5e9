"""Which contact next: the order a campaign asks for, and shares of its calls for its lists.

Contacts stand in *lanes*: those of one list, one priority and one number of earlier attempts. Within a lane whoever is
due longest comes first; the order says in which sequence lanes are taken. So ordering costs what a few lanes cost, and
not what a list costs.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar

from dialer.errors import BadInput

ORDERS = {
    "priority": "lowest priority number first",
    "freshest": "the list imported last first",
    "oldest": "the list imported first first",
    "penetration": "the list first of which the smallest share was tried",
    "fewest": "fewest attempts so far first",
    "most": "most attempts so far first",
    "best-time": "who answers now nearly as likely as at their best hour first",
    "due": "longest due first: always the last word",
}
PENETRATION = "penetration"
BEST_TIME = "best-time"  # of each contact, and not of a lane
_AGAINST = (("freshest", "oldest"), ("fewest", "most"))
T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


class Lane(NamedTuple):
    """Contacts alike for every order; `listed_at`: when their list was imported, `penetration`: the share of its
    contacts that were tried at least once."""

    list_id: int
    priority: int
    tried: int
    listed_at: datetime
    penetration: float = 0.0


def parse_order(text: str) -> tuple[str, ...]:
    """Read "priority,freshest"; BadInput when a word is unknown, comes twice, or contradicts another."""
    words = tuple(word.strip().lower() for word in text.split(",") if word.strip())
    for word in words:
        if word not in ORDERS:
            raise BadInput(f"there is no order {word!r}: use {', '.join(ORDERS)}, the weightiest first")
    if len(set(words)) < len(words):
        raise BadInput(f"the order {text!r} names one thing twice")
    for one, other in _AGAINST:
        if one in words and other in words:
            raise BadInput(f"the order {text!r} asks for {one} and for {other}: which?")
    if BEST_TIME in words and words.index(BEST_TIME) != len(words) - 1 - ("due" in words):
        raise BadInput(f"the order {text!r}: best-time decides between contacts alike for the others, so it comes last")
    if "due" in words and words[-1] != "due":
        raise BadInput(f"the order {text!r}: due decides between whatever is still equal, so it comes last")
    return words


_PLACES: Mapping[str, Callable[[Lane], float]] = {
    "priority": lambda lane: lane.priority,
    "freshest": lambda lane: -lane.listed_at.timestamp(),
    "oldest": lambda lane: lane.listed_at.timestamp(),
    "penetration": lambda lane: lane.penetration,
    "fewest": lambda lane: lane.tried,
    "most": lambda lane: -lane.tried,
}


def rank(lane: Lane, order: Sequence[str]) -> tuple[float, ...]:
    """Return where a lane stands; equal ranks are taken together, whoever is due longest first."""
    return tuple(_PLACES[word](lane) for word in order if word in _PLACES)


def mixed(queues: Mapping[K, Sequence[T]], shares: Mapping[K, float], recent: Mapping[K, int], wanted: int) -> list[T]:
    """Take `wanted` from the queues so that with the `recent` calls each has its share; those without one come last.

    At each step the queue that is furthest behind gives one; what a queue cannot give, the others do. Over any stretch
    in which all have contacts, none is further than one call from its share.
    """
    taken: list[T] = []
    at = dict.fromkeys(queues, 0)
    given = {name: float(recent.get(name, 0)) for name in queues}
    while len(taken) < wanted:
        left = [name for name in queues if at[name] < len(queues[name])]
        if not left:
            break
        shared = [name for name in left if shares.get(name, 0) > 0]
        if shared:
            # What was given to each, over what it should have: the least comes next.
            name = min(shared, key=lambda one: ((given[one] + 1) / shares[one], str(one)))
        else:
            name = min(left, key=lambda one: (at[one], str(one)))
        taken.append(queues[name][at[name]])
        at[name] += 1
        given[name] += 1
    return taken
