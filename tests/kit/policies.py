"""Short ways to make policies of every kind, and what they lead over."""

from collections.abc import Mapping
from typing import Any

from kuma.plan import proxy
from kuma.policies import discovery
from kuma.policy_engine.matching import matching
from kuma.policy_engine.merging import rules
from kuma.resources import codec
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, mesh, meshgateway, meshservice

KINDS = {
    each.name: each for each in (*discovery.kinds(), dataplane.KIND, mesh.KIND, meshgateway.KIND, meshservice.KIND)
}


def a_resource(kind: str, name: str, labels: Mapping[str, str] | None = None, **fields: Any) -> res.Resource[Any]:
    """A resource of mesh `m`."""
    document = {"type": kind, "mesh": "m", "name": name, "labels": dict(labels or {})}
    return codec.decode(KINDS[kind], {**document, **fields})


def a_policy(
    kind: str,
    name: str,
    target: Mapping[str, Any] | None = None,
    labels: Mapping[str, str] | None = None,
    **spec: Any,
) -> res.Resource[Any]:
    """A policy; `from_` is `from`."""
    written = {("from" if key == "from_" else key): value for key, value in spec.items()}
    return a_resource(kind, name, labels, spec={"targetRef": dict(target or {"kind": "Mesh"}), **written})


def a_timeout(name: str, seconds: int, target: Any = None, to: Any = None, labels: Any = None) -> res.Resource[Any]:
    """A MeshTimeout with one entry of `to`, about the whole mesh where it does not say."""
    entry = {"targetRef": to or {"kind": "Mesh"}, "default": {"idleTimeout": f"{seconds}s"}}
    return a_policy("MeshTimeout", name, target, labels, to=[entry])


def a_service(name: str, labels: Mapping[str, str] | None = None, **ports: int) -> res.Resource[Any]:
    """A MeshService with named ports."""
    listed = [{"port": port, "name": section} for section, port in ports.items()]
    return a_resource("MeshService", name, labels, spec={"ports": listed, "selector": {}})


def a_subject(
    *inbounds: Mapping[str, Any], name: str = "dp", labels: Any = None, **networking: Any
) -> proxy.ProxyFacts:
    """A proxy at 10.0.0.1; inbounds are the tags of each, on port 8001 and following, with a name of their number."""
    listed = [{"port": 8001 + at, "name": f"in-{at}", "tags": dict(tags)} for at, tags in enumerate(inbounds)]
    made = a_resource("Dataplane", name, labels, networking={"address": "10.0.0.1", "inbound": listed, **networking})
    return proxy.facts_of(made, {})


def match(
    policies: list[res.Resource[Any]], subject: proxy.ProxyFacts, *around: res.Resource[Any], with_shadow: bool = False
) -> rules.ProxyRules:
    """What policies of one kind say of a proxy of mesh `m`."""
    of_kind = {kind: [each for each in around if each.kind.name == kind] for kind in KINDS}
    surroundings = matching.Surroundings(
        routes=of_kind["MeshHTTPRoute"],
        gateways=of_kind["MeshGateway"],
        services=of_kind["MeshService"],
        mesh=codec.decode(mesh.KIND, {"type": "Mesh", "name": "m"}),
    )
    return matching.match(policies[0].kind, policies, subject, surroundings, with_shadow)
