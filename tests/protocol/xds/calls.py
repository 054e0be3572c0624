"""A gRPC call without a network: what the test says is received, what the handler sends is kept."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import struct_pb2

from tests.protocol.xds.client import SHORT


class Call:
    """Implements `transport.stream.GrpcStream`."""

    path, peer = "/x/Y", "127.0.0.1:1"

    def __init__(self, credential: str = "") -> None:
        self.metadata: Mapping[str, str] = {"authorization": credential} if credential else {}
        self._incoming: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue()
        self.received = 0
        self.takes = asyncio.Semaphore(0)
        self.may_send = asyncio.Event()
        self.may_send.set()
        self.waits_for_client = asyncio.Event()

    async def receive(self) -> bytes | None:
        message = await self._incoming.get()
        self.received += 1
        self.takes.release()
        if isinstance(message, Exception):
            raise message
        return message

    async def send(self, parts: Sequence[bytes]) -> None:
        if not self.may_send.is_set():
            self.waits_for_client.set()
        await self.may_send.wait()
        self._outgoing.put_nowait(b"".join(parts))

    def says(self, message: Any) -> None:
        self._incoming.put_nowait(message if isinstance(message, bytes) else message.SerializeToString())

    def ends(self) -> None:
        self._incoming.put_nowait(None)

    def breaks(self) -> None:
        self._incoming.put_nowait(ConnectionResetError())

    @property
    def is_silent(self) -> bool:
        return self._outgoing.empty()

    async def hears(self, kind: Any = discovery_pb2.DiscoveryResponse) -> Any:
        return kind.FromString(await self._outgoing.get())


def node(node_id: str = "default.web-1", **metadata: Any) -> Any:
    struct = struct_pb2.Struct()
    struct.update(metadata)
    return base_pb2.Node(id=node_id, cluster="web", metadata=struct, user_agent_name="envoy")


def request(short: str, *names: str, **fields: Any) -> Any:
    return discovery_pb2.DiscoveryRequest(type_url=SHORT[short], resource_names=names, **fields)


def delta_request(short: str, *names: str, **fields: Any) -> Any:
    return discovery_pb2.DeltaDiscoveryRequest(type_url=SHORT[short], resource_names_subscribe=names, **fields)
