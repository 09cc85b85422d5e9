"""The line of a call of which nothing came: what did come instead, and what to look at."""

from dialer.conformance.bench import Bench
from dialer.conformance.lines import Line, does_not
from dialer.pbx.base import Feature


def unheard(bench: Bench, check: str, feature: Feature, *, nothing: str, strangers: str, look_at: str) -> Line:
    """`nothing`: said when no event came; `strangers`: what events that came have to do with the call."""
    trouble = bench.ear.trouble()
    seen = sorted({event.name for event in bench.strays})
    if seen:
        what, remedy = f"events came ({', '.join(seen[:6])}), but {strangers}", look_at
    elif bench.unreadable:
        what = f"{len(bench.unreadable)} events came that cannot be read; the last: {bench.unreadable[-1]}"
        remedy = f"compare the PBX's event settings with {bench.page}"
    else:
        what = nothing
        remedy = trouble[1] if trouble else f"let the PBX send its events to us as {bench.page} says"
    return does_not(check, what, remedy, feature)
