"""Whether the PBX's clock agrees with ours, as far as its events show a time with a zone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from dialer.conformance.bench import Bench
from dialer.conformance.check import Check
from dialer.conformance.lines import Line, does_not, untold, works
from dialer.pbx.same_call import SKEW

CHECK = "clock"


def clock(bench: Bench) -> Iterator[Line]:
    """Compare the moments the PBX printed with the moments at which its events came."""
    began = [note.event.began - probe.ordered_at for probe in bench.probes for note in probe.notes if note.event.began]
    if began:
        late = min(began, key=abs)
        told = _told(late)
        if late < -SKEW:
            remedy = (
                f"set its clock by NTP: a call is found by agent and number only when it begins no earlier than "
                f"{SKEW.total_seconds():.0f} s before our order"
            )
            yield does_not(CHECK, f"the PBX's clock is {told}", remedy)
        elif late > timedelta(seconds=30):
            remedy = "set its clock by NTP: histories are read from a moment of ours on"
            yield does_not(CHECK, f"the PBX's clock is {told}, or it began the call that late", remedy)
        else:
            yield works(CHECK, f"the PBX's clock agrees with ours ({told})")
        return
    printed = [
        moment - (probe.ordered_at + timedelta(seconds=note.after))
        for probe in bench.probes
        for note in probe.notes
        if (moment := _moment(note.event.vendor_time))
    ]
    if printed:
        off = min(printed, key=abs)
        what = f"the PBX's clock is {_told(off)}; events are dated by their receipt: nothing hangs on it"
        yield works(CHECK, what)
    else:
        yield untold(
            CHECK, "its events show no time with a zone; they are dated by their receipt, so nothing hangs on it"
        )


def _told(off: timedelta) -> str:
    seconds = off.total_seconds()
    return f"{abs(seconds):.1f} s {'ahead of' if seconds > 0 else 'behind'} ours"


def _moment(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return found.astimezone(UTC) if found is not None and found.tzinfo is not None else None


CHECKS = (Check(CHECK, "compares clocks by the events of those calls", clock),)
