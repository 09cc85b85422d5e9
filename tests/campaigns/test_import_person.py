"""Address and consent in a file: understood, refused, kept, and what the gate makes of them."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from campaigns import gate, person, putting_off
from campaigns.db import session_factory
from campaigns.gate import Claim
from campaigns.import_person import consent_of
from campaigns.importing import ImportOptions, run_import, submit_import
from campaigns.lines import Lines
from campaigns.models import Attempt, Campaign, Contact, ContactList, Import
from dialer.calls import CallState
from dialer.clock import ManualClock
from dialer.errors import BadInput
from dialer.settings import TimingSettings
from tests import factories


@pytest.mark.parametrize(
    ("text", "day", "agreed", "when"),
    [
        ("yes", "", True, None), ("Sì", "2026-01-05", True, date(2026, 1, 5)), ("", "", False, None),
        ("no", "2026-01-05", False, None), ("2026-01-05", "", True, date(2026, 1, 5)),
        ("2026-01-05T10:00:00Z", "", True, date(2026, 1, 5)), ("", "2026-01-05", True, date(2026, 1, 5)),
    ],
)  # fmt: skip
def test_a_consent_as_people_write_it(text: str, day: str, agreed: bool, when: date | None) -> None:
    assert consent_of(text, day) == (agreed, when)


@pytest.mark.parametrize(("text", "day"), [("maybe", ""), ("yes", "soon"), ("2026-13-01", "")])
def test_what_cannot_be_understood_is_refused(text: str, day: str) -> None:
    with pytest.raises(BadInput, match="YYYY-MM-DD"):
        consent_of(text, day)


def bring(session: Session, engine: Engine, of: Campaign, folder: Path, content: str, pack: str = "") -> Import:
    source = folder / "people.csv"
    source.write_text(content)
    job = submit_import(
        session, campaign=of, source=source, file_name="people.csv", data_dir=folder,
        options=ImportOptions(rule_pack=pack), now=factories.NOW,
    )  # fmt: skip
    session.commit()
    done = run_import(session_factory(engine), job.id, now=factories.NOW, clock=ManualClock(factories.NOW))
    session.expire_all()
    return done


def order(session: Session, of: Campaign, now: datetime) -> gate.Passed:
    claim = Claim(f"campaign:{of.id}", "test", 1)
    return gate.order(session, of.id, 10, Lines({"4": 50}), claim, now=now, timing=TimingSettings())


@pytest.fixture
def american(session: Session) -> Campaign:
    made = factories.campaign(session, country="US", time_zone=None, rule_pack="us-2026", caller_id="+12125550100")
    factories.lease(session, made)
    session.commit()
    return made


FILE = (
    "phone,last_name,State,Zip,Time zone,Consent,Consent date,Consent source\n"
    "(212) 555-0123,Home,California,,,yes,2026-01-05,web\tform\n"
    "(212) 555-0124,Zip,,90210,,,,\n"
    "(212) 555-0125,Zone,,,America/Denver,no,,\n"
    "(212) 555-0126,Wrong,Calfornia,,,,,\n"
    "(212) 555-0127,Unsure,,,,perhaps,,\n"
)


def test_a_file_says_where_people_live_and_whether_they_agreed(
    session: Session, engine: Engine, american: Campaign, tmp_path: Path
) -> None:
    done = bring(session, engine, american, tmp_path, FILE)
    assert (done.accepted, done.rejected) == (3, 2)
    home, by_zip, by_zone = session.scalars(select(Contact).order_by(Contact.line)).all()
    assert (home.region, by_zip.postcode, by_zone.time_zone) == ("US-CA", "90210", "America/Denver")
    assert (home.consent, home.consent_at, home.consent_source) == (True, datetime(2026, 1, 5, tzinfo=UTC), "web form")
    assert (by_zip.consent, by_zone.consent) == (False, False)
    assert home.custom["State"] == "California"  # kept as it was written, too
    told = Path(str(done.reject_file)).read_text()
    assert "no region 'Calfornia' in US" in told
    assert "--mapping 'State'=custom" in told
    assert "write yes or no" in told


def test_the_gate_waits_for_number_and_address(
    session: Session, engine: Engine, american: Campaign, tmp_path: Path
) -> None:
    bring(session, engine, american, tmp_path, FILE)
    early = datetime(2026, 3, 2, 15, 30, tzinfo=UTC)  # 10:30 in New York, 7:30 in California, 8:30 in Denver
    passed = order(session, american, early)
    called = session.scalars(select(Attempt)).one()
    assert called.number == "+12125550125"
    hours = next(rule for rule in called.proof["rules"] if rule["rule"] == "hours")
    assert hours["against"]["zones"] == ["America/New_York", "America/Denver"]
    assert passed.refused == {"hours": 2}
    home = session.scalars(select(Contact).where(Contact.last_name == "Home")).one()
    assert home.next_at == datetime(2026, 3, 2, 16, 0, tzinfo=UTC)


def test_a_list_may_be_under_a_stricter_pack_than_its_campaign(
    session: Session, engine: Engine, tmp_path: Path
) -> None:
    campaign = factories.campaign(session, hours="always")
    factories.lease(session, campaign)
    session.commit()
    bring(session, engine, campaign, tmp_path, "phone\n06 1234 5678\n", pack="it-2026")
    assert session.scalars(select(ContactList.rule_pack)).one() == "it-2026"
    sunday = datetime(2026, 3, 8, 11, 0, tzinfo=UTC)
    assert order(session, campaign, sunday).refused == {"hours": 1}
    free = factories.contact(session, campaign, next_at=sunday)
    assert len(order(session, campaign, sunday).refs) == 1
    assert free.state == "live"


def test_without_consent_nobody_is_called_where_it_is_needed_and_with_it_at_once(session: Session) -> None:
    campaign = factories.campaign(session, mode="agentless", country="US", rule_pack="us-2026", time_zone=None)
    factories.lease(session, campaign)
    contact = factories.contact(session, campaign, phone="+12125550123")
    noon = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)
    assert order(session, campaign, noon).refused == {"consent": 1}
    assert contact.next_at == noon + putting_off.ASK_AGAIN_FOR_CONSENT
    person.set_consent(
        session, contact.phone, country="US", agreed=True, at=None, source="web form", who="cli:anna", now=noon
    )
    assert len(order(session, campaign, noon).refs) == 1
    proof = session.scalars(select(Attempt.proof)).one()
    assert next(rule for rule in proof["rules"] if rule["rule"] == "consent")["against"]["source"] == "web form"


def test_a_campaign_may_need_consent_of_its_own(session: Session) -> None:
    campaign = factories.campaign(session, needs_consent=True)
    factories.lease(session, campaign)
    factories.contact(session, campaign)
    agreed = factories.contact(session, campaign, consent=True)
    assert order(session, campaign, factories.NOW).refused == {"consent": 1}
    assert session.scalars(select(Attempt.contact_id)).all() == [agreed.id]


def test_who_was_abandoned_rests_whichever_campaign_has_them_and_an_agent_of_theirs_may_call(session: Session) -> None:
    campaign = factories.campaign(session, number_gap=0)
    factories.lease(session, campaign)
    contact = factories.contact(session, campaign)
    other = factories.campaign(session)
    twin = factories.contact(session, other, phone=contact.phone, state="closed", next_at=None)
    factories.attempt(session, other, contact=twin, state=CallState.ABANDONED)
    assert order(session, campaign, factories.NOW).refused == {"rest": 1}
    assert contact.next_at == datetime(2026, 3, 5, 9, 0, tzinfo=UTC)  # 72 hours
    contact.next_at = factories.NOW
    author, who = gate.Author("cli:anna"), factories.agent(session, campaign, state="parked")
    made = gate.order_one(
        session, campaign, contact, Lines({"4": 1}), author, now=factories.NOW, timing=TimingSettings(), agent=who
    )
    assert isinstance(made, Attempt), made


def test_the_rest_is_counted_from_the_calls_end_however_long_the_call_was(session: Session) -> None:
    """Found by the oracle: a call ordered just over 72 hours ago, which ended a minute later, was not looked at."""
    campaign = factories.campaign(session, number_gap=0)
    factories.lease(session, campaign)
    contact = factories.contact(session, campaign)
    ordered = factories.NOW - timedelta(hours=72, seconds=30)
    factories.attempt(
        session, campaign, contact=contact, state=CallState.ABANDONED, ordered_at=ordered, sent_at=ordered,
        ended_at=ordered + timedelta(minutes=1),
    )  # fmt: skip
    assert order(session, campaign, factories.NOW).refused == {"rest": 1}
    assert contact.next_at == factories.NOW + timedelta(seconds=30)


def test_two_contacts_of_one_person_in_one_batch_count_as_one_against_a_cap(session: Session) -> None:
    """The fourth of France's four tries in thirty days may be made at either number, and not at both."""
    campaign = factories.campaign(session, country="FR", rule_pack="fr-2026", number_gap=0, max_attempts=50)
    factories.lease(session, campaign)
    one, other = "+33142345678", "+33142345679"
    twins = [
        factories.contact(session, campaign, phone=phone, phone2=phone2, consent=True)
        for phone, phone2 in ((one, other), (other, one))
    ]
    for days in (2, 3, 4):
        at = factories.NOW - timedelta(days=days)
        factories.attempt(
            session, campaign, contact=twins[0], number=one, state=CallState.NO_ANSWER, ordered_at=at, sent_at=at,
            ended_at=at,
        )  # fmt: skip
    passed = order(session, campaign, datetime(2026, 3, 2, 10, 0, tzinfo=UTC))
    assert (len(passed.refs), dict(passed.refused)) == (1, {"contact_cap": 1})
