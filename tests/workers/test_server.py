"""The web process as it runs: a real one, told to stop."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from tests.waiting import until


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_a_web_process_that_is_told_to_stop_says_goodbye(
    session: Session, database_url: str, redis_url: str, tmp_path: Path, told: signal.Signals
) -> None:
    environ = {
        **os.environ, "DIALER_DATABASE_URL": database_url, "DIALER_REDIS_URL": redis_url,
        "DIALER_WEB_PORT": "0", "DIALER_DATA_DIR": str(tmp_path),
    }  # fmt: skip
    environ.pop("DIALER_CONFIG", None)

    def beats() -> int:
        session.rollback()
        return int(session.scalar(text("SELECT count(*) FROM process_beats WHERE kind = 'web'")) or 0)

    with subprocess.Popen(
        [str(Path(sys.executable).with_name("dialer")), "web"], env=environ, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "Uvicorn running" in line:
                break
        until(lambda: beats() == 1, 20)
        process.send_signal(told)
        process.communicate(timeout=30)
    assert (process.returncode, beats()) == (0, 0), "the dashboard would show it as silent"
