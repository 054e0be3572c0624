"""How one signal reaches a collector, when the control plane and the agent's environment both have something to say.

For each field the first that says something counts: variables for the signal, variables for all signals, the
MeshOpenTelemetryBackend, a default; with `ExplicitFirst` the backend comes before the variables. Pure.
Source: Kuma's documentation, "MeshOpenTelemetryBackend".
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from kuma.apps.dataplane.otel import environment as env

if TYPE_CHECKING:
    from kuma.apps.dataplane.otel import document

SECONDS = 10.0
"""The time that one export may take where nobody says it."""

LOCAL = "127.0.0.1"
_PORTS = {env.GRPC: 4317, env.HTTP: 4318}
_URL_PORTS = {"http": 80, "https": 443}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Route:
    """One way to a collector: through `socket`, where Envoy takes gRPC on, or to a host and port.

    `path` is for OTLP over HTTP, which is spoken where there is one. `seconds` is what an export may take. `roots`,
    `certificate` and `key` are files.
    """

    socket: str = ""
    host: str = ""
    port: int = 0
    is_tls: bool = False
    path: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    is_compressed: bool = False
    seconds: float = SECONDS
    roots: str = ""
    certificate: str = ""
    key: str = ""


class Blocked(Exception):
    """The signal must not be sent; the message says why."""


class _Place(NamedTuple):
    """What one source says about where the collector is. Empty or None: nothing."""

    host: str = ""
    port: int = 0
    is_tls: bool | None = None
    path: str | None = None


def route_of(backend: "document.Backend", signal: str, environment: env.Environment, host_ip: str) -> Route:
    """The way of one signal to a collector; Blocked where there must be none.

    `host_ip` is where the collector is when neither the backend nor a variable says it, empty: on this machine.
    """
    said = backend.signal(signal)
    if said is None:
        raise Blocked("no policy sends it there")
    if said.missing_fields or "RequiredEnvMissing" in said.blocked_reasons:
        raise Blocked(", ".join((*said.blocked_reasons, *said.missing_fields)))
    layers = _layers(backend, said.blocked_reasons, signal, environment)
    own = _of_backend(backend, signal)
    is_settled = backend.env_policy.precedence == "ExplicitFirst" and bool(own.host)
    protocol = _protocol(backend, layers, is_settled=is_settled)
    variable = [_of_variables(each, signal, protocol, is_shared=each is environment.shared) for each in layers]
    places = [own, *variable] if is_settled else [*variable, own]
    there = next((each for each in places if each.host), _Place(host_ip or LOCAL, own.port))
    pair = next((each for each in layers if each.client_certificate and each.client_key), env.Layer())
    return Route(
        host=there.host,
        port=there.port,
        is_tls=next(each.is_tls for each in places if each.is_tls is not None),
        path=next(each.path for each in places if each.path is not None) if protocol == env.HTTP else "",
        headers=_first(env.headers_of(each) for each in layers) or (),
        is_compressed=_first(env.compression_of(each) for each in layers) == "gzip",
        seconds=_first(env.seconds_of(each) for each in layers) or SECONDS,
        roots=_first(each.certificate for each in layers) or "",
        certificate=pair.client_certificate,
        key=pair.client_key,
    )


def _layers(
    backend: "document.Backend", blocked: Sequence[str], signal: str, environment: env.Environment
) -> list[env.Layer]:
    """The variables that may be used, the more special ones first."""
    if backend.env_policy.mode == "Disabled" or {"EnvDisabledByPolicy", "MultipleBackendsForSignal"} & set(blocked):
        return []
    if not backend.env_policy.allow_signal_overrides or "SignalOverridesDisallowed" in blocked:
        return [environment.shared]
    return [environment.of(signal), environment.shared]


def _protocol(backend: "document.Backend", layers: Iterable[env.Layer], *, is_settled: bool) -> str:
    """The protocol to speak. That a backend speaks gRPC may mean that it says nothing about it."""
    said = env.HTTP if backend.use_http else env.GRPC
    if is_settled or (backend.env_policy.precedence == "ExplicitFirst" and backend.use_http):
        return said
    return _first(env.protocol_of(each) for each in layers) or said


def _of_backend(backend: "document.Backend", signal: str) -> _Place:
    """What the backend says; its host may be left open."""
    host, _, port = backend.endpoint.rpartition(":")
    return _Place(_unbracketed(host), int(port), backend.use_https, f"{backend.path.rstrip('/')}/v1/{signal}")


def _of_variables(layer: env.Layer, signal: str, protocol: str, *, is_shared: bool) -> _Place:
    """What variables say. The path in a URL for all signals gets `/v1/<signal>` added, that for one is the whole path."""
    is_tls = layer.insecure.lower() != "true" if layer.insecure else None
    url = env.url_of(layer.endpoint)
    if url is None:
        return _Place(*_host_port(layer.endpoint, protocol), is_tls)
    if url.path and protocol == env.GRPC:
        return _Place(is_tls=is_tls)  # gRPC has no paths, and the control plane knows that this one makes no sense
    path: str | None = url.path or "/"
    if is_shared:
        path = f"{url.path.rstrip('/')}/v1/{signal}" if url.path else None
    return _Place(url.hostname or "", url.port or _URL_PORTS[url.scheme], url.scheme == "https", path)


def _host_port(endpoint: str, protocol: str) -> tuple[str, int]:
    """Host and port of an endpoint that is no URL, an empty host where it is none of either form."""
    host, colon, port = endpoint.rpartition(":")
    if not colon or endpoint.endswith("]"):
        host, port = endpoint, str(_PORTS[protocol])
    is_one = port.isascii() and port.isdigit() and "/" not in host
    return (_unbracketed(host), int(port)) if is_one else ("", 0)


def _unbracketed(host: str) -> str:
    return host.removeprefix("[").removesuffix("]")


def _first(values: Iterable[T]) -> T | None:
    """The first that is not empty."""
    return next((each for each in values if each), None)
