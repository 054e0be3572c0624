"""Joins metrics of Envoy clusters that are one service to the user, and marks those of the mesh's traffic.

A destination that is split by tags has one cluster a subset, named `<service>-<16 hex digits>`; who watches the service
wants their sum, with what the cluster of the whole service has. Used for a Mesh's Prometheus backend; MeshMetric offers
clusters as they are. Source: Kuma's rules.
"""

import re
from dataclasses import dataclass
from functools import cached_property

from kuma.apps.dataplane.metrics.exposition import Families, Family, Sample, format_number, label_pairs

CLUSTER = "envoy_cluster_name"
HTTP_PREFIX = "envoy_http_conn_manager_prefix"
LISTENER = "envoy_listener_address"

_MARK = 'kuma_io_mesh_traffic="true"'
_OWN_CLUSTERS = frozenset(
    {
        "ads_cluster",
        "access_log_sink",
        "system_ads",
        "system_access_log_sink",
        "kuma_envoy_admin",
        "kuma_metrics_hijacker",
    }
)
_OWN_PREFIXES = frozenset({"admin", "kuma_envoy_admin", "kuma_metrics_prometheus"})
_CLUSTER_LABEL = re.compile(rf'(?:^|,){CLUSTER}="([^"]*)"')
_PREFIX_LABEL = re.compile(rf'(?:^|,){HTTP_PREFIX}="([^"]*)"')
_SUBSET = re.compile(r"(.*)-[0-9a-fA-F]{16}", re.DOTALL)


@dataclass(frozen=True)
class _Reading:
    """What the labels of a sample mean: those to offer, the cluster they are of, and if it is but a part of that."""

    labels: str
    cluster: str
    is_subset: bool

    @cached_property
    def series(self) -> frozenset[tuple[str, str]]:
        """The same for all labels whose samples are summed, in whatever order they come."""
        return frozenset(label_pairs(self.labels))


def merge_clusters(families: Families) -> None:
    """Sums the subsets of a cluster into one series and marks the mesh's own traffic, in place.

    A family is about clusters where its first sample is. Buckets and quantiles of equal bounds are summed as well.
    """
    clusters: dict[str, _Reading] = {}
    for family in families.values():
        first = family.samples[0].labels
        if _CLUSTER_LABEL.search(first):
            family.samples = _merged(family, clusters)
        elif _PREFIX_LABEL.search(first):
            family.samples = [
                each._replace(labels=_marked(each.labels, _PREFIX_LABEL, _OWN_PREFIXES)) for each in family.samples
            ]


def _merged(family: Family, known: dict[str, _Reading]) -> list[Sample]:
    for sample in family.samples:
        if sample.labels not in known:
            known[sample.labels] = _read(sample.labels)
    split = {reading.cluster for sample in family.samples if (reading := known[sample.labels]).is_subset}
    kept: list[Sample] = []
    sums: dict[tuple[str, frozenset[tuple[str, str]], str], tuple[int, float]] = {}
    for name, labels, bound, value, timestamp in family.samples:
        reading = known[labels]
        if reading.cluster not in split:
            kept.append(Sample(name, reading.labels, bound, value, timestamp))
            continue
        key = (name, reading.series, bound)
        found = sums.get(key)
        if found is None:
            found = (len(kept), 0.0)
            kept.append(Sample(name, reading.labels, bound, "", ""))
        sums[key] = found[0], found[1] + float(value)
    for place, total in sums.values():
        name, labels, bound, _, _ = kept[place]
        kept[place] = Sample(name, labels, bound, format_number(total), "")
    return kept


def _read(labels: str) -> _Reading:
    found = _CLUSTER_LABEL.search(labels)
    subset = _SUBSET.fullmatch(found[1]) if found else None
    if found is None or subset is None:
        return _Reading(_marked(labels, _CLUSTER_LABEL, _OWN_CLUSTERS), found[1] if found else "", False)
    renamed = labels[: found.start(1)] + subset[1] + labels[found.end(1) :]
    return _Reading(_marked(renamed, _CLUSTER_LABEL, _OWN_CLUSTERS), subset[1], True)


def _marked(labels: str, label: re.Pattern[str], own: frozenset[str]) -> str:
    found = label.search(labels)
    return labels if found is None or found[1] in own else f"{labels.rstrip(', ')},{_MARK}"
