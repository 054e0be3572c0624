"""What this control plane is (zone, federated zone or global), and which kinds it lets its users write.

The answers follow from a kind's sync flags alone (Kuma's documentation, "Deploy a multi-zone control plane").
"""

import enum
from dataclasses import dataclass
from typing import Any

from kuma.base import errors, labels
from kuma.resources import kind as kinds

_FROM_GLOBAL = kinds.Sync.GLOBAL_TO_ZONE | kinds.Sync.PROVIDED_BY_GLOBAL
_FROM_ZONE = kinds.Sync.ZONE_TO_GLOBAL | kinds.Sync.PROVIDED_BY_ZONE

_ON_GLOBAL = (
    "On global control plane you can not modify dataplane resources with 'kumactl apply' or via the HTTP API. "
    "You can still use 'kumactl' or the HTTP API to modify them on the zone control plane.\n"
)
_ON_ZONE = (
    "On zone control plane you can only modify zone resources with 'kumactl apply' or via the HTTP API. "
    "You can still use 'kumactl' or the HTTP API to modify the rest of the resource on the global control plane.\n"
)


class Mode(enum.Enum):
    """The two modes of a control plane; a zone that follows no global control plane is simply not federated."""

    ZONE = "zone"
    GLOBAL = "global"


@dataclass(frozen=True, slots=True)
class Role:
    """The settings that decide who may write what, and what labels a resource gets here."""

    mode: Mode = Mode.ZONE
    zone: str = "default"
    environment: str = "universal"
    federated: bool = False
    read_only: bool = False
    origin_label_checked: bool = True

    @property
    def is_global(self) -> bool:
        """Whether zones get their policies from here."""
        return self.mode is Mode.GLOBAL

    @property
    def origin(self) -> str:
        """The value of `kuma.io/origin` for what is written here."""
        return labels.ORIGIN_GLOBAL if self.is_global else labels.ORIGIN_ZONE

    def accepts(self, kind: kinds.Kind[Any]) -> bool:
        """Whether users may write resources of this kind here."""
        if self.read_only or kind.read_only:
            return False
        if self.is_global:
            return bool(kind.sync & _FROM_GLOBAL)
        return not self.federated or bool(kind.sync & _FROM_ZONE)

    def require_writable(self, kind: kinds.Kind[Any]) -> None:
        """MethodNotAllowed, saying where such a resource can be written, unless users may write it here."""
        if not self.accepts(kind):
            refusal = errors.MethodNotAllowed(_ON_GLOBAL if self.is_global else _ON_ZONE)
            refusal.title = "Method not allowed"
            raise refusal


def comes_from_zones(kind: kinds.Kind[Any]) -> bool:
    """Whether zones may originate this kind, so that its resources carry origin and zone."""
    return bool(kind.sync & _FROM_ZONE)
