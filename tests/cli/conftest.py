"""The command line given an application around the test's own database, and a PBX made of lists."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from campaigns.application import Application
from campaigns.cli.root import build_cli
from dialer.errors import PbxError
from dialer.pbx.base import Feature, Finding, Gateway, PbxUser, Presence
from dialer.settings import PbxSettings, Settings


@dataclass
class ListedPbx:
    """A PBX whose users, gateways and findings are what the test says; it cannot call."""

    name: str
    listed: list[PbxUser] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    lines: list[Gateway] = field(default_factory=list)
    trouble: PbxError | None = None
    features: frozenset[Feature] = frozenset(Feature)

    def users(self) -> Sequence[PbxUser]:
        self._may_fail()
        return self.listed

    def gateways(self) -> Sequence[Gateway]:
        self._may_fail()
        return self.lines

    def check(self) -> Sequence[Finding]:
        self._may_fail()
        return self.findings

    def close(self) -> None:
        pass

    def _may_fail(self) -> None:
        if self.trouble is not None:
            raise self.trouble


def user(number: int, name: str, *groups: str) -> PbxUser:
    return PbxUser(str(number), name, str(number + 100), Presence.AVAILABLE, groups)


@dataclass
class OpenedContext:
    app: Application

    @property
    def settings(self) -> Settings:
        return self.app.settings

    @contextmanager
    def application(self) -> Iterator[Application]:
        yield self.app


@dataclass
class Dialer:
    """`dialer("campaign", "list")` runs a command; `.json(...)` reads the one object it prints."""

    context: Any
    environ: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, *args: str, input: str | None = None) -> Result:
        environ = {"COLUMNS": "160", "NO_COLOR": "1", **self.environ}
        return CliRunner().invoke(build_cli(), args, obj=self.context, env=environ, input=input)

    def ok(self, *args: str) -> str:
        result = self(*args)
        assert result.exit_code == 0, f"{args}: {result.exit_code}\n{result.output}\n{result.exception!r}"
        return str(result.stdout)

    def json(self, *args: str, code: int = 0) -> Any:
        result = self(*args, "--json")
        assert result.exit_code == code, f"{args}: {result.exit_code}\n{result.output}\n{result.exception!r}"
        return json.loads(result.stdout)


@pytest.fixture
def pbx() -> ListedPbx:
    return ListedPbx(
        "main", [user(101, "Anna Rossi", "Sales"), user(102, "Bruno Conti", "Sales", "Night"), user(103, "Carla Neri")]
    )


@pytest.fixture
def app(application: Application, pbx: ListedPbx) -> Application:
    section = PbxSettings(url="http://127.0.0.1:9/PBX/seri_endpoint.php")
    settings = application.settings.model_copy(update={"pbx": {"main": section}})
    return replace(application, settings=settings, pbxes={"main": pbx})  # type: ignore[dict-item]


@pytest.fixture
def dialer(app: Application) -> Dialer:
    return Dialer(OpenedContext(app))
