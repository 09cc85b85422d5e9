"""What tests of the simulated PBX share: asking it, and a small dialer to keep it busy."""

import itertools
from collections.abc import Callable, Iterable
from xml.etree import ElementTree

from dialer.pbx.simulator.webhooks import Webhook
from dialer.pbx.simulator.world import Reply, World

CUSTOMER = {"calling_type": 2, "calling_id": 4, "called_type": 3, "called_id": 17, "called_number": "0210001000"}
AGENT = {"calling_type": 0, "called_type": 3, "called_id": 18, "auto_answer": 1}


def send(world: World, service: str, method: str = "GET", **params: object) -> Reply:
    told = {"token": world.config.token, "service": service}
    return world.request({**told, **{name: str(value) for name, value in params.items()}}, method)


def ask(world: World, service: str, method: str = "GET", **params: object) -> ElementTree.Element:
    """The reply's root element; an empty one for a reply that cannot be read."""
    try:
        return ElementTree.fromstring(send(world, service, method, **params).body)
    except ElementTree.ParseError:
        return ElementTree.Element("unreadable")


def accepted(root: ElementTree.Element) -> bool:
    return root.findtext("outcome") == "0" and len(root.findtext("request_id") or "") == 14


def call(world: World, number: str, extid: str = "c1", **changes: object) -> ElementTree.Element:
    return ask(world, "call_request_ext", **{**CUSTOMER, "calling_number": number, "extid": extid, **changes})


def park(world: World, user_id: int = 101, extid: str = "a1", **changes: object) -> ElementTree.Element:
    return ask(world, "call_request_ext", **{**AGENT, "calling_id": user_id, "extid": extid, **changes})


def run(world: World, until: float, heard: Callable[[Webhook], None] | None = None) -> list[Webhook]:
    """Let the world live until then; the webhooks it sent, each shown to `heard` at its moment."""
    sent: list[Webhook] = []
    while True:
        for hook in world.take_webhooks():
            sent.append(hook)
            if heard is not None:
                heard(hook)
        due = world.next_time()
        if due is None or due > until:
            break
        world.advance_to(due)
    world.advance_to(until)
    return sent


def run_out(world: World) -> list[Webhook]:
    """No more calls; everything comes to its end."""
    world.quiet()
    return run(world, world.now + 20_000)


def steps(hooks: Iterable[Webhook], extid: str | None = None) -> list[str]:
    """The events of one call, each as `name type/id outcome`."""
    told = []
    for hook in hooks:
        fields = hook.fields
        if extid is None or fields.get("extid") == extid:
            who = next((side for side in ("sender", "recipient", "called") if f"{side}_type" in fields), None)
            if fields["event_name"] == "call_response":
                who = "sender"
            entity = f" {fields[f'{who}_type']}/{fields[f'{who}_id']}" if who else ""
            outcome = f" {fields['outcome']}" if "outcome" in fields else ""
            told.append(f"{fields['event_name']}{entity}{outcome}")
    return told


class SmallDialer:
    """Parks whoever is available, calls `ratio` numbers for each idle agent, and joins them. No more.

    It believes every event, and forgets what it has not heard of for a minute.
    """

    def __init__(self, world: World, numbers: Iterable[str], ratio: float = 1.5) -> None:
        self.world = world
        self.numbers = iter(numbers)
        self.ratio = ratio
        self.dialling: dict[str, float] = {}  # extid: since when
        self.parked: dict[str, tuple[str, str, str]] = {}  # extid: user, communication, leg
        self.waiting: list[tuple[str, str]] = []  # communication and leg at the reception
        self._ref = itertools.count(1)
        self._parking: dict[str, float] = {}  # user: since when
        self._user_of: dict[str, str] = {}

    def work(self, until: float, every: float = 1.0) -> None:
        tick = self.world.now
        while tick < until:
            self._tick()
            tick = min(tick + every, until)
            run(self.world, tick, self.hear)

    def _tick(self) -> None:
        now = self.world.now
        self.dialling = {extid: since for extid, since in self.dialling.items() if since > now - 60}
        for user in ask(self.world, "get_entities", entity_type=0).iter("user"):
            id = user.findtext("id") or ""
            if user.findtext("av_status") == "2" and self._parking.get(id, -60.0) < now - 10:
                extid = f"a{next(self._ref)}"
                self._user_of[extid] = id
                if accepted(park(self.world, int(id), extid)):
                    self._parking[id] = now
                    self.parked = {a: leg for a, leg in self.parked.items() if leg[0] != id}
        room = int(len(self.parked) * self.ratio) - len(self.dialling)
        for number in itertools.islice(self.numbers, max(0, room)):
            extid = f"c{next(self._ref)}"
            if accepted(call(self.world, number, extid)):
                self.dialling[extid] = now

    def hear(self, hook: Webhook) -> None:
        fields = hook.fields
        name, extid, com = fields["event_name"], fields.get("extid", ""), fields["call_id"]
        good = name == "call_response" and fields["outcome"] == "1"
        if extid.startswith("a"):
            if good and fields["sender_type"] == "0":
                self.parked[extid] = (self._user_of[extid], com, fields["entity_call_id"])
            elif name == "call_terminated":
                self.parked.pop(extid, None)
                self._parking.pop(self._user_of[extid], None)
        else:
            if name in ("call_response", "call_terminated"):
                self.dialling.pop(extid, None)
            if good and fields["sender_type"] == "3":
                self.waiting.append((com, fields["entity_call_id"]))
            elif name == "call_terminated":
                self.waiting = [(c, leg) for c, leg in self.waiting if c != com]
        self._join()

    def _join(self) -> None:
        while self.waiting and self.parked:
            com, leg = self.waiting.pop(0)
            user, agent_com, agent_leg = self.parked.pop(next(iter(self.parked)))
            join(self.world, (com, leg), (agent_com, user, agent_leg))


def join(
    world: World, customer: tuple[str, str], agent: tuple[str, str, str], **changes: object
) -> ElementTree.Element:
    """Put the agent (communication, user, leg) in the reception's place (communication, leg)."""
    told: dict[str, object] = {
        "replace_com_id": customer[0],
        "replace_type": 3,
        "replace_id": 17,
        "replace_local_id": customer[1],
        "recipient_com_id": agent[0],
        "recipient_type": 0,
        "recipient_id": agent[1],
        "recipient_call_id": agent[2],
    }
    return ask(world, "call_transfer_ext", **{**told, **changes})


def numbers(count: int, first: int = 390600000000) -> list[str]:
    return [str(first + i) for i in range(count)]
