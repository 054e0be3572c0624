"""Rules of a Mesh. Some paths differ from the JSON keys (`dpcert`, `config`); users of Kuma know them so."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from kuma.base import durations, gotext
from kuma.base.errors import Violation
from kuma.resources import addresses, reader, selectors
from kuma.resources import resource as res
from kuma.resources.kinds import backends
from kuma.resources.rules import metrics as metrics_rules
from kuma.resources.rules import numbers

if TYPE_CHECKING:
    from kuma.resources.kinds import mesh as model

T = TypeVar("T", bound=msgspec.Struct)
_ZIPKIN_VERSIONS = ("", "httpJsonV1", "httpJson", "httpProto")


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation that the Mesh alone shows; what its authorities read is checked when it is written."""
    mesh: model.Mesh = resource.spec
    if mesh.mtls is not None:
        yield from _check_mtls(mesh.mtls)
    if mesh.logging is not None:
        yield from _check_logging(mesh.logging)
    if mesh.tracing is not None:
        yield from _check_tracing(mesh.tracing)
    if mesh.metrics is not None:
        yield from _check_metrics(mesh.metrics)
    if mesh.constraints is not None and mesh.constraints.dataplane_proxy is not None:
        proxy = mesh.constraints.dataplane_proxy
        for name, rules in (("requirements", proxy.requirements), ("restrictions", proxy.restrictions)):
            for index, each in enumerate(rules):
                path = f"constraints.dataplaneProxy.{name}[{index}].tags"
                yield from selectors.check_selector(path, each.tags, at_least_one=True)
    if mesh.routing is not None and mesh.routing.zone_egress and not (mesh.mtls and mesh.mtls.enabled_backend):
        yield Violation("mtls", "has to be set when zoneEgress enabled")


def _conf_of(wanted: type[T], conf: dict[str, Any] | None, path: str) -> tuple[T | None, list[Violation]]:
    """The typed conf, or the violation that says why it cannot be read."""
    try:
        return reader.read_struct(wanted, conf or {}, proto=True), []
    except reader.Unreadable as failure:
        return None, [Violation(path, f"could not parse config: {failure.reason}")]


def _check_mtls(mtls: "model.Mtls") -> Iterator[Violation]:
    if len(mtls.backends) > 1:
        yield Violation("mtls.backends", "cannot have more than 1 backends")
    names: set[str] = set()
    for index, backend in enumerate(mtls.backends):
        yield from _unique(f"mtls.backends[{index}].name", backend.name, names)
        if backend.dp_cert is not None:
            rotation = backend.dp_cert.rotation
            try:
                durations.parse_kuma(rotation.expiration if rotation else "")
            except ValueError:
                yield Violation("mtls.dpcert.rotation.expiration", "has to be a valid format")
    if mtls.enabled_backend and mtls.enabled_backend not in names:
        yield Violation("mtls.enabledBackend", "has to be set to one of the backends in the mesh")


def _unique(path: str, name: str, names: set[str]) -> Iterator[Violation]:
    """A violation where the name was seen; remembers it."""
    if name in names:
        yield Violation(path, f"{gotext.quote(name)} name is already used for another backend")
    names.add(name)


def _check_logging(logging: "model.Logging") -> Iterator[Violation]:
    names: set[str] = set()
    for index, backend in enumerate(logging.backends):
        path = f"logging.backends[{index}]"
        if not backend.name:
            yield Violation(f"{path}.name", "cannot be empty")
        rule = {"file": _check_file_log, "tcp": _check_tcp_log}.get(backend.type)
        if rule is None:
            yield Violation(f"{path}.type", 'unknown backend type. Available backends: "tcp", "file"')
        else:
            yield from rule(f"{path}.config", backend.conf)
        yield from _unique(f"{path}.name", backend.name, names)
    if logging.default_backend and logging.default_backend not in names:
        yield Violation("logging.defaultBackend", "has to be set to one of the logging backend in mesh")


def _check_file_log(path: str, raw: dict[str, Any] | None) -> Iterator[Violation]:
    conf, violations = _conf_of(backends.FileConf, raw, path)
    yield from violations
    if conf is not None and not conf.path:
        yield Violation(f"{path}.path", "cannot be empty")


def _check_tcp_log(path: str, raw: dict[str, Any] | None) -> Iterator[Violation]:
    conf, violations = _conf_of(backends.TcpConf, raw, path)
    yield from violations
    if conf is None:
        return
    if not conf.address:
        yield Violation(f"{path}.address", "cannot be empty")
        return
    parts = addresses.split_host_port(conf.address)
    if parts is None or not all(parts):
        yield Violation(f"{path}.address", "has to be in format of HOST:PORT")


def _check_tracing(tracing: "model.Tracing") -> Iterator[Violation]:
    names: set[str] = set()
    rules: dict[str, Callable[[str, dict[str, Any] | None], Iterator[Violation]]] = {
        "zipkin": _check_zipkin,
        "datadog": _check_datadog,
    }
    for index, backend in enumerate(tracing.backends):
        path = f"tracing.backends[{index}]"
        if not backend.name:
            yield Violation(f"{path}.name", "cannot be empty")
        yield from numbers.check_percentage(f"{path}.sampling", backend.sampling)
        rule = rules.get(backend.type)
        if rule is None:
            yield Violation(f"{path}.type", 'unknown backend type. Available backends: "zipkin", "datadog"')
        else:
            yield from rule(f"{path}.config", backend.conf)
        yield from _unique(f"{path}.name", backend.name, names)
    if tracing.default_backend and tracing.default_backend not in names:
        yield Violation("tracing.defaultBackend", "has to be set to one of the tracing backend in mesh")


def _check_zipkin(path: str, raw: dict[str, Any] | None) -> Iterator[Violation]:
    conf, violations = _conf_of(backends.ZipkinConf, raw, path)
    yield from violations
    if conf is None:
        return
    if not conf.url:
        yield Violation(f"{path}.url", "cannot be empty")
    elif not addresses.is_request_uri(conf.url):
        yield Violation(f"{path}.url", "invalid URL")
    elif not addresses.port_of(conf.url):
        yield Violation(f"{path}.url", "port has to be explicitly specified")
    if conf.api_version not in _ZIPKIN_VERSIONS:
        allowed = ", ".join(_ZIPKIN_VERSIONS[1:])
        yield Violation(f"{path}.apiVersion", f"has invalid value. Allowed values: {allowed}")


def _check_datadog(path: str, raw: dict[str, Any] | None) -> Iterator[Violation]:
    conf, violations = _conf_of(backends.DatadogConf, raw, path)
    yield from violations
    if conf is None:
        return
    if not conf.address:
        yield Violation(f"{path}.address", "cannot be empty")
    yield from addresses.check_port(f"{path}.port", conf.port)


def _check_metrics(metrics: "model.Metrics") -> Iterator[Violation]:
    names: set[str] = set()
    for index, backend in enumerate(metrics.backends):
        path = f"metrics.backends[{index}]"
        yield from _unique(f"{path}.name", backend.name, names)
        yield from metrics_rules.check_backend(path, backend)
    if metrics.enabled_backend and metrics.enabled_backend not in names:
        yield Violation("metrics.enabledBackend", "has to be set to one of the backends in the mesh")


def with_defaults(mesh: "model.Mesh") -> "model.Mesh":
    """The Mesh with defaults of its metrics backends filled in, as Kuma stores it."""
    if mesh.metrics is None:
        return mesh
    complete = tuple(metrics_rules.with_defaults(each) for each in mesh.metrics.backends)
    return msgspec.structs.replace(mesh, metrics=msgspec.structs.replace(mesh.metrics, backends=complete))
