"""Records in requests of OTLP, counted without decoding them."""

from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from kuma.apps.dataplane.otel import records


def logs(*numbers: int) -> bytes:
    """One resource a number, with that many records of a size that takes two bytes to write."""
    request: Any = ExportLogsServiceRequest()
    for number in numbers:
        group = request.resource_logs.add()
        group.resource.attributes.add(key="kuma.mesh")
        scope = group.instrumentation_library_logs.add()
        scope.instrumentation_library.name = "MeshAccessLog"
        for _ in range(number):
            scope.logs.add(time_unix_nano=1, severity_number=9).body.string_value = "x" * 200
    content: bytes = request.SerializeToString()
    return content


@pytest.mark.parametrize("numbers", [(), (0,), (1,), (3, 0, 300)])
def test_log_records(numbers: tuple[int, ...]) -> None:
    assert records.count(logs(*numbers)) == sum(numbers)


def test_requests_joined_are_one() -> None:
    joined = logs(2) + logs(3, 4)
    assert records.count(joined) == 9
    assert len(ExportLogsServiceRequest.FromString(joined).resource_logs) == 3


def test_spans() -> None:
    request: Any = ExportTraceServiceRequest()
    request.resource_spans.add().instrumentation_library_spans.add().spans.add(name="x", start_time_unix_nano=1)
    assert records.count(request.SerializeToString()) == 1


@pytest.mark.parametrize(
    "broken",
    [logs(1)[:-1], b"\x0a", b"\x0a\xff", b"\xff" * 20, b"\x0b", b"\x0a\x02\x12\x7f", b"\x09\x00"],
)
def test_nonsense_is_refused(broken: bytes) -> None:
    with pytest.raises(ValueError, match=r"cut off|unknown type"):
        records.count(broken)
