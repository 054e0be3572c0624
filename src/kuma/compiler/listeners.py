"""What listeners of several generators share."""

from collections.abc import Mapping

from kuma.envoy import api, http, kafka, sockets
from kuma.plan import nodes

TAGS = "io.kuma.tags"
DNS_FILTER = "envoy.filters.udp.dns_filter"


def tcp_listener(name: str, address: str, port: int, direction: int) -> api.Message:
    """A listener on an address, without chains."""
    out = api.Listener(name=name, traffic_direction=direction)
    out.address.CopyFrom(sockets.socket_address(address, port))
    return out


def set_tags(message: api.Message, tags: Mapping[str, str]) -> None:
    """Writes tags into the listener's metadata, where access logs and patches find them."""
    message.metadata.filter_metadata[TAGS].update(dict(sorted(tags.items())))


def kafka_filters(stat: str, *, is_kafka: bool) -> list[nodes.FilterNode]:
    """What stands before the TCP proxy of a chain that carries Kafka, if it does."""
    return [nodes.FilterNode(nodes.Stage.PROTOCOL, kafka.FILTER, kafka.broker(stat))] if is_kafka else []


def http_filters(protocol: nodes.Protocol) -> list[nodes.FilterNode]:
    """The HTTP filters that a chain of this protocol has before any policy; the router is added when rendering."""
    if protocol == nodes.Protocol.GRPC:
        return [nodes.FilterNode(nodes.Stage.STATISTICS, http.GRPC_STATS, http.grpc_stats())]
    return []
