"""What only a browser shows: scripts that run, pages that fit a phone, a sign-in as browsers send it."""

import shutil
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns import pools
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.importing import run_import, waiting_imports
from campaigns.models import Campaign, CampaignPbx, PbxStatus
from tests import factories

from .conftest import Running, at_host, serve

pytestmark = pytest.mark.browser
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
BROKEN = "Tel;Nome\n" + "".join(f"{'3,93E+11' if n % 9 == 0 else f'06{90000000 + n}'};Anna{n}\n" for n in range(300))
WIDTHS = {"phone": 390, "desk": 1366}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="pip install -e .[browser]")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*QUIET, "--host-resolver-rules=MAP dialer.example 127.0.0.1"]
        )
        yield browser
        browser.close()


@pytest.fixture
def spring(web: Application, session: Session) -> Iterator[Running]:
    factories.campaign(session, name="spring & co", state="paused")
    session.commit()
    with serve(web) as running:
        yield running


@pytest.fixture
def worker(web: Application) -> Iterator[None]:
    """Somebody who runs the imports that wait."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.2):
            with web.transaction() as session:
                now = database_now(session)
                ids = waiting_imports(session, now)
            for one in ids:
                run_import(web.sessions, one, now=now, clock=web.clock)

    thread = threading.Thread(target=work)
    thread.start()
    yield
    over.set()
    thread.join(20)


def opened(chromium: Any, width: int = 1366, **options: Any) -> tuple[Any, list[str]]:
    """A page, and what it complains of."""
    page = chromium.new_context(viewport={"width": width, "height": 900}, **options).new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: (complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    return page, complaints


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "plain"])
def test_a_file_goes_its_three_steps(chromium: Any, spring: Running, worker: None, width: int, scripts: bool) -> None:
    page, complaints = opened(chromium, width, java_script_enabled=scripts)
    base = f"http://127.0.0.1:{spring.port}/campaigns/spring%20%26%20co"

    def fits() -> None:
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{page.url} is {wide} wide"

    for path in ("", "/lists", "/callbacks", "/lists/upload"):
        page.goto(base + path)
        fits()
    page.set_input_files("#file", {"name": "broken.csv", "mimeType": "text/csv", "buffer": BROKEN.encode()})
    page.click("button[type=submit]")
    page.wait_for_url("**/uploads/**")
    fits()
    assert "34 of 300 rows cannot be imported" in page.inner_text(".verdict")
    page.select_option('select[name="column.Nome"]', "company")
    if not scripts:
        page.click('.actions button[value="look"]')
    page.wait_for_url("**column.Nome=company**")
    page.click('.verdict button[value="import"]')
    page.wait_for_url("**/lists/*")
    page.wait_for_selector("text=266 of 300 rows were imported", timeout=15_000)
    fits()
    with page.expect_download() as saved:
        page.click("text=Save the rows not taken")
    assert saved.value.suggested_filename.startswith("rejected-")
    page.click("text=Take it back")
    fits()
    page.click("button.danger")
    assert "266 contacts removed" in page.inner_text(".verdict")
    assert complaints == []


def test_the_bar_above_the_ceiling_has_the_colour_of_its_words(chromium: Any, spring: Running) -> None:
    page, _ = opened(chromium)
    page.goto(f"http://127.0.0.1:{spring.port}/campaigns/spring%20%26%20co")
    for level, same in (("good", False), ("bad", True)):
        bar, words = page.evaluate(
            """level => {
                const words = document.querySelector('[data-k="abandonment_left"]');
                words.dataset.level = level;
                const bar = document.querySelector(".meter-fill");
                return [getComputedStyle(bar).fill, getComputedStyle(words).color];
            }""",
            level,
        )
        assert (bar == words) is same


def test_what_cannot_be_taken_is_said_before_it_is_sent(chromium: Any, spring: Running) -> None:
    page, complaints = opened(chromium)
    page.goto(f"http://127.0.0.1:{spring.port}/campaigns/spring%20%26%20co/lists/upload")
    for name, content, told in (("a.csv", b"", "is empty"), ("book.xlsx", b"PK", "save it as “CSV UTF-8”")):
        page.set_input_files("#file", {"name": name, "mimeType": "text/csv", "buffer": content})
        assert told in page.inner_text("#trouble")
    page.set_input_files("#file", {"name": "a.csv", "mimeType": "text/csv", "buffer": b"PK\x03\x04" + b"x" * 99})
    page.click("button[type=submit]")
    page.wait_for_selector("#trouble-words:has-text('spreadsheet workbook')")
    assert len(complaints) == 1  # the browser tells the 415 itself
    assert "/lists/upload" in page.url


def test_a_sign_in_over_plain_http_as_browsers_send_it(chromium: Any, web: Application, session: Session) -> None:
    """Our pages name no referrer, so the browser gives the form's origin as `null`."""
    factories.campaign(session, name="spring", state="paused")
    session.commit()
    console: list[str] = []
    published = at_host(web, public_url="http://dialer.example")
    with serve(published, announce=console.append) as running:
        page, _ = opened(chromium)
        page.goto(f"http://dialer.example:{running.port}/enter")
        page.fill("#token", console[-1].rpartition(" ")[2])
        page.click("button[type=submit]")
        page.wait_for_selector("text=Campaigns")
        page.goto(f"http://dialer.example:{running.port}/campaigns/spring/lists/upload")
        page.set_input_files("#file", {"name": "a.csv", "mimeType": "text/csv", "buffer": b"Tel\n0612345678\n"})
        page.click("button[type=submit]")
        page.wait_for_url("**/uploads/**")
        page.click('.actions button[value="throw"]')
        page.wait_for_selector("text=No lists yet")
        assert "0612345678" not in page.content()


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "plain"])
def test_an_outage_makes_no_tile_taller_and_its_reason_is_shown_on_hover(
    chromium: Any, spring: Running, session: Session, width: int, scripts: bool
) -> None:
    of = session.scalars(select(Campaign)).one()
    now = database_now(session)
    pools.add(session, of, "second", who="test", now=now)
    for name in ("main", "second"):
        factories.lines(session, name, read_at=now)
    session.commit()
    page, complaints = opened(chromium, width, java_script_enabled=scripts)

    def look() -> tuple[float, str]:
        page.goto(f"http://127.0.0.1:{spring.port}/campaigns/spring%20%26%20co")
        page.wait_for_selector('[data-k="pbx_second"]')
        height = page.locator("section[aria-labelledby=t-lines]").evaluate("tile => tile.scrollHeight")
        return height, page.inner_text('[data-k="pbx_second"]')

    before, said = look()
    assert said == "0 of 30 busy"
    row = session.get_one(PbxStatus, "second")
    row.out_since, row.out_why = now, "it cannot be reached: connection refused by 192.0.2.7 port 8089 (tried 3 times)"
    session.commit()
    after, said = look()
    if scripts:  # whoever follows along is told the same
        page.wait_for_selector('[data-k=pbx_second][title*="refused"]', state="attached")
    assert said == "out of use"
    assert after <= before
    sentence = page.get_attribute('[data-k="pbx_second"]', "title")
    assert sentence == f"out of use since {now:%H:%M:%S} UTC: {row.out_why}; 0 calls, 0 of 30 lines busy"
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert complaints == []


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_a_campaign_of_two_pbxes_says_whose_each_agent_is_and_what_of_the_lost_one_counts(
    chromium: Any, web: Application, session: Session, width: int
) -> None:
    """As the server writes it, and as the page writes it anew a moment later."""
    of = factories.campaign(session, name="spring")
    for position, name in enumerate(("main", "north")):
        factories.lines(session, name)
        session.add(CampaignPbx(campaign_id=of.id, pbx=name, position=position, role="pool"))
        factories.agent(session, of, pbx=name, name="Ada Rossi", extension="201")
    now = database_now(session)
    factories.attempt(session, of, pbx="north", ordered_at=now, sent_at=now)
    session.execute(text("UPDATE pbx_status SET read_at = clock_timestamp()"))
    session.execute(text("UPDATE pbx_status SET out_since = read_at, out_why = 'refused' WHERE pbx = 'north'"))
    session.commit()
    with serve(web) as running:
        page, complaints = opened(chromium, width)
        page.goto(f"http://127.0.0.1:{running.port}/campaigns/spring")
        for _ in range(2):
            people = page.inner_text('[data-k="people"]')
            assert "201 main" in people
            assert "201 north" in people
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            page.wait_for_selector('[data-k=people] tr:first-child[class^="long-"]', state="attached")
        told = page.inner_html("main")
        assert "out of use since" in told
        assert "1 call out of sight, 1 counted as lines in use" in told
        assert complaints == []
