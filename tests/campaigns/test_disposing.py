"""An agent's word for a call: kept on the attempt, told in the ledger, and carried out when the call is over."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from campaigns import (
    callbacks_view,
    disposing,
    dispositions,
    do_not_call,
    gate,
    offers,
    periods,
    reports,
    waterfall,
    why,
)
from campaigns.disposing import Said
from campaigns.due_contacts import Which
from campaigns.endings import close_attempt
from campaigns.gate import Claim
from campaigns.lines import Lines
from campaigns.models import (
    Assignment,
    Callback,
    CallbackTicket,
    Campaign,
    ContactList,
    Disposition,
    Ledger,
    Offer,
)
from dialer.calls import CallState
from dialer.dispositions import BUILT_IN
from dialer.dispositions import Disposition as Word
from dialer.errors import BadInput, NotFound, RefusedByRule, TryAgainLater
from dialer.retries import Rule
from dialer.settings import TimingSettings
from tests import factories
from tests.factories import NOW

ROME, MOBILE = "+390612345678", "+393331234567"


@pytest.fixture
def running(session: Session) -> Campaign:
    made = factories.campaign(session, hours="09:00-20:00", number_gap=0.0)
    factories.lease(session, made)
    return made


class Desk:
    """One agent who talks with one person."""

    def __init__(self, session: Session, campaign: Campaign, **contact: Any) -> None:
        self.session, self.campaign = session, campaign
        given = {"phone": ROME, "state": "live", "next_at": None, **contact}
        self.contact = factories.contact(session, campaign, **given)
        self.agent, leg = factories.parked_agent(session, campaign, state="talking")
        self.attempt = factories.attempt(
            session, campaign, contact=self.contact, number=self.contact.next_number or self.contact.phone,
            state=CallState.JOINED, answered_at=NOW, joined_at=NOW, agent_id=self.agent.id,
        )  # fmt: skip
        session.add(
            Assignment(
                attempt_id=self.attempt.id, agent_id=self.agent.id, leg_id=leg.id, assigned_at=NOW, joined_at=NOW
            )
        )
        session.flush()

    def says(self, code: str, *, now: datetime = NOW, **given: Any) -> Said:
        return disposing.dispose(
            self.session, self.agent, code, timing=TimingSettings(), now=now, who="cli:anna", **given
        )

    def hangs_up(self, *, now: datetime = NOW + timedelta(minutes=3)) -> None:
        close_attempt(self.session, self.attempt, CallState.COMPLETED, now=now)
        self.session.flush()


@pytest.fixture
def desk(session: Session, running: Campaign) -> Desk:
    return Desk(session, running, phone2=MOBILE)


def test_every_campaign_begins_with_the_built_in_words(session: Session, running: Campaign) -> None:
    rows = dispositions.all_of(session, running.id)
    assert [dispositions.word_of(row) for row in rows] == list(BUILT_IN)
    assert len(dispositions.all_of(session, running.id)) == len(BUILT_IN), "and they are written once"


def test_a_word_in_the_call_is_carried_out_at_its_end(desk: Desk) -> None:
    said = desk.says("sale", note="wants two\x1b[31m")
    assert (said.before, said.unmoved, desk.contact.state) == (None, "", "live")
    assert (desk.attempt.disposed_at, desk.attempt.disposed_by) == (NOW, "cli:anna")
    assert desk.attempt.note == "wants two [31m"
    desk.hangs_up()
    assert (desk.contact.state, desk.contact.closed_because) == ("closed", "said:sale")
    assert desk.attempt.state == CallState.COMPLETED, "what the call was stays what it was"


def test_a_word_in_the_wrap_up_is_carried_out_at_once_and_may_end_it(desk: Desk) -> None:
    desk.hangs_up()
    assert (desk.agent.state, desk.contact.closed_because) == ("wrap_up", "reached")
    desk.says("later", ready=True)
    assert desk.agent.state == "ready"
    assert (desk.contact.state, desk.contact.next_at) == ("open", NOW + timedelta(hours=1))


def test_without_a_word_the_end_of_the_call_is_what_came_of_it(desk: Desk) -> None:
    desk.hangs_up()
    assert (desk.contact.closed_because, desk.attempt.disposition_id) == ("reached", None)


def test_the_last_word_counts_and_the_ledger_knows_them_all(desk: Desk, session: Session) -> None:
    desk.says("sale")
    desk.hangs_up()
    desk.says("refusal")
    assert desk.contact.closed_because == "said:refusal"
    told = session.scalars(select(Ledger).where(Ledger.kind == "disposition").order_by(Ledger.id)).all()
    assert [(row.details["before"], row.details["code"], row.who) for row in told] == [
        (None, "sale", "cli:anna"),
        ("sale", "refusal", "cli:anna"),
    ]
    assert {row.attempt_id for row in told} == {desk.attempt.id}


def test_a_note_is_kept_out_of_the_ledger_which_forgets_nobody(desk: Desk, session: Session) -> None:
    desk.says("sale", note="her son is ill")
    assert not any("ill" in str(row.details) + row.why for row in session.scalars(select(Ledger)))
    with pytest.raises(BadInput, match="2,000"):
        desk.says("sale", note="x" * 2_001)


# Which call ------------------------------------------------------------------------------------------------


def test_when_the_wrap_up_is_over_the_call_must_be_named(desk: Desk, session: Session) -> None:
    desk.hangs_up()
    desk.agent.state = "ready"
    with pytest.raises(NotFound, match="--call"):
        desk.says("sale")
    assert desk.says("sale", call=desk.attempt.ref).attempt is desk.attempt


def test_nobody_speaks_for_another_agent(desk: Desk, session: Session, running: Campaign) -> None:
    other = Desk(session, running, phone=MOBILE)
    with pytest.raises(NotFound, match="no call"):
        desk.says("sale", call=other.attempt.ref)


def test_who_has_spoken_with_nobody_has_nothing_to_say(session: Session, running: Campaign) -> None:
    agent = factories.agent(session, running, state="wrap_up")
    with pytest.raises(NotFound, match="spoken with nobody"):
        disposing.dispose(session, agent, "sale", timing=TimingSettings(), now=NOW, who="x")


def test_a_customer_who_is_just_being_joined_is_waited_for(desk: Desk) -> None:
    desk.attempt.joined_at = None
    with pytest.raises(TryAgainLater):
        desk.says("sale")


def test_who_still_talks_is_not_ready(desk: Desk) -> None:
    with pytest.raises(BadInput, match="still in the call"):
        desk.says("sale", ready=True)


def test_an_unknown_and_a_retired_word_are_refused_with_those_there_are(desk: Desk, session: Session) -> None:
    with pytest.raises(NotFound, match="there are: sale, done"):
        desk.says("hooray")
    dispositions.retire(session, desk.campaign, "silent", now=NOW, who="x")
    with pytest.raises(NotFound, match="is retired"):
        desk.says("silent")


# What it brings about --------------------------------------------------------------------------------------


def test_do_not_call_holds_from_the_moment_it_is_said_for_every_number(desk: Desk, session: Session) -> None:
    said = desk.says("dnc")
    assert said.forbidden == 2
    elsewhere = factories.campaign(session)
    blocked = do_not_call.entries(session, [ROME, MOBILE], elsewhere.id)
    assert {entry.source for entry in blocked.values()} == {"agent"}
    assert set(blocked) == {ROME, MOBILE}
    desk.hangs_up()
    assert (desk.contact.state, desk.contact.closed_because) == ("closed", "do not call")


def test_do_not_call_of_one_campaign_binds_that_one(desk: Desk, session: Session) -> None:
    word = Word("not-us", "Not from you", "do-not-call", "dnc")
    dispositions.add(session, desk.campaign, word, now=NOW, who="x")
    desk.says("not-us")
    assert do_not_call.entries(session, [ROME], factories.campaign(session).id) == {}
    assert set(do_not_call.entries(session, [ROME], desk.campaign.id)) == {ROME}


def test_do_not_call_said_by_mistake_is_corrected_and_the_list_stays(desk: Desk, session: Session) -> None:
    desk.says("dnc")
    desk.hangs_up()
    desk.says("later")
    assert desk.contact.state == "open"
    passed = gate.order(
        session, desk.campaign.id, 1, Lines({"4": 9}), Claim(f"campaign:{desk.campaign.id}", "test", 1),
        now=NOW + timedelta(hours=2), timing=TimingSettings(),
    )  # fmt: skip
    assert (passed.refs, dict(passed.refused)) == ([], {"do_not_call": 1})


def test_a_wrong_number_leaves_the_other_one(desk: Desk, session: Session) -> None:
    desk.hangs_up()
    desk.says("wrong")
    assert (desk.contact.state, desk.contact.next_number) == ("open", MOBILE)
    again = Desk(session, desk.campaign, phone="+390699999999")  # it has no other number
    again.hangs_up()
    again.says("wrong")
    assert (again.contact.state, again.contact.closed_because) == ("closed", "numbers used up")


def test_machines_are_tried_so_often_and_no_more(session: Session, running: Campaign) -> None:
    running.max_attempts = 9
    dispositions.change(session, running, "machine", now=NOW, who="x", most=2, delay=7200.0)
    first = Desk(session, running)
    first.hangs_up()
    first.says("machine")
    assert first.contact.next_at == NOW + timedelta(hours=2)
    first.agent.state, first.contact.state, first.contact.next_at = "out", "live", None
    second = factories.attempt(session, running, contact=first.contact, state=CallState.JOINED, joined_at=NOW,
                               agent_id=first.agent.id)  # fmt: skip
    close_attempt(session, second, CallState.COMPLETED, now=NOW + timedelta(hours=2))
    first.says("machine", call=second.ref, now=NOW + timedelta(hours=2))
    assert (first.contact.state, first.contact.closed_because) == ("closed", "numbers used up")


def test_a_retry_is_planned_inside_the_hours(desk: Desk) -> None:
    evening = datetime(2026, 3, 2, 18, 30, tzinfo=UTC)  # half past seven in Rome
    desk.hangs_up(now=evening)
    desk.says("later", now=evening)
    assert desk.contact.next_at == datetime(2026, 3, 3, 8, 0, tzinfo=UTC)


def test_the_budget_of_the_contact_stands_above_a_word(desk: Desk) -> None:
    desk.campaign.max_attempts = 1
    desk.hangs_up()
    desk.says("later")
    assert (desk.contact.state, desk.contact.closed_because) == ("closed", "attempts used up")


# Callbacks -------------------------------------------------------------------------------------------------


def test_a_promise_is_a_due_date_of_the_contact(desk: Desk, session: Session) -> None:
    periods.define(session, desk.campaign.id, "Afternoon", "14:00", "18:00", who="x", now=NOW)
    desk.says("callback", due=date(2026, 3, 4), period="afternoon")
    desk.hangs_up()
    assert (desk.contact.state, desk.contact.due_date) == ("open", date(2026, 3, 4))
    assert desk.contact.next_at == datetime(2026, 3, 4, 13, 0, tzinfo=UTC)
    (row,) = callbacks_view.callback_rows(session, desk.campaign, zone="UTC", now=NOW, closed=False, most=9)
    assert (row.contact, row.period, row.overdue) == (desk.contact.id, "Afternoon", False)


def test_a_promise_for_a_time_is_kept_to_the_minute_on_the_number_it_was_given_on(
    session: Session, running: Campaign
) -> None:
    desk = Desk(session, running, phone2=MOBILE, next_number=MOBILE)
    desk.hangs_up()
    desk.says("callback", due=datetime(2026, 3, 3, 15, 30))
    assert desk.contact.next_at == datetime(2026, 3, 3, 14, 30, tzinfo=UTC)
    assert desk.contact.next_number == MOBILE


def test_who_asks_to_be_called_again_has_a_new_budget(desk: Desk, session: Session) -> None:
    desk.campaign.max_attempts = 1
    desk.hangs_up()
    desk.says("callback", due=datetime(2026, 3, 3, 15, 30))
    now = datetime(2026, 3, 3, 14, 30, tzinfo=UTC)
    told = {
        v.rule: v for v in why.explain(session, desk.campaign, str(desk.contact.id), now=now, ring_seconds=30).verdicts
    }
    assert told["attempts"].why == "attempt 1 of 1"
    assert waterfall.waterfall(session, desk.campaign, now=now, ring_seconds=30).dialable == 1
    allowed = gate.let_through(
        session, desk.campaign.id, 1, Claim(f"campaign:{desk.campaign.id}", "test", 1), now=now,
        timing=TimingSettings(), which=Which.PROMISED,
    )  # fmt: skip
    assert [contact.id for contact, _, _ in allowed.contacts] == [desk.contact.id]


def test_and_it_is_used_up_like_the_first(desk: Desk, session: Session) -> None:
    desk.campaign.max_attempts = 1
    desk.hangs_up()
    desk.says("callback", due=datetime(2026, 3, 3, 15, 30))
    at = datetime(2026, 3, 3, 14, 30, tzinfo=UTC)
    desk.contact.state, desk.contact.next_at = "live", None
    kept = factories.attempt(session, desk.campaign, contact=desk.contact, ordered_at=at, sent_at=at)
    close_attempt(session, kept, CallState.NO_ANSWER, now=at)
    assert (desk.contact.state, desk.contact.closed_because) == ("closed", "attempts used up")


@pytest.mark.parametrize(
    ("due", "period", "told"),
    [
        (None, "", "say when with --due"),
        (date(2026, 3, 1), "", "is over"),
        (date(2029, 3, 1), "", "two years"),
        (date(2026, 3, 2), "Dawn", "is over"),
        (date(2026, 3, 3), "Night", "rules of calling"),
        (date(2026, 3, 3), "Siesta", "no period"),
        (datetime(2026, 3, 2, 9, 0), "", "is over since 2026-03-02 09:00"),
        (datetime(2026, 3, 2, 20, 30), "", "rules of calling"),
        (datetime(2026, 3, 3, 10, 0), "Dawn", "either a period or a time"),
    ],
)
def test_a_promise_that_could_not_be_kept_is_not_made(
    desk: Desk, session: Session, due: date | datetime | None, period: str, told: str
) -> None:
    periods.define(session, desk.campaign.id, "Dawn", "06:00", "09:30", who="x", now=NOW)
    desk.campaign.hours = "always"
    periods.define(session, desk.campaign.id, "Night", "21:00", "23:00", who="x", now=NOW)
    desk.campaign.hours = "09:00-20:00"  # made narrower since
    with pytest.raises((BadInput, NotFound), match=told):
        desk.says("callback", due=due, period=period)


def callbacks_of(desk: Desk) -> list[Callback]:
    query = select(Callback).where(Callback.contact_id == desk.contact.id).order_by(Callback.id)
    return list(desk.session.scalars(query.execution_options(populate_existing=True)))


def test_a_word_makes_the_same_promise_as_everything_else_and_at_once(desk: Desk, session: Session) -> None:
    desk.says("callback", due=datetime(2026, 3, 3, 15, 30), mine=True)
    (made,) = callbacks_of(desk)
    due = datetime(2026, 3, 3, 14, 30, tzinfo=UTC)
    assert (made.due_at, made.deadline_at) == (due, due + timedelta(minutes=30))
    assert (made.owner_id, made.made_by, desk.contact.state) == (desk.agent.id, "cli:anna", "live")
    desk.hangs_up()
    assert (desk.contact.state, desk.contact.next_at, desk.contact.kept_for) == ("open", due, desk.agent.id)
    assert [one.result for one in callbacks_of(desk)] == [""], "the call before it is none of its calls"


def test_a_time_is_promised_by_the_clock_where_the_phone_is(session: Session, running: Campaign) -> None:
    desk = Desk(session, running, phone="+442079460000")
    desk.says("callback", due=datetime(2026, 3, 3, 15, 30))
    assert callbacks_of(desk)[0].due_at == datetime(2026, 3, 3, 15, 30, tzinfo=UTC)


def test_another_time_agreed_in_the_call_that_keeps_a_promise_keeps_it_and_has_its_ticket(
    desk: Desk, session: Session
) -> None:
    before = NOW - timedelta(hours=1)
    desk.contact.due_date = NOW.date()
    kept = Callback(
        campaign_id=desk.campaign.id, contact_id=desk.contact.id, due_date=NOW.date(), zone="Europe/Rome",
        due_at=NOW - timedelta(minutes=1), deadline_at=NOW + timedelta(minutes=30),
        alarm_at=NOW + timedelta(minutes=15), made_at=before, made_by="x",
    )  # fmt: skip
    session.add(kept)
    desk.attempt.ringing_at = NOW
    session.flush()
    desk.says("callback", due=datetime(2026, 3, 2, 15, 30), now=NOW + timedelta(minutes=2))  # the same day
    desk.hangs_up()
    old, new = callbacks_of(desk)
    assert (old.result, old.called_at, new.result) == ("kept", NOW, "")
    assert desk.contact.next_at == new.due_at == datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
    (ticket,) = session.scalars(select(CallbackTicket))
    assert (ticket.callback_id, ticket.attempt_id, ticket.status) == (old.id, desk.attempt.id, "Answered")


def test_nobody_on_the_do_not_call_list_is_promised_a_call_by_a_word(desk: Desk, session: Session) -> None:
    do_not_call.add(session, ROME, country="IT", who="x", now=NOW)
    with pytest.raises(RefusedByRule, match="do-not-call list"):
        desk.says("callback", due=date(2026, 3, 4))


def test_only_a_callback_has_a_due_date(desk: Desk) -> None:
    with pytest.raises(BadInput, match="promises no callback"):
        desk.says("sale", due=date(2026, 3, 4))


def test_a_promise_taken_back_in_the_same_call_is_forgotten(desk: Desk) -> None:
    desk.says("callback", due=date(2026, 3, 4))
    desk.hangs_up()
    desk.says("refusal", now=NOW + timedelta(minutes=4))
    assert (desk.contact.state, desk.contact.due_date, desk.contact.promised_at) == ("closed", None, None)
    assert desk.attempt.callback_at is None


def test_a_number_dialled_by_hand_is_called_again_only_if_it_was_promised(session: Session, running: Campaign) -> None:
    by_hand = factories.contact_list(session, running, kind="manual")
    desk = Desk(session, running, list_id=by_hand.id)
    desk.hangs_up()
    desk.says("later")
    assert (desk.contact.state, desk.contact.closed_because) == ("closed", "dialled by hand")
    desk.says("callback", due=date(2026, 3, 4))
    assert desk.contact.state == "open"


# Afterwards ------------------------------------------------------------------------------------------------


def correct(desk: Desk, code: str, **given: Any) -> Said:
    later = NOW + timedelta(days=1)
    return disposing.correct(
        desk.session, desk.attempt.ref, code, timing=TimingSettings(), now=later, who="cli:boss", **given
    )


def test_a_supervisor_changes_a_word_with_a_reason(desk: Desk, session: Session) -> None:
    desk.says("sale", note="two")
    desk.hangs_up()
    with pytest.raises(BadInput, match="reason"):
        correct(desk, "refusal", why=" ")
    said = correct(desk, "refusal", why="heard the recording")
    assert (said.before, desk.attempt.note, desk.contact.closed_because) == ("sale", "two", "said:refusal")
    last = session.scalars(select(Ledger).where(Ledger.kind == "disposition").order_by(Ledger.id.desc())).first()
    assert last is not None
    assert (last.who, last.why) == ("cli:boss", "heard the recording")


def test_a_contact_that_was_called_again_since_stays_as_it_is(desk: Desk, session: Session) -> None:
    desk.says("later")
    desk.hangs_up()
    factories.attempt(session, desk.campaign, contact=desk.contact, state=CallState.NO_ANSWER)
    before = desk.contact.next_at
    said = correct(desk, "sale", why="it was one")
    assert said.unmoved == "it was called again since"
    assert (desk.contact.state, desk.contact.next_at) == ("open", before)
    assert correct(desk, "dnc", why="she said so").forbidden == 2, "a no holds whenever it is heard of"


def test_a_contact_of_a_list_that_was_taken_back_is_not_opened_again(desk: Desk, session: Session) -> None:
    desk.hangs_up()
    session.get_one(ContactList, desk.contact.list_id).undone_at = NOW
    desk.contact.closed_because = "import undone"
    assert correct(desk, "later", why="x").unmoved == "its list was taken back"
    assert desk.contact.state == "closed"


def test_a_contact_closed_for_a_reason_of_its_own_stays_closed(desk: Desk) -> None:
    desk.hangs_up()
    desk.contact.closed_because = "erased"
    assert correct(desk, "later", why="x").unmoved == "it is closed: erased"
    assert desk.contact.state == "closed"


def test_a_call_nobody_met_anybody_in_has_no_word(session: Session, running: Campaign) -> None:
    silent = factories.attempt(session, running, state=CallState.NO_ANSWER)
    with pytest.raises(BadInput, match="no agent met anybody"):
        disposing.correct(session, silent.ref, "sale", why="x", timing=TimingSettings(), now=NOW, who="x")


def test_a_word_said_over_an_open_offer_withdraws_it(desk: Desk, session: Session) -> None:
    desk.hangs_up()
    desk.contact.state, desk.contact.closed_because = "live", ""
    until = NOW + timedelta(minutes=1)
    shown_to = factories.agent(session, desk.campaign, reserved_for="offer", reserved_until=until)
    given = {"campaign_id": desk.campaign.id, "contact_id": desk.contact.id, "agent_id": shown_to.id}
    desk.campaign.mode = "preview"
    session.add(Offer(offered_at=NOW, until=until, **given))
    session.flush()
    assert offers.tidy(session, NOW) == 0
    desk.says("sale")
    assert desk.contact.state == "closed"
    assert offers.tidy(session, NOW) == 1
    assert session.scalars(select(Offer)).one().reason == "the contact is closed: said:sale"
    assert (shown_to.reserved_for, desk.contact.state) == ("", "closed")


# The words themselves --------------------------------------------------------------------------------------


def test_words_are_added_changed_retired_and_never_deleted(session: Session, running: Campaign) -> None:
    given: dict[str, Any] = {"now": NOW, "who": "cli:anna"}
    word = Word("No-Money", "No money", "refusal", "retry", Rule(days=60))
    row = dispositions.add(session, running, word, **given)
    assert row.code == "no-money"
    with pytest.raises(BadInput, match="already"):
        dispositions.add(session, running, word, **given)
    _, changes = dispositions.change(session, running, "no-money", does="close", **given)
    assert changes == {"does": ("retry", "close"), "retry_rule": ({"days": 60}, {})}
    assert dispositions.change(session, running, "no-money", does="close", **given)[1] == {}
    dispositions.retire(session, running, "no-money", **given)
    assert "no-money" not in [one.code for one in dispositions.all_of(session, running.id)]
    with pytest.raises(BadInput, match="restore"):
        dispositions.add(session, running, word, **given)
    dispositions.restore(session, running, "no-money", **given)
    assert session.scalar(select(func.count()).select_from(Disposition)) == len(BUILT_IN) + 1
    verbs = session.scalars(select(Ledger.details["verb"].astext).where(Ledger.kind == "disposition_set")).all()
    assert verbs == ["add", "set", "retire", "restore"]


def test_the_last_word_is_not_taken_away(session: Session, running: Campaign) -> None:
    codes = [one.code for one in dispositions.all_of(session, running.id)]
    for code in codes[1:]:
        dispositions.retire(session, running, code, now=NOW, who="x")
    with pytest.raises(BadInput, match="last disposition"):
        dispositions.retire(session, running, codes[0], now=NOW, who="x")


def test_the_report_counts_what_was_said_and_what_was_not(desk: Desk, session: Session) -> None:
    desk.says("sale")
    desk.hangs_up()
    Desk(session, desk.campaign, phone=MOBILE).hangs_up()
    made = reports.make(
        session, "dispositions", campaign=desk.campaign.name, since=NOW, until=NOW + timedelta(hours=1), now=NOW
    )
    assert [(row["code"], row["meaning"], row["calls"], row["share"]) for row in made.rows] == [
        ("sale", "sale", 1, 0.5),
        ("-", "-", 1, 0.5),
    ]
    listed = reports.make(
        session, "attempts", campaign=desk.campaign.name, since=NOW, until=NOW + timedelta(hours=1), now=NOW
    )
    assert [(row["outcome"], row["disposition"]) for row in listed.rows] == [("completed", "sale"), ("completed", None)]
