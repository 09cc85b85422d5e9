"""The contract between our consumer and Dramatiq's: what we replaced behaves as what was there, only sooner."""

import threading
import time
import uuid
from collections.abc import Iterator

import dramatiq
import pytest
import redis
from dramatiq.worker import Worker

from workers.broker import CALLS, MESSAGE_VERSION, QueueDoorbell, WakeUpBroker, build_broker, build_worker


@pytest.fixture
def broker(redis_url: str) -> Iterator[WakeUpBroker]:
    made = build_broker(redis_url)
    made.namespace = f"test-{uuid.uuid4().hex}"
    yield made
    made.flush_all()
    made.close()


@pytest.fixture
def heard(broker: WakeUpBroker) -> list[tuple[float, object]]:
    got: list[tuple[float, object]] = []

    @dramatiq.actor(broker=broker, actor_name="look", queue_name=CALLS)
    def look(version: int, pbx: str, ref: str | None, call_id: str | None) -> None:
        got.append((time.perf_counter(), (version, pbx, ref, call_id)))

    return got


@pytest.fixture
def worker(broker: WakeUpBroker, heard: list[tuple[float, object]]) -> Iterator[Worker]:
    running = build_worker(broker, 4)
    running.start()
    yield running
    running.stop(timeout=5_000)


def eventually(condition: object, within: float = 30.0) -> None:
    end = time.perf_counter() + within
    pause = threading.Event()
    while not condition():  # type: ignore[operator]
        assert time.perf_counter() < end, "did not happen in time"
        pause.wait(0.002)


def test_every_message_arrives_once(broker: WakeUpBroker, worker: Worker, heard: list[tuple[float, object]]) -> None:
    bell = QueueDoorbell(broker, complain=lambda why: pytest.fail(why))
    for number in range(300):
        bell.look("main", f"d1-c{number}", None)
    eventually(lambda: len(heard) == 300)
    broker.join(CALLS)
    assert sorted(what[2] for _, what in heard) == sorted(f"d1-c{n}" for n in range(300))  # type: ignore[index]
    assert heard[0][1] == (MESSAGE_VERSION, "main", heard[0][1][2], None)  # type: ignore[index]


def test_an_idle_worker_is_woken_not_polled(
    broker: WakeUpBroker, worker: Worker, heard: list[tuple[float, object]]
) -> None:
    """A stock worker is asleep for up to a second by now. The bound is loose; the figure is in benchmarks/."""
    bell = QueueDoorbell(broker, complain=lambda why: pytest.fail(why))
    delays = []
    for number in range(8):
        threading.Event().wait(0.4)
        sent = time.perf_counter()
        bell.look("main", str(number), None)
        eventually(lambda number=number: len(heard) == number + 1)
        delays.append(heard[-1][0] - sent)
    assert sorted(delays)[4] < 0.25


def test_a_worker_takes_no_more_than_it_has_threads_for(broker: WakeUpBroker, redis_url: str) -> None:
    gate, started = threading.Event(), []

    @dramatiq.actor(broker=broker, actor_name="look", queue_name=CALLS)
    def look(*_: object) -> None:
        started.append(1)
        gate.wait(60)

    bell = QueueDoorbell(broker, complain=lambda why: pytest.fail(why))
    for number in range(6):
        bell.look("main", str(number), None)
    worker = build_worker(broker, 2)
    worker.start()
    try:
        eventually(lambda: len(started) == 2)
        waiting = broker.client.llen(f"{broker.namespace}:{CALLS}")
        assert waiting == 4, "what it cannot start at once, another worker may take"
        gate.set()
        eventually(lambda: len(started) == 6)
    finally:
        gate.set()
        worker.stop(timeout=5_000)


def test_a_redis_that_is_away_stops_nobody_and_is_complained_of_once() -> None:
    said: list[str] = []
    now = [0.0]
    nobody = WakeUpBroker(client=redis.Redis(port=1, socket_connect_timeout=0.2, retry=None), middleware=[])
    bell = QueueDoorbell(nobody, complain=said.append, monotonic=lambda: now[0])
    bell.place("d1-c1")
    bell.place("d1-c2")
    assert len(said) == 1
    now[0] = 2.0
    bell.place("d1-c3")
    assert len(said) == 2
    assert "second look" in said[0]


def test_tokens_of_an_unread_queue_stay_few(broker: WakeUpBroker) -> None:
    bell = QueueDoorbell(broker, complain=lambda why: pytest.fail(why))
    for number in range(200):
        bell.place(str(number))
    assert broker.client.llen(broker.wake_key(CALLS)) == 64
