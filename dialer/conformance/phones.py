"""Whose phones a conformance run may ring, and what it does next: said before anything rings."""

from dataclasses import dataclass

from dialer.pbx.base import PbxUser


@dataclass(frozen=True, slots=True)
class Phones:
    """The operator's own numbers and agents; nothing else is ever called.

    Of two, the second is the one that is left alone. With one, the person in front of it is told what to do.
    """

    numbers: tuple[str, ...] = ()  # E.164 with the plus
    agents: tuple[PbxUser, ...] = ()
    wrong: str = ""  # a number that nobody has, if the operator gave one
    caller_id: str = ""

    @property
    def answers(self) -> str:
        return self.numbers[0]

    @property
    def left_alone(self) -> str:
        return self.numbers[-1]

    @property
    def agent(self) -> PbxUser:
        return self.agents[0]

    @property
    def agent_left_alone(self) -> PbxUser:
        return self.agents[-1]

    def may_ring(self, number: str) -> bool:
        """Whether this number was given on the command line."""
        return number in self.numbers or (bool(self.wrong) and number == self.wrong)
