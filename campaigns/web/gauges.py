"""The campaigns' numbers for Prometheus, read when it asks, from the same live state the dashboard shows."""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from campaigns.live import CampaignLive, LiveState

_CALLS = ("ordered", "ringing", "waiting", "talking", "message", "ending")


def campaign_numbers(state: LiveState | None) -> bytes:
    """Return the gauges as Prometheus reads them; None: the database could not be asked, and they say so."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Numbers(state))
    return generate_latest(registry)


class _Numbers(Collector):
    def __init__(self, state: LiveState | None) -> None:
        self._state = state

    def collect(self) -> Iterable[GaugeMetricFamily]:
        up = GaugeMetricFamily("dialer_live_state_up", "1 when the database could be asked for the numbers below.")
        up.add_metric([], 0.0 if self._state is None else 1.0)
        yield up
        if self._state is not None:
            yield from _of_events(self._state)
            yield from _of_campaigns(self._state.campaigns)


def _of_events(state: LiveState) -> Iterator[GaugeMetricFamily]:
    unhandled = GaugeMetricFamily("dialer_events_unhandled", "Logged events nobody has handled yet.")
    unhandled.add_metric([], state.events.unhandled)
    oldest = GaugeMetricFamily("dialer_events_oldest_unhandled_seconds", "Age of the oldest of them.")
    oldest.add_metric([], state.events.oldest_unhandled_age or 0.0)
    alive = GaugeMetricFamily("dialer_processes_alive", "Our processes heard of lately.", labels=["kind"])
    kinds = {process.kind for process in state.processes}
    for kind in sorted(kinds):
        alive.add_metric([kind], sum(process.alive for process in state.processes if process.kind == kind))
    yield from (unhandled, oldest, alive)


def _of_campaigns(campaigns: Iterable[CampaignLive]) -> Iterator[GaugeMetricFamily]:
    families = {
        name: GaugeMetricFamily(f"dialer_campaign_{name}", what, labels=["campaign", *labels])
        for name, what, labels in (
            ("running", "1 while the campaign runs.", ()),
            ("agents", "Agents of the campaign by state.", ("state",)),
            ("calls", "Open calls by state.", ("state",)),
            ("lines_free", "Free lines of the campaign's PBX.", ()),
            ("answered_today", "Calls answered since midnight in the campaign's zone.", ()),
            ("abandonment_rate", "D / (D + L) in the rule pack's window.", ()),
            ("abandonment_ceiling", "What the rate must not pass.", ()),
            ("contacts_open", "Contacts that may still be called.", ()),
            (
                "callbacks",
                "Promised callbacks not called yet: due, about to break (alarmed), broken (over).",
                ("state",),
            ),
            ("pace_calls", "Calls the last pacing decision wanted.", ()),
            ("join_seconds", "From answer to join order, today.", ("quantile",)),
        )
    }
    for campaign in campaigns:
        name = campaign.name
        families["running"].add_metric([name], float(campaign.state == "running"))
        for state, count in sorted(campaign.agents.by_state.items()):
            families["agents"].add_metric([name, state], count)
        for state in _CALLS:
            families["calls"].add_metric([name, state], getattr(campaign.calls, state))
        families["lines_free"].add_metric([name], campaign.lines.free)
        families["answered_today"].add_metric([name], campaign.today.answered)
        families["abandonment_rate"].add_metric([name], campaign.abandonment.rate)
        families["abandonment_ceiling"].add_metric([name], campaign.abandonment.ceiling)
        families["contacts_open"].add_metric([name], campaign.contacts.open)
        for state in ("due", "alarmed", "over"):
            families["callbacks"].add_metric([name, state], getattr(campaign.callbacks, state))
        if campaign.pace is not None:
            families["pace_calls"].add_metric([name], campaign.pace.calls)
        waits = campaign.today.join_ms
        for quantile, value in (("0.5", waits.p50), ("0.95", waits.p95), ("0.99", waits.p99)):
            if value is not None:
                families["join_seconds"].add_metric([name, quantile], value / 1000)
    yield from families.values()
