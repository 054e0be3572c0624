"""Clusters: the fields that every one of ours has."""

from kuma.envoy import api, names

CONNECT_TIMEOUT_SECONDS = 5.0


def cluster(name: str, kind: str, connect_timeout: float = CONNECT_TIMEOUT_SECONDS) -> api.Message:
    """A cluster of a discovery type (`STATIC`, `EDS`, `ORIGINAL_DST`) that reports its remaining capacity."""
    out = api.Cluster(name=name, type=api.Cluster.DiscoveryType.Value(kind))
    out.connect_timeout.CopyFrom(api.seconds(connect_timeout))
    out.circuit_breakers.thresholds.add().track_remaining = True
    stat = names.sanitize_stat(name)
    if stat != name:
        out.alt_stat_name = stat
    if kind == "EDS":
        out.eds_cluster_config.eds_config.ads.SetInParent()
        out.eds_cluster_config.eds_config.resource_api_version = api.V3
    if kind == "ORIGINAL_DST":
        out.lb_policy = api.Cluster.LbPolicy.CLUSTER_PROVIDED
    return out


def bind_to(message: api.Message, address: str) -> None:
    """Sends from a fixed source address, so that iptables lets it pass to the application."""
    source = message.upstream_bind_config.source_address
    source.address = address
    source.port_value = 0
