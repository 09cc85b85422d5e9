"""The windows of the laws counted from rows: each by its own clock, the strictest in force."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, select, text, update
from sqlalchemy.orm import Session

from campaigns import budgets, dispositions
from campaigns.models import Attempt, Campaign
from campaigns.overview import campaign_rows
from campaigns.tallies import tally
from dialer.abandonment import PACKS, Budget, Ended, figures, rule_pack
from dialer.calls import CallState
from tests import factories

NOW = datetime(2026, 3, 31, 9, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def answered(session: Session, of: Campaign, state: CallState, ago: timedelta, count: int = 1) -> None:
    at = NOW - ago
    joined = at + timedelta(seconds=0.3) if state is CallState.COMPLETED else None
    for _ in range(count):
        factories.attempt(
            session, of, state=state, ordered_at=at - timedelta(seconds=10), answered_at=at, joined_at=joined,
            ended_at=at + timedelta(seconds=60),
        )  # fmt: skip


def in_force(session: Session, of: Campaign, **given: object) -> Budget:
    return budgets.in_force(session, of, NOW, **given).budget  # type: ignore[arg-type]


def test_our_own_pack_holds_in_the_day_and_in_every_24_hours(session: Session) -> None:
    spring = factories.campaign(session)
    answered(session, spring, CallState.COMPLETED, timedelta(hours=20), 97)  # yesterday, in Rome
    answered(session, spring, CallState.ABANDONED, timedelta(hours=1))
    spent = in_force(session, spring)
    assert (spent.abandoned, spent.met, spent.window, spent.left) == (1, 0, "the day", 0), "the day began at midnight"
    answered(session, spring, CallState.COMPLETED, timedelta(hours=2), 97)
    answered(session, spring, CallState.ABANDONED, timedelta(hours=19), 4)
    spent = in_force(session, spring)
    assert (spent.abandoned, spent.met, spent.window, spent.left) == (5, 194, "24 h", 1), "yesterday's are not forgiven"


def test_the_american_pack_counts_blocks_of_30_days_from_the_first_call_and_who_hung_up(session: Session) -> None:
    spring = factories.campaign(session, rule_pack="us-2026")
    answered(session, spring, CallState.ABANDONED, 40 * DAY, 5)  # in the block before
    answered(session, spring, CallState.COMPLETED, 9 * DAY, 60)
    answered(session, spring, CallState.HUNG_UP, 2 * DAY, 37)
    answered(session, spring, CallState.ABANDONED, timedelta(hours=1), 2)
    spent = budgets.in_force(session, spring, NOW)
    assert (spent.budget.abandoned, spent.budget.met, spent.budget.left) == (2, 97, 1)
    assert spent.budget.window == "30 days"
    assert spent.since == NOW - 10 * DAY - timedelta(seconds=10)


def test_the_italian_pack_holds_over_the_whole_campaign_and_in_the_day(session: Session) -> None:
    spring = factories.campaign(session, rule_pack="it-2026", max_abandonment=0.04)
    answered(session, spring, CallState.COMPLETED, 50 * DAY, 194)
    answered(session, spring, CallState.ABANDONED, 45 * DAY, 3)
    answered(session, spring, CallState.COMPLETED, timedelta(hours=1), 96)
    assert (in_force(session, spring).window, in_force(session, spring).left) == ("the day", 4)
    answered(session, spring, CallState.ABANDONED, 44 * DAY, 3)
    assert (in_force(session, spring).window, in_force(session, spring).left) == ("the campaign", 2)


def test_the_british_day_is_a_day_in_britain(session: Session) -> None:
    spring = factories.campaign(session, rule_pack="uk-2026", country="GB", time_zone="Europe/London")
    midnight = datetime(2026, 3, 30, 23, tzinfo=UTC)  # clocks went forward on the 29th
    answered(session, spring, CallState.ABANDONED, NOW - midnight + timedelta(seconds=1), 9)
    answered(session, spring, CallState.COMPLETED, NOW - midnight, 33)
    spent = budgets.in_force(session, spring, NOW)
    assert (spent.since, spent.budget.abandoned, spent.budget.met, spent.budget.left) == (midnight, 0, 33, 1)


def detected(session: Session, of: Campaign, ago: timedelta, times: int, **given: object) -> None:
    for _ in range(times):
        values = {"ended_at": NOW - ago, "leg_outcome": "machine", **given}
        factories.attempt(session, of, state=CallState.NO_ANSWER, **values)


def test_people_whom_a_machine_detector_hangs_up_on_are_abandoned_in_every_window(session: Session) -> None:
    """Nobody ever told of them: a sample does, or the share we take until there is one."""
    spring = factories.campaign(session)
    answered(session, spring, CallState.COMPLETED, timedelta(hours=1), 300)
    assert in_force(session, spring).left == 9
    detected(session, spring, timedelta(hours=2), 101)
    detected(session, spring, timedelta(hours=25), 500)
    detected(session, spring, timedelta(hours=2), 500, mode="agentless")
    spent = in_force(session, spring)
    assert (spent.abandoned, spent.mistaken, spent.left) == (4, 4, 5)
    assert tally(session, spring, NOW).abandonment.abandoned == 4
    spring.people_among_machines = 0.01
    assert in_force(session, spring).abandoned == 2
    spring.people_among_machines = 0.0
    assert (in_force(session, spring).abandoned, in_force(session, spring).left) == (0, 9)


def test_each_campaign_that_shares_agents_has_a_detector_s_mistakes_of_its_own(session: Session) -> None:
    spring, summer = factories.campaign(session), factories.campaign(session, people_among_machines=0.5)
    answered(session, spring, CallState.COMPLETED, timedelta(hours=1), 97)
    detected(session, spring, timedelta(hours=1), 30)
    detected(session, summer, timedelta(hours=1), 3)
    spent = in_force(session, spring, sharing=[summer.id])
    assert (spent.window, spent.abandoned, spent.left) == ("24 h, shared", 3, 0)


def test_what_is_kept_of_a_window_knows_a_detector_s_calls(session: Session) -> None:
    spring, settled = factories.campaign(session), budgets.Settled()
    answered(session, spring, CallState.COMPLETED, timedelta(hours=1), 97)
    detected(session, spring, timedelta(hours=2), 60)
    for now in (NOW, NOW + timedelta(minutes=5)):
        spent = budgets.in_force(session, spring, now, settled=settled).budget
        assert (spent.abandoned, spent.left) == (2, 1)
    later = NOW + timedelta(hours=22, minutes=30)  # they have left the window, which was counted anew meanwhile
    assert budgets.in_force(session, spring, later, settled=settled).budget.abandoned == 0


def test_a_raised_limit_really_holds_and_a_lower_one_does_too(session: Session) -> None:
    spring = factories.campaign(session)
    answered(session, spring, CallState.COMPLETED, timedelta(hours=1), 95)
    for limit, left in ((0.03, 2), (0.02, 1), (0.05, 5)):
        spring.max_abandonment = limit
        assert (in_force(session, spring).ceiling, in_force(session, spring).left) == (limit, left)


def test_campaigns_that_share_agents_keep_the_rate_together_and_each_alone(session: Session) -> None:
    spring, summer = factories.campaign(session), factories.campaign(session)
    answered(session, spring, CallState.COMPLETED, timedelta(hours=1), 97)
    assert (in_force(session, spring).left, in_force(session, spring, sharing=[summer.id]).left) == (3, 3)
    answered(session, summer, CallState.ABANDONED, timedelta(hours=1), 2)
    spent = in_force(session, spring, sharing=[summer.id])
    assert (spent.abandoned, spent.met, spent.left, spent.window) == (2, 97, 1, "24 h, shared")
    answered(session, summer, CallState.COMPLETED, timedelta(hours=1), 500)
    assert in_force(session, spring, sharing=[summer.id]).window == "24 h", "what the other has left is not lent"
    assert in_force(session, summer, sharing=[spring.id]).left == 13


def test_what_the_dashboard_shows_is_what_the_pacer_keeps_to(session: Session) -> None:
    spring, summer = factories.campaign(session), factories.campaign(session)
    agent = factories.agent(session, spring)
    session.execute(text("INSERT INTO campaign_agents VALUES (:c, :a)"), {"c": summer.id, "a": agent.id})
    answered(session, spring, CallState.COMPLETED, timedelta(hours=1), 97)
    answered(session, summer, CallState.ABANDONED, timedelta(hours=1), 3)
    assert budgets.shares_with(session, spring.id) == [summer.id]
    shown = tally(session, spring, NOW).abandonment
    spent = in_force(session, spring, sharing=[summer.id])
    assert (shown.calls_left, shown.abandoned, shown.met) == (spent.left, spent.abandoned, spent.met) == (0, 3, 97)
    assert shown.window.name == "last 24 h, shared"
    agent.state = "out"
    session.flush()
    assert budgets.shares_with(session, spring.id) == []
    assert tally(session, spring, NOW).abandonment.calls_left == 3


@pytest.mark.parametrize("pack", sorted(PACKS))
def test_what_is_settled_is_counted_once_and_the_sum_stays_exact(session: Session, pack: str) -> None:
    """Hour after hour the kept part grows and what falls out of it goes; at each the budget equals one counted anew."""
    spring = factories.campaign(session, rule_pack=pack)
    chance = random.Random(7)
    for minutes in range(0, 75 * 60, 47):
        state = chance.choice([CallState.COMPLETED, CallState.COMPLETED, CallState.HUNG_UP, CallState.ABANDONED])
        answered(session, spring, state, timedelta(minutes=minutes))
    settled = budgets.Settled()
    for hours in (70, 69.9, 60, 50, 40, 39.5, 31, 20, 8, 1, 0.5, 0.01, 0, 0.2, 0):  # and a clock that steps back
        now = NOW - timedelta(hours=hours)
        session.execute(text("UPDATE attempts SET ended_at = answered_at + interval '1 min' WHERE ended_at > :now"),
                        {"now": now})  # fmt: skip
        assert budgets.in_force(session, spring, now, settled=settled) == budgets.in_force(session, spring, now)
    assert {rule for _, rule in settled.kept} == set(PACKS[pack].windows)


def test_nothing_is_settled_while_an_older_call_is_open(session: Session) -> None:
    """A conversation of three hours whose join was never told counts as it ends, not as it stood when first seen."""
    spring = factories.campaign(session)
    answered(session, spring, CallState.COMPLETED, timedelta(hours=5), 3)
    answered(session, spring, CallState.COMPLETED, timedelta(hours=1), 3)
    long_one = factories.attempt(
        session, spring, state=CallState.HELD, ordered_at=NOW - timedelta(hours=3),
        answered_at=NOW - timedelta(hours=3),
    )  # fmt: skip
    settled = budgets.Settled()
    assert budgets.in_force(session, spring, NOW, settled=settled).budget.met == 6
    assert {span.until for span, *_ in settled.kept.values()} == {NOW - timedelta(hours=3)}
    long_one.state, long_one.ended_at = CallState.ABANDONED, NOW
    session.flush()
    assert budgets.in_force(session, spring, NOW, settled=settled).budget.abandoned == 1
    assert {span.until for span, *_ in settled.kept.values()} == {NOW - budgets.UNSETTLED}


def test_what_is_settled_is_not_read_again(session: Session) -> None:
    spring = factories.campaign(session, rule_pack="it-2026")
    answered(session, spring, CallState.COMPLETED, 20 * DAY, 50)
    settled = budgets.Settled()
    first = budgets.in_force(session, spring, NOW, settled=settled)
    session.execute(text("UPDATE attempts SET joined_at = NULL, state = 'abandoned'"))  # as nothing of ours does
    assert budgets.in_force(session, spring, NOW, settled=settled) == first
    assert budgets.in_force(session, spring, NOW).budget.abandoned == 50


def test_several_windows_are_one_statement_whatever_the_campaigns_age(session: Session) -> None:
    spring = factories.campaign(session)
    answered(session, spring, CallState.COMPLETED, timedelta(hours=1))
    said: list[str] = []
    listener = lambda *args: said.append(args[2])  # noqa: E731
    event.listen(session.get_bind(), "before_cursor_execute", listener)
    budgets.in_force(session, spring, NOW)
    event.remove(session.get_bind(), "before_cursor_execute", listener)
    assert sum("FILTER" in statement for statement in said) == 1


def test_the_count_agrees_with_the_rule_over_every_kind_of_end(session: Session) -> None:
    """The rows counted by SQL, and by the pure rule: two implementations, one answer (I23)."""
    spring = factories.campaign(session)
    for n, state in enumerate(CallState):
        if state in (CallState.COMPLETED, CallState.ABANDONED, CallState.HUNG_UP):
            answered(session, spring, state, timedelta(minutes=n), n + 1)
    factories.attempt(
        session, spring, state=CallState.COMPLETED, answered_at=NOW, joined_at=NOW + timedelta(seconds=3), ended_at=NOW
    )
    factories.attempt(session, spring, state=CallState.BUSY, ended_at=NOW)
    words = {row.id: row.meaning for row in dispositions.all_of(session, spring.id)}
    for said in words:
        for waited in (0.3, 3):
            factories.attempt(
                session, spring, state=CallState.COMPLETED, answered_at=NOW,
                joined_at=NOW + timedelta(seconds=waited), ended_at=NOW, disposition_id=said,
            )  # fmt: skip
    ended = [
        Ended(
            CallState(row.state),
            (row.joined_at - row.answered_at).total_seconds() if row.joined_at and row.answered_at else None,
            words.get(row.disposition_id, ""),
        )
        for row in session.query(Attempt).all()
    ]
    (counted,) = budgets.count(session, [budgets.Span(spring.id, NOW - DAY)])
    assert counted == figures(ended, spring.answer_limit)
    assert {"machine", "fax", "nobody"} < {*words.values()}
    assert all((counted.abandoned, counted.met, counted.machines, counted.hung_up))


def test_machines_make_the_rate_what_it_is(session: Session) -> None:
    """Sixty people and forty machines were met: three lost are 4.8 % of the people, and not 2.9 % of the calls."""
    spring = factories.campaign(session)
    answered(session, spring, CallState.COMPLETED, timedelta(hours=1), 100)
    answered(session, spring, CallState.ABANDONED, timedelta(hours=1), 3)
    assert in_force(session, spring).left == 0
    assert not in_force(session, spring).over
    some = select(Attempt.id).where(Attempt.joined_at.is_not(None)).limit(40)
    word = dispositions.get(session, spring, "machine").id
    session.execute(update(Attempt).where(Attempt.id.in_(some)).values(disposition_id=word))
    budget = in_force(session, spring)
    assert (budget.abandoned, budget.met, budget.machines, budget.over) == (3, 60, 40, True)
    assert tally(session, spring, NOW).abandonment.over


def test_a_word_that_comes_with_the_wrap_up_still_counts(session: Session) -> None:
    """What a month's window keeps as settled is older than nearly any wrap-up."""
    spring = factories.campaign(session)
    answered(session, spring, CallState.COMPLETED, timedelta(minutes=10), 5)
    settled = budgets.Settled()
    assert budgets.in_force(session, spring, NOW, settled=settled).budget.met == 5
    session.execute(update(Attempt).values(disposition_id=dispositions.get(session, spring, "machine").id))
    assert budgets.in_force(session, spring, NOW, settled=settled).budget.met == 0


def test_a_rule_pack_nobody_knows_is_shown_and_never_dialled(session: Session) -> None:
    spring = factories.campaign(session, rule_pack="mars-2099")
    assert budgets.shown(session, spring, NOW).budget.ceiling == spring.max_abandonment
    with pytest.raises(Exception, match="there is no rule pack 'mars-2099'"):
        budgets.in_force(session, spring, NOW)
    assert rule_pack("default-2026").ceiling == 0.03


def test_a_word_that_comes_later_counts_within_the_hour_and_leaves_no_trace(session: Session) -> None:
    """A call that was settled as a person and leaves the window as a machine must not stand in it for ever."""
    spring = factories.campaign(session)
    answered(session, spring, CallState.COMPLETED, timedelta(hours=2), 40)
    answered(session, spring, CallState.COMPLETED, timedelta(minutes=90), 5)
    settled = budgets.Settled()
    assert budgets.in_force(session, spring, NOW, settled=settled).budget.met == 45
    of_all = update(Attempt).where(Attempt.answered_at < NOW - timedelta(minutes=100))
    session.execute(of_all.values(disposition_id=dispositions.get(session, spring, "machine").id))
    for minutes in range(0, 26 * 60, 20):
        now = NOW + timedelta(minutes=minutes)
        kept = budgets.in_force(session, spring, now, settled=settled).budget
        assert 0.0 <= kept.people <= 1.0
        if minutes >= 60:
            assert kept == budgets.in_force(session, spring, now).budget


def test_a_campaign_is_listed_with_the_rate_of_the_people_it_met(session: Session) -> None:
    spring = factories.campaign(session)
    answered(session, spring, CallState.COMPLETED, timedelta(hours=1), 100)
    answered(session, spring, CallState.ABANDONED, timedelta(hours=1), 3)
    some = select(Attempt.id).where(Attempt.joined_at.is_not(None)).limit(40)
    word = dispositions.get(session, spring, "machine").id
    session.execute(update(Attempt).where(Attempt.id.in_(some)).values(disposition_id=word))
    (row,) = campaign_rows(session, NOW)
    assert (row.joined, row.abandoned, round(row.abandonment, 3)) == (60, 3, 0.048)
