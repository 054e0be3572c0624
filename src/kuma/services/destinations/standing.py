"""How a MeshService stands: who serves it, how many of them are well, whether all can speak mutual TLS. Pure.

Computed for the services of this zone alone; those of other zones arrive with their own. Source: Kuma's documentation,
"MeshService" (status).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from kuma.base import labels
from kuma.mesh import spiffe_ids
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, mesh, meshservice
from kuma.services.destinations import members

AVAILABLE, UNAVAILABLE = "Available", "Unavailable"
READY, NOT_READY = "Ready", "NotReady"

Service = res.Resource[meshservice.MeshService]
_SERVICE_TAG, _SPIFFE_ID = "ServiceTag", "SpiffeID"


def is_local(service: res.Resource[Any]) -> bool:
    """Whether a resource originates here and not in another zone or on the global control plane."""
    return service.meta.labels.get(labels.ORIGIN, labels.ORIGIN_ZONE) == labels.ORIGIN_ZONE


def with_standing(
    service: Service, serving: Sequence[members.Member], own_mesh: mesh.Mesh, identities: Sequence[spiffe_ids.Identity]
) -> Service:
    """The MeshService with identities, state, TLS and counts of the proxies that it selects."""
    status = status_of(service)
    names = tuple(_identities(serving, identities))
    proxies = _proxies(serving, service.spec.ports)
    state = AVAILABLE if proxies.healthy else UNAVAILABLE
    certified = own_mesh.enabled_ca is not None or any(each.type == _SPIFFE_ID for each in names)
    return replace(
        service,
        spec=msgspec.structs.replace(service.spec, identities=names, state=state),
        status=msgspec.structs.replace(
            status, tls=_tls(status.tls, serving, is_on=certified), dataplane_proxies=proxies
        ),
    )


def status_of(service: Service) -> meshservice.MeshServiceStatus:
    """The status of a MeshService; an empty one before it has any."""
    status = service.status
    return status if isinstance(status, meshservice.MeshServiceStatus) else meshservice.MeshServiceStatus()


def without_counts(service: Service) -> tuple[object, ...]:
    """What of a MeshService others depend on: all but how many proxies are there."""
    status = msgspec.structs.replace(status_of(service), dataplane_proxies=meshservice.DataplaneProxies())
    return service.meta.labels, service.spec, status


def _tls(current: meshservice.Tls, serving: Sequence[members.Member], *, is_on: bool) -> meshservice.Tls:
    """Once ready it stays so: a proxy that joins starts with a certificate, even if its insight comes later."""
    if not is_on:
        return meshservice.Tls(status=NOT_READY)
    if current.status == READY or all(each.connection.is_certified for each in serving):
        return meshservice.Tls(status=READY)
    return meshservice.Tls(status=NOT_READY)


def _proxies(serving: Iterable[members.Member], ports: Sequence[meshservice.Port]) -> meshservice.DataplaneProxies:
    total = connected = healthy = 0
    for each in serving:
        total += 1
        connected += each.connection.is_connected
        healthy += all(_is_ready(each.inbounds, port) for port in ports)
    return meshservice.DataplaneProxies(connected=connected, healthy=healthy, total=total)


def _is_ready(inbounds: Iterable[dataplane.Inbound], port: meshservice.Port) -> bool:
    """Whether the inbound behind a port takes traffic: the first with its name, or that its target names."""
    target = port.port if port.target_port is None else port.target_port
    for each in inbounds:
        if (port.name and each.name == port.name) or target in (each.port, each.name or None):
            return each.is_ready
    return False


def _identities(
    serving: Iterable[members.Member], identities: Sequence[spiffe_ids.Identity]
) -> Iterator[meshservice.Identity]:
    """Service tags first, then SPIFFE IDs, each sorted."""
    tags: set[str] = set()
    ids: set[str] = set()
    for each in serving:
        tags |= each.services
        ids |= spiffe_ids.all_of(identities, each.labels)
    yield from (meshservice.Identity(type=_SERVICE_TAG, value=each) for each in sorted(tags))
    yield from (meshservice.Identity(type=_SPIFFE_ID, value=each) for each in sorted(ids))
