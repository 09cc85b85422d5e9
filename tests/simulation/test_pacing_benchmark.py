"""No change makes the engine worse unnoticed: the benchmark's short form, on the seeds its kept figures are of."""

from dataclasses import replace

import pytest

from benchmarks.pacing import short


@pytest.mark.timeout(600)  # half a minute, on two cores that have the time
def test_no_change_costs_utilisation_or_the_ceiling():
    kept = short.read()
    now = short.lived(jobs=2)

    troubles = "\n".join(short.troubles(now, kept))
    assert not troubles, (
        f"{troubles}\n{short.compared(now, kept)}\n"
        f"These are the same days with the same people: the change did this. If it is meant, keep the new figures: "
        f"{short.RENEW}"
    )


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
