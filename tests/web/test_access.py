import re
from collections.abc import Iterator

import pytest

from campaigns.application import Application
from campaigns.web.access import ABSOLUTE, IDLE, Access
from dialer.settings import WebSettings

from .conftest import Browser, at_host, browse

PAGES = ("/", "/campaigns/spring", "/api/v1/campaigns", "/api/v1/live", "/api/v1/openapi.json", "/words.json")


@pytest.fixture
def console() -> list[str]:
    """What the console shows."""
    return []


@pytest.fixture
def open_to_all(web: Application, console: list[str]) -> Iterator[Browser]:
    """A browser elsewhere, at a web process bound to every address."""
    elsewhere = at_host(web, host="0.0.0.0", public_url="http://dialer.example:8080")  # type: ignore[arg-type]
    with browse(
        elsewhere, address="http://dialer.example:8080", announce=console.append, comes_from="198.51.100.7"
    ) as browser:
        yield browser


def token(console: list[str]) -> str:
    found = re.search(r"once: (\S+)$", console[-1])
    assert found
    return found[1]


def test_on_this_machine_nobody_is_asked_for_anything(browser: Browser) -> None:
    assert [browser.get(path).status_code for path in ("/", "/api/v1/campaigns")] == [200, 200]
    assert "No token is needed" in browser.get("/enter").text


@pytest.mark.parametrize("path", PAGES)
def test_a_stranger_sees_no_page_and_no_number(open_to_all: Browser, path: str) -> None:
    answer = open_to_all.get(path)

    assert answer.status_code == 403
    assert "one-time token" in answer.text


def test_a_stranger_may_ask_whether_we_live_and_nothing_of_the_numbers(open_to_all: Browser) -> None:
    assert open_to_all.get("/healthz").status_code == 200
    assert open_to_all.get("/readyz").status_code == 200
    assert open_to_all.get("/metrics").status_code == 403


def test_the_token_of_the_console_opens_the_pages_once(open_to_all: Browser, console: list[str]) -> None:
    given = token(console)
    answer = open_to_all.post("/enter", data={"token": given})

    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert open_to_all.get("/").status_code == 200
    open_to_all.cookies.clear()
    assert open_to_all.post("/enter", data={"token": given}).status_code == 403
    assert len(console) == 2  # the next person's token
    assert open_to_all.post("/enter", data={"token": token(console)}).status_code == 303


def test_over_https_the_cookie_is_bound_to_the_host_and_to_https(web: Application, console: list[str]) -> None:
    published = at_host(web, public_url="https://dialer.example")
    with browse(published, address="https://dialer.example", announce=console.append) as browser:
        answer = browser.post("/enter", data={"token": token(console)})
        assert answer.headers["set-cookie"].startswith("__Host-dialer=")
        assert "Secure" in answer.headers["set-cookie"]
        assert "Path=/" in answer.headers["set-cookie"]
        assert "max-age" in browser.get("/").headers["strict-transport-security"]


def test_published_elsewhere_everybody_needs_a_token_also_through_a_proxy_on_this_machine(web: Application) -> None:
    published = at_host(web, public_url="https://dialer.example")
    for address in ("https://dialer.example", "http://127.0.0.1:8080"):
        with browse(published, address=address, comes_from="127.0.0.1") as browser:
            assert browser.get("/").status_code == 403


@pytest.mark.parametrize("wrong", ["", "guess", "x" * 500, "tok\u00e9n"])
def test_a_wrong_token_opens_nothing(open_to_all: Browser, wrong: str) -> None:
    answer = open_to_all.post("/enter", data={"token": wrong})

    assert answer.status_code in (400, 403)
    assert "set-cookie" not in answer.headers


def test_a_form_without_end_is_not_read(open_to_all: Browser) -> None:
    assert open_to_all.post("/enter", data={"token": "x" * 100_000}).status_code == 413


def test_after_ten_wrong_tokens_not_even_the_right_one_opens_for_a_minute(
    open_to_all: Browser, console: list[str]
) -> None:
    for _ in range(10):
        open_to_all.post("/enter", data={"token": "guess"})

    assert open_to_all.post("/enter", data={"token": token(console)}).status_code == 403


def test_a_form_on_another_page_signs_nobody_in(open_to_all: Browser, console: list[str]) -> None:
    answer = open_to_all.post("/enter", data={"token": token(console)}, headers={"origin": "https://elsewhere.example"})

    assert answer.status_code == 403
    assert len(console) == 1  # the token was not used up


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "null"}, 303),  # what browsers say of our own form, whose page names no referrer
        ({"origin": "null", "sec-fetch-site": "same-origin"}, 303),
        ({"origin": "http://dialer.example:8080"}, 303),
        ({"origin": "null", "sec-fetch-site": "cross-site"}, 403),
        ({"origin": "http://dialer.example:9999"}, 403),
    ],
)
def test_a_form_signs_in_as_browsers_send_it(
    open_to_all: Browser, console: list[str], headers: dict[str, str], status: int
) -> None:
    assert open_to_all.post("/enter", data={"token": token(console)}, headers=headers).status_code == status


@pytest.mark.parametrize("cookie", ["dialer_session=guess", "dialer_session=", "dialer_session", "=;;=\x7f"])
def test_a_cookie_of_ones_own_making_opens_nothing(open_to_all: Browser, cookie: str) -> None:
    assert open_to_all.get("/", headers={"cookie": cookie}).status_code == 403


def test_a_session_ends_when_idle_and_at_the_latest_after_half_a_day() -> None:
    now, console = [0.0], list[str]()
    access = Access(WebSettings(host="0.0.0.0"), announce=console.append, monotonic=lambda: now[0])
    access.open_door()
    idle = access.enter(token(console))
    busy = access.enter(token(console))
    assert idle is not None
    assert busy is not None
    while now[0] < ABSOLUTE:
        assert access.session_holds(busy)
        now[0] += IDLE / 2

    assert not access.session_holds(idle)
    now[0] += 1
    assert not access.session_holds(busy)


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "192.168.1.7", "", "127.0.0.1, evil.example", "[::1"]
)
def test_a_name_that_somebody_pointed_at_us_shows_nothing(browser: Browser, host: str) -> None:
    answer = browser.get("/", headers={"host": host})

    assert answer.status_code == 421
    assert "web.public_url" in answer.text


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "[::1]:8080", "LOCALHOST"])
def test_the_names_of_this_machine_are_ours(browser: Browser, host: str) -> None:
    assert browser.get("/", headers={"host": host}).status_code == 200


def test_bound_to_an_address_it_answers_to_addresses_and_its_public_name(open_to_all: Browser) -> None:
    statuses = {
        host: open_to_all.get("/enter", headers={"host": host}).status_code
        for host in ("dialer.example:8080", "192.0.2.7:8080", "evil.example")
    }

    assert statuses == {"dialer.example:8080": 200, "192.0.2.7:8080": 200, "evil.example": 421}


def test_a_console_that_shows_no_token_was_asked_for_none(web: Application, console: list[str]) -> None:
    with browse(web, announce=console.append):
        pass

    assert console == []
