"""Which destinations outside the mesh are dialled with what stands in its Secrets: certificates, and keys to them."""

from collections.abc import Iterator
from typing import Any

from kuma.base.kri import Kri
from kuma.mesh import picture, zones
from kuma.resources import resource as res


def named(view: picture.MeshView) -> frozenset[str]:
    """The names of all such Secrets."""
    return frozenset[str]().union(*(names for _, names in (*_external_services(view), *_mesh_external_services(view))))


def services_of(view: picture.MeshView, secret: str) -> frozenset[str]:
    """The services whose ExternalServices name a Secret."""
    return frozenset(zones.service_of(each.spec) for each, names in _external_services(view) if secret in names)


def destinations_of(view: picture.MeshView, secret: str) -> frozenset[Kri]:
    """The ports of the MeshExternalServices that name a Secret."""
    users = [each.kri for each, names in _mesh_external_services(view) if secret in names]
    return frozenset(port.kri for kri in users if kri for port in view.destinations.of_resource(kri))


def _external_services(view: picture.MeshView) -> Iterator[tuple[res.Resource[Any], frozenset[str]]]:
    for each in view.of_kind("ExternalService"):
        if each.spec.networking is not None and each.spec.networking.tls is not None:
            yield each, each.spec.networking.tls.secrets


def _mesh_external_services(view: picture.MeshView) -> Iterator[tuple[res.Resource[Any], frozenset[str]]]:
    for each in view.destinations.resources("MeshExternalService"):
        if each.spec.tls is not None:
            yield each, each.spec.tls.secrets
