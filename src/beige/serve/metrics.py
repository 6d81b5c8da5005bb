"""What Prometheus is told. Labels are routes, models and lanes of this server: never what a client wrote."""

from collections.abc import Callable
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from beige.serve.lanes import Lane

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_TOKENS = tuple(float(2**power) for power in range(4, 17))
_FILL = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99, 1.0)


class Metrics:
    """The counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter, gauge = partial(Counter, registry=self.registry), partial(Gauge, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        self._requests = counter("beige_requests", "Requests answered.", ("route", "status"))
        self._seconds = histogram(
            "beige_request_seconds", "From a request's head to the end of its answer.", ("route",), buckets=_SECONDS
        )
        self._lane_seconds = histogram(
            "beige_lane_seconds", "From a request's arrival in a lane to its last result.", ("lane",), buckets=_SECONDS
        )
        self._refused = counter("beige_refused", "Requests refused.", ("reason",))
        self._batch_tokens = histogram(
            "beige_batch_tokens", "Tokens of a batch, padding included.", ("model", "lane"), buckets=_TOKENS
        )
        self._batch_fill = histogram(
            "beige_batch_fill", "Share of a batch that is not padding.", ("model", "lane"), buckets=_FILL
        )
        self._batch_seconds = histogram(
            "beige_batch_seconds", "Seconds a batch is computed.", ("model", "lane"), buckets=_SECONDS
        )
        self._tokens = counter("beige_tokens", "Tokens computed, padding excluded.", ("model", "lane"))
        self._inputs = counter("beige_inputs", "Inputs answered.", ("model",))
        self._truncated = counter("beige_truncated_inputs", "Inputs cut to the model's length.", ("model",))
        self._queue = gauge("beige_queue_tokens", "Tokens that wait.", ("lane",))
        self._loaded = gauge("beige_model_loaded", "Whether a model is in memory.", ("model",))

    def watch_queue(self, lane: Lane, tokens: Callable[[], int]) -> None:
        """Ask for a lane's tokens whenever metrics are read."""
        self._queue.labels(lane).set_function(tokens)

    def watch_model(self, name: str, loaded: Callable[[], bool]) -> None:
        """Ask whether a model is loaded whenever metrics are read."""
        self._loaded.labels(name).set_function(lambda: float(loaded()))

    def request(self, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def refused(self, reason: str) -> None:
        """A request was refused."""
        self._refused.labels(reason).inc()

    def batch(self, model: str, lane: Lane, tokens: int, padded: int) -> None:
        """A batch starts."""
        self._batch_tokens.labels(model, lane).observe(padded)
        self._batch_fill.labels(model, lane).observe(tokens / padded)
        self._tokens.labels(model, lane).inc(tokens)

    def landed(self, model: str, lane: Lane, seconds: float) -> None:
        """A batch was computed."""
        self._batch_seconds.labels(model, lane).observe(seconds)

    def computed(self, model: str, lane: Lane, inputs: int, truncated: int, seconds: float) -> None:
        """A request's inputs were computed."""
        self._inputs.labels(model).inc(inputs)
        self._truncated.labels(model).inc(truncated)
        self._lane_seconds.labels(lane).observe(seconds)

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)
