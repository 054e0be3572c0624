"""ADS streams of a foreign client (grpcio), to see the statuses that Envoy keeps to itself."""

import queue
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2

from tests.kit import network, planes

CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
_METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"


def dataplane(mesh: str, name: str, **tags: str) -> dict[str, Any]:
    """A Dataplane for a client that is no Envoy."""
    inbound = {"port": 8080, "tags": {"kuma.io/service": name, **tags}}
    return {
        "type": "Dataplane",
        "mesh": mesh,
        "name": name,
        "networking": {"address": "127.0.0.1", "inbound": [inbound]},
    }


class Stream:
    """One stream, opened as a proxy by its first request. Use it as a context."""

    def __init__(self, plane: planes.Plane, mesh: str, name: str, token: str | None) -> None:
        """`token` None sends no credential at all."""
        credentials = grpc.ssl_channel_credentials(plane.ca_file.read_bytes())
        options = (("grpc.use_local_subchannel_pool", 1), ("grpc.ssl_target_name_override", "localhost"))
        self._channel = grpc.secure_channel(f"127.0.0.1:{plane.dp_port}", credentials, options)
        self._requests: queue.Queue[bytes | None] = queue.Queue()
        opening = discovery_pb2.DiscoveryRequest(type_url=CLUSTER)
        opening.node.id = f"{mesh}.{name}"
        self._requests.put(opening.SerializeToString())
        metadata = (("authorization", token),) if token is not None else ()
        call = self._channel.stream_stream(_METHOD)
        self._call = call(iter(self._requests.get, None), timeout=network.PATIENCE, metadata=metadata)
        self._answers: Iterator[bytes] = iter(self._call)

    def first(self) -> Any:
        """The next response; grpc.RpcError where the stream ends instead."""
        return discovery_pb2.DiscoveryResponse.FromString(next(self._answers))

    def refusal(self) -> tuple[grpc.StatusCode, str]:
        """The status that ends the stream before any response; AssertionError where it is taken."""
        try:
            found = self.first()
        except grpc.RpcError as refused:
            return refused.code(), refused.details()
        raise AssertionError(f"the stream was taken and answered with {found.type_url}")

    def ended(self) -> grpc.StatusCode:
        """The status of a stream that the other side ends."""
        try:
            for _ in self._answers:
                pass
        except grpc.RpcError as failure:
            found: grpc.StatusCode = failure.code()
            return found
        return grpc.StatusCode.OK

    def __enter__(self) -> "Stream":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._requests.put(None)
        self._call.cancel()
        self._channel.close()
