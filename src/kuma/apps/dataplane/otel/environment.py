"""What variables of the agent's environment say about OpenTelemetry collectors, and what of it others may know.

Values may be secrets: they stay here. The control plane is told at bootstrap which variables there are, and which of
them make no sense. Sources: opentelemetry.io/docs/specs/otel/protocol/exporter; Kuma's bootstrap contract, `otelEnv`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

SIGNALS = ("traces", "logs", "metrics")
GRPC, HTTP = "grpc", "http/protobuf"
SCHEMES = ("http", "https")

_PREFIX = "OTEL_EXPORTER_OTLP"
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+\Z")


@dataclass(frozen=True, slots=True, repr=False)
class Layer:
    """The variables for one signal, or those for all. Empty where there is none. Not printed: they hold secrets."""

    endpoint: str = ""
    protocol: str = ""
    headers: str = ""
    timeout: str = ""
    compression: str = ""
    insecure: str = ""
    certificate: str = ""
    client_certificate: str = ""
    client_key: str = ""


@dataclass(frozen=True, slots=True)
class Environment:
    """What the variables say: for all signals, and for single ones, which win."""

    shared: Layer = Layer()
    traces: Layer = Layer()
    logs: Layer = Layer()
    metrics: Layer = Layer()

    def of(self, signal: str) -> Layer:
        """The variables for one signal alone."""
        layer: Layer = getattr(self, signal)
        return layer


def read(environ: Mapping[str, str]) -> Environment:
    """What the variables say; those without content count as absent."""
    return Environment(_layer(environ, _PREFIX), *(_layer(environ, f"{_PREFIX}_{each.upper()}") for each in SIGNALS))


def _layer(environ: Mapping[str, str], prefix: str) -> Layer:
    return Layer(*(environ.get(f"{prefix}_{each.name.upper()}", "").strip() for each in fields(Layer)))


def url_of(endpoint: str) -> SplitResult | None:
    """An endpoint as a URL, None where it is `host:port`, or no URL of ours."""
    try:
        parts = urlsplit(endpoint)
        return parts if parts.scheme in SCHEMES and parts.hostname and parts.port != 0 else None
    except ValueError:  # the port is read late, and may be no number
        return None


def protocol_of(layer: Layer) -> str:
    """The protocol, empty where there is none that we speak."""
    return layer.protocol if layer.protocol in (GRPC, HTTP) else ""


def compression_of(layer: Layer) -> str:
    """`gzip` or `none`, empty where nothing is said that makes sense."""
    said = layer.compression.lower()
    return said if said in ("gzip", "none") else ""


def seconds_of(layer: Layer) -> float:
    """The time that one export may take, 0 where nothing is said that makes sense. Variables say milliseconds."""
    return int(layer.timeout) / 1000 if layer.timeout.isascii() and layer.timeout.isdigit() else 0.0


def headers_of(layer: Layer) -> tuple[tuple[str, str], ...]:
    """Headers that go with every export; what can be no header is left out. Form: `a=1,b=2`, percent-encoded."""
    pairs = (each.partition("=") for each in layer.headers.split(","))
    named = ((name.strip().lower(), unquote(value.strip())) for name, _, value in pairs)
    return tuple(
        (name, value) for name, value in named if _NAME.match(name) and value.isascii() and value.isprintable()
    )


def inventory(environment: Environment, *, is_used: bool) -> dict[str, Any]:
    """What the control plane is told: which variables there are, and no value. `is_used`: the agent hands telemetry on."""
    problems: list[str] = []
    told: dict[str, Any] = {"pipeEnabled": is_used}
    for name in ("shared", *SIGNALS):
        layer, shared = environment.of(name), environment.shared if name != "shared" else Layer()
        problems += [f"{name}.{each}" for each in _problems(layer, shared)]
        told[name] = _told(name, layer, shared) if layer != Layer() else None
    return told | {"validationErrors": problems}


def _told(name: str, layer: Layer, shared: Layer) -> dict[str, Any]:
    url = url_of(layer.endpoint)
    said: dict[str, Any] = {"signal": "" if name == "shared" else name}
    said |= {f"{_camel(each.name)}Present": bool(getattr(layer, each.name)) for each in fields(Layer)}
    said |= {
        "endpointParsedAsURL": url is not None,
        "endpointHasPath": url is not None and bool(url.path),
        "effectiveProtocol": protocol_of(layer) or ("unknown" if layer.protocol else ""),
        "effectiveAuthMode": _authentication(layer),
        "overrideKinds": sorted(_camel(each) for each in _differing(layer, shared)),
    }
    return {key: value for key, value in said.items() if value}


def _differing(layer: Layer, shared: Layer) -> list[str]:
    pairs = ((each.name, getattr(layer, each.name), getattr(shared, each.name)) for each in fields(Layer))
    return [name for name, own, others in pairs if own and own != others]


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(each.title() for each in others)


def _authentication(layer: Layer) -> str:
    if layer.client_certificate and layer.client_key:
        return "mtls"
    if layer.certificate:
        return "tls"
    return "headers" if layer.headers else "none"


def _problems(layer: Layer, shared: Layer) -> list[str]:
    """The fields that make no sense. gRPC has no paths."""
    url = url_of(layer.endpoint)
    protocol = protocol_of(layer) if layer.protocol else protocol_of(shared) or ("" if shared.protocol else GRPC)
    wrong = {
        "protocol": bool(layer.protocol) and not protocol_of(layer),
        "compression": bool(layer.compression) and not compression_of(layer),
        "timeout": bool(layer.timeout) and not (layer.timeout.isascii() and layer.timeout.isdigit()),
        "endpoint": url is not None and bool(url.path) and protocol == GRPC,
        "mtls": bool(layer.client_certificate) != bool(layer.client_key),
    }
    return [field for field, is_wrong in wrong.items() if is_wrong]
