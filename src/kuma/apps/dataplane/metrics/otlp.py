"""Points as OTLP requests, on the wire (opentelemetry.io/docs/specs/otlp, opentelemetry-proto 1.x).

Written by hand: the messages are six and flat, libraries for them are larger than the agent, and equal attributes,
which are most of the bytes, are encoded once this way. Numbers of fields stand beside the messages they belong to.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from kuma.apps.dataplane.metrics import points as kinds
from kuma.apps.dataplane.metrics.points import Attributes, Metric, Point, Scope

LARGEST_REQUEST = 256 * 1024
"""Bytes after which another request begins.

Collectors take 4 MiB by default; but what is built, framed and sent at a time is what the agent's memory peaks with.
"""

_Known = dict[tuple[int, Attributes], bytes]
"""Attributes that were encoded already, by the number of their field."""

_FIXED64, _BYTES = 1, 2
_TIME, _COUNT, _SUM = 3, 4, 5
_NUMBER = struct.Struct("<BQBd")
_TIME_TAG, _DOUBLE_TAG = _TIME << 3 | _FIXED64, 4 << 3 | _FIXED64
_CUMULATIVE = b"\x10\x02"
_MONOTONIC = b"\x18\x01"


@dataclass(slots=True)
class _Batch:
    """Metrics of a scope, encoded, that wait until there are enough of them. `about` says which scope it is."""

    about: bytes
    parts: list[bytes] = field(default_factory=list)
    size: int = 0

    def has_room_for(self, part: bytes) -> bool:
        return not self.parts or self.size + len(part) <= LARGEST_REQUEST

    def add(self, part: bytes) -> None:
        self.parts.append(_field(2, part))
        self.size += len(part)

    def taken(self, resource: bytes, scope: Scope) -> bytes:
        """The request with all that waits; nothing does afterwards."""
        metrics, self.parts, self.size = self.parts, [], 0
        length = len(self.about) + sum(map(len, metrics))
        schema = _text(3, scope.schema_url)
        head = _head(2, length + len(schema))
        return _field(1, b"".join([resource, head, self.about, *metrics, schema]))


def requests(metrics: Iterable[tuple[Scope, Metric]], version: str) -> Iterator[bytes]:
    """The points as ExportMetricsServiceRequests, none of them too large. `version` is the agent's.

    Metrics are taken one by one, so what waits to be sent is all that there ever is of them.
    """
    resource = _field(1, _attributes(1, (("service.name", "kuma-dp"), ("service.version", version))))
    known: _Known = {}
    batches: dict[Scope, _Batch] = {}
    for scope, metric in metrics:
        batch = batches.get(scope)
        if batch is None:
            batch = batches[scope] = _Batch(_about(scope))
        for part in _metric_parts(metric, known):
            if not batch.has_room_for(part):
                yield batch.taken(resource, scope)
            batch.add(part)
    for scope, batch in batches.items():
        if batch.parts:
            yield batch.taken(resource, scope)


def _about(scope: Scope) -> bytes:
    return _field(1, _text(1, scope.name) + _text(2, scope.version) + _attributes(3, scope.attributes))


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
    return _head(number, len(payload)) + payload


def _head(number: int, length: int) -> bytes:
    """What stands before the bytes of a field."""
    return _tag(number, _BYTES) + _varint(length)


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
