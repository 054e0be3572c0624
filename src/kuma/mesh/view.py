"""The pictures of all meshes: `WorldView.advance` takes changes in and tells what they touched.

So whoever compiles proxies knows which of them to look at again. `mesh.picture` is one mesh, `mesh.draft` the way from
one picture to the next.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kuma.mesh import draft, vips
from kuma.mesh import zones as zoning
from kuma.mesh.draft import KINDS, Edit, Touched
from kuma.mesh.picture import MeshView
from kuma.resources import resource as res

__all__ = ["KINDS", "Edit", "MeshView", "Touched", "WorldView"]


@dataclass(frozen=True, slots=True)
class WorldView:
    """All meshes by name. `policy_kinds` are the kinds whose resources shape proxies of their mesh, beside `KINDS`.

    `environment` is `universal` or `kubernetes`.
    """

    policy_kinds: frozenset[str]
    meshes: Mapping[str, MeshView] = field(default_factory=dict)
    zones: zoning.Zones = field(default_factory=zoning.Zones)
    naming: vips.Naming = field(default_factory=vips.Naming)
    tables: Mapping[str, draft.Addresses] = field(default_factory=dict)
    environment: str = "universal"

    def advance(self, edits: Iterable[Edit]) -> tuple["WorldView", Touched]:
        """The picture after the edits, and what they touched. Kinds that shape nothing are passed over."""
        made = draft.Draft(self.meshes, self.zones, self.tables, self.policy_kinds, self.naming, self.environment)
        for edit in edits:
            made.take(edit)
        touched = made.finish()
        return replace(self, meshes=made.meshes, zones=made.zones, tables=made.tables), touched

    def held(self) -> Iterator[res.Resource[Any]]:
        """Every resource that the pictures hold: those of them that are no longer in the store are gone."""
        for view in self.meshes.values():
            yield from view.dataplanes.values()
            for several in (*view.policies.values(), *view.others.values()):
                yield from several
            yield from view.destinations.stored()
            yield view.resource
        yield from self.zones.ingresses.values()
        yield from self.zones.egresses.values()
        yield from (each.config for each in self.tables.values())
