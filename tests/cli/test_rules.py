from dataclasses import replace

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.application import Application
from campaigns.cli.context import who
from campaigns.models import Campaign, Ledger
from dialer.settings import RightsSettings
from tests import factories
from tests.cli.conftest import Dialer, OpenedContext


@pytest.fixture
def campaign(session: Session) -> Campaign:
    made = factories.campaign(session, name="spring", rule_pack="it-2026")
    of = factories.contact_list(session, made, name="paris")
    factories.contact(session, made, list_id=of.id, phone="+390612345678")
    session.commit()
    return made


def test_a_list_gets_a_law_and_keeps_it_without_the_right(dialer: Dialer, campaign: Campaign) -> None:
    assert "no pack of its own, only it-2026 of campaign spring" in dialer.ok("list", "rules", "spring", "paris")
    assert "no pack of its own -> fr-2026" in dialer.ok("list", "rules", "spring", "paris", "--pack", "fr-2026")
    refused = dialer("list", "rules", "spring", "paris", "--pack", "none", "--why", "they moved")
    assert (refused.exit_code, "may_raise_ceiling" in refused.stderr) == (5, True)
    assert dialer.json("list", "rules", "spring", "paris")["pack"] == "fr-2026"
    assert dialer("list", "rules", "spring", "rome", "--pack", "none").exit_code == 4


def test_a_campaigns_rules_are_shown_with_their_sources(dialer: Dialer, campaign: Campaign) -> None:
    dialer.ok("list", "rules", "spring", "paris", "--pack", "us-2026")
    told = dialer.json("campaign", "rules", "spring")
    assert [(one["pack"], one["lists"]) for one in told["packs"]] == [("it-2026", []), ("us-2026", ["paris"])]
    shown = dialer.ok("campaign", "rules", "spring")
    assert "it-2026, since 2026-01-01, for every list" in shown
    assert "US-CT" in shown
    assert dialer("campaign", "rules", "spring", "--pack", "fr-2026").exit_code == 5


def test_the_right_to_loosen_is_in_the_settings(app: Application, campaign: Campaign) -> None:
    rights = RightsSettings(may_raise_ceiling=(who(),))
    dialer = Dialer(OpenedContext(replace(app, settings=app.settings.model_copy(update={"rights": rights}))))
    told = dialer.json("campaign", "rules", "spring", "--pack", "fr-2026", "--why", "all French")
    assert (told["change"]["old"], told["change"]["new"]) == ("it-2026", "fr-2026")
    assert "holidays" in told["change"]["loosened"]


def test_how_many_of_a_detector_s_machines_are_people_is_said_with_how_it_was_heard(
    dialer: Dialer, session: Session, campaign: Campaign
) -> None:
    assert dialer.json("campaign", "rules", "spring")["people_among_machines"] == 0.03
    change = ("campaign", "rules", "spring", "--people-among-machines", "1.5%")
    refused = dialer(*change)
    assert (refused.exit_code, "--why" in refused.stderr) == (2, True)
    assert "1.5 % count as people" in dialer.ok(*change, "--why", "3 of 200 recordings").replace("\xa0", " ")
    assert dialer.json("campaign", "rules", "spring")["people_among_machines"] == 0.015
    dialer.ok(*change, "--why", "once more")
    (entry,) = session.scalars(select(Ledger).where(Ledger.kind == "people_among_machines"))
    assert (entry.why, entry.details) == ("3 of 200 recordings", {"before": 0.03, "after": 0.015})
    assert dialer(*change[:-1], "150%", "--why", "x").exit_code == 2


def test_a_campaign_shows_its_packs_caps_consent_and_words(dialer: Dialer, campaign: Campaign) -> None:
    dialer.ok("list", "rules", "spring", "paris", "--pack", "fr-2026")
    dialer.ok("campaign", "caps", "spring", "--number", "3/day")
    shown = " ".join(dialer.ok("campaign", "show", "spring").split())
    assert "it-2026 (hours, holidays, consent, rest, caller ids as others tell it)" in shown
    assert "fr-2026 for paris" in shown
    assert "needed, by fr-2026 (lists paris)" in shown
    assert "3/day per number" in shown
    assert "Sale" in shown
    assert dialer.json("campaign", "show", "spring")["rules"]["consent_needed_by"] == "fr-2026 (lists paris)"
