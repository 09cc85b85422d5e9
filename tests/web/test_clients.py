"""Programs with a token: the digest alone is kept, and a token opens the API and nothing else."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from campaigns.application import Application
from campaigns.web.clients import ApiClients, add_client, digest_of, read_clients, remove_client
from dialer.errors import AlreadyThere, BadInput, NotFound, SettingsError
from tests import factories

from .conftest import Browser, at_host, browse

ELSEWHERE = "http://dialer.example:8080"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "clients"


@pytest.fixture
def crm(file: Path) -> str:
    """The token of the program `crm`."""
    return add_client(file, "crm", None)


@pytest.fixture
def published(web: Application, session: Session, file: Path, crm: str) -> Iterator[Browser]:
    """A program elsewhere, at a web process bound to every address."""
    factories.campaign(session, name="spring", state="paused")
    session.commit()
    elsewhere = at_host(web, host="0.0.0.0", public_url=ELSEWHERE, clients_file=str(file))
    with browse(elsewhere, address=ELSEWHERE, comes_from="198.51.100.7") as browser:
        yield browser


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_a_token_opens_the_api_and_no_page(published: Browser, crm: str) -> None:
    assert published.get("/api/v1/campaigns/spring/imports").status_code == 403
    assert published.get("/api/v1/campaigns/spring/imports", headers=bearer(crm)).status_code == 200
    for path in ("/", "/campaigns/spring/lists", "/metrics", "/words.json"):
        assert published.get(path, headers=bearer(crm)).status_code == 403, path


def test_what_a_program_does_is_written_under_its_name(published: Browser, crm: str) -> None:
    answer = published.post(
        "/api/v1/campaigns/spring/uploads",
        content=b"phone\n0612345678\n",
        headers=bearer(crm) | {"content-type": "text/csv"},
    )
    assert answer.json()["who"] == "api:crm"


@pytest.mark.parametrize("wrong", ["", "x", "x" * 3000, "tok\u00e9n"])
def test_a_wrong_token_is_401_also_on_this_machine(
    published: Browser, web: Application, session: Session, wrong: str
) -> None:
    headers = {"authorization": f"Bearer {wrong}".encode()}
    answer = published.get("/api/v1/campaigns", headers=headers)  # type: ignore[arg-type]
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["kind"] == "wrong_key"
    with browse(web) as here:
        assert here.get("/api/v1/campaigns", headers=headers).status_code == 401  # type: ignore[arg-type]
        assert here.get("/api/v1/campaigns", headers={"authorization": "Basic eDp5"}).status_code == 200  # a proxy's


def test_a_token_is_in_no_log_and_no_answer(published: Browser, crm: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    told = ""
    for token in (crm, f"{crm}x"):
        for path in ("/api/v1/campaigns/sprng/imports", "/api/v1/nowhere", f"/api/v1/live?campaign={'x' * 300}"):
            answer = published.get(path, headers=bearer(token))
            told += answer.text + str(answer.headers)
        told += published.post("/api/v1/callbacks/1/take", json={"agent": 3}, headers=bearer(token)).text

    assert crm not in told
    assert crm not in "".join(record.getMessage() for record in caplog.records if record.name != "httpcore")


def test_a_token_is_taken_away_without_a_restart(published: Browser, file: Path, crm: str) -> None:
    other = add_client(file, "shop", None)
    clients = ApiClients(file, now=lambda: datetime(2026, 3, 2, tzinfo=UTC), monotonic=iter(range(0, 1000, 3)).__next__)
    assert (clients.name_of(crm), clients.name_of(other)) == ("crm", "shop")
    remove_client(file, "crm")
    assert (clients.name_of(crm), clients.name_of(other)) == (None, "shop")
    file.write_text("nonsense\n")
    assert clients.name_of(other) is None  # closed, rather than open to who was taken out
    file.unlink()
    assert clients.name_of(other) is None


def test_a_token_is_good_until_its_day(file: Path) -> None:
    token = add_client(file, "crm", date(2027, 1, 1))
    for now, name in ((datetime(2026, 12, 31, 23, 59, tzinfo=UTC), "crm"), (datetime(2027, 1, 1, tzinfo=UTC), None)):
        assert ApiClients(file, now=lambda now=now: now, monotonic=lambda: 0.0).name_of(token) == name


def test_the_file_holds_no_token_and_is_this_accounts_alone(file: Path, crm: str) -> None:
    assert crm not in file.read_text()
    assert digest_of(crm) in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    with pytest.raises(AlreadyThere, match="there is a client crm already"):
        add_client(file, "crm", None)
    with pytest.raises(NotFound, match="there are: crm"):
        remove_client(file, "shop")
    for name in ("", "a b", "../x", "x\n" + "0" * 64):
        with pytest.raises(BadInput):
            add_client(file, name, None)
    assert [one.name for one in read_clients(file)] == ["crm"]


@pytest.mark.parametrize(
    "line", ["crm", "crm 12", f"crm {'0' * 64} tomorrow", f"c*m {'0' * 64}", f"a {'0' * 64}\na {'1' * 64}"]
)
def test_a_wrong_line_is_named_at_the_start(file: Path, line: str) -> None:
    file.write_text(f"# programs\n\n{line}\n")
    with pytest.raises(SettingsError, match=r"clients, line [34]"):
        read_clients(file)
