"""What the tests of the API of lists share: a web process with a small limit, and a program that talks to it."""

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy.orm import Session

from campaigns.application import Application
from campaigns.db import database_now
from campaigns.importing import run_import
from dialer.settings import WebSettings
from tests import factories

from .conftest import Answer, Running, serve

BASE = "/api/v1/campaigns/spring"
GOOD = "phone,first_name\n" + "".join(f"06{90000000 + n},Anna{n}\n" for n in range(20))
BROKEN = "Tel;Nome\n3,93E+11;Anna\n0612345678;Bruno\nciao;Carla\n0612345678;Dario\n"


@pytest.fixture
def api(web: Application, session: Session) -> Iterator["Api"]:
    """A web process with a limit of 1 MiB, a campaign, and nobody who runs imports but the test."""
    factories.campaign(session, name="spring", state="paused")
    factories.campaign(session, name="autumn", state="paused")
    session.commit()
    settings = web.settings.model_copy(update={"web": WebSettings(upload_limit=1)})
    with serve(dataclasses.replace(web, settings=settings)) as running:
        yield Api(running)


class Api:
    """Programs that talk to one web process."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.app = running.application

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = "text/csv" if isinstance(body, bytes) else "application/json"
        return self.running.ask(method, path, raw, {"content-type": kind, **headers})

    def json(self, method: str, path: str, body: Any = None, status: int = 200, **headers: str) -> Any:
        answer = self(method, path, body, **headers)
        assert answer.status == status, answer.body
        return json.loads(answer.body)

    def upload(self, content: str | bytes, name: str = "list.csv", status: int = 201) -> Any:
        raw = content if isinstance(content, bytes) else content.encode()
        return self.json("POST", f"{BASE}/uploads?file_name={name}", raw, status)

    def imported(self, content: str | bytes, **options: Any) -> Any:
        """Upload and import a file, and be the worker."""
        kept = self.upload(content)
        begun = self.json("POST", f"{BASE}/imports", {"upload": kept["upload"], **options}, 202)
        self.work(begun["import"])
        return self.json("GET", f"{BASE}/imports/{begun['import']}")

    def work(self, import_id: int) -> None:
        with self.app.transaction() as session:
            now = database_now(session)
        run_import(self.app.sessions, import_id, now=now, clock=self.app.clock)

    def kept(self) -> list[str]:
        """What lies in the data folder."""
        folder = self.app.data_dir / "imports"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def form(content: bytes, name: str = "list.csv", end: str = "\r\n--b--\r\n") -> bytes:
    head = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return head.encode() + content + end.encode()
