"""What every PBX must show, whoever makes it: subclass `PbxContract` and give it a `rig`.

A rig is a PBX reached over real HTTP and a hand that makes it misbehave. The promises are those of
`dialer.pbx.base`: a command is sent at most once and has four ends, a read ends in a list or in an error of
ours, an event is read or refused with a sentence, and nothing of the library or of the secret shows.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any, Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.errors import EventTrouble, OutcomeUnknown, PbxError, PbxNonsense, PbxRefused, PbxUnavailable
from dialer.pbx.base import (
    AgentFirstOrder,
    AgentOrder,
    CallEvent,
    CustomerOrder,
    EventKeys,
    Feature,
    Heard,
    Payload,
    Pbx,
    WaitingLeg,
)


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
    SLOW_DOWN = "429"


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

    def for_agent(self) -> AgentFirstOrder:
        """An order that rings the agent first; of no use where the PBX cannot."""

    def legs(self) -> tuple[WaitingLeg, WaitingLeg, str]:
        """A customer and an agent who wait, and the agent's user id."""

    def expire(self) -> None:
        """Take the secret no more that was good until now."""

    def renew(self) -> None:
        """Take another secret, and keep it where the settings point to; time passes, if an account needs that."""

    def drop(self) -> None:
        """Close every connection that stands, as a PBX does with idle ones, and go on listening."""

    def told(self) -> Sequence[Payload]:
        """The events of one call, in the order in which this PBX tells them; two at least."""


Prepare = Callable[[Rig], Callable[[], str]]


def _customer(rig: Rig) -> Callable[[], str]:
    order = rig.customer()
    return lambda: rig.pbx.call_customer(order)


def _agent(rig: Rig) -> Callable[[], str]:
    order = rig.agent()
    return lambda: rig.pbx.call_agent(order)


def _for_agent(rig: Rig) -> Callable[[], str]:
    order = rig.for_agent()
    return lambda: rig.pbx.call_for_agent(order)


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
    "call_for_agent": _for_agent,
    "join": _join,
    "play_message": _message,
    "hang_up": _hang_up,
}
READS: tuple[str, ...] = ("gateways", "users", "current_calls", "call_report")
# What each command and read needs; without it a command is refused, and a read asks nobody.
NEEDS: Mapping[str, Feature] = {
    "call_customer": Feature.CUSTOMER_FIRST,
    "call_agent": Feature.JOIN,
    "call_for_agent": Feature.AGENT_FIRST,
    "join": Feature.JOIN,
    "play_message": Feature.DIVERT,
    "hang_up": Feature.HANG_UP,
    "gateways": Feature.LINES,
    "users": Feature.PRESENCE,
    "current_calls": Feature.CURRENT_CALLS,
    "call_report": Feature.CALL_REPORT,
}
Look = Callable[[], None]

SLACK = 10.0  # seconds a busy machine may take on top
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
connected_id refer_id request_id called_type called_id user_id ext status callid connected outgoing from to type
monitoredextension starttime conversationtime unique_call_id user_number dest_number connected_at"""
FIELDS = _FIELDS.split()
JUNK = st.one_of(
    st.text(),
    st.lists(
        st.tuples(
            st.sampled_from(FIELDS),
            st.one_of(
                st.text(max_size=12), st.integers(-3, 20).map(str), st.sampled_from(["call_transfer", "ringing", "yes"])
            ),
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


def starts(rig: Rig) -> list[Callable[[Look | None], str]]:
    """The orders by which this PBX makes a phone ring, each with a last look."""
    found: list[Callable[[Look | None], str]] = []
    if Feature.CUSTOMER_FIRST in rig.pbx.features:
        customer = rig.customer()
        found.append(lambda look: rig.pbx.call_customer(customer, before_send=look))
    if Feature.JOIN in rig.pbx.features:
        agent = rig.agent()
        found.append(lambda look: rig.pbx.call_agent(agent, before_send=look))
    if Feature.AGENT_FIRST in rig.pbx.features:
        first = rig.for_agent()
        found.append(lambda look: rig.pbx.call_for_agent(first, before_send=look))
    return found


def a_read(rig: Rig) -> str:
    """A read that really asks this PBX; skips where there is none."""
    for read in READS:
        if NEEDS[read] in rig.pbx.features:
            return read
    pytest.skip("nothing can be read of this PBX")


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
        named = getattr(request.node, "callspec", None)
        what = named.params.get("command") or named.params.get("read") if named is not None else None
        if what is not None and NEEDS[what] not in rig.pbx.features:
            pytest.skip(f"this PBX has no {what}: refused, or not asked, as another test sees")

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

        orders, last = starts(rig), starts(rig)[0]
        before = rig.received()
        for order in orders:
            with pytest.raises(TooLate) as caught:
                order(look)
            assert caught.value is stop
        # A command sent now would arrive after anything those might have left.
        last(None)
        assert rig.received() == before + 1

    def test_the_last_look_is_taken_once_and_lets_the_order_go(self, rig: Rig) -> None:
        looks: list[int] = []
        (order, *_), before = starts(rig), rig.received()
        order(lambda: looks.append(rig.received()))
        assert looks == [before]

    def test_nobody_looks_when_the_pbx_cannot_be_reached(self, rig: Rig) -> None:
        order, *_ = starts(rig)
        rig.misbehave(Fault.NOT_LISTENING)
        looks: list[int] = []
        with pytest.raises(PbxUnavailable):
            order(lambda: looks.append(1))
        assert looks == []

    def test_what_it_does_not_offer_is_refused_in_a_sentence_and_nobody_is_asked(self, rig: Rig) -> None:
        before = rig.received()
        for command, prepare in COMMANDS.items():
            if NEEDS[command] in rig.pbx.features:
                continue
            with pytest.raises(PbxRefused) as caught:
                prepare(rig)()
            self._is_a_sentence(rig, caught.value)
        for read in ("gateways", "users"):
            if NEEDS[read] not in rig.pbx.features:
                assert ask(rig, read), "the settings say it instead"
        assert rig.received() == before

    @pytest.mark.parametrize(
        "number", ["", "+", "12", "+39 06 1234", "112;ls", "+390612345678&x=1", "٠٦١٢٣٤٥٦٧٨", "1" * 16]
    )
    def test_what_is_no_phone_number_never_meets_the_pbx(self, rig: Rig, number: str) -> None:
        order, first, before = rig.customer(), rig.for_agent(), rig.received()
        for wrong in (
            CustomerOrder(order.ref, number, order.gateway, order.caller_id),
            CustomerOrder(order.ref, order.number, order.gateway, number),
        ):
            with pytest.raises(PbxRefused):
                rig.pbx.call_customer(wrong)
        with pytest.raises(PbxRefused):
            rig.pbx.call_for_agent(replace(first, number=number))
        assert rig.received() == before

    @pytest.mark.parametrize("bad", ["", "4&service=call_terminate", "4\r\n5", "../4", "四"])
    def test_what_is_no_id_never_meets_the_pbx(self, rig: Rig, bad: str) -> None:
        order, agent, first = rig.customer(), rig.agent(), rig.for_agent()
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
            lambda: rig.pbx.call_for_agent(replace(first, extension=bad)),
        ):
            with pytest.raises(PbxRefused):
                send()
        assert rig.received() == before

    # what passes ---------------------------------------------------------------------------------------

    @pytest.mark.parametrize("command", COMMANDS)
    @pytest.mark.parametrize("fault", [Fault.SLOW_DOWN])
    def test_a_command_that_is_too_many_was_not_carried_out_and_is_not_repeated(
        self, rig: Rig, command: str, fault: Fault
    ) -> None:
        send = COMMANDS[command](rig)
        rig.misbehave(fault)
        before = rig.received()
        with pytest.raises(PbxUnavailable) as caught:
            send()
        self._is_a_sentence(rig, caught.value)
        assert rig.received() <= before + 1, "a log-in that was too many leaves the command unsent"

    def test_a_secret_that_has_expired_is_refused_and_its_successor_is_used_without_a_restart(self, rig: Rig) -> None:
        order = starts(rig)[0]
        rig.expire()
        before = rig.received()
        with pytest.raises(PbxRefused) as caught:
            order(None)
        self._is_a_sentence(rig, caught.value)
        assert rig.received() <= before + 1
        rig.renew()
        assert starts(rig)[0](None)

    def test_a_connection_that_was_closed_while_idle_costs_no_order(self, rig: Rig) -> None:
        first, second = starts(rig)[0], starts(rig)[0]
        first(None)
        rig.drop()
        before = rig.received()
        assert second(None)
        assert rig.received() == before + 1

    def test_events_mean_the_same_in_any_order_and_as_often_as_they_come(self, rig: Rig) -> None:
        told = rig.told()
        assert len(told) >= 2
        in_order = [(rig.pbx.keys(one), rig.pbx.read(one)) for one in told]
        backwards = [(rig.pbx.keys(one), rig.pbx.read(one)) for one in reversed([*told, *told])]
        assert backwards == [*reversed(in_order), *reversed(in_order)]
        assert {event.heard for _, event in in_order} >= {Heard.ANSWERED, Heard.ENDED}

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
        read = a_read(rig)
        rig.misbehave(fault)
        began = time.monotonic()
        with pytest.raises((PbxUnavailable, PbxNonsense)):
            ask(rig, read)
        assert time.monotonic() - began < 2 * rig.patience + SLACK

    @pytest.mark.parametrize("fault", [Fault.SERVER_ERROR, Fault.CUT])
    def test_a_read_is_asked_again_after_a_passing_fault(self, rig: Rig, fault: Fault) -> None:
        read = a_read(rig)
        rig.misbehave(fault, times=1)
        assert isinstance(ask(rig, read), list)

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

    def test_closing_twice_raises_nothing(self, rig: Rig) -> None:
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
