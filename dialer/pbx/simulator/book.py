"""The world's own record of who rang when and who heard whom: the judge of every run.

It is written by the exchange as things happen and knows nothing of what the dialer believes.
"""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class CustomerCall:
    """One time a number was dialled. Times are seconds of the world."""

    leg: int
    call_id: int
    extid: str
    number: str
    nth: int
    gateway: int
    dialled_at: float
    rang_at: float | None = None
    answered_at: float | None = None
    ended_at: float | None = None
    ended_by: str = ""
    outcome: int = 0
    talks: list[list[float | str | None]] = field(default_factory=list)  # [extension, from, to]
    messages: list[list[float | str | bool | None]] = field(default_factory=list)  # [sound, from, to, whole]

    def served(self, until: float) -> list[tuple[float, float]]:
        """Return the spans in which somebody talked to the customer, or the message played."""
        spans = [(float(t[1] or 0), until if t[2] is None else float(t[2])) for t in self.talks]
        spans += [(float(m[1] or 0), until if m[2] is None else float(m[2])) for m in self.messages]
        return sorted(spans)

    def longest_silence(self, now: float) -> float:
        """Return the longest time the customer stayed on the line with neither agent nor message."""
        if self.answered_at is None:
            return 0.0
        end = now if self.ended_at is None else self.ended_at
        longest, since = 0.0, self.answered_at
        for begin, until in self.served(end):
            longest = max(longest, begin - since)
            since = max(since, until)
        # After a conversation or the message, the line is only being taken down.
        return max(longest, end - since)


@dataclass(slots=True, eq=False)
class AgentBook:
    """How one agent's time went, and whom the agent talked to."""

    extension: str
    state: str = "idle"
    since: float = 0.0
    spent: dict[str, float] = field(default_factory=dict)
    talking_to: list[int] = field(default_factory=list)
    conversations: int = 0

    def time_in(self, now: float) -> dict[str, float]:
        spent = dict(self.spent)
        spent[self.state] = spent.get(self.state, 0.0) + now - self.since
        return spent


class Book:
    """Ground truth. Only the exchange writes here."""

    def __init__(self) -> None:
        self.calls: list[CustomerCall] = []
        self.agents: dict[str, AgentBook] = {}
        self.requests: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.ignored: Counter[str] = Counter()  # accepted commands that came too late or named wrong ids
        self.happenings: list[tuple[float, str]] = []  # gateways, restarts
        self.double_dials: list[dict[str, object]] = []
        self.two_on_one: list[dict[str, object]] = []
        self._by_leg: dict[int, CustomerCall] = {}
        self._by_extid: dict[str, CustomerCall] = {}
        self._up_by_number: dict[str, list[CustomerCall]] = {}

    # customers ----------------------------------------------------------------------------------------
    def dialled(self, leg: int, call_id: int, extid: str, number: str, nth: int, gateway: int, now: float) -> None:
        """A line was seized and the number dialled: from here on a phone may ring."""
        call = CustomerCall(leg, call_id, extid, number, nth, gateway, now)
        up = self._up_by_number.setdefault(number, [])
        if up:
            self._double("number already on a line", up[0], call)
        elif extid and extid in self._by_extid:
            self._double("same extid twice", self._by_extid[extid], call)
        up.append(call)
        self._by_leg[leg] = call
        if extid:
            self._by_extid.setdefault(extid, call)
        self.calls.append(call)

    def rang(self, leg: int, now: float) -> None:
        self._by_leg[leg].rang_at = now

    def answered(self, leg: int, now: float) -> None:
        self._by_leg[leg].answered_at = now

    def ended(self, leg: int, now: float, by: str, outcome: int) -> None:
        """A customer's leg is gone; the line is free."""
        call = self._by_leg.pop(leg)
        call.ended_at, call.ended_by, call.outcome = now, by, outcome
        self._up_by_number[call.number].remove(call)
        if not self._up_by_number[call.number]:
            del self._up_by_number[call.number]

    def message_began(self, leg: int, sound: str, now: float) -> None:
        self._by_leg[leg].messages.append([sound, now, None, False])

    def message_ended(self, leg: int, now: float, whole: bool) -> None:
        last = self._by_leg[leg].messages[-1]
        last[2], last[3] = now, whole

    # conversations ------------------------------------------------------------------------------------
    def conversation_began(self, leg: int, extension: str, now: float) -> None:
        """A customer and an agent hear each other."""
        call, agent = self._by_leg[leg], self.agent(extension)
        if agent.talking_to:
            self.two_on_one.append(
                {"at": round(now, 3), "agent": extension, "legs": [*agent.talking_to, leg], "number": call.number}
            )
        agent.talking_to.append(leg)
        agent.conversations += 1
        call.talks.append([extension, now, None])

    def conversation_ended(self, leg: int, extension: str, now: float) -> None:
        self.agent(extension).talking_to.remove(leg)
        self._by_leg[leg].talks[-1][2] = now

    # agents -------------------------------------------------------------------------------------------
    def agent(self, extension: str) -> AgentBook:
        if extension not in self.agents:
            self.agents[extension] = AgentBook(extension)
        return self.agents[extension]

    def agent_is(self, extension: str, state: str, now: float) -> None:
        """An agent's time goes into `state` from now on."""
        agent = self.agent(extension)
        if agent.state != state:
            agent.spent[agent.state] = agent.spent.get(agent.state, 0.0) + now - agent.since
            agent.state, agent.since = state, now

    def _double(self, why: str, first: CustomerCall, second: CustomerCall) -> None:
        self.double_dials.append(
            {
                "why": why,
                "number": second.number,
                "first": {"at": round(first.dialled_at, 3), "extid": first.extid, "call_id": first.call_id},
                "second": {"at": round(second.dialled_at, 3), "extid": second.extid, "call_id": second.call_id},
            }
        )
