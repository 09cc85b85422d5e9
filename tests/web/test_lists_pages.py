"""The pages of lists: three steps without a script, foreign text that stays text, and no form from elsewhere."""

import re
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.application import Application
from campaigns.db import database_now
from campaigns.importing import run_import
from campaigns.models import Contact, Import
from campaigns.web.wording import on_page
from tests import factories

from .conftest import Browser, browse
from .test_pages import HOSTILE, Page

BASE = "/campaigns/spring%20%26%20co"
BROKEN = "Tel;Nome\n3,93E+11;Anna\n0612345678;Bruno\nciao;Carla\n3,94E+11;Dario\n"


@pytest.fixture
def person(web: Application, session: Session) -> Iterator["Person"]:
    factories.campaign(session, name="spring & co", state="paused")
    session.commit()
    with browse(web) as browser:
        yield Person(browser, web)


class Person:
    """Somebody at a browser, who reads the token of a form as the browser sends it back."""

    def __init__(self, browser: Browser, app: Application) -> None:
        self.browser, self.app = browser, app

    def get(self, path: str, status: int = 200) -> str:
        answer = self.browser.get(path)
        assert answer.status_code == status, answer.text
        return answer.text

    def token(self) -> str:
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', self.get(f"{BASE}/lists/upload"))
        assert found
        return found[1]

    def upload(self, content: str | bytes, name: str = "list.csv", kind: str = "contacts") -> str:
        """Upload a file; the address of the second step."""
        raw = content if isinstance(content, bytes) else content.encode()
        answer = self.browser.post(
            f"{BASE}/lists/upload", data={"csrf": self.token(), "kind": kind}, files={"file": (name, raw)}
        )
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    def order(self, address: str, **fields: str) -> Any:
        return self.browser.post(address.partition("?")[0], data={"csrf": self.token(), **fields})

    def imported(self, content: str, **fields: str) -> str:
        """Go all three steps and be the worker; the address of the result."""
        answer = self.order(self.upload(content), do="import", **fields)
        assert answer.status_code == 303, answer.text
        address = str(answer.headers["location"])
        with self.app.transaction() as session:
            now = database_now(session)
        run_import(self.app.sessions, int(address.rpartition("/")[2]), now=now, clock=self.app.clock)
        return address


def words(html: str) -> str:
    """What a reader sees of a page, on one line."""
    body = html.partition("<main")[2]
    return " ".join(re.sub(r"<[^>]+>", " ", body).replace("&#39;", "'").split())


def test_no_list_yet_says_what_a_list_is_and_where_to_begin(person: Person) -> None:
    page = person.get(f"{BASE}/lists")
    assert "No lists yet" in page
    assert f'href="{BASE}/lists/upload"' in page
    assert "No callbacks wait" in person.get(f"{BASE}/callbacks")


def test_a_broken_file_says_first_what_is_wrong_with_most_of_it_and_what_to_do(person: Person) -> None:
    html = person.get(person.upload(BROKEN))
    assert "<span><strong>Tel</strong>: a spreadsheet" in html  # one piece beside its label on a phone, not two columns
    page = words(html)
    verdict = page.partition("Columns")[0]
    assert "3 of 4 rows cannot be imported ; 1 can" in verdict
    assert "Mostly: 2 rows, column Tel : a spreadsheet turned the number into an exponent (line 2: 3,93E+11" in verdict
    assert "What to do: format the column as text in the spreadsheet" in verdict
    assert "+390612345678 (phone)" in page


def test_a_file_without_a_number_is_mended_by_one_click(person: Person) -> None:
    address = person.upload("Nome,Recapito\nAnna,0612345678\nBruno,0612345679\n")
    page = person.get(address)
    assert "Nothing can be imported yet" in page
    assert "Did you mean" not in page  # 'Nome' is known, and no number
    mend = re.search(r'<a href="([^"]+)">Call the numbers in Recapito</a>', page)
    assert mend
    mended = words(person.get(mend[1].replace("&amp;", "&")))
    assert "2 of 2 rows can be imported" in mended
    assert "Import 2 contacts" in mended


def test_what_is_changed_in_the_table_is_what_is_imported(person: Person, session: Session) -> None:
    address = person.upload("Tel,Chi\n0612345678,Anna\n")
    answer = person.order(address, do="look", **{"column.Chi": "first_name", "column.Tel": "", "kind": "contacts"})
    assert answer.status_code == 303
    assert "csrf" not in answer.headers["location"]
    seen = person.get(answer.headers["location"])
    assert '<option value="first_name" selected>' in seen
    result = person.imported("Tel,Chi\n0612345678,Anna\n", **{"column.Chi": "first_name", "list_name": "Amici"})
    assert session.scalars(select(Contact.first_name)).all() == ["Anna"]
    assert "1 of 1 rows were imported" in words(person.get(result))
    assert "Amici" in person.get(f"{BASE}/lists")


def test_while_it_waits_the_page_says_for_whom_and_a_browser_without_scripts_looks_again(person: Person) -> None:
    answer = person.order(person.upload("Tel\n0612345678\n"), do="import")
    page = person.get(answer.headers["location"])
    assert "It waits for a worker" in page
    assert '<noscript><meta http-equiv="refresh"' in page
    assert f'data-live="/api/v1{BASE}/imports/' in page


def test_the_result_names_its_author_offers_the_rest_and_can_be_taken_back(person: Person, session: Session) -> None:
    result = person.imported(BROKEN)
    page = words(person.get(result))
    assert "1 of 4 rows were imported ; 3 were not" in page
    assert "by web:this-machine" in page
    saved = person.browser.get(f"{result}/rejects")
    assert saved.headers["content-type"].startswith("text/csv")
    assert "attachment" in saved.headers["content-disposition"]

    asked = words(person.get(f"{result}/undo"))
    assert "Its one contact is called no more" in asked
    done = person.browser.post(f"{result}/undo", data={"csrf": person.token(), "why": "wrong"})
    assert "1 contact removed" in words(done.text)
    assert session.scalar(select(Contact.id)) is None
    again = person.browser.post(f"{result}/undo", data={"csrf": person.token()})
    assert "there is nothing to undo" in again.text


def test_how_far_a_list_is_worked_is_set_on_its_page(person: Person, session: Session) -> None:
    address = person.imported("phone\n0612345678\n0612345679\n")
    assert "0 of its 2 contacts were tried at least once: 0.0" in person.get(address)
    wrong = person.order(f"{address}/caps", cap="half", cap_today="7", why="<b>")
    assert "write it as 60%, 500 or none" in wrong.text
    assert 'value="half"' in wrong.text, "what was typed is there to be mended"
    assert 'value="7"' in wrong.text
    assert 'value="&lt;b&gt;"' in wrong.text
    right = person.order(f"{address}/caps", cap="50 %", cap_today="", why="a trial")
    assert (right.status_code, right.headers["location"]) == (303, f"{address}#how-far")
    assert 'value="50%"' in person.get(address)
    assert "at most 50%" in person.get(f"{BASE}/lists")
    person.order(f"{address}/caps", cap="", cap_today="")
    assert "at most" not in person.get(f"{BASE}/lists")


def test_the_same_file_again_asks_before_it_is_taken_all_the_same(person: Person, session: Session) -> None:
    person.imported("Tel\n0612345678\n")
    address = person.upload("Tel\n0612345678\n")
    answer = person.order(address, do="import")
    assert answer.status_code == 200
    assert "or tick “Import it all the same”" in answer.text
    assert 'name="force"' in answer.text
    assert person.order(address, do="import", force="yes").status_code == 303
    assert len(session.scalars(select(Import)).all()) == 2


def test_a_file_is_compared_on_a_page(person: Person) -> None:
    person.imported("Tel,Nome\n0612345678,Anna\n0612345679,Bruno\n")
    address = person.upload("Tel,Nome\n0612345678,Anita\n0612345677,Carla\n", "new.csv")
    link = re.search(r'<a href="([^"]+/diff\?[^"]+)">', person.get(address))
    assert link
    page = words(person.get(link[1].replace("&amp;", "&")))
    assert "New in the file 1 Gone from it 1 Changed 1 The same 0" in page
    assert "first_name Anna Anita" in page
    for sign in ("+ new", "\N{MINUS SIGN} gone", "≠ changed"):  # signs that every machine's letters have
        assert sign in page


def test_a_file_that_is_thrown_away_is_gone(person: Person) -> None:
    address = person.upload("Tel\n0612345678\n")
    assert person.order(address, do="throw").headers["location"] == f"{BASE}/lists"
    assert "not there any more" in person.get(address, 404)
    assert list((person.app.data_dir / "imports").iterdir()) == []


# Foreign text ---------------------------------------------------------------------------------------------


def test_markup_in_every_cell_header_and_name_stays_text_on_every_page(person: Person) -> None:
    cell = '"' + HOSTILE.replace('"', '""') + '"'
    header = "phone,first_name,last_name,company,description,priority," + cell
    rows = [f"061234567{n},{cell},{cell},{cell},{cell},0,{cell}" for n in range(3)]
    hostile = "\n".join([header, *rows, f"{cell},{cell},{cell},{cell},{cell},{cell},{cell}"]) + "\n"
    name = f"{HOSTILE}.csv".replace("/", "\u2215").replace('"', "\u201d")
    address = person.upload(hostile, name)
    person.browser.get(f"/api/v1{BASE}/uploads")
    pages = {"check": person.get(address)}
    result = person.order(address, do="import", list_name=HOSTILE).headers["location"]
    with person.app.transaction() as session:
        now = database_now(session)
    run_import(person.app.sessions, int(result.rpartition("/")[2]), now=now, clock=person.app.clock)
    other = person.upload(hostile.replace("alert(1)", "alert(3)"), name)
    pages |= {
        "result": person.get(result),
        "undo": person.get(f"{result}/undo"),
        "lists": person.get(f"{BASE}/lists"),
        "again": person.get(other),
        "diff": person.get(other.replace("?", "/diff?")),
        "agent": person.get(f"{BASE}/callbacks?agent=%3Cscript%3Ealert(1)%3C/script%3E"),
    }
    for which, html in pages.items():
        page = Page(html)
        assert "alert" in html, which
        assert "49" not in re.findall(r"'&amp;(\S{2})", html), which  # {{7*7}} is no template of ours
        scripts = [attributes for tag, attributes in page.tags if tag == "script"]
        assert all(attributes.get("src", "").startswith("/static/") for attributes in scripts), which  # type: ignore[union-attr]
        assert "<script>alert" not in html, which
        assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")], which


def test_a_workbook_and_an_empty_file_are_refused_on_the_page_they_were_chosen_on(person: Person) -> None:
    for raw, told in ((b"PK\x03\x04....", "save it as &#34;CSV UTF-8&#34;"), (b"", "is empty")):
        answer = person.browser.post(
            f"{BASE}/lists/upload", data={"csrf": person.token()}, files={"file": ("x.csv", raw)}
        )
        assert answer.status_code == 400
        assert told in answer.text
        assert 'type="file"' in answer.text
    nothing = person.browser.post(f"{BASE}/lists/upload", data={"csrf": person.token()}, files={"file": ("", b"")})
    assert "hoose" in nothing.text
    assert nothing.status_code == 400


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("Rename the column, or say which it is with --mapping 'Nome=phone' (nothing was imported)",
         "Rename the column, or choose what it is below."),
        ("Rename one, or say which with --mapping 'Tel 2=custom' (nothing was imported)",
         "Rename one, or choose what it is below."),
        ("100% of its cells are numbers: --mapping 'Celulare=mobile' would call them",
         "100% of its cells are numbers: choose “mobile” for it to call them"),
        ("Say what stands between the columns with --delimiter '^' (nothing was imported)",
         "Save it with commas or semicolons between the columns."),
        ("its name is near 'mobile': --mapping 'Mobil=mobile' if it is",
         "its name is near 'mobile': choose “mobile” below if it is"),
    ],
)  # fmt: skip
def test_remedies_of_the_terminal_become_those_of_the_page(told: str, shown: str) -> None:
    assert on_page(told) == shown


def test_the_pages_of_lists_tell_the_time_by_the_campaigns_clock(person: Person, session: Session) -> None:
    result = person.imported("Tel\n0612345678\n")
    begun = session.scalars(select(Import.created_at)).one().astimezone(ZoneInfo("Europe/Rome"))
    told = f"{begun:%d %b %Y %H:%M %Z}"
    assert told.endswith(("CET", "CEST"))
    for path in (f"{BASE}/lists", result, person.upload("Tel\n0612345679\n")):
        assert told in person.get(path)


def test_after_an_import_no_choice_stands_below(person: Person) -> None:
    page = words(person.get(person.imported("Nome,Recapito\nAnna,0612345678\n")))
    assert "Nothing was imported." in page
    assert "Rename the column, or upload the file again and choose what it is." in page
    assert "below" not in page


def test_bytes_that_are_no_text_are_shown_as_such_and_break_no_page(person: Person) -> None:
    for raw in (b"phone;no\x81me\n0612345678;A\n", b"phone;nome\n0612345678;B\x8dc\n06\x81;\xe9\n"):
        assert "\N{REPLACEMENT CHARACTER}" in person.get(person.upload(raw))


def test_a_list_that_brought_nobody_is_not_green(person: Person) -> None:
    person.imported("Tel\nciao\n")
    result = person.imported("Tel,Nome\n")
    assert "The file has column names and no rows" in words(person.get(result))
    lists = person.get(f"{BASE}/lists")
    assert lists.count('data-import="warn"') == 2
    assert words(lists).count("done, no row taken") == 2
    assert "The file has column names and no rows." in words(person.get(person.upload("Tel,Chi\n")))


# Forgery --------------------------------------------------------------------------------------------------


ELSEWHERE = (
    {"origin": "https://elsewhere.example"},
    {"origin": "http://127.0.0.1:9999"},  # another program of this machine
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
)


def forms(app: Application) -> list[tuple[str, str]]:
    """Every route of a page that changes something, but the sign-in, which has nothing to lose."""
    from campaigns.web.app import create_app

    found = []
    for route in create_app(app, announce=lambda _: None).routes:
        for one in getattr(getattr(route, "original_router", None), "routes", [route]):
            methods = set(getattr(one, "methods", None) or ()) - {"GET", "HEAD", "OPTIONS"}
            if one.path.startswith("/campaigns"):
                found += [(method, one.path) for method in methods]
    return found


def test_no_form_is_taken_without_our_token_or_from_elsewhere(person: Person, session: Session) -> None:
    result = person.imported("Tel\n0612345678\n")
    address = person.upload("Tel\n0612345679\n").partition("?")[0]
    paths = [f"{BASE}/lists/export", f"{BASE}/lists/upload", address, f"{result}/undo", f"{result}/caps"]
    assert len(forms(person.app)) == len(paths), "a form that is not tried here"
    for path in paths:
        for fields in ({}, {"csrf": ""}, {"csrf": "0" * 64}, {"csrf": "\u00e9"}):
            files = {"file": ("x.csv", b"Tel\n0612345670\n")} if path.endswith("upload") else None
            answer = person.browser.post(path, data={"do": "import", **fields}, files=files)
            assert (answer.status_code, "too old" in answer.text) == (403, True), path
        for headers in (
            {"origin": "https://elsewhere.example"},
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
        ):
            answer = person.browser.post(path, data={"csrf": person.token(), "do": "import"}, headers=headers)
            assert (answer.status_code, "own page" in answer.text) == (403, True), (path, headers)
    assert len(session.scalars(select(Import)).all()) == 1
    # A browser that is told not to say where it comes from says `null`, and its token says it is ours.
    for own in ({"origin": "null", "sec-fetch-site": "same-origin"}, {"origin": "null"}):
        answer = person.browser.post(f"{BASE}/lists/export", data={"csrf": person.token()}, headers=own)
        assert answer.status_code == 200


def test_a_page_elsewhere_cannot_use_the_api_of_this_machine(person: Person) -> None:
    path, body = f"/api/v1{BASE}/imports", {"upload": "x"}
    for headers in (
        {"origin": "https://elsewhere.example"},
        {"sec-fetch-site": "cross-site"},
        {"origin": "null"},
        {"cookie": "x=y"},
    ):
        answer = person.browser.post(path, json=body, headers=headers)
        assert (answer.status_code, answer.json()["kind"]) == (403, "sign_in"), headers
    ours = {"origin": "http://127.0.0.1:8080", "x-csrf-token": person.token()}
    assert person.browser.post(path, json=body, headers=ours).status_code == 404  # no such upload
    assert person.browser.post(path, json=body).status_code == 404  # a program on this machine
