"""Calls that ring an own agent's phone first and an own number from it: taken, not taken, and left alone."""

from collections.abc import Iterator

from dialer.conformance.bench import Bench
from dialer.conformance.check import AGENT, NUMBER, Check
from dialer.conformance.customer_first import hung_up
from dialer.conformance.lines import Decision, Line, does_not, failed, untold, works
from dialer.conformance.probe import Probe
from dialer.conformance.unheard import unheard
from dialer.errors import PbxError
from dialer.numbers import mask
from dialer.pbx.base import CallOutcome, Doubt, Doubting, Feature, PbxUser
from dialer.pbx.foreign import inert

TALK, RING_OUT = "agent first", "ring-out from an agent's phone"
FIRST_EVENT = 15.0


def _placed(bench: Bench, user: PbxUser, number: str, check: str) -> tuple[list[Line], Probe | None]:
    try:
        began = bench.now()
        probe = bench.call_for_agent(user, number)
    except PbxError as exc:
        remedy = f"mend what it names and run this again; {bench.page} says what the PBX needs"
        return [failed(check, "the order was not taken", exc, remedy, Feature.AGENT_FIRST)], None
    took = (bench.now() - began).total_seconds()
    if not probe.sure:
        return [untold(check, f"nothing confirmed the order within {took:.1f} s: the events decide")], probe
    named = f"; the PBX calls it {inert(probe.request_id, 40)}" if probe.request_id else "; no id was told"
    return [works(check, f"the order was taken in {took:.2f} s{named}")], probe


def talk(bench: Bench) -> Iterator[Line]:
    """The agent takes the phone, the number answers, both talk."""
    agent, number = bench.phones.agent, bench.phones.answers
    bench.say(f"agent {agent.extension} rings now: take it; then {mask(number)} rings: answer it, and stay on the line")
    lines, probe = _placed(bench, agent, number, TALK)
    yield from lines
    if probe is None:
        return
    bench.wait_for_answer(probe, 2 * bench.patience)
    if not probe.notes:
        yield _nothing_heard(bench)
        bench.end(probe)
        return
    yield works("found again", f"the call's events are known by {probe.found_by}")
    answer = probe.answered()
    if answer is not None:
        what = f"the number's answer was told {answer.after:.1f} s after the order, as {inert(answer.event.name, 40)}"
        yield works(TALK, what, Feature.AGENT_FIRST)
    elif probe.ended and probe.outcome()[0] is CallOutcome.OK:
        what = "the call is told as answered, but only when it is over; the event of the answer did not come"
        remedy = f"switch on the event of the answer ({bench.page}): until then the agent shows as ringing"
        yield does_not(TALK, what, remedy, Feature.AGENT_FIRST)
    else:
        what = "no answer was told" + (", and the call is over" if probe.ended else "")
        yield untold(TALK, what, "run it again, take the agent's phone and answer the number")
    yield from hung_up(bench, probe)
    yield from _reported(bench, probe)


def _nothing_heard(bench: Bench) -> Line:
    return unheard(
        bench,
        TALK,
        Feature.AGENT_FIRST,
        nothing="no event of the call came",
        strangers="none can only be of this call",
        look_at=f"see by what a call is known in {bench.page}: number format, extension, the PBX's clock",
    )


def _reported(bench: Bench, probe: Probe) -> Iterator[Line]:
    if Feature.CALL_REPORT not in bench.pbx.features or not probe.ended:
        return
    try:
        rows = bench.pbx.call_report(probe.ordered_at)
    except PbxError as exc:
        yield failed("report", "past calls cannot be read", exc, f"see {bench.page}", Feature.CALL_REPORT)
        return
    same = [
        row
        for row in rows
        if row.call_id == probe.call_id or (row.user_id == probe.user_id and row.number == probe.number)
    ]
    if same:
        yield works("report", f"the call is in the history as {same[-1].outcome}", Feature.CALL_REPORT)
    else:
        what = "the call is not in the history yet"
        yield untold("report", what, "look at the portal: the dialer asks again after a while", Feature.CALL_REPORT)


def not_taken(bench: Bench) -> Iterator[Line]:
    """The agent's phone is left alone: nobody else's may ring, and what is told of it decides what words mean."""
    agent = bench.phones.agent_left_alone
    bench.say(f"agent {agent.extension} rings now: do not take it, until it stops")
    lines, probe = _placed(bench, agent, bench.phones.answers, "agent away")
    yield from (line for line in lines if line.verdict != "works")
    if probe is None:
        return
    by_itself = bench.wait(lambda: probe.ended or probe.answered(), bench.patience)
    if probe.answered():
        yield untold("agent away", "the call was answered", "run it again and leave the agent's phone alone")
        bench.end(probe)
        return
    yield from _decided(bench, probe)
    if by_itself:
        outcome, said = probe.outcome()
        yield works("agent away", f"the PBX gave up after {probe.notes[-1].after:.0f} s and says {outcome} ({said})")
        return
    bench.end(probe)
    if probe.unseen_end or not probe.notes:
        what = "no end was told of a call whose agent did not take the phone"
        yield untold("agent away", what, "the dialer ends such calls by the clock, and pauses the agent")
    else:
        what = f"the agent's phone still rang after {bench.patience:.0f} s, and the call was ended from here"
        yield does_not("agent away", what, "set a ring time for agents' phones at the PBX")


def _decided(bench: Bench, probe: Probe) -> Iterator[Line]:
    for doubt in doubts(bench):
        early = any(note.event.name == doubt.word for note in probe.notes)
        before = any(note.event.name == doubt.word for one in bench.probes for note in one.notes if one is not probe)
        if early:
            value, why = doubt.agent, "it came while nobody had taken the agent's phone"
        elif before:
            value, why = doubt.customer, "it came when the agent had taken the phone, and not when nobody had"
        else:
            yield untold("whose phone", f"{doubt.word} was never told, so what it means stays open")
            continue
        whose = "customer's" if value == doubt.customer else "agent's"
        decision = Decision(f"{bench.place}.{doubt.setting}", value, doubt.now, f"{doubt.word}: {why}")
        bench.decisions.append(decision)
        what = f"{doubt.word} speaks of the {whose} phone: {why}"
        if doubt.now not in (value, doubt.unknown):
            yield does_not("whose phone", f"{what}; the settings say the other", f'set {decision.setting} = "{value}"')
        else:
            yield works("whose phone", what)


def doubts(bench: Bench) -> list[Doubt]:
    """What this maker's documents leave open and a call can tell."""
    return list(bench.pbx.doubts()) if isinstance(bench.pbx, Doubting) else []


def left_alone(bench: Bench) -> Iterator[Line]:
    """The agent takes the phone and the number is left alone."""
    agent, number = bench.phones.agent, bench.phones.left_alone
    bench.say(f"agent {agent.extension} rings now: take it; then {mask(number)} rings: let it ring, do not answer")
    lines, probe = _placed(bench, agent, number, RING_OUT)
    yield from (line for line in lines if line.verdict != "works")
    if probe is None:
        return
    by_itself = bench.wait(lambda: probe.ended or probe.answered(), 2 * bench.patience)
    answer = probe.answered()
    bench.end(probe)
    outcome, said = probe.outcome()
    if answer is not None or outcome is CallOutcome.OK:
        told = inert(answer.event.name, 40) if answer else said
        remedy = "if nobody answered, its word for an answer means something else: write to us, with the report"
        yield does_not(RING_OUT, f"it was told as answered ({told})", remedy)
    elif not probe.notes:
        yield untold(RING_OUT, "nothing was told of the call", "see the lines above")
    elif by_itself:
        yield works(RING_OUT, f"the PBX gave up after {probe.notes[-1].after:.0f} s and says {outcome} ({said})")
    else:
        what = f"it still rang after {2 * bench.patience:.0f} s, and was ended"
        yield does_not(RING_OUT, what, "agents hang up such calls; set a ring time at the PBX to spare them that")


NEEDED = frozenset({Feature.AGENT_FIRST})
CHECKS = (
    Check(
        TALK,
        "rings your agent's phone, and your number from it",
        talk,
        NEEDED,
        (AGENT, NUMBER),
        "take the agent's phone, answer your number, stay on the line",
        calls=1,
        seconds=45,
    ),
    Check(
        "agent away",
        "rings your agent's phone (the second, if you gave two); your number must not ring",
        not_taken,
        NEEDED,
        (AGENT, NUMBER),
        "do not take the agent's phone",
        calls=1,
        seconds=45,
    ),
    Check(
        RING_OUT,
        "rings your agent's phone, and your number (the second, if you gave two) from it",
        left_alone,
        NEEDED,
        (AGENT, NUMBER),
        "take the agent's phone, do not answer your number",
        calls=1,
        seconds=60,
    ),
)
