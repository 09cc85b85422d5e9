"""The Dramatiq broker, tuned for a product that has two seconds.

A stock worker on Redis polls with a back-off of up to a second after a quiet moment. Here `enqueue` also pushes a
token on `<queue>.wake`, and the consumer blocks on it instead of sleeping: some 1.5 ms instead of up to 1,000.
Dramatiq's own scripts and data layout stay as they are. Two methods of its private consumer are replaced, so its
version is pinned and `tests/workers/test_broker.py` holds the contract.
"""

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from dramatiq.middleware import AgeLimit, CurrentMessage, Retries, ShutdownNotifications, TimeLimit
from dramatiq.worker import Worker
from redis.backoff import NoBackoff
from redis.retry import Retry

CALLS = "calls"  # place, look: somebody is on the phone
BULK = "bulk"  # imports, exports, roll-ups
QUEUES = (CALLS, BULK)

# A hint older than this is of no use: the second look has long done what it meant.
HINT_LIFE_MS = 10_000
# Blocks this long for a token, then polls anyway: a lost token costs a quarter of a second.
WORKER_TIMEOUT_MS = 250
_TOKENS = 64


class WakeUpBroker(RedisBroker):
    """A RedisBroker that wakes its consumers."""

    @property
    def consumer_class(self) -> type["WakeUpConsumer"]:
        return WakeUpConsumer

    def wake_key(self, queue_name: str) -> str:
        return f"{self.namespace}:{queue_name}.wake"

    def enqueue(self, message: dramatiq.Message[Any], *, delay: int | None = None) -> dramatiq.Message[Any]:
        sent = super().enqueue(message, delay=delay)
        if delay is None:
            key = self.wake_key(message.queue_name)
            with self.client.pipeline(transaction=False) as pipe:
                pipe.lpush(key, b"1")
                pipe.ltrim(key, 0, _TOKENS - 1)
                pipe.execute()
        return sent


class WakeUpConsumer(_RedisConsumer):
    """Blocks on the wake-up token where the stock consumer sleeps."""

    def __init__(self, broker: WakeUpBroker, queue_name: str, prefetch: int, timeout: int) -> None:
        super().__init__(broker, queue_name, prefetch, timeout)
        self._room = threading.Event()

    def ack(self, message: dramatiq.MessageProxy) -> None:
        super().ack(message)
        self._room.set()

    def nack(self, message: dramatiq.MessageProxy) -> None:
        super().nack(message)
        self._room.set()

    def __next__(self) -> dramatiq.MessageProxy | None:
        if self.message_cache:
            return cast("dramatiq.MessageProxy | None", super().__next__())
        try:
            if self.outstanding_message_count >= self.prefetch:
                self._room.wait(self.timeout / 1000)
                self._room.clear()
                return None
            self._room.clear()
            self.message_cache = self.broker.do_fetch(self.queue_name, self.prefetch - self.outstanding_message_count)
            if not self.message_cache:
                self.broker.client.blpop([self.broker.wake_key(self.queue_name)], timeout=self.timeout / 1000)
                return None
        except redis.RedisError as exc:
            # A time-out is Redis being away too; the stock consumer would treat it as a bug and be slow to return.
            raise dramatiq.errors.ConnectionClosed(exc) from None
        return cast("dramatiq.MessageProxy | None", super().__next__())


def redis_client(url: str) -> redis.Redis:
    """A client that gives up soon and never repeats: what it carries is only a hint."""
    return redis.Redis.from_url(
        url, socket_timeout=1.5, socket_connect_timeout=1.0, retry=Retry(NoBackoff(), 0), health_check_interval=30
    )


def build_broker(url: str) -> WakeUpBroker:
    """The broker with the middleware we want and no other.

    `maintenance_chance`: messages of a killed worker come back after the heartbeat time-out instead of after
    minutes; until then the second look has done their work anyway.
    """
    return WakeUpBroker(
        client=redis_client(url),
        namespace="dialer",
        maintenance_chance=100_000,
        heartbeat_timeout=30_000,
        middleware=[
            AgeLimit(),
            TimeLimit(time_limit=30_000),
            ShutdownNotifications(),
            CurrentMessage(),
            Retries(max_retries=3, min_backoff=100, max_backoff=2_000),
        ],
    )


def build_worker(broker: WakeUpBroker, threads: int) -> Worker:
    """One worker whose prefetch equals its threads: what it cannot start at once, another may take."""
    worker = Worker(broker, worker_timeout=WORKER_TIMEOUT_MS, worker_threads=threads)
    worker.queue_prefetch = threads
    return worker


class QueueDoorbell:
    """Rings through Redis; when Redis is away it says so once a while, and rings nobody."""

    def __init__(
        self,
        broker: WakeUpBroker,
        *,
        complain: Callable[[str], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._broker = broker
        self.complain = complain
        self._monotonic = monotonic
        self._away_until = 0.0

    def look(self, pbx: str, ref: str | None, call_id: str | None) -> None:
        self._send(CALLS, "look", pbx, ref, call_id)

    def place(self, ref: str) -> None:
        self._send(CALLS, "place", ref)

    def run_import(self, import_id: int) -> None:
        self._send(BULK, "run_import", import_id)

    def _send(self, queue: str, actor: str, *args: object) -> None:
        if self._monotonic() < self._away_until:
            return
        message: dramatiq.Message[Any] = dramatiq.Message(
            queue_name=queue, actor_name=actor, args=(MESSAGE_VERSION, *args), kwargs={}, options={}
        )
        try:
            self._broker.enqueue(message)
        except (redis.RedisError, dramatiq.errors.BrokerError) as exc:
            # Do not make every caller wait for a server that is away.
            self._away_until = self._monotonic() + 1.0
            self.complain(f"Redis is away ({type(exc).__name__}): calls go on, found by the second look")


class PatientDoorbell:
    """Hands every ring to a thread of its own: whoever rings never waits for Redis. A full queue drops the ring."""

    def __init__(self, bell: QueueDoorbell, size: int = 10_000) -> None:
        self._bell = bell
        self._rings: queue.Queue[tuple[Callable[..., None], tuple[object, ...]]] = queue.Queue(size)
        threading.Thread(target=self._ring, name="doorbell", daemon=True).start()

    def look(self, pbx: str, ref: str | None, call_id: str | None) -> None:
        self._put(self._bell.look, pbx, ref, call_id)

    def place(self, ref: str) -> None:
        self._put(self._bell.place, ref)

    def run_import(self, import_id: int) -> None:
        self._put(self._bell.run_import, import_id)

    def _put(self, ring: Callable[..., None], *args: object) -> None:
        with suppress(queue.Full):  # a hint; the second look finds the row
            self._rings.put_nowait((ring, args))

    def _ring(self) -> None:
        while True:
            ring, args = self._rings.get()
            try:
                ring(*args)
            except Exception as exc:  # the thread must live: a lost ring is found again, a dead thread is not
                self._bell.complain(f"a ring failed ({type(exc).__name__}); the second look finds the row")


# The first argument of every message. A worker that meets another version leaves the row to those who know it.
MESSAGE_VERSION = 1
