"""Pools of caller ids through the gate, on real rows."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from campaigns import caller_id_pools as pools
from campaigns import caller_id_watch, gate, lifecycle, reports, why
from campaigns.db import session_factory
from campaigns.gate import Claim
from campaigns.lines import Lines
from campaigns.models import Attempt, CallerId, Campaign, CampaignCallerId, Contact, Ledger
from dialer.calls import CallState
from dialer.errors import BadInput, NotFound, RefusedByRule
from dialer.gate import Proof
from dialer.pbx.base import Feature
from dialer.settings import TimingSettings
from tests import factories
from tests.factories import NOW

TIMING = TimingSettings()
ROME, MILAN, PARIS = "+390612345678", "+390287654321", "+33142345678"
DAY = timedelta(days=1)


@pytest.fixture
def running(session: Session) -> Campaign:
    made = factories.campaign(session, caller_id=ROME, number_gap=0.0)
    factories.lease(session, made)
    return made


def pool(session: Session, of: Campaign, *numbers: str, **values: object) -> None:
    for number in numbers:
        if session.get(CallerId, number) is None:
            session.add(CallerId(number=number, **values))
            session.flush()
        session.add(CampaignCallerId(campaign_id=of.id, number=number))
    session.flush()


def order(session: Session, of: Campaign, wanted: int = 10, **given: object) -> gate.Passed:
    claim = Claim(f"campaign:{of.id}", "test", 1)
    return gate.order(session, of.id, wanted, Lines({"4": 500}), claim, **{"now": NOW, "timing": TIMING, **given})  # type: ignore[arg-type]


def shown(session: Session, of: Campaign) -> dict[str, str]:
    rows = session.execute(select(Attempt.number, Attempt.caller_id).where(Attempt.campaign_id == of.id))
    return {row.number: row.caller_id for row in rows}


def ended(session: Session, of: Campaign, caller_id: str, count: int, **values: object) -> None:
    for _ in range(count):
        state = values.get("state", CallState.NO_ANSWER)
        factories.attempt(session, of, **{"state": state, "caller_id": caller_id, "ended_at": NOW, **values})


def test_each_contact_is_shown_the_number_at_home_there(session: Session, running: Campaign) -> None:
    pool(session, running, ROME, MILAN, PARIS)
    phones = {"+390698765432": ROME, "+390212345678": MILAN, "+33198765432": PARIS}
    for phone in phones:
        factories.contact(session, running, phone=phone)
    order(session, running)
    assert shown(session, running) == phones


def test_a_campaign_without_a_pool_shows_its_own_number(session: Session, running: Campaign) -> None:
    factories.contact(session, running)
    order(session, running)
    assert set(shown(session, running).values()) == {ROME}


def test_the_least_used_counts_over_all_campaigns(session: Session, running: Campaign) -> None:
    pool(session, running, ROME, MILAN)
    other = factories.campaign(session)
    ended(session, other, ROME, 3)
    ended(session, other, MILAN, 5, state=CallState.EXPIRED)  # never rang: shown to nobody
    ended(session, other, MILAN, 9, ordered_at=NOW - timedelta(hours=25))  # yesterday's
    for at in range(5):
        factories.contact(session, running, phone=f"+39055123456{at}")
    order(session, running)
    assert Counter(shown(session, running).values()) == {MILAN: 4, ROME: 1}


def test_a_daily_cap_holds_over_campaigns_and_the_pacer_is_told(session: Session, running: Campaign) -> None:
    pool(session, running, ROME, daily_cap=5)
    pool(session, running, MILAN, daily_cap=2)
    ended(session, factories.campaign(session), ROME, 3)
    for _ in range(9):
        factories.contact(session, running)
    passed = order(session, running, 7)
    assert Counter(shown(session, running).values()) == {ROME: 2, MILAN: 2}
    assert passed.held_back == ["caller ids (2 with few calls left today)"]
    passed = order(session, running, 7)
    assert (passed.refs, passed.held_back) == ([], ["caller ids (2 at the daily cap)"])
    assert session.scalars(select(Contact.state).where(Contact.campaign_id == running.id)).all().count("open") == 5
    later = order(session, running, 7, now=NOW + DAY + timedelta(seconds=1))
    assert len(later.refs) == 5


def test_two_campaigns_never_pass_the_last_call_of_a_day_twice(engine: Engine) -> None:
    sessions = session_factory(engine)
    with sessions.begin() as session:
        campaigns = [factories.campaign(session, caller_id=ROME) for _ in range(2)]
        for one in campaigns:
            factories.lease(session, one)
            pool(session, one, ROME, daily_cap=5)
            for _ in range(8):
                factories.contact(session, one)
        ids = [one.id for one in campaigns]
    both = Barrier(2)

    def run(campaign_id: int) -> int:
        with sessions.begin() as session:
            of = session.get_one(Campaign, campaign_id)
            both.wait(60)
            return len(order(session, of, 4).refs)

    with ThreadPoolExecutor(2) as threads:
        assert sum(threads.map(run, ids)) == 5
    with sessions() as session:
        assert len(session.scalars(select(Attempt.id).where(Attempt.caller_id == ROME)).all()) == 5


def test_a_resting_number_is_shown_to_nobody_and_an_agents_call_says_so(session: Session, running: Campaign) -> None:
    pool(session, running, ROME)
    pools.rest(session, ROME, until=NOW + DAY, because="marked", who="test", now=NOW)
    contact = factories.contact(session, running)
    assert order(session, running).held_back == ["caller ids (1 resting)"]
    agent = factories.agent(session, running)
    refused = gate.order_one(
        session, running, contact, Lines({"4": 1}), gate.Author("test"), now=NOW, timing=TIMING, agent=agent
    )
    assert isinstance(refused, Proof)
    assert refused.refusal is not None
    assert (refused.refusal.rule, refused.refusal.until) == ("caller_id", NOW + DAY)
    assert pools.wake(session, ROME, who="test", now=NOW)
    assert not pools.wake(session, ROME, who="test", now=NOW)
    assert len(order(session, running).refs) == 1
    verbs = [row.details["verb"] for row in session.scalars(select(Ledger).where(Ledger.kind == "caller_id"))]
    assert verbs == ["rest", "wake"]


def test_why_nobody_is_called_tells_of_caller_ids_and_when_the_first_is_back(
    session: Session, running: Campaign
) -> None:
    pool(session, running, ROME, daily_cap=1)
    ended(session, running, ROME, 1)
    contact = factories.contact(session, running)
    session.flush()

    def held() -> str:
        told = why.explain(session, running, str(contact.id), now=NOW, ring_seconds=30.0).verdicts[-1]
        assert (told.rule, told.allowed) == ("caller_id", False)
        (sentence,) = [one for one in why.holding(session, running, now=NOW) if "caller id" in one]
        assert told.until is not None
        assert told.why in sentence
        kept_back, first = told.why.split(", the first again at ")
        assert first == f"{told.until:%Y-%m-%d %H:%M} UTC"
        return f"{kept_back}, {(told.until - NOW) / DAY:.0f} d"

    assert held() == "no caller id may be shown: 1 at the daily cap, 1 d"
    # A rest is longer than the cap that led to it.
    pools.rest(session, ROME, until=NOW + 3 * DAY, because="marked", who="test", now=NOW)
    assert held() == "no caller id may be shown: 1 resting, 3 d"
    pools.wake(session, ROME, who="test", now=NOW)
    pool(session, running, MILAN)
    session.flush()
    assert not [one for one in why.holding(session, running, now=NOW) if "caller id" in one]
    assert why.explain(session, running, str(contact.id), now=NOW, ring_seconds=30.0).allowed


def test_what_a_law_bars_is_shown_to_nobody_whichever_pack_bars_it(session: Session, running: Campaign) -> None:
    mobile = "+33612345678"
    pool(session, running, mobile)
    running.caller_id = mobile
    on = factories.contact_list(session, running)
    contact = factories.contact(session, running, list_id=on.id)
    on.rule_pack = "fr-2026"
    session.flush()
    assert order(session, running).held_back == ["caller ids (1 barred by law)"]
    assert any("fr-2026" in told for told in pools.shortcomings(session, running))
    on.rule_pack = None
    session.flush()
    assert len(order(session, running).refs) == 1
    assert contact.state == "live"


# People's changes ----------------------------------------------------------------------------------------


def create(session: Session, name: str = "spring", **values: object) -> Campaign:
    given = {"pbx": "main", "features": frozenset(Feature), "caller_id": ROME, "now": NOW, "who": "test"}
    return lifecycle.create(session, name=name, **{**given, **values})  # type: ignore[arg-type]


def test_a_new_campaign_has_a_pool_of_one_that_grows_and_shrinks_but_never_empties(session: Session) -> None:
    made = create(session)
    assert pools.numbers_of(session, made) == [ROME]
    pools.add(session, made, "02 87654321", daily_cap=50, who="test", now=NOW)
    assert pools.numbers_of(session, made) == [MILAN, ROME]
    pools.remove(session, made, ROME, who="test", now=NOW, why="given back")
    assert (pools.numbers_of(session, made), made.caller_id) == ([MILAN], MILAN)
    with pytest.raises(BadInput, match="only caller id"):
        pools.remove(session, made, MILAN, who="test", now=NOW)
    with pytest.raises(NotFound, match=r"there are \+3902"):
        pools.known(session, "+39061111111")
    rows = session.scalars(select(Ledger).where(Ledger.kind == "caller_id").order_by(Ledger.id)).all()
    assert [(row.details["verb"], row.details["caller_id"], row.why) for row in rows] == [
        ("add", MILAN, ""), ("remove", ROME, "given back"),
    ]  # fmt: skip


def test_a_barred_number_is_refused_and_a_doubtful_one_told(session: Session) -> None:
    with pytest.raises(RefusedByRule, match="fr-2026"):
        create(session, caller_id="+33612345678", country="FR", pack="fr-2026")
    made = create(session, caller_id="+33162345678", country="FR", pack="fr-2026")
    with pytest.raises(RefusedByRule, match="may not be shown"):
        pools.add(session, made, "06 12 34 56 78", who="test", now=NOW)
    assert [told.split(" (")[-1] for told in pools.add(session, made, PARIS, who="test", now=NOW)[1]] == ["fr-2026)"]
    assert create(session, "by-hand", caller_id="+33612345678", country="FR", pack="fr-2026", mode="manual").id


def test_a_cap_is_loosened_for_a_reason_only(session: Session) -> None:
    made = create(session)
    pools.add(session, made, ROME, daily_cap=50, who="test", now=NOW)
    pools.change(session, ROME, daily_cap=40, who="test", now=NOW)
    for looser in (41, 0):
        with pytest.raises(BadInput, match="--why"):
            pools.change(session, ROME, daily_cap=looser, who="test", now=NOW)
    assert pools.change(session, ROME, daily_cap=0, who="test", now=NOW, why="season").daily_cap is None


# The watch -----------------------------------------------------------------------------------------------


def answers(session: Session, of: Campaign, caller_id: str, calls: int, answered: int) -> None:
    for at in range(calls):
        how = {"answered_at": NOW, "state": CallState.COMPLETED} if at < answered else {}
        ended(session, of, caller_id, 1, number=f"+3906{at:08d}", ordered_at=NOW - timedelta(minutes=1), **how)


def test_one_answered_clearly_less_than_its_peers_rests_and_begins_anew(session: Session, running: Campaign) -> None:
    pool(session, running, ROME, MILAN, PARIS)
    to = factories.contact(session, running, state="closed", next_at=None)
    rows = [(ROME, 120, 6), (MILAN, 120, 36), (PARIS, 120, 40)]
    for caller_id, calls, answered in rows:
        session.execute(
            text(
                "INSERT INTO attempts (campaign_id, contact_id, pbx, ref, number, gateway, caller_id, attempt_no, "
                "fence, proof, answer_limit, rule_pack, state, ordered_at, not_after, answered_at, ended_at) "
                "SELECT :c, :k, 'main', :id || n, '+39061234' || (1000 + n), '4', :id, 1, 1, '{}', 2, 'default-2026', "
                "CASE WHEN n <= :a THEN 'completed' ELSE 'no_answer' END, :at, :at, CASE WHEN n <= :a THEN :at END, "
                ":at "
                "FROM generate_series(1, :n) n"
            ),
            {"c": running.id, "k": to.id, "id": caller_id, "n": calls, "a": answered, "at": NOW - timedelta(minutes=9)},
        )
    assert caller_id_watch.watch(session, now=NOW) == [ROME]
    assert caller_id_watch.watch(session, now=NOW) == []
    (row,) = pools.shown(session, number=ROME, now=NOW)
    assert row.resting_until == NOW + DAY
    assert row.resting_because == "answered 5.0% where its peers let 31.7% be expected"
    assert session.scalars(select(Ledger.why).where(Ledger.kind == "caller_id")).all() == [row.resting_because]
    pools.wake(session, ROME, who="test", now=NOW)
    assert caller_id_watch.watch(session, now=NOW) == []  # what was before the rest is forgiven

    made = reports.make(session, "caller-ids", campaign=running.name, since=NOW - DAY, until=NOW, now=NOW)
    told = {row["caller_id"]: row for row in made.rows}
    assert (told[ROME]["calls"], told[ROME]["answered"], told[ROME]["share"]) == (120, 6, 0.05)
    assert told[ROME]["least"] < 0.05 < told[ROME]["most"] < told[MILAN]["least"]


def test_the_last_of_a_pool_that_is_awake_goes_on(session: Session, running: Campaign) -> None:
    pool(session, running, ROME)
    other = factories.campaign(session)
    pool(session, other, MILAN)
    answers(session, running, ROME, 60, 1)
    answers(session, running, MILAN, 60, 40)
    assert caller_id_watch.watch(session, now=NOW) == []
    pool(session, running, PARIS)
    assert caller_id_watch.watch(session, now=NOW) == [ROME]


def test_one_at_its_cap_rests_once_for_it(session: Session, running: Campaign) -> None:
    pool(session, running, ROME, daily_cap=3, rest=7200.0)
    ended(session, running, ROME, 2)
    assert caller_id_watch.watch(session, now=NOW) == []
    ended(session, running, ROME, 1)
    assert caller_id_watch.watch(session, now=NOW) == [ROME]
    later = NOW + timedelta(hours=3)
    assert caller_id_watch.watch(session, now=later) == []  # nothing was called since: the cap holds by itself
    ended(session, running, ROME, 1, ordered_at=later)
    assert caller_id_watch.watch(session, now=later) == [ROME]
