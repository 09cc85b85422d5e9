"""What a PBX cannot do is refused by its adapter in one sentence, and nothing is sent."""

from collections.abc import Callable, Sequence
from datetime import datetime

from dialer.errors import PbxRefused
from dialer.pbx.base import (
    AgentFirstOrder,
    AgentOrder,
    CustomerOrder,
    LiveCall,
    PastCall,
    WaitingLeg,
)


class Lacking:
    """An adapter's base: each command and list is refused until the adapter overrides it and names its feature."""

    name: str

    def current_calls(self) -> Sequence[LiveCall]:
        raise self._cannot("list its calls")

    def call_report(self, since: datetime) -> Sequence[PastCall]:  # noqa: ARG002 (the protocol's)
        raise self._cannot("list past calls")

    def call_customer(self, order: CustomerOrder, *, before_send: Callable[[], None] | None = None) -> str:  # noqa: ARG002
        raise self._cannot("call a customer with no agent attached")

    def call_agent(self, order: AgentOrder, *, before_send: Callable[[], None] | None = None) -> str:  # noqa: ARG002
        raise self._cannot("park an agent on the line")

    def call_for_agent(self, order: AgentFirstOrder, *, before_send: Callable[[], None] | None = None) -> str:  # noqa: ARG002
        raise self._cannot("ring an agent first")

    def join(self, customer: WaitingLeg, agent: WaitingLeg, user_id: str) -> str:  # noqa: ARG002
        raise self._cannot("join two calls")

    def play_message(self, customer: WaitingLeg) -> str:  # noqa: ARG002
        raise self._cannot("play a message")

    def hang_up(self, call_id: str) -> str:  # noqa: ARG002
        raise self._cannot("end a call from here: it is ended on the agent's phone")

    def _cannot(self, what: str) -> PbxRefused:
        return PbxRefused(self.name, f"it cannot {what}; nothing was sent")
