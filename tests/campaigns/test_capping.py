"""Caps over all campaigns: at the gate, in the plan of the next attempt, in the explanations, and set by people."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Barrier

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from campaigns import capping, gate, waterfall, why
from campaigns.application import Application
from campaigns.db import database_now, session_factory
from campaigns.gate import Claim
from campaigns.lines import Lines
from campaigns.models import Attempt, Campaign, Installation, Ledger
from dialer.calls import CallState
from dialer.errors import BadInput
from dialer.settings import CapsSettings, TimingSettings
from tests import factories
from tests.factories import NOW
from workers.scheduler import Scheduler

ROME, MOBILE = "+390612345678", "+393331234567"


def order(session: Session, of: Campaign, *, now: datetime = NOW) -> gate.Passed:
    claim = Claim(f"campaign:{of.id}", "test", 1)
    return gate.order(session, of.id, 10, Lines({"4": 50}), claim, now=now, timing=TimingSettings())


def called(session: Session, of: Campaign, number: str, at: datetime, **values: object) -> Attempt:
    past = factories.contact(session, of, phone=number, state="closed", next_at=None)
    given = {"state": CallState.NO_ANSWER, "ordered_at": at, "sent_at": at, "ended_at": at, **values}
    return factories.attempt(session, of, contact=past, **given)


@pytest.fixture
def elsewhere(session: Session) -> Campaign:
    return factories.campaign(session)


@pytest.fixture
def running(session: Session) -> Campaign:
    made = factories.campaign(session, number_gap=0.0)
    factories.lease(session, made)
    return made


def test_calls_of_every_campaign_count_against_a_cap(session: Session, running: Campaign, elsewhere: Campaign) -> None:
    running.number_caps = "2/7d"
    contact = factories.contact(session, running, phone=ROME)
    called(session, elsewhere, ROME, NOW - timedelta(days=6))
    called(session, elsewhere, ROME, NOW - timedelta(days=1))
    passed = order(session, running)
    assert (passed.refs, dict(passed.refused)) == ([], {"number_cap": 1})
    assert (contact.state, contact.next_at) == ("open", NOW + timedelta(days=1))
    assert len(order(session, running, now=NOW + timedelta(days=1)).refs) == 1


def test_the_proof_tells_what_the_cap_counted(session: Session, running: Campaign, elsewhere: Campaign) -> None:
    running.number_caps = "3/day"
    factories.contact(session, running, phone=ROME)
    called(session, elsewhere, ROME, NOW - timedelta(hours=1))
    order(session, running)
    made = session.scalars(select(Attempt).where(Attempt.campaign_id == running.id)).one()
    (cap,) = [rule for rule in made.proof["rules"] if rule["rule"] == "number_cap"]
    assert (cap["allowed"], cap["against"]) == (True, {"cap": "3/day", "counted": 1})


def test_what_never_rang_does_not_count(session: Session, running: Campaign) -> None:
    running.number_caps = "1/day"
    factories.contact(session, running, phone=ROME)
    for state in (CallState.REFUSED, CallState.EXPIRED, CallState.NO_LINES):
        called(session, running, ROME, NOW - timedelta(minutes=5), state=state)
    assert len(order(session, running).refs) == 1


def test_a_contact_is_counted_over_all_its_numbers(session: Session, running: Campaign, elsewhere: Campaign) -> None:
    running.contact_caps = "1/day"
    factories.contact(session, running, phone=ROME, phone2=MOBILE)
    called(session, elsewhere, MOBILE, NOW - timedelta(hours=1))
    assert dict(order(session, running).refused) == {"contact_cap": 1}


def test_two_contacts_with_the_same_numbers_do_not_pass_together(session: Session, running: Campaign) -> None:
    running.contact_caps = "1/day"
    factories.contact(session, running, phone=ROME, phone2=MOBILE)
    factories.contact(session, running, phone=MOBILE, phone2=ROME)
    passed = order(session, running)
    assert (len(passed.refs), dict(passed.refused)) == (1, {"contact_cap": 1})


def test_two_campaigns_at_once_never_let_the_last_allowed_call_pass_twice(engine: Engine, session: Session) -> None:
    campaigns = [factories.campaign(session, contact_caps="1/7d") for _ in range(2)]
    for campaign, numbers in zip(campaigns, ((ROME, MOBILE), (MOBILE, ROME)), strict=True):
        factories.lease(session, campaign)
        for n in range(20):  # the same twenty people, by either number
            first, second = (f"{number[:-2]}{n:02d}" for number in numbers)
            factories.contact(session, campaign, phone=first, phone2=second)
    now = database_now(session)
    session.execute(text("UPDATE contacts SET next_at = :now"), {"now": now})
    session.commit()
    together = Barrier(2)

    def run(campaign: Campaign) -> None:
        for _ in range(10):
            with session_factory(engine)() as own, own.begin():
                together.wait()
                claim = Claim(f"campaign:{campaign.id}", "test", 1)
                gate.order(own, campaign.id, 2, Lines({"4": 50}), claim, now=now, timing=TimingSettings())

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, campaigns))
    people = session.scalars(text("SELECT right(number, 2) FROM attempts")).all()
    assert len(people) == 20
    assert len(set(people)) == 20, "somebody was called by both"


def test_the_installations_caps_hold_for_every_campaign(session: Session, running: Campaign) -> None:
    session.get_one(Installation, 1).number_caps = "1/day"
    factories.contact(session, running, phone=ROME)
    called(session, running, ROME, NOW - timedelta(hours=1))
    assert dict(order(session, running).refused) == {"number_cap": 1}


def test_who_is_put_off_comes_back_inside_the_hours(session: Session, running: Campaign) -> None:
    # At 20:30 in Rome the cap lets go, which is after eight: the next morning it is.
    running.number_caps, running.hours = "1/24h", "09:00-20:00"
    contact = factories.contact(session, running, phone=ROME)
    called(session, running, ROME, datetime.fromisoformat("2026-03-01T19:30+00:00"))
    order(session, running)
    assert contact.next_at == datetime.fromisoformat("2026-03-03T08:00+00:00")


def test_why_shows_the_cap_and_the_waterfall_adds_up(session: Session, running: Campaign, elsewhere: Campaign) -> None:
    running.number_caps, running.contact_caps = "1/day", "1/7d"
    free = factories.contact(session, running, phone="+390699999999")
    at_cap = factories.contact(session, running, phone=ROME)
    by_other = factories.contact(session, running, phone="+390688888888", phone2=MOBILE)
    called(session, elsewhere, ROME, NOW - timedelta(hours=2))
    called(session, elsewhere, MOBILE, NOW - timedelta(days=3))
    session.flush()
    explained = {
        one.id: {
            v.rule: v.allowed for v in why.explain(session, running, str(one.id), now=NOW, ring_seconds=30).verdicts
        }
        for one in (free, at_cap, by_other)
    }
    assert [explained[one.id]["number_cap"] for one in (free, at_cap, by_other)] == [True, False, True]
    assert [explained[one.id]["contact_cap"] for one in (free, at_cap, by_other)] == [True, False, False]
    fall = waterfall.waterfall(session, running, now=NOW, ring_seconds=30)
    (step,) = fall.steps
    assert (step.reason, step.contacts, step.until) == (
        "called as often as the caps allow", 2, NOW + timedelta(days=4)
    )  # fmt: skip
    assert (fall.imported, fall.dialable) == (3, 1)
    assert len(order(session, running).refs) == 1, "the gate agrees"


# Setting them ----------------------------------------------------------------------------------------------


def test_caps_are_set_and_the_ledger_knows(session: Session, running: Campaign) -> None:
    given = {"now": NOW, "who": "cli:anna"}
    changes = capping.set_caps(session, running, number="7/7D,3/day", **given)  # type: ignore[arg-type]
    assert [(one.setting, one.old, one.new) for one in changes] == [("number_caps", "", "7/7d, 3/day")]
    assert capping.set_caps(session, running, number="7/7d, 3/day", **given) == []  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="needs a reason"):
        capping.set_caps(session, running, number="3/day", **given)  # type: ignore[arg-type]
    capping.set_caps(session, running, number="none", why="asked by the client", **given)  # type: ignore[arg-type]
    assert running.number_caps == ""
    session.flush()
    told = session.scalars(select(Ledger).where(Ledger.kind == "caps").order_by(Ledger.id)).all()
    assert [(row.details["new"], row.why) for row in told] == [("7/7d, 3/day", ""), ("", "asked by the client")]


def test_the_scheduler_writes_the_caps_of_its_settings_down(application: Application, session: Session) -> None:
    factories.campaign(session)
    session.commit()
    settings = application.settings.model_copy(update={"caps": CapsSettings(number="3/day,7/7d")})
    for _ in range(2):
        Scheduler(replace(application, settings=settings), "one").chores.keep_caps()
    assert session.get_one(Installation, 1, populate_existing=True).number_caps == "3/day, 7/7d"
    assert session.scalars(select(Ledger.who).where(Ledger.kind == "caps")).all() == ["scheduler:one"]


def test_caps_nobody_can_read_stop_the_start() -> None:
    with pytest.raises(ValueError, match="write it as 3/day"):
        CapsSettings(number="three a day")
