"""A dialer's own database and receiver, and one maker's peer on a real socket, for `dialer pbx conformance`."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from campaigns.application import Application
from campaigns.installation import ensure_installation
from dialer.clock import SystemClock
from dialer.pbx.registry import open_pbx
from dialer.settings import Settings
from tests.cli.conftest import Dialer, OpenedContext
from tests.web.conftest import serve

HOOK = "hook-canary-5d2e8f7a1b3c4960-kq3v9ZC1x"
OWN, ALONE, WRONG = "+390612345678", "+390612345603", "+390612345602"
CALLER_ID = "+390210001000"


@dataclass
class Live:
    """A PBX set up as `main`, and the command line that tries it."""

    application: Application
    dialer: Dialer
    agents: Sequence[str] = ()
    numbers: Sequence[str] = (OWN, ALONE)
    wrong: str = ""

    def arguments(self, *more: str) -> list[str]:
        told = ["pbx", "conformance", "main", "--yes-these-are-mine", "--caller-id", CALLER_ID, "--patience", "4"]
        for number in self.numbers:
            told += ["--own-number", number]
        for agent in self.agents:
            told += ["--own-agent", agent]
        if self.wrong:
            told += ["--wrong-number", self.wrong]
        return [*told, *more]

    def run(self, *more: str, code: int = 0) -> "Told":
        """Run it with JSON; the report is read, too."""
        result = self.dialer(*self.arguments(*more), "--json")
        assert result.exit_code == code, f"{result.exit_code}\n{result.output}\n{result.exception!r}"
        # Whoever else runs in this process may print, too.
        found = json.loads(next(line for line in result.stdout.splitlines() if line.startswith('{"pbx"')))
        return Told(found, Path(found["report"]).read_text(encoding="utf-8"))


@dataclass
class Told:
    """What a run said."""

    found: dict[str, Any]
    report: str

    def verdicts(self, check: str) -> list[str]:
        return [one["verdict"] for one in self.found["lines"] if one["check"] == check]

    def bad(self) -> list[str]:
        """The checks that do not work, each once."""
        return list(dict.fromkeys(one["check"] for one in self.found["lines"] if one["verdict"] == "does not"))

    def line(self, check: str, verdict: str) -> dict[str, Any]:
        found = [one for one in self.found["lines"] if (one["check"], one["verdict"]) == (check, verdict)]
        assert found, self.found["lines"]
        return found[0]


@contextmanager
def on_stage(
    application: Application,
    section: dict[str, Any],
    environ: dict[str, str],
    *,
    web: bool = True,
    **timing: float,
) -> Iterator[tuple[Live, str]]:
    """Set the PBX up; with it the address its events go to, where a receiver listens unless `web` is false."""
    folder = application.settings.data_dir
    for name, value in {**environ, "hook": HOOK}.items():
        (folder / name).write_text(value)
    section = {**section, "token_file": str(folder / "TOKEN"), "webhook_secret_file": str(folder / "hook")}
    told: dict[str, Any] = {"data_dir": folder, "pbx": {"main": section}, "timing": {"lease": 5, **timing}}
    settings = Settings.model_validate(told)
    pbx = open_pbx("main", settings.pbx["main"])
    app = replace(application, settings=settings, pbxes={"main": pbx}, clock=SystemClock())
    ensure_installation(app.engine)
    try:
        if not web:
            app.settings = Settings.model_validate({**told, "web": {"port": 9}})
            yield Live(app, Dialer(OpenedContext(app))), ""
            return
        with serve(app) as served:
            address = f"http://127.0.0.1:{served.port}"
            app.settings = Settings.model_validate({**told, "web": {"public_url": address}})
            yield Live(app, Dialer(OpenedContext(app))), f"{address}/webhooks/main/{HOOK}"
    finally:
        pbx.close()
