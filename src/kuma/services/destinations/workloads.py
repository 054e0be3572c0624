"""The Workloads of a zone: one for each value of the label `kuma.io/workload` that proxies carry. Pure.

Source: Kuma's documentation, "Workload". On Universal they are made and removed with their proxies; elsewhere
somebody else does that, and only the counts are kept here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from kuma.base import labels
from kuma.resources import meta as metas
from kuma.resources import resource as res
from kuma.resources.kinds import workload
from kuma.services.destinations import members, standing

MANAGER = "workload-generator"

Workload = res.Resource[workload.Workload]


def desired(key: res.Key, serving: Sequence[members.Member], stored: Workload | None, zone: str) -> Workload | None:
    """The Workload that there is to be where they are made for proxies: one while any of them belongs to it."""
    if stored is not None:
        is_ours = stored.meta.labels.get(labels.MANAGED_BY) == MANAGER
        return stored if serving or not is_ours or not standing.is_local(stored) else None
    if not serving or metas.dns1035_problems(key.name):
        return None
    own = {
        labels.ENV: "universal",
        labels.MANAGED_BY: MANAGER,
        labels.MESH: key.mesh,
        labels.ORIGIN: labels.ORIGIN_ZONE,
        labels.ZONE: zone,
    }
    return res.Resource(workload.KIND, res.Meta(key.mesh, key.name, own), workload.Workload())


def with_counts(own: Workload, serving: Iterable[members.Member]) -> Workload:
    """The Workload with its proxies counted; one of another zone arrives counted. A proxy with a healthy inbound is."""
    if not standing.is_local(own):
        return own
    total = connected = healthy = 0
    for each in serving:
        total += 1
        connected += each.connection.is_connected
        healthy += any(inbound.is_ready for inbound in each.inbounds)
    counts = workload.DataplaneProxies(connected=connected, healthy=healthy, total=total)
    return replace(own, status=workload.WorkloadStatus(dataplane_proxies=counts))
