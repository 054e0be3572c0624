"""Floor 6: one TLS port that speaks HTTP/1.1, HTTP/2 and gRPC.

Connections are dispatched by ALPN; HTTP goes to an ASGI application, gRPC calls to handlers of `stream.py`'s
shape. Nothing in here knows a message of ours.
"""
