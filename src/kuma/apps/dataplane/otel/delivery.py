"""One export: a request of OTLP to a collector, over gRPC or HTTP (opentelemetry.io/docs/specs/otlp)."""

import asyncio
import functools
import ssl
import zlib

from kuma.apps.dataplane.otel import routes
from kuma.apps.dataplane.wire import grpc_call, http_client

METHODS = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
}
"""What to call, and what is called, for each signal."""

_AGAIN = frozenset({1, 4, 8, 10, 11, 14, 15})
_HTTP_AGAIN = frozenset({429, 502, 503, 504})
"""Answers after which another try may succeed: OTLP specification, "Failures"."""


class Refused(Exception):
    """The collector does not want this request, now or later."""


async def deliver(route: routes.Route, signal: str, request: bytes) -> None:
    """Sends a request. OSError where it may arrive another time; Refused where it never will."""
    if route.is_compressed:
        request = await asyncio.to_thread(_compressed, request)
    try:
        if route.path:
            await _post(route, request)
        else:
            await _call(route, METHODS[signal], request)
    except ssl.SSLError:
        _trust.cache_clear()  # files may have been renewed
        raise


async def _call(route: routes.Route, method: str, request: bytes) -> None:
    place = grpc_call.Place(route.socket, route.host, route.port, _tls(route, "h2"))
    encoding = "gzip" if route.is_compressed else ""
    try:
        await grpc_call.call(place, method, request, route.seconds, metadata=route.headers, encoding=encoding)
    except grpc_call.Refused as error:
        if error.status is None or error.status in _AGAIN:
            raise ConnectionError(str(error)) from error
        raise Refused(str(error)) from error


async def _post(route: routes.Route, request: bytes) -> None:
    host = f"[{route.host}]" if ":" in route.host else route.host
    url = f"{'https' if route.is_tls else 'http'}://{host}:{route.port}{route.path}"
    headers = dict(route.headers) | {"content-type": "application/x-protobuf", "user-agent": "kuma-dp"}
    if route.is_compressed:
        headers["content-encoding"] = "gzip"
    tls = _tls(route, "http/1.1")
    answer = await http_client.send_request("POST", url, body=request, headers=headers, tls=tls, timeout=route.seconds)
    if answer.status in _HTTP_AGAIN:
        raise ConnectionError(f"HTTP status {answer.status}")
    if not 200 <= answer.status < 300:
        raise Refused(f"HTTP status {answer.status}")


def _compressed(request: bytes) -> bytes:
    squeezer = zlib.compressobj(1, wbits=31)
    return squeezer.compress(request) + squeezer.flush()


def _tls(route: routes.Route, protocol: str) -> ssl.SSLContext | None:
    """What verifies the collector, None where it is reached without TLS. OSError where a file cannot be read."""
    return _trust(route.roots, route.certificate, route.key, protocol) if route.is_tls else None


@functools.lru_cache(maxsize=4)
def _trust(roots: str, certificate: str, key: str, protocol: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=roots or None)
    if certificate:
        context.load_cert_chain(certificate, key)
    context.set_alpn_protocols([protocol])
    return context
