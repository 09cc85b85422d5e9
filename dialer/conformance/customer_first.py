"""Calls to an own number with nobody attached: answered, left alone, wrong, and played the message."""

from collections.abc import Iterator

from dialer.conformance.bench import Bench
from dialer.conformance.check import NUMBER, WRONG, Check
from dialer.conformance.lines import Line, does_not, failed, untold, works
from dialer.conformance.probe import Probe
from dialer.conformance.unheard import unheard
from dialer.errors import OutcomeUnknown, PbxError
from dialer.numbers import mask
from dialer.pbx.base import CallOutcome, Feature, Heard, Role, WaitingLeg
from dialer.pbx.foreign import inert

FIRST_EVENT = 10.0  # an accepted call must show one by then
RECEPTION_WITHIN = 5.0
MESSAGE_WITHIN = 5.0
REPORTED_WITHIN = 15.0
NOT_THERE = (CallOutcome.INVALID, CallOutcome.UNAVAILABLE)


def placed(bench: Bench, number: str, check: str) -> Iterator[Line | Probe]:
    """Order a call to a number; its probe comes last, if the PBX took the order and told something of it."""
    try:
        began = bench.now()
        probe = bench.call_customer(number)
    except PbxError as exc:
        remedy = f"mend what it names and run this again; {bench.page} says what the PBX needs"
        yield failed(check, "the order to call was not taken", exc, remedy, Feature.CUSTOMER_FIRST)
        if isinstance(exc, OutcomeUnknown):
            bench.wait(lambda: bench.probes[-1].notes, FIRST_EVENT)
            bench.end(bench.probes[-1])
        return
    took = (bench.now() - began).total_seconds()
    yield works(check, f"the order was taken in {took:.2f} s (the PBX's answer: {inert(probe.request_id, 40)})")
    if not bench.wait(lambda: probe.notes, FIRST_EVENT):
        yield no_events(bench, check)
        bench.end(probe)
        return
    yield probe


def no_events(bench: Bench, check: str) -> Line:
    """The line of a call of which nothing came."""
    return unheard(
        bench,
        check,
        Feature.CUSTOMER_FIRST,
        nothing=f"no event of the call came within {FIRST_EVENT:.0f} s",
        strangers="none names this call",
        look_at=f"they carry neither our reference nor an id we know: see the fields named in {bench.page}",
    )


def split(lines: Iterator[Line | Probe]) -> tuple[list[Line], Probe | None]:
    """Take apart what `placed` gives."""
    told, probe = [], None
    for one in lines:
        if isinstance(one, Probe):
            probe = one
        else:
            told.append(one)
    return told, probe


def waiting(bench: Bench, probe: Probe, check: str) -> tuple[list[Line], WaitingLeg | None]:
    """Wait until the number answers and waits at the reception; what was seen, and the leg a join would need."""
    if not bench.wait_for_answer(probe, bench.patience):
        over = "the call ended before anybody answered" if probe.ended else "nobody answered"
        ended = f" ({probe.outcome()[0]})" if probe.ended and probe.outcome()[0] else ""
        line = untold(check, f"{over}{ended}", "run it again and answer the phone when it rings")
        return [line], None
    bench.wait(lambda: probe.waiting_leg(Role.RECEPTION) or probe.ended, RECEPTION_WITHIN)
    leg = probe.waiting_leg(Role.RECEPTION)
    if leg is None:
        there = probe.first(Heard.ANSWERED, role=Role.RECEPTION)
        what = (
            "the reception took the call, but its event names no leg: nobody could be joined to it"
            if there
            else f"the number answered, but no reception took the call within {RECEPTION_WITHIN:.0f} s"
        )
        remedy = f"see the reception, and the fields of its events, in {bench.page}"
        return [does_not(check, what, remedy, Feature.JOIN)], None
    return [], leg


def answered(bench: Bench) -> Iterator[Line]:
    """One call that is answered, seen from the order to its end."""
    bench.say(f"{mask(bench.phones.answers)} rings now: answer it, and stay on the line until it is hung up")
    lines, probe = split(placed(bench, bench.phones.answers, "answered call"))
    yield from lines
    if probe is None:
        return
    told, leg = waiting(bench, probe, "answered call")
    yield _reference(bench, probe)
    yield _ringing(probe)
    answer = probe.answered()
    if answer is not None:
        what = f"the answer was told {answer.after:.1f} s after the order, as {inert(answer.event.name, 40)}"
        yield works("answered call", what, Feature.CUSTOMER_FIRST)
    yield from told
    if leg is not None:
        yield works("reception", "who answered waits at the reception, where an agent can be joined to them")
    if answer is not None and not probe.ended:
        yield from _found_again(bench, probe)
        yield from _repeated(bench, probe)
    yield from hung_up(bench, probe)
    yield from _reported(bench, probe)


def _reference(bench: Bench, probe: Probe) -> Line:
    if probe.found_by == "our reference":
        return works("our reference", "it comes back in the PBX's events")
    what = f"it does not come back: events are known by {probe.found_by}"
    remedy = f"see which field carries it in {bench.page}; without it a call is lost when its first events are"
    return does_not("our reference", what, remedy, Feature.CUSTOMER_FIRST)


def _ringing(probe: Probe) -> Line:
    note = probe.first(Heard.RINGING, role=Role.CUSTOMER)
    if note is None:
        return untold("ringing", "the PBX did not tell that the phone rings; nothing hangs on it")
    return works("ringing", f"told {note.after:.1f} s after the order, as {inert(note.event.name, 40)}")


def _found_again(bench: Bench, probe: Probe) -> Iterator[Line]:
    if Feature.CURRENT_CALLS not in bench.pbx.features:
        return
    try:
        rows = [call for call in bench.pbx.current_calls() if call.ref == probe.ref]
        by_id = bench.listed(probe)
    except PbxError as exc:
        yield failed("found again", "calls cannot be listed", exc, f"see {bench.page}", Feature.CURRENT_CALLS)
        return
    if rows:
        yield works("found again", "the call is in the PBX's list, with our reference", Feature.CURRENT_CALLS)
    else:
        what = "the call is listed without our reference" if by_id else "the call is not in the PBX's list of calls"
        remedy = "a call whose events are lost cannot be found again: let the list show all calls, and their extid"
        yield does_not("found again", what, remedy, Feature.CURRENT_CALLS)


def _repeated(bench: Bench, probe: Probe) -> Iterator[Line]:
    if Feature.ONE_PER_REF not in bench.pbx.features:
        return
    try:
        bench.call_again(probe)
        there = [call for call in bench.pbx.current_calls() if call.ref == probe.ref]
    except PbxError as exc:
        yield failed("repeated order", "the same order, sent again", exc, "tell us: it should have been taken as done")
        return
    if len(there) == 1:
        what = "the same order sent again rang nobody: the PBX has one call under one reference"
        yield works("repeated order", what, Feature.ONE_PER_REF)
    else:
        remedy = "see that nothing between us and the PBX changes the channel's id"
        what = f"after the same order sent again there are {len(there)} calls under its reference"
        yield does_not("repeated order", what, remedy, Feature.ONE_PER_REF)


def hung_up(bench: Bench, probe: Probe) -> Iterator[Line]:
    """End a call from here, where that can be done, and see its end told."""
    if probe.ended:
        yield untold("hang up", "the call was over before it could be hung up from here")
        return
    if Feature.HANG_UP not in bench.pbx.features:
        bench.say("hang up now")
        over = bench.wait(lambda: probe.ended, bench.patience)
        yield _end_told(bench, probe, over)
        return
    try:
        bench.hang_up(probe)
    except PbxError as exc:
        remedy = f"see how calls are ended in {bench.page}"
        yield failed("hang up", "the call could not be ended from here", exc, remedy, Feature.HANG_UP)
        bench.say("hang up now")
        yield _end_told(bench, probe, bench.wait(lambda: probe.ended, bench.patience) or bench.end(probe))
        return
    ordered = bench.now()
    if bench.wait(lambda: probe.ended, 8.0):
        took = (bench.now() - ordered).total_seconds()
        yield works("hang up", f"the call ended {took:.1f} s after our order", Feature.HANG_UP)
        return
    bench.end(probe)
    if probe.first(Heard.ENDED):
        what = "our order to hang up changed nothing; the call ended later, when all else was tried"
        remedy = f"events name the call otherwise than the order's reply did: see the ids in {bench.page}"
        yield does_not("hang up", what, remedy, Feature.HANG_UP)
    elif probe.ended:
        yield works("hang up", "the call is not in the PBX's list any more", Feature.HANG_UP)
        yield _end_told(bench, probe, False)
    else:
        remedy = f"see how calls are ended in {bench.page}, and hang up the phone by hand"
        what = "the order to hang up was taken, but the call's end was not told"
        yield does_not("hang up", what, remedy, Feature.HANG_UP)


def _end_told(bench: Bench, probe: Probe, over: bool) -> Line:
    if over and probe.first(Heard.ENDED):
        return works("end of the call", "told by an event")
    remedy = f"let the PBX send the event of a call's end ({bench.page}): without it agents wait for nothing"
    return does_not("end of the call", "no event told it", remedy)


def _reported(bench: Bench, probe: Probe) -> Iterator[Line]:
    if Feature.CALL_REPORT not in bench.pbx.features or not probe.ended:
        return
    found = False

    def there() -> bool:
        nonlocal found
        rows = bench.pbx.call_report(probe.ordered_at)
        found = any(row.ref == probe.ref or row.call_id == probe.call_id for row in rows)
        return found

    try:
        for _ in range(3):
            if there():
                break
            bench.wait(lambda: False, REPORTED_WITHIN / 3)
    except PbxError as exc:
        yield failed("report", "past calls cannot be read", exc, f"see {bench.page}", Feature.CALL_REPORT)
        return
    if found:
        yield works("report", "the call is in the report of past calls", Feature.CALL_REPORT)
    else:
        what = f"the call is not in the report {REPORTED_WITHIN:.0f} s after its end"
        remedy = "its outcome could not be made up for if events were lost; see whether the report lags or filters"
        yield does_not("report", what, remedy, Feature.CALL_REPORT)


def left_alone(bench: Bench) -> Iterator[Line]:
    """One call that nobody answers."""
    bench.say(f"{mask(bench.phones.left_alone)} rings now: let it ring, do not answer")
    lines, probe = split(placed(bench, bench.phones.left_alone, "ring-out"))
    yield from lines
    if probe is None:
        return
    by_itself = bench.wait(lambda: probe.ended or probe.answered(), bench.patience)
    if probe.answered():
        yield untold("ring-out", "somebody, or a mailbox, answered", "run it again and let it ring")
        bench.end(probe)
        return
    if not by_itself:
        bench.end(probe)
        what = f"it still rang after {bench.patience:.0f} s, and was ended from here"
        remedy = "set the PBX's ring time below that; until then the dialer ends such calls itself, where it may"
        yield does_not("ring-out", what, remedy)
        return
    outcome, said = probe.outcome()
    rang = probe.notes[-1].after
    if outcome in (CallOutcome.NO_ANSWER, CallOutcome.UNKNOWN, None):
        yield works("ring-out", f"the PBX gave up after {rang:.0f} s and says {outcome or 'nothing more'} ({said})")
    else:
        remedy = f"retry rules will treat it as that: see the causes in {bench.page}"
        yield does_not("ring-out", f"nobody answered, and the PBX says {outcome} ({said}) after {rang:.0f} s", remedy)


def wrong(bench: Bench) -> Iterator[Line]:
    """One call to a number that nobody has."""
    lines, probe = split(placed(bench, bench.phones.wrong, "wrong number"))
    yield from lines
    if probe is None:
        return
    bench.wait(lambda: probe.ended or probe.answered(), bench.patience)
    answered, outcome = probe.answered(), probe.outcome()
    bench.end(probe)
    if answered:
        remedy = "a wrong number's announcement counts as a person: ask the provider to refuse such calls instead"
        yield does_not("wrong number", "somebody, or an announcement, answered it", remedy)
    elif outcome[0] in NOT_THERE:
        yield works("wrong number", f"told as {outcome[0]} ({outcome[1]}): such numbers are not tried for ever")
    else:
        remedy = "such numbers are tried again as if somebody could answer: see the causes in " + bench.page
        yield does_not("wrong number", f"told as {outcome[0] or 'nothing'} ({outcome[1]})", remedy)


def message(bench: Bench) -> Iterator[Line]:
    """One call that is answered and sent to the recorded message."""
    bench.say(f"{mask(bench.phones.answers)} rings now: answer it and listen for the recorded message")
    lines, probe = split(placed(bench, bench.phones.answers, "message"))
    if probe is None:
        yield from lines
        return
    told, leg = waiting(bench, probe, "message")
    yield from told
    if leg is None:
        bench.end(probe)
        return
    try:
        bench.pbx.play_message(leg)
    except PbxError as exc:
        yield failed("message", "it could not be ordered", exc, f"see the message in {bench.page}", Feature.DIVERT)
        bench.end(probe)
        return
    ordered = bench.now()

    def plays() -> bool:
        return any(note.event.role is Role.MESSAGE for note in probe.notes)

    if not bench.wait(lambda: plays() or probe.ended, MESSAGE_WITHIN) or not plays():
        remedy = f"a customer nobody can take would hear silence: see the message in {bench.page}"
        what = f"it did not begin within {MESSAGE_WITHIN:.0f} s of our order"
        yield does_not("message", what, remedy, Feature.DIVERT)
        bench.end(probe)
        return
    took = (bench.now() - ordered).total_seconds()
    yield works(
        "message", f"it began {took:.1f} s after our order; only your ear can tell what it says", Feature.DIVERT
    )
    if bench.wait(lambda: probe.ended, bench.message_limit):
        yield works("end of the message", "the PBX ended the call after it")
    else:
        bench.end(probe)
        what = f"the call was still there {bench.message_limit:.0f} s later, and was ended from here"
        yield untold("end of the message", what, "let the message's IVR or dialplan hang up by itself")


CUSTOMER_FIRST = frozenset({Feature.CUSTOMER_FIRST})
CHECKS = (
    Check(
        "answered call",
        "calls your number, waits at the reception, is found again in the lists, hangs up",
        answered,
        CUSTOMER_FIRST,
        (NUMBER,),
        "answer, and stay on the line",
        calls=1,
        seconds=40,
    ),
    Check(
        "ring-out",
        "calls your number (the second, if you gave two) and lets it ring",
        left_alone,
        CUSTOMER_FIRST,
        (NUMBER,),
        "do not answer",
        calls=1,
        seconds=45,
    ),
    Check(
        "wrong number",
        "calls the number that nobody has",
        wrong,
        CUSTOMER_FIRST,
        (WRONG,),
        calls=1,
        seconds=15,
    ),
    Check(
        "message",
        "calls your number and plays it the recorded message",
        message,
        frozenset({Feature.CUSTOMER_FIRST, Feature.DIVERT}),
        (NUMBER,),
        "answer, and listen",
        calls=1,
        seconds=40,
    ),
)
