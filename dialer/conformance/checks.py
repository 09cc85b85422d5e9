"""The checks in the order in which they are made, which of them a run can make, and the run itself."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dialer.conformance import agent_first, clocks, customer_first, joining, reads
from dialer.conformance.bench import Bench
from dialer.conformance.check import AGENT, HOW_TO_GIVE, NUMBER, WRONG, Check
from dialer.conformance.lines import Line, Verdict, does_not, untold
from dialer.conformance.phones import Phones
from dialer.errors import PbxError, RefusedByRule
from dialer.pbx.base import Pbx

READS = reads.READS
CALLS = (*customer_first.CHECKS, *joining.CHECKS, *agent_first.CHECKS)
AFTER = clocks.CHECKS


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do: checks to make, and lines for those it will not."""

    checks: tuple[Check, ...]
    left_out: tuple[Line, ...]

    @property
    def calls(self) -> int:
        return sum(check.calls for check in self.checks)

    @property
    def seconds(self) -> int:
        return sum(check.seconds for check in self.checks)


def plan(pbx: Pbx, phones: Phones, *, reads_only: bool) -> Plan:
    """Choose the checks for this PBX and these phones. Nothing is asked of the PBX."""
    chosen: list[Check] = []
    left_out: list[Line] = []
    given = {NUMBER: bool(phones.numbers), AGENT: bool(phones.agents), WRONG: bool(phones.wrong)}
    for check in READS if reads_only else (*READS, *CALLS):
        lacking = sorted(str(one).replace("_", " ") for one in check.needs - pbx.features)
        missing = [one for one in check.rings if not given[one]]
        if lacking:
            what = f"{check.does}: this PBX, as it is set up, has no {' and no '.join(lacking)}"
            left_out.append(Line(check.name, Verdict.NOT_OFFERED, what))
        elif missing:
            how = " and ".join(HOW_TO_GIVE[one] for one in missing)
            left_out.append(untold(check.name, f"not tried: {check.does}", f"give {how}"))
        else:
            chosen.append(check)
    if any(check.calls for check in chosen):
        chosen += AFTER
    return Plan(tuple(chosen), tuple(left_out))


def run(bench: Bench, checks: Sequence[Check]) -> Iterator[Line]:
    """Make one check after the other. Whatever happens, `bench.end_all` is for the caller to call afterwards."""
    for check in checks:
        unheard = _unheard(bench) if check.calls else None
        if unheard is not None:
            yield untold(check.name, "not tried: phones would ring, and nothing could be heard of it", unheard)
            continue
        already = len(bench.probes)
        try:
            yield from check.run(bench)
        except RefusedByRule as exc:
            yield untold(check.name, f"the call was not made: {exc}", "the rules of calling hold for tests, too")
        except PbxError as exc:
            yield does_not(check.name, str(exc.why), f"see {bench.page}")
        over = [bench.end(probe) for probe in bench.probes[already:] if not probe.ended]
        if not all(over):
            what = "a call of this check may still be there, so no other is begun"
            yield does_not(check.name, what, "hang up the phones by hand, and run it again")
            return


def _unheard(bench: Bench) -> str | None:
    """Return the remedy when a call has shown that no event arrives, as was feared; a fear alone stops nothing."""
    trouble = bench.ear.trouble() if bench.probes and not any(probe.notes for probe in bench.probes) else None
    return trouble[1] if trouble is not None else None
