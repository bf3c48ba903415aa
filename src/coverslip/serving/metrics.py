"""What is counted, for Prometheus: requests, images, seconds, what waits. Never a name or a label of an image."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
BATCHES = (1, 2, 4, 8, 16, 32, 64)
CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """The numbers of one server.

    Args:
        waiting: how many images wait now.
        held: bytes of bodies that are held now.
    """

    def __init__(self, waiting: Callable[[], float], held: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        registry = self.registry
        self._requests = Counter(
            "coverslip_requests", "Requests, by what was asked and said", ["route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "coverslip_request_seconds", "From first byte to answer", ["route"], buckets=SECONDS, registry=registry
        )
        self._images = Counter("coverslip_images", "Images, by what became of them", ["outcome"], registry=registry)
        self.batches = Histogram(
            "coverslip_batch_images", "Images that were answered together", buckets=BATCHES, registry=registry
        )
        Gauge("coverslip_waiting_images", "Let in and not answered yet", registry=registry).set_function(waiting)
        Gauge("coverslip_held_bytes", "Bytes of requests in memory", registry=registry).set_function(held)
        for outcome in ("answered", "unfamiliar", "failed"):
            self._images.labels(outcome)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count one."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def image(self, *, failed: bool, familiar: bool | None) -> None:
        """Count one."""
        self._images.labels("failed" if failed else "unfamiliar" if familiar is False else "answered").inc()

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self.registry)
