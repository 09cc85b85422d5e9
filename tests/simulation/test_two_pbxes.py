"""I11 over two PBXs: one window for both, also while one of them is cut off and nobody knows whom it loses."""

import pytest

from dialer.pacing import pacer_for
from tests.simulation.two_pbxes import LOSES, TwoPbxes, View, own_losses, seen, world

pytestmark = pytest.mark.timeout(600)  # some tens of seconds, on a machine that has the time
NOON, BACK, CLOSED = 0.5 * 3600, 0.7 * 3600, 99_999.0


def days(back: float, view: View = seen, seeds: int = 2) -> list[TwoPbxes]:
    of = world(agents=14, chance=0.3, hours=1.0)
    lived = [TwoPbxes(of, pacer_for("predictive"), seed, (NOON, back), view=view) for seed in range(seeds)]
    for day in lived:
        day.run()
    return lived


def told(lived: list[TwoPbxes]) -> str:
    """What to print of days that failed."""
    return "; ".join(f"seed {d.seed}: {d.closing:.2%}, {d.lost_unseen} lost unseen, {d.budget()}" for d in lived)


@pytest.mark.parametrize("back", [BACK, CLOSED])
def test_the_ceiling_holds_over_both_when_one_is_cut_off_in_the_middle_of_the_day(back: float):
    lived = days(back)
    assert all(day.closing <= 0.03 for day in lived), told(lived)
    for day in lived:
        lost = day.lost_unseen if back == BACK else day.unseen and day.unseen.lost
        assert lost == LOSES, told(lived)
        assert day.second.result.met_all > 30, told(lived)
        assert day.main.result.abandoned_all > 0, "it dialled ahead, and the window was what held it"


def test_were_each_pbx_to_count_its_own_losses_alone_windows_would_close_above():
    lived = days(BACK, own_losses)
    assert any(day.closing > 0.03 for day in lived), told(lived)
