"""What a MeshMetric says to the agent: the document that Envoy serves at `/meshmetric`. Source: Kuma's `dpapi`."""

import msgspec

from kuma.apps.dataplane.metrics.profiles import Profiles, Selector
from kuma.base import durations

DEFAULT_INTERVAL = 30 * durations.SECOND
"""How often collectors get metrics where nobody said it."""

SMALLEST_INTERVAL = durations.SECOND


def interval_of(said: str | None) -> int:
    """Nanoseconds between two exports, from a Go duration; ValueError where it is none."""
    return max(durations.parse_go(said), SMALLEST_INTERVAL) if said else DEFAULT_INTERVAL


class _Wire(msgspec.Struct, frozen=True, rename="camel"):
    """Fields we do not know are passed over: a newer control plane may send them."""


class Application(_Wire, frozen=True):
    """An application to scrape; `address` is empty where it is the proxy's own."""

    path: str = "/metrics"
    port: int = 0
    address: str = ""
    name: str | None = None


class OpenTelemetry(_Wire, frozen=True):
    """A collector: the path of the socket where Envoy takes its metrics, and a Go duration."""

    endpoint: str
    refresh_interval: str | None = None


class Backend(_Wire, frozen=True):
    """A reader of metrics. Prometheus comes by itself, so nothing is said about it."""

    type: str
    name: str | None = None
    open_telemetry: OpenTelemetry | None = None

    @property
    def interval(self) -> int:
        """Nanoseconds between two exports; ValueError where that is no duration."""
        return interval_of(self.open_telemetry.refresh_interval if self.open_telemetry else None)


class _Named(_Wire, frozen=True):
    name: str


class _Selector(_Wire, frozen=True):
    type: str
    match: str = ""


class _Profiles(_Wire, frozen=True):
    append_profiles: tuple[_Named, ...] | None = None
    exclude: tuple[_Selector, ...] | None = None
    include: tuple[_Selector, ...] | None = None


class Sidecar(_Wire, frozen=True):
    """Which of Envoy's metrics are wanted."""

    profiles: _Profiles | None = None
    include_unused: bool | None = None

    @property
    def chosen(self) -> Profiles:
        """The profiles and selectors in the filter's words."""
        said = self.profiles or _Profiles()
        return Profiles(
            tuple(each.name for each in said.append_profiles or ()),
            tuple(Selector(each.type, each.match) for each in said.exclude or ()),
            tuple(Selector(each.type, each.match) for each in said.include or ()),
        )


class Metrics(_Wire, frozen=True):
    """Everything that one MeshMetric, merged for this proxy, says."""

    applications: tuple[Application, ...] | None = None
    backends: tuple[Backend, ...] | None = None
    sidecar: Sidecar | None = None
    extra_labels: dict[str, str] | None = None

    @property
    def chosen_sidecar(self) -> Sidecar:
        """What is said of the proxy's metrics; nothing said means the defaults."""
        return self.sidecar or Sidecar()


class _Observability(_Wire, frozen=True):
    metrics: Metrics


class _Document(_Wire, frozen=True):
    observability: _Observability


def read_config(body: bytes) -> Metrics:
    """The configuration in a body; ValueError that names the field where it cannot be read."""
    metrics = msgspec.json.decode(body, type=_Document).observability.metrics
    for index, backend in enumerate(metrics.backends or ()):
        try:
            backend.interval  # noqa: B018 - reading it is what refuses a bad one
        except ValueError as error:
            raise ValueError(
                f"observability.metrics.backends[{index}].openTelemetry.refreshInterval: {error}"
            ) from error
    return metrics
