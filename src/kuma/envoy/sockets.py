"""Addresses and static endpoints."""

from kuma.envoy import api


def socket_address(address: str, port: int) -> api.Message:
    """A TCP address."""
    out = api.Address()
    out.socket_address.address = address
    out.socket_address.port_value = port
    return out


def pipe_address(path: str) -> api.Message:
    """A Unix socket."""
    out = api.Address()
    out.pipe.path = path
    return out


def static_assignment(cluster: str, address: api.Message) -> api.Message:
    """A load assignment of one endpoint without locality."""
    out = api.ClusterLoadAssignment(cluster_name=cluster)
    out.endpoints.add().lb_endpoints.add().endpoint.address.CopyFrom(address)
    return out
