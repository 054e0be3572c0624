"""Simulated Envoys: each holds one ADS stream over TLS, asks for what a real one asks for, and accepts every answer.

A thousand of them share a core with nothing else, so they know only as much HTTP/2 and xDS as they need. Order of
requests: Envoy's "xDS REST and gRPC protocol" (clusters, their endpoints and secrets, then listeners).
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from envoy.config.cluster.v3 import cluster_pb2
from envoy.service.discovery.v3 import discovery_pb2

from kuma.discovery import resources as xds
from kuma.transport import frames, headers

_SERVICE = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
_SECRET_NAMES = ("identity_cert:secret:{mesh}", "mesh_ca:secret:{mesh}")
_WINDOW = frames.MAX_WINDOW


@dataclass(slots=True)
class Variant:
    """One of the two ways to speak ADS."""

    delta: bool

    @property
    def path(self) -> str:
        return _SERVICE + ("DeltaAggregatedResources" if self.delta else "StreamAggregatedResources")

    def answer(self, raw: bytes) -> Any:
        """A response, parsed."""
        if self.delta:
            return discovery_pb2.DeltaDiscoveryResponse.FromString(raw)
        return discovery_pb2.DiscoveryResponse.FromString(raw)

    def ask(self, type_url: str, names: "list[str]", new: "list[str]", node: Any = None) -> bytes:
        """A request for a type: all `names` wanted, of which `new` were not asked for before."""
        if self.delta:
            request = discovery_pb2.DeltaDiscoveryRequest(type_url=type_url, resource_names_subscribe=new, node=node)
        else:
            request = discovery_pb2.DiscoveryRequest(type_url=type_url, resource_names=names, node=node)
        return bytes(request.SerializeToString())

    def accept(self, answer: Any, names: "list[str]") -> bytes:
        """The acknowledgement of a response."""
        if self.delta:
            request = discovery_pb2.DeltaDiscoveryRequest(type_url=answer.type_url, response_nonce=answer.nonce)
        else:
            request = discovery_pb2.DiscoveryRequest(
                type_url=answer.type_url,
                response_nonce=answer.nonce,
                version_info=answer.version_info,
                resource_names=names,
            )
        return bytes(request.SerializeToString())


class Crowd:
    """What all simulated Envoys of a run share: the variant, the names they learn, and who listens for answers."""

    def __init__(self, variant: Variant, mesh: str, with_secrets: bool) -> None:
        self.variant = variant
        self.secrets = sorted(each.format(mesh=mesh) for each in _SECRET_NAMES) if with_secrets else []
        self.members: list[Envoy] = []
        self.failures: list[str] = []
        self.received = 0
        self.on_answer: Callable[[Envoy, str, bytes], None] | None = None
        """Called with each response: who got it, its type, its bytes."""
        self.on_configured: Callable[[], None] = lambda: None
        self._names: dict[bytes, str] = {}

    def cluster_with_endpoints(self, raw: bytes) -> str:
        """The name under which a cluster's endpoints are asked for; empty for one that has them. Parsed once."""
        found = self._names.get(raw)
        if found is None:
            cluster = cluster_pb2.Cluster.FromString(raw)
            is_eds = cluster.type == cluster_pb2.Cluster.EDS
            found = self._names[raw] = (cluster.eds_cluster_config.service_name or cluster.name) if is_eds else ""
        return found

    async def connect(self, port: int, node_of: Callable[[int], Any], count: int) -> None:
        """Opens `count` streams at once; returns when all are open."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        loop = asyncio.get_running_loop()
        self.members = [Envoy(self, node_of(number)) for number in range(count)]
        await asyncio.gather(
            *(
                loop.create_connection(lambda one=one: one, "127.0.0.1", port, ssl=context, ssl_handshake_timeout=120)  # type: ignore[misc]
                for one in self.members
            )
        )

    def close(self) -> None:
        """Ends every stream."""
        self.on_answer = None
        for each in self.members:
            each.close()


class Envoy(asyncio.Protocol):
    """One stream on one connection."""

    def __init__(self, crowd: Crowd, node: Any) -> None:
        self._crowd = crowd
        self._node = node
        self._buffer = bytearray()
        self._message = bytearray()
        self._names: dict[str, list[str]] = {}
        self._waiting: set[str] = set()
        self._is_closing = False
        self._transport: asyncio.Transport
        self.configured_at = 0.0
        """When every type asked for had been answered, by `time.perf_counter`; 0 before."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports are of classes of their own
        fields = [
            (b":path", self._crowd.variant.path.encode()),
            (b":authority", b"localhost"),
            (b"content-type", b"application/grpc"),
            (b"te", b"trailers"),
        ]
        block = b"\x83\x87" + headers.encode(fields)  # two entries of HPACK's static table: POST, https
        self._transport.write(
            frames.PREFACE
            + frames.settings_frame({frames.Setting.INITIAL_WINDOW_SIZE: _WINDOW})
            + frames.window_update(0, _WINDOW - frames.DEFAULT_WINDOW)
            + frames.frame(frames.Type.HEADERS, frames.Flag.END_HEADERS, 1, block)
            + self._ask(xds.CLUSTER, [], self._node)
        )

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._is_closing:
            self._crowd.failures.append(f"connection lost: {exc!r}")

    def close(self) -> None:
        self._is_closing = True
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._crowd.received += len(data)
        buffer = self._buffer
        buffer += data
        start, end = 0, len(buffer)
        while end - start >= frames.HEADER_SIZE:
            payload = start + frames.HEADER_SIZE
            stop = payload + int.from_bytes(buffer[start : start + 3], "big")
            if stop > end:
                break
            self._take(buffer[start + 3], buffer[start + 4], payload, stop)
            start = stop
        del buffer[:start]
        self._cut_messages()

    def _take(self, kind: int, flags: int, start: int, stop: int) -> None:
        if kind == frames.Type.DATA:
            self._message += self._buffer[start:stop]
        elif kind in (frames.Type.SETTINGS, frames.Type.PING) and not flags & frames.Flag.ACK:
            echo = bytes(self._buffer[start:stop]) if kind == frames.Type.PING else b""
            self._transport.write(frames.frame(kind, frames.Flag.ACK, 0, echo))
        elif kind in (frames.Type.RST_STREAM, frames.Type.GOAWAY) or (
            kind == frames.Type.HEADERS and flags & frames.Flag.END_STREAM
        ):
            self._crowd.failures.append(f"the server ended it: {bytes(self._buffer[start:stop])!r}")

    def _cut_messages(self) -> None:
        message = self._message
        while len(message) >= 5 and len(message) >= (stop := 5 + int.from_bytes(message[1:5], "big")):
            raw = bytes(message[5:stop])
            del message[:stop]
            self._hear(raw)

    def _hear(self, raw: bytes) -> None:
        answer = self._crowd.variant.answer(raw)
        kind = answer.type_url
        if self._crowd.on_answer is not None:
            self._crowd.on_answer(self, kind, raw)
        out = self._data(self._crowd.variant.accept(answer, self._names.get(kind, [])))
        self._waiting.discard(kind)
        if kind == xds.CLUSTER:
            found = {self._crowd.cluster_with_endpoints(self._bytes_of(each)) for each in answer.resources}
            out += self._want(xds.ENDPOINT, sorted(found - {""})) + self._want(xds.SECRET, self._crowd.secrets)
        if xds.LISTENER not in self._names and xds.ENDPOINT not in self._waiting:
            out += self._ask(xds.LISTENER, [])
        self._transport.write(out)
        if not self._waiting and not self.configured_at:
            self.configured_at = time.perf_counter()
            self._crowd.on_configured()

    def _bytes_of(self, resource: Any) -> bytes:
        return bytes(resource.resource.value if self._crowd.variant.delta else resource.value)

    def _want(self, kind: str, names: list[str]) -> bytes:
        """Asks for names of a type as far as they are new."""
        known = self._names.get(kind, [])
        new = [each for each in names if each not in known]
        return self._ask(kind, new) if new else b""

    def _ask(self, kind: str, new: list[str], node: Any = None) -> bytes:
        names = self._names[kind] = sorted({*self._names.get(kind, []), *new})
        self._waiting.add(kind)
        return self._data(self._crowd.variant.ask(kind, names, new, node))

    @staticmethod
    def _data(message: bytes) -> bytes:
        body = b"\0" + len(message).to_bytes(4, "big") + message
        size = frames.DEFAULT_FRAME_SIZE
        pieces = (body[start : start + size] for start in range(0, len(body), size))
        return b"".join(frames.frame(frames.Type.DATA, 0, 1, piece) for piece in pieces)
