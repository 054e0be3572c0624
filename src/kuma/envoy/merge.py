"""Merging one Envoy message into another, as users expect who wrote a part of it to change a whole.

Messages merge field by field, lists grow, entries of maps are replaced. What is a single value in JSON (durations,
wrapped numbers) is replaced, also by its zero; protobuf's own merge would keep the old value then
(https://github.com/golang/protobuf/issues/1359).
"""

from kuma.envoy import api, written

_WHOLE = ("google.protobuf.Any", "google.protobuf.Duration", "google.protobuf.Timestamp")


def merge(into: api.Message, patch: api.Message) -> None:
    """Changes `into`; `patch` is of the same type and stays as it is."""
    for field, value in patch.ListFields():
        if field.is_repeated:
            getattr(into, field.name).MergeFrom(value)
        elif field.message_type is None:
            setattr(into, field.name, value)
        elif _is_value(field.message_type.full_name):
            getattr(into, field.name).CopyFrom(value)
        else:
            mine = getattr(into, field.name)
            mine.SetInParent()
            merge(mine, value)


def merge_packed(into: api.Message, patch: api.Message) -> None:
    """As `merge` of what stands in two `Any`; ValueError where they hold different types."""
    if not into.type_url:
        into.CopyFrom(patch)
    elif patch.type_url:
        if into.type_url != patch.type_url:
            raise ValueError(f"it is a {_type(into)}, the value is a {_type(patch)}")
        mine, its = written.unpack(into), written.unpack(patch)
        merge(mine, its)
        into.CopyFrom(api.pack(mine))


def _is_value(type_name: str) -> bool:
    """Whether a type is one value rather than a message with parts; wrappers are `google.protobuf.BoolValue` and kin."""
    return type_name in _WHOLE or (type_name.startswith("google.protobuf.") and type_name.endswith("Value"))


def _type(packed: api.Message) -> str:
    return str(packed.type_url).rpartition("/")[2]
