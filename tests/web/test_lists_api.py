"""Lists by API, over real HTTP with the real application: the way of a file from upload to contacts and back."""

import csv
import http.client
import io
import json
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.models import Contact, Ledger
from tests.waiting import until

from .lists_kit import BASE, BROKEN, GOOD, Api, api

__all__ = ["api"]


# The way of a file ----------------------------------------------------------------------------------------


def test_a_file_goes_from_upload_to_contacts_and_back(api: Api, session: Session, bell: Any) -> None:
    kept = api.upload(GOOD, "spring.csv")
    seen = api.json("POST", f"{BASE}/uploads/{kept['upload']}/preview", {"shown": 1})
    assert (seen["accepted"], seen["columns"][0]["becomes"], seen["trouble"]) == (20, "phone", "")
    assert session.scalar(select(Contact.id)) is None

    begun = api.json("POST", f"{BASE}/imports", {"upload": kept["upload"]}, 202)
    assert (begun["state"], begun["who"], begun["progress"]) == ("waiting", "web:this-machine", 0)
    api.work(begun["import"])
    done = api.json("GET", begun["href"])
    assert (done["state"], done["accepted"], done["left"], done["progress"]) == ("done", 20, 20, 1)
    assert done["rejects"] is None
    assert api.kept() == []  # neither the upload nor the copy that was imported
    assert [one["import"] for one in api.json("GET", f"{BASE}/imports")["imports"]] == [begun["import"]]

    back = api.json("POST", f"{begun['href']}/undo", {"why": "the wrong file"})
    assert (back["state"], back["removed"]) == ("undone", 20)
    noted = session.scalars(select(Ledger).where(Ledger.kind == "import_undone")).one()
    assert (noted.who, noted.why) == ("web:this-machine", "the wrong file")
    assert api.json("POST", f"{begun['href']}/undo", {}, 400)["kind"] == "bad_input"


def test_rows_not_taken_come_back_as_the_file_that_can_be_mended_and_imported(api: Api) -> None:
    done = api.imported(BROKEN)
    assert (done["accepted"], done["rejected"], done["duplicates"]) == (1, 2, 1)

    answer = api("GET", done["rejects"])
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert 'attachment; filename="rejected-' in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.body.decode("utf-8-sig"))))
    assert [row["line"] for row in rows] == ["2", "4", "5"]
    assert "exponent" in rows[0]["reason"]

    mended = answer.body.replace(b'"3,93E+11"', b"0655555555").replace(b"3,93E+11", b"0655555555")
    again = api.imported(mended)
    assert again["accepted"] == 1


def test_how_far_an_import_is_can_be_followed_to_its_end(api: Api) -> None:
    kept = api.upload(GOOD)
    begun = api.json("POST", f"{BASE}/imports", {"upload": kept["upload"]}, 202)
    connection = http.client.HTTPConnection("127.0.0.1", api.running.port, timeout=20)
    connection.request("GET", f"{begun['href']}/live")
    reply = connection.getresponse()
    assert reply.getheader("content-type") == "text/event-stream; charset=utf-8"
    assert reply.readline() == b"event: import\n"
    assert json.loads(reply.readline().removeprefix(b"data: "))["state"] == "waiting"

    api.work(begun["import"])
    rest = reply.read().decode()  # the server ends it
    assert json.loads(rest.rpartition("data: ")[2])["state"] == "done"
    connection.close()


def test_a_dry_run_judges_all_writes_none_and_keeps_the_upload(api: Api, session: Session) -> None:
    kept = api.upload(BROKEN)
    dry = api.json("POST", f"{BASE}/imports", {"upload": kept["upload"], "dry_run": True}, 202)
    api.work(dry["import"])
    assert api.json("GET", dry["href"])["rejected"] == 2
    assert session.scalar(select(Contact.id)) is None
    assert api.json("POST", f"{BASE}/imports", {"upload": kept["upload"]}, 202)["dry_run"] is False
    told = api.json("POST", f"{BASE}/imports", {"upload": kept["upload"]}, 404)
    assert "Upload it again" in told["error"]


def test_a_file_is_compared_with_what_is_loaded(api: Api) -> None:
    api.imported(GOOD)
    changed = GOOD.replace("Anna1\n", "Anita\n").replace("0690000002,", "0655555555,")
    kept = api.upload(changed)
    made = api.json("POST", f"{BASE}/uploads/{kept['upload']}/diff", {"most": 10})
    assert (made["added"], made["gone"], made["changed"], made["same"]) == (1, 1, 1, 18)
    assert {one["what"] for one in made["differences"]} == {"added", "gone", "changed"}
    answer = api("POST", f"{BASE}/uploads/{kept['upload']}/diff.csv", {})
    assert len(answer.body.splitlines()) == 4
    until(lambda: not any(name.endswith(".part") for name in api.kept()))


def test_contacts_are_taken_out_and_the_ledger_says_by_whom(api: Api, session: Session) -> None:
    done = api.imported("phone,first_name\n0612345678,=1+1\n")
    answer = api("POST", f"{BASE}/export?import={done['import']}")
    rows = list(csv.DictReader(io.StringIO(answer.body.decode("utf-8-sig"))))
    assert (rows[0]["phone"], rows[0]["first_name"]) == ("'+390612345678", "'=1+1")
    noted = session.scalars(select(Ledger).where(Ledger.kind == "list_exported")).one()
    assert (noted.who, noted.details["file"]) == ("web:this-machine", "download")
    assert api("GET", f"{BASE}/export").status == 405


def test_how_far_a_list_is_worked_is_told_and_set(api: Api, session: Session) -> None:
    imported = api.imported(GOOD)
    assert imported["tried"] == 0
    (one,) = api.json("GET", f"{BASE}/lists")["lists"]
    assert (one["contacts"], one["penetration"], one["cap"], one["room"]) == (20, 0.0, None, None)
    caps = f"{BASE}/lists/{one['id']}/caps"
    assert api.json("PUT", caps, {"cap": "60%", "why": "a trial"})["room"] == 12
    both = api.json("PUT", caps, {"cap_today": "5"})
    assert (both["cap"], both["cap_today"], both["room"]) == ("60%", "5", 5)
    assert api.json("PUT", caps, {"cap": "half"}, 400)["error"].endswith("write it as 60%, 500 or none")
    api.json("PUT", f"/api/v1/campaigns/autumn/lists/{one['id']}/caps", {"cap": "1"}, 404)
    api.json("PUT", caps, {"limit": "1"}, 400)
    assert api.json("GET", f"{BASE}/lists")["lists"] == [both]
    entries = session.scalars(select(Ledger).where(Ledger.kind == "list_caps").order_by(Ledger.id)).all()
    assert [(entry.why, entry.who.split(":")[0]) for entry in entries] == [("a trial", "web"), ("", "web")]


def test_a_template_says_how_files_are_read(api: Api) -> None:
    path = "/api/v1/import-templates/crm"
    api.json("PUT", path, {"mapping": {"Recapito": "phone"}, "delimiter": ";"})
    assert api.json("PUT", path, {"mapping": {"Recapito": "mobile"}}, 400)["kind"] == "bad_input"
    assert api.json("GET", "/api/v1/import-templates")["templates"][0]["mapping"] == {"Recapito": "phone"}
    kept = api.upload("Recapito;Chi\n0612345678;Anna\n")
    seen = api.json("POST", f"{BASE}/uploads/{kept['upload']}/preview", {"template": "crm"})
    assert seen["accepted"] == 1
    more = {"template": "crm", "mapping": {"Chi": "first_name"}}
    assert api.json("POST", f"{BASE}/uploads/{kept['upload']}/preview", more)["first"][0]["first_name"] == "Anna"
    assert api.json("DELETE", path) == {"removed": "crm"}
    assert api.json("GET", path, status=404)["kind"] == "not_found"
