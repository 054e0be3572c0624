"""Workload: proxies of one zone that share the label `kuma.io/workload`, counted."""

from typing import Annotated

import msgspec

from kuma.resources import kind as kinds
from kuma.resources import values
from kuma.resources.rules import workload as rules


class Workload(kinds.Spec, frozen=True):
    """Nothing to say: the name is all."""


class DataplaneProxies(kinds.Spec, frozen=True, omit_defaults=False):
    """How many proxies belong to it."""

    connected: Annotated[values.Int32, values.Required] = 0
    healthy: Annotated[values.Int32, values.Required] = 0
    total: Annotated[values.Int32, values.Required] = 0


class WorkloadStatus(kinds.Spec, frozen=True):
    """The counts, printed even where they are zero."""

    dataplane_proxies: DataplaneProxies = msgspec.field(default_factory=DataplaneProxies)


KIND = kinds.Kind(
    name="Workload",
    plural="workloads",
    scope=kinds.Scope.MESH,
    spec=Workload,
    status=WorkloadStatus,
    short="wl",
    envelope=kinds.Envelope.SPEC,
    sync=kinds.Sync.ZONE_TO_GLOBAL | kinds.Sync.PROVIDED_BY_ZONE,
    validate=rules.validate,
    argument="workload",
    singular_display="Workload",
    plural_display="Workloads",
)
