"""The do-not-call list: who is on it, who took whom off, and what the gate is told."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, event, select
from sqlalchemy.orm import Session

from campaigns import do_not_call
from campaigns.models import Campaign, DoNotCall, Ledger
from dialer.errors import BadInput, NotFound

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.fixture
def campaign(session: Session) -> Campaign:
    return _campaign(session, "spring")


def _campaign(session: Session, name: str) -> Campaign:
    campaign = Campaign(
        name=name, pbx="main", mode="progressive", country="IT", hours="always", caller_id="+39061234567"
    )
    session.add(campaign)
    session.flush()
    return campaign


def _add(session: Session, text: str, campaign_id: int | None = None, reason: str = "asked") -> DoNotCall:
    return do_not_call.add(session, text, country="IT", campaign_id=campaign_id, reason=reason, who="ada", now=NOW)[0]


def _kinds(session: Session) -> list[tuple[str, str, str]]:
    rows = session.scalars(select(Ledger).where(Ledger.kind.like("dnc_%")).order_by(Ledger.id))
    return [(row.kind, row.who, row.details["number"]) for row in rows]


def test_a_number_is_kept_in_e164_with_who_why_and_when(session: Session) -> None:
    entry, new = do_not_call.add(
        session, "06 1234 5678", country="IT", source="phone call", reason="moved\x00 away", who="ada", now=NOW
    )
    assert new
    assert (entry.number, entry.campaign_id, entry.source, entry.reason) == (
        "+390612345678",
        None,
        "phone call",
        "moved away",
    )
    assert (entry.added_by, entry.added_at) == ("ada", NOW)
    assert _kinds(session) == [("dnc_added", "ada", "+390612345678")]


def test_adding_a_number_again_keeps_the_older_entry(session: Session) -> None:
    first = _add(session, "0612345678", reason="first")
    again, new = do_not_call.add(
        session, "+39 06 12345678", country="IT", reason="second", who="bob", now=NOW + timedelta(days=1)
    )
    assert not new
    assert (again.id, again.reason, again.added_at) == (first.id, "first", NOW)
    assert len(_kinds(session)) == 1


def test_one_number_may_be_on_the_list_of_a_campaign_and_of_all(session: Session, campaign: Campaign) -> None:
    _add(session, "0612345678", campaign.id)
    _add(session, "0612345678")
    entries = do_not_call.check(session, "0612345678", country="IT")
    assert [entry.campaign_id for entry in entries] == [None, campaign.id]


def test_check_for_a_campaign_leaves_out_the_lists_of_others(session: Session, campaign: Campaign) -> None:
    other = _campaign(session, "other")
    _add(session, "0612345678", other.id)
    assert do_not_call.check(session, "0612345678", country="IT", campaign_id=campaign.id) == []
    assert len(do_not_call.check(session, "0612345678", country="IT", campaign_id=other.id)) == 1


@pytest.mark.parametrize("text", ["", "ask Mario", "112", "3.93E+11"])
def test_what_is_no_number_is_refused_with_the_reason(session: Session, text: str) -> None:
    with pytest.raises(BadInput, match=r"do-not-call: .* cannot be called"):
        _add(session, text)
    assert session.scalars(select(DoNotCall)).all() == []


def test_a_number_comes_off_only_with_a_reason_and_the_ledger_keeps_both(session: Session) -> None:
    _add(session, "0612345678", reason="asked on the phone")
    with pytest.raises(BadInput, match="needs a reason"):
        do_not_call.remove(session, "0612345678", country="IT", reason=" \t", who="bob", now=NOW)
    do_not_call.remove(session, "0612345678", country="IT", reason="wrote to us again", who="bob", now=NOW)
    assert do_not_call.check(session, "0612345678", country="IT") == []
    row = session.scalars(select(Ledger).where(Ledger.kind == "dnc_removed")).one()
    assert (row.who, row.why, row.details["added_because"]) == ("bob", "wrote to us again", "asked on the phone")


def test_taking_off_what_is_not_on_the_list_says_where_it_is(session: Session, campaign: Campaign) -> None:
    def remove(campaign_id: int | None) -> None:
        do_not_call.remove(
            session, "0612345678", country="IT", campaign_id=campaign_id, reason="mistake", who="bob", now=NOW
        )

    with pytest.raises(NotFound, match=r"\+39 06 ••• 5678 is not on the do-not-call list of all campaigns$"):
        remove(None)
    _add(session, "0612345678", campaign.id)
    with pytest.raises(NotFound, match="name the campaign"):
        remove(None)
    remove(campaign.id)
    _add(session, "0612345678")
    with pytest.raises(NotFound, match="it is on the list of all campaigns"):
        remove(campaign.id)


def test_the_gate_is_told_in_one_query_what_binds_this_campaign(
    session: Session, campaign: Campaign, engine: Engine
) -> None:
    other = _campaign(session, "other")
    _add(session, "0612345671")
    _add(session, "0612345672", campaign.id)
    _add(session, "0612345673", other.id)
    _add(session, "0612345674", campaign.id)
    _add(session, "0612345674")
    session.flush()
    asked = []
    event.listen(engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    numbers = [f"+39061234567{last}" for last in range(10)]
    found = do_not_call.blocked(session, numbers, campaign.id)
    assert len(asked) == 1
    assert {number: entry.campaign_id for number, entry in found.items()} == {
        "+390612345671": None,
        "+390612345672": campaign.id,
        "+390612345674": None,
    }
    assert do_not_call.blocked(session, [], campaign.id) == {}


def test_an_entry_holds_for_sessions_that_read_before(engine: Engine, session: Session, campaign: Campaign) -> None:
    session.commit()
    assert do_not_call.blocked(session, ["+390612345678"], campaign.id) == {}
    with Session(engine) as elsewhere, elsewhere.begin():
        _add(elsewhere, "0612345678")
    assert list(do_not_call.blocked(session, ["+390612345678"], campaign.id)) == ["+390612345678"]
