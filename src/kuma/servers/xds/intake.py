"""The first request of a stream: who is it, and may they in? Shared by ADS and HDS.

Statuses and texts are Kuma's, except that bad credentials get UNAUTHENTICATED (`decisions/`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from google.protobuf import message as protobuf

from kuma.base import errors
from kuma.servers.xds import deps as needs
from kuma.services.proxies import nodes
from kuma.transport import stream

T = TypeVar("T")
M = TypeVar("M")

CREDENTIAL = "authorization"


def parse(kind: Callable[[bytes], M], raw: bytes, deps: needs.Deps) -> M:
    """The message in `raw`; INVALID_ARGUMENT where it is none."""
    try:
        return kind(raw)
    except protobuf.DecodeError:
        deps.refused("malformed")
        raise stream.GrpcError(stream.Status.INVALID_ARGUMENT, "malformed request: it cannot be decoded") from None


async def first(call: stream.GrpcStream, deps: needs.Deps) -> bytes | None:
    """The first message, None where the client leaves without one. Who says nothing is not kept waiting for."""
    try:
        async with asyncio.timeout(needs.FIRST_REQUEST_SECONDS):
            return await call.receive()
    except TimeoutError:
        deps.refused("silent")
        raise stream.GrpcError(stream.Status.DEADLINE_EXCEEDED, "no request came after the stream opened") from None


async def admitted(
    entry: Callable[[nodes.Node, str], Awaitable[T]], call: stream.GrpcStream, node: nodes.Node, deps: needs.Deps
) -> T:
    """What `entry` gives to the node; a GrpcError where it is refused. The credential is never shown."""
    try:
        return await entry(node, call.metadata.get(CREDENTIAL, ""))
    except errors.Unauthenticated as error:
        deps.refused("unauthenticated")
        raise stream.GrpcError(stream.Status.UNAUTHENTICATED, f"authentication failed: {error}") from None
    except errors.NotFound as error:
        deps.refused("unknown-proxy")
        raise stream.GrpcError(stream.Status.UNKNOWN, str(error)) from None
    except errors.Unavailable as error:
        raise stream.GrpcError(stream.Status.UNAVAILABLE, str(error)) from None
    except errors.KumaError as error:
        deps.refused("invalid")
        raise stream.GrpcError(stream.Status.UNKNOWN, str(error)) from None


def node_of(message: Any) -> nodes.Node:
    """What we keep of an Envoy node; most of its 60 KB is a list of extensions. One that lists none may have them all."""
    known = {each.name for each in message.extensions}
    lacking = tuple(each for each in nodes.OPTIONAL_FILTERS if known and each not in known)
    return nodes.Node(message.id, message.cluster, _mapping(message.metadata), lacking)


def _mapping(struct: Any) -> Mapping[str, Any]:
    return {key: _value(struct.fields[key]) for key in sorted(struct.fields)}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _mapping(value.struct_value)
    if kind == "list_value":
        return [_value(each) for each in value.list_value.values]
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    return None if kind in (None, "null_value") else getattr(value, kind)
