"""No change makes the engine worse unnoticed: the benchmark's short form, on the seeds its kept figures are of."""

import os
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.pacing import short
from benchmarks.pacing.contest import OURS, Arena
from tests.simulation import lived_code

NOTE = "NOTE_DAYS=1 .venv/bin/python -m pytest tests/simulation/test_pacing_benchmark.py"


@pytest.mark.timeout(1800)  # four minutes of one core, on a machine that has the time
def test_no_change_costs_utilisation_or_the_ceiling():
    """A day is a function of code and seed: where all that it is made of was compared in full before, one day is enough
    to see that this machine lives the same ones."""
    kept = short.read()
    if lived_code.NOTED.read_text("utf-8").strip() == lived_code.now() and _first_day_is_as_kept(kept):
        return
    beside_others = "PYTEST_XDIST_WORKER" in os.environ
    now = short.lived(jobs=1 if beside_others else 2)

    troubles = "\n".join(short.troubles(now, kept))
    assert not troubles, (
        f"{troubles}\n{short.compared(now, kept)}\n"
        f"These are the same days with the same people: the change did this. If it is meant, keep the new figures: "
        f"{short.RENEW}"
    )
    if os.environ.get("NOTE_DAYS"):
        lived_code.NOTED.write_text(f"{lived_code.now()}\n", "utf-8")
    else:
        warnings.warn(
            f"the code of the days has changed, and they are good; to live them once only: {NOTE}", stacklevel=1
        )


def _first_day_is_as_kept(kept: short.Short) -> bool:
    case = next(iter(short.CASES))
    with Arena(1) as arena:
        now = {case.name: arena.days(case, OURS, [0])}
    return not short.troubles(now, {case.name: kept[case.name][:1]})


def test_other_code_lives_all_its_days(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    kept = short.read()
    monkeypatch.delenv("NOTE_DAYS", raising=False)
    monkeypatch.setattr(lived_code, "NOTED", tmp_path / "noted")
    lived_code.NOTED.write_text("another digest")
    monkeypatch.setattr(short, "lived", lambda jobs: kept)
    with pytest.warns(UserWarning, match="has changed"):
        test_no_change_costs_utilisation_or_the_ceiling()

    worse = {name: [replace(day, utilisation=day.utilisation * 0.98) for day in days] for name, days in kept.items()}
    monkeypatch.setattr(short, "lived", lambda jobs: worse)
    with pytest.raises(AssertionError, match="the change did this"):
        test_no_change_costs_utilisation_or_the_ceiling()


def test_a_machine_with_other_days_lives_them_all(monkeypatch: pytest.MonkeyPatch):
    kept = short.read()
    name, (first, *others) = next(iter(kept.items()))
    better = {**kept, name: [replace(first, utilisation=0.99), *others]}
    monkeypatch.setattr(short, "read", lambda: better)
    monkeypatch.setattr(short, "lived", lambda jobs: kept)
    with pytest.raises(AssertionError, match="the change did this"):
        test_no_change_costs_utilisation_or_the_ceiling()


def test_any_change_of_what_a_day_is_made_of_is_noticed():
    of, figures = lived_code.sources(), lived_code.FIGURES.read_text("utf-8")
    same = lived_code.digest(of, figures)

    assert lived_code.digest(dict(reversed(of.items())), figures) == same
    assert {"dialer.pacing.predictive", "dialer.simulation.day", "dialer.abandonment"} <= of.keys()
    for name, source in of.items():
        assert lived_code.digest({**of, name: f"{source}\nchanged = 1\n"}, figures) != same
    assert lived_code.digest(of, figures.replace("0.7", "0.6", 1)) != same
    assert lived_code.digest({**of, "dialer.new": ""}, figures) != same


def test_a_day_uses_no_code_that_is_not_looked_at():
    lives = (
        "import sys\n"
        "from benchmarks.pacing import short\n"
        "from benchmarks.pacing.contest import OURS, Case, live\n"
        "live(Case(3, shape='lunch'), OURS, 0)\n"
        "print(*(n for n, m in sys.modules.items() if n.split('.')[0] in ('benchmarks', 'dialer', 'campaigns') "
        "and getattr(m, '__file__', None)))\n"
    )
    ran = subprocess.run([sys.executable, "-c", lives], cwd=lived_code.ROOT, capture_output=True, text=True, check=True)
    used = set(ran.stdout.split())
    assert "dialer.pacing.predictive" in used
    assert used <= lived_code.sources().keys()


def test_a_loss_of_more_than_a_hundredth_is_told():
    kept = short.read()

    def worse(by: float, only: str = "") -> short.Short:
        return {
            name: [replace(day, utilisation=day.utilisation * (1 - by if only in name else 1.0)) for day in days]
            for name, days in kept.items()
        }

    assert short.troubles(worse(0.009), kept) == []
    assert any("costs 1.1% of utilisation" in said for said in short.troubles(worse(0.011), kept))
    assert short.troubles(worse(0.029, "lunch"), kept) == []
    (said,) = short.troubles(worse(0.031, "lunch"), kept)
    assert said.startswith("lunch-20-p25-t180: utilisation")


def test_a_day_above_its_ceiling_is_told_whatever_it_gained():
    kept = short.read()
    name, (first, *others) = next(iter(kept.items()))
    now = {**kept, name: [replace(first, above=1, closing=0.0312, utilisation=0.9), *others]}

    assert short.troubles(now, kept) == [f"{name}: closed above the ceiling: seed 0 at 3.12%"]


def test_other_days_than_those_kept_are_told():
    kept = short.read()
    name = next(iter(kept))

    assert short.troubles({**kept, name: kept[name][1:]}, kept) == ["short.json keeps other days than these"]
