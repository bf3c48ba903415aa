"""Prometheus metrics: requests, images, seconds and queue. They never contain a file name or a label."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
BATCHES = (1, 2, 4, 8, 16, 32, 64)
CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """The metrics of one server.

    Args:
        waiting: returns the number of images that wait now.
        held: returns the bytes of request bodies that are in memory now.
    """

    def __init__(self, waiting: Callable[[], float], held: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        registry = self.registry
        self._requests = Counter(
            "coverslip_requests", "Requests, by route and status", ["route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "coverslip_request_seconds",
            "Seconds from the first byte of a request to the answer",
            ["route"],
            buckets=SECONDS,
            registry=registry,
        )
        self._images = Counter("coverslip_images", "Images, by outcome", ["outcome"], registry=registry)
        self.batches = Histogram(
            "coverslip_batch_images", "Images predicted in one batch", buckets=BATCHES, registry=registry
        )
        Gauge("coverslip_waiting_images", "Images accepted and not yet answered", registry=registry).set_function(
            waiting
        )
        Gauge("coverslip_held_bytes", "Bytes of requests in memory", registry=registry).set_function(held)
        for outcome in ("answered", "unfamiliar", "failed"):
            self._images.labels(outcome)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def image(self, *, failed: bool, familiar: bool | None) -> None:
        """Count one image."""
        self._images.labels("failed" if failed else "unfamiliar" if familiar is False else "answered").inc()

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self.registry)
