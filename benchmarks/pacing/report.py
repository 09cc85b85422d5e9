"""The tables of README.md, written between its markers from what is kept of each case."""

import json
import re
from collections.abc import Callable, Sequence

from benchmarks.pacing.contest import (
    DAYS,
    LISTS,
    METHODS,
    ONE,
    OURS,
    RATIO,
    RATIO_STRICT,
    TABLE,
    TALLIES,
    TOLD,
    Case,
    difference,
    pooled,
)
from benchmarks.pacing.kept import HERE, RESULTS, Kept
from benchmarks.pacing.reference import MEASURED_BEFORE, REFERENCE, SOURCE
from dialer.simulation import SHAPES

README = HERE / "README.md"
_NONE = "–"


def rewrite() -> None:
    """Put the newest tables between the markers."""
    text = README.read_text()
    for name, table in (("table", _table), ("rivals", _rivals), ("shapes", _shapes), ("speed", _speed)):
        found = re.compile(rf"(<!-- {name}:[^\n]*-->\n).*?(\n<!-- end of {name} -->)", re.DOTALL)
        body = table()
        assert found.search(text), f"README.md has no place for {name}"
        text = found.sub(lambda match, body=body: f"{match[1]}\n{body}\n{match[2]}", text)
    README.write_text(text)


def _table() -> str:
    """Ours beside the reference, one call per idle agent, and the same engine told the truth."""
    parts = [
        f"Reference: {SOURCE}. ± is the standard error over the seeds; in the columns of differences, of the paired "
        "difference. *Its less its one to one* is what the reference gained over one call per idle agent in the "
        "simulator it was measured in: the luck of the draws is in both and falls out, as in *ours less one to one*."
    ]
    for answers, talk in LISTS:
        has_reference = (answers, talk) == LISTS[0]
        head = ["agents", "seeds", "ours", "occupancy", "abandoned", "worst day's close", "days above"]
        head += ["reference (occupancy)", "ours less reference"] if has_reference else []
        head += ["one to one", "ours less one to one"]
        head += ["its less its one to one"] if has_reference else []
        head += ["told the truth", "ours less told"]
        rows = []
        for case in TABLE:
            if (case.answers, case.talk) != (answers, talk):
                continue
            kept = Kept.read(case)
            if OURS not in kept.days:
                continue
            ours = pooled(kept.days[OURS])
            row = [str(case.agents), str(ours.days), f"**{ours.utilisation:.3f}** ± {ours.error:.3f}"]
            row += [f"{ours.occupancy:.3f}", f"{ours.abandoned:.2%}", f"{ours.closing:.2%}", str(ours.above)]
            if has_reference:
                utilisation, occupancy = REFERENCE[case.agents]
                row += [f"{utilisation:.3f} ({occupancy:g})", f"{ours.utilisation - utilisation:+.3f}"]
            row += [_utilisation(kept, ONE), _less(kept, ONE)]
            if has_reference:
                row.append(f"{utilisation - MEASURED_BEFORE[case.agents][0]:+.3f}")
            row += [_both(kept, TOLD), _less(kept, TOLD)]
            rows.append(row)
        if rows:
            parts.append(f"**{answers:.0%} answer, talk of {talk:.0f} s**\n\n{_markdown(head, rows)}")
    return "\n\n".join(parts)


def _rivals() -> str:
    """The others: utilisation and abandonment, pooled, and days above the ceiling."""
    parts = [
        "Utilisation, pooled abandonment, and in brackets the days of all that closed above the ceiling. *Total* and "
        "*available only* are VICIdial's two ways to count agents.",
    ]
    for answers, talk in LISTS:
        rows = []
        for case in TABLE:
            kept = Kept.read(case)
            if (case.answers, case.talk) == (answers, talk) and not kept.days.keys() <= {OURS, TOLD, ONE}:
                rows.append([str(case.agents), *_columns(kept)])
        if rows:
            parts.append(f"**{answers:.0%} answer, talk of {talk:.0f} s**\n\n{_markdown(['agents', *_heads()], rows)}")
    before = [
        [str(agents), f"{one:.3f}", f"{utilisation:.3f}, {abandoned:.1%}"]
        for agents, (one, utilisation, abandoned) in MEASURED_BEFORE.items()
    ]
    parts.append(
        "Measured before, by the reference's simulator (25 %, 180 s):\n\n"
        + _markdown(["agents", "one to one", "VICIdial ADAPT at 3 %"], before)
    )
    return "\n\n".join(parts)


def _shapes() -> str:
    """Days that are not the same all day."""
    agents = DAYS[0].agents
    head = ["day", "ours", "abandoned", "worst close", "highest running", "days above"]
    head += ["ours less one to one", "ours less told", "one to one", *_heads()]
    rows = []
    for case in (Case(agents), *DAYS):
        kept = Kept.read(case)
        if OURS not in kept.days:
            continue
        ours = pooled(kept.days[OURS])
        row = [f"`{case.shape}`", f"**{ours.utilisation:.3f}** ± {ours.error:.3f}", f"{ours.abandoned:.2%}"]
        row += [f"{ours.closing:.2%}", f"{ours.worst:.1%}", str(ours.above), _less(kept, ONE), _less(kept, TOLD)]
        rows.append([*row, _both(kept, ONE), *_columns(kept)])
    said = [f"- `{name}`: {each.says}" for name, each in SHAPES.items()]
    return f"{agents} agents, 25 %, 180 s unless the day says otherwise.\n\n" + "\n".join(
        [*said, "", _markdown(head, rows), "", _cold_start()]
    )


def _cold_start() -> str:
    cases = [case for case in DAYS if case.shape == "cold_start"]
    rows = []
    for case in cases:
        kept = Kept.read(case)
        for name, days in kept.days.items():
            if name in (OURS, TOLD, ONE):
                blocks = zip(*(day.blocks for day in days), strict=True)
                rows.append([name, *(f"{sum(block) / len(days):.3f}" for block in blocks)])
    if not rows:
        return ""
    head = ["", *(f"{20 * n}–{20 * n + 20} min" for n in range(len(rows[0]) - 1))]
    return "The part of the team in a conversation after a cold start, from the first call on:\n\n" + _markdown(
        head, rows
    )


def _speed() -> str:
    path = RESULTS / "speed.json"
    if not path.exists():
        return "Not measured yet."
    rows = [[name, figure] for name, figure in json.loads(path.read_text()).items()]
    return _markdown(["", "seen"], rows)


# cells ------------------------------------------------------------------------------------------------


def _heads() -> list[str]:
    return [
        "fixed ratio, best in hindsight",
        "and each day under the ceiling",
        *(f"{method.capitalize()}, {tally}" for tally in TALLIES for method in METHODS),
    ]


def _columns(kept: Kept) -> list[str]:
    ratios = [
        _both(kept, name) + (f" at {kept.about[name]}" if name in kept.about else "") for name in (RATIO, RATIO_STRICT)
    ]
    return [*ratios, *(_both(kept, f"{method}, {tally}") for tally in TALLIES for method in METHODS)]


def _utilisation(kept: Kept, name: str) -> str:
    return f"{pooled(kept.days[name]).utilisation:.3f}" if name in kept.days else _NONE


def _both(kept: Kept, name: str) -> str:
    if name not in kept.days:
        return _NONE
    days = pooled(kept.days[name])
    above = f" ({days.above})" if days.above else ""
    return f"{days.utilisation:.3f}, {days.abandoned:.1%}{above}"


def _less(kept: Kept, name: str) -> str:
    gap = difference(kept.days[OURS], kept.days[name]) if name in kept.days else None
    return f"{gap[0]:+.3f} ± {gap[1]:.3f}" if gap else _NONE


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    line: Callable[[Sequence[str]], str] = lambda cells: "| " + " | ".join(cells) + " |"  # noqa: E731
    return "\n".join([line(head), line(["---"] * len(head)), *map(line, rows)])
