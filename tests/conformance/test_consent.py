"""Nothing rings that was not given, that is not agreed to, or that a rule keeps."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns import conformance_rules, do_not_call, forgotten, reactions
from campaigns.conformance import Given, prepare
from campaigns.models import CampaignPbx, Ledger, LoggedEvent
from dialer.clock import SystemClock
from dialer.conformance.probe import is_probe, new_prefix
from dialer.errors import RefusedByRule
from tests import factories
from tests.conformance.stage import CALLER_ID, OWN, Live
from tests.pbx.ari_peer import AriPeer
from tests.pbx.easyconnect_peer import EasyConnectPeer

pytestmark = pytest.mark.timeout(240)
NOW = SystemClock().now()


def placed(peer: AriPeer) -> int:
    return sum((method, path) == ("POST", "/channels") for method, path, _, _ in peer.asked)


def test_reads_only_rings_nobody_and_says_which_modes_are_open(asterisk: tuple[Live, AriPeer]) -> None:
    live, peer = asterisk
    found = live.dialer.json("pbx", "conformance", "main", "--reads-only")
    assert placed(peer) == 0
    assert (found["ok"], found["calls"], found["modes"]["seen"]) == (True, 0, [])
    assert "predictive" in found["modes"]["open"]
    assert {one["check"] for one in found["lines"]} == {"set-up", "lines", "agents", "presence", "current calls",
                                                       "report", "way of events"}  # fmt: skip


def test_without_own_phones_it_says_how_to_give_them(asterisk: tuple[Live, AriPeer]) -> None:
    live, peer = asterisk
    result = live.dialer("pbx", "conformance", "main")
    assert (result.exit_code, "--own-number" in result.stderr, peer.asked) == (2, True, [])


def test_no_terminal_and_no_word_is_no_consent(asterisk: tuple[Live, AriPeer]) -> None:
    live, peer = asterisk
    told = [one for one in live.arguments() if one != "--yes-these-are-mine"]
    result = live.dialer(*told, input="these are mine\n")
    assert (result.exit_code, "--yes-these-are-mine" in result.stderr, placed(peer)) == (2, True, 0)


def test_consent_and_phones_are_not_taken_from_the_environment(asterisk: tuple[Live, AriPeer]) -> None:
    live, peer = asterisk
    live.dialer.environ = {  # type: ignore[misc]
        "DIALER_PBX_CONFORMANCE_YES_THESE_ARE_MINE": "1",
        "DIALER_PBX_CONFORMANCE_NUMBERS": OWN,
        "DIALER_PBX_CONFORMANCE_OWN_NUMBER": OWN,
    }
    assert live.dialer("pbx", "conformance", "main", "--caller-id", CALLER_ID).exit_code == 2
    told = [one for one in live.arguments() if one != "--yes-these-are-mine"]
    assert live.dialer(*told).exit_code == 2
    assert placed(peer) == 0


def test_the_plan_is_said_before_anything_rings(asterisk: tuple[Live, AriPeer]) -> None:
    live, _ = asterisk
    told = [one for one in live.arguments() if one != "--yes-these-are-mine"]
    said = live.dialer(*told).stderr
    assert "6 calls, about 3 minutes. Nobody else is called." in said
    assert "join (2 calls): " in said, "what is listed adds up"
    assert f"your numbers that will ring: {OWN}, +390612345692" in said
    assert "your agents' phones that will ring: 1001 (agent1001)" in said
    assert f"they show {CALLER_ID}" in said
    assert "2. ring-out: calls your number (the second, if you gave two) and lets it ring; you: do not answer" in said


@pytest.mark.parametrize("entry", ["do not call", "one campaign's", "forgotten", "an open call"])
def test_a_number_that_a_rule_keeps_is_not_even_called_for_a_test(
    asterisk: tuple[Live, AriPeer], session: Session, entry: str
) -> None:
    live, peer = asterisk
    campaign = factories.campaign(session)
    match entry:
        case "do not call" | "one campaign's":
            scope = campaign.id if entry == "one campaign's" else None
            do_not_call.add(session, OWN, country="IT", campaign_id=scope, who="test", now=NOW)
        case "forgotten":
            forgotten.remember(session, [OWN], who="test", now=NOW)
        case _:
            factories.attempt(session, campaign).number = OWN
    session.commit()
    result = live.dialer(*live.arguments())
    assert (result.exit_code, placed(peer)) == (5, 0), result.output
    assert "+39 06 ••• 5678" in result.stderr


def test_a_number_put_on_the_list_while_the_run_goes_on_is_not_called_any_more(
    asterisk: tuple[Live, AriPeer], session: Session
) -> None:
    """The list is asked at each call, not once at the beginning."""
    live, peer = asterisk
    app = live.application
    given = Given(numbers=(OWN, "+390612345692"), caller_id=CALLER_ID, patience=2)
    run = prepare(app, "main", given, "test")
    told = []
    for line in run.go(lambda _: None):
        told.append(line)
        if placed(peer) == 1 and line.check == "answered call":
            do_not_call.add(session, "+390612345692", country="IT", who="test", now=NOW)
            session.commit()
    called = {body["endpoint"] for method, path, _, body in peer.asked if (method, path) == ("POST", "/channels")}
    assert called == {"PJSIP/390612345678@trunk"}
    assert any(line.check == "ring-out" and "do-not-call" in line.what for line in told)


def test_an_agent_whom_a_campaign_may_call_is_left_alone(asterisk: tuple[Live, AriPeer], session: Session) -> None:
    live, peer = asterisk
    agent = factories.agent(session, factories.campaign(session), user_id="agent1001", state="ready")
    session.commit()
    result = live.dialer(*live.arguments())
    assert (result.exit_code, "dialer agent pause" in result.stderr, placed(peer)) == (5, True, 0)
    agent.state = "paused"
    session.commit()
    prepare(live.application, "main", Given(agents=("1001",), numbers=(OWN,), caller_id=CALLER_ID), "test")


def test_the_second_phone_of_somebody_at_work_is_left_alone(asterisk: tuple[Live, AriPeer], session: Session) -> None:
    """They may be talking on the other phone, and their campaign may call them on this one at any moment."""
    live, peer = asterisk
    campaign = factories.campaign(session, pbx="second")
    ada = factories.agent(session, campaign, user_id="7", name="Ada", state="talking")
    factories.agent(session, campaign, pbx="main", user_id="agent1001", extension="1001", state="out", spare_of=ada.id)
    session.commit()
    result = live.dialer(*live.arguments())
    assert (result.exit_code, placed(peer)) == (5, 0), result.output
    assert "agent 1001 (Ada, whose other phone is on second) is talking" in result.stderr
    assert "`dialer agent pause 7 --pbx second` first" in result.stderr
    ada.state = "paused"
    session.commit()
    prepare(live.application, "main", Given(agents=("1001",), numbers=(OWN,), caller_id=CALLER_ID), "test")


@pytest.mark.parametrize(("role", "counts"), [("pool", True), ("standby", True), ("removed", False)])
def test_a_campaign_of_several_pbxes_runs_on_each_of_them(session: Session, role: str, counts: bool) -> None:
    campaign = factories.campaign(session, pbx="first", state="running", caller_id="+390551234567")
    for position, (pbx, part) in enumerate({"first": "pool", "main": role}.items()):
        session.add(CampaignPbx(campaign_id=campaign.id, pbx=pbx, position=position, role=part))
    session.flush()
    assert conformance_rules.running_on(session, "main") == counts
    assert conformance_rules.running_on(session, "first") == 1
    assert conformance_rules.caller_id_of(session, "main") == ("+390551234567" if counts else "")


@pytest.mark.parametrize(
    ("given", "code", "word"),
    [
        (["--own-number", "0612345678"], 2, "with plus and country code"),
        (["--own-number", "+39112"], 2, "cannot be called"),
        (["--own-agent", "9999"], 4, "there are: "),
        (["--own-number", OWN, "--wrong-number", OWN], 2, "one of your own"),
        (["--own-number", OWN], 2, "--caller-id"),
    ],
)
def test_what_will_not_do_is_said_with_its_remedy(
    asterisk: tuple[Live, AriPeer], given: list[str], code: int, word: str
) -> None:
    live, peer = asterisk
    result = live.dialer("pbx", "conformance", "main", "--yes-these-are-mine", *given)
    assert (result.exit_code, placed(peer)) == (code, 0), result.output
    assert word in result.stderr


def test_the_bench_itself_calls_nothing_that_was_not_given(asterisk: tuple[Live, AriPeer]) -> None:
    """Whatever a check asks for: the last word is the bench's."""
    live, peer = asterisk
    run = prepare(live.application, "main", Given(numbers=(OWN,), caller_id=CALLER_ID), "test")
    with run._bench(lambda _: None) as bench:
        with pytest.raises(RefusedByRule):
            bench.call_customer("+390699999999")
        with pytest.raises(RefusedByRule):
            bench.call_agent(live.application.pbx("main").users()[0])
    assert placed(peer) == 0


def test_each_call_is_in_the_ledger_with_who_and_no_whole_number(
    easyconnect: tuple[Live, EasyConnectPeer], session: Session
) -> None:
    live, peer = easyconnect
    live.run()
    rows = session.scalars(select(Ledger).where(Ledger.kind == "conformance_call").order_by(Ledger.id)).all()
    assert len(rows) == len(peer.book) == 3
    assert all(row.who.startswith("cli:") and row.details["number"].startswith("+39 06 •••") for row in rows)


def test_a_worker_that_sees_the_events_of_a_test_call_finds_no_fault_in_them(
    asterisk: tuple[Live, AriPeer], session: Session
) -> None:
    """Events of calls that are nobody's are troubles on the dashboard; those of our tests are not."""
    live, _ = asterisk
    pbx = live.application.pbx("main")
    ref = f"{new_prefix()}-c1"
    for one in (ref, "dother-c1"):
        body = f'{{"type": "Dial", "dialstatus": "RINGING", "peer": {{"id": "{one}", "state": "Ringing"}}}}'.encode()
        session.add(LoggedEvent(pbx="main", ref=one, method="WS", query="", body=body))
        session.flush()
        reactions.react(session, pbx, one, None, now=NOW)
    rows = {row.ref: row.trouble for row in session.scalars(select(LoggedEvent))}
    assert rows == {ref: "", "dother-c1": reactions.NOBODYS}


def test_no_reference_of_an_installation_is_a_test_call_s(session: Session) -> None:
    prefix = session.scalar(text("SELECT prefix FROM installation WHERE id = 1")) or "d0a1b2c3d"
    assert not is_probe(f"{prefix}-c1")
    assert is_probe(f"{new_prefix()}-a12")
    assert not is_probe(None)


def test_at_a_terminal_the_words_must_be_typed(asterisk: tuple[Live, AriPeer], tmp_path: Path) -> None:
    """On a real terminal, in a process of its own: anything but the words calls nobody."""
    live, peer = asterisk
    url = live.application.engine.url.render_as_string(hide_password=False)
    section = live.application.settings.pbx["main"]
    (tmp_path / "a.toml").write_text(
        f'data_dir = "{tmp_path}"\n[database]\nurl = "{url}"\n[redis]\nurl = "redis://127.0.0.1:1/0"\n'
        f'[pbx.main]\nkind = "asterisk"\nurl = "{section.url}"\nuser = "{section.user}"\n'
        f'token_file = "{section.token_file}"\nagent_endpoints = ["agent*"]\n[pbx.main.trunks]\ntrunk = 30\n'
    )
    told = [one for one in live.arguments() if one != "--yes-these-are-mine"]
    argv = [sys.executable, "-m", "workers.command", "--config", str(tmp_path / "a.toml"), *told]
    mine, theirs = pty.openpty()
    child = subprocess.Popen(argv, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    os.close(theirs)
    os.write(mine, b"yes\n")
    _, said = child.communicate(timeout=150)
    os.close(mine)
    assert child.returncode == 1, said
    assert b"Type `these are mine`" in said
    assert b"nothing was called" in said
    assert placed(peer) == 0
