"""Which contacts are dialled: the surest for idle agents, the others for those who will be free."""

from itertools import groupby

import pytest

from dialer.abandonment import Budget
from dialer.pacing import Predictive, Snapshot
from dialer.pacing.answers import Answers
from dialer.pacing.choosing import Chooser
from tests.rules.moments import decide, past


def learnt() -> Predictive:
    """Two groups: every second of the one answers, every tenth of the other."""
    pacer = Predictive()
    pacer.restore([*past(300, answered_every=2, group="sure"), *past(300, answered_every=10, group="unsure")])
    return pacer


BUSY = {"talking": (55.0,) * 10, "wrapping": (12.0,) * 10}


def in_rows(chosen: tuple[str, ...]) -> list[tuple[str, int]]:
    return [(group, len(list(each))) for group, each in groupby(chosen)]


def test_idle_agents_get_the_surest_and_those_ahead_the_others():
    pace = decide(learnt(), parked=3, **BUSY, prospects=(("unsure", 200), ("sure", 200)))

    assert pace.calls > 6
    assert in_rows(pace.choose) == [("sure", 3), ("unsure", pace.calls - 3)]


def test_one_call_per_agent_goes_to_the_surest():
    spent = Budget(30, 970, 0.03)
    pace = decide(learnt(), parked=5, prospects=(("unsure", 200), ("sure", 3)), budget=spent)

    assert pace.choose == ("sure",) * 3 + ("unsure",) * 2


def test_no_more_of_a_group_than_there_are():
    pace = decide(learnt(), parked=3, **BUSY, prospects=(("unsure", 4), ("sure", 2), ("none", 0)))

    assert in_rows(pace.choose[:6]) == [("sure", 2), ("unsure", 4)]
    assert set(pace.choose[6:]) <= {""}  # more than were looked at: whoever comes


def test_calls_of_a_surer_group_are_fewer():
    calls = [decide(learnt(), parked=5, **BUSY, prospects=((group, 200),)).calls for group in ("sure", "unsure")]

    assert 2 * calls[0] < calls[1]


@pytest.mark.parametrize("prospects", [(), (("sure", 9),), (("sure", 9), ("unsure", 0))])
def test_where_there_is_nothing_to_choose_nothing_is_chosen(prospects: tuple[tuple[str, int], ...]):
    pace = decide(learnt(), parked=3, prospects=prospects)

    assert pace.calls > 0
    assert pace.choose == ()


def test_what_rings_already_is_worth_what_its_group_is():
    worth = [
        decide(learnt(), parked=9, ringing=(2.0,) * 3, ringing_groups=(group,) * 3).reckoned["ringing_worth"]
        for group in ("sure", "unsure")
    ]

    assert worth[0] == pytest.approx(1.5, abs=0.3)
    assert worth[1] == pytest.approx(0.3, abs=0.2)


def test_when_all_are_handed_out_a_call_is_worth_the_mean_of_them():
    answers = Answers()
    for n in range(400):
        answers.observe(float(n % 2 == 0), "sure")
        answers.observe(float(n % 10 == 0), "unsure")
    chooser = Chooser(answers, Snapshot(prospects=(("sure", 1), ("unsure", 3))))
    taken = [chooser.next(idle=False) for _ in range(4)]

    assert [group for group, _ in taken] == ["unsure"] * 3 + ["sure"]
    assert chooser.next(idle=True) == ("", pytest.approx(sum(chance for _, chance in taken) / 4))
    chooser.put_back("sure")
    assert chooser.next(idle=False)[0] == "sure"


def test_in_a_persons_order_nothing_is_chosen_and_each_call_is_worth_what_comes_next():
    coming = (("sure", 2), ("unsure", 3), ("sure", 1))
    pace = decide(learnt(), parked=3, **BUSY, prospects=coming, in_order=True)
    assert pace.choose == ()

    answers = learnt()._history.answers
    chooser = Chooser(answers, Snapshot(prospects=coming, in_order=True))
    assert not chooser.matters
    taken = [chooser.next(idle=n % 2 == 0)[0] for n in range(7)]
    assert taken == ["sure", "sure", "unsure", "unsure", "unsure", "sure", ""]


def test_whoever_comes_next_in_a_persons_order_decides_how_many_calls_there_are():
    calls = [
        decide(learnt(), parked=5, **BUSY, prospects=((group, 50),), in_order=True).calls
        for group in ("sure", "unsure")
    ]

    assert 2 * calls[0] < calls[1]


def test_what_was_learnt_of_this_hour_beforehand_decides_before_its_first_call():
    """The same list, the same calls so far: only what is known of the hour that begins differs."""
    calls = [
        decide(
            learnt(), parked=5, **BUSY, prospects=(("hour", 50),), in_order=True, expected=(("hour", chance, 300.0),)
        ).calls
        for chance in (0.6, 0.3, 0.1)
    ]

    assert 0 < 1.5 * calls[0] < calls[1]
    assert 1.5 * calls[1] < calls[2]
