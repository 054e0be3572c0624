"""What a Dataplane owes to its mesh: the tags that the Mesh demands, the tag of its zone, and a cautious start.

Source: Kuma's documentation, "Data plane proxy membership" and "Service probes".
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import msgspec

from kuma.base import errors, labels
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, mesh
from kuma.services import queries
from kuma.services.rules import role as roles
from kuma.store import protocol

AnyResource = res.Resource[Any]


class DataplaneRules:
    """Implements `resources.Rules` for Dataplanes. `unsafe_delete` has no say here: proxies may always go."""

    def __init__(self, store: protocol.Store, role: roles.Role) -> None:
        self._store = store
        self._role = role

    async def admit(self, desired: AnyResource, current: AnyResource | None) -> AnyResource:
        """The Dataplane with its zone's tags; InvalidResource where the Mesh does not want it."""
        owner = await self._mesh(desired.meta.mesh)
        spec = desired.spec
        assert isinstance(spec, dataplane.Dataplane)
        if not self._role.is_global:
            spec = with_zone(spec, self._role.zone, without_tags_too=not _is_exclusive(owner))
        spec = with_probed_health(spec, current.spec if current is not None else None)
        problem = membership_problem(spec, desired.meta.mesh, owner)
        if problem:
            raise errors.InvalidResource([errors.Violation("networking", problem)])
        return dataclasses.replace(desired, spec=spec)

    async def settle(self, stored: AnyResource, created: bool) -> None:
        """Nothing follows from a Dataplane."""

    async def release(self, current: AnyResource) -> None:
        """Nothing holds a Dataplane."""

    async def _mesh(self, name: str) -> mesh.Mesh:
        try:
            found = await self._store.get(res.Key("Mesh", "", name))
        except errors.NotFound:
            missing = errors.Violation("mesh", f"mesh of name {name} is not found")
            raise errors.InvalidResource([missing], summary="Mesh is not found") from None
        spec = found.spec
        assert isinstance(spec, mesh.Mesh)
        return spec


def _is_exclusive(owner: mesh.Mesh) -> bool:
    """Whether services are MeshServices alone, so that inbounds need no tags."""
    return owner.mesh_services is not None and owner.mesh_services.mode is mesh.MeshServicesMode.EXCLUSIVE


def with_zone(spec: dataplane.Dataplane, zone: str, *, without_tags_too: bool) -> dataplane.Dataplane:
    """The same Dataplane, every inbound and the gateway tagged with `zone`; inbounds without any tag only if asked."""
    networking = spec.networking
    if networking is None or not zone:
        return spec
    inbound = tuple(
        msgspec.structs.replace(each, tags=_tagged(each.tags, zone)) if each.tags or without_tags_too else each
        for each in networking.inbound
    )
    gateway = networking.gateway
    if gateway is not None:
        gateway = msgspec.structs.replace(gateway, tags=_tagged(gateway.tags, zone))
    return msgspec.structs.replace(
        spec, networking=msgspec.structs.replace(networking, inbound=inbound, gateway=gateway)
    )


def _tagged(tags: Mapping[str, str], zone: str) -> dict[str, str]:
    return dict(sorted({**tags, labels.ZONE_TAG: zone}.items()))


def with_probed_health(spec: dataplane.Dataplane, current: dataplane.Dataplane | None) -> dataplane.Dataplane:
    """The same Dataplane, inbounds with a probe of their service not ready until the first probe says so.

    One that was there before (in `current`) goes on as it was until the next report, unless its author says otherwise:
    whoever writes a Dataplane once more, or registers anew, does not know how the application is.
    """
    networking = spec.networking
    if networking is None or not any(each.service_probe for each in networking.inbound):
        return spec
    known = current.networking.inbound if current is not None and current.networking is not None else ()
    before = {(each.address, each.port): each for each in known}
    inbound = tuple(
        _with_probed_state(each, before.get((each.address, each.port)), is_new=current is None)
        if each.service_probe is not None
        else each
        for each in networking.inbound
    )
    return msgspec.structs.replace(spec, networking=msgspec.structs.replace(networking, inbound=inbound))


def _with_probed_state(
    inbound: dataplane.Inbound, before: dataplane.Inbound | None, *, is_new: bool
) -> dataplane.Inbound:
    is_told = inbound.state != dataplane.InboundState.READY or inbound.health is not None
    if inbound.state == dataplane.InboundState.IGNORED or (is_told and not is_new):
        return inbound
    if before is not None and before.state != dataplane.InboundState.IGNORED:
        return msgspec.structs.replace(inbound, state=before.state, health=before.health)
    return msgspec.structs.replace(
        inbound, state=dataplane.InboundState.NOT_READY, health=dataplane.Health(ready=False)
    )


def membership_problem(spec: dataplane.Dataplane, name: str, owner: mesh.Mesh) -> str | None:
    """Why the mesh called `name` does not take the proxy: each set of its tags must fit; None where it does."""
    rules = owner.constraints.dataplane_proxy if owner.constraints else None
    if rules is None:
        return None
    for tags in queries.tag_sets(spec):
        if rules.requirements and not any(_fits(tags, each.tags) for each in rules.requirements):
            return (
                f'dataplane cannot be a member of mesh "{name}" because its tags "{_spelled(tags)}" '
                f"does not fulfill any requirements defined on the Mesh"
            )
        broken = next((each.tags for each in rules.restrictions if _fits(tags, each.tags)), None)
        if broken is not None:
            return (
                f'dataplane cannot be a member of mesh "{name}" because its tags "{_spelled(tags)}" '
                f'matches restricted tags "{_spelled(broken)}" defined on the Mesh'
            )
    return None


def _fits(tags: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether all wanted tags are there; `*` stands for any value."""
    return all(tags.get(key, "") != "" if value == "*" else tags.get(key) == value for key, value in wanted.items())


def _spelled(tags: Mapping[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in sorted(tags.items()))
