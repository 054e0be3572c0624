"""The seam between gRPC on the wire and the servers that speak it.

A handler gets one `GrpcStream`, reads whole messages as bytes, sends messages as lists of byte parts that are
written without being joined, and ends the call by returning (OK) or by raising `GrpcError`.
"""

import enum
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol


class Status(enum.IntEnum):
    """gRPC status codes that we send (grpc.io, status codes)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


class GrpcError(Exception):
    """Ends a call with a status other than OK."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class GrpcStream(Protocol):
    """One call. `metadata` has lower-case keys; a key sent twice has its values joined by a comma."""

    @property
    def path(self) -> str:
        """`/package.Service/Method`."""
        ...

    @property
    def metadata(self) -> Mapping[str, str]:
        """The request headers, pseudo-headers left out."""
        ...

    @property
    def peer(self) -> str:
        """Address and port of the client, for logs."""
        ...

    async def receive(self) -> bytes | None:
        """The next whole message; None once the client has half-closed. Raises ConnectionError if it is gone."""
        ...

    async def send(self, parts: Sequence[bytes]) -> None:
        """Queues one message (the concatenation of `parts`) and waits until it was handed to the kernel.

        Raises ConnectionError when the client is gone, or was cut off because it did not read for too long.
        """
        ...


Handler = Callable[[GrpcStream], Awaitable[None]]
