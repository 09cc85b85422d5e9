"""What the web process counts about itself, for Prometheus. Labels are our own words; nothing secret is among them."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_BATCH_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500)
_BATCH_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0)


class WebMetrics:
    """The counters of one web process, in a registry of their own so that two apps in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._received = Counter(
            "dialer_events_received", "Events logged and answered 200.", ["pbx"], registry=self.registry
        )
        self._refused = Counter(
            "dialer_events_refused", "Webhook requests not logged, by reason.", ["reason"], registry=self.registry
        )
        self._batch_events = Histogram(
            "dialer_event_log_batch_events", "Events in one commit.", buckets=_BATCH_SIZES, registry=self.registry
        )
        self._batch_seconds = Histogram(
            "dialer_event_log_batch_seconds", "Time of one commit.", buckets=_BATCH_SECONDS, registry=self.registry
        )
        self._failures = Counter(
            "dialer_event_log_failures", "Commits that failed and were tried again.", registry=self.registry
        )
        self._doorbell_lost = Counter(
            "dialer_doorbell_lost", "Rings that failed or found no room; the second look makes up for them.",
            registry=self.registry,
        )  # fmt: skip
        self._ivr = Counter("dialer_ivr_answers", "Answers given to IVR nodes, by command.", ["command"],
                            registry=self.registry)  # fmt: skip
        self.live_clients = Gauge("dialer_live_clients", "Browsers fed with live numbers.", registry=self.registry)

    def received(self, pbx: str) -> Counter:
        """The counter of events from one PBX, to be kept at hand."""
        return self._received.labels(pbx)

    def refused(self, reason: str) -> None:
        """One webhook request was not logged."""
        self._refused.labels(reason).inc()

    def batch(self, events: int, seconds: float) -> None:
        """One commit of the event log."""
        self._batch_events.observe(events)
        self._batch_seconds.observe(seconds)

    def failure(self) -> None:
        """One commit of the event log failed."""
        self._failures.inc()

    def doorbell_lost(self, rings: int) -> None:
        """Rings nobody heard."""
        self._doorbell_lost.inc(rings)

    def ivr_answer(self, command: int) -> None:
        """One question of an IVR node was answered."""
        self._ivr.labels(str(command)).inc()

    def watch(self, name: str, what: str, value: Callable[[], float]) -> None:
        """Add a gauge that is read when somebody asks."""
        Gauge(name, what, registry=self.registry).set_function(value)

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self.registry)
