import http.client
import json
import re
import time
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import Campaign, PaceDecision, PbxStatus, ProcessBeat
from campaigns.tallies import Abandonment, Window
from campaigns.web import templating
from dialer.abandonment import Budget
from dialer.calls import CallState
from tests import factories
from tests.waiting import until

from .conftest import Browser, Running, browse, serve

HOSTILE = "<script>alert(1)</script>\"'&{{7*7}}"


class Page(HTMLParser):
    """The texts of a page by their data-k, and every tag with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "br", "input", "rect"):
            self._open.append(dict(attrs).get("data-k") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("rect", "br"):
            self._open.pop()

    def handle_data(self, data: str) -> None:
        for key in filter(None, self._open):
            self.texts[key] = " ".join((self.texts.get(key, "") + data).split())


@pytest.fixture
def spring(session: Session) -> Campaign:
    """A campaign with something of everything, as of now."""
    now = database_now(session)
    made = factories.campaign(session, name="spring & co", mode="predictive", max_lines=40)
    for state in ("talking", "talking", "parked"):
        factories.agent(session, made, state=state, since=now - timedelta(seconds=75))
    factories.agent(session, made, name=HOSTILE, state="paused", reason=HOSTILE, since=now)
    for state in (CallState.RINGING, CallState.HELD, CallState.JOINED, CallState.JOINED):
        factories.attempt(session, made, state=state, ordered_at=now)
    for state in (CallState.BUSY, CallState.NO_ANSWER, CallState.NO_ANSWER):
        factories.attempt(session, made, state=state, ordered_at=now)
    for _ in range(99):
        factories.attempt(
            session,
            made,
            state=CallState.COMPLETED,
            ordered_at=now,
            answered_at=now,
            join_sent_at=now + timedelta(seconds=0.085),
            joined_at=now + timedelta(seconds=0.1),
            left_at=now + timedelta(seconds=60.1),
        )
    factories.attempt(session, made, state=CallState.ABANDONED, ordered_at=now, answered_at=now)
    gateway = {"id": "4", "name": "trunk", "enabled": True, "registered": True, "lines": 30, "busy_lines": 4}
    session.add(PbxStatus(pbx="main", read_at=now, gateways=[gateway], trouble=HOSTILE, trouble_at=now))
    session.add(
        PaceDecision(
            campaign_id=made.id,
            decided_at=now,
            until_at=now,
            calls=3,
            ordered=2,
            why=f"3: one waits {HOSTILE}",
            snapshot={},
            limits={},
            fence=1,
        )
    )
    for kind in ("web", "worker", "scheduler"):
        session.add(ProcessBeat(name=f"{kind}:h:1", kind=kind, started_at=now, beat_at=now))
    session.commit()
    return made


def test_a_campaign_page_answers_with_the_numbers_of_now(browser: Browser, spring: Campaign) -> None:
    page = Page(browser.get("/campaigns/spring%20%26%20co").text)

    told = page.texts
    assert told["state"] == "▶ running"
    assert (told["agents_at_work"], told["agents_total"]) == ("4", "4")
    assert (told["calls_open"], told["calls_ringing"], told["calls_waiting"], told["calls_talking"]) == (
        ("4", "1", "1", "2")
    )
    assert (told["lines_free"], told["lines_total"], told["lines_limit"]) == ("26", "30", "40")
    assert (told["abandonment_rate"], told["abandonment_ceiling"]) == ("1.0 %", "3.0 %")
    assert told["abandonment_left"] == "✓ 2 more may be abandoned (1 so far)"
    assert (told["join_p50"], told["join_p99"]) == ("85 ms", "85 ms")
    assert (told["pace_calls"], told["pace_why"][:9]) == ("3", "one waits")
    assert told["outcomes"].startswith("talked to an agent99")
    assert "next_step" not in told
    assert re.search(r"talking[12] min \d+ s", told["people"])  # 75 s when the rows were made


def test_what_others_wrote_stays_text(browser: Browser, spring: Campaign) -> None:
    for path in ("/", "/campaigns/spring%20%26%20co"):
        page = Page(browser.get(path).text)

        assert all(tag != "script" or attributes.get("src") for tag, attributes in page.tags)
        assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
        assert HOSTILE.replace("  ", " ") in page.texts["troubles"]


def test_every_page_tells_the_browser_to_be_careful(browser: Browser, spring: Campaign) -> None:
    for path in ("/", "/campaigns/spring%20%26%20co", "/nowhere", "/static/live.js", "/api/v1/campaigns", "/enter"):
        headers = browser.get(path).headers

        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == ("no-cache" if path.startswith("/static") else "no-store")


def test_pages_load_only_files_of_ours_that_are_there(browser: Browser, spring: Campaign) -> None:
    files = set()
    for path in ("/", "/campaigns/spring%20%26%20co", "/enter", "/nowhere"):
        for _, attributes in Page(browser.get(path).text).tags:
            files |= {value for name, value in attributes.items() if name in ("src", "href") and value}
    for path in sorted(file for file in files if file.startswith("/static/")):
        answer = browser.get(path)
        assert answer.status_code == 200, path
        files |= {f"/static/{name}" for name in re.findall(r'from "\./([a-z]+\.js)"', answer.text)}

    assert all(file.startswith(("/", "#")) and not file.startswith("//") for file in files)
    assert all(browser.get(file).status_code == 200 for file in files if file.startswith("/"))


def test_the_browser_writes_to_places_the_page_has(browser: Browser, spring: Campaign) -> None:
    places = set(Page(browser.get("/campaigns/spring%20%26%20co").text).texts)
    html = browser.get("/campaigns/spring%20%26%20co").text
    places |= set(re.findall(r'data-k="([a-z_0-9]+)"', html))
    script = (templating.STATIC / "campaign.js").read_text() + (templating.STATIC / "system.js").read_text()
    written = set(re.findall(r"^\s+([a-z_0-9]+): ", script, re.MULTILINE)) - {"class", "at"}
    written |= set(re.findall(r'replace\((?:root|document), "([a-z_]+)"', script))
    chart = {"talking", "ringing", "waiting", "agents"}

    assert len(written - chart) > 35
    assert written - chart - places == set()


def test_no_campaign_yet_says_what_to_do_first(browser: Browser) -> None:
    page = browser.get("/")

    assert "No campaigns yet" in page.text
    assert "make demo" in page.text
    assert "dialer campaign create" in page.text


def test_a_draft_says_what_its_next_step_is(browser: Browser, session: Session) -> None:
    factories.campaign(session, name="autumn", state="draft")
    session.commit()

    assert "<code>dialer list import autumn FILE.csv</code>" in browser.get("/campaigns/autumn").text


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/campaigns/sprnig", 404, "There is no campaign named"),
        ("/campaigns/nobody%00", 404, "There is no campaign named"),
        ("/nowhere", 404, "There is no such page"),
        ("/static/nowhere.js", 404, "There is no such page"),
        ("/static/../app.py", 404, "There is no such page"),
        ("/campaigns/spring/lists/abc", 404, "There is no such page"),
        ("/static/..%2fapp.py", 404, "There is no such page"),
    ],
)
def test_what_is_not_there_is_said_with_a_way_on(browser: Browser, path: str, status: int, sentence: str) -> None:
    answer = browser.get(path)

    assert answer.status_code == status
    assert sentence in answer.text
    assert 'href="/"' in answer.text


def test_an_api_fault_is_json(browser: Browser) -> None:
    answer = browser.get("/api/v1/campaigns/sprnig")

    assert answer.status_code == 404
    assert "there is no campaign named" in answer.json()["error"]
    assert browser.get(f"/api/v1/live?campaign={'x' * 300}").json() == {
        "error": "A value of the address cannot be used: campaign.",
        "kind": "bad_input",
        "where": ["campaign"],
        "remedy": "/api/v1/openapi.json describes what fits. Nothing was changed.",
    }


def test_a_database_of_another_version_is_a_sentence_with_the_remedy(browser: Browser, session: Session) -> None:
    session.execute(text("DROP TABLE pace_decisions CASCADE"))
    session.commit()

    answer = browser.get("/")

    assert answer.status_code == 503
    assert "<code>dialer db upgrade</code>" in answer.text


def test_a_fault_nobody_foresaw_shows_a_reference_and_nothing_of_the_inside(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("postgresql://user:canary@host")

    monkeypatch.setattr("campaigns.web.stream.live_state", broken)
    answer = browser.get("/")

    assert answer.status_code == 500
    assert "under the reference" in answer.text
    assert "canary" not in answer.text
    assert "Traceback" not in answer.text


def test_the_api_shows_what_the_page_shows(browser: Browser, spring: Campaign) -> None:
    state = browser.get("/api/v1/campaigns/spring%20%26%20co").json()
    (campaign,) = state["campaigns"]

    assert campaign["calls"]["talking"] == 2
    assert campaign["abandonment"]["calls_left"] == 2
    assert [one["name"] for one in browser.get("/api/v1/campaigns").json()] == ["spring & co"]
    moments = browser.get("/api/v1/campaigns/spring%20%26%20co/moments").json()
    assert len(moments) == 121
    assert set(moments[0]) == {"at", "ringing", "waiting", "talking"}


def test_the_api_describes_itself(browser: Browser) -> None:
    paths = browser.get("/api/v1/openapi.json").json()["paths"]

    assert {"/api/v1/campaigns", "/api/v1/live", "/api/v1/campaigns/{name}/moments"} < set(paths)
    assert {"/api/v1/campaigns/{name}/why", "/api/v1/campaigns/{name}/why/{contact}"} < set(paths)
    assert all(path.startswith("/api/v1/") for path in paths)
    assert all(told.get("summary") for path in paths.values() for told in path.values())


def test_python_and_the_browser_write_numbers_in_the_same_words(browser: Browser) -> None:
    script = (templating.STATIC / "format.js").read_text()
    for words in ("more may be abandoned", "none to spare until", "above the ceiling until", "nobody has answered yet"):
        assert words in script
    assert json.loads(browser.get("/words.json").text)["outcome"] == templating.OUTCOMES
    assert set(templating.OUTCOMES) == {str(state) for state in CallState if state in _final()}


def _final() -> tuple[CallState, ...]:
    from dialer.calls import FINAL

    return FINAL


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "–"), (0, "0 s"), (59.9, "59 s"), (65, "1 min 05 s"), (3600, "1 h 00 min"), (7860, "2 h 11 min")],
)
def test_a_duration_is_written_for_people(value: float | None, words: str) -> None:
    assert templating.duration(value).replace("\u00a0", " ") == words


@pytest.mark.parametrize(
    ("abandoned", "met", "level", "words"),
    [
        (0, 0, "good", "○ nobody has answered yet"),
        (0, 100, "good", "✓ 3 more may be abandoned (0 so far)"),
        (3, 100, "warn", "■ none to spare until 30 more people were met"),
        (4, 100, "bad", "▲ above the ceiling until 62 more people were met"),
    ],
)
def test_what_the_ceiling_leaves_is_said_in_words(abandoned: int, met: int, level: str, words: str) -> None:
    budget = Budget(abandoned, met, 0.03)
    window = Window("last 24 h", factories.NOW, factories.NOW)
    spent = Abandonment(window, 0.03, abandoned, met, budget.rate, budget.over, budget.left, budget.to_meet)

    assert (templating.abandonment_level(spent), templating.abandonment_words(spent)) == (level, words)
    detecting = templating.abandonment_words(replace(spent, mistaken=2))
    assert detecting == f"{words}; 2 lost to the machine detector"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_are_told_apart_by_people_who_see_little_contrast(theme: str) -> None:
    css = (templating.STATIC / "dialer.css").read_text()
    blocks = re.findall(r":root \{([^}]*)\}", css)
    colours: dict[str, str] = {}
    for block in blocks[: 1 if theme == "light" else 2]:
        colours |= dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))
    pairs = [(front, back) for front in ("text", "muted", "link", "good", "warn", "bad") for back in ("card", "page")]
    pairs += [(name, f"{name}-back") for name in ("good", "warn", "bad")]
    pairs += [("text", "quiet-back"), ("warn", "quiet-back"), ("card", "link")]
    lines = [(name, "card") for name in colours if name.startswith("series-")]

    assert len(lines) == 4
    assert {pair: contrast(colours, *pair) for pair in pairs if contrast(colours, *pair) < 4.5} == {}
    assert {pair: contrast(colours, *pair) for pair in lines if contrast(colours, *pair) < 3} == {}


def contrast(colours: dict[str, str], front: str, back: str) -> float:
    """The ratio of WCAG 2."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(colours[front]), luminance(colours[back])), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(("value", "words"), [(None, "–"), (85.4, "85 ms"), (1200, "1.20 s")])
def test_milliseconds_are_written_for_people(value: float | None, words: str) -> None:
    assert templating.milliseconds(value).replace("\u00a0", " ") == words


# The live stream, from a real server ----------------------------------------------------------------------


def read_events(running: Running, path: str, count: int) -> list[tuple[str, object]]:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
    connection.request("GET", path)
    reply = connection.getresponse()
    assert reply.getheader("content-type") == "text/event-stream; charset=utf-8"
    events: list[tuple[str, object]] = []
    kind = ""
    while len(events) < count:
        line = reply.readline().decode().rstrip("\n")
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            events.append((kind, json.loads(line.removeprefix("data: "))))
    connection.close()
    return events


def test_the_stream_follows_what_happens(running: Running, session: Session) -> None:
    factories.campaign(session, name="spring", state="paused")
    session.commit()

    first = read_events(running, "/api/v1/live?campaign=spring", 2)
    session.execute(text("UPDATE campaigns SET state = 'running'"))
    session.commit()
    (then,) = read_events(running, "/api/v1/live", 1)

    assert [kind for kind, _ in first] == ["live", "live"]
    assert first[0][1]["campaigns"][0]["state"] == "paused"  # type: ignore[index]
    assert first[0][1]["at"] < first[1][1]["at"]  # type: ignore[index]
    assert then[1]["campaigns"][0]["state"] == "running"  # type: ignore[index]


def test_a_campaign_that_is_not_there_is_told_in_the_stream(running: Running) -> None:
    ((kind, sentence),) = read_events(running, "/api/v1/live?campaign=sprnig", 1)

    assert (kind, "there is no campaign named" in str(sentence)) == ("gone", True)


def test_a_database_that_is_away_is_told_in_the_stream(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy.exc import OperationalError

    def away(*_: object, **__: object) -> None:
        raise OperationalError("SELECT 'canary'", {}, Exception("connection refused"))

    monkeypatch.setattr("campaigns.web.stream.live_state", away)
    ((kind, sentence),) = read_events(running, "/api/v1/live", 1)

    assert kind == "trouble"
    assert "PostgreSQL cannot be reached" in str(sentence)
    assert "canary" not in str(sentence)


def test_who_looks_on_is_counted_and_forgotten_when_gone(running: Running) -> None:
    assert running.number("dialer_live_clients") == 0
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
    connection.request("GET", "/api/v1/live")
    reply = connection.getresponse()
    reply.readline()
    until(lambda: running.number("dialer_live_clients") == 1)
    reply.close()
    connection.close()
    until(lambda: running.number("dialer_live_clients") == 0)


def test_a_server_told_to_stop_does_not_wait_for_those_who_look_on(web: Application) -> None:
    def stopped() -> float:
        with serve(web) as running:
            connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
            connection.request("GET", "/api/v1/live")
            reply = connection.getresponse()
            reply.readline()
            began = time.monotonic()
        # `serve` has stopped the server.
        took = time.monotonic() - began
        connection.close()
        return took

    # The server gives requests five seconds to end, so it never takes less where it waits; a busy machine may be slow.
    assert any(stopped() < 4 for _ in range(4))


def test_more_lookers_on_than_can_be_fed_are_told_so(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("campaigns.web.stream.MAX_CLIENTS", 0)

    answer = running.get("/api/v1/live")

    assert answer.status == 503
    assert b"browsers are being fed already" in answer.body


# Health ---------------------------------------------------------------------------------------------------


def test_a_process_that_lives_says_so_and_one_that_can_work_is_ready(browser: Browser) -> None:
    assert browser.get("/healthz").json() == {"status": "alive"}
    answer = browser.get("/readyz")
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "ready", "checks": {"database": "ok", "migrations": "ok"}},
    )


def test_a_queue_that_cannot_be_reached_makes_it_not_ready_and_tells_no_address(web: Application) -> None:
    def broken() -> None:
        raise ConnectionError("redis://:canary@10.0.0.7:6379")

    with browse(web, queue_check=broken) as browser:
        answer = browser.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["checks"]["queue"] == "the queue does not answer"
    assert "canary" not in answer.text


@pytest.mark.parametrize(
    ("breaks", "check"),
    [("UPDATE alembic_version SET version_num = '0000'", "migrations"), ("DROP TABLE alembic_version", "migrations")],
)
def test_another_schema_makes_it_not_ready(browser: Browser, session: Session, breaks: str, check: str) -> None:
    session.execute(text(breaks))
    session.commit()

    answer = browser.get("/readyz")

    assert answer.status_code == 503
    assert "dialer db upgrade" in answer.json()["checks"][check]


def test_the_numbers_for_prometheus_are_those_of_the_dashboard(browser: Browser, spring: Campaign) -> None:
    told = browser.get("/metrics").text

    assert 'dialer_campaign_calls{campaign="spring & co",state="talking"} 2.0' in told
    assert 'dialer_campaign_abandonment_rate{campaign="spring & co"} 0.01' in told
    assert 'dialer_campaign_lines_free{campaign="spring & co"} 26.0' in told
    assert 'dialer_processes_alive{kind="worker"} 1.0' in told
    assert "dialer_live_state_up 1.0" in told


def test_prometheus_is_answered_when_the_database_is_not(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, spring: Campaign
) -> None:
    from dialer.errors import ServiceUnreachable

    def away(*_: object, **__: object) -> None:
        raise ServiceUnreachable("PostgreSQL cannot be reached")

    monkeypatch.setattr("campaigns.web.stream.live_state", away)
    told = browser.get("/metrics").text

    assert "dialer_live_state_up 0.0" in told
    assert "dialer_event_log_waiting 0.0" in told
    assert "dialer_campaign_calls" not in told
