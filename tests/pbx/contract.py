"""What every PBX must show, whoever makes it: subclass `PbxContract` and give it a `rig`.

A rig is a PBX reached over real HTTP and a hand that makes it misbehave. The promises are those of
`dialer.pbx.base`: a command is sent at most once and has four ends, a read ends in a list or in an error of
ours, an event is read or refused with a sentence, and nothing of the library or of the secret shows.
"""

import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.errors import EventTrouble, OutcomeUnknown, PbxError, PbxNonsense, PbxRefused, PbxUnavailable
from dialer.pbx.base import AgentOrder, CallEvent, CustomerOrder, EventKeys, Feature, Payload, Pbx, WaitingLeg


class Fault(StrEnum):
    """Ways in which a PBX may misbehave."""

    REFUSES = "refuses"
    NOT_LISTENING = "not listening"
    CUT = "cut"
    CUT_IN_THE_MIDDLE = "cut in the middle"
    SILENCE = "silence"
    DRIP = "drip"
    FLOOD = "flood"
    SERVER_ERROR = "500"
    NOT_FOUND = "404"
    HTML = "html"
    TRUNCATED = "truncated"
    BOMB = "bomb"
    EMPTY = "empty"
    REDIRECT = "redirect"


class Rig(Protocol):
    """A PBX under test. `patience` is its time-out for one request, in seconds."""

    pbx: Pbx
    patience: float
    faults: frozenset[Fault]  # those it can be made to show

    def misbehave(self, fault: Fault, times: int | None = None) -> None:
        """Show `fault` from now on, or for the next `times` requests."""

    def received(self) -> int:
        """How many requests have reached it so far."""

    def customer(self) -> CustomerOrder:
        """An order it would take, with a reference of its own."""

    def agent(self) -> AgentOrder: ...

    def legs(self) -> tuple[WaitingLeg, WaitingLeg, str]:
        """A customer and an agent who wait, and the agent's user id."""


Prepare = Callable[[Rig], Callable[[], str]]


def _customer(rig: Rig) -> Callable[[], str]:
    order = rig.customer()
    return lambda: rig.pbx.call_customer(order)


def _agent(rig: Rig) -> Callable[[], str]:
    order = rig.agent()
    return lambda: rig.pbx.call_agent(order)


def _join(rig: Rig) -> Callable[[], str]:
    legs = rig.legs()
    return lambda: rig.pbx.join(*legs)


def _message(rig: Rig) -> Callable[[], str]:
    customer, _, _ = rig.legs()
    return lambda: rig.pbx.play_message(customer)


def _hang_up(rig: Rig) -> Callable[[], str]:
    customer, _, _ = rig.legs()
    return lambda: rig.pbx.hang_up(customer.call_id)


# Each makes ready what its command needs, and returns the command itself.
COMMANDS: Mapping[str, Prepare] = {
    "call_customer": _customer,
    "call_agent": _agent,
    "join": _join,
    "play_message": _message,
    "hang_up": _hang_up,
}
READS: tuple[str, ...] = ("gateways", "users", "current_calls", "call_report")

SLACK = 5.0  # seconds a busy machine may take on top
NEVER_SENT = (Fault.NOT_LISTENING,)
REFUSED = (Fault.REFUSES, Fault.NOT_FOUND, Fault.REDIRECT)
UNKNOWN = (
    Fault.CUT,
    Fault.CUT_IN_THE_MIDDLE,
    Fault.SILENCE,
    Fault.DRIP,
    Fault.FLOOD,
    Fault.SERVER_ERROR,
    Fault.HTML,
    Fault.TRUNCATED,
    Fault.BOMB,
    Fault.EMPTY,
)
_FIELDS = """event event_type event_name extid call_id entity_call_id sender_type sender_id recipient_id outcome
connected_id refer_id request_id called_type called_id user_id ext"""
FIELDS = _FIELDS.split()
JUNK = st.one_of(
    st.text(),
    st.lists(
        st.tuples(
            st.sampled_from(FIELDS),
            st.one_of(st.text(max_size=12), st.integers(-3, 20).map(str), st.just("call_transfer")),
        ),
        max_size=12,
    ).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs)),
)


def ask(rig: Rig, read: str) -> Any:
    """Make one of the reads."""
    if read == "call_report":
        from datetime import UTC, datetime

        return rig.pbx.call_report(datetime(2026, 3, 2, 8, 0, tzinfo=UTC))
    return getattr(rig.pbx, read)()


class PbxContract:
    """Subclass it, name the class `Test...`, and add a `rig` fixture (which may ask for `patience`)."""

    @pytest.fixture
    def patience(self, request: pytest.FixtureRequest) -> float:
        """The time-out to open the PBX with: short only where it is waited for, for a busy machine is slow."""
        fault = request.node.callspec.params.get("fault") if hasattr(request.node, "callspec") else None
        return 0.6 if fault in (Fault.SILENCE, Fault.DRIP) else 10.0

    @pytest.fixture(autouse=True)
    def _skip_what_it_cannot_show(self, request: pytest.FixtureRequest, rig: Rig) -> None:
        fault = request.node.callspec.params.get("fault") if hasattr(request.node, "callspec") else None
        if fault is not None and fault not in rig.faults:
            pytest.skip(f"this PBX cannot be made to show: {fault}")
        read = request.node.callspec.params.get("read") if hasattr(request.node, "callspec") else None
        if read == "call_report" and Feature.CALL_REPORT not in rig.pbx.features:
            pytest.skip("this PBX keeps no report of calls, and says so")

    # commands have four ends --------------------------------------------------------------------------

    @pytest.mark.parametrize("command", COMMANDS)
    def test_a_command_that_is_taken_returns_the_pbx_s_request_id(self, rig: Rig, command: str) -> None:
        send = COMMANDS[command](rig)
        before = rig.received()
        assert send()
        assert rig.received() == before + 1

    @pytest.mark.parametrize("fault", REFUSED)
    @pytest.mark.parametrize("command", COMMANDS)
    def test_a_command_that_is_refused_says_why(self, rig: Rig, command: str, fault: Fault) -> None:
        send = COMMANDS[command](rig)
        rig.misbehave(fault)
        with pytest.raises(PbxRefused) as caught:
            send()
        self._is_a_sentence(rig, caught.value)

    @pytest.mark.parametrize("fault", NEVER_SENT)
    @pytest.mark.parametrize("command", COMMANDS)
    def test_a_command_that_never_left_is_safe_to_send_again(self, rig: Rig, command: str, fault: Fault) -> None:
        send = COMMANDS[command](rig)
        rig.misbehave(fault)
        before = rig.received()
        with pytest.raises(PbxUnavailable) as caught:
            send()
        self._is_a_sentence(rig, caught.value)
        assert rig.received() == before

    @pytest.mark.parametrize("fault", UNKNOWN)
    @pytest.mark.parametrize("command", COMMANDS)
    def test_a_command_without_a_usable_reply_is_unknown_and_left_once(
        self, rig: Rig, command: str, fault: Fault
    ) -> None:
        send = COMMANDS[command](rig)
        rig.misbehave(fault)
        before = rig.received()
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown) as caught:
            send()
        assert time.monotonic() - began < rig.patience + SLACK
        self._is_a_sentence(rig, caught.value)
        assert rig.received() == before + 1, "a command is never sent twice"

    def test_the_last_look_can_stop_an_order_after_connecting_and_before_sending(self, rig: Rig) -> None:
        class TooLate(Exception):
            pass

        stop = TooLate("the order is too old")

        def look() -> None:
            raise stop

        first, agent, second = rig.customer(), rig.agent(), rig.customer()
        before = rig.received()
        with pytest.raises(TooLate) as caught:
            rig.pbx.call_customer(first, before_send=look)
        assert caught.value is stop
        with pytest.raises(TooLate):
            rig.pbx.call_agent(agent, before_send=look)
        # A command sent now would arrive after anything those two might have left.
        rig.pbx.call_customer(second)
        assert rig.received() == before + 1

    def test_the_last_look_is_taken_once_and_lets_the_order_go(self, rig: Rig) -> None:
        looks: list[int] = []
        before = rig.received()
        rig.pbx.call_customer(rig.customer(), before_send=lambda: looks.append(rig.received()))
        assert looks == [before]

    def test_nobody_looks_when_the_pbx_cannot_be_reached(self, rig: Rig) -> None:
        rig.misbehave(Fault.NOT_LISTENING)
        looks: list[int] = []
        with pytest.raises(PbxUnavailable):
            rig.pbx.call_customer(rig.customer(), before_send=lambda: looks.append(1))
        assert looks == []

    @pytest.mark.parametrize(
        "number", ["", "+", "12", "+39 06 1234", "112;ls", "+390612345678&x=1", "٠٦١٢٣٤٥٦٧٨", "1" * 16]
    )
    def test_what_is_no_phone_number_never_meets_the_pbx(self, rig: Rig, number: str) -> None:
        order, before = rig.customer(), rig.received()
        for wrong in (
            CustomerOrder(order.ref, number, order.gateway, order.caller_id),
            CustomerOrder(order.ref, order.number, order.gateway, number),
        ):
            with pytest.raises(PbxRefused):
                rig.pbx.call_customer(wrong)
        assert rig.received() == before

    @pytest.mark.parametrize("bad", ["", "4&service=call_terminate", "4\r\n5", "../4", "四"])
    def test_what_is_no_id_never_meets_the_pbx(self, rig: Rig, bad: str) -> None:
        order, agent = rig.customer(), rig.agent()
        customer_leg, agent_leg, user = rig.legs()
        before = rig.received()
        for send in (
            lambda: rig.pbx.call_customer(CustomerOrder(order.ref, order.number, bad, order.caller_id)),
            lambda: rig.pbx.call_customer(CustomerOrder(bad, order.number, order.gateway, order.caller_id)),
            lambda: rig.pbx.call_agent(AgentOrder(agent.ref, bad, agent.extension)),
            lambda: rig.pbx.call_agent(AgentOrder(agent.ref, agent.user_id, bad)),
            lambda: rig.pbx.join(WaitingLeg(bad, customer_leg.leg_id), agent_leg, user),
            lambda: rig.pbx.join(customer_leg, WaitingLeg(agent_leg.call_id, bad), user),
            lambda: rig.pbx.join(customer_leg, agent_leg, bad),
            lambda: rig.pbx.play_message(WaitingLeg(bad, customer_leg.leg_id)),
            lambda: rig.pbx.hang_up(bad),
        ):
            with pytest.raises(PbxRefused):
                send()
        assert rig.received() == before

    # reads --------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("read", READS)
    def test_a_read_gives_a_list(self, rig: Rig, read: str) -> None:
        assert isinstance(ask(rig, read), list)

    def test_there_is_a_gateway_to_call_through_and_somebody_to_talk(self, rig: Rig) -> None:
        assert any(gateway.usable and gateway.free_lines > 0 for gateway in rig.pbx.gateways())
        assert all(user.id and user.extension for user in rig.pbx.users())

    @pytest.mark.parametrize("fault", [Fault.NOT_LISTENING, Fault.SERVER_ERROR, Fault.CUT])
    @pytest.mark.parametrize("read", READS)
    def test_a_read_that_gets_no_answer_says_unavailable(self, rig: Rig, read: str, fault: Fault) -> None:
        rig.misbehave(fault)
        with pytest.raises(PbxUnavailable) as caught:
            ask(rig, read)
        self._is_a_sentence(rig, caught.value)

    @pytest.mark.parametrize("fault", [Fault.HTML, Fault.TRUNCATED, Fault.BOMB, Fault.EMPTY, Fault.FLOOD])
    @pytest.mark.parametrize("read", READS)
    def test_a_read_never_believes_nonsense(self, rig: Rig, read: str, fault: Fault) -> None:
        rig.misbehave(fault)
        with pytest.raises(PbxNonsense) as caught:
            ask(rig, read)
        self._is_a_sentence(rig, caught.value)

    @pytest.mark.parametrize("fault", list(Fault))
    def test_a_read_ends_in_an_error_of_ours_and_in_time(self, rig: Rig, fault: Fault) -> None:
        rig.misbehave(fault)
        began = time.monotonic()
        with pytest.raises((PbxUnavailable, PbxNonsense)):
            rig.pbx.gateways()
        assert time.monotonic() - began < 2 * rig.patience + SLACK

    @pytest.mark.parametrize("fault", [Fault.SERVER_ERROR, Fault.CUT])
    def test_a_read_is_asked_again_after_a_passing_fault(self, rig: Rig, fault: Fault) -> None:
        rig.misbehave(fault, times=1)
        assert rig.pbx.gateways()

    # the check ----------------------------------------------------------------------------------------

    @pytest.mark.parametrize("fault", list(Fault))
    def test_the_check_never_raises_and_names_a_remedy(self, rig: Rig, fault: Fault) -> None:
        rig.misbehave(fault)
        bad = [finding for finding in rig.pbx.check() if not finding.ok and finding.fatal]
        assert bad
        assert all(finding.what and finding.remedy for finding in bad)

    # events -------------------------------------------------------------------------------------------

    def test_no_event_whatever_its_shape_breaks_the_reader(self, rig: Rig) -> None:
        # Inside, because hypothesis takes a method of several classes for one test.
        @settings(max_examples=150, deadline=None)
        @given(query=JUNK, body=st.binary(max_size=200), kind=st.sampled_from(["", "application/json", "text/html"]))
        def tried(query: str, body: bytes, kind: str) -> None:
            payload = Payload("POST", query, body, kind)
            assert isinstance(rig.pbx.keys(payload), EventKeys)
            told: CallEvent | str
            try:
                told = rig.pbx.read(payload)
            except EventTrouble as exc:
                told = str(exc)
            assert told.isprintable() if isinstance(told, str) else told.name

        tried()

    def test_a_megabyte_of_query_is_looked_at_and_not_believed(self, rig: Rig) -> None:
        payload = Payload("GET", "event_type=1&event=4&" + "x=1&" * 250_000, b"{" * 500_000, "application/json")
        began = time.thread_time()
        assert rig.pbx.keys(payload) == EventKeys()
        with pytest.raises(EventTrouble):
            rig.pbx.read(payload)
        assert time.thread_time() - began < 0.5

    # what it says of itself ---------------------------------------------------------------------------

    def test_its_features_are_features_and_its_repr_shows_no_address(self, rig: Rig) -> None:
        assert rig.pbx.features <= set(Feature)
        assert "http" not in repr(rig.pbx)

    def test_closing_twice_is_harmless(self, rig: Rig) -> None:
        rig.pbx.close()
        rig.pbx.close()

    # helpers ------------------------------------------------------------------------------------------

    def _is_a_sentence(self, rig: Rig, error: PbxError) -> None:
        assert error.pbx == rig.pbx.name
        assert str(error).startswith(f"PBX {rig.pbx.name}: ")
        assert str(error).isprintable()
        assert len(str(error)) < 600
        assert error.__cause__ is None, "the library's exception holds the request, and the request the secret"
        assert error.__context__ is None, "the library's exception holds the request, and the request the secret"
