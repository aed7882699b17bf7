"""Figures for Prometheus: bounded labels, no names of people, no secrets."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from beamctl.api.live_book import LiveBook, age
from beamctl.errors import StoreError
from beamctl.store.open import Store
from beamctl.store.states import RunState

if TYPE_CHECKING:
    from beamctl.api.control_watch import ControlWatch
    from beamctl.api.stream.hub import Hub

BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Metrics:
    """All figures of one service.

    Args:
        store, live, control, hub: asked when somebody wants the figures.

    Attributes:
        requests: answers by route, method and status.
        seconds: how long they took, streams left out.
        store_errors: requests that failed because of the store.
    """

    media_type = CONTENT_TYPE_LATEST

    def __init__(self, store: Store, live: LiveBook, control: "ControlWatch", hub: "Hub") -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "beamctl_http_requests", "Answers.", ("route", "method", "status"), registry=self._registry
        )
        self.seconds = Histogram(
            "beamctl_http_request_seconds", "Time to the end of the answer, streams left out.", ("route", "method"),
            buckets=BUCKETS_S, registry=self._registry,
        )  # fmt: skip
        self.store_errors = Counter(
            "beamctl_store_errors", "Requests that failed because of the store.", registry=self._registry
        )
        self._registry.register(_State(store, live, control, hub))

    def text(self) -> bytes:
        """As Prometheus reads it."""
        return generate_latest(self._registry)


class _State(Collector):
    """What is asked for at the moment of the question."""

    def __init__(self, store: Store, live: LiveBook, control: "ControlWatch", hub: "Hub") -> None:
        self._store = store
        self._live = live
        self._control = control
        self._hub = hub

    def describe(self) -> Iterator[Metric]:
        """Nothing: asking the store has to wait until somebody wants to know."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client; what the store does not tell is left out."""
        yield GaugeMetricFamily("beamctl_streams", "Open event streams.", value=self._hub.streams)
        try:
            found = list(self._of_store())
        except StoreError:
            yield GaugeMetricFamily("beamctl_store_readable", "1: the store can be read.", value=0)
            return
        yield GaugeMetricFamily("beamctl_store_readable", "1: the store can be read.", value=1)
        yield from found

    def _of_store(self) -> Iterator[Metric]:
        control = self._control.view()
        yield GaugeMetricFamily("beamctl_events_end", "Newest event.", value=self._store.events.end().seq)
        yield GaugeMetricFamily("beamctl_control_alive", "1: it holds its lease.", value=control.is_alive)
        yield GaugeMetricFamily("beamctl_halted", "1: a PV has frozen everything.", value=control.is_halted)
        ages = GaugeMetricFamily("beamctl_live_age_seconds", "Age of the newest reading.", labels=("section",))
        for section, row in self._live.rows().items():
            ages.add_metric((section,), age(row))
        yield ages
        runs = GaugeMetricFamily("beamctl_runs", "Runs of all times by the state they are in.", labels=("state",))
        counts = self._store.pages.counts()
        for state in RunState:
            runs.add_metric((state.value,), counts.get(state, 0))
        yield runs
