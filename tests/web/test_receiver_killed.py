"""200 means on disk: a web process killed in the middle of its work has answered for nothing it did not log (I15)."""

import http.client
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine

from campaigns.event_log import connection_string
from tests.waiting import until

from .conftest import SECRET

ROOT = Path(__file__).parents[2]


@pytest.fixture
def receiver(engine: Engine, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    (tmp_path / "secret").write_text(SECRET)
    process = subprocess.Popen(
        [
            sys.executable,
            str(Path(__file__).with_name("receiver_process.py")),
            connection_string(engine),
            str(tmp_path / "secret"),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    yield process, int(process.stdout.readline())
    process.kill()
    process.wait(20)
    process.stdout.close()


class Sender(threading.Thread):
    """Sends events one after the other and remembers which were answered 200."""

    def __init__(self, name: str, port: int) -> None:
        super().__init__(daemon=True)
        self.name, self.port = name, port
        self.answered: list[str] = []

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            for number in range(1_000_000):
                ref = f"{self.name}-{number}"
                connection.request("GET", f"/webhooks/main/{SECRET}?extid={ref}")
                reply = connection.getresponse()
                if reply.status == 200:
                    self.answered.append(ref)
                reply.read()
        except (OSError, http.client.HTTPException):
            return  # the receiver is gone: what this is about
        finally:
            connection.close()


def test_every_event_answered_before_the_kill_is_in_the_log(
    receiver: tuple[subprocess.Popen[str], int], engine: Engine
) -> None:
    process, port = receiver
    senders = [Sender(f"d-c{number}", port) for number in range(8)]
    for sender in senders:
        sender.start()
    until(lambda: all(len(sender.answered) >= 50 for sender in senders), 60)

    process.send_signal(signal.SIGKILL)
    for sender in senders:
        sender.join(30)

    answered = {ref for sender in senders for ref in sender.answered}
    with psycopg.connect(connection_string(engine)) as connection:
        logged = {row[0] for row in connection.execute("SELECT ref FROM logged_events")}
    assert len(answered) >= 400
    assert answered - logged == set()


def test_a_receiver_told_to_stop_writes_what_it_was_given(
    receiver: tuple[subprocess.Popen[str], int], engine: Engine
) -> None:
    process, port = receiver
    senders = [Sender(f"d-c{number}", port) for number in range(4)]
    for sender in senders:
        sender.start()
    until(lambda: all(len(sender.answered) >= 20 for sender in senders), 60)

    process.send_signal(signal.SIGTERM)
    assert process.wait(20) in (0, -signal.SIGTERM)
    for sender in senders:
        sender.join(30)

    answered = {ref for sender in senders for ref in sender.answered}
    with psycopg.connect(connection_string(engine)) as connection:
        logged = {row[0] for row in connection.execute("SELECT ref FROM logged_events")}
    assert answered - logged == set()
