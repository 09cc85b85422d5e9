"""What processes say of themselves when they begin."""

from typing import Any

import pytest
from click.testing import CliRunner

from dialer.pbx.simulator import server
from workers import supervisor
from workers.processes import simulator


def test_the_simulated_pbx_says_where_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_server(*, on_ready: Any, **options: Any) -> None:
        on_ready(f"http://127.0.0.1:{options['port']}/PBX/seri_endpoint.php")

    monkeypatch.setattr(server, "run_server", run_server)
    monkeypatch.setattr(supervisor, "die_with_parent", lambda: None)
    told = CliRunner().invoke(simulator, ["--port", "9200"])
    assert "answers at http://127.0.0.1:9200/PBX/seri_endpoint.php" in told.stderr
    assert told.exit_code == 0
