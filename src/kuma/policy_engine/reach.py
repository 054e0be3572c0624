"""Which proxies a policy is about as a whole: by its top-level targetRef, or by the selectors of an old kind.

Views ask this for one policy and every proxy; nothing is merged and no conf is looked at. Source: Kuma's documentation,
"Introduction to policies" for targetRefs, "Tags and selectors" for old kinds.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kuma.base import labels
from kuma.policy_engine import connections, selection
from kuma.resources import resource as res
from kuma.resources import selectors, targetref
from kuma.resources.kinds import dataplane, meshgateway

AnyResource = res.Resource[Any]
Proxy = res.Resource[dataplane.Dataplane]

_OF_CLIENTS = frozenset(
    {"CircuitBreaker", "HealthCheck", "RateLimit", "Retry", "Timeout", "TrafficLog", "TrafficRoute"}
)
"""Old kinds that change the configuration of those who call."""

_OF_SERVERS = frozenset({"FaultInjection", "RateLimit", "TrafficPermission"})
"""Old kinds that change the configuration of those who are called."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a targetRef may lead over: the MeshHTTPRoutes and MeshGateways of the mesh."""

    routes: Sequence[AnyResource] = ()
    gateways: Sequence[AnyResource] = ()


def is_about(policy: AnyResource, subject: Proxy, around: Surroundings) -> bool:
    """Whether a policy of any kind, shadow or not, selects something of a proxy."""
    traits = policy.kind.policy
    if traits is None or not traits.target_ref:
        return _selects(policy, subject, around)
    if not selection.is_in_reach(policy.meta, subject.meta):
        return False
    return _is_targeted(policy, policy.spec.target_ref or targetref.MESH, subject, around)


def _is_targeted(policy: AnyResource, target: targetref.TargetRef, subject: Proxy, around: Surroundings) -> bool:
    """Whether `target`, written in `policy`, selects something of a proxy."""
    if target.kind == "MeshHTTPRoute":
        route = next((each for each in around.routes if each.meta.display_name == target.name), None)
        if route is None or not selection.is_in_reach(route.meta, subject.meta):
            return False
        own = route.spec.target_ref or targetref.MESH
        return own.kind != "MeshHTTPRoute" and _is_targeted(route, own, subject, around)
    if target.kind == "Dataplane":
        return _is_dataplane(policy, target, subject)
    if target.kind == "MeshGateway":
        gateway = gateway_of(subject, around.gateways)
        if gateway is None or gateway.meta.display_name != target.name:
            return False
        return any(selection.is_subset(target.tags or {}, tags) for tags in _listener_tags(subject, gateway))
    if not _has_proxy_type(target, subject.spec):
        return False
    wanted = dict(target.tags or {}) if target.kind in ("MeshSubset", "MeshServiceSubset") else {}
    if target.kind in ("MeshService", "MeshServiceSubset"):
        wanted[labels.SERVICE_TAG] = target.name
    if target.kind == "Mesh" and subject.spec.networking is not None and subject.spec.networking.listeners:
        return True
    return any(selection.is_subset(wanted, tags) for tags in tag_sets(subject, around.gateways))


def _is_dataplane(policy: AnyResource, target: targetref.TargetRef, subject: Proxy) -> bool:
    networking = subject.spec.networking
    if subject.spec.is_builtin_gateway or networking is None:
        return False
    if not selection.selects_dataplane(policy.meta, target, subject.meta):
        return False
    if not target.section_name:
        return True
    sections = [each for inbound in networking.inbound for each in (inbound.section, str(inbound.port))]
    sections += [each for listener in networking.listeners for each in (listener.section, str(listener.port))]
    return target.section_name in sections


def _has_proxy_type(target: targetref.TargetRef, spec: dataplane.Dataplane) -> bool:
    is_gateway = spec.networking is not None and spec.networking.gateway is not None
    return not target.proxy_types or (targetref.GATEWAY if is_gateway else targetref.SIDECAR) in target.proxy_types


def tag_sets(subject: Proxy, gateways: Sequence[AnyResource]) -> Iterator[Mapping[str, str]]:
    """The tags by which a proxy can be selected: of each inbound, of a delegated gateway, or of each gateway listener."""
    networking = subject.spec.networking
    if networking is None:
        return
    if networking.gateway is None:
        yield from (inbound.tags for inbound in networking.inbound)
    elif subject.spec.is_delegated_gateway:
        yield networking.gateway.tags
    else:
        gateway = gateway_of(subject, gateways)
        if gateway is not None:
            yield from _listener_tags(subject, gateway)


def _listener_tags(subject: Proxy, gateway: res.Resource[meshgateway.MeshGateway]) -> Iterator[Mapping[str, str]]:
    """Tags of each listener: those of the Dataplane, overridden by the MeshGateway's, overridden by its own."""
    networking, conf = subject.spec.networking, gateway.spec.conf
    own = networking.gateway.tags if networking is not None and networking.gateway is not None else {}
    for listener in conf.listeners if conf is not None else ():
        yield {**own, **gateway.spec.tags, **listener.tags}


def gateway_of(subject: Proxy, gateways: Iterable[AnyResource]) -> AnyResource | None:
    """The MeshGateway that a builtin gateway serves: the most specific selector, then the newest; None without one."""
    networking = subject.spec.networking
    if networking is None or networking.gateway is None or not subject.spec.is_builtin_gateway:
        return None
    best: tuple[selectors.Rank, Any] | None = None
    found: AnyResource | None = None
    for gateway in gateways:
        fitting = [
            selectors.rank(each.match)
            for each in gateway.spec.selectors
            if selectors.matches(each.match, networking.gateway.tags)
        ]
        if fitting:
            merit = (max(fitting), gateway.meta.creation_time)
            if best is None or merit > best:
                best, found = merit, gateway
    return found


def _selects(policy: AnyResource, subject: Proxy, around: Surroundings) -> bool:
    """Whether the selectors of an old kind fit one of the proxy's tag sets."""
    spec = policy.spec
    carried = list(_own_tags(subject))
    if isinstance(spec, connections.Connections):
        sides = [spec.sources] if policy.kind.name in _OF_CLIENTS else []
        sides += [spec.destinations] if policy.kind.name in _OF_SERVERS else []
        return any(_fits(side, carried) for side in sides)
    if policy.kind.name == "MeshGatewayRoute":
        gateway = gateway_of(subject, around.gateways)
        return gateway is not None and _fits(spec.selectors, list(_listener_tags(subject, gateway)))
    # A VirtualOutbound or TrafficTrace without selectors, or with an empty one, is about every proxy.
    return not spec.selectors or _fits(spec.selectors, carried)


def _own_tags(subject: Proxy) -> Iterator[Mapping[str, str]]:
    networking = subject.spec.networking
    if networking is None:
        return
    if networking.gateway is not None:
        yield networking.gateway.tags
    else:
        yield from (inbound.tags for inbound in networking.inbound)


def _fits(side: Sequence[selectors.Selector], carried: Sequence[Mapping[str, str]]) -> bool:
    return any(selectors.matches(each.match, tags) for each in side for tags in carried)
