"""What a line of an access log says: Kuma's placeholders are filled in here, Envoy's command operators by Envoy.

Source: Kuma's documentation, "MeshAccessLog: interpolation with Envoy command operators"; the default formats are
Kuma's, word by word, because users parse them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from google.protobuf import json_format

from kuma.envoy import api
from kuma.policies.meshaccesslog import model

DEFAULT_TCP = (
    "[%START_TIME%] %RESPONSE_FLAGS% %KUMA_MESH% %KUMA_SOURCE_ADDRESS_WITHOUT_PORT%(%KUMA_SOURCE_SERVICE%)->"
    "%UPSTREAM_HOST%(%KUMA_DESTINATION_SERVICE%) took %DURATION%ms, sent %BYTES_SENT% bytes, "
    "received: %BYTES_RECEIVED% bytes"
)
DEFAULT_HTTP = (
    '[%START_TIME%] %KUMA_MESH% "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% '
    "%RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "
    '"%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-B3-TRACEID?X-DATADOG-TRACEID)%" "%REQ(X-REQUEST-ID)%" '
    '"%REQ(:AUTHORITY)%" "%KUMA_SOURCE_SERVICE%" "%KUMA_DESTINATION_SERVICE%" "%KUMA_SOURCE_ADDRESS_WITHOUT_PORT%" '
    '"%UPSTREAM_HOST%"'
)


@dataclass(frozen=True, slots=True)
class Values:
    """What stands in for Kuma's placeholders. `direction` is `INBOUND` or `OUTBOUND`, `workload` a KRI or empty."""

    source: str
    destination: str
    address: str
    mesh: str
    zone: str
    workload: str
    direction: str

    def fill(self, text: str) -> str:
        """The text with Kuma's placeholders replaced."""
        if "%KUMA_" not in text:
            return text
        host = f"[{self.address}]" if ":" in self.address else self.address
        for name, value in (
            ("SOURCE_ADDRESS", f"{host}:0"),
            ("SOURCE_ADDRESS_WITHOUT_PORT", self.address),
            ("SOURCE_SERVICE", self.source),
            ("DESTINATION_SERVICE", self.destination),
            ("MESH", self.mesh),
            ("TRAFFIC_DIRECTION", self.direction),
            ("ZONE", self.zone),
            ("WORKLOAD", self.workload),
        ):
            text = text.replace(f"%KUMA_{name}%", value)
        return text


def names(backend: model.Backend, placeholder: str) -> bool:
    """Whether what is written to a backend holds one of Kuma's placeholders, `%KUMA_<placeholder>...`, default or not."""
    forms = [each.format for each in (backend.tcp, backend.file) if each is not None]
    by_default = any(each is None or (each.plain is None and each.json is None) for each in forms)
    by_default = by_default or (backend.open_telemetry is not None and backend.open_telemetry.body is None)
    defaults = (DEFAULT_TCP + DEFAULT_HTTP).encode() if by_default else b""
    return f"%KUMA_{placeholder}".encode() in msgspec.json.encode(backend) + defaults


def in_file(form: model.Format | None, default: str, values: Values) -> api.Message:
    """How Envoy writes a line into a file."""
    out = api.SubstitutionFormat()
    if form is not None and form.json is not None and form.plain is None:
        out.json_format.update(_members(form.json, values))
    else:
        out.text_format_source.inline_string = _line(form, default, values)
    out.omit_empty_values = _omits(form)
    return out


def for_receiver(address: str, form: model.Format | None, default: str, values: Values) -> api.Message:
    """How Envoy writes a line for the agent, which sends it to a receiver at `address`."""
    out = api.SubstitutionFormat()
    message: Any = _line(form, default, values)
    if form is not None and form.json is not None and form.plain is None:
        message = _members(form.json, values)
    out.json_format.update({"address": address, "message": message})
    out.omit_empty_values = _omits(form)
    return out


def body(written: Any, default: str, values: Values) -> api.Message:
    """The body of an OpenTelemetry record: text, an OTLP value in its JSON form, or the JSON text of anything else."""
    if written is None:
        return api.OtlpValue(string_value=values.fill(default))
    if isinstance(written, str):
        return api.OtlpValue(string_value=values.fill(written))
    out = _otlp_value(written)
    if out is None:
        return api.OtlpValue(string_value=values.fill(json.dumps(written, separators=(",", ":"), ensure_ascii=False)))
    _fill_value(out, values)
    return out


def _otlp_value(written: Any) -> api.Message | None:
    """The OTLP value that a JSON value spells; None where it spells none."""
    if not isinstance(written, dict):
        return None
    try:
        return json_format.ParseDict(written, api.OtlpValue())
    except (json_format.ParseError, AttributeError, TypeError, ValueError):  # whatever does not fit
        return None


def _fill_value(value: api.Message, values: Values) -> None:
    if value.HasField("string_value"):
        value.string_value = values.fill(value.string_value)
    for each in value.array_value.values if value.HasField("array_value") else ():
        _fill_value(each, values)
    for each in value.kvlist_value.values if value.HasField("kvlist_value") else ():
        each.key = values.fill(each.key)
        _fill_value(each.value, values)


def _line(form: model.Format | None, default: str, values: Values) -> str:
    plain = form.plain if form is not None else None
    return values.fill(default if plain is None else plain) + "\n"


def _members(fields: Sequence[model.JsonField], values: Values) -> dict[str, str]:
    return {each.key: values.fill(each.value) for each in fields}


def _omits(form: model.Format | None) -> bool:
    return form is not None and bool(form.omit_empty_values)
