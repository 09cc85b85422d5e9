"""The shared client: what each answer means, limits, peers, keep-alive, and the last look."""

import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from dialer.errors import OutcomeUnknown, PbxNonsense, PbxRefused, PbxUnavailable, SettingsError
from dialer.pbx.http import MAX_ANSWER, PbxHttp, ReadRefused, SecretMissing, Unreadable
from dialer.pbx.sockets import objection
from dialer.settings import PbxSettings
from tests.pbx import scripted
from tests.pbx.scripted import ScriptedServer, reply

Open = Callable[..., PbxHttp]


@pytest.fixture
def client(pbx_settings: PbxSettings) -> PbxHttp:
    return PbxHttp("main", pbx_settings, environ={"TOKEN": "t0ken"})


@pytest.fixture
def hurried(pbx_settings: PbxSettings) -> PbxHttp:
    """A client that waits no longer than 0.6 seconds."""
    return PbxHttp("main", pbx_settings.model_copy(update={"timeout": 0.6}), environ={"TOKEN": "t0ken"})


def letters(body: bytes) -> str:
    """A parser that knows one language: the word `good`."""
    if body != b"good":
        raise Unreadable("it is not good")
    return "understood"


# what a status means when the body says nothing -----------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "command", "read"),
    [
        (200, OutcomeUnknown, PbxNonsense),
        (204, OutcomeUnknown, PbxNonsense),
        (301, PbxRefused, ReadRefused),
        (302, PbxRefused, ReadRefused),
        (303, OutcomeUnknown, ReadRefused),
        (307, PbxRefused, ReadRefused),
        (308, PbxRefused, ReadRefused),
        (400, PbxRefused, ReadRefused),
        (401, PbxRefused, ReadRefused),
        (403, PbxRefused, ReadRefused),
        (404, PbxRefused, ReadRefused),
        (408, OutcomeUnknown, ReadRefused),
        (425, OutcomeUnknown, ReadRefused),
        (429, PbxUnavailable, PbxUnavailable),
        (500, OutcomeUnknown, PbxUnavailable),
        (502, OutcomeUnknown, PbxUnavailable),
        (503, OutcomeUnknown, PbxUnavailable),
        (504, OutcomeUnknown, PbxUnavailable),
    ],
)
def test_each_status_without_a_readable_body_has_one_meaning(
    server: ScriptedServer, client: PbxHttp, status: int, command: type[Exception], read: type[Exception]
) -> None:
    server.now = reply("bad" if status != 204 else b"", status, "text/html", {"Location": "https://pbx.test/x?y=1"})
    with pytest.raises(command) as caught:
        client.command({"service": "x"}, letters)
    assert type(caught.value) is command
    assert len(server.requests) == 1
    with pytest.raises(read):
        client.read({"service": "x"}, letters)


@pytest.mark.parametrize("status", [200, 302, 400, 404, 500, 503])
def test_a_body_that_can_be_read_counts_whatever_the_status(
    server: ScriptedServer, client: PbxHttp, status: int
) -> None:
    server.now = reply("good", status, headers={"Location": "/elsewhere"})
    assert client.command({"service": "x"}, letters) == "understood"
    assert client.read({"service": "x"}, letters) == "understood"


def test_a_refused_read_is_both_a_refusal_and_nonsense_to_whoever_wanted_a_list(
    server: ScriptedServer, client: PbxHttp
) -> None:
    server.now = reply("bad", 403)
    with pytest.raises(PbxNonsense):
        client.read({}, letters)
    with pytest.raises(PbxRefused, match="token"):
        client.read({}, letters)


def test_a_redirect_names_where_it_leads_without_its_query_and_nobody_goes_there(
    server: ScriptedServer, client: PbxHttp
) -> None:
    elsewhere = ScriptedServer()
    server.now = reply("", 302, "text/html", {"Location": f"{elsewhere.url}?secret=1"})
    try:
        with pytest.raises(PbxRefused) as caught:
            client.command({"service": "x"}, letters)
        assert f"http://127.0.0.1:{elsewhere.port}, and redirects" in str(caught.value)
        assert "secret=1" not in str(caught.value)
        assert elsewhere.connections == 0
    finally:
        elsewhere.close()


def test_what_was_received_is_shown_short_and_inert(server: ScriptedServer, client: PbxHttp) -> None:
    server.now = reply(b"\x1b[31m<b>Log\r\nin</b>\x07" + b"x" * 500, 200, "text/html")
    with pytest.raises(OutcomeUnknown) as caught:
        client.command({}, letters)
    shown = str(caught.value)
    assert "[31m<b>Log in</b> xxx" in shown
    assert shown.isprintable()
    assert len(shown) < 250


# limits ---------------------------------------------------------------------------------------------------


def test_an_answer_of_just_the_limit_is_taken_and_one_byte_more_is_not(server: ScriptedServer, client: PbxHttp) -> None:
    server.now = reply(b"x" * MAX_ANSWER)
    assert client.read({}, len) == MAX_ANSWER
    server.now = reply(b"x" * (MAX_ANSWER + 1))
    with pytest.raises(PbxNonsense, match="1024 KiB"):
        client.read({}, len)


def test_a_compressed_answer_is_not_unpacked(server: ScriptedServer, client: PbxHttp) -> None:
    server.now = reply(b"\x1f\x8b whatever", headers={"Content-Encoding": "gzip"})
    with pytest.raises(PbxNonsense, match="compressed"):
        client.read({}, letters)
    assert server.requests[0].headers["accept-encoding"] == "identity"


def test_a_dripping_pbx_holds_a_worker_no_longer_than_the_time_out(server: ScriptedServer, hurried: PbxHttp) -> None:
    server.now = scripted.drip
    began = time.monotonic()
    with pytest.raises(OutcomeUnknown, match=r"within 0\.6 s"):
        hurried.command({}, letters)
    # The whole answer would take sixteen seconds.
    assert time.monotonic() - began < 12


def test_a_slow_pbx_is_not_asked_again(server: ScriptedServer, hurried: PbxHttp) -> None:
    server.now = scripted.silence
    with pytest.raises(PbxUnavailable):
        hurried.read({}, letters)
    assert len(server.requests) == 1


def test_a_read_is_asked_three_times_at_most(server: ScriptedServer, client: PbxHttp) -> None:
    server.now = scripted.cut
    with pytest.raises(PbxUnavailable):
        client.read({}, letters)
    assert len(server.requests) == 3


def test_reads_can_be_made_once_only(server: ScriptedServer, pbx_settings: PbxSettings) -> None:
    once = PbxHttp("main", pbx_settings, environ={"TOKEN": "t"}, retries=0)
    server.now = scripted.cut
    with pytest.raises(PbxUnavailable):
        once.read({}, letters)
    assert len(server.requests) == 1


def test_an_idle_connection_is_used_again(server: ScriptedServer, client: PbxHttp) -> None:
    server.now = reply("good")
    for _ in range(3):
        client.command({}, letters)
    assert server.connections == 1


def test_forty_threads_share_at_most_thirty_two_connections(server: ScriptedServer, pbx_settings: PbxSettings) -> None:
    client = PbxHttp("main", pbx_settings, environ={"TOKEN": "t"})
    everybody = threading.Barrier(32, timeout=30)
    late: list[int] = []

    def all_at_once(line: scripted.Line, request: scripted.Received) -> None:
        if len(server.requests) <= 32:
            everybody.wait()
        late.append(1)
        reply("good")(line, request)

    server.now = all_at_once
    threads = [threading.Thread(target=lambda: client.command({}, letters)) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(late) == 40
    assert server.connections == 32


def test_session_cookies_are_not_sent_back(server: ScriptedServer, client: PbxHttp) -> None:
    server.now = reply("good", headers={"Set-Cookie": "PHPSESSID=1; path=/"})
    client.command({}, letters)
    client.command({}, letters)
    assert "cookie" not in server.requests[1].headers


# the address ----------------------------------------------------------------------------------------------


def test_plain_http_to_another_machine_needs_a_word(pbx_settings: PbxSettings) -> None:
    away = pbx_settings.model_copy(update={"url": "http://pbx.example/PBX/seri_endpoint.php"})
    with pytest.raises(SettingsError, match=r"pbx\.main\.allow_http"):
        PbxHttp("main", away)
    PbxHttp("main", away.model_copy(update={"allow_http": True})).close()
    PbxHttp("main", away.model_copy(update={"url": "https://pbx.example/PBX/seri_endpoint.php"})).close()


def test_an_address_with_a_password_is_refused_without_repeating_it(pbx_settings: PbxSettings) -> None:
    with pytest.raises(SettingsError) as caught:
        PbxHttp("main", pbx_settings.model_copy(update={"url": "https://u:hunter2@pbx.example/x"}))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "loopback_only", "fine"),
    [
        ("127.0.0.1", True, True),
        ("::1", True, True),
        ("::ffff:127.0.0.1", True, True),
        ("192.0.2.10", True, False),
        ("192.0.2.10", False, True),
        ("10.0.0.5", False, True),
        ("169.254.169.254", False, False),
        ("::ffff:169.254.169.254", False, False),
        ("fe80::1%eth0", False, False),
        ("224.0.0.1", False, False),
        ("0.0.0.0", False, False),
        ("nonsense", False, False),
    ],
)
def test_the_peer_is_judged_by_its_address_when_connecting(address: str, loopback_only: bool, fine: bool) -> None:
    assert (objection(address, loopback_only=loopback_only) == "") is fine


def test_a_name_that_turns_out_to_lead_elsewhere_gets_no_request(
    server: ScriptedServer, pbx_settings: PbxSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dialer.pbx import sockets

    monkeypatch.setattr(sockets, "objection", lambda address, **_: f"its name leads to {address}")
    client = PbxHttp("main", pbx_settings, environ={"TOKEN": "t"}, retries=0)
    with pytest.raises(PbxUnavailable, match=r"its name leads to 127\.0\.0\.1"):
        client.command({}, letters)
    assert server.requests == []


def test_proxies_of_the_environment_are_not_used(
    server: ScriptedServer, client: PbxHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    server.now = reply("good")
    assert client.command({}, letters) == "understood"


def test_an_authority_of_the_operators_own_is_read_or_named(pbx_settings: PbxSettings, tmp_path: Path) -> None:
    missing = tmp_path / "none.pem"
    secured = pbx_settings.model_copy(update={"url": "https://pbx.example/x", "extra": {"ca_file": str(missing)}})
    with pytest.raises(SettingsError, match=r"extra\.ca_file"):
        PbxHttp("main", secured)
    missing.write_text("not a certificate")
    with pytest.raises(SettingsError, match=r"extra\.ca_file"):
        PbxHttp("main", secured)
    authorities = ssl.get_default_verify_paths().cafile
    if authorities and Path(authorities).exists():
        PbxHttp("main", secured.model_copy(update={"extra": {"ca_file": authorities}})).close()


def test_an_address_that_speaks_no_tls_is_never_sent_anything(
    server: ScriptedServer, pbx_settings: PbxSettings
) -> None:
    secured = pbx_settings.model_copy(update={"url": server.url.replace("http://", "https://")})
    hurried = PbxHttp("main", secured.model_copy(update={"timeout": 0.6}), environ={"TOKEN": "t"})
    with pytest.raises(PbxUnavailable):
        hurried.command({}, letters)
    assert server.requests == []


# the query and the secret ---------------------------------------------------------------------------------


def test_everything_but_letters_and_digits_is_percent_encoded(server: ScriptedServer, client: PbxHttp) -> None:
    server.now = reply("good")
    client.command({"number": "+39 06", "note": "a&b=c/ü"}, letters)
    assert server.requests[0].params == {"number": "+39 06", "note": "a&b=c/ü", "token": "t0ken"}
    assert server.requests[0].path == scripted.ENDPOINT


def test_arguments_already_in_the_address_stay(server: ScriptedServer, pbx_settings: PbxSettings) -> None:
    server.now = reply("good")
    fixed = pbx_settings.model_copy(update={"url": f"{server.url}?company=7"})
    PbxHttp("main", fixed, environ={"TOKEN": "t"}).command({"service": "x"}, letters)
    assert server.requests[0].params == {"company": "7", "service": "x", "token": "t"}


def test_a_missing_secret_names_its_variable_and_nothing_is_sent(
    server: ScriptedServer, pbx_settings: PbxSettings
) -> None:
    client = PbxHttp("main", pbx_settings, environ={})
    for send in (client.read, client.command):
        with pytest.raises(SecretMissing, match="TOKEN") as caught:
            send({}, letters)
        assert isinstance(caught.value, SettingsError)
        assert isinstance(caught.value, PbxUnavailable)
    assert server.connections == 0


def test_a_secret_in_a_file_can_be_changed_while_we_run(
    server: ScriptedServer, pbx_settings: PbxSettings, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    client = PbxHttp("main", pbx_settings.model_copy(update={"token_env": "", "token_file": str(file)}))
    server.now = reply("good")
    client.command({}, letters)
    file.write_text("second\n")
    client.command({}, letters)
    assert [request.params["token"] for request in server.requests] == ["first", "second"]


# the last look --------------------------------------------------------------------------------------------


def test_the_last_look_comes_after_the_connection_stands(server: ScriptedServer, client: PbxHttp) -> None:
    server.now = reply("good")
    seen: list[tuple[int, int]] = []

    def look() -> None:
        until = time.monotonic() + 20
        while server.connections == 0 and time.monotonic() < until:
            time.sleep(0.001)
        seen.append((server.connections, len(server.requests)))

    client.command({}, letters, before_send=look)
    assert seen == [(1, 0)]


def test_an_interrupt_during_a_request_passes_through_without_the_librarys_frames(pbx_settings: PbxSettings) -> None:
    class Interrupted(BaseException):
        pass

    def interrupted(_request: httpx.Request) -> httpx.Response:
        try:
            raise RuntimeError("https://pbx?token=t")
        except RuntimeError:
            raise Interrupted  # noqa: B904 - as it happens when a thread is interrupted in a handler

    client = PbxHttp("main", pbx_settings, environ={"TOKEN": "t"}, transport=httpx.MockTransport(interrupted))
    with pytest.raises(Interrupted) as caught:
        client.command({}, letters)
    files = [entry.path for entry in caught.traceback]
    assert not any("httpx" in str(file) for file in files)
    assert caught.value.__context__ is None


def test_anything_a_library_may_raise_leaves_a_command_unknown(pbx_settings: PbxSettings) -> None:
    def broken(_request: httpx.Request) -> httpx.Response:
        raise RuntimeError("a bug that repeats https://pbx?token=t")

    client = PbxHttp("main", pbx_settings, environ={"TOKEN": "t"}, transport=httpx.MockTransport(broken), retries=0)
    with pytest.raises(OutcomeUnknown, match="RuntimeError") as caught:
        client.command({}, letters)
    assert "token=t" not in str(caught.value)
    with pytest.raises(PbxUnavailable):
        client.read({}, letters)


def test_a_transport_from_outside_gets_the_whole_request_and_the_look_before_it(pbx_settings: PbxSettings) -> None:
    seen: list[str] = []

    def world(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(200, content=b"good")

    client = PbxHttp("main", pbx_settings, environ={"TOKEN": "t"}, transport=httpx.MockTransport(world))
    assert client.command({"a": "1"}, letters, before_send=lambda: seen.append("look")) == "understood"
    assert seen == ["look", f"{pbx_settings.url}?a=1&token=t"]
