"""Rules of a MeshRateLimit and warnings about its older half."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base import durations
from kuma.base.errors import Violation
from kuma.policy_engine.writing import bounds, entries
from kuma.resources import resource as res
from kuma.resources import targetref

if TYPE_CHECKING:
    from kuma.policies.meshratelimit import model

_EVERYBODY = targetref.Allowed(("Mesh",))
_ERRORS_FROM = 400


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a MeshRateLimit."""
    spec: model.MeshRateLimit = resource.spec
    top = spec.target_ref or targetref.MESH
    yield from entries.check_rules_alone(spec.to, spec.from_, spec.rules)
    yield from entries.check_top(resource, spec.target_ref, inbound=bool(spec.from_ or spec.rules), routes=True)
    yield from _check_rules(spec, top)
    yield from _check_from(spec, top)
    if spec.to and not top.includes_gateways:
        yield Violation("spec.to", "must not be defined")
        return
    for index, entry in enumerate(spec.to or ()):
        yield from targetref.check(f"spec.to[{index}].targetRef", entry.target_ref, _EVERYBODY)
        yield from _check_conf(f"spec.to[{index}].default", entry.default)


def _check_rules(spec: "model.MeshRateLimit", top: targetref.TargetRef) -> Iterator[Violation]:
    if spec.rules and top.includes_gateways:
        yield Violation("spec.rules", "must not be defined")
        return
    for index, rule in enumerate(spec.rules or ()):
        path = f"spec.rules[{index}]"
        yield from entries.check_matches(path, rule.matches)
        local = rule.default.local
        if entries.names_clients(rule.matches) and local is not None and local.tcp is not None:
            yield Violation(f"{path}.default.local.tcp", entries.NOT_BY_CLIENT)
        yield from _check_conf(f"{path}.default", rule.default)


def _check_from(spec: "model.MeshRateLimit", top: targetref.TargetRef) -> Iterator[Violation]:
    if spec.from_ and top.includes_gateways:
        yield Violation("spec.from", entries.BESIDE_GATEWAYS)
        return
    for index, client in enumerate(spec.from_ or ()):
        yield from targetref.check(f"spec.from[{index}].targetRef", client.target_ref, _EVERYBODY)
        yield from _check_conf(f"spec.from[{index}].default", client.default)


def _check_conf(path: str, conf: "model.Conf") -> Iterator[Violation]:
    if conf.local is None:
        yield Violation(f"{path}.local", "must be defined")
        return
    if conf.local.http is None and conf.local.tcp is None:
        yield Violation(f"{path}.local", "must have at least one defined: tcp, http")
    if conf.local.http is not None:
        yield from _check_http(f"{path}.local.http", conf.local.http)
    if conf.local.tcp is not None:
        tcp, place = conf.local.tcp, f"{path}.local.tcp"
        if tcp.disabled is None and tcp.connection_rate is None:
            yield Violation(place, "must have at least one defined: disabled, connectionRate")
        yield from _check_rate(f"{place}.connectionRate", tcp.connection_rate)


def _check_http(path: str, http: "model.LocalHttp") -> Iterator[Violation]:
    if http.disabled is None and http.request_rate is None and http.on_rate_limit is None:
        yield Violation(path, "must have at least one defined: disabled, requestRate, onRateLimit")
    yield from _check_rate(f"{path}.requestRate", http.request_rate)
    if http.on_rate_limit is not None:
        yield from bounds.check_positive(f"{path}.onRateLimit.status", http.on_rate_limit.status)


def _check_rate(path: str, rate: "model.Rate | None") -> Iterator[Violation]:
    """Envoy fills its token buckets every 50 ms at most."""
    if rate is None:
        return
    yield from bounds.check_positive(f"{path}.num", rate.num)
    if rate.interval.nanoseconds <= 50 * durations.MILLISECOND:
        yield Violation(f"{path}.interval", "must be greater than: 50ms")


def deprecations(resource: "res.Resource[Any]") -> Iterator[str]:
    """Warnings about what still works and will go."""
    spec: model.MeshRateLimit = resource.spec
    yield from entries.deprecations(None, spec.from_)
    confs = {
        "from": [entry.default for entry in spec.from_ or ()],
        "rules": [entry.default for entry in spec.rules or ()],
        "to": [entry.default for entry in spec.to or ()],
    }
    for name, found in confs.items():
        for index, conf in enumerate(found):
            if _tells_success(conf):
                place = f"spec.{name}[{index}].default.local.http.requestRate.status"
                yield f"'{place}' must be 400 or higher. Please update your configuration."
    yield from entries.deprecations(spec.target_ref)


def _tells_success(conf: "model.Conf") -> bool:
    """Whether a client that was refused hears a status that is no error."""
    answer = conf.local.http.on_rate_limit if conf.local is not None and conf.local.http is not None else None
    return answer is not None and answer.status is not None and answer.status < _ERRORS_FROM
