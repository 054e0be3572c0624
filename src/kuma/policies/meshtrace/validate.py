"""Rules of a MeshTrace and warnings about its older parts."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base.errors import Violation
from kuma.policy_engine.writing import bounds, entries, otel, urls
from kuma.resources import addresses, targetref
from kuma.resources import resource as res

if TYPE_CHECKING:
    from kuma.policies.meshtrace import model


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a MeshTrace."""
    spec: model.MeshTrace = resource.spec
    yield from entries.check_top(resource, spec.target_ref, gateway_tags=False)
    conf = spec.default
    yield from _check_backends("spec.default.backends", conf)
    for index, tag in enumerate(conf.tags or ()):
        path = f"spec.default.tags[{index}]"
        if not tag.name:
            yield Violation(f"{path}.name", "must not be empty")
        if (tag.header is None) == (tag.literal is None):
            yield Violation(path, "tag must have only one type defined: header, literal")
    if conf.sampling is not None:
        yield from _check_sampling("spec.default.sampling.client", conf.sampling.client)
        yield from _check_sampling("spec.default.sampling.random", conf.sampling.random)
        yield from _check_sampling("spec.default.sampling.overall", conf.sampling.overall)


def _check_backends(path: str, conf: "model.Conf") -> Iterator[Violation]:
    if conf.backends is None:
        yield Violation(path, "must be defined")
        return
    if len(conf.backends) > 1:
        yield Violation(path, "must have zero or one backend defined")
        return
    for backend in conf.backends:
        yield from _check_backend(f"{path}[0]", backend)


def _check_backend(path: str, backend: "model.Backend") -> Iterator[Violation]:
    if backend.type == "Datadog":
        if backend.datadog is None:
            yield Violation(f"{path}.datadog", "must be defined")
        else:
            yield from _check_datadog_url(f"{path}.datadog.url", backend.datadog.url)
    elif backend.type == "Zipkin":
        if backend.zipkin is None:
            yield Violation(f"{path}.zipkin", "must be defined")
        elif not backend.zipkin.url:
            yield Violation(f"{path}.zipkin.url", "must not be empty")
        elif not urls.is_url(backend.zipkin.url):
            yield Violation(f"{path}.zipkin.url", "must be a valid url")
    elif backend.type == "OpenTelemetry":
        if backend.open_telemetry is None:
            yield Violation(f"{path}.openTelemetry", "must be defined")
        else:
            yield from otel.check(f"{path}.openTelemetry", backend.open_telemetry)


def _check_datadog_url(path: str, url: str) -> Iterator[Violation]:
    """Envoy's Datadog tracer knows a host and a port, nothing else of a URL."""
    parts = urls.parts_of(url)
    if parts is None:
        yield Violation(path, "must be a valid url")
        return
    if parts.scheme != "http":
        yield Violation(path, "scheme must be http")
    if not parts.port:
        yield Violation(path, "port must be defined")
    elif len(parts.port) > 5 or not addresses.is_port(int(parts.port)):
        yield Violation(path, "port must be a valid (1-65535)")
    for name in ("opaque", "user", "path", "query", "fragment"):
        if getattr(parts, name):
            yield Violation(path, f"{name} must not be defined")


def _check_sampling(path: str, percentage: int | str | None) -> Iterator[Violation]:
    if percentage is None:
        return
    found = bounds.decimal_of(percentage)
    if found is None:
        yield Violation(path, "string is not a number")
    elif not 0 <= found <= 100:
        yield Violation(path, "must be between 0 and 100")


def deprecations(resource: "res.Resource[Any]") -> Iterator[str]:
    """Warnings about what still works and will go."""
    spec: model.MeshTrace = resource.spec
    yield from targetref.deprecations(spec.target_ref)
    found = (backend.open_telemetry for backend in spec.default.backends or ())
    if any(each is not None and each.endpoint for each in found):
        yield otel.DEPRECATED_ENDPOINT
