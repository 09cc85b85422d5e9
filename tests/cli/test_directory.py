"""`dialer directory` on a simulated XC5 over HTTP and a PBX made of lists."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import pools, roster
from campaigns.application import Application
from campaigns.models import Campaign, DirectoryChange
from dialer.clock import SystemClock
from dialer.directory.xc5 import Xc5Directory
from tests import factories
from tests.cli.conftest import Dialer, ListedPbx, OpenedContext
from tests.directory.conftest import ENVIRON, settings_for
from tests.directory.xc5_peer import PASSWORD, TENANT, Xc5World, html, serve
from tests.pbx.scripted import ScriptedServer

GROUP = f"spring@{TENANT}"


@pytest.fixture
def world() -> Xc5World:
    made = Xc5World()
    made.agent("anna", "201")
    made.agent("bruno", "202", reg_status="unregistered", private=True)
    made.agent("zoe", "299")
    made.number("6499290087", TENANT, **{"is-pilot": True})
    made.number("a:6499290099", f"anna@{TENANT}")
    made.number("6499290100")
    return made


@pytest.fixture
def server(world: Xc5World) -> Iterator[ScriptedServer]:
    running = serve(world)
    yield running
    running.close()


@pytest.fixture
def campaign(session: Session, pbx: ListedPbx) -> Campaign:
    made = factories.campaign(session, name="spring")
    roster.assign(session, made, roster.parse("101,103"), pbx.listed, now=factories.NOW, who="test")
    session.commit()
    return made


@pytest.fixture
def dialer(app: Application, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dialer]:
    monkeypatch.setenv("XC5_PASSWORD", PASSWORD)
    section = settings_for(server)
    office = Xc5Directory("office", section, environ=ENVIRON)
    settings = app.settings.model_copy(update={"directory": {"office": section}})
    opened = replace(app, settings=settings, directories={"office": office}, clock=SystemClock())
    yield Dialer(OpenedContext(opened))
    office.close()


def sent(server: ScriptedServer) -> int:
    return sum(one.method not in ("GET", "OPTIONS") for one in server.requests)


# Reading -------------------------------------------------------------------------------------------------


def test_the_list_and_what_to_do_when_it_is_empty(dialer: Dialer) -> None:
    assert "office" in dialer.ok("directory", "list")
    told = dialer.json("directory", "list")
    assert (told["directories"][0]["account"], PASSWORD in str(told)) == (TENANT, False)
    dialer.context.app.settings.directory.clear()
    assert "[directory.NAME]" in dialer("directory", "list").stderr


def test_show_tells_groups_numbers_and_what_is_free(dialer: Dialer, world: Xc5World) -> None:
    guid = world.account(GROUP)
    world.routes["R"] = {"guid": "R", "account": guid, "order": "100", "username": f"anna@{TENANT}", "hunt_user": True}
    told = dialer.ok("directory", "show", "office")
    for part in (GROUP, f"anna@{TENANT}", "+6499290087", "default", "1 free number in the pool"):
        assert part in told
    shown = dialer.json("directory", "show", "office")
    assert [one["members"] for one in shown["groups"]] == [[f"anna@{TENANT}"]]


def test_a_sound_directory_can_be_used_and_its_warnings_are_told(dialer: Dialer) -> None:
    told = dialer.ok("directory", "check", "office")
    assert "✓ XC5 answers" in told
    assert f"! bruno@{TENANT}: hiding their number" in told
    assert "directory office can be used" in told
    assert dialer.json("directory", "check", "office")["ok"] is True


def test_a_directory_that_answers_html_cannot(dialer: Dialer, server: ScriptedServer) -> None:
    server.now = html(200)
    result = dialer("directory", "check", "office")
    assert result.exit_code == 1
    assert "directory office cannot be used as it is" in result.stdout
    assert "it is not JSON" in result.stdout


def test_agents_shows_who_is_who_and_whose_phone_is_there(dialer: Dialer, campaign: Campaign) -> None:
    told = dialer.json("directory", "agents", "office")
    assert told["pbx"] == "main"
    assert [(one["name"].split("@")[0], one["user_id"], one["presence"], one["state"]) for one in told["accounts"]] == [
        ("anna", "101", "available", "out"),
        ("bruno", "102", "unavailable", None),
        ("zoe", None, "available", None),
    ]
    table = dialer.ok("directory", "agents", "office")
    assert "Anna Rossi (101)" in table
    assert "no user of the PBX has extension 299" in table


def test_numbers_says_which_may_be_shown(dialer: Dialer) -> None:
    told = {one["number"]: one["caller_id"] for one in dialer.json("directory", "numbers", "office")["numbers"]}
    assert told == {"+6499290087": True, "+6499290099": False}
    assert "shared (a:)" in dialer.ok("directory", "numbers", "office")


@pytest.mark.parametrize("verb", ["show", "check", "agents", "numbers", "changes"])
def test_a_directory_that_is_not_in_the_settings_is_not_found(dialer: Dialer, verb: str) -> None:
    result = dialer("directory", verb, "elsewhere")
    assert result.exit_code == 4
    assert "there is no directory named 'elsewhere' in the settings (there are: office)" in result.stderr


@pytest.mark.parametrize("verb", ["show", "check", "agents", "numbers"])
def test_a_directory_that_is_away_ends_with_6(dialer: Dialer, server: ScriptedServer, verb: str) -> None:
    server.stop_listening()
    result = dialer("directory", verb, "office")
    assert result.exit_code == 6
    assert "check that it runs and directory.office.url" in result.stderr


def test_a_campaign_on_a_directory_is_refused_with_a_sentence(dialer: Dialer) -> None:
    result = dialer("campaign", "create", "x", "--pbx", "office", "--caller-id", "+6499290087", "--country", "NZ")
    assert result.exit_code == 4
    assert "office is a directory: it places no calls" in result.stderr


# Agents brought over -------------------------------------------------------------------------------------


def test_a_dry_run_of_sync_says_who_and_changes_nothing(dialer: Dialer, campaign: Campaign, session: Session) -> None:
    told = dialer.ok("directory", "sync", "office", "spring", "--dry-run")
    assert "would be added" in told
    assert "would be removed" in told
    assert "campaign spring would have 2 agents" in told
    session.expire_all()
    assert {one.user_id for one in roster.members(session, campaign)} == {"101", "103"}


def test_sync_brings_the_directory_s_agents(dialer: Dialer, campaign: Campaign, session: Session) -> None:
    told = dialer.json("directory", "sync", "office", "spring")
    assert ([one["user_id"] for one in told["added"]], [one["user_id"] for one in told["removed"]]) == (
        ["102"],
        ["103"],
    )
    assert [one["account"] for one in told["not_matched"]] == [f"zoe@{TENANT}"]
    session.expire_all()
    assert {one.user_id for one in roster.members(session, campaign)} == {"101", "102"}


def test_sync_of_one_group_takes_its_members_only(dialer: Dialer, campaign: Campaign, world: Xc5World) -> None:
    guid = world.account(GROUP)
    world.routes["R"] = {"guid": "R", "account": guid, "order": "100", "username": f"anna@{TENANT}", "hunt_user": True}
    told = dialer.json("directory", "sync", "office", "spring", "--group", "spring", "--dry-run")
    assert told["agents"] == 1
    result = dialer("directory", "sync", "office", "spring", "--group", "winter")
    assert (result.exit_code, GROUP in result.stderr) == (4, True)


def test_sync_and_provision_of_a_campaign_of_two_pbxs_are_about_the_directorys_own(
    dialer: Dialer, campaign: Campaign, session: Session
) -> None:
    pools.add(session, campaign, "second", who="test", now=factories.NOW)
    factories.agent(session, campaign, pbx="second", user_id="101", extension="202")
    session.commit()
    shown = dialer("directory", "provision", "office", "spring", "--dry-run")
    assert (shown.exit_code, "agents on PBX second are not in the group" in shown.stderr) == (0, True)
    assert f"bruno@{TENANT}" not in shown.stdout, "the extension is another person's there"
    assert "campaign spring has 2 agents on PBX main" in dialer.ok("directory", "sync", "office", "spring")
    session.expire_all()
    assert {f"{one.pbx}/{one.user_id}" for one in roster.members(session, campaign)} == {
        "main/101", "main/102", "second/101"
    }  # fmt: skip


def test_sync_of_a_campaign_on_another_pbx_is_refused(dialer: Dialer, session: Session) -> None:
    factories.campaign(session, name="other", pbx="second")
    session.commit()
    for verb in ("sync", "provision"):
        result = dialer("directory", verb, "office", "other", "--dry-run")
        assert (result.exit_code, "calls through PBX second" in result.stderr) == (2, True)


# Set up and taken back -----------------------------------------------------------------------------------


def test_a_dry_run_prints_each_request(dialer: Dialer, campaign: Campaign, server: ScriptedServer) -> None:
    result = dialer("directory", "provision", "office", "spring", "--number", "+6499290100", "--dry-run")
    assert result.exit_code == 0, result.output
    lines = [line.strip() for line in result.stdout.splitlines() if line.strip().startswith("PUT")]
    assert len(lines) == 3
    assert f'"username": "{GROUP}"' in lines[0]
    assert lines[2].endswith('"hunt_user": true, "ring_seconds": 20}')
    assert "3 requests would be made" in result.stdout
    assert "agent Carla Neri has no account on directory office" in result.stderr
    assert sent(server) == 0


def test_provision_and_undo_from_end_to_end(
    dialer: Dialer, campaign: Campaign, world: Xc5World, session: Session
) -> None:
    args = ("directory", "provision", "office", "spring", "--number", "+6499290100")
    refused = dialer(*args)
    assert (refused.exit_code, "repeat with --yes" in refused.stderr) == (2, True)
    assert world.book == []
    told = dialer.ok(*args, "--yes")
    assert "3 things made; `dialer directory undo office spring` takes back" in told
    assert len(world.book) == 3
    assert dialer.json(*args, "--yes")["things"][0]["end"] == "ours"
    assert "everything is there" in dialer.ok(*args)
    listed = dialer.json("directory", "changes", "office")["changes"]
    assert [(one["state"], one["group"], one["method"]) for one in listed] == [("made", "spring", "PUT")] * 3
    assert f"hunt group {GROUP}" in dialer.ok("directory", "changes", "office", "--group", "spring")
    assert session.scalars(select(DirectoryChange.campaign_id)).first() == campaign.id
    dry = dialer.json("directory", "undo", "office", "spring", "--dry-run")
    assert [one["request"]["method"] for one in dry["things"]] == ["DELETE", "PUT", "DELETE"]
    assert len(world.book) == 3
    assert "3 things of spring taken back" in dialer.ok("directory", "undo", "office", "spring", "--yes")
    assert not world.find(GROUP)


def test_undo_that_leaves_something_ends_with_1(dialer: Dialer, campaign: Campaign, world: Xc5World) -> None:
    dialer.ok("directory", "provision", "office", "spring", "--yes")
    next(iter(world.routes.values()))["ring_seconds"] = 5
    result = dialer("directory", "undo", "office", "spring", "--yes")
    assert result.exit_code == 1
    assert "was changed since (ring_seconds is 5)" in result.stdout
    assert "0 things of spring taken back, 2 things left" in result.stdout


def test_nothing_to_undo_says_what_there_is(dialer: Dialer, campaign: Campaign) -> None:
    dialer.ok("directory", "provision", "office", "spring", "--yes")
    result = dialer("directory", "undo", "office", "winter", "--yes")
    assert (result.exit_code, "what can be taken back: spring" in result.stderr) == (4, True)


def test_no_changes_says_so(dialer: Dialer) -> None:
    assert "nothing was set up" in dialer("directory", "changes", "office").stderr


def test_a_directorys_numbers_become_a_campaigns_caller_ids(dialer: Dialer, campaign: Campaign) -> None:
    told = dialer.json("caller-id", "add", "spring", "--from-directory", "office", "--daily-cap", "80")
    assert told["added"] == ["+6499290087"], "neither the shared one nor one of the pool, which is nobody's"
    assert set(told["added"]) <= set(told["caller_ids"])
    assert dialer("caller-id", "add", "spring").exit_code == 2
    assert dialer("caller-id", "add", "spring", "+390612345678", "--from-directory", "office").exit_code == 2
    assert dialer("caller-id", "add", "spring", "--from-directory", "offcie").exit_code == 4
