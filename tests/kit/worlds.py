"""Short ways to make resources and pictures of a mesh."""

from collections.abc import Iterable, Mapping
from typing import Any

from kuma.legacy_policies.trafficpermission import translate as traffic_permission
from kuma.mesh import view, zones
from kuma.policies.meshtrafficpermission import translate as mesh_traffic_permission
from kuma.resources import builtin, codec
from kuma.resources import catalog as catalogs
from kuma.resources import kind as kinds
from kuma.resources import resource as res
from kuma.store import protocol as stores

POLICIES = (mesh_traffic_permission.POLICY, traffic_permission.POLICY)
KINDS = {each.name: each for each in (*builtin.CORE_KINDS, *(policy.kind for policy in POLICIES))}
BUILTIN = {"enabledBackend": "ca-1", "backends": [{"name": "ca-1", "type": "builtin"}]}


def resource(document: Mapping[str, Any]) -> res.Resource[Any]:
    """A resource in REST form, in mesh `m` unless it says otherwise."""
    kind = KINDS[document["type"]]
    return codec.decode(kind, {"mesh": "m", **document} if kind.scope is kinds.Scope.MESH else document)


def a_mesh(name: str = "m", **fields: Any) -> res.Resource[Any]:
    """A Mesh."""
    return resource({"type": "Mesh", "name": name, **fields})


def a_dataplane(
    name: str,
    service: str,
    *,
    address: str = "192.168.0.1",
    port: int = 8080,
    protocol: str = "http",
    outbounds: Mapping[str, int] | None = None,
    labels: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    **inbound: Any,
) -> res.Resource[Any]:
    """A Dataplane with one inbound, application on the loopback."""
    return resource(
        {
            "type": "Dataplane",
            "name": name,
            "labels": dict(labels or {}),
            "networking": {
                "address": address,
                "inbound": [
                    {
                        "port": port,
                        "servicePort": 80,
                        "serviceAddress": "127.0.0.1",
                        "tags": {"kuma.io/service": service, "kuma.io/protocol": protocol, **(tags or {})},
                        **inbound,
                    }
                ],
                "outbound": [{"port": p, "tags": {"kuma.io/service": s}} for s, p in (outbounds or {}).items()],
            },
        }
    )


def a_permission(name: str, *entries: tuple[Mapping[str, str], str], target: Any = None) -> res.Resource[Any]:
    """A MeshTrafficPermission out of `from` entries: tags of clients (none: all) and an action."""
    return resource(
        {
            "type": "MeshTrafficPermission",
            "name": name,
            "spec": {
                "targetRef": target or {"kind": "Mesh"},
                "from": [
                    {
                        "targetRef": {"kind": "MeshSubset", "tags": dict(tags)} if tags else {"kind": "Mesh"},
                        "default": {"action": action},
                    }
                    for tags, action in entries
                ],
            },
        }
    )


def world(resources: Iterable[res.Resource[Any]]) -> view.WorldView:
    """The picture of some resources; meshes must come first."""
    held = list(resources)
    others = {each.kind.name for each in held if each.kind.policy is not None}
    empty = view.WorldView(frozenset(policy.kind.name for policy in POLICIES) | others)
    made, _ = empty.advance(view.Edit(each) for each in held)
    return made


async def of_store(
    store: stores.Store, catalog: catalogs.Catalog, policy_kinds: frozenset[str], zone: str = "default"
) -> view.WorldView:
    """The picture of everything in a store, as it is seen from a zone."""
    names = (*view.KINDS, *sorted(policy_kinds))
    known = [kind for name in names if (kind := catalog.find(name)) is not None]
    edits = [view.Edit(each) for kind in known for each in await store.list(kind)]
    made, _ = view.WorldView(policy_kinds, zones=zones.Zones(zone)).advance(edits)
    return made
