"""Rules of a MeshTimeout and warnings about its older half."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base.errors import Violation
from kuma.policy_engine.writing import bounds, entries
from kuma.resources import resource as res
from kuma.resources import targetref, values

if TYPE_CHECKING:
    from kuma.policies.meshtimeout import model

_TO = targetref.Allowed(("Mesh", "MeshService", "MeshExternalService", "MeshMultiZoneService", "MeshHTTPRoute"))
_TO_OF_GATEWAY = targetref.Allowed(("Mesh", "MeshExternalService"))
_FROM = targetref.Allowed(("Mesh",))
_NOT_ON_ROUTE = "can't be specified when top-level TargetRef is referencing MeshHTTPRoute"


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a MeshTimeout."""
    spec: model.MeshTimeout = resource.spec
    inbound = bool(spec.from_ or spec.rules)
    yield from entries.check_top(resource, spec.target_ref, inbound=inbound, routes=True)
    yield from entries.check_rules_alone(spec.to, spec.from_, spec.rules)
    yield from entries.check_some(spec.to, spec.from_, spec.rules)
    top = (spec.target_ref or targetref.MESH).kind
    on_gateway = top in ("MeshGateway", "MeshHTTPRoute")
    if on_gateway and spec.from_:
        yield Violation("spec.from", "must not be defined")
    else:
        for index, client in enumerate(spec.from_ or ()):
            yield from targetref.check(f"spec.from[{index}].targetRef", client.target_ref, _FROM)
            yield from _check_conf(f"spec.from[{index}].default", client.default, top)
    for index, entry in enumerate(spec.to or ()):
        allowed = _TO_OF_GATEWAY if on_gateway else _TO
        yield from targetref.check(f"spec.to[{index}].targetRef", entry.target_ref, allowed)
        yield from _check_conf(f"spec.to[{index}].default", entry.default, top)
    for index, rule in enumerate(spec.rules or ()):
        path = f"spec.rules[{index}]"
        yield from entries.check_matches(path, rule.matches)
        if entries.names_clients(rule.matches):
            yield from _check_by_client(f"{path}.default", rule.default)
        yield from _check_conf(f"{path}.default", rule.default, top)


def _check_by_client(path: str, conf: "model.Conf") -> Iterator[Violation]:
    """Timeouts that run before Envoy knows the client, or for more than its requests."""
    found = _connection_fields(path, conf)
    if conf.http is not None:
        found.append((f"{path}.http.requestHeadersTimeout", conf.http.request_headers_timeout))
        found += _lifetimes(path, conf.http)
    yield from (Violation(place, entries.NOT_BY_CLIENT) for place, value in found if value is not None)


def _connection_fields(path: str, conf: "model.Conf") -> list[tuple[str, values.GoDuration | None]]:
    return [(f"{path}.connectionTimeout", conf.connection_timeout), (f"{path}.idleTimeout", conf.idle_timeout)]


def _lifetimes(path: str, http: "model.Http") -> list[tuple[str, values.GoDuration | None]]:
    return [
        (f"{path}.http.maxStreamDuration", http.max_stream_duration),
        (f"{path}.http.maxConnectionDuration", http.max_connection_duration),
    ]


def _check_conf(path: str, conf: "model.Conf", top: str) -> Iterator[Violation]:
    if conf.connection_timeout is None and conf.idle_timeout is None and conf.http is None:
        yield Violation(path, "at least one timeout should be configured")
        return
    if top == "MeshHTTPRoute":
        found = _connection_fields(path, conf)
        if conf.http is not None:
            found += _lifetimes(path, conf.http)
        yield from (Violation(place, _NOT_ON_ROUTE) for place, value in found if value is not None)
    yield from bounds.check_positive_duration(f"{path}.connectionTimeout", conf.connection_timeout)
    yield from bounds.check_duration(f"{path}.idleTimeout", conf.idle_timeout)
    if conf.http is not None:
        yield from _check_http(f"{path}.http", conf.http)


def _check_http(path: str, http: "model.Http") -> Iterator[Violation]:
    """`requestHeadersTimeout` alone is not enough: Kuma counts only the four others."""
    counted = (
        ("requestTimeout", http.request_timeout),
        ("streamIdleTimeout", http.stream_idle_timeout),
        ("maxStreamDuration", http.max_stream_duration),
        ("maxConnectionDuration", http.max_connection_duration),
    )
    if all(value is None for _, value in counted):
        yield Violation(path, "at least one timeout in this section should be configured")
    for name, value in (*counted, ("requestHeadersTimeout", http.request_headers_timeout)):
        yield from bounds.check_duration(f"{path}.{name}", value)


def deprecations(resource: "res.Resource[Any]") -> Iterator[str]:
    """Warnings about what still works and will go."""
    spec: model.MeshTimeout = resource.spec
    yield from entries.deprecations(spec.target_ref, spec.from_)
