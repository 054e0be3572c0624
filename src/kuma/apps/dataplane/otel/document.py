"""What the control plane says about collectors: the document that Envoy serves at `/otel`. Source: Kuma's `dpapi`."""

import msgspec

from kuma.base import durations


class _Wire(msgspec.Struct, frozen=True, rename="camel"):
    """Fields we do not know are passed over: a newer control plane may send them."""


class EnvPolicy(_Wire, frozen=True):
    """Who decides, the backend or the agent's environment."""

    mode: str = "Optional"
    precedence: str = "EnvFirst"
    allow_signal_overrides: bool = False


class Signal(_Wire, frozen=True):
    """What becomes of one signal. `refresh_interval`, of metrics alone, is a Go duration."""

    enabled: bool = False
    missing_fields: tuple[str, ...] = ()
    blocked_reasons: tuple[str, ...] = ()
    refresh_interval: str = ""


class Backend(_Wire, frozen=True):
    """One collector, and the socket on which Envoy hands over what is for it. `endpoint` may lack its host."""

    name: str
    socket_path: str
    endpoint: str
    use_http: bool = msgspec.field(default=False, name="useHTTP")
    use_https: bool = msgspec.field(default=False, name="useHTTPS")
    path: str = ""
    env_policy: EnvPolicy = EnvPolicy()
    traces: Signal | None = None
    logs: Signal | None = None
    metrics: Signal | None = None

    def signal(self, name: str) -> Signal | None:
        """What is said about `traces`, `logs` or `metrics`; None where nobody wants them sent."""
        found: Signal | None = getattr(self, name)
        return found if found is not None and found.enabled else None


class _Document(_Wire, frozen=True):
    backends: tuple[Backend, ...] = ()


def read(body: bytes) -> tuple[Backend, ...]:
    """The collectors in a body; ValueError that names the field where it cannot be read."""
    backends = msgspec.json.decode(body, type=_Document).backends
    for index, backend in enumerate(backends):
        place = f"backends[{index}]"
        if not backend.endpoint.rpartition(":")[2].isdigit():
            raise ValueError(f"{place}.endpoint: {backend.endpoint!r} has no port")
        interval = backend.metrics.refresh_interval if backend.metrics is not None else ""
        try:
            if interval:
                durations.parse_go(interval)
        except ValueError as error:
            raise ValueError(f"{place}.metrics.refreshInterval: {error}") from error
    return backends
