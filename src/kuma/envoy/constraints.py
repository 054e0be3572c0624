"""Checks an Envoy message against the constraints that Envoy's API writes on its fields.

Envoy refuses a configuration that breaks one, so text that users wrote is checked before it is stored. The rules are
options of the fields (github.com/bufbuild/protoc-gen-validate); the words are those that its Go code uses, which users
of Kuma know. What is inside an `Any` is not looked at.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from validate import validate_pb2

from kuma.base import durations, gotext

_HEADER_RULES = {
    (1, True): r"^:?[0-9a-zA-Z!#$%&'*+-.^_|~`]+$",
    (1, False): "^[^\u0000\u000a\u000d]+$",
    (2, True): "^[^\u0000-\u0008\u000a-\u001f\u007f]*$",
    (2, False): "^[^\u0000\u000a\u000d]*$",
}
"""Patterns by well-known regex (1: header name, 2: header value) and whether it is strict."""


def first_violation(message: Any) -> str:
    """What is wrong first, as `invalid Cluster.Name: ...`; empty where every constraint holds."""
    return next(_violations(message), "")


def _violations(message: Any) -> Iterator[str]:
    descriptor = message.DESCRIPTOR
    for field in descriptor.fields:
        if field.containing_oneof is None or _is_optional(field):
            yield from _field_violations(message, field)
    for oneof in descriptor.oneofs:
        if len(oneof.fields) == 1 and _is_optional(oneof.fields[0]):
            continue
        chosen = message.WhichOneof(oneof.name)
        if chosen is not None:
            yield from _field_violations(message, descriptor.fields_by_name[chosen])
        elif oneof.GetOptions().Extensions[validate_pb2.required]:
            yield _invalid(descriptor, oneof.name, "value is required")


def _is_optional(field: Any) -> bool:
    """Whether a scalar of its own says if it was written: proto3's `optional`, a oneof of one in disguise."""
    return field.containing_oneof is not None and field.containing_oneof.name == "_" + field.name


def _field_violations(message: Any, field: Any) -> Iterator[str]:
    rules = field.GetOptions().Extensions[validate_pb2.rules]
    descriptor, value = message.DESCRIPTOR, getattr(message, field.name)
    if field.is_repeated:
        reasons = _map_reasons if _is_map(field) else _list_reasons
        for suffix, reason in reasons(value, field, rules):
            yield _invalid(descriptor, field.name, reason, suffix)
    elif field.message_type is not None:
        present = message.HasField(field.name)
        for reason in _message_reasons(value if present else None, field, rules):
            yield _invalid(descriptor, field.name, reason)
    elif not _is_optional(field) or message.HasField(field.name):
        for reason in _scalar_reasons(value, field, rules):
            yield _invalid(descriptor, field.name, reason)


def _is_map(field: Any) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _invalid(descriptor: Any, field: str, reason: str, suffix: str = "") -> str:
    """`invalid Parent_Child.FieldName[2]: reason`: the names of Go's generated code."""
    names, parent = [descriptor.name], descriptor.containing_type
    while parent is not None:
        names.insert(0, parent.name)
        parent = parent.containing_type
    camel = "".join(part[:1].upper() + part[1:] for part in field.split("_"))
    return f"invalid {'_'.join(names)}.{camel}{suffix}: {reason}"


def _list_reasons(items: Any, field: Any, rules: Any) -> Iterator[tuple[str, str]]:
    own = rules.repeated
    if own.min_items and len(items) < own.min_items:
        yield "", f"value must contain at least {own.min_items} item(s)"
    if own.max_items and len(items) > own.max_items:
        yield "", f"value must contain no more than {own.max_items} item(s)"
    seen = []
    for index, item in enumerate(items):
        if own.unique and item in seen:
            yield f"[{index}]", "repeated value must contain unique items"
        seen.append(item)
        check = _scalar_reasons if field.message_type is None else _message_reasons
        for reason in check(item, field, own.items):
            yield f"[{index}]", reason


def _map_reasons(pairs: Any, field: Any, rules: Any) -> Iterator[tuple[str, str]]:
    own, entry = rules.map, field.message_type.fields_by_name
    if own.min_pairs and len(pairs) < own.min_pairs:
        yield "", f"value must contain at least {own.min_pairs} pair(s)"
    for key in sorted(pairs):
        for reason in _scalar_reasons(key, entry["key"], own.keys):
            yield f"[{key}]", reason
        check = _scalar_reasons if entry["value"].message_type is None else _message_reasons
        for reason in check(pairs[key], entry["value"], own.values):
            yield f"[{key}]", reason


def _message_reasons(value: Any, field: Any, rules: Any) -> Iterator[str]:
    """Reasons against a message field; `value` is None where it is absent."""
    kind = rules.WhichOneof("type")
    own: Any = getattr(rules, kind) if kind else None
    if value is None:
        if rules.message.required or (kind in ("duration", "any") and own.required):
            yield "value is required"
        return
    name = field.message_type.full_name
    if name == "google.protobuf.Duration":
        if kind == "duration":
            yield from _range_reasons(_nanoseconds(value), own, _nanoseconds, durations.format_go)
    elif name.startswith("google.protobuf."):
        if kind and field.message_type.name.endswith("Value"):
            yield from _scalar_reasons(value.value, value.DESCRIPTOR.fields_by_name["value"], rules)
    elif not rules.message.skip:
        for cause in _violations(value):
            yield f"embedded message failed validation | caused by: {cause}"


def _nanoseconds(duration: Any) -> int:
    return int(duration.seconds * durations.SECOND + duration.nanos)


def _scalar_reasons(value: Any, field: Any, rules: Any) -> Iterator[str]:
    kind = rules.WhichOneof("type")
    if kind is None:
        return
    own = getattr(rules, kind)
    if kind in ("string", "bytes"):
        yield from _text_reasons(value, own)
    elif kind == "enum":
        if own.defined_only and value not in field.enum_type.values_by_number:
            yield "value must be one of the defined enum values"
        yield from _set_reasons(value, own)
    elif kind == "bool":
        if own.HasField("const") and value != own.const:
            yield f"value must equal {str(own.const).lower()}"
    else:
        yield from _range_reasons(value, own, lambda bound: bound, lambda bound: f"{bound:g}")
        yield from _set_reasons(value, own)


def _set_reasons(value: Any, rules: Any) -> Iterator[str]:
    if getattr(rules, "in") and value not in getattr(rules, "in"):
        yield f"value must be in list [{' '.join(map(str, getattr(rules, 'in')))}]"
    if rules.not_in and value in rules.not_in:
        yield f"value must not be in list [{' '.join(map(str, rules.not_in))}]"


def _range_reasons(value: Any, rules: Any, number: Callable[[Any], Any], shown: Callable[[Any], str]) -> Iterator[str]:
    """Reasons against a number: `number` reads a bound, `shown` prints it."""
    bounds = {name: number(getattr(rules, name)) for name in ("gt", "gte", "lt", "lte") if rules.HasField(name)}
    low = next((name for name in ("gt", "gte") if name in bounds), None)
    high = next((name for name in ("lt", "lte") if name in bounds), None)
    too_low = low is not None and (value <= bounds[low] if low == "gt" else value < bounds[low])
    too_high = high is not None and (value >= bounds[high] if high == "lt" else value > bounds[high])
    if low is not None and high is not None:
        if too_low or too_high:
            opening, closing = "(" if low == "gt" else "[", ")" if high == "lt" else "]"
            yield f"value must be inside range {opening}{shown(bounds[low])}, {shown(bounds[high])}{closing}"
    elif low is not None and too_low:
        yield f"value must be greater than {'' if low == 'gt' else 'or equal to '}{shown(bounds[low])}"
    elif high is not None and too_high:
        yield f"value must be less than {'' if high == 'lt' else 'or equal to '}{shown(bounds[high])}"


def _text_reasons(value: Any, rules: Any) -> Iterator[str]:
    """Reasons against a string or bytes."""
    if rules.ignore_empty and not value:
        return
    unit = "runes" if isinstance(value, str) else "bytes"
    if len(value) < rules.min_len:
        yield f"value length must be at least {rules.min_len} {unit}"
    if rules.HasField("max_len") and len(value) > rules.max_len:
        yield f"value length must be at most {rules.max_len} {unit}"
    if not isinstance(value, str):
        return
    if rules.HasField("max_bytes") and len(value.encode()) > rules.max_bytes:
        yield f"value length must be at most {rules.max_bytes} bytes"
    if not value.startswith(rules.prefix):
        yield f"value does not have prefix {gotext.quote(rules.prefix)}"
    if not value.endswith(rules.suffix):
        yield f"value does not have suffix {gotext.quote(rules.suffix)}"
    yield from _set_reasons(value, rules)
    pattern = rules.pattern or _HEADER_RULES.get((rules.well_known_regex, rules.strict), "")
    if pattern and not re.search(pattern, value):
        yield f"value does not match regex pattern {gotext.quote(pattern)}"
