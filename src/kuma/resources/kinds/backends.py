"""Confs of the backends that a Mesh declares: certificate authorities, traces and access logs."""

import msgspec

from kuma.resources import kind as kinds
from kuma.resources import values


class DataSource(kinds.Spec, frozen=True):
    """Where bytes come from: one of a Secret's name, a file of the reader, base64, or text."""

    secret: str = ""
    file: str = ""
    inline: bytes | None = None
    inline_string: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether no source is chosen."""
        return not self.secret and not self.file and self.inline is None and not self.inline_string

    def __repr__(self) -> str:
        return f"DataSource(secret={self.secret!r}, file={self.file!r}, ...)"


class CaCert(kinds.Spec, frozen=True):
    """The root certificate to make. `rsa_bits` 0: ECDSA P-256; `expiration` empty: ten years."""

    rsa_bits: values.UInt32 = msgspec.field(default=0, name="RSAbits")
    expiration: str = ""


class BuiltinConf(kinds.Spec, frozen=True):
    """Conf of the authority that the control plane makes and keeps itself."""

    ca_cert: CaCert | None = None


class ProvidedConf(kinds.Spec, frozen=True):
    """Conf of an authority that the user brings."""

    cert: DataSource | None = None
    key: DataSource | None = None


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
