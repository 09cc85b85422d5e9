from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from campaigns.report_shape import Period
from campaigns.reports_records import records
from dialer.calls import CallState
from tests import factories

NOW = factories.NOW


def test_a_record_tells_what_a_regulator_asks(session: Session) -> None:
    campaign = factories.campaign(session, name="spring", rule_pack="us-2026")
    asked = {"rule": "do_not_call", "allowed": True, "why": "not on it"}
    agreed = {"rule": "consent", "allowed": True, "against": {"source": "web form", "at": "2026-01-05T00:00:00+00:00"}}
    who = factories.agent(session, campaign, name="Anna")
    made = factories.attempt(
        session, campaign, state=CallState.COMPLETED, mode="predictive", agent_id=who.id, ended_at=NOW,
        sent_at=NOW - timedelta(seconds=100), answered_at=NOW - timedelta(seconds=90),
        joined_at=NOW - timedelta(seconds=89), left_at=NOW - timedelta(seconds=10),
        proof={"at": (NOW - timedelta(seconds=101)).isoformat(), "rules": [asked, agreed]},
    )  # fmt: skip
    factories.attempt(session, campaign, state=CallState.EXPIRED, sent_at=None)  # never sent: no call
    day = Period(campaign.id, "spring", NOW - timedelta(days=1), NOW + timedelta(days=1), ZoneInfo("UTC"), NOW)
    (row,) = records(session, day).rows
    assert (row["caller_id"], row["number"]) == (campaign.caller_id, made.number)
    assert (row["duration"], row["connected"], row["disposition"], row["heard"]) == (90, 80, "completed", "agent")
    assert (row["agent"], row["campaign"], row["rule_pack"]) == ("Anna", "spring", "us-2026")
    assert row["do_not_call_asked_at"] == datetime(2026, 3, 2, 8, 58, 19, tzinfo=UTC)
    assert row["consent"] == "web form, 2026-01-05T00:00:00+00:00"


def test_an_attempt_without_a_proof_has_a_record_too(session: Session) -> None:
    campaign = factories.campaign(session)
    factories.attempt(session, campaign, state=CallState.NO_ANSWER, proof={})
    day = Period(None, None, NOW - timedelta(days=1), NOW + timedelta(days=1), ZoneInfo("UTC"), NOW)
    (row,) = records(session, day).rows
    assert (row["do_not_call_asked_at"], row["consent"]) == (None, None)
