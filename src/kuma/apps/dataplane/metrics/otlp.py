"""Points as OTLP requests, on the wire (opentelemetry.io/docs/specs/otlp, opentelemetry-proto 1.x).

Written by hand: the messages are six and flat, libraries for them are larger than the agent, and equal attributes,
which are most of the bytes, are encoded once this way. Numbers of fields stand beside the messages they belong to.
"""

import struct
from collections.abc import Callable, Iterable, Iterator

from kuma.apps.dataplane.metrics import points as kinds
from kuma.apps.dataplane.metrics.points import Attributes, Metric, Point, Scope, Scoped

LARGEST_REQUEST = 2 * 1024 * 1024
"""Bytes after which another request begins: collectors refuse messages above 4 MiB by default."""

_Known = dict[tuple[int, Attributes], bytes]
"""Attributes that were encoded already, by the number of their field."""

_FIXED64, _BYTES = 1, 2
_TIME, _COUNT, _SUM = 3, 4, 5
_NUMBER = struct.Struct("<BQBd")
_TIME_TAG, _DOUBLE_TAG = _TIME << 3 | _FIXED64, 4 << 3 | _FIXED64
_CUMULATIVE = b"\x10\x02"
_MONOTONIC = b"\x18\x01"


def requests(scoped: Scoped, version: str) -> Iterator[bytes]:
    """The points as ExportMetricsServiceRequests, none of them too large. `version` is the agent's."""
    resource = _field(1, _attributes(1, (("service.name", "kuma-dp"), ("service.version", version))))
    known: _Known = {}
    for scope, metrics in scoped.items():
        about = _field(1, _text(1, scope.name) + _text(2, scope.version) + _attributes(3, scope.attributes))
        batch: list[bytes] = []
        free = LARGEST_REQUEST
        for encoded in (part for metric in metrics for part in _metric_parts(metric, known)):
            if batch and len(encoded) > free:
                yield _request(resource, about, batch, scope)
                batch, free = [], LARGEST_REQUEST
            batch.append(_field(2, encoded))
            free -= len(encoded)
        if batch:
            yield _request(resource, about, batch, scope)


def _request(resource: bytes, about: bytes, metrics: Iterable[bytes], scope: Scope) -> bytes:
    scope_metrics = about + b"".join(metrics) + _text(3, scope.schema_url)
    return _field(1, resource + _field(2, scope_metrics))


def _metric_parts(metric: Metric, known: _Known) -> Iterator[bytes]:
    """A metric as one message, or as several of the same name where it has too many points."""
    encode, data_field, about = _KINDS[metric.kind]
    named = _text(1, metric.name) + _text(2, metric.description)
    held: list[bytes] = []
    size = 0
    for point in metric.points:
        encoded = _field(1, encode(point, known))
        if held and size + len(encoded) > LARGEST_REQUEST:
            yield named + _field(data_field, b"".join(held) + about)
            held, size = [], 0
        held.append(encoded)
        size += len(encoded)
    yield named + _field(data_field, b"".join(held) + about)


def _number_point(point: Point, known: _Known) -> bytes:
    return _cached(7, point.attributes, known) + _NUMBER.pack(_TIME_TAG, point.time, _DOUBLE_TAG, point.value)


def _histogram_point(point: Point, known: _Known) -> bytes:
    bounds, counts = kinds.buckets(point)
    packed_counts = _field(6, struct.pack(f"<{len(counts)}Q", *counts))
    packed_bounds = _field(7, struct.pack(f"<{len(bounds)}d", *bounds))
    return _cached(9, point.attributes, known) + _common(point) + packed_counts + packed_bounds


def _summary_point(point: Point, known: _Known) -> bytes:
    quantiles = (_field(6, _double(1, quantile) + _double(2, value)) for quantile, value in point.bounds)
    return _cached(7, point.attributes, known) + _common(point) + b"".join(quantiles)


def _common(point: Point) -> bytes:
    return _fixed(_TIME, point.time) + _fixed(_COUNT, point.count) + _double(_SUM, point.total)


def _cached(number: int, attributes: Attributes, known: _Known) -> bytes:
    found = known.get((number, attributes))
    if found is None:
        found = known[number, attributes] = _attributes(number, attributes)
    return found


def _attributes(number: int, attributes: Attributes) -> bytes:
    return b"".join(_field(number, _text(1, name) + _field(2, _text(1, value))) for name, value in attributes)


def _text(number: int, value: str) -> bytes:
    return _field(number, value.encode()) if value else b""


def _field(number: int, payload: bytes) -> bytes:
    return _tag(number, _BYTES) + _varint(len(payload)) + payload


def _fixed(number: int, value: int) -> bytes:
    return _tag(number, _FIXED64) + struct.pack("<Q", value)


def _double(number: int, value: float) -> bytes:
    return _tag(number, _FIXED64) + struct.pack("<d", value)


def _tag(number: int, wire_type: int) -> bytes:
    return bytes((number << 3 | wire_type,))


def _varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_Encode = Callable[[Point, _Known], bytes]
_KINDS: dict[str, tuple[_Encode, int, bytes]] = {
    "gauge": (_number_point, 5, b""),
    "counter": (_number_point, 7, _CUMULATIVE + _MONOTONIC),
    "histogram": (_histogram_point, 9, _CUMULATIVE),
    "summary": (_summary_point, 11, b""),
}
"""How points of a kind are written, the number of their field in Metric, and what is said of all of them."""
