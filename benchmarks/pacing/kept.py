"""Results on disk: one JSON file for each case, a line for each day."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.pacing.contest import Case, Lived

HERE = Path(__file__).parent
RESULTS = HERE / "results"


class Kept:
    """What is known of one case."""

    def __init__(self, case: Case, days: dict[str, list[Lived]], about: dict[str, str]) -> None:
        self.case, self.days, self.about = case, days, about

    @classmethod
    def read(cls, case: Case) -> "Kept":
        """Read what is kept of this case; nothing is kept of a world that has changed since."""
        path = RESULTS / f"{case.name}.json"
        if not path.exists():
            return cls(case, {}, {})
        kept = json.loads(path.read_text())
        if kept["world"] != repr(case.world):
            return cls(case, {}, {})
        days = {name: [Lived.from_json(day) for day in days] for name, days in kept["days"].items()}
        return cls(case, days, kept["about"])

    def write(self) -> None:
        """Write it all, the same bytes for the same figures."""
        RESULTS.mkdir(exist_ok=True)
        head = {"case": asdict(self.case), "world": repr(self.case.world), "about": self.about}
        text = json.dumps(head, indent=1)[:-2] + ',\n "days": {\n' + ",\n".join(self._days()) + "\n }\n}\n"
        (RESULTS / f"{self.case.name}.json").write_text(text)

    def _days(self) -> list[str]:
        return [
            f"  {json.dumps(name)}: {in_lines([day.as_json() for day in days])}" for name, days in self.days.items()
        ]


def in_lines(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return JSON with a line for each row."""
    return "[\n" + ",\n".join("   " + json.dumps(row) for row in rows) + "\n  ]"
