"""How far lists are worked: chosen up to their caps and no further, however many choose, and counted from the rows."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier, Event

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from campaigns import gate, lanes, list_caps, list_counts, pace_view, prospects, waterfall, why
from campaigns.application import Application
from campaigns.db import session_factory
from campaigns.due_contacts import Which
from campaigns.gate import Allowed, Author, Claim
from campaigns.lines import Lines
from campaigns.models import Attempt, Campaign, Contact, ContactList, Ledger, ListCount, Offer
from dialer.errors import BadInput, NotFound
from dialer.settings import TimingSettings
from tests import factories
from tests.factories import NOW
from workers.scheduler import Scheduler

TIMING = TimingSettings()
DAY = timedelta(days=1)


@pytest.fixture
def running(session: Session) -> Campaign:
    made = factories.campaign(session, number_gap=0.0, max_attempts=9)
    factories.lease(session, made)
    return made


def listed(session: Session, of: Campaign, name: str, contacts: int, tried: int = 0, **values: object) -> ContactList:
    made = factories.contact_list(session, of, name=name, **values)
    for n in range(contacts):
        due = NOW - timedelta(minutes=contacts - n)
        factories.contact(session, of, list_id=made.id, next_at=due, tried=1 if n < tried else 0)
    return made


def cap(session: Session, of: Campaign, name: str, cap: str | None = None, today: str | None = None) -> None:
    list_caps.set_caps(session, of, name, cap=cap, today=today, who="ada", now=NOW)


def order(
    session: Session, of: Campaign, wanted: int, now: datetime = NOW, choose: tuple[str, ...] = ()
) -> gate.Passed:
    claim = Claim(f"campaign:{of.id}", "test", 1)
    return gate.order(session, of.id, wanted, Lines({"4": 900}), claim, now=now, timing=TIMING, choose=choose)


def ordered(session: Session) -> Counter[str]:
    rows = session.execute(select(ContactList.name).join(Contact).join(Attempt))
    return Counter(row.name for row in rows)


def kept(session: Session, of: ContactList) -> tuple[int, int, int]:
    session.flush()
    row = session.get_one(ListCount, of.id, populate_existing=True)
    return row.contacts, row.tried, row.today


# Choosing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order_of", ["", "fewest", "penetration"])
@pytest.mark.parametrize("choose", [(), ("x/1",)])
def test_nobody_new_is_chosen_beyond_the_cap_and_the_others_are(
    session: Session, running: Campaign, order_of: str, choose: tuple[str, ...]
) -> None:
    running.contact_order = order_of
    spring = listed(session, running, "spring", 20, tried=6)
    listed(session, running, "autumn", 20)
    cap(session, running, "spring", "40%")
    for _ in range(9):
        order(session, running, 7, choose=choose)
    assert ordered(session) == {"spring": 6 + 2, "autumn": 20}, "8 of 20 is 40 %; those tried before go on"
    assert kept(session, spring) == (20, 8, 2)
    assert (
        session.scalar(text("SELECT count(*) FROM contacts WHERE state = 'open' AND next_at <= :now"), {"now": NOW})
        == 12
    )
    assert order(session, running, 7).none_due


def test_a_promised_callback_is_kept_whatever_the_cap(session: Session, running: Campaign) -> None:
    running.mode = "preview"
    spring = listed(session, running, "spring", 3)
    promised = factories.contact(session, running, list_id=spring.id, due_date=NOW.date())
    cap(session, running, "spring", "0%")
    claim = Claim(f"campaign:{running.id}", "test", 1)
    for which in (Which.PROMISED, Which.ALL):
        passed = gate.let_through(session, running.id, 9, claim, now=NOW, timing=TIMING, which=which)
        assert [one.id for one, _, _ in passed.contacts] == [promised.id]
    rules = {one.rule for one in passed.contacts[0][2].verdicts}
    assert "list_cap" not in rules


def test_the_proof_of_a_first_attempt_tells_the_cap_it_kept(session: Session, running: Campaign) -> None:
    listed(session, running, "spring", 5)
    cap(session, running, "spring", "2", "60%")
    order(session, running, 5)
    proofs = session.scalars(select(Attempt.proof).order_by(Attempt.id)).all()
    told = [rule["why"] for proof in proofs for rule in proof["rules"] if rule["rule"] == "list_cap"]
    assert told[0].startswith("list spring is below its cap: 0 of its 5 contacts were tried, the cap is 2; 0 for the")
    assert told[1].endswith("1 more are about to be called")
    assert len(told) == 2


def test_a_days_cap_ends_at_the_campaigns_midnight(session: Session, running: Campaign) -> None:
    running.country, running.time_zone = "IT", "Europe/Rome"
    spring = listed(session, running, "spring", 30)
    cap(session, running, "spring", today="10%")
    midnight = datetime.fromisoformat("2026-03-02T23:00+00:00")
    assert len(order(session, running, 9).refs) == 3
    for before in (NOW, midnight - timedelta(seconds=1)):
        assert order(session, running, 9, before).refs == []
    running.hours = "always"
    assert len(order(session, running, 9, midnight).refs) == 3
    assert kept(session, spring) == (30, 6, 3)
    list_counts.count(session, running, spring.id, midnight + timedelta(hours=1))
    assert kept(session, spring) == (30, 6, 3), "counted from the rows it is the same"


def test_those_beyond_the_room_are_let_go_as_they_were(session: Session, running: Campaign) -> None:
    spring = listed(session, running, "spring", 9)
    cap(session, running, "spring", "2")
    due = {row.id: row.next_at for row in session.execute(select(Contact.id, Contact.next_at))}
    passed = order(session, running, 6)
    assert (len(passed.refs), passed.refused["list_cap"]) == (2, 7)
    left = session.scalars(select(Contact).where(Contact.state == "open", Contact.list_id == spring.id)).all()
    assert len(left) == 7
    assert all((one.next_at, one.put_off_by) == (due[one.id], None) for one in left)


def test_offers_that_are_open_take_room(session: Session, running: Campaign) -> None:
    running.mode = "preview"
    spring = listed(session, running, "spring", 9)
    cap(session, running, "spring", "3")
    shown = session.scalars(select(Contact).limit(2)).all()
    for one in shown:
        one.state, one.next_at = "live", None
        agent = factories.agent(session, running)
        session.add(
            Offer(campaign_id=running.id, contact_id=one.id, agent_id=agent.id, offered_at=NOW, until=NOW + DAY)
        )
    session.flush()
    claim = Claim(f"campaign:{running.id}", "test", 1)
    passed = gate.let_through(session, running.id, 9, claim, now=NOW, timing=TIMING)
    assert len(passed.contacts) == 1
    # Whom an agent was shown they may call, and it counts.
    agent = factories.agent(session, running)
    made = gate.order_one(
        session, running, shown[0], Lines({"4": 9}), Author("ada"), now=NOW, timing=TIMING, agent=agent
    )
    assert isinstance(made, Attempt)
    assert kept(session, spring) == (9, 1, 1)


def test_several_who_order_at_once_share_one_room(engine: Engine) -> None:
    """Four gates of one campaign, again and again: to the contact, and the count is what the rows say."""
    sessions = session_factory(engine)
    with sessions() as session, session.begin():
        campaign = factories.campaign(session, number_gap=0.0, hours="always")
        factories.lease(session, campaign)
        spring = listed(session, campaign, "spring", 120)
        other = listed(session, campaign, "other", 30)
        cap(session, campaign, "spring", "61", "53")
    barrier = Barrier(5)
    over = Event()

    def run(_: int) -> None:
        barrier.wait(60)
        for _ in range(14):
            with sessions() as session, session.begin():
                order(session, campaign, 5)

    def recount() -> None:
        barrier.wait(60)
        while not over.is_set():
            with sessions() as session, session.begin():
                list_counts.count(session, campaign, spring.id, NOW)

    with ThreadPoolExecutor(5) as pool:
        counting = pool.submit(recount)
        list(pool.map(run, range(4)))
        over.set()
        counting.result(60)
    with sessions() as session:
        assert ordered(session) == {"spring": 53, "other": 30}
        assert kept(session, spring) == (120, 53, 53)
        assert other.id not in set(session.scalars(select(ListCount.list_id)))


def test_without_the_lock_the_room_is_taken_twice(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sabotage: two gates that both looked before either ordered."""
    sessions = session_factory(engine)
    with sessions() as session, session.begin():
        campaign = factories.campaign(session, number_gap=0.0)
        factories.lease(session, campaign)
        listed(session, campaign, "spring", 20)
        cap(session, campaign, "spring", "3")
    seen = Barrier(2)
    looked = list_caps.standings

    def unlocked(session: Session, of: Campaign, contacts: object, now: datetime) -> list_caps.Rooms:
        found = {one.list_id: one for one in looked(session, of.id, now)}
        seen.wait(60)
        return list_caps.Rooms(of, now, found)

    monkeypatch.setattr(list_caps.Rooms, "locked", unlocked)

    def run(_: int) -> None:
        with sessions() as session, session.begin():
            order(session, campaign, 3)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, range(2)))
    with sessions() as session:
        assert ordered(session)["spring"] > 3


# Counting ------------------------------------------------------------------------------------------------


def test_counting_again_corrects_what_is_kept_and_keeps_what_is_ordered_meanwhile(engine: Engine) -> None:
    sessions = session_factory(engine)
    with sessions() as session, session.begin():
        campaign = factories.campaign(session, number_gap=0.0)
        factories.lease(session, campaign)
        spring = listed(session, campaign, "spring", 20)
        cap(session, campaign, "spring", "50%")
        session.execute(text("UPDATE list_counts SET contacts = 3, tried = 9, today = 7"))
    with sessions() as session, session.begin():
        list_counts.count(session, campaign, spring.id, NOW)
        assert kept(session, spring) == (20, 0, 0)
    with sessions() as ordering, sessions() as counting, ordering.begin(), ThreadPoolExecutor(1) as pool:
        assert len(order(ordering, campaign, 4).refs) == 4  # holds the count
        done = pool.submit(lambda: list_counts.count(counting, campaign, spring.id, NOW))  # sees none of the four yet
        with pytest.raises(TimeoutError):
            done.result(0.5)
        ordering.commit()
        done.result(60)
        counting.commit()
    with sessions() as session:
        assert kept(session, spring) == (20, 4, 4)


def test_only_lists_that_need_it_are_counted_and_those_that_are_long_less_often(
    session: Session, running: Campaign
) -> None:
    spring, autumn = listed(session, running, "spring", 2), listed(session, running, "autumn", 2)
    assert list_counts.wanted(session, NOW) == []
    cap(session, running, "spring", "1")
    soon, later = NOW + timedelta(seconds=59), NOW + timedelta(seconds=61)
    assert list_counts.wanted(session, soon) == []
    assert list_counts.wanted(session, later) == [(spring.id, running.id)]
    session.get_one(ListCount, spring.id).took = 2.0
    session.flush()
    assert list_counts.wanted(session, later) == []
    assert list_counts.wanted(session, NOW + timedelta(seconds=101)) == [(spring.id, running.id)]
    running.contact_order = "penetration"
    session.flush()
    assert list_counts.wanted(session, later) == [(autumn.id, running.id)]
    cap(session, running, "spring", "none")
    running.contact_order = ""
    session.flush()
    list_counts.forget(session)
    assert session.scalars(select(ListCount.list_id)).all() == []


# Told ----------------------------------------------------------------------------------------------------


def test_why_and_the_waterfall_tell_the_cap(session: Session, running: Campaign) -> None:
    spring = listed(session, running, "spring", 10, tried=4)
    cap(session, running, "spring", today="0")
    fall = waterfall.waterfall(session, running, now=NOW, ring_seconds=30)
    told = {step.rule: (step.contacts, step.until) for step in fall.steps}
    midnight = session.get_one(ListCount, spring.id).today_until
    assert (fall.imported, fall.dialable, told) == (10, 4, {"list_cap": (6, midnight)})
    new, tried = (session.scalars(select(Contact.id).where(Contact.tried == n).limit(1)).one() for n in (0, 1))
    said = why.explain(session, running, str(new), now=NOW, ring_seconds=30)
    assert not said.allowed
    assert (said.verdicts[-1].rule, said.verdicts[-1].until) == ("list_cap", midnight)
    assert why.explain(session, running, str(tried), now=NOW, ring_seconds=30).allowed
    assert [one for one in why.holding(session, running, now=NOW) if one.startswith("list spring is at its cap")]
    cap(session, running, "spring", today="1")
    assert why.explain(session, running, str(new), now=NOW, ring_seconds=30).allowed


def test_a_campaign_of_which_only_capped_contacts_are_left_has_nobody_due(session: Session, running: Campaign) -> None:
    """No agent waits on the line for them, and none is kept from campaigns that share the agents."""
    factories.lines(session)
    listed(session, running, "spring", 5)
    sharing = factories.campaign(session)
    agent = factories.agent(session, running)
    session.execute(text("INSERT INTO campaign_agents VALUES (:c, :a)"), {"c": sharing.id, "a": agent.id})
    for limit, due in (("none", True), ("3", True), ("0", False)):
        cap(session, running, "spring", limit)
        view, other = (pace_view.read(session, one.id, NOW) for one in (running, sharing))
        assert view is not None
        assert other is not None
        assert (view.due, [one.due for one in other.sharing]) == (due, [due]), limit
    assert [one.name for one in view.full] == ["spring"]
    factories.contact(session, running, due_date=NOW.date(), next_at=NOW + timedelta(seconds=2))
    view = pace_view.read(session, running.id, NOW)
    assert view is not None
    assert view.due, "a promise is kept"


def test_the_pacer_is_told_of_those_who_may_be_chosen_behind_thousands_who_may_not(
    session: Session, running: Campaign
) -> None:
    spring = factories.contact_list(session, running, name="spring")
    fill = (
        "INSERT INTO contacts (campaign_id, list_id, line, phone, first_name, last_name, company, description, custom, "
        "next_at) SELECT :c, :l, n, '+3906' || n, '', '', '', '', '{}', :now - interval '1 day' "
        "FROM generate_series(1, 20000) n"
    )
    session.execute(text(fill), {"c": running.id, "l": spring.id, "now": NOW})
    autumn = listed(session, running, "autumn", 3)
    retry = factories.contact(session, running, list_id=spring.id, tried=1)
    cap(session, running, "spring", "0%")
    session.execute(text("ANALYZE contacts"))
    these = lanes.first_due(session, running, NOW, prospects.LOOKED_AT, full=[spring.id])
    assert dict(prospects.by_group(session, these)) == {f"{autumn.id}/1": 3, f"{spring.id}/1": 1}
    session.commit()
    reads = "SELECT seq_scan, idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'contacts'"
    claim = Claim(f"campaign:{running.id}", "test", 1)
    allowed: Allowed = gate.let_through(session, running.id, 40, claim, now=NOW, timing=TIMING)
    session.flush()
    assert {one.id for one, _, _ in allowed.contacts} == {*(one.id for one in _of(session, autumn)), retry.id}
    scans, fetched = session.execute(text(reads)).one()
    assert (scans, fetched < 200) == (0, True), f"20,000 who may not be chosen were passed over, {fetched} rows read"


def _of(session: Session, on: ContactList) -> list[Contact]:
    return list(session.scalars(select(Contact).where(Contact.list_id == on.id)))


# The order -----------------------------------------------------------------------------------------------


def test_the_list_worked_least_comes_first_and_lists_are_worked_alike(session: Session, running: Campaign) -> None:
    running.contact_order = "penetration"
    for name, contacts in (("large", 60), ("small", 20)):
        made = listed(session, running, name, contacts)
        list_counts.count(session, running, made.id, NOW)
    for _ in range(20):
        order(session, running, 1)
    assert ordered(session) == {"large": 15, "small": 5}


# Setting -------------------------------------------------------------------------------------------------


def test_a_change_is_whole_when_it_holds_and_is_in_the_ledger(
    application: Application, session: Session, running: Campaign
) -> None:
    spring = listed(session, running, "spring", 10, tried=4)
    session.commit()
    list_caps.change(application, running.name, "spring", cap="50%", today="2", who="ada", why="a trial")
    assert kept(session, spring) == (10, 4, 0)
    session.refresh(spring)
    assert (spring.cap, spring.cap_today) == ("50%", "2")
    entry = session.scalars(select(Ledger).where(Ledger.kind == "list_caps")).one()
    assert (entry.who, entry.why, entry.details["after"]) == ("ada", "a trial", {"cap": "50%", "cap_today": "2"})
    list_caps.change(application, running.name, "spring", cap="none", today=None, who="ada")
    session.refresh(spring)
    assert (spring.cap, spring.cap_today) == ("", "2")


def test_what_cannot_be_set_says_why(session: Session, running: Campaign) -> None:
    listed(session, running, "spring", 1)
    with pytest.raises(BadInput, match="60%, 500 or none"):
        cap(session, running, "spring", "half")
    with pytest.raises(NotFound, match="no list 'winter'"):
        cap(session, running, "winter", "1")
    running.state = "archived"
    with pytest.raises(BadInput, match="archived"):
        cap(session, running, "spring", "1")


def test_whoever_leads_a_campaign_counts_its_lists(application: Application, session: Session) -> None:
    led, other = (factories.campaign(session, state="running") for _ in range(2))
    for of in (led, other):
        listed(session, of, "spring", 4, tried=1)
        cap(session, of, "spring", "3")
    session.execute(text("UPDATE list_counts SET contacts = 1, tried = 9, counted_at = :at"), {"at": NOW - DAY})
    factories.lease(session, other, holder="somebody else")
    session.commit()
    scheduler = Scheduler(application, "one")
    scheduler.renew()
    scheduler.chores.list_counts()
    rows = session.execute(select(ListCount.campaign_id, ListCount.contacts, ListCount.tried))
    assert {row.campaign_id: (row.contacts, row.tried) for row in rows} == {led.id: (4, 1), other.id: (1, 9)}
