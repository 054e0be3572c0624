"""The policies that every new Mesh starts with, as documents. Kinds that the catalog lacks are passed over.

Source: Kuma's documentation, "Default policies". `{mesh}` stands for the name of the mesh.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from kuma.resources import catalog as catalogs
from kuma.resources import codec
from kuma.resources import resource as res
from kuma.resources.kinds import mesh
from kuma.services.rules import labelling
from kuma.services.rules import role as roles

_EVERYTHING = {"kind": "Mesh"}
_BACK_OFF = {"baseInterval": "25ms", "maxInterval": "250ms"}
_RETRIES = {"numRetries": 5, "perTryTimeout": "16s", "backOff": _BACK_OFF}

_POLICIES: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    (
        "MeshTimeout",
        "mesh-timeout-all-{mesh}",
        {
            "targetRef": {"kind": "Mesh", "proxyTypes": ["Sidecar"]},
            "from": [
                {
                    "targetRef": _EVERYTHING,
                    "default": {
                        "connectionTimeout": "10s",
                        "idleTimeout": "2h",
                        "http": {"requestTimeout": "0s", "streamIdleTimeout": "1h", "maxStreamDuration": "0s"},
                    },
                }
            ],
            "to": [
                {
                    "targetRef": _EVERYTHING,
                    "default": {
                        "connectionTimeout": "5s",
                        "idleTimeout": "1h",
                        "http": {"requestTimeout": "15s", "streamIdleTimeout": "30m"},
                    },
                }
            ],
        },
    ),
    (
        "MeshTimeout",
        "mesh-gateways-timeout-all-{mesh}",
        {
            "targetRef": {"kind": "Mesh", "proxyTypes": ["Gateway"]},
            "from": [
                {
                    "targetRef": _EVERYTHING,
                    "default": {
                        "idleTimeout": "5m",
                        "http": {"streamIdleTimeout": "5s", "requestHeadersTimeout": "500ms"},
                    },
                }
            ],
            "to": [{"targetRef": _EVERYTHING, "default": {"idleTimeout": "1h", "http": {"streamIdleTimeout": "5s"}}}],
        },
    ),
    (
        "MeshCircuitBreaker",
        "mesh-circuit-breaker-all-{mesh}",
        {
            "targetRef": _EVERYTHING,
            "to": [
                {
                    "targetRef": _EVERYTHING,
                    "default": {
                        "connectionLimits": {
                            "maxConnections": 1024,
                            "maxPendingRequests": 1024,
                            "maxRequests": 1024,
                            "maxRetries": 3,
                        }
                    },
                }
            ],
        },
    ),
    (
        "MeshRetry",
        "mesh-retry-all-{mesh}",
        {
            "targetRef": _EVERYTHING,
            "to": [
                {
                    "targetRef": _EVERYTHING,
                    "default": {"tcp": {"maxConnectAttempt": 5}, "http": _RETRIES, "grpc": _RETRIES},
                }
            ],
        },
    ),
)

_ANY_SERVICE = {"kuma.io/service": "*"}
_ROUTING: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    (
        "TrafficPermission",
        "allow-all-{mesh}",
        {"sources": [{"match": _ANY_SERVICE}], "destinations": [{"match": _ANY_SERVICE}]},
    ),
    (
        "TrafficRoute",
        "route-all-{mesh}",
        {
            "sources": [{"match": _ANY_SERVICE}],
            "destinations": [{"match": _ANY_SERVICE}],
            "conf": {"loadBalancer": {"roundRobin": {}}, "destination": _ANY_SERVICE},
        },
    ),
)


def for_mesh(
    owner: res.Resource[mesh.Mesh], catalog: catalogs.Catalog, role: roles.Role, *, with_routing: bool
) -> Iterator[res.Resource[Any]]:
    """The default policies of one new Mesh, without those that it asked to skip.

    `with_routing` adds the legacy permission and route that let everybody reach everybody.
    """
    skipped = set(owner.spec.skip_creating_initial_policies)
    if "*" in skipped:
        return
    for kind_name, name, content in (*_POLICIES, *(_ROUTING if with_routing else ())):
        kind = catalog.find(kind_name)
        if kind is None or kind_name in skipped:
            continue
        own = {"mesh": owner.meta.name, "name": name.format(mesh=owner.meta.name)}
        is_nested = "targetRef" in content
        found = codec.decode(kind, {"type": kind_name, **own, **({"spec": content} if is_nested else content)})
        labels = labelling.computed(kind, owner.meta.name, {}, found.spec, role)
        meta = res.Meta(mesh=owner.meta.name, name=own["name"], labels=labels)
        yield res.Resource(kind, meta, found.spec)
