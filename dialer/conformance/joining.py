"""An own agent who waits on the line, an own number that answers, and the command that joins them."""

from collections.abc import Iterator

from dialer.conformance.bench import Bench
from dialer.conformance.check import AGENT, NUMBER, Check
from dialer.conformance.customer_first import placed, split, waiting
from dialer.conformance.lines import Line, does_not, failed, untold, works
from dialer.conformance.probe import Probe
from dialer.errors import OutcomeUnknown, PbxError
from dialer.numbers import mask
from dialer.pbx.base import Feature, Heard, Role, WaitingLeg

JOINED_WITHIN = 5.0
STAYS_FOR = 2.0
CHECK = "join"


def join(bench: Bench) -> Iterator[Line]:
    """Park the agent, call the number, join them, and let both go."""
    agent = bench.phones.agent
    bench.say(f"the phone of agent {agent.extension} rings now: it should answer by itself; if it does not, take it")
    try:
        parked = bench.call_agent(agent)
    except PbxError as exc:
        remedy = f"see how agents wait on the line in {bench.page}"
        yield failed("park", "the agent's phone could not be called", exc, remedy, Feature.JOIN)
        if isinstance(exc, OutcomeUnknown):
            bench.end(bench.probes[-1])
        return
    bench.wait(lambda: parked.waiting_leg(Role.WAITING) or parked.ended, bench.patience)
    theirs = parked.waiting_leg(Role.WAITING)
    if theirs is None:
        yield _not_parked(bench, parked)
        bench.end(parked)
        return
    there = parked.first(Heard.ANSWERED, role=Role.WAITING)
    assert there is not None
    yield works("park", f"agent {agent.extension} waited on the line {there.after:.1f} s after the order")
    bench.say(f"{mask(bench.phones.answers)} rings now: answer it; you should hear the agent's phone")
    lines, customer = split(placed(bench, bench.phones.answers, CHECK))
    if customer is None:
        yield from lines
    else:
        told, leg = waiting(bench, customer, CHECK)
        yield from told
        if leg is not None:
            yield from _joined(bench, customer, leg, parked, theirs)
        bench.end(customer)
        if leg is not None and Feature.NAILED_UP in bench.pbx.features:
            yield _stays(bench, parked)
    bench.end(parked)


def _not_parked(bench: Bench, parked: Probe) -> Line:
    outcome, said = parked.outcome()
    if parked.first(Heard.ANSWERED) and not parked.ended:
        what = "the agent's phone was taken, but no event told that it waits where a join can fetch it"
        return does_not("park", what, f"see the waiting agents in {bench.page}", Feature.JOIN)
    if not parked.notes:
        trouble = bench.ear.trouble()
        remedy = trouble[1] if trouble else f"see the events in {bench.page}"
        return does_not("park", "no event of the agent's call came", remedy, Feature.JOIN)
    ended = f" and ended as {outcome} ({said})" if outcome else ""
    remedy = "let the agent's phone answer by itself, or take it, and run this again"
    return does_not("park", f"the agent's phone was not taken{ended}", remedy, Feature.JOIN)


def _joined(bench: Bench, customer: Probe, leg: WaitingLeg, parked: Probe, theirs: WaitingLeg) -> Iterator[Line]:
    def together() -> bool:
        return any(
            note.event.heard in (Heard.TRANSFERRED, Heard.BRIDGED) and note.event.role is Role.AGENT
            for note in customer.notes
        )

    ordered = bench.now()
    try:
        bench.pbx.join(leg, theirs, parked.user_id)
    except PbxError as exc:
        yield failed(CHECK, "the join was not taken", exc, f"see the join in {bench.page}", Feature.JOIN)
        return
    bench.wait(lambda: together() or customer.ended, JOINED_WITHIN)
    if not together():
        why = next((note.event.note for note in customer.notes if note.event.heard is Heard.COMMAND_FAILED), None)
        what = f"the join was taken, but no event told that the two are together{f': {why}' if why else ''}"
        yield does_not(CHECK, what, f"see the fields of a join in {bench.page}", Feature.JOIN)
        return
    took = (bench.now() - ordered).total_seconds()
    answer = customer.answered()
    waited = (bench.now() - customer.ordered_at).total_seconds() - (answer.after if answer else 0.0)
    what = f"the two were together {took:.2f} s after our order, {waited:.1f} s after the answer; say hello"
    yield works(CHECK, what, Feature.JOIN)


def _stays(bench: Bench, parked: Probe) -> Line:
    bench.wait(lambda: parked.ended, STAYS_FOR)
    if not parked.ended:
        return works("agent stays", "the agent's call goes on after the customer has gone", Feature.NAILED_UP)
    return untold("agent stays", "the agent's call ended with the customer's; each call parks the agent anew")


CHECKS = (
    Check(
        CHECK,
        "lets your agent's phone wait on the line, calls your number, and joins the two",
        join,
        frozenset({Feature.CUSTOMER_FIRST, Feature.JOIN}),
        (AGENT, NUMBER),
        "let the agent's phone answer, answer your number, say hello",
        calls=2,
        seconds=45,
    ),
)
