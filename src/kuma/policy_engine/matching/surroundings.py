"""What targetRefs lead over beside proxies: the mesh itself, its destinations, its MeshHTTPRoutes and MeshGateways.

One value serves all policies and proxies of one state of a mesh; its indexes are made when they are first asked for.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kuma.base import kri, labels
from kuma.resources import resource as res
from kuma.resources import targetref

AnyResource = res.Resource[Any]

_SHORT = {
    "MeshService": "msvc",
    "MeshExternalService": "extsvc",
    "MeshMultiZoneService": "mzsvc",
    "MeshHTTPRoute": "mhttpr",
}
"""Kinds of real resources that entries can be about, by the short name in their KRI."""


@dataclass(frozen=True, eq=False)
class Surroundings:
    """The resources of one mesh. Without `mesh` nothing is said of the mesh as a whole."""

    routes: Sequence[AnyResource] = ()
    gateways: Sequence[AnyResource] = ()
    services: Sequence[AnyResource] = ()
    external_services: Sequence[AnyResource] = ()
    multizone_services: Sequence[AnyResource] = ()
    mesh: AnyResource | None = None

    def route_named(self, name: str) -> AnyResource | None:
        """The MeshHTTPRoute of a display name."""
        return self._routes_by_name.get(name)

    def find(self, target: kri.Kri) -> AnyResource | None:
        """The resource of a KRI, whatever its section."""
        return self._by_kri.get(target.with_section(""))

    def resolve(self, ref: targetref.TargetRef, author: res.Meta) -> tuple[kri.Kri, ...]:
        """The resources, with sections where it names ports, that a targetRef in a policy of `author` is about.

        A name means the policy's own zone and namespace, unless it says another namespace; labels mean all zones.
        Source: Kuma's documentation, "MeshService: targeting".
        """
        if ref.kind == "Mesh":
            own = self.mesh.kri if self.mesh is not None else None
            return (own,) if own is not None else ()
        if ref.kind not in _SHORT:
            return ()
        if ref.labels:
            found = self._labelled(ref.kind, ref.labels)
            return tuple(self._sections(found, ref.section_name, 0))
        legacy = _service_tag(ref) if ref.kind == "MeshService" and not ref.section_name else None
        if legacy is not None:
            wanted, port = legacy
            return tuple(self._sections(self._labelled(ref.kind, wanted), "", port))
        its = author.labels
        namespace = ref.namespace or its.get(labels.NAMESPACE, "")
        target = kri.Kri(_SHORT[ref.kind], author.mesh, its.get(labels.ZONE, ""), namespace, ref.name)
        resource = self._by_kri.get(target)
        return () if resource is None else tuple(self._sections([resource], ref.section_name, 0))

    def _labelled(self, kind: str, wanted: Mapping[str, str]) -> Sequence[AnyResource]:
        pairs = list(wanted.items())
        candidates = self._by_label.get((kind, *pairs[0]), ())
        return [each for each in candidates if all(each.meta.labels.get(key) == value for key, value in pairs)]

    def _sections(self, found: Sequence[AnyResource], section: str, port: int) -> Iterator[kri.Kri]:
        """Their KRIs; with a section or port, of those that have it."""
        for each in found:
            own, sections = each.kri, each.kind.sections
            if own is None:
                continue
            if sections is None or not (section or port):
                yield own
                continue
            for number, name in sections(each.spec):
                if name == section or (port and number == port):
                    yield own.with_section(name)
                    break

    def _all(self) -> Iterator[AnyResource]:
        yield from self.services
        yield from self.external_services
        yield from self.multizone_services
        yield from self.routes
        if self.mesh is not None:
            yield self.mesh

    @functools.cached_property
    def _by_kri(self) -> Mapping[kri.Kri, AnyResource]:
        return {own: each for each in self._all() if (own := each.kri) is not None}

    @functools.cached_property
    def _by_label(self) -> Mapping[tuple[str, str, str], Sequence[AnyResource]]:
        out: dict[tuple[str, str, str], list[AnyResource]] = {}
        for each in self._all():
            for key, value in each.meta.labels.items():
                out.setdefault((each.kind.name, key, value), []).append(each)
        return out

    @functools.cached_property
    def _routes_by_name(self) -> Mapping[str, AnyResource]:
        return {each.meta.display_name: each for each in reversed(self.routes)}


def _service_tag(ref: targetref.TargetRef) -> tuple[Mapping[str, str], int] | None:
    """What a `kuma.io/service` of Kubernetes, `<name>_<namespace>_svc_<port>`, means: labels and a port, 0 for all."""
    parts = ref.name.split("_")
    if len(parts) == 3 and parts[2] == "svc":
        port = 0
    elif len(parts) == 4 and parts[2] == "svc" and parts[3].isdecimal():
        port = int(parts[3])
    else:
        return None
    return {labels.NAMESPACE: parts[1], labels.DISPLAY_NAME: parts[0]}, port
