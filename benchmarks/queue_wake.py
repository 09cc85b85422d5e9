"""From `enqueue` to the start of the actor, after a quiet moment: a stock Dramatiq worker beside ours, in one run.

    .venv/bin/python benchmarks/queue_wake.py [--samples 30] [--idle 2.5]

Both use the same Valkey, started for this run, the same number of threads and the same message. `floor` is the
time a blocking pop takes to wake a thread with no Dramatiq around it: what no queue on Redis can go below.
"""

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.worker import Worker

from workers.broker import build_broker, build_worker
from workers.demo_results import percentile
from workers.embedded import EmbeddedServices

THREADS = 8


def measure(
    send: Callable[[], None], started: threading.Event, at: list[float], samples: int, idle: float
) -> list[float]:
    waits = []
    for _ in range(samples):
        time.sleep(idle)
        started.clear()
        begun = time.perf_counter()
        send()
        started.wait(10)
        waits.append((at[-1] - begun) * 1000)
    return sorted(waits)


def through(broker: RedisBroker, worker: Worker, samples: int, idle: float) -> list[float]:
    started, at = threading.Event(), [0.0]

    @dramatiq.actor(broker=broker, queue_name="calls")
    def ping() -> None:
        at.append(time.perf_counter())
        started.set()

    worker.start()
    try:
        return measure(lambda: ping.send() and None, started, at, samples, idle)
    finally:
        worker.stop(timeout=5_000)


def floor(url: str, samples: int, idle: float) -> list[float]:
    started, at, stop = threading.Event(), [0.0], threading.Event()

    def pop() -> None:
        client = redis.Redis.from_url(url)
        while not stop.is_set():
            if client.blpop(["floor"], timeout=1):
                at.append(time.perf_counter())
                started.set()

    thread = threading.Thread(target=pop, daemon=True)
    thread.start()
    sender = redis.Redis.from_url(url)
    try:
        return measure(lambda: sender.lpush("floor", b"1") and None, started, at, samples, idle)
    finally:
        stop.set()
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=30)
    parser.add_argument("--idle", type=float, default=2.5)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="queue-wake-") as folder,
        EmbeddedServices(Path(folder), durable=False, services=("valkey",)) as services,
    ):
        url = services.redis_url
        stock = RedisBroker(url=url, namespace="stock")
        ours = build_broker(url)
        found = {
            "floor": floor(url, given.samples, given.idle),
            "stock worker": through(stock, Worker(stock, worker_threads=THREADS), given.samples, given.idle),
            "ours": through(ours, build_worker(ours, THREADS), given.samples, given.idle),
        }
    for name, waits in found.items():
        shares = {f"p{share}": round(percentile(waits, share), 2) for share in (50, 95, 99)}
        print(f"{name:13}", json.dumps({**shares, "max": round(waits[-1], 2), "unit": "ms"}))


if __name__ == "__main__":
    main()
