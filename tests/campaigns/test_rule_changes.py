from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import rules_view, waterfall
from campaigns.models import Campaign, ContactList, Ledger
from campaigns.rule_changes import set_campaign_pack, set_list_pack
from dialer.errors import BadInput, NotFound, RefusedByRule
from tests import factories
from tests.factories import NOW

GIVEN: dict[str, Any] = {"now": NOW, "who": "cli:anna"}


@pytest.fixture
def campaign(session: Session) -> Campaign:
    return factories.campaign(session, rule_pack="it-2026", answer_limit=3.0, max_abandonment=0.04)


@pytest.fixture
def some_list(session: Session, campaign: Campaign) -> ContactList:
    made = factories.contact_list(session, campaign, name="paris")
    factories.contact(session, campaign, list_id=made.id, phone="+390612345678")
    return made


def ledger(session: Session) -> list[Ledger]:
    return list(session.scalars(select(Ledger).where(Ledger.kind == "rule_pack").order_by(Ledger.id)))


def test_a_list_is_put_under_a_law_by_anybody_and_loses_it_only_by_right_and_with_a_reason(
    session: Session, campaign: Campaign, some_list: ContactList
) -> None:
    made = set_list_pack(session, campaign, some_list, "fr-2026", **GIVEN)
    assert (made.old, made.new, made.loosened) == (None, "fr-2026", [])
    fall = waterfall.waterfall(session, campaign, now=NOW, ring_seconds=30)
    assert [step.rule for step in fall.steps] == ["consent"], "France asks for it, Italy does not"
    with pytest.raises(RefusedByRule, match=r"paris without fr-2026 .*consent.* cli:anna may not loosen it"):
        set_list_pack(session, campaign, some_list, None, why="they moved", **GIVEN)
    with pytest.raises(RefusedByRule, match="give the reason with --why"):
        set_list_pack(session, campaign, some_list, None, may_loosen=["cli:anna"], **GIVEN)
    assert some_list.rule_pack == "fr-2026"
    set_list_pack(session, campaign, some_list, None, may_loosen=["cli:anna"], why="they moved", **GIVEN)
    assert some_list.rule_pack is None
    first, last = ledger(session)
    assert (first.details["old"], first.details["new"], first.details["list_name"]) == (None, "fr-2026", "paris")
    assert (last.details["old"], last.details["new"], last.why, last.who) == (
        "fr-2026", None, "they moved", "cli:anna",
    )  # fmt: skip
    assert "consent" in last.details["loosened"]


def test_what_the_campaigns_own_pack_asks_anyway_is_no_loss(
    session: Session, campaign: Campaign, some_list: ContactList
) -> None:
    set_list_pack(session, campaign, some_list, "it-2026", **GIVEN)
    assert set_list_pack(session, campaign, some_list, None, **GIVEN).loosened == []
    assert not set_list_pack(session, campaign, some_list, None, **GIVEN).changed
    assert len(ledger(session)) == 2, "nothing changed, nothing is written"


def test_a_campaigns_limits_follow_its_pack(session: Session, campaign: Campaign) -> None:
    with pytest.raises(RefusedByRule, match="cli:anna may not loosen it"):
        set_campaign_pack(session, campaign, "fr-2026", **GIVEN)
    may: dict[str, Any] = {**GIVEN, "may_loosen": ["cli:anna"], "why": "all of them are French"}
    set_campaign_pack(session, campaign, "fr-2026", **may)
    assert (campaign.rule_pack, campaign.answer_limit, campaign.max_abandonment) == ("fr-2026", 2.0, 0.03)
    (row,) = ledger(session)
    assert (row.details["old"], row.details["new"]) == ("it-2026", "fr-2026")
    assert row.details["before"] == {"max_abandonment": 0.04, "answer_limit": 3.0}
    campaign.max_abandonment = 0.05  # by somebody with the right to it
    set_campaign_pack(session, campaign, "it-2026", **may)
    assert campaign.max_abandonment == 0.05
    with pytest.raises(NotFound, match="there is no rule pack 'xx-2026'"):
        set_campaign_pack(session, campaign, "xx-2026", **may)
    campaign.state = "archived"
    with pytest.raises(BadInput, match="is archived"):
        set_campaign_pack(session, campaign, "fr-2026", **may)


def test_only_a_campaign_that_never_was_started_is_put_under_any_pack_by_anybody(session: Session) -> None:
    draft = factories.campaign(session, state="draft", started_at=None, rule_pack="default-2026")
    made = set_campaign_pack(session, draft, "it-2026", **GIVEN)
    assert (made.new, draft.answer_limit, bool(made.loosened)) == ("it-2026", 3.0, True)
    stopped = factories.campaign(session, state="stopped", rule_pack="default-2026")
    with pytest.raises(RefusedByRule, match="cli:anna may not loosen it"):
        set_campaign_pack(session, stopped, "it-2026", **GIVEN)


def test_the_rules_are_shown_with_how_sure_we_are(session: Session, campaign: Campaign, some_list: ContactList) -> None:
    set_list_pack(session, campaign, some_list, "us-2026", **GIVEN)
    campaign.number_caps, campaign.needs_consent = "3/day", True
    told = rules_view.of_campaign(session, campaign)
    assert [(one.pack.name, list(one.lists)) for one in told.packs] == [("it-2026", []), ("us-2026", ["paris"])]
    assert told.packs[1].by_sureness()["unsure"] == ["hours in US-CT, US-TX"]
    assert (told.consent, [str(cap) for cap in told.caps]) == ("the campaign itself", ["3/day"])
    assert told.as_json()["packs"][0]["readings"][0]["sure"] == "told"
    assert "Sale" in told.dispositions
