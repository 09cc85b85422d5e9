"""The part of a conformance run that rings nobody: let in, lines, agents, presence, lists, and the way of events."""

from collections.abc import Iterator
from datetime import timedelta

from dialer.conformance.bench import Bench
from dialer.conformance.check import Check
from dialer.conformance.lines import Line, does_not, failed, untold, works
from dialer.errors import PbxError
from dialer.pbx.base import Feature, Presence

REPORT_OVER = timedelta(hours=1)
_UNTESTED = "events arrive cannot be tested"  # what a check says of the events, which another line says better


def set_up(bench: Bench) -> Iterator[Line]:
    """The adapter's own look at the set-up: it connects, is let in, and reads what a campaign needs."""
    for one in bench.pbx.check():
        if one.ok:
            yield works("set-up", one.what)
        elif _UNTESTED in one.what:
            continue
        elif one.fatal:
            yield does_not("set-up", one.what, one.remedy)
        else:
            yield untold("set-up", one.what, one.remedy)


def lines(bench: Bench) -> Iterator[Line]:
    """The ways out: at least one line must be usable."""
    try:
        found = bench.pbx.gateways()
    except PbxError as exc:
        yield failed("lines", "the lines cannot be read", exc, f"see {bench.page}", Feature.LINES)
        return
    usable = [one for one in found if one.usable]
    told = ", ".join(f"{one.name or one.id} ({one.free_lines} of {one.lines} free)" for one in usable)
    if usable:
        yield works("lines", f"lines to call through: {told}", Feature.LINES)
        return
    states = ", ".join(f"{one.name or one.id}: {one.status or 'not registered'}" for one in found) or "none is listed"
    remedy = "register the trunk at the PBX, or correct the settings that name it"
    yield does_not("lines", f"there is no line to call through ({states})", remedy, Feature.LINES)


def agents(bench: Bench) -> Iterator[Line]:
    """Who can be an agent, and whether the PBX tells where they are: the bench's own agents before all."""
    try:
        users = bench.pbx.users()
    except PbxError as exc:
        yield failed("agents", "the agents cannot be read", exc, f"see {bench.page}", Feature.PRESENCE)
        return
    if not users:
        yield does_not("agents", "no agent is listed", f"see who the agents are in {bench.page}")
        return
    yield works("agents", f"{len(users)} can be agents: {', '.join(user.extension for user in users[:8])}")
    if Feature.PRESENCE not in bench.pbx.features:
        return
    own = {user.id for user in bench.phones.agents}
    looked_at = [user for user in users if user.id in own] or list(users)
    known = [user for user in looked_at if user.presence is not Presence.UNKNOWN]
    told = ", ".join(f"{user.extension} {user.presence.replace('_', ' ')}" for user in looked_at[:8])
    if len(known) == len(looked_at):
        yield works("presence", f"the PBX tells where each is: {told}", Feature.PRESENCE)
    else:
        remedy = f"log those agents in at the PBX; if that changes nothing, see {bench.page}"
        yield does_not("presence", f"the state of some is not known: {told}", remedy, Feature.PRESENCE)


def current_calls(bench: Bench) -> Iterator[Line]:
    """The calls there are now, by which a call whose events were lost is found."""
    try:
        found = bench.pbx.current_calls()
    except PbxError as exc:
        yield failed("current calls", "calls cannot be listed", exc, f"see {bench.page}", Feature.CURRENT_CALLS)
        return
    yield works("current calls", f"calls are listed: {len(found)} there are now")


def report(bench: Bench) -> Iterator[Line]:
    """The calls of the last hour, by which the end of a call is found that nobody told of."""
    try:
        found = bench.pbx.call_report(bench.now() - REPORT_OVER)
    except PbxError as exc:
        yield failed("report", "past calls cannot be read", exc, f"see {bench.page}", Feature.CALL_REPORT)
        return
    yield works("report", f"past calls can be read: {len(found)} in about the last hour")


def events(bench: Bench) -> Iterator[Line]:
    """Whether the PBX's events can arrive, as far as that shows without a call."""
    trouble = bench.ear.trouble()
    if trouble is None:
        yield works("way of events", bench.ear.how)
    else:
        yield does_not("way of events", *trouble)


READS = (
    Check("set-up", "connects, logs in, reads the set-up", set_up),
    Check("lines", "reads the lines", lines, frozenset({Feature.LINES})),
    Check("agents", "reads the agents and where they are", agents),
    Check("current calls", "lists the calls there are", current_calls, frozenset({Feature.CURRENT_CALLS})),
    Check("report", "reads the report of past calls", report, frozenset({Feature.CALL_REPORT})),
    Check("way of events", "sees whether the PBX's events can arrive", events),
)
