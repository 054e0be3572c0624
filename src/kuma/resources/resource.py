"""A stored resource as a value: its key, its metadata and its spec.

Stands between everything: stores keep `Resource`s, mesh views are built from them, REST prints them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from kuma.base import kri, labels
from kuma.resources import kind as kinds

S = TypeVar("S", bound=msgspec.Struct, covariant=True)

ZERO_TIME = datetime(1, 1, 1, tzinfo=UTC)
"""Printed as `0001-01-01T00:00:00Z`: a time that was never set."""


class Key(NamedTuple):
    """Where a resource lives. `mesh` is empty for global kinds. Sorts by kind, mesh, name."""

    kind: str
    mesh: str
    name: str


@dataclass(frozen=True, slots=True)
class Meta:
    """What the store knows beside the spec. `version` is the store's revision of the last write, 0 before the first."""

    mesh: str
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    creation_time: datetime = ZERO_TIME
    modification_time: datetime = ZERO_TIME
    version: int = 0

    @property
    def display_name(self) -> str:
        """The name users gave it: label `kuma.io/display-name`, else the stored name."""
        return self.labels.get(labels.DISPLAY_NAME) or self.name


@dataclass(frozen=True, slots=True)
class Resource(Generic[S]):
    """One resource: immutable; a change is a new value."""

    kind: "kinds.Kind[Any]"
    meta: Meta
    spec: S
    status: msgspec.Struct | None = None

    @property
    def key(self) -> Key:
        """The identity under which stores keep it."""
        return Key(self.kind.name, self.meta.mesh, self.meta.name)

    @property
    def kri(self) -> kri.Kri | None:
        """Its Kuma resource identifier; None for kinds without a short name (secrets, configs, legacy policies)."""
        if not self.kind.short:
            return None
        own = self.meta.labels
        return kri.Kri(
            self.kind.short,
            self.meta.mesh,
            own.get(labels.ZONE, ""),
            own.get(labels.NAMESPACE, ""),
            self.meta.display_name,
        )


@dataclass(frozen=True, slots=True)
class ResourceRef:
    """The author of something generated: a resource and, for policies, which of its rules (-1: the whole resource)."""

    kind: str
    mesh: str
    name: str
    rule: int = -1
    kri: str = ""


def ref_to(resource: Resource[Any], rule: int = -1) -> ResourceRef:
    """A reference to `resource` for provenance."""
    own = resource.kri
    return ResourceRef(resource.kind.name, resource.meta.mesh, resource.meta.name, rule, str(own) if own else "")
