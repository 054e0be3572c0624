"""Confs of the backends that a Mesh declares for traces and access logs."""

import msgspec

from kuma.resources import kind as kinds
from kuma.resources import values


class ZipkinConf(kinds.Spec, frozen=True):
    """Conf of a tracing backend `zipkin`; absent `shared_span_context`: true, `api_version`: httpJson."""

    url: str = ""
    trace_id_128bit: bool = msgspec.field(default=False, name="traceId128bit")
    api_version: str = ""
    shared_span_context: bool | None = None


class DatadogConf(kinds.Spec, frozen=True):
    """Conf of a tracing backend `datadog`."""

    address: str = ""
    port: values.UInt32 = 0
    split_service: bool = False


class FileConf(kinds.Spec, frozen=True):
    """Conf of a logging backend `file`."""

    path: str = ""


class TcpConf(kinds.Spec, frozen=True):
    """Conf of a logging backend `tcp`: HOST:PORT."""

    address: str = ""
