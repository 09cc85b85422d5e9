"""Who was abandoned under the Garante's rule is called next with an agent kept for them, whichever campaign calls."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns import callbacks, gate, judging, why
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.due_contacts import Which
from campaigns.gate import Claim
from campaigns.models import Attempt, Callback, Campaign, Contact, Ledger
from dialer.settings import TimingSettings
from dialer.windows import Verdict
from tests import factories
from tests.campaigns.modes_kit import Desk, desk

NUMBER = "+390612345678"
DAY = timedelta(days=1)


@pytest.fixture
def office(application: Application, session: Session) -> Desk:
    return desk(application, session, mode="power")


def of_italy(office: Desk, **more: object) -> Contact:
    """A contact who may be called at any hour of the test, under Italy's pack, by their list's."""
    of = factories.contact_list(office.session, office.campaign, rule_pack="it-2026")
    made = factories.contact(office.session, office.campaign, list_id=of.id, phone=NUMBER, **more)
    office.session.commit()
    return made


def abandoned(session: Session, ago: timedelta, of: Campaign, to: Contact) -> None:
    at = database_now(session) - ago
    factories.attempt(
        session, of, contact=to, number=NUMBER, state="abandoned", ordered_at=at, answered_at=at, ended_at=at
    )
    session.commit()


def at_any_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """The law's hours and holidays are tested elsewhere; here the clock is the machine's."""
    whole = judging.Known.here

    def here(*given: object) -> object:
        return replace(whole(*given), hour=Verdict(True, "hours", "for the test"))  # type: ignore[arg-type]

    monkeypatch.setattr(judging.Known, "here", here)


def let_through(office: Desk, which: Which | None = None, *, rung: bool = False) -> list[int]:
    session = office.session
    office.campaign = session.get_one(Campaign, office.campaign.id)
    name = f"campaign:{office.campaign.id}"
    # A slow machine is no reason to lose it meanwhile.
    keep = "UPDATE leases SET expires_at = clock_timestamp() + interval '1 h' WHERE name = :n RETURNING holder, fence"
    holder, fence = session.execute(text(keep), {"n": name}).one()
    claim, now = Claim(name, holder, fence), database_now(session)
    allowed = gate.let_through(
        session, office.campaign.id, 9, claim, now=now, timing=TimingSettings(), which=which, rung=rung
    )
    session.flush()
    return [contact.id for contact, _, _ in allowed.contacts]


def test_who_was_abandoned_is_ordered_with_an_agent_reserved_and_never_otherwise(
    office: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_any_hour(monkeypatch)
    one = of_italy(office, tried=1)
    abandoned(office.session, 6 * DAY, office.campaign, one)
    office.agent()
    for _ in range(4):
        office.tick()
    office.session.expire_all()
    (call,) = office.session.scalars(select(Attempt).where(Attempt.state != "abandoned"))
    assert call.reserved_agent_id is not None
    assert call.number == NUMBER
    promise = office.session.scalars(select(Callback)).one()
    assert (promise.made_by, "it-2026 asks that an agent is kept" in _why(office)) == ("dialer", True)
    assert office.session.get_one(Contact, one.id).promised_at is None, "nobody asked for it: the attempts still count"


def _why(office: Desk) -> str:
    return " ".join(office.session.scalars(select(Ledger.why).where(Ledger.kind == "callback")))


@pytest.mark.parametrize(
    ("pack", "ago", "met", "handed"),
    [
        ("it-2026", 6 * DAY, False, True),
        ("it-2026", 366 * DAY, False, False),
        ("it-2026", 6 * DAY, True, False),  # somebody has spoken with them since
        ("uk-2026", 6 * DAY, False, False),
    ],
)
def test_it_is_asked_by_the_pack_of_the_list_for_a_year_and_until_somebody_met_them(
    office: Desk, monkeypatch: pytest.MonkeyPatch, pack: str, ago: timedelta, met: bool, handed: bool
) -> None:
    at_any_hour(monkeypatch)
    session = office.session
    of = factories.contact_list(session, office.campaign, rule_pack=pack)
    one = factories.contact(session, office.campaign, list_id=of.id, phone=NUMBER)
    elsewhere = factories.campaign(session)
    abandoned(session, ago, elsewhere, factories.contact(session, elsewhere, phone=NUMBER))
    if met:
        at = database_now(session) - DAY
        factories.attempt(
            session, elsewhere, number=NUMBER, state="completed", ordered_at=at, sent_at=at, joined_at=at, ended_at=at
        )
    session.commit()
    assert let_through(office) == ([] if handed else [one.id]), "another campaign's call counts: it is the same phone"
    assert let_through(office, Which.PROMISED) == ([one.id] if handed else [])


def test_where_each_call_has_its_agent_rung_first_there_is_nothing_to_keep(
    office: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_any_hour(monkeypatch)
    one = of_italy(office)
    abandoned(office.session, 6 * DAY, office.campaign, one)
    assert let_through(office, Which.OTHERS, rung=True) == [one.id]


def test_a_campaign_without_agents_leaves_them_alone(office: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    at_any_hour(monkeypatch)
    one = of_italy(office, consent=True)
    abandoned(office.session, 40 * DAY, office.campaign, one)
    office.campaign.mode = "agentless"
    office.session.commit()
    assert let_through(office) == []
    told = why.explain(
        office.session, office.campaign, str(one.id), now=database_now(office.session), ring_seconds=30
    ).verdicts
    (rest,) = [one for one in told if one.rule == "rest"]
    assert not rest.allowed
    assert callbacks.open_of(office.session, one.id) is None
