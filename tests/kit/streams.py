"""ADS streams of a foreign client (grpcio), to see the statuses that Envoy keeps to itself."""

import queue
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2

from tests.kit import network, planes

CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"


def dataplane(mesh: str, name: str, **tags: str) -> dict[str, Any]:
    """A Dataplane for a client that is no Envoy."""
    inbound = {"port": 8080, "tags": {"kuma.io/service": name, **tags}}
    return {
        "type": "Dataplane",
        "mesh": mesh,
        "name": name,
        "networking": {"address": "127.0.0.1", "inbound": [inbound]},
    }


def opening(mesh: str, name: str) -> bytes:
    """The first request of a proxy: all clusters."""
    request = discovery_pb2.DiscoveryRequest(type_url=CLUSTER)
    request.node.id = f"{mesh}.{name}"
    found: bytes = request.SerializeToString()
    return found


def framed(message: bytes) -> bytes:
    """A message as gRPC puts it into HTTP/2."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def _channel(plane: planes.Plane) -> grpc.Channel:
    credentials = grpc.ssl_channel_credentials(plane.ca_file.read_bytes())
    options = (("grpc.use_local_subchannel_pool", 1), ("grpc.ssl_target_name_override", "localhost"))
    return grpc.secure_channel(f"127.0.0.1:{plane.dp_port}", credentials, options)


def end_after(plane: planes.Plane, message: bytes, method: str = METHOD) -> grpc.StatusCode:
    """The status of a stream whose first message is this."""
    with _channel(plane) as channel:
        answers = channel.stream_stream(method)(iter([message]), timeout=network.PATIENCE)
        try:
            for _ in answers:
                pass
        except grpc.RpcError as failure:
            found: grpc.StatusCode = failure.code()
            return found
    return grpc.StatusCode.OK


class Stream:
    """One stream, opened as a proxy by its first request. Use it as a context."""

    def __init__(self, plane: planes.Plane, mesh: str, name: str, token: str | None) -> None:
        """`token` None sends no credential at all."""
        self._channel = _channel(plane)
        self._requests: queue.Queue[bytes | None] = queue.Queue()
        self._requests.put(opening(mesh, name))
        metadata = (("authorization", token),) if token is not None else ()
        call = self._channel.stream_stream(METHOD)
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
