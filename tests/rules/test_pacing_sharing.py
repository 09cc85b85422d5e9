"""Agents that several campaigns share: each has its part, by weight and over time."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.abandonment import Budget
from dialer.pacing import Snapshot
from dialer.pacing.sharing import SLACK, own_part
from tests.rules.moments import decide, warm

number = st.integers(0, 30)


@given(number, number, number, number, number, number)
def test_a_campaign_that_shares_with_nobody_takes_all(
    calls: int, talking: int, ringing: int, waiting: int, elsewhere: int, given_up: int
):
    now = Snapshot(
        talking=(9.0,) * talking,
        ringing=(1.0,) * ringing,
        waiting=waiting,
        elsewhere=(9.0,) * elsewhere,
        others_ringing=(1.0,) * elsewhere,
    )

    assert own_part(calls, now, min(given_up, ringing)) == calls


@given(number, number, number, number, st.floats(0.05, 0.99))
def test_a_part_is_never_negative_nor_more_than_is_wanted(
    calls: int, talking: int, ringing: int, elsewhere: int, share: float
):
    now = Snapshot(talking=(9.0,) * talking, ringing=(1.0,) * ringing, elsewhere=(9.0,) * elsewhere, share=share)
    part = own_part(calls, now)

    assert 0 <= part <= calls
    ours, everyones = talking + ringing + part, talking + ringing + elsewhere + calls
    assert part == 0 or ours <= max(1, share * SLACK * everyones)


@pytest.mark.parametrize(("share", "part"), [(0.5, 11), (0.25, 5), (0.75, 16), (0.01, 1)])
def test_calls_are_parted_by_weight(share: float, part: int):
    assert own_part(20, Snapshot(share=share)) == part


def test_who_had_the_agents_before_has_fewer_now():
    def part(ours: int, theirs: int) -> int:
        return own_part(6, Snapshot(share=0.5, talking=(60.0,) * ours, elsewhere=(60.0,) * theirs))

    assert part(10, 0) == 0
    assert part(5, 5) == 3
    assert part(0, 10) == 6


def test_everything_in_the_air_counts_but_what_is_given_up():
    assert own_part(4, Snapshot(share=0.5, ringing=(1.0,) * 6)) == 0
    assert own_part(4, Snapshot(share=0.5, ringing=(1.0,) * 6), given_up=6) == 2
    assert own_part(4, Snapshot(share=0.5, waiting=6)) == 0
    assert own_part(4, Snapshot(share=0.5, ringing=(1.0,) * 6, others_ringing=(1.0,) * 6)) == 2
    assert own_part(4, Snapshot(share=0.5, ringing=(1.0,) * 6, others_waiting=6)) == 2


@pytest.mark.parametrize("share", [0.5, 0.25])
def test_agents_who_come_free_one_at_a_time_are_shared_by_weight(share: float):
    """Whoever looks first would have them all; the first always looks first here."""
    chance, working = random.Random(1), [0] * 40  # for whom each of forty agents works: 0 nobody, 1 or 2
    had = []
    for step in range(4000):
        working[chance.randrange(40)] = 0
        for campaign, its_share in ((1, share), (2, 1 - share)):
            free, ours = working.count(0), working.count(campaign)
            theirs = 40 - free - ours
            now = Snapshot(parked=free, talking=(9.0,) * ours, elsewhere=(9.0,) * theirs, share=its_share)
            for _ in range(own_part(free, now)):
                working[working.index(0)] = campaign
        if step > 500:
            had.append(working.count(1) / 40)

    assert share * 0.9 <= sum(had) / len(had) <= share * SLACK + 0.03


def test_a_pace_is_bounded_by_the_share_and_says_so():
    seen = {"parked": 8, "talking": (40.0,) * 10, "elsewhere": (40.0,) * 10}
    alone = decide(warm(), **seen).calls

    pace = decide(warm(), **seen, share=0.5)

    assert 0 < pace.calls == own_part(alone, Snapshot(**seen, share=0.5), worth=1 / 3) < alone
    assert pace.limits == ("share",)
    assert pace.why.endswith("; this campaign's share of the agents is 50%")


def test_what_others_have_in_the_air_takes_agents_as_ours_does():
    seen = {"parked": 6, "share": 0.5}
    alone = decide(warm(), **seen).calls

    assert decide(warm(), **seen, others_ringing=(2.0,) * 12).calls < alone
    assert decide(warm(), **seen, others_waiting=6).calls == 0
    assert "other campaigns' calls among them" in decide(warm(), **seen, others_waiting=6).why


def test_a_campaign_that_may_risk_nothing_has_one_call_beside_those_of_others():
    spent = {"budget": Budget(30, 970, 0.03), "share": 0.5}

    assert decide(warm(), parked=6, others_ringing=(2.0,) * 6, **spent).calls == 1  # that all six answer is far
    assert decide(warm(), parked=2, others_ringing=(2.0,) * 6, **spent).calls == 0  # that two of them do is not
    assert decide(warm(), parked=6, others_ringing=(2.0,) * 6, ringing=(2.0,) * 7, **spent).calls == 0


def test_a_call_in_the_air_takes_as_much_of_an_agent_as_it_will_be_answered():
    """A campaign that few answer has many calls in the air: they are no more of the team than others' few."""
    seen = Snapshot(share=0.5, talking=(60.0,) * 5, ringing=(1.0,) * 20, elsewhere=(60.0,) * 10)

    assert own_part(20, seen) == 5
    assert own_part(20, seen, worth=0.1) == 20


def test_the_others_calls_are_answered_as_often_as_their_pacer_has_learnt():
    talks = {"talking": (40.0,) * 10, "elsewhere": (40.0,) * 10}
    seen = talks | {"parked": 7, "others_ringing": (2.0,) * 8, "share": 0.5}
    rarely, as_ours, surely = (
        decide(warm(), **seen, others_chances=(chance,) * 8).calls for chance in (0.02, 1 / 3, 0.9)
    )

    assert rarely > as_ours == decide(warm(), **seen).calls > surely


def test_agents_who_have_waited_are_anybodys_while_the_others_call_nobody():
    """A campaign that has somebody to call and does not call keeps the others from its part, not from its agents."""
    seen = {"share": 0.5, "talking": (60.0,) * 20}

    assert own_part(8, Snapshot(parked=8, waits=(1.0,) * 8, **seen)) == 0
    assert own_part(8, Snapshot(parked=8, waits=(11.0,) * 3 + (1.0,) * 5, **seen)) == 3
    assert own_part(8, Snapshot(parked=8, waits=(11.0,) * 3, others_ringing=(1.0,), **seen)) == 0
    assert own_part(8, Snapshot(parked=8, waits=(11.0,) * 3, ringing=(1.0,) * 3, **seen)) == 0


def test_a_pacer_tells_the_others_what_its_calls_are_worth_even_when_it_may_risk_nothing():
    held_back = decide(warm(), parked=3, budget=Budget(30, 970, 0.03))

    assert held_back.limits == ("budget",)
    assert held_back.reckoned["answer_chance"] == pytest.approx(1 / 3, abs=0.03)
    assert decide(warm(20), parked=3).reckoned == {}  # too few to say
