import getpass
import os
import pwd

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.models import Campaign, Ledger
from dialer.errors import PbxUnavailable
from tests import factories
from tests.cli.conftest import Dialer, ListedPbx

CREATE = ("campaign", "create", "spring", "--caller-id", "+390551234567")


@pytest.fixture
def spring(dialer: Dialer) -> Dialer:
    dialer.ok(*CREATE, "--agents", "101,102")
    return dialer


def test_a_campaign_is_created_as_the_contract_writes_it(dialer: Dialer, session: Session) -> None:
    told = dialer.json(
        "campaign", "create", "spring", "--pbx", "main", "--mode", "predictive", "--agents", "101,102",
        "--caller-id", "+390551234567", "--country", "IT", "--hours", "always", "--max-attempts", "5",
    )  # fmt: skip
    assert (told["name"], told["state"], told["agents"], told["max_attempts"]) == ("spring", "draft", 2, 5)
    made = session.scalars(select(Campaign)).one()
    assert (made.pbx, made.mode, made.hours, made.country) == ("main", "predictive", "always", "IT")


def test_whoever_names_no_law_is_told_which_pack_knows_that_of_the_country(dialer: Dialer) -> None:
    told = dialer(*CREATE, "--country", "IT").stderr
    assert "default-2026 keeps the hours you gave and no law of IT; it-2026 does: before it is started" in told
    assert "rule_pack" not in told
    dialer.ok("campaign", "rules", "spring", "--pack", "it-2026")  # as it is told
    kept = dialer("campaign", "create", "autumn", *CREATE[3:], "--country", "IT", "--rule-pack", "it-2026").stderr
    assert "no law of" not in kept


def test_the_ledger_names_the_account_and_not_what_the_environment_claims(
    dialer: Dialer, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "somebody-else")
    assert getpass.getuser() == "somebody-else"
    dialer.ok(*CREATE)
    row = session.scalars(select(Ledger)).first()
    assert row is not None
    assert row.who == f"cli:{pwd.getpwuid(os.getuid()).pw_name}"


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (("--agents", "999"), 4, "error: PBX main has no user 999"),
        (("--agents", "group:Nobody"), 4, "no ring group 'Nobody'"),
        (("--agents", "a;b"), 2, "is no PBX user id"),
        (("--pbx", "branch"), 4, "there is no PBX named 'branch'"),
        (("--mode", "fast"), 2, "'fast' is not one of"),
        (("--hours", "9-17"), 2, "error: hours '9-17'"),
        (("--max-attempts", "0"), 2, "0 is not in the range"),
        (("--max-abandonment", "5%", "--why", "trial"), 5, "may_raise_ceiling"),
        (("--rule-pack", "fr-1999"), 2, "'fr-1999' is not one of"),
        (("--max-abandonment", "much"), 2, "write 0.03 or 3%"),
        (("--max-lines", "0"), 2, "write 1 or more, or unlimited"),
        (("--retry-delay", "soon"), 2, "write seconds, or 90s, 15m, 2h, 1d"),
        (("--country", "ZZ"), 2, "there is no country 'ZZ'"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_its_exit_code(
    dialer: Dialer, session: Session, args: tuple[str, ...], code: int, told: str
) -> None:
    result = dialer(*CREATE, *args)
    assert result.exit_code == code
    assert told in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""
    assert session.scalars(select(Campaign)).all() == []


def test_nothing_is_written_when_the_agents_cannot_be_resolved(dialer: Dialer, session: Session) -> None:
    assert dialer(*CREATE, "--agents", "101,999").exit_code == 4
    assert session.scalars(select(Campaign)).all() == []


def test_a_group_cannot_be_looked_up_while_the_pbx_is_away(dialer: Dialer, pbx: ListedPbx) -> None:
    pbx.trouble = PbxUnavailable("main", "connection refused")
    result = dialer(*CREATE, "--agents", "group:Sales")
    assert result.exit_code == 6
    assert "dialer pbx check main" in result.stderr


def test_plain_user_ids_are_taken_unseen_while_the_pbx_is_away(dialer: Dialer, pbx: ListedPbx) -> None:
    pbx.trouble = PbxUnavailable("main", "connection refused")
    told = dialer.json(*CREATE, "--agents", "101,102")
    assert told["agents"] == 2
    assert "connection refused" in told["warnings"][0]


def test_the_same_name_twice_is_refused(spring: Dialer) -> None:
    result = spring(*CREATE)
    assert (result.exit_code, "choose another name" in result.stderr) == (2, True)


def test_the_whole_life_of_a_campaign(spring: Dialer) -> None:
    said = [
        spring.ok("campaign", verb, "spring").strip() for verb in ("start", "pause", "resume", "stop", "start", "stop")
    ]
    assert said == [
        f"campaign spring is {word}" for word in ("running", "paused", "running again", "stopped", "running", "stopped")
    ]
    assert spring.json("campaign", "stop", "spring")["changed"] is False
    spring.ok("campaign", "archive", "spring")
    assert spring.json("campaign", "list")["campaigns"] == []
    assert [row["state"] for row in spring.json("campaign", "list", "--all")["campaigns"]] == ["archived"]


def test_a_start_warns_of_what_is_missing_and_starts(spring: Dialer) -> None:
    result = spring("campaign", "start", "spring")
    assert result.exit_code == 0
    assert "warning: no contact is left to call" in result.stderr
    assert "warning: no scheduler is running" in result.stderr


def test_a_step_that_cannot_follow_is_refused_with_the_one_that_can(spring: Dialer) -> None:
    result = spring("campaign", "resume", "spring")
    assert result.exit_code == 1
    assert "`dialer campaign start spring` starts it" in result.stderr


def test_an_unknown_campaign_is_not_found_and_a_near_one_is_suggested(spring: Dialer) -> None:
    for verb in ("show", "start", "pause", "resume", "stop", "archive"):
        result = spring("campaign", verb, "sprng")
        assert (result.exit_code, "did you mean 'spring'" in result.stderr) == (4, True)


def test_an_archive_that_loses_contacts_asks_and_says_how_many(spring: Dialer, session: Session) -> None:
    found = session.scalars(select(Campaign)).one()
    for _ in range(3):
        factories.contact(session, found)
    session.commit()
    result = spring("campaign", "archive", "spring")
    assert result.exit_code == 2
    assert "has 3 contacts left to call" in result.stderr
    assert "--yes" in result.stderr
    assert spring.json("campaign", "archive", "spring", "--yes")["state"] == "archived"


def test_the_list_shows_state_people_and_figures(spring: Dialer, session: Session) -> None:
    told = spring.ok("campaign", "list")
    assert "spring" in told
    assert "○ draft" in told
    assert "0/2" in told
    assert spring.json("campaign", "list")["campaigns"][0]["abandonment"] == 0.0


def test_an_empty_list_says_what_to_do_next(dialer: Dialer) -> None:
    result = dialer("campaign", "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "dialer campaign create" in result.stderr


def test_show_tells_rules_agents_and_what_is_missing(spring: Dialer) -> None:
    result = spring("campaign", "show", "spring")
    for expected in ("predictive through PBX main", "Anna Rossi, Bruno Conti", "10 min between", "3.0 % abandoned"):
        assert expected in result.stdout
    assert "missing: no contact is left" in result.stderr
    told = spring.json("campaign", "show", "spring")
    assert [one["user_id"] for one in told["agent_list"]] == ["101", "102"]
    assert told["missing"]


def test_a_strangers_name_cannot_command_the_terminal(dialer: Dialer, pbx: ListedPbx, session: Session) -> None:
    pbx.listed[0] = type(pbx.listed[0])("101", "Anna\x1b]0;owned\x07[bold]", "201", pbx.listed[0].presence)
    dialer.ok(*CREATE, "--agents", "101")
    for args in (("campaign", "show", "spring"), ("agent", "list")):
        told = dialer.ok(*args)
        assert "\x1b" not in told
        assert "\x07" not in told
        assert "[bold]" in told
