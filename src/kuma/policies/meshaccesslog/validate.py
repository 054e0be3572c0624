"""Rules of a MeshAccessLog and warnings about its older parts."""

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base.errors import Violation
from kuma.policy_engine.writing import entries, otel, paths, urls
from kuma.resources import resource as res
from kuma.resources import targetref

if TYPE_CHECKING:
    from kuma.policies.meshaccesslog import model

_TO = targetref.Allowed(("Mesh", "MeshService", "MeshExternalService", "MeshMultiZoneService", "MeshHTTPRoute"))
_EVERYTHING = targetref.Allowed(("Mesh",))
_ATTRIBUTE = re.compile(r"[a-z]([a-z0-9]|[._][a-z0-9])*")
_BAD_ATTRIBUTE = (
    "must start with a lowercase letter, use only lowercase letters, digits, '.' or '_', avoid consecutive delimiters, "
    "and end with a letter or digit"
)


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a MeshAccessLog."""
    spec: model.MeshAccessLog = resource.spec
    yield from entries.check_top(resource, spec.target_ref, inbound=bool(spec.from_ or spec.rules))
    yield from entries.check_rules_alone(spec.to, spec.from_, spec.rules)
    yield from entries.check_some(spec.to, spec.from_, spec.rules)
    for index, client in enumerate(spec.from_ or ()):
        yield from targetref.check(f"spec.from[{index}].targetRef", client.target_ref, _EVERYTHING)
        yield from _check_conf(f"spec.from[{index}].default", client.default)
    on_gateway = spec.target_ref is not None and spec.target_ref.kind == "MeshGateway"
    for index, entry in enumerate(spec.to or ()):
        allowed = _EVERYTHING if on_gateway else _TO
        yield from targetref.check(f"spec.to[{index}].targetRef", entry.target_ref, allowed)
        yield from _check_conf(f"spec.to[{index}].default", entry.default)
    for index, rule in enumerate(spec.rules or ()):
        yield from entries.check_matches(f"spec.rules[{index}]", rule.matches)
        yield from _check_conf(f"spec.rules[{index}].default", rule.default)


def _check_conf(path: str, conf: "model.Conf") -> Iterator[Violation]:
    if conf.backends is None:
        yield Violation(f"{path}.backends", "must be defined")
    for index, backend in enumerate(conf.backends or ()):
        yield from _check_backend(f"{path}.backends[{index}]", backend)


def _check_backend(path: str, backend: "model.Backend") -> Iterator[Violation]:
    if backend.type == "File":
        if backend.file is None:
            yield Violation(f"{path}.file", "must be defined")
            return
        yield from _check_format(f"{path}.file.format", backend.file.format)
        if not paths.is_file_path(backend.file.path):
            yield Violation(f"{path}.file.path", "file backend requires a valid path")
    elif backend.type == "Tcp":
        if backend.tcp is None:
            yield Violation(f"{path}.tcp", "must be defined")
            return
        yield from _check_format(f"{path}.tcp.format", backend.tcp.format)
        if not urls.is_url(backend.tcp.address):
            yield Violation(f"{path}.tcp.address", "tcp backend requires valid address")
    elif backend.type == "OpenTelemetry":
        if backend.open_telemetry is None:
            yield Violation(f"{path}.openTelemetry", "must be defined")
            return
        yield from otel.check(f"{path}.openTelemetry", backend.open_telemetry)
        for index, attribute in enumerate(backend.open_telemetry.attributes or ()):
            yield from _check_attribute(f"{path}.openTelemetry.attributes[{index}].key", attribute.key)


def _check_format(path: str, form: "model.Format | None") -> Iterator[Violation]:
    if form is None:
        return
    if form.type == "Plain":
        yield from _check_written(f"{path}.plain", form.plain)
    elif form.type == "Json":
        yield from _check_written(f"{path}.json", form.json)
        for index, field in enumerate(form.json or ()):
            yield from _check_field(f"{path}.json[{index}]", field)


def _check_written(path: str, value: Any) -> Iterator[Violation]:
    if value is None:
        yield Violation(path, "must be defined")
    elif not value:
        yield Violation(path, "must not be empty")


def _check_field(path: str, field: "model.JsonField") -> Iterator[Violation]:
    """Key and value are written between quotes as they are, so a quote has to be escaped by whoever writes it."""
    if not field.key:
        yield Violation(f"{path}.key", "key cannot be empty")
    if not field.value:
        yield Violation(f"{path}.value", "value cannot be empty")
    try:
        json.loads(f'{{"{field.key}": "{field.value}"}}')
    except (ValueError, RecursionError):
        yield Violation(path, "is not a valid JSON object")


def _check_attribute(path: str, key: str) -> Iterator[Violation]:
    """OpenTelemetry's naming of attributes (opentelemetry.io, "Attribute naming"); `otel.` belongs to the standard."""
    if not key:
        yield Violation(path, "must be defined")
    elif "%" in key:
        yield Violation(
            path, "must be a static OpenTelemetry attribute name; placeholders are only supported in values"
        )
    elif key.startswith("otel."):
        yield Violation(path, "must not use the reserved OpenTelemetry prefix 'otel.'")
    elif not _ATTRIBUTE.fullmatch(key):
        yield Violation(path, _BAD_ATTRIBUTE)


def deprecations(resource: "res.Resource[Any]") -> Iterator[str]:
    """Warnings about what still works and will go."""
    spec: model.MeshAccessLog = resource.spec
    yield from entries.deprecations(spec.target_ref, spec.from_)
    confs = [entry.default for entry in spec.to or ()]
    confs += [entry.default for entry in spec.from_ or ()]
    confs += [entry.default for entry in spec.rules or ()]
    if any(_writes_endpoint(conf) for conf in confs):
        yield otel.DEPRECATED_ENDPOINT


def _writes_endpoint(conf: "model.Conf") -> bool:
    found = (backend.open_telemetry for backend in conf.backends or ())
    return any(each is not None and each.endpoint for each in found)
