"""Rules of a MeshLoadBalancingStrategy and warnings about its older spellings."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from kuma.base.errors import Violation
from kuma.policy_engine.writing import bounds, entries
from kuma.resources import resource as res
from kuma.resources import targetref

if TYPE_CHECKING:
    from kuma.policies.meshloadbalancingstrategy import model

ALGORITHMS = ("RoundRobin", "LeastRequest", "RingHash", "Random", "Maglev")
HASH_TYPES = ("Header", "Cookie", "Connection", "SourceIP", "QueryParameter", "FilterState")

_TO = targetref.Allowed(("Mesh", "MeshService", "MeshMultiZoneService", "MeshHTTPRoute"))
_TO_OF_GATEWAY = targetref.Allowed(("Mesh", "MeshService", "MeshMultiZoneService"))
_GATEWAY_BALANCER = targetref.Allowed(
    ("Mesh",), unsupported="value 'MeshGateway' is not supported, only Mesh is allowed if loadBalancer is set"
)
_ONLY_HASHES = "field is not allowed when targetRef.kind is MeshHTTPRoute, only hashPolicies is supported"


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a MeshLoadBalancingStrategy."""
    spec: model.MeshLoadBalancingStrategy = resource.spec
    yield from entries.check_top(resource, spec.target_ref)
    on_gateway = spec.target_ref is not None and spec.target_ref.kind == "MeshGateway"
    for index, entry in enumerate(spec.to or ()):
        allowed = _TO
        if on_gateway:
            allowed = _TO_OF_GATEWAY if entry.default.load_balancer is None else _GATEWAY_BALANCER
        yield from targetref.check(f"spec.to[{index}].targetRef", entry.target_ref, allowed)
        yield from _check_conf(f"spec.to[{index}].default", entry.default, entry.target_ref)


def _check_conf(path: str, conf: "model.Conf", to: targetref.TargetRef) -> Iterator[Violation]:
    if to.kind == "MeshHTTPRoute":
        if conf.load_balancer is not None:
            yield Violation(f"{path}.loadBalancer", _ONLY_HASHES)
        if conf.locality_awareness is not None:
            yield Violation(f"{path}.localityAwareness", _ONLY_HASHES)
    else:
        yield from _check_nested_hashes(path, conf)
        if conf.load_balancer is not None:
            yield from _check_bias(f"{path}.loadBalancer.leastRequest.activeRequestBias", conf.load_balancer)
        if conf.locality_awareness is not None:
            yield from _check_locality(f"{path}.localityAwareness", conf.locality_awareness, to)
    yield from _check_hashes(f"{path}.hashPolicies", conf.hash_policies)


def _nested_hashes(balancer: "model.LoadBalancer | None") -> "Iterator[tuple[str, str, Sequence[model.HashPolicy]]]":
    """The lists of hash policies within an algorithm that were written, as (algorithm, member, policies)."""
    if balancer is None:
        return
    if balancer.ring_hash is not None and balancer.ring_hash.hash_policies is not None:
        yield "RingHash", "ringHash", balancer.ring_hash.hash_policies
    if balancer.maglev is not None and balancer.maglev.hash_policies is not None:
        yield "Maglev", "maglev", balancer.maglev.hash_policies


def _check_nested_hashes(path: str, conf: "model.Conf") -> Iterator[Violation]:
    """Settings of an algorithm that was not chosen are not looked at."""
    for algorithm, member, policies in _nested_hashes(conf.load_balancer):
        place = f"{path}.loadBalancer.{member}.hashPolicies"
        if conf.load_balancer is not None and conf.load_balancer.type == algorithm:
            yield from _check_hashes(place, policies)
        if conf.hash_policies is not None:
            yield Violation(place, "hashPolicies already specified in the root level")


def _check_hashes(path: str, policies: "Sequence[model.HashPolicy] | None") -> Iterator[Violation]:
    for index, policy in enumerate(policies or ()):
        members = {
            "Header": ("header", policy.header),
            "Cookie": ("cookie", policy.cookie),
            "Connection": ("connection", policy.connection),
            "SourceIP": ("connection", policy.connection),
            "QueryParameter": ("queryParameter", policy.query_parameter),
            "FilterState": ("filterState", policy.filter_state),
        }
        name, found = members.get(policy.type, ("", policy))
        if found is None:
            yield Violation(f"{path}[{index}].{name}", "must be defined")
        cookie = policy.cookie if policy.type == "Cookie" else None
        if cookie is not None and cookie.path is not None and not cookie.path.startswith("/"):
            yield Violation(f"{path}[{index}].cookie.path", "must be an absolute path")


def _check_bias(path: str, balancer: "model.LoadBalancer") -> Iterator[Violation]:
    settings = balancer.least_request
    if balancer.type != "LeastRequest" or settings is None or settings.active_request_bias is None:
        return
    bias = bounds.decimal_of(settings.active_request_bias)
    if bias is None:
        yield Violation(path, "string must be a valid number")
    elif bias < 0:
        yield Violation(path, "must be greater or equal then: 0")


def _check_locality(path: str, locality: "model.LocalityAwareness", to: targetref.TargetRef) -> Iterator[Violation]:
    if locality.local_zone is not None:
        yield from _check_affinity(f"{path}.localZone.affinityTags", locality.local_zone.affinity_tags or ())
    cross = locality.cross_zone
    if cross is None:
        return
    place = f"{path}.crossZone"
    if to.kind == "MeshService" and (to.section_name or to.labels):
        yield Violation(place, "must not be set: MeshService traffic is local")
    for index, failover in enumerate(cross.failover or ()):
        yield from _check_failover(f"{place}.failover[{index}]", failover)
    if cross.failover_threshold is not None:
        share = cross.failover_threshold.percentage
        yield from bounds.check_percentage(f"{place}.failoverThreshold.percentage", share, zero=False)


def _check_affinity(path: str, tags: "Sequence[model.AffinityTag]") -> Iterator[Violation]:
    for index, tag in enumerate(tags):
        if not tag.key:
            yield Violation(f"{path}[{index}].key", "must not be empty")
        yield from bounds.check_positive(f"{path}[{index}].weight", tag.weight)
    weighed = [tag.weight is not None for tag in tags]
    if any(weighed) and not all(weighed):
        yield Violation(path, "all or none affinity tags should have weight")


def _check_failover(path: str, failover: "model.Failover") -> Iterator[Violation]:
    if failover.from_ is not None:
        if not failover.from_.zones:
            yield Violation(f"{path}.from.zones", "must not be empty")
        for index, zone in enumerate(failover.from_.zones):
            if not zone:
                yield Violation(f"{path}.from.zones[{index}]", "must not be empty")
    found = failover.to.type
    if found in ("Any", "None"):
        if failover.to.zones:
            yield Violation(f"{path}.to.zones", f"must be empty when type is {found}")
    elif found in ("AnyExcept", "Only"):
        if not failover.to.zones:
            yield Violation(f"{path}.to.zones", f"must not be empty when type is {found}")
    else:
        yield Violation(f"{path}.to.type", "unrecognized type")


def deprecations(resource: "res.Resource[Any]") -> Iterator[str]:
    """Warnings about what still works and will go."""
    spec: model.MeshLoadBalancingStrategy = resource.spec
    for index, entry in enumerate(spec.to or ()):
        path = f"spec.to[{index}].default"
        for _, member, policies in _nested_hashes(entry.default.load_balancer):
            place = f"{path}.loadBalancer.{member}.hashPolicies"
            yield f"configuration '{place}' is deprecated, use '{path}.hashPolicies' instead"
            yield from _source_ip_warnings(place, policies)
        yield from _source_ip_warnings(f"{path}.hashPolicies", entry.default.hash_policies or ())
    yield from targetref.deprecations(spec.target_ref)


def _source_ip_warnings(path: str, policies: "Sequence[model.HashPolicy]") -> Iterator[str]:
    for index, policy in enumerate(policies):
        if policy.type == "SourceIP":
            yield f"SourceIP type for '{path}[{index}].type' is deprecated, use Connection instead"
