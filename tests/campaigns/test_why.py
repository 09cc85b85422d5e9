from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from campaigns import gate, leases, waterfall, why
from campaigns.gate import Claim
from campaigns.lines import Lines
from campaigns.models import Campaign, DoNotCall, PbxStatus
from dialer.calls import CallState
from dialer.errors import NotFound
from dialer.settings import TimingSettings
from tests import factories
from tests.factories import NOW

RING = 30.0
ROME, NEW_YORK = "+390612345678", "+12125550123"


@pytest.fixture
def campaign(session: Session) -> Campaign:
    return factories.campaign(session, hours="09:00-20:00", time_zone=None, max_attempts=2, number_gap=600.0)


def counted(session: Session, campaign: Campaign, now: datetime = NOW) -> dict[str, int]:
    session.flush()
    fall = waterfall.waterfall(session, campaign, now=now, ring_seconds=RING)
    return {**{step.reason: step.contacts for step in fall.steps}, "imported": fall.imported, "dialable": fall.dialable}


# The waterfall -------------------------------------------------------------------------------------------


def test_every_contact_imported_is_accounted_for_once(session: Session, campaign: Campaign) -> None:
    contacts = [factories.contact(session, campaign, phone=f"+3906{10000000 + n}") for n in range(8)]
    reached, later, live, forbidden, tried, rested, ringing, free = contacts
    reached.state, reached.closed_because, reached.next_at = "closed", "reached", None
    later.next_at = NOW + timedelta(hours=2)
    live.state, live.next_at = "live", None
    elsewhere = factories.campaign(session)
    session.add(DoNotCall(number=forbidden.phone, source="person"))
    session.add(DoNotCall(number=free.phone, source="person", campaign_id=elsewhere.id))  # binds that one alone
    for _ in range(2):
        factories.attempt(
            session, campaign, contact=tried, state=CallState.BUSY, sent_at=NOW - timedelta(hours=1), ended_at=NOW
        )
    factories.attempt(
        session, campaign, contact=rested, state=CallState.BUSY, sent_at=NOW - timedelta(minutes=4), ended_at=NOW
    )
    tried.tried, rested.tried = 2, 1  # as the gate keeps it
    factories.attempt(session, elsewhere, number=ringing.phone, state=CallState.RINGING)
    assert counted(session, campaign) == {
        "reached": 1,
        "being called, or spoken with, now": 1,
        "to be tried later": 1,
        "their number is in a call of another contact": 1,
        "on the do-not-call list, or forgotten on request": 1,
        "all attempts used up": 1,
        "called too short a time ago": 1,
        "imported": 8,
        "dialable": 1,
    }
    assert free.state == "open"


def test_hours_are_those_where_each_phone_is(session: Session, campaign: Campaign) -> None:
    for number in (ROME, "+390687654321", NEW_YORK):
        factories.contact(session, campaign, phone=number)
    assert counted(session, campaign)["dialable"] == 2  # 10:00 in Rome, 04:00 in New York
    fall = waterfall.waterfall(session, campaign, now=NOW, ring_seconds=RING)
    (step,) = fall.steps
    assert step.reason == "Mon 04:00 in America/New_York is outside 09:00-20:00"
    assert step.until == datetime(2026, 3, 2, 14, 0, tzinfo=UTC)


def test_an_agents_word_closes_in_words(session: Session, campaign: Campaign) -> None:
    one = factories.contact(session, campaign, state="closed", closed_because="said:no-money")
    (step,) = waterfall.waterfall(session, campaign, now=NOW, ring_seconds=RING).steps
    assert (step.rule, step.reason) == ("closed", "an agent said no-money")
    told = why.explain(session, campaign, str(one.id), now=NOW, ring_seconds=RING)
    assert "the contact is closed: an agent said no-money" in [verdict.why for verdict in told.verdicts]


def test_the_first_that_comes_back_is_told(session: Session, campaign: Campaign) -> None:
    for hours in (3, 1, 2):
        factories.contact(session, campaign, phone=f"+3906{10000000 + hours}", next_at=NOW + timedelta(hours=hours))
    (step,) = waterfall.waterfall(session, campaign, now=NOW, ring_seconds=RING).steps
    assert (step.reason, step.contacts, step.until) == ("to be tried later", 3, NOW + timedelta(hours=1))


def test_a_list_taken_back_and_another_campaigns_contacts_are_not_imported(
    session: Session, campaign: Campaign
) -> None:
    gone = factories.contact_list(session, campaign, undone_at=NOW)
    factories.contact(session, campaign, list_id=gone.id, phone=ROME)
    factories.contact(session, factories.campaign(session), phone=ROME)
    assert counted(session, campaign) == {"imported": 0, "dialable": 0}


def test_attempts_that_never_rang_cost_nothing(session: Session, campaign: Campaign) -> None:
    one = factories.contact(session, campaign, phone=ROME)
    for state in (CallState.REFUSED, CallState.EXPIRED, CallState.NO_LINES):
        factories.attempt(session, campaign, contact=one, state=state, sent_at=NOW, ended_at=NOW)
    assert counted(session, campaign)["dialable"] == 1


# One contact ---------------------------------------------------------------------------------------------


def verdicts(session: Session, campaign: Campaign, given: str, now: datetime = NOW) -> dict[str, bool]:
    told = why.explain(session, campaign, given, now=now, ring_seconds=RING)
    return {verdict.rule: verdict.allowed for verdict in told.verdicts}


def test_a_contact_nothing_holds_is_allowed_by_every_rule(session: Session, campaign: Campaign) -> None:
    one = factories.contact(session, campaign, phone=ROME)
    assert set(verdicts(session, campaign, str(one.id)).values()) == {True}
    assert why.explain(session, campaign, "06 1234 5678", now=NOW, ring_seconds=RING).contact is one


def test_each_rule_that_refuses_is_named_and_the_others_stay_true(session: Session, campaign: Campaign) -> None:
    one = factories.contact(session, campaign, phone=ROME)

    def refused(now: datetime = NOW) -> set[str]:
        session.flush()
        return {rule for rule, allowed in verdicts(session, campaign, ROME, now).items() if not allowed}

    campaign.state = "paused"
    assert refused() == {"campaign"}
    campaign.state = "running"
    assert refused(datetime(2026, 3, 2, 22, 0, tzinfo=UTC)) == {"hours"}
    one.next_at = NOW + timedelta(hours=1)
    assert refused() == {"not_before"}
    one.next_at = NOW
    tried = factories.attempt(
        session, campaign, contact=one, state=CallState.BUSY, sent_at=NOW - timedelta(minutes=1), ended_at=NOW
    )
    assert refused() == {"number_gap"}
    assert refused(NOW + timedelta(minutes=9)) == set()
    campaign.max_attempts = 1
    assert refused(NOW + timedelta(minutes=9)) == {"attempts"}
    campaign.max_attempts = 5
    tried.state, tried.ended_at = CallState.RINGING, None
    assert refused(NOW + timedelta(minutes=9)) == {"number_open"}
    tried.state, tried.ended_at = CallState.BUSY, NOW
    session.add(DoNotCall(number=ROME, source="person", reason="asked us"))
    assert refused(NOW + timedelta(minutes=9)) == {"do_not_call"}
    one.state, one.closed_because = "closed", "do not call"
    assert refused(NOW + timedelta(minutes=9)) == {"do_not_call", "contact"}


def test_the_time_when_all_rules_allow_is_told_only_if_time_alone_helps(session: Session, campaign: Campaign) -> None:
    one = factories.contact(session, campaign, phone=ROME, next_at=NOW + timedelta(hours=1))
    told = why.explain(session, campaign, ROME, now=NOW, ring_seconds=RING)
    assert why.soonest(told.verdicts) == NOW + timedelta(hours=1)
    assert not told.allowed
    session.add(DoNotCall(number=one.phone, source="person"))
    session.flush()
    told = why.explain(session, campaign, ROME, now=NOW, ring_seconds=RING)
    assert why.soonest(told.verdicts) is None


def test_what_is_said_is_what_the_gate_does(session: Session, campaign: Campaign) -> None:
    """The explanation reads the same rows by other queries; here both judge the same contacts."""
    numbers = [f"+3906{10000000 + n}" for n in range(6)]
    contacts = [factories.contact(session, campaign, phone=number) for number in numbers]
    session.add(DoNotCall(number=numbers[0], source="person", campaign_id=campaign.id))
    factories.attempt(
        session,
        campaign,
        contact=contacts[1],
        state=CallState.NO_ANSWER,
        sent_at=NOW - timedelta(minutes=2),
        ended_at=NOW,
    )
    for minutes in (90, 60):
        factories.attempt(
            session, campaign, contact=contacts[2], state=CallState.NO_ANSWER, ended_at=NOW,
            sent_at=NOW - timedelta(minutes=minutes),
        )  # fmt: skip
    contacts[1].tried, contacts[2].tried = 1, 2  # as the gate keeps it
    contacts[3].next_at = NOW + timedelta(minutes=5)
    factories.attempt(session, factories.campaign(session), number=numbers[4], state=CallState.PLACED)
    session.flush()
    said = {number: why.explain(session, campaign, number, now=NOW, ring_seconds=RING).allowed for number in numbers}
    expected = waterfall.waterfall(session, campaign, now=NOW, ring_seconds=RING).dialable
    (fence,) = leases.claim(session, [f"campaign:{campaign.id}"], "test", 60).values()
    passed = gate.order(
        session, campaign.id, 20, Lines({"4": 20}), Claim(f"campaign:{campaign.id}", "test", fence), now=NOW,
        timing=TimingSettings(ring_limit=RING),
    )  # fmt: skip
    assert len(passed.refs) == expected == sum(said.values()) == 1
    assert said[numbers[5]]


def test_a_contact_of_another_campaign_is_not_found_here(session: Session, campaign: Campaign) -> None:
    foreign = factories.contact(session, factories.campaign(session), phone=ROME)
    for given in (str(foreign.id), ROME, "nobody", "999999999999999999999999"):
        with pytest.raises(NotFound, match=f"campaign {campaign.name} has no contact"):
            why.find_contact(session, campaign, given)


def test_of_two_contacts_with_one_number_the_open_one_is_meant(session: Session, campaign: Campaign) -> None:
    open_one = factories.contact(session, campaign, phone=ROME)
    factories.contact(session, campaign, phone=ROME, state="closed", closed_because="reached")
    assert why.find_contact(session, campaign, ROME) == (open_one, 1)


# The campaign --------------------------------------------------------------------------------------------


def test_what_holds_a_campaign_is_told_until_nothing_does(session: Session, campaign: Campaign) -> None:
    def told() -> str:
        session.flush()
        return " / ".join(why.holding(session, campaign, now=NOW))

    campaign.state = "draft"
    assert told().startswith("the campaign is a draft, not running / ")
    campaign.state = "stopped"
    assert told() == "the campaign is stopped, not running / no agent is free: none is assigned"
    campaign.state = "running"
    agent = factories.agent(session, campaign, state="paused")
    assert "no agent is free: 1 paused" in told()
    agent.state = "parked"
    assert "no scheduler leads it" in told()
    leases.claim(session, [f"campaign:{campaign.id}"], "test", 60)
    assert told() == "lines and agents of PBX main were not read lately: `dialer pbx check main`"
    status = PbxStatus(pbx="main", read_at=NOW, trouble="no answer")
    session.add(status)
    assert told() == "PBX main: no answer"
    status.trouble = ""
    assert "no gateway of PBX main" in told()
    status.gateways = [{"id": "4", "name": "trunk", "enabled": True, "registered": True, "lines": 5, "busy_lines": 0}]
    assert told() == ""
