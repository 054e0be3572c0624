"""Rules of a MeshFaultInjection and warnings about its older half."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base.errors import Violation
from kuma.policy_engine.writing import bounds, entries
from kuma.resources import resource as res
from kuma.resources import targetref

if TYPE_CHECKING:
    from kuma.policies.meshfaultinjection import model

_TO = targetref.Allowed(("Mesh",))
_FROM = targetref.Allowed(("Mesh", "MeshSubset", "MeshService", "MeshServiceSubset"))
_BANDWIDTH = re.compile(r"[0-9]+\s?[kMG]bps")


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a MeshFaultInjection."""
    spec: model.MeshFaultInjection = resource.spec
    yield from entries.check_top(resource, spec.target_ref, inbound=bool(spec.from_ or spec.rules))
    if spec.rules and spec.from_:
        yield Violation("spec", "field 'from' must be empty when 'rules' is defined")
    for index, rule in enumerate(spec.rules or ()):
        yield from entries.check_matches(f"spec.rules[{index}]", rule.matches)
        yield from _check_conf(f"spec.rules[{index}].default", rule.default)
    with_gateways = (spec.target_ref or targetref.MESH).includes_gateways
    if with_gateways and spec.from_:
        yield Violation("spec.from", entries.BESIDE_GATEWAYS)
    else:
        for index, client in enumerate(spec.from_ or ()):
            yield from targetref.check(f"spec.from[{index}].targetRef", client.target_ref, _FROM)
            yield from _check_conf(f"spec.from[{index}].default", client.default)
    if not with_gateways and spec.to:
        yield Violation("spec.to", "must not be defined")
        return
    for index, entry in enumerate(spec.to or ()):
        yield from targetref.check(f"spec.to[{index}].targetRef", entry.target_ref, _TO)
        yield from _check_conf(f"spec.to[{index}].default", entry.default)


def _check_conf(path: str, conf: "model.Conf") -> Iterator[Violation]:
    """The paths name the fault before its index, as Kuma prints them."""
    for index, fault in enumerate(conf.http or ()):
        if fault.abort is not None:
            place = f"{path}.http.abort[{index}]"
            yield from bounds.check_range(f"{place}.httpStatus", fault.abort.http_status, 100, 599)
            yield from bounds.check_percentage(f"{place}.percentage", fault.abort.percentage)
        if fault.delay is not None:
            place = f"{path}.http.delay[{index}]"
            yield from bounds.check_duration(f"{place}.value", fault.delay.value)
            yield from bounds.check_percentage(f"{place}.percentage", fault.delay.percentage)
        if fault.response_bandwidth is not None:
            place = f"{path}.http.responseBandwidth[{index}]"
            yield from _check_limit(f"{place}.limit", fault.response_bandwidth.limit)
            yield from bounds.check_percentage(f"{place}.percentage", fault.response_bandwidth.percentage)


def _check_limit(path: str, limit: str) -> Iterator[Violation]:
    if not limit:
        yield Violation(path, "must be defined")
    elif not _BANDWIDTH.fullmatch(limit):
        yield Violation(path, "must be in kbps/Mbps/Gbps units")


def deprecations(resource: "res.Resource[Any]") -> Iterator[str]:
    """Warnings about what still works and will go."""
    spec: model.MeshFaultInjection = resource.spec
    yield from targetref.deprecations(spec.target_ref)
    if spec.from_:
        yield "'from' field is deprecated, use 'rules' with SPIFFE-based 'matches' instead"
