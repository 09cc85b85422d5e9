import json
import logging
import socket
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest

from campaigns.application import Application
from campaigns.event_log import connection_string
from campaigns.web import protocol, webhooks
from campaigns.web.admission import GUESSES, Admission, Refusal
from dialer.errors import SettingsError
from dialer.settings import PbxSettings, Settings
from tests.waiting import until

from .conftest import OTHER, PREVIOUS, SECRET, Bell, Running, serve

HOOK = f"/webhooks/main/{SECRET}"


def test_an_event_in_the_query_is_logged_and_answered_with_an_empty_body(running: Running) -> None:
    answer = running.get(f"{HOOK}?event=4&event_name=call_response&extid=d-c7&call_id=9001&who=Jos%C3%A9")

    assert (answer.status, answer.body) == (200, b"")
    (event,) = running.events()
    assert (event.pbx, event.method, event.ref, event.call_id) == ("main", "GET", "d-c7", "9001")
    assert event.query == "event=4&event_name=call_response&extid=d-c7&call_id=9001&who=Jos%C3%A9"
    assert event.handled_at is None


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (urlencode({"extid": "d-c8", "call_id": "9002"}).encode(), "application/x-www-form-urlencoded"),
        (json.dumps({"extid": "d-c8"}).encode(), "application/json"),
        (b"\x00\xff neither of them", "application/octet-stream"),
        (b"", "text/plain"),
    ],
)
def test_an_event_in_a_body_is_logged_byte_for_byte_whatever_it_is(
    running: Running, body: bytes, content_type: str
) -> None:
    answer = running.ask("POST", HOOK, body, {"content-type": content_type})

    assert answer.status == 200
    (event,) = running.events()
    assert (event.method, event.body, event.content_type) == ("POST", body, content_type)


def test_whoever_may_not_speak_learns_nothing_and_leaves_no_event(running: Running) -> None:
    wrong = [
        f"/webhooks/main/{SECRET[:-1]}",
        f"/webhooks/main/{SECRET}x",
        f"/webhooks/main/{OTHER}",
        f"/webhooks/nobody/{SECRET}",
        f"/webhooks/mute/{SECRET}",
        f"/webhooks/far/{OTHER}",  # the right secret from the wrong address
        "/webhooks/main/%00%ff",
    ]

    answers = [running.get(path + "?extid=d-c1") for path in wrong]

    assert {(answer.status, answer.body) for answer in answers} == {(404, b"Not found.\n")}
    assert running.events() == []
    assert running.number('dialer_events_refused_total{reason="wrong_secret"}') == 4
    assert running.number('dialer_events_refused_total{reason="source_not_allowed"}') == 1
    assert running.number('dialer_events_refused_total{reason="unknown_pbx"}') == 2


def test_a_forwarded_address_is_not_believed(running: Running) -> None:
    forged = {
        "x-forwarded-for": "192.0.2.10",
        "forwarded": "for=192.0.2.10",
        "x-real-ip": "192.0.2.10",
    }

    assert running.ask("GET", f"/webhooks/far/{OTHER}?extid=d-c1", headers=forged).status == 404
    assert running.events() == []


def test_a_trailing_slash_does_not_send_the_secret_around(running: Running) -> None:
    answer = running.get(HOOK + "/")

    assert answer.status == 404
    assert SECRET not in str(answer)


def test_the_secret_of_before_is_good_while_it_is_being_changed(running: Running) -> None:
    assert running.get(f"/webhooks/main/{PREVIOUS}?extid=d-c1").status == 200


def test_a_new_secret_in_the_file_is_taken_without_a_restart(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = "the-secret-the-main-pbx-gets-now-0"
    assert running.get(HOOK).status == 200
    assert running.get(f"/webhooks/main/{new}").status == 404
    (tmp_path / "main.secret").write_text(new)

    until(lambda: running.get(f"/webhooks/main/{new}").status == 200)
    assert running.get(HOOK).status == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD", "OPTIONS"])
def test_events_come_by_get_or_post_only(running: Running, method: str) -> None:
    answer = running.ask(method, HOOK)

    assert (answer.status, answer.headers["allow"]) == (405, "GET, POST")
    assert running.events() == []


def test_a_body_may_be_as_large_as_the_limit_and_no_larger(running: Running) -> None:
    assert running.ask("POST", HOOK, b"x" * webhooks.MAX_BODY).status == 200

    for body in (b"x" * (webhooks.MAX_BODY + 1), b"x" * 1_500_000):
        answer = running.ask("POST", HOOK, body)
        assert (answer.status, answer.body) == (413, b"The body is larger than 64 KiB; no event of a PBX is.\n")

    assert [len(event.body) for event in running.events()] == [webhooks.MAX_BODY]
    assert running.number('dialer_events_refused_total{reason="body_too_large"}') == 2


def test_a_query_may_be_as_long_as_the_limit_and_no_longer(running: Running) -> None:
    assert running.get(f"{HOOK}?{'x' * webhooks.MAX_QUERY}").status == 200

    answer = running.get(f"{HOOK}?{'x' * (webhooks.MAX_QUERY + 1)}")

    assert (answer.status, answer.body) == (414, b"The query is longer than 16 KiB; no event of a PBX is.\n")
    assert len(running.events()) == 1


def test_a_query_of_a_megabyte_is_answered_with_a_sentence_and_not_kept_in_memory(running: Running) -> None:
    answer = running.get(f"{HOOK}?{'x' * 1_000_000}")

    assert answer.status == 414
    assert b"no request to this server is" in answer.body
    assert running.get(HOOK).status == 200


def test_headers_without_end_are_refused(running: Running) -> None:
    answer = running.ask("GET", HOOK, headers={"x-long": "x" * 200_000})

    assert (answer.status, answer.body) == (431, b"The headers are longer than 64 KiB.\n")


def test_a_request_that_does_not_come_is_not_waited_for(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.1)
    for begun in (b"", b"GET /webho"):
        with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
            connection.sendall(begun)
            answer = connection.recv(1000)
            assert answer.startswith(b"HTTP/1.1 408") if begun else answer == b""


def test_a_body_that_does_not_come_is_not_waited_for(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "_BODY_SECONDS", 0.1)
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
        connection.sendall(f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 408")
    assert running.events() == []


def test_many_requests_on_one_connection_are_each_answered_once(running: Running) -> None:
    request = f"GET {HOOK}?extid=d-c%d HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
        connection.sendall("".join(request % number for number in range(20)).encode())  # all at once
        answers = b""
        while answers.count(b"HTTP/1.1 200") < 20:
            got = connection.recv(65536)
            assert got
            answers += got

    assert [event.ref for event in running.events()] == [f"d-c{number}" for number in range(20)]


def test_the_doorbell_rings_after_the_commit_for_the_call_of_the_event(running: Running, bell: Bell) -> None:
    running.get(f"{HOOK}?extid=d-c7&call_id=9001")

    until(lambda: bell.looks == [("main", "d-c7", "9001")])
    assert [event.ref for event in running.events()] == ["d-c7"]


def test_an_event_nobody_waits_for_is_logged_and_does_not_ring(running: Running, bell: Bell) -> None:
    running.get(f"{HOOK}?event_name=call_progress&extid=d-c7")
    running.get(f"{HOOK}?event_name=call_response&extid=d-c8")

    until(lambda: bell.looks == [("main", "d-c8", None)])
    assert [(event.ref, event.can_wait) for event in running.events()] == [("d-c7", True), ("d-c8", False)]


def test_a_doorbell_that_hangs_or_fails_costs_no_reply(running: Running, bell: Bell) -> None:
    bell.held, bell.broken = threading.Event(), True

    assert [running.get(f"{HOOK}?extid=d-c{number % 3}").status for number in range(12)] == [200] * 12
    bell.held.set()

    until(lambda: running.number("dialer_doorbell_lost_total") >= 4)
    assert len(bell.looks) <= 6  # a call that waits to be rung is rung once
    assert len(running.events()) == 12


def test_a_database_that_is_away_is_never_answered_200(web: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("campaigns.web.app.connection_string", lambda engine: "postgresql://dialer@127.0.0.1:9/no")
    with serve(web) as running:
        answer = running.get(HOOK)

        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert b"was not logged" in answer.body
        assert running.number('dialer_events_refused_total{reason="not_written"}') == 1


def test_events_that_were_cut_off_from_the_database_are_logged_when_it_is_back(running: Running) -> None:
    running.get(f"{HOOK}?extid=d-c1")
    with psycopg.connect(connection_string(running.application.engine), autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'dialer event log' AND datname = current_database()"
        )

    assert running.get(f"{HOOK}?extid=d-c2").status == 200
    assert [event.ref for event in running.events()] == ["d-c1", "d-c2"]


def test_no_secret_is_in_any_log_line_or_number(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    running.get(f"{HOOK}?extid=d-c1")
    running.get(f"/webhooks/far/{OTHER}")
    running.get(f"/webhooks/main/{OTHER}")
    running.ask("POST", HOOK, b"x" * 100_000)
    running.get(f"{HOOK}?{'x' * 100_000}")
    running.ask("BREW", HOOK)

    told = caplog.text + running.get("/metrics").body.decode()

    assert "turned away" in told
    for secret in (SECRET, PREVIOUS, OTHER):
        assert secret not in told


def test_turning_the_same_away_again_and_again_is_logged_once_in_a_while(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(50):
        running.get("/webhooks/main/guess")

    assert sum("turned away" in record.getMessage() for record in caplog.records) == 1


# Who may speak, without HTTP ------------------------------------------------------------------------------


def admission(pbx_settings: dict[str, PbxSettings], now: list[float], **settings: Any) -> Admission:
    return Admission(Settings(pbx=pbx_settings, **settings), monotonic=lambda: now[0])


@pytest.fixture
def _previous(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_PREVIOUS_SECRET", PREVIOUS)


@pytest.mark.usefixtures("_previous")
def test_an_address_that_guesses_is_not_even_listened_to_for_a_while(pbx_settings: dict[str, PbxSettings]) -> None:
    now = [0.0]
    door = admission(pbx_settings, now)
    verdicts = [door.judge("main", f"guess {number}", "127.0.0.1") for number in range(100_000)]

    assert verdicts.count(Refusal.SECRET) == GUESSES
    assert verdicts.count(Refusal.GUESSING) == 100_000 - GUESSES
    assert door.judge("main", SECRET, "127.0.0.1") is Refusal.GUESSING
    now[0] += 61
    assert door.judge("main", SECRET, "127.0.0.1") is None


@pytest.mark.usefixtures("_previous")
def test_a_pbx_that_showed_its_secret_is_not_shut_out_by_a_forgotten_second_hook(
    pbx_settings: dict[str, PbxSettings],
) -> None:
    door = admission(pbx_settings, [0.0])
    door.judge("main", SECRET, "127.0.0.1")
    for number in range(GUESSES * 2):
        door.judge("main", f"guess {number}", "127.0.0.1")

    assert door.judge("main", SECRET, "127.0.0.1") is None


@pytest.mark.usefixtures("_previous")
@pytest.mark.parametrize(
    ("address", "verdict"),
    [
        ("192.0.2.10", None),
        ("::ffff:192.0.2.10", None),
        ("192.0.2.11", Refusal.SOURCE),
        ("127.0.0.1", Refusal.SOURCE),
        ("", Refusal.SOURCE),
        ("not an address", Refusal.SOURCE),
    ],
)
def test_a_pbx_speaks_from_its_own_addresses_only(
    pbx_settings: dict[str, PbxSettings], address: str, verdict: Refusal | None
) -> None:
    assert admission(pbx_settings, [0.0]).judge("far", OTHER, address) is verdict


def test_a_short_secret_is_refused_where_others_can_reach_us(tmp_path: Path) -> None:
    (tmp_path / "short").write_text("1234")
    values: dict[str, Any] = {"url": "http://127.0.0.1:9/", "webhook_secret_file": str(tmp_path / "short")}

    Admission(Settings(pbx={"here": PbxSettings(**values)}))
    with pytest.raises(SettingsError, match=r"pbx\.far\.webhook_secret: the secret has 4 characters"):
        Admission(Settings(pbx={"far": PbxSettings(**values, webhook_allow=("192.0.2.0/24",))}))
    with pytest.raises(SettingsError, match="4 characters"):
        Admission(Settings(env="production", pbx={"here": PbxSettings(**values)}))


def test_an_empty_allow_list_is_a_mistake_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    pbx = PbxSettings(url="http://127.0.0.1:9/", webhook_secret_file=str(tmp_path / "secret"), webhook_allow=())

    with pytest.raises(SettingsError, match=r"pbx\.main\.webhook_allow is empty"):
        Admission(Settings(pbx={"main": pbx}))
