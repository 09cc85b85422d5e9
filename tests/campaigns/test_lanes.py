"""A campaign's own order, mix and filter, through the gate and on real rows."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns import contact_filters, contact_orders, gate, importing, lanes, waterfall, why
from campaigns.application import Application
from campaigns.due_contacts import Which
from campaigns.gate import Claim
from campaigns.lines import Lines
from campaigns.models import Attempt, Campaign, Contact, ContactList, Ledger
from dialer.calls import CallState
from dialer.contact_filter import parse
from dialer.errors import BadInput, NotFound
from dialer.settings import TimingSettings
from tests import factories
from tests.factories import NOW

TIMING = TimingSettings()


@pytest.fixture
def running(session: Session) -> Campaign:
    made = factories.campaign(session, number_gap=0.0, max_attempts=9)
    factories.lease(session, made)
    return made


def order(session: Session, of: Campaign, wanted: int) -> list[int]:
    claim = Claim(f"campaign:{of.id}", "test", 1)
    before = set(session.scalars(select(Attempt.id)))
    gate.order(session, of.id, wanted, Lines({"4": 500}), claim, now=NOW, timing=TIMING)
    rows = session.execute(select(Attempt.id, Attempt.contact_id).order_by(Attempt.id))
    return [row.contact_id for row in rows if row.id not in before]


def listed(session: Session, of: Campaign, name: str, days_ago: int, **values: object) -> ContactList:
    return factories.contact_list(session, of, name=name, created_at=NOW - timedelta(days=days_ago), **values)


def contact(session: Session, of: Campaign, on: ContactList, minutes: float = 1, **values: object) -> Contact:
    due = NOW - timedelta(minutes=minutes)
    return factories.contact(session, of, **{"list_id": on.id, "next_at": due, **values})


def test_each_order_takes_its_contacts_first(session: Session, running: Campaign) -> None:
    old, new = listed(session, running, "old", 9), listed(session, running, "new", 1)
    a = contact(session, running, old, 5, priority=0, tried=2)
    b = contact(session, running, old, 1, priority=-5, tried=1)
    c = contact(session, running, new, 3, priority=0, tried=0)
    d = contact(session, running, new, 9, priority=7, tried=3)
    later = contact(session, running, new, -1, priority=-99)
    expected = {
        "priority": [b, a, c, d], "freshest": [d, c, a, b], "oldest": [a, b, d, c], "fewest": [c, b, a, d],
        "most": [d, a, b, c], "due": [d, a, c, b], "freshest,priority": [c, d, b, a], "priority,freshest": [b, c, a, d],
    }  # fmt: skip
    for text_, contacts in expected.items():
        running.contact_order = text_
        found = lanes.first_due(session, running, NOW, 10)
        assert found == [one.id for one in contacts], text_
        assert later.id not in found
        assert lanes.first_due(session, running, NOW, 2) == found[:2]
    running.contact_order = "priority,freshest"
    assert order(session, running, 3) == [b.id, c.id, a.id]


@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(-2, 2), st.integers(0, 3), st.integers(-3, 9), st.booleans()),
        max_size=40,
    ),
    st.sampled_from(
        ["due", "priority", "freshest", "oldest,fewest", "most,priority,freshest", "priority,fewest,oldest"]
    ),
    st.integers(1, 50),
)
def test_lanes_say_what_sorting_all_contacts_would(
    session: Session, rows: list[tuple[int, int, int, int, bool]], order_: str, most: int
) -> None:
    of = factories.campaign(session, contact_order=order_)
    lists = [listed(session, of, str(n), n) for n in range(4)]
    contacts = [
        contact(session, of, lists[n], minutes, priority=p, tried=t, state="open" if is_open else "closed")
        for n, p, t, minutes, is_open in rows
    ]
    by = {
        "priority": lambda one: one.priority, "fewest": lambda one: one.tried, "most": lambda one: -one.tried,
        "freshest": lambda one: lists.index(session.get_one(ContactList, one.list_id)),
        "oldest": lambda one: -lists.index(session.get_one(ContactList, one.list_id)), "due": lambda one: 0,
    }  # fmt: skip
    due = [one for one in contacts if one.state == "open" and one.next_at is not None and one.next_at <= NOW]
    due.sort(key=lambda one: ([by[word](one) for word in order_.split(",")], one.next_at, one.id))
    assert lanes.first_due(session, of, NOW, most) == [one.id for one in due[:most]]


def test_a_mix_counts_the_calls_made_and_fills_up_from_others(session: Session, running: Campaign) -> None:
    a, b, c = (listed(session, running, name, 1) for name in "abc")
    for on, many in ((a, 60), (b, 60), (c, 20)):
        for _ in range(many):
            contact(session, running, on)
    contact_orders.set_order(session, running, shares={"a": 0.75, "b": 0.25}, who="ada", now=NOW)
    assert running.contact_order == "due"

    def lists_of(ids: list[int]) -> dict[str, int]:
        names = [session.get_one(ContactList, session.get_one(Contact, one).list_id).name for one in ids]
        return {name: names.count(name) for name in sorted(set(names))}

    taken = [one for _ in range(20) for one in order(session, running, 2)]
    assert lists_of(taken) == {"a": 30, "b": 10}
    # a ends, and the others serve.
    rest = [one for _ in range(5) for one in order(session, running, 25)]
    assert lists_of(rest) == {"a": 30, "b": 50, "c": 20}


def test_shares_are_of_lists_there_are_and_come_to_a_whole(session: Session, running: Campaign) -> None:
    listed(session, running, "a", 1), listed(session, running, "a", 2), listed(session, running, "b", 1)
    for shares, told in (
        ({"b": 1.5}, "100 %"),
        ({"b": 0.0}, "more than 0"),
        ({"a": 0.5}, "2 lists"),
        ({"x": 0.5}, "no list"),
    ):
        with pytest.raises((BadInput, NotFound), match=told):
            contact_orders.set_order(session, running, shares=shares, who="ada", now=NOW)


def test_promised_callbacks_are_no_part_of_an_order(session: Session, running: Campaign) -> None:
    on = listed(session, running, "a", 1)
    promised = contact(session, running, on, 9, due_date=NOW.date())
    other = contact(session, running, on, 1)
    running.contact_order = "priority"
    assert lanes.first_due(session, running, NOW, 9) == [other.id]
    assert order(session, running, 9) == [other.id]
    running.mode = "manual"
    claim = Claim(f"campaign:{running.id}", "test", 1)
    other.state, other.next_at = "open", NOW
    session.query(Attempt).update({"ended_at": NOW, "state": "busy"})
    allowed = gate.let_through(session, running.id, 9, claim, now=NOW, timing=TIMING, which=Which.ALL)
    assert [one.id for one, _, _ in allowed.contacts] == [promised.id, other.id]


def test_the_key_of_the_lanes_agrees_with_the_attempts_there_are(session: Session, running: Campaign) -> None:
    on = listed(session, running, "a", 1)
    one = contact(session, running, on)
    running.contact_order = "fewest"
    for expected in (1, 2, 3, 3):
        order(session, running, 1)
        assert one.tried == expected == min(3, len(session.scalars(select(Attempt)).all()))
        session.query(Attempt).update({"ended_at": NOW, "state": "no_answer"})
        one.state, one.next_at = "open", NOW
        session.flush()


def test_an_order_of_ones_own_sets_the_pacers_wish_aside(session: Session, running: Campaign) -> None:
    old, new = listed(session, running, "old", 9), listed(session, running, "new", 1)
    contact(session, running, old, 9), contact(session, running, new, 1)
    running.contact_order = "freshest"
    claim = Claim(f"campaign:{running.id}", "test", 1)
    gate.order(session, running.id, 1, Lines({"4": 9}), claim, now=NOW, timing=TIMING, choose=(f"{old.id}/1",))
    assert session.scalars(select(Attempt.answer_group)).one() == f"{new.id}/1"


def test_the_plan_reads_the_lanes_index_and_nothing_else(session: Session, running: Campaign) -> None:
    on = listed(session, running, "a", 1)
    session.execute(
        text("""
            INSERT INTO contacts (campaign_id, list_id, line, phone, first_name, last_name, company, description,
                                  custom, next_at)
            SELECT :c, :l, n, '+39' || n, '', '', '', '', '{}', :now FROM generate_series(1, 20000) n
        """),
        {"c": running.id, "l": on.id, "now": NOW},
    )
    session.execute(text("ANALYZE contacts"))
    given = {"campaign": running.id, "now": NOW, "most": 100, "of_a_lane": 100}
    given |= {"lists": [on.id], "priorities": [0], "tries": [0], "places": [0], "full": [on.id]}
    for query in (lanes._LANES, lanes._LANES_OF_LISTS, lanes._CONTACTS):
        plan = "\n".join(session.scalars(text(f"EXPLAIN {query.text}"), given))
        assert "ix_contacts_lanes" in plan
        assert "Seq Scan on contacts" not in plan
        assert "ix_contacts_due" not in plan


# Filters ----------------------------------------------------------------------------------------------------


def set_filter(app: Application, of: Campaign, *conditions: str) -> tuple[int, int]:
    with app.transaction() as session:
        found = session.get_one(Campaign, of.id)
        contact_filters.set_filter(session, found, [parse(one) for one in conditions], who="ada", now=NOW)
    return contact_filters.apply(app, of.id, NOW, lambda _: None)


def test_a_filter_closes_whom_it_does_not_want_and_opens_them_again(
    application: Application, session: Session, running: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact_filters, "_AT_ONCE", 2)
    on = listed(session, running, "a", 1)
    rome = [contact(session, running, on, custom={"city": "Roma"}) for _ in range(3)]
    milan = contact(session, running, on, -60, custom={"city": "Milano"})
    done = contact(session, running, on, state="closed", next_at=None, closed_because="reached")
    promised = contact(session, running, on, due_date=NOW.date())
    session.commit()
    assert set_filter(application, running, "city=Milano,Torino") == (3, 0)
    session.expire_all()
    assert {one.closed_because for one in rome} == {contact_filters.NOT_WANTED}
    assert [one.state for one in (milan, done, promised)] == ["open", "closed", "open"]
    fall = waterfall.waterfall(session, running, now=NOW, ring_seconds=30)
    assert {step.reason: step.contacts for step in fall.steps}[contact_filters.NOT_WANTED] == 3
    session.commit()
    assert set_filter(application, running, "city=Roma") == (1, 3)
    assert set_filter(application, running) == (0, 1)
    session.expire_all()
    assert milan.next_at == NOW + timedelta(minutes=60)
    assert (done.state, done.closed_because) == ("closed", "reached")
    assert len(session.scalars(select(Ledger).where(Ledger.kind == "contact_filter")).all()) == 3


def test_the_gate_asks_the_filter_again_and_history_with_it(session: Session, running: Campaign) -> None:
    on = listed(session, running, "a", 1)
    good = contact(session, running, on, custom={"city": "Roma"})
    stray = contact(session, running, on, custom={"city": "Milano"})
    tried = contact(session, running, on, custom={"city": "Roma"})
    factories.attempt(session, running, contact=tried, state=CallState.BUSY, ordered_at=NOW - timedelta(days=2))
    promised = contact(session, running, on, due_date=NOW.date(), custom={"city": "Milano"})
    running.contact_filter = [parse("city=Roma").as_json(), parse("days_since_call>=5").as_json()]
    assert order(session, running, 9) == [good.id]
    assert (stray.state, stray.closed_because) == ("closed", contact_filters.NOT_WANTED)
    assert (tried.state, tried.next_at) == ("open", NOW + timedelta(days=3))
    assert promised.state == "open"
    told = why.explain(session, running, str(tried.id), now=NOW, ring_seconds=30)
    assert [one.rule for one in told.verdicts if not one.allowed] == ["filter", "not_before"] or [
        one.rule for one in told.verdicts if not one.allowed
    ] == ["not_before", "filter"]


def test_a_filter_on_a_column_nobody_has_is_a_typing_mistake(session: Session, running: Campaign) -> None:
    contact(session, running, listed(session, running, "a", 1), custom={"city": "Roma"})
    with pytest.raises(BadInput, match="no contact of the campaign has a column 'ctiy'"):
        contact_filters.set_filter(session, running, [parse("ctiy=Roma")], who="ada", now=NOW)


def test_a_list_taken_back_is_not_opened_again_by_another_filter(
    application: Application, session: Session, running: Campaign
) -> None:
    on = listed(session, running, "a", 1)
    one = contact(session, running, on, custom={"city": "Roma"})
    factories.attempt(session, running, contact=one, state=CallState.BUSY)
    session.commit()
    with application.transaction() as inner:
        inner.get_one(Contact, one.id).state = "closed"
        inner.get_one(Contact, one.id).closed_because = contact_filters.NOT_WANTED
    with application.transaction() as inner:
        assert importing._take_back(inner, on.id) == importing.Undone(0, 1)
        inner.get_one(ContactList, on.id).undone_at = NOW
    assert set_filter(application, running) == (0, 0)
    session.expire_all()
    assert (one.state, one.closed_because) == ("closed", importing.UNDONE)
