"""Floor 6: one TLS port that speaks HTTP/1.1, HTTP/2 and gRPC.

Connections are dispatched by ALPN; HTTP goes to an ASGI application, gRPC calls to handlers of `stream.py`'s
shape. Nothing in here knows a message of ours.
"""

from kuma.transport.limits import Limits, Refusal
from kuma.transport.server import Server
from kuma.transport.stream import GrpcError, GrpcStream, Handler, Status

__all__ = ["GrpcError", "GrpcStream", "Handler", "Limits", "Refusal", "Server", "Status"]
