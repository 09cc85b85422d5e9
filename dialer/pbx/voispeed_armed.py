"""Is the PBX armed for our own death? What an IVR does when nobody comes, read from its nodes.

Our reading of a node, in the order in which things happen (the guide names the fields and leaves the rest open):

1. It plays `audio_message`: once when `audio_loop` is 0, over and over when it is 1.
2. It waits. With `waiting_input_time` above 0 it goes on after that many seconds, whether or not it loops; with
   neither a loop nor a wait it goes on when the message is over; a loop without a wait never goes on by itself.
3. It acts: 0 (or nothing) ends the call; 1 goes to a child node; 2 calls an entity or number; 3 asks a script,
   and when that does not answer, as after our death, ends the call.

The root is the node whose parent is none of the others. A child that no key selects is the one for "no input";
with a single child it is that one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from dialer.pbx.voispeed_codes import EntityType, IvrAction
from dialer.pbx.voispeed_entities import Ivr, IvrNode

MAX_STEPS = 50


@dataclass(frozen=True, slots=True)
class Course:
    """What a caller left alone goes through."""

    ends: bool
    plays_message: bool  # something is played once, and not in a loop
    wait: float  # seconds of waiting, the messages themselves not counted
    wait_before_message: float  # the last thing played once is taken for the message
    told: str  # the steps in words
    why: str = ""  # why it does not end, or cannot be followed


def left_alone(ivr: Ivr, ivrs: Mapping[str, Ivr]) -> Course:
    """Follow an IVR with no input and nobody coming, into other IVRs it calls."""
    walk = _Walk(ivrs)
    why = walk.through(ivr)
    return Course(
        ends=not why,
        plays_message=walk.message_after is not None,
        wait=walk.wait,
        wait_before_message=walk.message_after or 0,
        told=", then ".join(walk.steps) or "nothing",
        why=why,
    )


def waits_for_ever(ivr: Ivr) -> str:
    """Say why somebody parked on this IVR would not stay; empty when they would."""
    root = _root(ivr)
    if root is None:
        return "it has no root node"
    if root.audio_loop == 1 and not root.waiting_input_time:
        return ""
    if root.audio_loop == 1:
        return f"its root goes on after {root.waiting_input_time:g} s; set the time to wait for input to 0"
    return "its root plays once and goes on; set the message to loop (continuous)"


class _Walk:
    def __init__(self, ivrs: Mapping[str, Ivr]) -> None:
        self._ivrs = ivrs
        self._seen: set[tuple[str, str]] = set()
        self.steps: list[str] = []
        self.wait = 0.0
        self.message_after: float | None = None

    def through(self, start: Ivr) -> str:
        """Walk to the end; the reason when there is none."""
        ivr: Ivr = start
        node = _root(ivr)
        while True:
            if node is None:
                return f"IVR {ivr.id} ({ivr.name}) has no root node"
            if (ivr.id, node.id) in self._seen or len(self._seen) >= MAX_STEPS:
                return "it goes round for ever"
            self._seen.add((ivr.id, node.id))
            why = self._stay(node)
            if why:
                return why
            if node.action == IvrAction.CALL:
                following = self._called(node)
                if isinstance(following, str):
                    return following
                ivr, node = following, _root(following)
            elif node.action == IvrAction.NEXT_NODE:
                child = _child(ivr, node)
                if isinstance(child, str):
                    return child
                node = child
            elif node.action == IvrAction.SCRIPT:
                self.steps.append("asks a script, and ends without its answer")
                return ""
            else:
                self.steps.append("ends")
                return ""

    def _stay(self, node: IvrNode) -> str:
        """What happens in the node itself; the reason when a caller never leaves it."""
        wait = node.waiting_input_time or 0.0
        if node.audio_loop == 1 and not wait:
            return f"node {node.id} plays its message for ever (loop, and no time to wait for input)"
        if node.audio_message and node.audio_loop != 1:
            self.message_after = self.wait
        if node.audio_message:
            self.steps.append(f"plays {node.audio_message!r} {'in a loop' if node.audio_loop == 1 else 'once'}")
        if wait:
            self.steps.append(f"waits {wait:g} s")
            self.wait += wait
        return ""

    def _called(self, node: IvrNode) -> Ivr | str:
        if node.called_type != EntityType.IVR or node.called_id is None:
            return f"node {node.id} calls something else than an IVR, so whoever that is would get our customers"
        following = self._ivrs.get(node.called_id)
        if following is None:
            return f"node {node.id} calls IVR {node.called_id}, which does not exist"
        self.steps.append(f"goes to IVR {following.id}")
        return following


def _root(ivr: Ivr) -> IvrNode | None:
    ids = {node.id for node in ivr.nodes}
    roots = [node for node in ivr.nodes if node.parent is None or node.parent == node.id or node.parent not in ids]
    # The guide's sample calls the root node 0.
    return next((node for node in roots if node.id == "0"), roots[0] if roots else None)


def _child(ivr: Ivr, node: IvrNode) -> IvrNode | str:
    children = [other for other in ivr.nodes if other.parent == node.id and other.id != node.id]
    silent = [child for child in children if child.select_key in ("", "-1")]
    for found in (silent, children):
        if len(found) == 1:
            return found[0]
    if not children:
        return f"node {node.id} goes to a child node and has none: the caller stays there"
    return f"node {node.id} has {len(children)} child nodes, and none of them is the one for no input"
