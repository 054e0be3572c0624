"""What the control plane counts and times about itself, on one registry that wiring makes and passes on.

Names and labels are those of Kuma's control plane (a dashboard made for it keeps working); `kuma_refused_inputs_total`
is ours. Every metric has the label `zone`.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence

import prometheus_client
from prometheus_client import metrics_core
from prometheus_client import registry as registries

FAST = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Bucket bounds in seconds for work inside the process: a tenth of a millisecond and up."""

SLOW = (0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
"""Bucket bounds in seconds for waiting."""

SIZES = (100.0, 1_000.0, 10_000.0, 100_000.0, 1_000_000.0, 10_000_000.0)
"""Bucket bounds in bytes for response bodies."""


class Counter(registries.Collector):
    """A counter whose name is exposed as it is; the one of prometheus_client appends `_total`, Kuma's often has none."""

    def __init__(self, name: str, help_text: str, labels: Sequence[str]) -> None:
        self._name = name
        self._help = help_text
        self._labels = tuple(labels)
        self._values: dict[tuple[str, ...], float] = {}

    def add(self, *labels: str, amount: float = 1.0) -> None:
        """Counts up the series of these label values."""
        assert len(labels) == len(self._labels), f"{self._name} takes {self._labels}"
        self._values[labels] = self._values.get(labels, 0.0) + amount

    def value(self, *labels: str) -> float:
        """What was counted so far for these label values."""
        return self._values.get(labels, 0.0)

    def describe(self) -> list[metrics_core.Metric]:
        """The family without samples, so that the registry knows the name."""
        return [metrics_core.Metric(self._name, self._help, "counter")]

    def collect(self) -> list[metrics_core.Metric]:
        """The family with one sample a series."""
        (family,) = self.describe()
        for values, count in self._values.items():
            family.add_sample(self._name, dict(zip(self._labels, values, strict=True)), count)
        return [family]


@contextlib.contextmanager
def _timed(histogram: prometheus_client.Histogram) -> Iterator[None]:
    """Observes the seconds of the body, however it ends."""
    started = time.perf_counter()
    try:
        yield
    finally:
        histogram.observe(time.perf_counter() - started)


class HttpMetrics:
    """Requests of one HTTP server: `<prefix>_http_request_duration_seconds` and its siblings."""

    def __init__(self, prefix: str, zone: str, registry: prometheus_client.CollectorRegistry) -> None:
        per_answer = ("code", "handler", "method", "service", "zone")
        self._zone = zone
        self._service = prefix
        self._duration = prometheus_client.Histogram(
            f"{prefix}_http_request_duration_seconds", "Latency of requests.", per_answer, registry=registry
        )
        self._size = prometheus_client.Histogram(
            f"{prefix}_http_response_size_bytes", "Size of responses.", per_answer, registry=registry, buckets=SIZES
        )
        self._inflight = prometheus_client.Gauge(
            f"{prefix}_http_requests_inflight",
            "Requests being answered.",
            ("handler", "service", "zone"),
            registry=registry,
        )

    def started(self, handler: str) -> None:
        """A request for a handler (the route's template, not the path) is being answered."""
        self._inflight.labels(handler, self._service, self._zone).inc()

    def finished(self, handler: str, method: str, status: int, seconds: float, size: int) -> None:
        """The request was answered with `size` bytes of body."""
        self._inflight.labels(handler, self._service, self._zone).dec()
        labels = (str(status), handler, method, self._service, self._zone)
        self._duration.labels(*labels).observe(seconds)
        self._size.labels(*labels).observe(size)


class DiscoveryMetrics:
    """Streams of one kind (`xds`, `hds`): how many, what they asked, what they got, how long making it took."""

    def __init__(
        self, prefix: str, zone: str, registry: prometheus_client.CollectorRegistry, *, by_type: bool = True
    ) -> None:
        """`by_type`: requests and responses are told apart by what they are about, as Kuma does for `xds` alone."""
        self._zone = zone
        self._by_type = by_type
        self._streams = prometheus_client.Gauge(
            f"{prefix}_streams_active", "Streams that are open.", ("zone",), registry=registry
        ).labels(zone)
        self._generation = prometheus_client.Histogram(
            f"{prefix}_generation", "Seconds to make a configuration.", ("zone",), registry=registry, buckets=FAST
        ).labels(zone)
        self._errors = Counter(f"{prefix}_generation_errors", "Configurations that could not be made.", ("zone",))
        of_request, of_response = ("confirmation", "type_url", "zone"), ("type_url", "zone")
        own = ("zone",)
        self._requests = Counter(
            f"{prefix}_requests_received", "Requests, by what they confirm.", of_request if by_type else own
        )
        self._responses = Counter(f"{prefix}_responses_sent", "Responses.", of_response if by_type else own)
        self._errors.add(zone, amount=0)
        if not by_type:
            self._requests.add(zone, amount=0)
            self._responses.add(zone, amount=0)
        for each in (self._errors, self._requests, self._responses):
            registry.register(each)

    @contextlib.contextmanager
    def stream(self) -> Iterator[None]:
        """Counts a stream while it is open."""
        self._streams.inc()
        try:
            yield
        finally:
            self._streams.dec()

    def generation(self) -> contextlib.AbstractContextManager[None]:
        """Times the making of configurations."""
        return _timed(self._generation)

    def generation_failed(self) -> None:
        """One proxy's configuration could not be made."""
        self._errors.add(self._zone)

    def request(self, type_url: str, confirmation: str) -> None:
        """A request arrived; `confirmation` is ACK, NACK or NONE (a first one)."""
        self._requests.add(*((confirmation, type_url) if self._by_type else ()), self._zone)

    def response(self, type_url: str) -> None:
        """A response was handed to the stream."""
        self._responses.add(*((type_url,) if self._by_type else ()), self._zone)


class Metrics:
    """Everything that is measured, on `registry`. One per control plane."""

    def __init__(self, registry: prometheus_client.CollectorRegistry, zone: str = "") -> None:
        self.registry = registry
        self.zone = zone
        self.xds = DiscoveryMetrics("xds", zone, registry)
        self.hds = DiscoveryMetrics("hds", zone, registry, by_type=False)
        self.api_server = HttpMetrics("api_server", zone, registry)
        self.dp_server = HttpMetrics("dp_server", zone, registry)
        prometheus_client.Histogram(
            "xds_delivery",
            "Seconds from sending a configuration until it was confirmed.",
            ("zone",),
            registry=registry,
        ).labels(zone)
        self._store = prometheus_client.Histogram(
            "store",
            "Seconds of store operations.",
            ("operation", "resource_type", "zone"),
            registry=registry,
            buckets=FAST,
        )
        self._counts = prometheus_client.Gauge(
            "resources_count", "Resources in the store.", ("resource_type", "tenant", "zone"), registry=registry
        )
        self._leader = prometheus_client.Gauge(
            "leader", "1 while this instance leads.", ("zone",), registry=registry
        ).labels(zone)
        self._refused = Counter(
            "kuma_refused_inputs_total", "Input that a boundary refused.", ("boundary", "reason", "zone")
        )
        self._insights = prometheus_client.Histogram(
            "insights_resyncer_event_time_processing",
            "Seconds to bring insights up to date after a change.",
            ("reason", "result", "zone"),
            registry=registry,
            buckets=FAST,
        )
        self._insights_idle = self._histogram(
            "insights_resyncer_processor_idle_time", "Seconds without a change.", SLOW
        )
        self._insights_waited = self._histogram(
            "insights_resyncer_event_time_to_process", "Seconds from a change until its round begins.", SLOW
        )
        self._dp_shutdown = self._histogram(
            "dp_server_shutdown_duration_seconds", "Seconds to close the data plane port.", SLOW
        )
        self._lines = Counter("kuma_cp_log_lines_total", "Lines logged.", ("level", "logger", "zone"))
        self._cache = Counter(
            "store_cache",
            "Reads of the store, which keeps all in memory.",
            ("operation", "resource_type", "result", "zone"),
        )
        self._dropped = Counter("events_dropped", "Followers of the store that fell too far behind.", ("zone",))
        self._dropped.add(zone, amount=0)
        self._vips = self._histogram("vip_generation", "Seconds to make the legacy addresses of a mesh.")
        self._vip_errors = Counter("vip_generation_errors", "Legacy addresses that could not be made.", ("zone",))
        self._vip_errors.add(zone, amount=0)
        self._scrapes = Counter("promhttp_metric_handler_requests_total", "Scrapes.", ("code", "zone"))
        for code in ("200", "500", "503"):
            self._scrapes.add(code, zone, amount=0)
        self._scraping = prometheus_client.Gauge(
            "promhttp_metric_handler_requests_in_flight", "Scrapes being answered.", ("zone",), registry=registry
        ).labels(zone)
        for each in (self._refused, self._lines, self._cache, self._dropped, self._scrapes, self._vip_errors):
            registry.register(each)
        self._loops: dict[str, prometheus_client.Histogram] = {}
        for collector in (prometheus_client.ProcessCollector, prometheus_client.GCCollector):
            collector(registry=registry)

    def _histogram(self, name: str, text: str, bounds: Sequence[float] = FAST) -> prometheus_client.Histogram:
        """A histogram of seconds whose only label is the zone."""
        made = prometheus_client.Histogram(name, text, ("zone",), registry=self.registry, buckets=bounds)
        return made.labels(self.zone)

    # The making of configurations, as the publisher calls it

    def generation(self) -> contextlib.AbstractContextManager[None]:
        """Times the making of configurations for proxies."""
        return self.xds.generation()

    def generation_failed(self) -> None:
        """One proxy's configuration could not be made."""
        self.xds.generation_failed()

    # Everything else

    def store_operation(self, operation: str, kind: str) -> contextlib.AbstractContextManager[None]:
        """Times one operation (list, create, update, delete, apply) on resources of a kind."""
        return _timed(self._store.labels(operation, kind, self.zone))

    def read(self, operation: str, kind: str) -> None:
        """A read (get, list) of resources of a kind was answered from memory, as all of them are."""
        self._cache.add(operation, kind, "hit", self.zone)

    def fell_behind(self) -> None:
        """A follower of the store missed changes, and must list everything again."""
        self._dropped.add(self.zone)

    def loop(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Times one round of a background loop, as `component_<name>`."""
        histogram = self._loops.get(name)
        if histogram is None:
            histogram = self._loops[name] = self._histogram(f"component_{name}", "Seconds of one round.")
        return _timed(histogram)

    @contextlib.contextmanager
    def vip_generation(self) -> Iterator[None]:
        """Times the making of one mesh's legacy addresses, and counts it where it fails."""
        try:
            with _timed(self._vips):
                yield
        except Exception:
            self._vip_errors.add(self.zone)
            raise

    @contextlib.contextmanager
    def insight_round(self) -> Iterator[None]:
        """Times one round of insights, in which something was due."""
        started = time.perf_counter()
        yield
        self._insights.labels("event", "changed", self.zone).observe(time.perf_counter() - started)

    def insights_idle(self) -> contextlib.AbstractContextManager[None]:
        """Times how long nothing was due."""
        return _timed(self._insights_idle)

    def insights_waited(self, seconds: float) -> None:
        """The first change of a round waited that long for it."""
        self._insights_waited.observe(seconds)

    def dp_server_shutdown(self) -> contextlib.AbstractContextManager[None]:
        """Times the closing of the data plane port."""
        return _timed(self._dp_shutdown)

    @contextlib.contextmanager
    def scrape(self) -> Iterator[None]:
        """Counts a scrape by how it ends."""
        code = "500"
        self._scraping.inc()
        try:
            yield
            code = "200"
        finally:
            self._scraping.dec()
            self._scrapes.add(code, self.zone)

    def refused(self, boundary: str, reason: str) -> None:
        """A boundary (rest, xds, hds, bootstrap, tls ...) refused input. `reason` is one of a few fixed words."""
        self._refused.add(boundary, reason, self.zone)

    def answered(self, boundary: str, status: int) -> None:
        """A boundary answered over HTTP. Statuses of refusals are few; 404 is a question answered, not a refusal."""
        if status >= 400 and status not in (404, 500):
            self.refused(boundary, str(status))

    def refusals(self, boundary: str, reason: str) -> float:
        """How often that happened."""
        return self._refused.value(boundary, reason, self.zone)

    def logged(self, level: str, logger: str) -> None:
        """A line was written by a component."""
        self._lines.add(level, logger, self.zone)

    def resources(self, kind: str, count: int) -> None:
        """How many resources of a kind there are."""
        self._counts.labels(kind, "", self.zone).set(count)

    def leads(self, leader: bool) -> None:
        """Whether this instance runs the loops that only one may run."""
        self._leader.set(1 if leader else 0)

    def describe_control_plane(self, version: str, instance_id: str, cluster_id: str) -> None:
        """The constant `cp_info`."""
        labels = ("build_date", "cluster_id", "git_commit", "git_tag", "instance_id", "product", "version", "zone")
        gauge = prometheus_client.Gauge("cp_info", "This control plane.", labels, registry=self.registry)
        gauge.labels("", cluster_id, "", "", instance_id, "Kuma", version, self.zone).set(1)
