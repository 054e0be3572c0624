"""The MeshServices that a Universal zone makes of the services its proxies name. Pure.

Source: Kuma's documentation, "MeshService" (zone types, Universal). A MeshService that somebody else wrote is never
touched; one whose proxies are gone stays for a while, so that clients notice, and says since when.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from kuma.base import gotext, labels
from kuma.mesh import endpoints
from kuma.resources import meta as metas
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, labelselector, meshservice
from kuma.resources.rules import dataplane as dataplane_rules
from kuma.services.destinations import members, propagation, standing

MANAGER = "meshservice-generator"

Service = res.Resource[meshservice.MeshService]
Ports = tuple[meshservice.Port, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """`zone` is the control plane's own. `untagged`: inbounds without tags belong to their proxy's workload."""

    zone: str
    grace: timedelta = timedelta(hours=1)
    untagged: bool = False
    propagated: propagation.Settings = field(default_factory=propagation.Settings)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What there is to be. `service` None: none; `conflicting`: proxies whose ports differ from the service's."""

    service: Service | None
    conflicting: tuple[str, ...] = ()


def is_generated(service: res.Resource[Any]) -> bool:
    """Whether a control plane of this zone made a MeshService: those of other zones arrive made, and go there."""
    return service.meta.labels.get(labels.MANAGED_BY) == MANAGER and standing.is_local(service)


def names_of(member: members.Member, *, untagged: bool) -> Iterator[str]:
    """The MeshServices that a proxy calls for. Names that no MeshService can have call for none."""
    for name in {_name_of(inbound, member, untagged=untagged) for inbound in member.inbounds}:
        if name and not metas.dns1035_problems(name):
            yield name


def desired(
    key: res.Key, serving: Iterable[members.Member], stored: Service | None, now: datetime, settings: Settings
) -> Outcome:
    """The MeshService that `serving` (all that could have a part in it) call for, given the stored one."""
    if stored is not None and not is_generated(stored):
        return Outcome(stored)
    oldest_first = sorted(serving, key=lambda each: each.age)
    offers = [(each, ports) for each in oldest_first if (ports := _ports(key.name, each, settings))]
    if not offers:
        return Outcome(_waning(stored, now, settings.grace) if stored is not None else None)
    ports = offers[0][1]
    if stored is not None and any(each == stored.spec.ports for _, each in offers):
        ports = stored.spec.ports
    proxies = [(each, _inbounds(key.name, each, settings)) for each, _ in offers]
    conflicting = tuple(member.name for member, each in offers if each != ports)
    if stored is None:
        is_tagged = any(_is_tagged(key.name, each) for each, _ in offers)
        own = propagation.with_labels(_labels(key, settings.zone), proxies, settings.propagated)
        meta = res.Meta(key.mesh, key.name, own)
        spec = meshservice.MeshService(selector=_selector(key.name, is_tagged=is_tagged), ports=ports)
        return Outcome(res.Resource(meshservice.KIND, meta, spec), conflicting)
    own = {name: value for name, value in stored.meta.labels.items() if name != labels.DELETION_GRACE}
    own = propagation.with_labels(own, proxies, settings.propagated)
    spec = msgspec.structs.replace(stored.spec, ports=ports)
    return Outcome(replace(stored, meta=replace(stored.meta, labels=own), spec=spec), conflicting)


def waned_at(service: Service, grace: timedelta) -> datetime | None:
    """When a MeshService without proxies goes; None while it has some, or where that cannot be read."""
    began = service.meta.labels.get(labels.DELETION_GRACE)
    if began is None:
        return None
    try:
        return gotext.parse_time(began) + grace
    except ValueError:
        return None


def _waning(stored: Service, now: datetime, grace: timedelta) -> Service | None:
    end = waned_at(stored, grace)
    if end is None:
        began = {**stored.meta.labels, labels.DELETION_GRACE: gotext.format_time(now)}
        return replace(stored, meta=replace(stored.meta, labels=began))
    return stored if now < end else None


def _labels(key: res.Key, zone: str) -> Mapping[str, str]:
    return {
        labels.DISPLAY_NAME: key.name,
        labels.ENV: "universal",
        labels.MANAGED_BY: MANAGER,
        labels.MESH: key.mesh,
        labels.ORIGIN: labels.ORIGIN_ZONE,
        labels.ZONE: zone,
    }


def _selector(name: str, *, is_tagged: bool) -> meshservice.Selector:
    if is_tagged:
        return meshservice.Selector(dataplane_tags={labels.SERVICE_TAG: name})
    return meshservice.Selector(dataplane_labels=labelselector.LabelSelector(match_labels={labels.WORKLOAD: name}))


def _name_of(inbound: dataplane.Inbound, member: members.Member, *, untagged: bool) -> str:
    if untagged and not inbound.tags:
        return member.workload
    return inbound.tags.get(labels.SERVICE_TAG, "")


def _is_tagged(name: str, member: members.Member) -> bool:
    return any(each.tags.get(labels.SERVICE_TAG) == name for each in member.inbounds)


def _ports(name: str, member: members.Member, settings: Settings) -> Ports:
    """The ports that one proxy offers under a name: one for each port of its inbounds, in their order."""
    found: dict[int, meshservice.Port] = {}
    for inbound in _inbounds(name, member, settings):
        found.setdefault(inbound.port, _port(inbound))
    return tuple(found.values())


def _inbounds(name: str, member: members.Member, settings: Settings) -> list[dataplane.Inbound]:
    return [each for each in member.inbounds if _name_of(each, member, untagged=settings.untagged) == name]


def _port(inbound: dataplane.Inbound) -> meshservice.Port:
    protocol = endpoints.protocol_of(inbound)
    return meshservice.Port(
        name=inbound.section,
        port=inbound.port,
        target_port=inbound.port,
        app_protocol=protocol if protocol in dataplane_rules.PROTOCOLS else "tcp",
    )
