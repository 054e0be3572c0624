"""Collectors that speak OTLP over gRPC, on a socket or port of their own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from kuma.apps.dataplane.otel import delivery


@dataclass(slots=True)
class Collector:
    """What came: method, request, metadata. Answers with `statuses`, then with success, once `is_open`.

    `asked`: somebody called.
    """

    port: int = 0
    statuses: list[grpc.StatusCode] = field(default_factory=list)
    got: asyncio.Queue[tuple[str, bytes, dict[str, str]]] = field(default_factory=asyncio.Queue)
    is_open: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def bodies(self, number: int) -> list[str]:
        """The bodies of the next log records, that many at least."""
        found: list[str] = []
        while len(found) < number:
            found += bodies_of((await self.got.get())[1])
        return found

    def handler(self, method: str) -> Any:
        """What answers one method."""

        async def take(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            self.asked.set()
            await self.is_open.wait()
            metadata = {str(key): str(value) for key, value in context.invocation_metadata() or ()}
            if self.statuses:
                await context.abort(self.statuses.pop(0), "not now")
            self.got.put_nowait((method, request, metadata))
            return b""

        return grpc.unary_unary_rpc_method_handler(take)


@contextlib.asynccontextmanager
async def collecting(
    *statuses: grpc.StatusCode, port: int = 0, credentials: grpc.ServerCredentials | None = None, opened: bool = True
) -> AsyncIterator[Collector]:
    """A collector on 127.0.0.1."""
    made = Collector(statuses=list(statuses))
    if opened:
        made.is_open.set()
    server = grpc.aio.server()
    for method in delivery.METHODS.values():
        service, name = method[1:].split("/")
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {name: made.handler(method)}),))
    address = f"127.0.0.1:{port}"
    made.port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    await server.start()
    try:
        async with asyncio.timeout(30):
            yield made
    finally:
        await server.stop(None)


def log_request(*bodies: str) -> bytes:
    """A request with these log records."""
    request: Any = ExportLogsServiceRequest()
    records = request.resource_logs.add().instrumentation_library_logs.add().logs
    for each in bodies:
        records.add().body.string_value = each
    content: bytes = request.SerializeToString()
    return content


def bodies_of(request: bytes) -> list[str]:
    """The bodies of the log records in a request."""
    return [
        record.body.string_value
        for group in ExportLogsServiceRequest.FromString(request).resource_logs
        for library in group.instrumentation_library_logs
        for record in library.logs
    ]
