"""Uploads over real HTTP: what hostile people, cut lines and full disks do."""

import json
import resource
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.db import database_now
from campaigns.models import Import
from campaigns.web import receiving
from tests.waiting import until

from .lists_kit import BASE, BROKEN, GOOD, Api, api, form

__all__ = ["api"]


# What must not come in -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd", "C%3A%5Cx%5Cpasswd", "passwd%00.csv"])
def test_a_path_in_a_name_leads_nowhere(api: Api, name: str) -> None:
    kept = api.upload(GOOD, name)

    assert "/" not in kept["file"]
    assert "\\" not in kept["file"]
    assert "\x00" not in kept["file"]
    assert api.kept() == [f"{kept['upload']}.csv", f"{kept['upload']}.json"]
    assert all(
        (api.app.data_dir / "imports" / one).stat().st_mode & 0o077 == 0 for one in api.kept()
    )  # people's numbers


@pytest.mark.parametrize("upload", ["..%2Fx", "0" * 32, "a" * 31, "g" * 32, "%00", "list.csv"])
def test_an_upload_that_is_not_there_is_said_so(api: Api, upload: str) -> None:
    assert api("POST", f"{BASE}/uploads/{upload}/preview", {}).status == 404


def test_an_upload_is_one_campaigns_alone(api: Api) -> None:
    kept = api.upload(GOOD)
    elsewhere = f"/api/v1/campaigns/autumn/uploads/{kept['upload']}"
    assert api("POST", f"{elsewhere}/preview", {}).status == 404
    assert api("DELETE", elsewhere).status == 404
    done = api.imported(GOOD)
    for path in ("", "/rejects", "/live"):
        assert api("GET", f"/api/v1/campaigns/autumn/imports/{done['import']}{path}").status == 404
    assert api("POST", f"/api/v1/campaigns/autumn/imports/{done['import']}/undo", {}).status == 404


def test_no_bytes_and_no_text_are_refused_with_the_remedy(api: Api) -> None:
    assert "is empty" in api.upload("", status=400)["error"]
    told = api.upload(b"PK\x03\x04" + b"x" * 5000, "book.xlsx", status=415)
    assert (told["kind"], "CSV UTF-8" in told["error"]) == ("wrong_type", True)
    answer = api.running.ask("POST", f"{BASE}/uploads", b"{}", {"content-type": "application/json"})
    assert (answer.status, b"text/csv" in answer.body) == (415, True)
    assert api.kept() == []


def test_more_than_is_taken_is_refused_before_it_is_sent(api: Api) -> None:
    with socket.create_connection(("127.0.0.1", api.running.port), 20) as line:
        line.sendall(
            f"POST {BASE}/uploads HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/csv\r\n"
            f"Content-Length: {300 << 20}\r\n\r\nphone\n".encode()
        )
        answer = line.recv(65536)
    assert b" 413 " in answer.splitlines()[0]
    assert api.kept() == []


def test_three_hundred_mebibytes_of_unknown_length_stop_at_the_limit_and_leave_nothing(api: Api) -> None:
    """Sent to their end, if the server lets us: in memory and on disk they are never more than the limit."""
    block = b"0612345678,Anna\n" * 65_536
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with socket.create_connection(("127.0.0.1", api.running.port), 20) as line:
        line.sendall(
            f"POST {BASE}/uploads HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/csv\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        try:
            for _ in range(300):
                line.sendall(f"{len(block):x}\r\n".encode() + block + b"\r\n")
            line.sendall(b"0\r\n\r\n")
        except ConnectionError:
            pass
        answer = line.recv(65536)
    assert b" 413 " in answer.splitlines()[0]
    assert b"larger than 1 MiB" in answer
    assert api.kept() == []
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100 * 1024


@pytest.mark.parametrize("as_form", [False, True])
def test_a_file_cut_in_the_middle_leaves_nothing(api: Api, as_form: bool) -> None:
    kind = "multipart/form-data; boundary=b" if as_form else "text/csv"
    with socket.create_connection(("127.0.0.1", api.running.port), 20) as line:
        head = (
            f"POST {BASE}/uploads HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: 900000\r\n\r\n"
        )
        body = form(GOOD.encode(), end="") if as_form else GOOD.encode()
        line.sendall(head.encode() + body)
        until(lambda: len(api.kept()) == 1)
    until(lambda: api.kept() == [])
    assert api.upload(GOOD)  # its place is free again


def test_a_form_that_ends_in_its_file_is_refused(api: Api) -> None:
    kind = {"content-type": "multipart/form-data; boundary=b"}
    answer = api.running.ask("POST", f"{BASE}/uploads", form(GOOD.encode(), end=""), kind)
    assert (answer.status, b"ends in the middle" in answer.body) == (400, True)
    answer = api.running.ask("POST", f"{BASE}/uploads", b"\x00" * 100, kind)
    assert answer.status == 400
    answer = api.running.ask("POST", f"{BASE}/uploads", b"", {"content-type": "multipart/form-data"})
    assert answer.status == 400
    assert api.kept() == []
    whole = api.running.ask("POST", f"{BASE}/uploads", form(GOOD.encode(), "è.csv"), kind)
    assert json.loads(whole.body)["file"] == "è.csv"


def test_who_sends_nothing_more_gives_the_place_back(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "PATIENCE", 0.2)
    with socket.create_connection(("127.0.0.1", api.running.port), 20) as line:
        line.sendall(
            f"POST {BASE}/uploads HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/csv\r\n"
            "Content-Length: 90000\r\n\r\nphone\n".encode()
        )
        assert b" 408 " in line.recv(65536).splitlines()[0]
    assert api.kept() == []


def test_a_disk_without_room_is_said_and_leaves_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel refuses the write, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    try:
        told = api.upload("phone\n" + "0612345678\n" * 60_000, status=507)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (told["kind"], "Make room" in told["error"]) == ("no_room", True)
    assert api.kept() == []

    monkeypatch.setattr("campaigns.uploads.RESERVE", 1 << 60)
    assert "are left for events" in api.upload(GOOD, status=507)["error"]
    assert api.kept() == []


def test_two_at_once_are_two_files_and_a_fifth_waits(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(api.upload(GOOD + f"06555555{n:02d},Zoe\n"))) for n in (1, 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len({one["upload"] for one in answers}) == len({one["sha256"] for one in answers}) == 2

    monkeypatch.setattr(receiving, "AT_ONCE", 0)
    assert api.upload(GOOD, status=503)["kind"] == "try_again_later"


def test_the_same_file_twice_is_told_and_may_be_wanted_all_the_same(api: Api, session: Session) -> None:
    api.imported(GOOD)
    kept = api.upload(GOOD)
    told = api.json("POST", f"{BASE}/imports", {"upload": kept["upload"]}, 409)
    assert (told["kind"], "is in campaign 'spring' already" in told["error"]) == ("already_there", True)
    assert len(session.scalars(select(Import)).all()) == 1
    assert api.json("POST", f"{BASE}/imports", {"upload": kept["upload"], "force": True}, 202)["state"] == "waiting"


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"uplaod": "x"}, "uplaod"),
        ({"upload": "x", "duplicates": "drop"}, "duplicates"),
        ({"upload": "x", "within_days": -1}, "within_days"),
        ({"upload": "x\x00"}, "body"),
        ({"upload": "x", "mapping": {"a": ["b"]}}, "mapping.a"),
        ({"upload": "x", "list_name": "\ud800"}, "list_name"),
        ([], "body"),
    ],
)
def test_a_wrong_body_is_told_with_its_place(api: Api, body: Any, where: str) -> None:
    told = api.json("POST", f"{BASE}/imports", body, 400)
    assert where in told["where"]
    assert where in told["error"]
    assert told["remedy"]


def test_a_misspelt_campaign_is_said_before_the_file_is_taken(api: Api) -> None:
    answer = api("POST", "/api/v1/campaigns/sprng/uploads", GOOD.encode())
    told = json.loads(answer.body)
    assert (answer.status, "did you mean 'spring'" in told["error"]) == (404, True)
    assert api.kept() == []


def test_rejected_rows_that_are_not_kept_any_more_are_said_so(api: Api, session: Session) -> None:
    done = api.imported(BROKEN)
    Path(session.get_one(Import, done["import"]).reject_file or "").unlink()
    told = api.json("GET", done["rejects"], status=404)
    assert "not kept any more" in told["error"]
    assert str(api.app.data_dir) not in json.dumps(api.json("GET", done["href"]))


def test_an_upload_of_yesterday_is_gone(api: Api, session: Session) -> None:
    from datetime import timedelta

    from campaigns.importing import forget_strays

    kept = api.upload(GOOD)
    now = database_now(session)
    assert forget_strays(session, api.app.data_dir, now) == 0
    assert forget_strays(session, api.app.data_dir, now + timedelta(days=1, hours=1)) == 2
    assert api("POST", f"{BASE}/uploads/{kept['upload']}/preview", {}).status == 404
    assert api.kept() == []
